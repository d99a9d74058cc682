"""What can be looked at in a training of any task: its curves, and its controllers."""

from ternary_jax.engine.task import View

VIEWS: dict[str, View] = {}
