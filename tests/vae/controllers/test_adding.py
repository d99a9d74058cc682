"""A controller is added in a copy of the repository: it takes two files, and the engine runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("ternary_jax", "configs")

# The first of the two files: the controller.
CONTROLLER = '''"""A pulse: the reconstruction of branch A weighs more in every second step."""

import jax.numpy as jnp

from ternary_jax.config.keys import flag, real
from ternary_jax.control.chain import Control
from ternary_jax.errors import ConfigError
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts
from ternary_jax.vae.loss_factors import Factor


def _make(static, scope):
    def update(beats, signals, controls):
        strong = signals.step % 2 == 0
        knobs = controls.knobs | {"pulse": jnp.where(strong, static.pulse.strength, 1.0)}
        return beats + strong, controls._replace(knobs=knobs), {"beats": beats}

    return ControllerParts(Control(lambda hypers: jnp.int32(0), update))


def check(config, losses):
    """It has something to turn."""
    if config.pulse.on and "A" not in losses.get("reconstruction", ""):
        raise ConfigError("config.pulse.on=True turns a loss that is off: set config.losses.reconstruction.on=AB")


CONTROLLER = Controller(
    name="pulse",
    keys={"pulse.on": flag(), "pulse.strength": real(0, 100)},
    on=lambda static: static.pulse.on,
    make=_make,
    check=check,
    factors=(Factor("pulse", ("reconstruction",), "A"),),
)
'''

# The lines that the second file gets.
ENTRY = """
    config.pulse = ConfigDict()
    config.pulse.on = False
    config.pulse.strength = 3.0
"""

SCRIPT = """
import numpy as np
import small
from ternary_jax.engine.columns import columns
from ternary_jax.errors import ConfigError
from ternary_jax.vae.controllers import CONTROLLERS

assert [one.name for one in CONTROLLERS][-2:] == ["pulse", "statenet"]
ends = {}
for on in (False, True):
    steps, seen = small.steps(pulse__on=on, train__clip_norm=0.0), []
    state = steps.state
    for number in range(3):
        state, info = steps.step(state, number)
        seen.append(columns(info))
    ends[on] = {group: small.flat(tree) for group, tree in state.params.items()}
    if on:
        assert [float(row["control/pulse"]) for row in seen] == [3.0, 1.0, 3.0]
        assert [int(row["control/pulse/beats"]) for row in seen] == [0, 1, 1]
        assert int(state.control["pulse"]) == 2
    else:
        assert not any("pulse" in name for row in seen for name in row)
moved = {group for group in ends[True] if np.abs(ends[True][group] - ends[False][group]).max() > 1e-6}
assert moved == {"encoder_A", "projection_A", "decoder_A"}, moved
try:
    small.config(pulse__on=True, losses__reconstruction__on="B")
except ConfigError as e:
    assert "config.pulse.on=True" in str(e)
else:
    raise AssertionError("its check was not called")
"""


@pytest.fixture
def copy(tmp_path):
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "small.py", tmp_path / "tests")
    return tmp_path


@pytest.mark.slow
def test_a_controller_is_a_file_and_an_entry_in_the_config(copy):
    (copy / "ternary_jax" / "vae" / "controllers" / "pulse.py").write_text(CONTROLLER)
    config = copy / "configs" / "vae.py"
    before, end, after = config.read_text().rpartition("    return config")
    config.write_text(before + ENTRY + end + after)
    assert touched(copy) == {"configs/vae.py", "ternary_jax/vae/controllers/pulse.py"}
    assert in_the_copy(copy, SCRIPT) == ""


def test_two_controllers_of_one_name_are_refused(copy):
    folder = copy / "ternary_jax" / "vae" / "controllers"
    shutil.copy(folder / "frozen.py", folder / "thawed.py")
    said = in_the_copy(copy, "import ternary_jax.vae.controllers")
    assert "two controllers declare the name frozen: rename it in one of them" in said


def touched(copy):
    """The files of the copy that are new or changed."""
    files = [path for folder in FOLDERS for path in (copy / folder).rglob("*") if path.is_file()]
    names = [str(path.relative_to(copy)) for path in files]
    return {
        name
        for name in names
        if not (ROOT / name).is_file() or (ROOT / name).read_bytes() != (copy / name).read_bytes()
    }


def in_the_copy(copy, script):
    """Run a script that imports the package of the copy; returns its stderr."""
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": f"{copy}:{copy / 'tests'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run([sys.executable, "-c", script], cwd=copy, env=env, capture_output=True, text=True).stderr
