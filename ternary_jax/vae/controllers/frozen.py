"""Groups of parameters that stay as they are at the start. `vae/start.py` checks that the model has them."""

from ternary_jax.config.keys import words
from ternary_jax.control import groups
from ternary_jax.vae.controllers.declaration import Controller, Part

CONTROLLER = Controller(
    name="frozen",
    keys={"start.frozen": words()},
    on=lambda static: bool(static.start.frozen),
    make=lambda static, scope: Part(groups.freeze(static.start.frozen)),
    place=10,
)
