"""Run what a config describes.

    python -m ternary_jax.main --config=configs/closed_form.py
    python -m ternary_jax.main --config=configs/closed_form.py --config.c=4.0 --config.tree.ratio=0.4

--config=FILE        a Python file with get_config(); those in configs/ say what each value means
--config.KEY=VALUE   another value for one key of it; keys inside a group are written with a dot

The config names its task. `closed_form` scores the two closed forms, the embeddings at the ceilings that need no
training, and prints every metric beside chance, an untrained encoder and the best possible.
Exit status: 0 when it ran, 2 when the config is not valid.
"""

import importlib

from absl import app, logging

from ternary_jax import command_line

# A module with check(config), which raises a ValueError naming the key, and report(config). Imported when it is named:
# jax takes a second to import, and --help or a wrong flag does not need it.
TASKS = {"closed_form": "ternary_jax.vae.baselines"}


def main(argv: list[str]) -> None:
    """Check the config of CONFIG, and print the report of its task."""
    del argv
    logging.set_verbosity(logging.WARNING)  # below it, jax tells of every kind of accelerator that is not there
    config = command_line.CONFIG.value
    task = config.get("task")
    if task not in TASKS:
        command_line.fail(f"config.task={task}: there is no such task; there are {', '.join(TASKS)}")
    module = importlib.import_module(TASKS[task])
    try:
        module.check(config)
    except ValueError as e:
        command_line.fail(str(e))
    except AttributeError as e:
        command_line.fail(
            f"the config has no key {str(e).strip(chr(34) + chr(39))}; configs/closed_form.py has them all"
        )
    print(module.report(config))


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parse)
