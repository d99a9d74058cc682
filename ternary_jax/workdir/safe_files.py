"""Opening of everything in a workdir: the one place that allows for a workdir that a stranger has made.

A link in a workdir could lead a write or a deletion to a file outside it, and a FIFO or a device could block a read or
fill the memory. So all readers and writers of a workdir open its files and folders here. The folder that the user names
may be a link; nothing in it may be one.

Files are checked when they are opened. A process that exchanges them meanwhile is out of scope, as it could write the
same files itself. Opening relative to a descriptor of the folder, the usual guard, was rejected: Orbax takes paths.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ternary_jax.errors import UnsafeFileError

MOST = 1 << 25  # bytes of a JSON file; its values take up to 24 times as much memory
HOLE = 1 << 30  # bytes of a file from which on it may not consist of a hole; file systems store small zeros as holes
LINE = 1 << 20  # bytes of a line of a log; a row has a few thousand

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def kind(path: Path) -> str:
    """What is at the path, in words, without following a link; "" where nothing is."""
    try:
        return _KINDS.get(stat.S_IFMT(os.lstat(path).st_mode), "a device")
    except (FileNotFoundError, NotADirectoryError):
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


def open_file(path: Path, mode: str = "rb") -> IO[bytes]:
    """Open a plain file of a workdir. mode: rb, ab (which makes the file), or xb (which only makes it)."""
    check_file(path)

    def opener(name, flags):
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)

    return open(path, mode, opener=opener)


def read(path: Path, most: int = MOST) -> bytes:
    """The bytes of a file; an UnsafeFileError if there are more than `most`, or if they are hardly on the disk."""
    with open_file(path) as file:
        found = os.fstat(file.fileno())
        size, on_disk = found.st_size, 512 * found.st_blocks
        if size > most:
            raise UnsafeFileError(f"{path} has {size:,} bytes, more than any run has written: put back a copy")
        if size > HOLE and size > 100 * on_disk:
            raise UnsafeFileError(f"{path} has {size:,} bytes, most of them a hole: put back a copy")
        return file.read(size)


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends, one at a time; none without the file.

    An UnsafeFileError for a line that no run has written, as in a file with a hole, which may be of any size.
    """
    try:
        file = open_file(path)
    except FileNotFoundError:
        return
    with file:
        while line := file.readline(LINE + 1):
            if len(line) > LINE:
                raise UnsafeFileError(f"{path} has a line of more than {LINE:,} bytes: put back a copy, or delete it")
            yield line


def append(path: Path, data: bytes) -> None:
    """Append bytes to a file, which is made if it is missing. A kill may leave only a part of the bytes."""
    with open_file(path, "ab") as file:
        if os.fstat(file.fileno()).st_nlink > 1:
            raise UnsafeFileError(
                f"{path} is a hard link to a file that has another name too: to append would change both; copy it"
            )
        file.write(data)


def replace(path: Path, data: bytes) -> None:
    """Write a file atomically: after a kill at any moment it has its old content or the new.

    A link at the path is replaced, and what it leads to is left as it is.
    """
    part = path.with_name(path.name + ".part")
    if kind(part) not in ("", "a folder"):
        part.unlink()  # of a run that was killed; or a link, which must not be followed
    with open_file(part, "xb") as file:
        file.write(data)
    part.replace(path)


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with all that is in it; what links lead to stays. Errors are ignored."""
    if kind(path) == "a folder":
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
