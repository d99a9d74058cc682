"""Which message does a run print when it meets a fault, and can its workdir be resumed afterwards?

Each fault is caused for real, in a separate process of a second or two: signals, NaNs, damaged files, full disks,
folders that cannot be written. The script checks three things. The exit status is the expected one. The last line of
stderr is one sentence that says what to do, without a traceback, after only the usual messages of a run. Once the cause
is gone, the same command ends with status 0, and its results are bit-identical to those of an undisturbed run.
Small file systems and devices need root to make; without it their faults are skipped and the reason is printed.

Attacks are faults too: workdirs as a stranger may leave them. Of these, the script also checks that the folder beside
the workdir stays as it was, that no escape sequence is printed, and that the process takes less than 1 GiB of memory
more than an undisturbed run.

    python experiments/faults.py            writes results/faults.json; status 1 and a list of all deviations
"""

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import lab
import lab_attacks as attacks
from lab_process import SMALL, differing, ended, environment, left_behind, start, unfinished

LINE = ("train.epochs=1000", "checkpoint.every=20")  # of tests/toy.py: 4,000 steps, 500 evaluations, 50 checkpoints
POISON = (*LINE, "toy.poison_step=1237", "toy.poison_above=0.5")
ROLLBACK = (*POISON, "train.on_nan=rollback")
THREE = (*LINE, "runs=3")
# Four chunks an evaluation, so that most interruptions are between two evaluations.
SIXTEEN = (*LINE, "runs=16", "evaluate.cheap_every=20", "evaluate.costly_every=0", "train.chunk=5")
SAVES = ("train.epochs=1000", "checkpoint.every=2")
BOARD = (*LINE, "log.tensorboard=true")
EXPORT = (*SMALL, "data.n_digits=8", "model.dim=4", "train.epochs=2", "train.batch_size=728")
UNDISTURBED = {"line": LINE, "rollback": ROLLBACK, "three": THREE, "sixteen": SIXTEEN, "export": EXPORT}
# Undisturbed run -> numbers of the runs that are compared with it; default: run 0.
RUNS = {"three": (0, 2), "sixteen": tuple(range(16))}
USUAL = re.compile(
    r"[^:]*: (compiling|going on from step [\d,]+ of [\d,]+) \.\.\.|(epoch|step) .*|\d of \d runs, (epoch|step) .*|"
    r"run \d \(seed \d\): .*|checkpoint \d+ is damaged .*|interrupted: .*|\d+ of \d+ runs, .*|"
    r"\d+ runs, one per value of .*|"
    r".*metrics.jsonl has (a line|no rows of step) .*"
)

# Parts of messages about full disks; at least one fault has to show each of them.
MET = ("config.json cannot", "metrics.jsonl cannot", "there is none before", "the last good one", "run_000.npz cannot")
READS = 108  # characters of a line that the results keep
FOLDER = tempfile.TemporaryDirectory()
PLACE = Path(FOLDER.name)


class Fault(NamedTuple):
    """A row of the table.

    hurt: causes the fault in a workdir; returns exit status and stderr of the run that meets it
    status: the expected exit status
    says: text that the last line of stderr contains; any line if the status is 0
    overrides: config overrides of the run that is started afterwards
    like: name of the undisturbed run whose results that run must have
    mend: removes the cause
    size: size of the file system that is mounted at the workdir; "": none
    lost: number of rows of metrics.jsonl that cannot be recovered
    """

    name: str
    hurt: Callable[[Path], tuple[int, str]]
    status: int
    says: str
    overrides: tuple[str, ...] = LINE
    like: str = "line"
    mend: Callable[[Path], Any] = bool
    size: str = ""
    lost: int = 0


# --- ways to hurt a run: each is a function of the workdir, or makes one ----------------------------------------------


def begin(workdir, overrides=LINE, **how) -> subprocess.Popen:
    config = "configs/smoke.py" if EXPORT[-1] in overrides else "tests/toy_config.py"
    return start(workdir, overrides, PLACE / "cache", config, **how)


def run(overrides=LINE, before=(), times=1):
    return lambda workdir: [ended(begin(workdir, overrides, before=before)) for _ in range(times)][-1]


def limited(blocks, overrides=LINE):
    """The command with a limit on the size of files."""
    return run(overrides, ("bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash"))


