"""Measure which share of one-line mutations the tests catch.

    python tests/mutations.py [--only=REGEX] [--fast] [--jobs=1] [--out=FILE]

A mutation replaces one fragment of one file, as `mutations_table.MUTATIONS` lists them, in a temporary copy of the
checkout, and runs the tests that are expected to fail there. The checkout itself is never changed. Mutations of the
same tests share a copy, in which these tests first have to pass unmutated. A mutation is caught if a test fails, or if
the tests run out of time; it survives if they pass. Exit status: 0, also where mutations survive; 2 with a sentence
where nothing can be measured, as where a fragment is not found exactly once in its file.

--only: the mutations in whose name this regular expression is found; --jobs: test sets that run at once
--fast: only tests of the fast tier, which `pytest` runs; a mutation whose tests are all slow survives
--out: a JSON file with the result of every mutation, written anew after each
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import mutations_table
from mutations_table import Mutation

ROOT = Path(__file__).parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
# A mutated run may compile more than the unmutated one, so the limit is generous; it ends a run that never returns.
SLACK, FACTOR = 60.0, 4.0
PASSED, FAILED, COLLECTION_FAILED, NONE_SELECTED = 0, 1, 2, 5  # exit statuses of pytest


class MutationError(Exception):
    """The error of a run that can measure nothing. Its one sentence says why, and what to do."""


class Outcome(NamedTuple):
    """The outcome of a mutation. by: the first test that failed; "" for a survivor and after a time-out."""

    name: str
    file: str
    tests: str
    caught: bool
    by: str
    timed_out: bool
    seconds: float


def main(argv: Sequence[str], table: Sequence[Mutation] = mutations_table.MUTATIONS, root: Path = ROOT) -> None:
    """Check the list, run it, print a line for each mutation, and the share that was caught."""
    parser = argparse.ArgumentParser("tests/mutations.py", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--jobs", default=1, type=int)
    parser.add_argument("--out", type=Path, metavar="FILE")
    given = parser.parse_args(argv)
    check(table, root)
    chosen = [one for one in table if re.search(given.only, one.name)]
    if not chosen:
        raise MutationError(f"--only={given.only} is found in no name of a mutation: give another expression")
    sets: dict[str, list[Mutation]] = {}
    for one in chosen:
        sets.setdefault(one.tests, []).append(one)
    outcomes, lock = [], threading.Lock()

    def tell(outcome: Outcome) -> None:
        with lock:
            outcomes.append(outcome)
            what = "time-out" if outcome.timed_out else "caught" if outcome.caught else "SURVIVED"
            print(f"{outcome.name:38} {what:8} {outcome.seconds:6.1f} s  {outcome.by or outcome.tests}", flush=True)
            if given.out:
                given.out.write_text(json.dumps(_as_json(outcomes), indent=1) + "\n")

    with ThreadPoolExecutor(given.jobs) as pool:
        try:
            for done in [pool.submit(run_set, mutations, root, tell, given.fast) for mutations in sets.values()]:
                done.result()
        except MutationError:
            pool.shutdown(cancel_futures=True)  # test sets that run end; those that have not begun are cancelled
            raise
    print(summary(outcomes))


def check(table: Sequence[Mutation], root: Path) -> None:
    """Raise a MutationError unless names are unique and each fragment stands exactly once in its file."""
    names = [one.name for one in table]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MutationError(f"the name {twice[0]} stands for several mutations: give each its own")
    for one in table:
        file = root / one.file
        count = file.read_text().count(one.old) if file.is_file() else 0
        if count != 1 or one.old == one.new:
            raise MutationError(
                f"mutation {one.name}: {one.old!r} is found {count} times in {one.file}, not once, or replaced by "
                "itself: adapt its entry in tests/mutations_engine.py or tests/mutations_families.py"
            )


def run_set(mutations: Sequence[Mutation], root: Path, tell: Callable[[Outcome], None], fast: bool) -> None:
    """Run mutations of one set of tests, one after the other, in one copy; tell: called with each Outcome."""
    tests = mutations[0].tests
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = copied(root, Path(folder) / "checkout")
        status, said, seconds = run_tests(copy, tests, 1800, fast)
        if fast and status == NONE_SELECTED:
            for one in mutations:
                tell(Outcome(one.name, one.file, tests, False, "", False, 0.0))
            return
        if status != PASSED:
            raise MutationError(
                f"pytest {tests} does not pass unmutated ({_failed(said) or f'exit status {status}'}): mend the tests "
                f"or name others for {', '.join(one.name for one in mutations)}\n{said[-2000:]}"
            )
        print(f"{len(mutations)} mutations of {tests}: {seconds:.1f} s unmutated", flush=True)
        for one in mutations:
            file = copy / one.file
            before = file.read_text()
            file.write_text(before.replace(one.old, one.new))
            status, said, took = run_tests(copy, tests, SLACK + FACTOR * seconds, fast)
            file.write_text(before)
            if status not in (None, PASSED, FAILED, COLLECTION_FAILED) and status > 0:
                raise MutationError(f"mutation {one.name}: pytest {tests} ended with status {status}\n{said[-2000:]}")
            caught = status != PASSED
            by = _failed(said) or f"exit status {status}" if caught and status is not None else ""
            tell(Outcome(one.name, one.file, tests, caught, by, status is None, round(took, 1)))


def copied(root: Path, copy: Path) -> Path:
    """A copy of all files that git tracks or would track, as they are now."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in names:
        if name and (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, copy / name)
    return copy


def run_tests(copy: Path, tests: str, limit: float, fast: bool) -> tuple[int | None, str, float]:
    """(exit status of pytest, None after a time-out; what it printed; seconds)."""
    # No bytecode is written: Python checks it by size and second of change, so that of a mutation might be reused.
    own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy), "MPLBACKEND": "Agg"}
    # Most of a test is compiling. The cache has the programs of the unmutated run, so only changed ones are compiled.
    own |= {"JAX_COMPILATION_CACHE_DIR": str(copy.parent / "compiled")}
    own |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    # XLA warns of every program that it takes from that cache, and tests compare what is printed.
    own |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [*PYTEST, f"--basetemp={copy.parent / 'pytest'}", *shlex.split(tests)]
    command += ["-m", "not slow" if fast else "slow or not slow"]
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the processes that tests have started
        said, _ = process.communicate()
        return None, said, time.monotonic() - begun
    return process.returncode, said, time.monotonic() - begun


def summary(outcomes: Sequence[Outcome]) -> str:
    """The share caught, and the names of the survivors."""
    caught, late = [one for one in outcomes if one.caught], sum(one.timed_out for one in outcomes)
    lines = [f"caught {len(caught)} of {len(outcomes)} mutations, {len(caught) / len(outcomes):.1%}"]
    lines[0] += f", {late} of them by a time-out" if late else ""
    survivors = [one.name for one in outcomes if not one.caught]
    return "\n".join(lines + ([f"survived: {', '.join(survivors)}"] if survivors else []))


def _as_json(outcomes: Sequence[Outcome]) -> dict:
    caught = sum(one.caught for one in outcomes)
    share = {"mutations": len(outcomes), "caught": caught, "share": round(caught / len(outcomes), 4)}
    return share | {"outcomes": [one._asdict() for one in outcomes]}


def _failed(said: str) -> str:
    """The test that pytest's summary names as failed, or the file that could not be collected."""
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
    return found[1] if found else ""


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MutationError as e:
        print(f"mutations: {e}", file=sys.stderr)
        sys.exit(2)
