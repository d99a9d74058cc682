"""Export a trained model to files that other programs read.

    python -m ternary_jax.export runs/first
    python -m ternary_jax.export runs/first --run=2 --branch=A --output=model_2A

It writes into --output, a new folder, by default WORKDIR/export:

  params.safetensors  the parameters of the model, all branches, by the names that they have in a checkpoint;
  params.json         their shapes, the config, the metrics, and the versions of this program and its libraries;
  embedding.parquet   the embedding of the branch, a row for each thing that has a place in the model; embedding.csv
                      where pyarrow is not installed; neither for a model without places;
  model_card.md       what the model is, and its metrics beside their ceilings and chance, measured on what is exported.

Exit status: 0; 1 where a file cannot be written; 2 where there is nothing to export, an argument is wrong, or --output
exists, with a sentence on the fix; 130 after Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ternary_jax import command_line, workdir_arguments
from ternary_jax.errors import ConfigError, QuestionError, RunError, WorkdirError

FLAGS = command_line.Flags(
    "ternary_jax.export",
    {"--output": "DIR", "--format": "csv", "--run": "N", "--branch": "NAME", "--at": "STEP", "--task": "MODULE"},
    (),
)


def main(argv: Sequence[str]) -> None:
    """Write the files of the model that the arguments name."""
    parser = workdir_arguments.Parser(
        FLAGS.module, __doc__, f"--output=DIR, --format=csv, {workdir_arguments.MODEL_FLAGS}"
    )
    workdir_arguments.add_model_flags(parser)
    parser.add_argument("--output", metavar="DIR", default="", help="a new folder; default: WORKDIR/export")
    parser.add_argument(
        "--format", choices=("parquet", "csv"), help="of the embedding; default: parquet where pyarrow is installed"
    )
    given = parser.parse_args(command_line.joined(argv, FLAGS))
    folder = Path(given.output or Path(given.workdir, "export"))
    try:
        from ternary_jax.inference import exporting  # below --help: it takes time

        exporting.check(folder)
        written = exporting.write(workdir_arguments.load_model(given), folder, given.format)
    except (ConfigError, QuestionError, RunError, WorkdirError) as e:
        command_line.fail(str(e), 1 if isinstance(e, RunError) else 2)
    command_line.show(f"in {folder}: {', '.join(written)}")


def command() -> None:
    """`python -m ternary_jax.export`: answer signals from the first moment, then run, on the CPU."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # the machine that reads a workdir may lack the GPU of the training
    command_line.begin("nothing was exported, but perhaps a folder with .part at its end was written")
    main(sys.argv[1:])


if __name__ == "__main__":
    command()