def signals(*given, overrides=LINE):
    """A run that gets these signals in this order. given: pairs (number, condition(workdir, stderr) for sending it)."""

    def hurt(workdir):
        file = workdir.with_suffix(".err")
        with file.open("w") as err:
            process = begin(workdir, overrides, stderr=err)
            for number, condition in given:
                until(lambda condition=condition: condition(workdir, file.read_text()), process)
                process.send_signal(number)
            process.wait()
        return process.returncode, file.read_text()

    return hurt


def until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, "the run ended before the fault could be caused"


def under_way(workdir, err=""):
    file = workdir / "metrics.jsonl"
    return file.exists() and file.stat().st_size > 40_000


def compiling(workdir, err):
    return "compiling ..." in err


def in_a_save(workdir, err):
    return under_way(workdir) and unfinished(workdir)


def asked(workdir, err):
    return "interrupted: " in err


def asked_in_a_save(workdir, err):
    return asked(workdir, err) and unfinished(workdir)


def damaged(change: Callable[[bytes], bytes], *names, newest=1, overrides=LINE):
    """Resume a half-finished run after `change` of files. names: with a dot in the workdir, others in checkpoints."""

    def hurt(workdir):
        shutil.copytree(PLACE / "half", workdir, dirs_exist_ok=True)
        steps = sorted((workdir / "checkpoints").iterdir(), key=lambda step: int(step.name))[-newest:]
        for file in [f for name in names for f in ([workdir / name] if "." in name else [s / name for s in steps])]:
            file.write_bytes(change(file.read_bytes()))
        return run(overrides)(workdir)

    return hurt


def cut(data):
    return data[: len(data) // 2]


def cut_end(data):
    return data[:-40]


def cut_more(data):
    """metrics.jsonl as a kill leaves it: with one row after the checkpoint, and the beginning of another."""
    return data + data.splitlines(keepends=True)[-1].replace(b'"step": ', b'"step": 9') + b'{"run": 0, "se'


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 16]) + data[middle + 1 :]


def unchanged(prepare, overrides=LINE):
    """A run that must not change any file that `prepare` made."""

    def hurt(workdir):
        prepare(workdir)
        before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
        out = run(overrides)(workdir)
        assert before == {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}, "files changed"
        return out

    return hurt


def half(workdir):
    shutil.copytree(PLACE / "half", workdir, dirs_exist_ok=True)


def read_only(workdir):
    half(workdir)
    remount(workdir, "ro")


def remount(workdir, how="rw,size=64m,nr_inodes=9999"):
    subprocess.run(["mount", "-o", f"remount,{how}", workdir], check=True)


def stranger(workdir):
    (workdir / "thesis.tex").write_text("years of work")


def below_a_file(workdir):
    workdir.rmdir()
    workdir.write_text("")
    return run()(workdir / "run")


def taken(workdir):
    """A run in a workdir where another process trains; that process is suspended meanwhile, so it cannot end first."""
    first = begin(workdir)
    until(lambda: under_way(workdir), first)
    first.send_signal(signal.SIGSTOP)
    out = run()(workdir)
    first.send_signal(signal.SIGCONT)
    assert ended(first)[0] == 0, "the first process was disturbed"
    return out


def attacked(attack: attacks.Attack, command=begin):
    """Interrupt a run half way, let a stranger have its workdir, and read it by this command."""

    def hurt(workdir):
        outside = attacks.beside(workdir)
        before = attacks.snapshot(outside)
        half(workdir)
        attack(workdir, outside)
        status, err, peak = measured(workdir, command)
        changed = differing(before, attacks.snapshot(outside))
        assert not changed, f"outside of the workdir: {changed}"
        assert "\x1b" not in err, "an escape sequence is printed"
        assert peak < baseline() + 2**30, f"it took {peak / 2**30:.1f} GiB"
        return status, err

    return hurt


def measured(workdir: Path, command=begin) -> tuple[int, str, int]:
    """(exit status, stderr, peak bytes of memory) of a process."""
    file = workdir.with_suffix(".err")
    with file.open("w") as err:
        process = command(workdir, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, file.read_text(), 1024 * usage.ru_maxrss


@functools.cache
def baseline() -> int:
    """The peak bytes of memory of an undisturbed run."""
    return measured(PLACE / "baseline")[2]


def reading(*args):
    """A reader of a workdir as a process, in the folder beside it. args: of Python, before the workdir."""

    def begun(workdir, **how) -> subprocess.Popen:
        line, place = [sys.executable, *args, str(workdir)], workdir.with_suffix(".outside")
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, cwd=place, env=environment(PLACE / "cache"), **how)

    return begun


def anew(workdir):
    shutil.rmtree(workdir)
    half(workdir)


INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
NAN, FULL, ARRAYS, HEADER = "not finite at step 1,237", "free some space", "state/bytes/c/0", "_CHECKPOINT_METADATA"
FAULTS = [
    Fault("SIGINT", signals((INT, under_way)), 0, "to go on: python -m"),
    Fault("SIGTERM", signals((TERM, under_way)), 0, "to go on: python -m"),
    Fault(
        "SIGINT to 16 runs", signals((INT, under_way), overrides=SIXTEEN), 0, "to go on: python -m", SIXTEEN, "sixteen"
    ),
    Fault("SIGINT while XLA compiles", signals((INT, compiling)), 130, "nothing new to save; to go on: python -m"),
    Fault("SIGINT twice", signals((INT, under_way), (INT, asked)), -INT, "interrupted: "),
    Fault("SIGINT, another in the save", signals((INT, under_way), (INT, asked_in_a_save)), -INT, "interrupted: "),
    Fault("SIGKILL", signals((KILL, under_way)), -KILL, ""),
    Fault("SIGKILL in a save", signals((KILL, in_a_save)), -KILL, ""),
    Fault("NaN, on_nan=stop; then rollback", run(POISON), 1, NAN, ROLLBACK, "rollback"),
    Fault("the same, first with stop again", run(POISON, times=2), 1, NAN, ROLLBACK, "rollback"),
    Fault("NaN, on_nan=rollback", run(ROLLBACK), 0, NAN, ROLLBACK, "rollback"),
    Fault(
        "NaN in run 1 of 3 (runs 0 and 2 compared)",
        run((*THREE, "toy.poison_step=(-1.0,1237.0,-1.0)")),
        0,
        NAN,
        (*THREE, "toy.poison_step=(-1.0,1237.0,-1.0)"),
        "three",
    ),
    Fault("newest checkpoint cut", damaged(cut, ARRAYS), 0, "is damaged"),
    Fault("its header cut", damaged(cut, HEADER), 0, "is damaged"),
    Fault("a bit of it flipped", damaged(flip, ARRAYS), 0, "is damaged"),
    Fault("a bit of its header flipped", damaged(flip, HEADER), 0, "is damaged"),
    Fault("all checkpoints cut", damaged(cut, ARRAYS, newest=99), 1, "is damaged", mend=half),
    Fault("config.json cut", damaged(cut, "config.json"), 1, "config.json is damaged", mend=half),
    Fault("metrics.jsonl ends in half a line", damaged(cut_more, "metrics.jsonl"), 0, "has a line that is cut short"),
    Fault(
        "metrics.jsonl lost half a row", damaged(cut_end, "metrics.jsonl"), 0, "has a line that is cut short", lost=1
    ),
    *(Fault(f"files of {n} KiB at most", limited(n), 1, FULL) for n in (0, 1, 2, 60)),
    Fault("files of 4 KiB, a save for each row", limited(4, SAVES), 1, FULL, SAVES),
    Fault("files of 2 KiB, TensorBoard", limited(2, BOARD), 1, FULL, BOARD),
    Fault("files of 350 KiB, a large export", limited(350, EXPORT), 1, FULL, EXPORT, "export"),
    *(
        Fault(f"disk of {size} KiB", run(), 1, FULL, size=f"{size}k", mend=remount)
        for size in (4, 8, 16, 32, 64, 128, 192, 256)
    ),
    Fault("disk of 64 KiB, TensorBoard", run(BOARD), 1, FULL, BOARD, size="64k", mend=remount),
    Fault("disk of 1,000 KiB, a large export", run(EXPORT), 1, FULL, EXPORT, "export", remount, "1000k"),
    Fault("disk of 30 files", run(), 1, FULL, size="9m,nr_inodes=30", mend=remount),
    Fault("read-only disk, half done", unchanged(read_only), 1, "Read-only", size="9m", mend=remount),
    Fault("workdir below a file", below_a_file, 1, "is a file, so --workdir=", mend=Path.unlink),
    Fault("another process in it", taken, 1, "another process"),
    Fault("another config", unchanged(half, (*LINE, "train.batch_size=17")), 2, "train.batch_size is 16 there and 17"),
    Fault("finished already", unchanged(run()), 0, "nothing was changed"),
    Fault("no workdir", unchanged(stranger), 2, "thesis.tex", mend=lambda w: (w / "thesis.tex").unlink()),
    *(
        Fault(
            a.name,
            attacked(a.attack, reading(*a.reader) if a.reader else begin),
            a.status,
            a.says,
            mend=anew if a.status else bool,
        )
        for a in attacks.ATTACKS
    ),
]


