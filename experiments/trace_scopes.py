"""Which parts of a training take its time, by the named scopes of the program?

    python experiments/trace_scopes.py --config=energy_flow [--depth=2] [--trace=DIR]
    python experiments/trace_scopes.py --config=energy_flow --config.interaction.kind=pool

One chunk of the config is traced by jax.profiler, after another one that is not; the times of its operations are summed
by the scopes in the metadata of the compiled program. The backward pass of a scope is "gradient of" it, with what
train.remat computes again. A fusion of operations of several scopes counts for the last of them. Operations that run at
the same time each count in full. Nothing is written, unless DIR is to keep the trace. Tried on a CPU only.
"""

import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import lab

from ternary_jax import terminal
from ternary_jax.tables import columns

# Parts of the name of an operation that stand for control flow, and not for a scope.
CONTROL_FLOW = re.compile(r"while|body|cond|branch_\d+_fun|closed_call|checkpoint|rematted_computation")
CONTAINERS = ("while", "conditional", "call")  # operations whose time is that of the operations within them
INSTRUCTION = re.compile(r"\s+(?:ROOT )?%(\S+) = .*?([a-z][\w-]*)\(")
OUTSIDE = "outside of all scopes"


class Instruction(NamedTuple):
    """A line of the text of a compiled program.

    computation: the one that it stands in; operation: its name there, and in a trace; kind: such as "fusion"
    arguments: the operations whose results it reads; calls: the computation of a fusion, or ""
    name: jax's name of it, with the named scopes, or ""
    """

    computation: str
    operation: str
    kind: str
    arguments: Sequence[str]
    calls: str
    name: str


def main(argv: Sequence[str]) -> None:
    """Compile, trace and print the time of each scope."""
    parser = lab.parser(__doc__)
    parser.add_argument("--config", required=True, help="a config that trains")
    parser.add_argument("--depth", type=int, default=2, help="scopes within scopes that are told apart; default: 2")
    parser.add_argument("--trace", type=Path, metavar="DIR", help="keeps the trace; default: it is deleted")
    given, chunk = lab.made_of_config(parser, argv, lab.Chunk)
    terminal.say(f"compiling {given.config} ...")
    scopes = scopes_of(chunk.compile().as_text(), given.depth)
    with tempfile.TemporaryDirectory() as temporary:
        seconds = traced(chunk, given.trace or Path(temporary))
        times = by_scope(operation_times(given.trace or Path(temporary), "jit_train_chunk"), scopes)
    print(table(times, chunk.length, seconds))


def traced(chunk: lab.Chunk, folder: Path) -> float:
    """Trace the second chunk into a folder; -> its seconds. Without Python calls, which would be most of the trace."""
    state = jax.block_until_ready(chunk.step(chunk.init(chunk.hypers), 0))
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(str(folder), profiler_options=options):
        begun = time.perf_counter()
        jax.block_until_ready(chunk.step(state, 1))
        return time.perf_counter() - begun


def operation_times(folder: Path, module: str) -> dict[str, float]:
    """Milliseconds of each operation of a compiled module in the newest trace of a folder."""
    found: dict[str, float] = defaultdict(float)
    newest = max(folder.glob("plugins/profile/*/*.xplane.pb"), key=lambda file: file.stat().st_mtime)
    for plane in jax.profiler.ProfileData.from_file(str(newest)).planes:
        for line in plane.lines:
            for event in line.events:
                about = dict(event.stats)
                if about.get("hlo_module") == module and "hlo_op" in about:
                    found[str(about["hlo_op"])] += event.duration_ns / 1e6
    return found


def by_scope(times: Mapping[str, float], scopes: Mapping[str, str]) -> dict[str, float]:
    """The sums of the times of operations by scope, without those that only contain others."""
    found: dict[str, float] = defaultdict(float)
    for operation, ms in times.items():
        if operation in scopes:
            found[scopes[operation]] += ms
    return found


def scopes_of(program: str, depth: int) -> dict[str, str]:
    """{operation: its scope} of the text of a compiled program, without CONTAINERS.

    A fusion without a name has that of the last operation in the computation that it calls. XLA leaves products that it
    hands to a library without any name: they count for the innermost scope among those of the operations that read
    their results and of those that give their arguments, the former first.
    """
    instructions = [*_instructions(program)]
    last = {one.computation: one.name for one in instructions if one.name}
    named = {one.operation: name for one in instructions if (name := one.name or last.get(one.calls))}
    beside: dict[str, list[str]] = {one.operation: [] for one in instructions}
    for one in instructions:
        for argument in one.arguments:
            beside.get(argument, []).append(one.operation)

    def found(one):
        near = [one.operation] if one.operation in named else [*beside[one.operation], *one.arguments]
        scopes = [scope(named[operation], depth) for operation in near if operation in named]
        return max(scopes, key=lambda name: name.count("/") + (name != OUTSIDE), default=OUTSIDE)

    return {one.operation: found(one) for one in instructions if one.kind not in CONTAINERS}


def scope(name: str, depth: int) -> str:
    """The scope of an operation: jit(f)/vmap()/while/body/transpose(jvp(loss))/carrier/dot is gradient of loss/carrier.

    depth: the number of scopes that are kept
    """
    parts = [re.sub(r"^(\w+\()+|\)+$", "", part) for part in name.split("/")[:-1] if "jit(" not in part]
    parts = [part for part in parts if part and "<" not in part and not CONTROL_FLOW.fullmatch(part)]
    gradient = "gradient of " if "transpose(" in name else ""
    return gradient + "/".join(parts[:depth]) if parts else OUTSIDE


def table(times: Mapping[str, float], steps: int, seconds: float) -> str:
    """The times of a chunk of so many steps as text, the greatest first. seconds: of the chunk."""
    total = sum(times.values())
    rows = [(name, ms) for name, ms in sorted(times.items(), key=lambda item: -item[1]) if ms >= 1e-3 * total]
    lines = [[name, f"{ms:.1f}", f"{ms / total:.1%}"] for name, ms in rows]
    lines += [["all operations", f"{total:.1f}", ""], ["the clock", f"{1e3 * seconds:.1f}", ""]]
    return columns([["scope", f"ms in {steps} steps", "share"], *lines])


def _instructions(program: str) -> Iterator[Instruction]:
    computation = ""
    for line in program.splitlines():
        if found := INSTRUCTION.match(line):
            calls, name = re.search(r"calls=%([^\s,]+)", line), re.search(r'op_name="([^"]*)"', line)
            arguments = re.findall(r"%([^\s,)]+)", line[found.end() :].partition(")")[0])
            named = (calls[1] if calls else "", name[1] if name else "")
            yield Instruction(computation, found[1], found[2], arguments, *named)
        elif line.startswith(("%", "ENTRY")):
            computation = line.removeprefix("ENTRY ").split()[0].removeprefix("%")


if __name__ == "__main__":
    main(sys.argv[1:])
