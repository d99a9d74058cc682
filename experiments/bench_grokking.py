"""What do the grokking detector and homeostasis cost?

    python experiments/bench_grokking.py [--rounds=40]

Seconds of a chunk of configs/v5_12.py (three epochs and an evaluation), as the engine compiles it, with and without
them, in turns. The second chunk is timed, as the detector judges nothing in the first. The time of a chunk may vary by
more than the cost. So the bar is on the controllers alone: their chain is scanned over the steps of a chunk without a
model, and the time of the plain chain is subtracted. The best time counts. Needs an idle machine
for about five minutes. Writes results/bench_grokking.json.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.control.chain import Controls, Signals
from ternary_jax.tables import columns

EVERY = {"evaluate.cheap_every": 3}
DETECTOR = {"grokking.on": True}
HOMEOSTASIS = {"homeostasis.on": True}
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "detector": DETECTOR,
    "homeostasis": HOMEOSTASIS,
    "detector and homeostasis": DETECTOR | HOMEOSTASIS,
}
BAR = ("detector and homeostasis", 0.02)


def main() -> None:
    """Measure, print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="number of rounds; each measures every arm once")
    given = parser.parse_args()
    configs = {name: load_config(lab.CONFIGS / "v5_12.py", EVERY | changes) for name, changes in ARMS.items()}
    timed = {}
    for name, config in configs.items():
        terminal.say(f"compiling {name} ...")
        timed[name] = lab.Chunk(config).timed(1)
    seconds = lab.in_turns(timed, given.rounds)
    found = costs(seconds, {name: alone(name, config, given.rounds) for name, config in configs.items()})
    print(table(found))
    wanted = {"arm": BAR[0], "cost": BAR[1]}
    lab.write("bench_grokking", {"arms": found, "rounds": given.rounds, "wanted": wanted}, given)


def alone(name: str, config: Any, rounds: int) -> float:
    """Seconds of the chain of controllers alone over a chunk with two evaluations; nothing is trained."""
    terminal.say(f"the controllers of {name}, alone ...")
    task, static, hypers = lab.assemble(config)
    table, length, control = lab.schedule_rows(task, static), lab.plan(task, static).chunk, lab.whole_chain(task)
    hypers = jax.tree.map(lambda x: jnp.asarray(x[0]), hypers)
    rates = {group: jnp.float32(1) for group in jax.eval_shape(task.init, jax.random.key(0), hypers)}

    @jax.jit
    def scanned(state, first, seen, measured):
        def step(state, number):
            row = {name: jnp.asarray(rows, jnp.float32)[number] for name, rows in table.items()}
            last, figures = ({k: x + 1e-3 * number for k, x in values.items()} for values in (seen, measured))
            given = Controls(rates, None, task.knobs(hypers))
            state, *observed = control.update(state, Signals(number, row, last, figures), given)
            return state, observed

        return jax.lax.scan(step, state, first + jnp.arange(length, dtype=jnp.int32))

    metrics = [metric.name for metric in task.metrics]
    seen, measured = ({name: jnp.float32(0.5) for name in names} for names in (task.signals, metrics))
    state, best = control.init(hypers), float("inf")
    for _ in range(10 * rounds):
        begun = time.perf_counter()
        jax.block_until_ready(scanned(state, jnp.int32(length), seen, measured))
        best = min(best, time.perf_counter() - begun)
    return best


def costs(seconds: dict[str, np.ndarray], controllers: dict[str, float]) -> dict[str, dict[str, float]]:
    """For each arm: the best time, the quartiles of the ratio to the plain chunk, and the cost of its controllers."""
    plain, least = seconds["plain"], controllers["plain"]
    out = {}
    for name, x in seconds.items():
        low, middle, high = np.quantile(x / plain - 1, (0.25, 0.5, 0.75)).tolist()
        cost = (controllers[name] - least) / float(plain.min())
        out[name] = {"seconds": float(x.min()), "low": low, "middle": middle, "high": high}
        out[name] |= {"controllers_ms": 1e3 * controllers[name], "cost": cost}
    return out


def table(found: dict[str, dict[str, float]]) -> str:
    """The table: a line for each arm."""
    lines = [["a chunk of three epochs", "s", "beside plain, quartiles", "controllers alone, ms", "cost", "bar"]]
    for name, one in found.items():
        bar = f"{BAR[1]:.0%} {'met' if one['cost'] <= BAR[1] else 'MISSED'}" if name == BAR[0] else ""
        quartiles = ", ".join(f"{one[key]:+.1%}" for key in ("low", "middle", "high"))
        own = f"{one['seconds']:.3f}", quartiles, f"{one['controllers_ms']:.2f}", f"{one['cost']:.2%}"
        lines.append([name, *own, bar])
    return columns(lines)


if __name__ == "__main__":
    main()
