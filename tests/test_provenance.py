"""The provenance of a result: commit and versions of this checkout, start of this process."""

import shlex
import subprocess
import sys
import time
from pathlib import Path

from ternary_jax.provenance import provenance

ROOT = Path(__file__).parents[1]


def test_the_interpreter_began_before_what_it_computed_before_the_import():
    code = (
        "import time\n"
        "while time.process_time() < 0.4: pass\n"
        "t = time.time()\n"
        "from ternary_jax.provenance import process_start; print(t, process_start())"
    )
    start = time.time()
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    imported, began = map(float, told.split())
    assert start - 0.05 < began < imported - 0.3


def test_a_shell_that_python_replaced_does_not_count():
    code = "import time; t = time.time(); from ternary_jax.provenance import process_start; print(t - process_start())"
    command = ["sh", "-c", f"sleep 1.5; exec {shlex.quote(sys.executable)} -c {shlex.quote(code)}"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert 0 < float(told) < 1


def test_provenance_is_that_of_the_checkout():
    told = provenance()
    assert told["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(told["versions"]) == {"python", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ternary_jax"}
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if head.returncode == 0:
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT).returncode
        assert told["commit"] == head.stdout.strip() + "-dirty" * changed
