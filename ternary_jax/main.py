"""Run what a config describes.

    python -m ternary_jax.main --config=configs/closed_form.py
    python -m ternary_jax.main --config=configs/closed_form.py --config.c=4.0 --config.tree.ratio=0.4

--config=FILE        a Python file with get_config(), or FILE:ARG for one of its variants; those in configs/ say what each
                     value means
--config.KEY=VALUE   another value for one key of it; keys inside a group are written with a dot
--workdir=DIR        where a training keeps all it writes; runs/CONFIG/TIME if it is not given
--sweep              train the runs that sweep(add) of the file adds, all at once

A config names its task. That of closed_form.py scores the two closed forms, the embeddings at the ceilings that need no
training, and prints every metric beside chance, an untrained encoder and the best possible. Others train.
Given a workdir again, a training that is not finished goes on where it was, and one that is finished is left alone.
Ctrl-C saves, and says how to go on.

Exit status: 0 when it ran, was finished already, or was interrupted and saved; 1 when the run failed: it diverged, the
disk is full; 2 when the config is not valid.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence


def main(argv: Sequence[str]) -> None:
    """Run the task of the config that these arguments give."""
    from ternary_jax import command_line

    given = command_line.parse(argv)
    from ternary_jax.config import ConfigError, config_name, keys_of, load_config

    try:
        config = load_config(given.config_path, given.overrides, given.sweep)
        _, task = keys_of(config["task"])
        if hasattr(task, "report"):
            print(task.report(config))
            return
        from ternary_jax.engine import train
        from ternary_jax.engine.task import RunError
    ...


if __name__ == "__main__":
    main(sys.argv[1:])
