"""Show where the time and the memory of a training go, by the scopes of its program.

    python -m ternary_jax.profile --config=v5_12
    python -m ternary_jax.profile --config=energy_flow --config.train.batch_size=64 --depth=1
    python -m ternary_jax.profile --config=v5_12 --trace=DIR --json=FILE

It compiles a chunk of the config as a training does, without the cache of compiled programs, traces one call of it by
jax.profiler, and prints

  for each scope of a step: milliseconds, calls of operations, FLOPs, bytes, and their shares of the measured rates;
  the rates: of matrix products at the shapes of the step, by jax and by numpy, and of the memory;
  the peak memory of the process, of the device and of the compiled chunk;
  the seconds of each stage of a cold start, from the imports to the end of the first chunk.

"d loss/encoder_B" is the backward pass of the scope encoder_B of the loss, with what train.remat computes again. A
fusion of operations of several scopes counts for the last of them. Nothing is trained. Only --trace and --json write.

--config=FILE        a config that trains, or the NAME of one that comes with the package
--config.KEY=VALUE   another value for one key of it; --config.train.chunk=1 shortens what is traced
--depth=N            scopes within scopes that are told apart; default: 2
--trace=DIR          keep the trace, for xprof or Perfetto: see docs/performance.md
--json=FILE          write the figures, each with its name and without rounding

Exit status: 0; 1 where a file cannot be written; 2 where an argument or the config is not valid; 130 after Ctrl-C.
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ternary_jax import command_line
from ternary_jax.errors import ConfigError, RunError, WorkdirError

DEPTH, MOST_DEPTH = 2, 99  # scopes within scopes, where --depth is not given; and at most
FLAGS = command_line.Flags(
    "ternary_jax.profile", {"--config": "FILE", "--depth": "N", "--trace": "DIR", "--json": "FILE"}, ()
)


def main(argv: Sequence[str]) -> None:
    """Profile the config that the arguments name, print the tables and write the files."""
    values, overrides, _ = command_line.parse_flags(argv, __doc__ or "", FLAGS)
    depth = command_line.count(values, "--depth", MOST_DEPTH) or DEPTH
    _check_output(values)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            tables, figures = profiled(values["--config"], overrides, depth, Path(values.get("--trace", temporary)))
    except OSError as e:
        command_line.fail(f"{e.filename or values['--config']}: {e.strerror}: mend that, and profile again", 1)
    except (ConfigError, RunError, WorkdirError) as e:
        command_line.fail(str(e), 2 if isinstance(e, ConfigError) else 1)
    unwritten = _written(values["--json"], figures) if "--json" in values else ""
    command_line.show(tables)  # also where the file is not written: they took minutes
    if unwritten:
        command_line.fail(unwritten, 1)


def profiled(path: str, overrides: Sequence[str], depth: int, folder: Path) -> tuple[str, dict[str, Any]]:
    """(tables, figures) of the profile of a config. path, overrides: as in `load_config`; folder: of the trace."""
    from ternary_jax import config  # here, so that the imports are a stage
    from ternary_jax.engine.profile import measure, text
    from ternary_jax.provenance import process_start, provenance

    imported = time.time()
    stages = {"imports": imported - process_start()}
    settings = config.load_config(path, overrides)
    if hasattr(config.keys_of(settings.task)[1], "report"):
        raise ConfigError(f"--config={path} trains nothing: name a config that trains, such as v5_12")
    stages["config, with the imports of its task"] = time.time() - imported
    found = measure.measure(settings, folder, depth, stages)
    given = [f"--config.{one}" for one in overrides]
    about = {"config": config.config_name(path), "overrides": given, **provenance()}
    return text.text(found), about | measure.data(found)


def _check_output(values: Mapping[str, str]) -> None:
    """Make the folder of the trace, and refuse what may not be written, before a profile that takes minutes."""
    outputs = {}
    if "--trace" in values:
        outputs["--trace"] = folder = Path(values["--trace"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            command_line.fail(f"--trace={folder}: {e.strerror}: mend that, or name another folder", 1)
    if "--json" in values:
        file = Path(values["--json"])
        outputs["--json"] = file if file.exists() else file.parent
        if file.is_dir():
            command_line.fail(f"--json={file} is a folder: name a file in it")
        if not file.parent.is_dir():
            command_line.fail(f"--json={file}: its folder does not exist: make it, or name another file")
    for flag, path in outputs.items():
        if not os.access(path, os.W_OK):
            wrong = f"{flag}={values[flag]}: {path} may not be written"
            command_line.fail(f"{wrong}: change its permissions, or name another", 1)


def _written(file: str, figures: Mapping[str, Any]) -> str:
    """Write the figures; -> a sentence on why they could not be written, or ""."""
    from ternary_jax.workdir import files

    try:
        Path(file).write_text(f"{files.dumps(figures, indent=1)}\n")
    except OSError as e:
        return f"--json={file}: {e.strerror}: mend that, or name another file"
    return ""


def command() -> None:
    """`python -m ternary_jax.profile`: answer signals from the first moment, compile without a cache, then run."""
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # jax reads it when it is imported
    command_line.begin("nothing was written, but perhaps a part of the trace")
    main(sys.argv[1:])


if __name__ == "__main__":
    command()
