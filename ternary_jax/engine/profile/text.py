"""A profile as tables of at most 80 columns."""

from collections.abc import Iterator, Sequence

from ternary_jax.engine import compiling
from ternary_jax.engine.profile.measure import Profile, Scope
from ternary_jax.engine.profile.rates import Rate
from ternary_jax.tables import WIDTH, columns, counted

LEAST = 1e-3  # least share of the time of a row of its own


def text(found: Profile) -> str:
    """All tables of a profile."""
    samples = 1e3 * found.runs * found.batch / found.step_ms
    head = [
        found.task[:WIDTH],
        f"{found.device}, {counted(found.runs, 'run')} of batch {found.batch:,}: "
        f"{found.step_ms:.4g} ms a step, {samples:,.0f} samples/s",
    ]
    notes = [
        f"A mean over {counted(found.steps, 'step')}, with the share of an evaluation every "
        f"{counted(found.evaluation_every, 'step')}.",
        *["Costly metrics, measured less often, are not in it."] * found.without_costly,
        "d loss/...: the backward pass. Operations that run at once each count in full.",
        "matmul, memory: share of the rates below; over 100 % of memory is the cache.",
    ]
    parts = ["\n".join(head), columns([*_scopes(found)]), "\n".join(notes), *_rates(found)]
    return "\n\n".join([*parts, columns([*_memory(found)]), columns([*_stages(found)])])


# --- inside -----------------------------------------------------------------------------------------------------------


def _scopes(found: Profile) -> Iterator[list[str]]:
    total = sum(one.ms for one in found.scopes)
    shown = [one for one in found.scopes if one.ms >= LEAST * total]
    few = [one for one in found.scopes if one.ms < LEAST * total]
    yield ["scope", "ms", "share", "calls", "MFLOP", "MB", "matmul", "memory"]
    for one in [*shown, *([_sum("others", few)] if few else []), _sum("all operations", found.scopes)]:
        yield [
            _short(one.name),
            f"{one.ms:.3f}",
            _percent(one.ms, total),
            f"{one.calls:.0f}" if one.calls >= 10 else f"{one.calls:.2g}",  # those of an evaluation may be below 1
            f"{one.flops / 1e6:.1f}",
            f"{one.bytes / 1e6:.2f}",
            _percent(1e3 * one.flops, one.ms * (found.matmul or 0)),
            _percent(1e3 * one.bytes, one.ms * found.bandwidth),
        ]


def _sum(name: str, scopes: Sequence[Scope]) -> Scope:
    return Scope(name, *(sum(values) for values in zip(*[one[1:] for one in scopes], strict=True)))


def _rates(found: Profile) -> Iterator[str]:
    """The table of the products, and the rate of the memory."""
    memory = ["memory, a + 1", "", f"{found.bandwidth / 1e9:.1f} GB/s", ""]
    if found.matmul is None:
        yield columns([["rate", "", "jax", ""], memory])
        return
    rows = [[_product(one), f"{one.share:.1%}", *_giga(one)] for one in found.rates]
    together = ["these products, the faster", "", f"{found.matmul / 1e9:.1f}", ""]
    yield columns([["rate: (m, k) @ (k, n)", "of FLOPs", "jax GFLOP/s", "numpy"], *rows, together, memory])


def _product(rate: Rate) -> str:
    batch, m, k, n, dtype = rate.product
    return f"{batch} x " * (batch > 1) + f"({m}, {k}) @ ({k}, {n}) {dtype}"


def _giga(rate: Rate) -> list[str]:
    return ["-" if value is None else f"{value / 1e9:.1f}" for value in (rate.jax, rate.numpy)]


def _memory(found: Profile) -> Iterator[list[str]]:
    program = found.program
    yield ["memory", "MB"]
    yield ["peak of the process", f"{found.host_peak / 1e6:,.1f}"]
    if found.device_peak is not None:
        yield ["peak of the device", f"{found.device_peak / 1e6:,.1f}"]
    if (most := compiling.peak(program)) is not None:
        yield ["the compiled chunk", f"{most / 1e6:,.1f}"]
        yield ["  its state, schedules and data", f"{program.memory['argument'] / 1e6:,.1f}"]
        yield ["  its temporary arrays", f"{program.memory['temp'] / 1e6:,.1f}"]


def _stages(found: Profile) -> Iterator[list[str]]:
    yield ["cold start", "s"]
    for name, seconds in found.stages.items():
        steps = f", {counted(found.steps, 'step')}" if name == "first chunk" else ""
        yield [name + steps, f"{seconds:.2f}"]
    yield ["one after the other", f"{sum(found.stages.values()):.2f}"]


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _short(name: str) -> str:
    """The name of a scope in 30 characters; its end tells it from its neighbours."""
    name = name.replace("gradient of ", "d ", 1) if name.startswith("gradient of ") else name
    return name if len(name) <= 30 else f"...{name[-27:]}"