# --- the experiment ---------------------------------------------------------------------------------------------------


def judge(fault: Fault, workdir: Path, left: dict[str, dict[str, bytes]]) -> dict[str, Any]:
    """Cause the fault and start again; returns its row of the table, with every deviation listed in "wrong"."""
    wrong, line, status, outcome = [], "", None, "not started again"
    workdir.mkdir()
    with contextlib.ExitStack() as after:
        try:
            if fault.size:
                size = ["mount", "-t", "tmpfs", "-o", f"size={fault.size}", "tmpfs", str(workdir)]
                subprocess.run(size, check=True, capture_output=True, text=True)
                after.callback(subprocess.run, ["umount", "-l", str(workdir)], check=True)
            status, err = fault.hurt(workdir)
            line, wrong = message(fault, status, err)
            fault.mend(workdir)
            outcome, more = started_again(fault, workdir, left)
            wrong += more
        except subprocess.CalledProcessError as e:
            outcome = f"left out: {e.stderr or e}".strip()
            wrong += [] if {"mount", "mknod"} & {*e.cmd} else [outcome]
        except Exception as e:
            wrong += [f"{type(e).__name__}: {e}"]
    line = line.replace(str(workdir), "WORKDIR").replace(f"{lab.ROOT}/", "")
    line = line if len(line) <= READS else line[: READS - 4] + " ..."
    return {"fault": fault.name, "reads": line, "status": status, "outcome": outcome, "wrong": wrong}


def message(fault: Fault, status: int, err: str) -> tuple[str, list[str]]:
    """(the line that the user reads, deviations of this line, of the status and of the lines above it)"""
    lines = err.splitlines() or [""]
    line = lines[-1] if status else next((x for x in lines if fault.says in x), "")
    line = line if fault.says else "nothing"
    wrong = [f"status {status}"] * (status != fault.status)
    wrong += [f"it reads {line!r}"] * (fault.says not in line)
    above = [x for x in lines if x != line and (status or x != lines[-1]) and not USUAL.fullmatch(x)]
    return line, wrong + [f"beside it: {x!r}" for x in above]


def started_again(fault: Fault, workdir: Path, left: dict[str, dict[str, bytes]]) -> tuple[str, list[str]]:
    """(how the same command ends once the cause is gone, deviations of that)"""
    home = workdir / "run" if fault.hurt is below_a_file else workdir
    status, err = run(fault.overrides)(home)
    if status:
        return f"status {status}: {err}", [f"started again: status {status}: {err}"]
    others = differing(left_behind(home, RUNS.get(fault.like, (0,))), left[fault.like])
    outcome = "identical" + f" but for {', '.join(others)}" * bool(others)
    rows = [name for name in others if ", row of step" in name]
    return outcome, [f"started again: {outcome}"] * (len(others) != fault.lost or rows != others)


def main() -> None:
    """Train the undisturbed runs, then cause the faults, two at a time; print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--only", default="", help="faults whose names match this regular expression")
    given = parser.parse_args()
    left, rows = {}, []
    with ThreadPoolExecutor(2) as two, FOLDER:
        ends = two.map(lambda item: run(item[1])(PLACE / item[0]), UNDISTURBED.items())
        for name, (status, err) in zip(UNDISTURBED, ends, strict=True):
            assert status == 0, err
            left[name] = left_behind(PLACE / name, RUNS.get(name, (0,)))
        assert signals((TERM, under_way))(PLACE / "half")[0] == 0
        print("| fault | the last line that the user reads | status | started again |\n|---|---|---|---|", flush=True)
        chosen = [fault for fault in FAULTS if re.search(given.only, fault.name)]
        for row in two.map(lambda n: judge(chosen[n], PLACE / f"fault{n}", left), range(len(chosen))):
            rows.append(row)
            print("| {fault} | {reads} | {status} | {outcome} |".format(**row), flush=True)
    print(f"{sum(not row['wrong'] for row in rows)} of {len(rows)} as they should be")
    print("".join(f"{row['fault']}: {wrong}\n" for row in rows for wrong in row["wrong"]), end="")
    missed = [] if given.only else [what for what in MET if not any(what in row["reads"] for row in rows)]
    print("".join(f"no fault showed the message: {what}\n" for what in missed), end="")
    lab.write("faults", {"rows": rows}, given)
    sys.exit(bool(missed) or any(row["wrong"] for row in rows))


if __name__ == "__main__":
    main()
