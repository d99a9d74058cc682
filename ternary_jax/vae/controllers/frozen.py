"""Groups of parameters that are frozen for the whole run. `engine/start.py` checks that the model has these groups."""

from ternary_jax.config.keys import words
from ternary_jax.control import groups
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts

CONTROLLER = Controller(
    name="frozen",
    keys={"start.frozen": words()},
    on=lambda static: bool(static.start.frozen),
    make=lambda static, scope: ControllerParts(groups.freeze(static.start.frozen)),
    place=10,
)
