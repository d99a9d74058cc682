# %% [markdown]
# # Profiling with jax.profiler
#
# **Question.** Where does the time of a training step go, and how near is it to what this machine can do?
#
# A program that XLA has compiled has no clocks inside, and its events have names such as `fusion.12`. The profile of
# this package joins three sources: a trace by `jax.profiler`, the named scopes in the text of the compiled program, and
# its count of operations and bytes. The page on [performance](../docs/performance.md) explains each table and how to
# read shares on a machine that does other work.

# %%
import os
from pathlib import Path

import jax

from ternary_jax import load_config
from ternary_jax.engine import host
from ternary_jax.engine.profile import measure, text, trace
from ternary_jax.pictures import style

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # a tiny model, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "profiling")

# %% [markdown]
# ## The profile of a config
#
# It compiles a chunk of the config as a training does, calls it by the clock and in a trace, and trains nothing. Any
# config has a profile; `python -m ternary_jax.profile --config=NAME` prints the same.

# %%
TINY = {
    "data.n_digits": 2,
    "train.batch_size": 28,
    "train.steps": 200,
    "train.chunk": 20,
    "checkpoint.every": 200,
    "grokking.on": False,
    "emergence.weight_norm": False,
    "log.tensorboard": False,
    "report.on": "never",
}
config = load_config("grok_addition", TINY) if SMALL else load_config("v5_12")
profile = measure.measure(config, FOLDER / "trace_of_the_profile")
print(text.text(profile))

# %% [markdown]
# The scopes that take the most time, and what share of the machine's rate of matrix products each of them reaches.
# "gradient of" is the backward pass.

# %%
largest = profile.scopes[:12][::-1]
with style.applied():
    made = style.figure(9, 0.6 + 0.28 * len(largest))
    left, right = made.subplots(1, 2, sharey=True)
    names = [scope.name for scope in largest]
    left.barh(names, [scope.ms for scope in largest], color=style.FOUND)
    left.set_xlabel("ms in a step")
    reached = [1e3 * scope.flops / scope.ms / profile.matmul if profile.matmul and scope.ms else 0 for scope in largest]
    right.barh(names, reached, color=style.SERIES[2][0])
    right.set_xlabel("share of the measured rate of products")
    right.axvline(1, **style.LINE)
made

# %%
together = sum(scope.ms for scope in profile.scopes)
backward = sum(scope.ms for scope in profile.scopes if scope.name.startswith("gradient of"))
print(f"a step takes {profile.step_ms:.3f} ms by the clock; its operations {together:.3f} ms together")
print(f"the backward pass has {backward / together:.0%} of that")

# %% [markdown]
# Operations that run at once count in full, so their sum may exceed the clock. If it is far below, the rest is waiting:
# for the launch of operations, or for other work on the machine.
#
# ## A trace of a training
#
# The profile is of one chunk. To see a real training, `profile.steps` traces some of its steps into the workdir; the
# program is the same with and without it.

# %%
changes = {**TINY, "profile.steps": "20:40"} if SMALL else {"profile.steps": "468:585"}
traced = load_config("grok_addition" if SMALL else "v5_12", changes)
summary = host.run(traced, FOLDER / "run")
size = sum(file.stat().st_size for file in (FOLDER / "run" / "trace").rglob("*") if file.is_file())
print(f"steps {traced.profile.steps} of {summary['steps']:,} are traced: {size / 1e6:.1f} MB")

# %% [markdown]
# `jax.profiler.ProfileData` reads such a trace without any other tool, and `trace.operation_times` sums its events. The
# names are those of compiled operations, which the profile above has looked up in the program.

# %%
times = trace.operation_times(FOLDER / "run" / "trace")
for name, one in sorted(times.items(), key=lambda item: -item[1].ms)[:8]:
    print(f"{one.ms:9.3f} ms in {one.events:5} events  {name}")

# %% [markdown]
# To look at it on a time line: `pip install xprof`, then `xprof --logdir=DIR` with the folder that is printed here; or
# open its `trace.json.gz` in Perfetto. Steps have the annotation `chunk`.

# %%
print((FOLDER / "run" / "trace").resolve())

# %% [markdown]
# ## A trace of your own code
#
# `jax.profiler.trace` is a context around anything. Results arrive later than calls return, so wait for them inside.

# %%
matrix = jax.numpy.ones((256, 256))
product = jax.jit(lambda x: x @ x)
product(matrix).block_until_ready()  # compile before
with jax.profiler.trace(str(FOLDER / "own")):
    for _ in range(20):
        matrix = product(matrix / 256).block_until_ready()
found = trace.operation_times(FOLDER / "own", "jit__lambda")
print({name: f"{one.events} events, {one.ms:.2f} ms" for name, one in found.items()})

# %% [markdown]
# ## What to try next
#
# - Deeper scopes: `measure.measure(config, FOLDER, depth=3)` tells the layers apart.
# - What do more runs cost? Profile with `{"runs": 8}`, and compare `profile.step_ms` for each run.
# - On a GPU the rows of a training have its load and its memory: `{"log.level": "performance"}`.
# - The [parts of the engine](../docs/engine.md#speed) that a trace shows.
