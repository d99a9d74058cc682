"""Opening of everything in a workdir: the one place that allows for a workdir that a stranger has made.

A link in a workdir could lead a write or a deletion to a file outside it, and a FIFO or a device could block a read or
fill the memory. Readers and writers check here whatever they open; Orbax writes below a folder that was checked. The
folder that the user names may be a link; nothing in it may be one.

Files are checked when they are opened. A process that exchanges them meanwhile is out of scope, as it could write the
same files itself. Opening relative to a descriptor of the folder, the usual guard, was rejected: Orbax takes paths.
"""

import itertools
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ternary_jax.errors import UnsafeFileError

MOST = 1 << 24  # bytes of a JSON file; its values take up to 40 times as much memory
HOLE = 1 << 26  # bytes of a file from which on holes are at most 7/8 of it; file systems store zeros as holes
LINE = 1 << 20  # bytes of a line of a log; a row has a few thousand

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def kind(path: Path, follow: bool = False) -> str:
    """What is at the path, in words; "" where nothing is. follow: what a link leads to; else it is "a link"."""
    try:
        with _readable(path):
            return _KINDS.get(stat.S_IFMT(os.stat(path, follow_symlinks=follow).st_mode), "a device")
    except FileNotFoundError:
        return ""


def check_file(path: Path) -> None:
    """Raise an UnsafeFileError if something other than a file is at the path."""
    if (what := kind(path)) not in ("", "a file"):
        raise UnsafeFileError(
            f"{path} is {what}: a file of a workdir has to be a plain one, so that nothing outside is read or written; "
            "delete it, or name another workdir"
        )


def check_folder(path: Path) -> None:
    """Raise an UnsafeFileError if something other than a folder is at the path."""
    if (what := kind(path)) not in ("", "a folder"):
        raise UnsafeFileError(
            f"{path} is {what}: a folder inside a workdir has to be a plain one, so that nothing outside is read or "
            "written; delete it, or name another workdir"
        )


def make_folder(path: Path) -> None:
    """Make a folder inside a workdir, unless it is there."""
    check_folder(path)
    path.mkdir(exist_ok=True)


def names(folder: Path) -> list[str]:
    """The sorted names of what is in a folder inside a workdir; [] without the folder."""
    check_folder(folder)
    try:
        with _readable(folder):
            return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def open_file(path: Path, mode: str = "rb") -> IO[bytes]:
    """Open a plain file of a workdir. mode: rb, ab (which makes the file), or xb (which only makes it).

    To read, an UnsafeFileError for a file that is mostly a hole: a few bytes on the disk would fill the memory.
    """
    check_file(path)

    def opener(name, flags):
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)

    if mode != "rb":
        return open(path, mode, opener=opener)
    with _readable(path):
        file = open(path, mode, opener=opener)  # noqa: SIM115
        try:
            _check_opened(path, file.fileno())
        except BaseException:
            file.close()
            raise
        return file


def read(path: Path, most: int = MOST) -> bytes:
    """The bytes of a file; an UnsafeFileError if there are more than `most`, or as in `open_file`."""
    with open_file(path) as file, _readable(path):
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise UnsafeFileError(f"{path} has {size:,} bytes, more than any run has written: put back a copy")
        return file.read(size)


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends, one at a time; none without the file.

    An UnsafeFileError for a line that no run has written, as in a file with a hole.
    """
    try:
        file = open_file(path)
    except FileNotFoundError:
        return
    with file, _readable(path):
        while line := file.readline(LINE + 1):
            if len(line) > LINE:
                raise UnsafeFileError(f"{path} has a line of more than {LINE:,} bytes: put back a copy, or delete it")
            yield line


def append(path: Path, data: bytes) -> None:
    """Append bytes to a file, which is made if it is missing. A kill may leave only a part of the bytes.

    A file that has another name too is replaced by a copy first: the other may be outside the workdir, or in a backup
    of it by hard links.
    """
    with open_file(path, "ab") as file:
        shared = os.fstat(file.fileno()).st_nlink > 1
        if not shared:
            file.write(data)
    if shared:
        with open_file(path) as file:
            replace(path, itertools.chain(iter(lambda: file.read(LINE), b""), [data]))


def replace(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file atomically: after a kill at any moment it has its old content or the new. parts: of the content.

    A link at the path is replaced, and what it leads to is left as it is.
    """
    part = path.with_name(path.name + ".part")
    if kind(part) not in ("", "a folder"):
        part.unlink()  # of a run that was killed; or a link, which must not be followed
    with open_file(part, "xb") as file:
        file.writelines(parts)
    part.replace(path)


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with all that is in it; what links lead to stays.

    Errors inside a folder are ignored.
    """
    if kind(path) == "a folder":
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# --- inside -----------------------------------------------------------------------------------------------------------


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn an OSError of a read into an UnsafeFileError; a FileNotFoundError where nothing is at the path."""
    try:
        yield
    except FileNotFoundError:
        raise
    except NotADirectoryError as e:  # the path goes through a file
        raise FileNotFoundError(e.errno, e.strerror, str(path)) from e
    except OSError as e:
        raise UnsafeFileError(f"{path} cannot be read ({e.strerror}): mend that, or name another workdir") from e


def _check_opened(path: Path, descriptor: int) -> None:
    """Raise an UnsafeFileError if what was opened is mostly a hole, or no file: exchanged after `check_file`."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFileError(f"{path} is no plain file: delete it, or name another workdir")
    if found.st_size > HOLE and 8 * _held(descriptor, found.st_size) < found.st_size:
        raise UnsafeFileError(f"{path} has {found.st_size:,} bytes, most of them a hole: put back a copy")


def _held(descriptor: int, size: int) -> int:
    """The number of bytes outside of holes. Not st_blocks, which is small for compressed and for new files."""
    held, end = 0, 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # the rest is a hole
            break
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        held += end - begin
    os.lseek(descriptor, 0, os.SEEK_SET)
    return held
