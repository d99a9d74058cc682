"""Ask a trained model about an operation, or about two.

    python -m ternary_jax.query runs/first --operation "+0-0+0-0+"
    python -m ternary_jax.query runs/first --operation 15746 --with "-0-0+0-0+"

An operation is its trits, digit 0 first, or its index. The command prints its truth table, index, valuation and radius,
what its point is decoded to, and the nearest operations; with --with, the same for the other operation, their
distance, and what the midpoint of the geodesic between them is decoded to. It writes nothing.

`ternary_jax.load(WORKDIR)` has the same in Python, and more: see docs/model.md.

Exit status: 0; 1 where stdout cannot be written; 2 where there is no model to ask, or an argument is wrong, with a
sentence on the fix; 130 after Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence

from ternary_jax import command_line, workdir_arguments
from ternary_jax.errors import ConfigError, QuestionError, RunError, WorkdirError
from ternary_jax.tables import command_of

FLAGS = command_line.Flags(
    "ternary_jax.query",
    {"--operation": "TRITS", "--with": "TRITS", "--run": "N", "--branch": "NAME", "--at": "STEP", "--task": "MODULE"},
    (),
)


def main(argv: Sequence[str]) -> None:
    """Print what the model that the arguments name says."""
    parser = workdir_arguments.Parser(
        FLAGS.module, __doc__, f"--operation=TRITS, --with=TRITS, {workdir_arguments.MODEL_FLAGS}"
    )
    workdir_arguments.add_model_flags(parser)
    parser.add_argument("--operation", metavar="TRITS", required=True, help="the operation, as +0-0+0-0+ or 15746")
    parser.add_argument("--with", dest="other", metavar="TRITS", default="", help="another operation")
    given = parser.parse_args(command_line.joined(argv, FLAGS))  # joined: a value may begin with a minus
    try:
        model = workdir_arguments.load_model(given)
        if not hasattr(model, "describe"):
            able = f"it can {', '.join(model.verbs)} in Python" if model.verbs else "its task registers no verbs"
            raise QuestionError(
                f"{given.workdir} holds a model of {model.about.task!r}, which describes no operations ({able}): give "
                "the workdir of a model of operations, or ask this one by ternary_jax.load"
            )
        answer = model.describe(given.operation, given.other)
    except (ConfigError, QuestionError, RunError, WorkdirError) as e:
        command_line.fail(str(e))
    from ternary_jax.inference import model as models

    command_line.show(f"{models.title(model.about)}\n\n{answer}")


def example(workdir: str) -> str:
    """A command that asks about operation 5, which is there for two digits or more."""
    return f"{command_of(FLAGS.module, workdir)} --operation=5"


def command() -> None:
    """`python -m ternary_jax.query`: answer signals from the first moment, then run, on the CPU."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # the machine that reads a workdir may lack the GPU of the training
    command_line.begin("nothing was written")
    main(sys.argv[1:])


if __name__ == "__main__":
    command()
