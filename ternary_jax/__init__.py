"""Structured-latent models over the 3-adic space of ternary operations."""

import os
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ternary_jax import plot, sweep, workdir
    from ternary_jax.config import load_config
    from ternary_jax.inference import load

    __version__: str

# Unix seconds at which this interpreter had to begin for the CPU time that it has used: see provenance.process_start.
_BEGUN = time.time() - time.process_time()

# For every program that it loads from the compilation cache, XLA logs an error of two long lines: it takes two of its
# own tuning options for CPU features that this machine lacks, and then runs the program (jax issue 38445). So only
# fatal messages are logged. XLA reads this variable when jax is imported, so it is set before that.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# {name: the module that is imported when the name is first used}, so `import ternary_jax` alone imports neither jax nor
# numpy. `sweep` and `workdir` are the modules themselves; the others are attributes of their modules.
_OFFERED = {"load": "ternary_jax.inference", "load_config": "ternary_jax.config"}
_OFFERED |= {name: f"ternary_jax.{name}" for name in ("plot", "sweep", "workdir")}

# Without __version__, so that `import *` works in a checkout that is not installed.
__all__ = ["load", "load_config", "plot", "sweep", "workdir"]


def __getattr__(name: str) -> Any:
    """`__version__`, from the metadata of the installed package, and the names of `_OFFERED`."""
    if name == "__version__":
        return _version()
    if name not in _OFFERED:  # also asked of every module in `from ternary_jax import poincare`, before its import
        raise AttributeError(
            f"module 'ternary_jax' has no attribute {name!r}: it offers {', '.join(['__version__', *__all__])}"
        )
    module = import_module(_OFFERED[name])
    return module if module.__name__ == f"ternary_jax.{name}" else getattr(module, name)


def _version() -> str:
    from importlib import metadata  # 50 ms, which `ternary-jax --help` need not wait for

    try:
        return metadata.version("ternary_jax")
    except metadata.PackageNotFoundError:
        raise AttributeError("ternary_jax has no __version__, as it is not installed: `pip install -e .`") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
