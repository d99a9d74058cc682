"""Write the report of a training as one HTML file: what came out, how it went, and what was learned, to look at.

    python -m ternary_jax.report runs/first
    python -m ternary_jax.report runs/first runs/second --out=compared.html
    python -m ternary_jax.report runs/first --watch

It needs bokeh: pip install 'ternary_jax[report]'. The file needs no network, and holds all it shows. By default it is
WORKDIR/report.html, which a newer report replaces; --out names another, which must not exist yet.

Of one workdir, also of a training under way: a verdict on each metric, how the training went, curves over time, and
what its task offers to look at. Of several workdirs of one task, or of the DIR of a sweep or several: a table of the
settings with intervals over seeds, their curves together, and what four of them have learned side by side.

--run=N         of workdirs of several runs, the run whose model is looked at; default: 0
--watch         serve the report of a training under way to this machine alone, and write no file; Ctrl-C ends it
--port=N        with --watch: the port; default: one that is free
--task=MODULE   the task module of the training, if it is your own: code that only the workdir names is not run

Exit status: 0, also after Ctrl-C of --watch; 1 where the file cannot be written; 2 where there is nothing to report or
an argument is wrong, with a sentence on the fix; 130 after Ctrl-C.
"""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ternary_jax import command_line, workdir_arguments
from ternary_jax.errors import ConfigError, RunError, WorkdirError


def main(argv: Sequence[str]) -> None:
    """Write or serve the report that the arguments name."""
    flags = "--out=FILE, --run=N, --watch, --port=N and --task=MODULE"
    parser = workdir_arguments.Parser("ternary_jax.report", __doc__, flags)
    parser.add_argument(
        "workdirs", metavar="WORKDIR", nargs="+", help="the --workdir of a training, or the DIR of a sweep"
    )
    parser.add_argument("--out", metavar="FILE", help="the file; default: report.html in the workdir")
    parser.add_argument("--run", metavar="N", default="0", help="the run whose model is looked at; default: 0")
    parser.add_argument("--watch", action="store_true", help="serve the report of a training under way")
    parser.add_argument("--port", metavar="N", default="0", help="of --watch; default: one that is free")
    parser.add_argument("--task", metavar="MODULE", help="the task module of the training, if it is your own")
    given = parser.parse_args(argv)
    try:
        k, port = workdir_arguments.number("--run", given.run), workdir_arguments.number("--port", given.port, 65535)
        if given.watch and given.out is not None:
            raise ConfigError(
                f"--out={given.out} and --watch are both given, and --watch writes no file: leave one out"
            )
        from ternary_jax.analysis.page import writing  # below --help: it takes time

        writing.check_installed()
        paths = workdir_arguments.distinct(given.workdirs)
        if given.watch:
            _watch(paths, k, port, given.task)
            return
        file = Path(paths[0], writing.FILE) if given.out is None else Path(given.out)
        if len(paths) > 1 and given.out is None:
            raise ConfigError(f"a report of {len(paths)} workdirs belongs in none of them: give --out=FILE")
        opened = workdir_arguments.opened(paths, given.task)
        writing.check_file(file, given.out is not None)
        size = writing.write(writing.page(opened, k), file)
    except (ConfigError, RunError, WorkdirError) as e:
        command_line.fail(str(e), 1 if isinstance(e, RunError) else 2)
    from ternary_jax.tables import size as in_words

    command_line.show(f"{file} ({in_words(size)}): open it in a browser")


def _watch(paths: Sequence[str], k: int, port: int, task: str | None) -> None:
    """Serve the report of one workdir until a signal."""
    if len(paths) > 1:
        raise ConfigError(f"--watch serves the report of one workdir, and {len(paths)} are given: give one")
    from ternary_jax.analysis.page import server, writing

    gc.enable()  # page after page is made
    opened = workdir_arguments.opened(paths, task)
    source = server.Source(Path(paths[0]), lambda: writing.page(opened, k))
    made = server.make(source, port)
    command_line.answer_signals("the report is no longer served", 0)
    command_line.show(f"the report of {paths[0]} is at http://127.0.0.1:{made.server_port}/; Ctrl-C ends it")
    made.serve_forever()


def command() -> None:
    """`python -m ternary_jax.report`: answer signals from the first moment, then run, on the CPU."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # the machine that reads a workdir may lack the GPU of the training
    gc.disable()  # the models of bokeh and what is imported live to the end, and the collector looks at them repeatedly
    command_line.begin("no report was written")
    main(sys.argv[1:])


if __name__ == "__main__":
    command()
