"""The controllers of the ternary task, one a file. CONTROLLERS has the CONTROLLER of each module of this package.

To add a controller, add a file here that defines CONTROLLER (see `declaration`), and its config keys to configs/vae.py.
"""

import importlib
import pkgutil

from ternary_jax.vae.controllers.declaration import Controller


def _declared() -> tuple[Controller, ...]:
    """All controllers, in the order of the chain."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    declared = [module.CONTROLLER for module in modules if hasattr(module, "CONTROLLER")]
    table = sorted(declared, key=lambda one: (one.place, one.name))
    for what, names in {
        "the name": [one.name for one in table],
        "a key": [key for one in table for key in one.keys],
    }.items():
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two controllers declare {what} {', '.join(sorted(repeated))}: rename it in one of them")
    return tuple(table)


CONTROLLERS = _declared()
