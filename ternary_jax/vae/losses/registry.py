"""The declaration of a loss, `LossSpec`, and the table of all losses in the files of this package.

To add a loss, write a file here with a `LossSpec` in its tuple `LOSSES`, and add an entry to configs/vae.py. The keys
of the config, their checks, the draws of a step, and the controllers that scale the loss all follow from its
`LossSpec`.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from jax import Array

from ternary_jax.config.keys import Key, choice, real
from ternary_jax.errors import ConfigError

WeightedTerms = dict[str, tuple[Any, Array]]  # name in the log -> (weight, unweighted value)
Use = Literal["pairs", "triplets", "partners", "randomness"]
Family = Literal["autoencoder", "kl", "radial", "ranking"]

weight = functools.partial(real, 0, 1e6, traced=True)
positive = functools.partial(real, 1e-6, 1e6, traced=True)
share = functools.partial(real, 0, 0.999, traced=True)


class LossSpec(NamedTuple):
    """A loss, the group `losses.NAME` of a config.

    parts: BranchOutput, the group losses.NAME of the hypers -> WeightedTerms; a joint loss gets {branch:
        BranchOutput} first
    keys: keys of its group beside `on` and `weight`
    uses: the draws of a step that it needs
        "pairs": `batch.shifts`; "triplets": `batch.key`, and 3 rows or more; "randomness": `batch.key`
        "partners": batches whose halves are pairs of a given valuation
    families: the controllers that scale it
        "autoencoder": lambda_1, lambda_2 and balance; "kl": beta too
        "radial", "ranking": the mix tau; "ranking": the knob `ranking` too
    posterior: the posterior that a branch must have, "gaussian" or "wrapped"; "": any
    joint: whether it is a function of both branches
    check: config, its branches -> None; raises a ConfigError
    place: its place in the sum and in the log, which fixes the rounding; new losses come last
    """

    name: str
    parts: Callable[[Any, Any], WeightedTerms]
    keys: Mapping[str, Key] = {}
    uses: tuple[Use, ...] = ()
    families: tuple[Family, ...] = ()
    posterior: Literal["", "gaussian", "wrapped"] = ""
    joint: bool = False
    check: Callable[[Any, str], None] = lambda config, branches: None
    place: int = 1000


@functools.cache
def table() -> dict[str, LossSpec]:
    """All losses by name, in their order."""
    found: list[LossSpec] = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        found += getattr(importlib.import_module(f"{__package__}.{module.name}"), "LOSSES", ())
    for loss in found:
        _check_declaration(loss, [other.name for other in found])
    return {loss.name: loss for loss in sorted(found, key=lambda loss: (loss.place, loss.name))}


def _check_declaration(loss: LossSpec, names: list[str]) -> None:
    """Refuse an unknown use or family: the loss would miss its draws or its controllers."""
    if names.count(loss.name) > 1:
        raise ValueError(f"two losses are called {loss.name!r}: rename one")
    if unknown := {*loss.uses} - {*get_args(Use)}:
        raise ValueError(f"the loss {loss.name!r} uses {unknown}: give some of {get_args(Use)}")
    if unknown := {*loss.families} - {*get_args(Family)}:
        raise ValueError(f"the loss {loss.name!r} is of the families {unknown}: give some of {get_args(Family)}")


def family(name: Family) -> tuple[str, ...]:
    """The losses of a family."""
    return tuple(loss.name for loss in table().values() if name in loss.families)


def config_keys() -> dict[str, Key]:
    """The keys losses.NAME.KEY of a config."""
    found = {}
    for name, loss in table().items():
        branches = choice("none", "AB") if loss.joint else choice("none", "A", "B", "AB")
        of_loss = {"on": branches, "weight": weight(), **loss.keys}
        found |= {f"losses.{name}.{key}": kind for key, kind in of_loss.items()}
    return found


def on(losses: Any) -> dict[str, str]:
    """Loss -> its branches, in order, for the losses of the group `losses` that are on."""
    found = {name: getattr(losses, name).on for name in table()}
    return {name: branches for name, branches in found.items() if branches != "none"}


def using(names: Iterable[str], *uses: Use) -> bool:
    """Whether any of the losses uses any of `uses`."""
    return any(use in table()[name].uses for name in names for use in uses)


# --- checks of a config -----------------------------------------------------------------------------------------------


def check(config: Any) -> None:
    """Raise a ConfigError if the losses that are on contradict the rest of the config."""
    used = on(config.losses)
    check_some_on(used)
    check_rows(config.train, used)
    for name, branches in used.items():
        check_partners(config, name)
        check_posterior(config, name, branches)
        table()[name].check(config, branches)


def check_some_on(used: dict[str, str]) -> None:
    """At least one loss is on."""
    if not used:
        raise ConfigError(
            "config.losses has every loss off, so nothing is trained: set config.losses.reconstruction.on=AB"
        )


def check_rows(train: Any, used: dict[str, str]) -> None:
    """A microbatch has the rows of a triplet if a loss needs them."""
    if train.batch_size < 3 * train.microbatches and using(used, "triplets"):
        raise ConfigError(
            f"config.train.batch_size={train.batch_size} leaves no triplets for a ranking loss: give 3 rows or more in "
            "each microbatch"
        )


def check_partners(config: Any, name: str) -> None:
    """Batches hold partners if the loss needs them."""
    if using([name], "partners") and not config.data.partners:
        raise ConfigError(
            f"config.losses.{name}.on={config.losses[name].on} needs pairs of a given valuation: set "
            "config.data.partners=True"
        )


def check_posterior(config: Any, name: str, branches: str) -> None:
    """Each branch of the loss has the posterior that the loss needs."""
    needed = table()[name].posterior
    for b in branches:
        if needed and config.model[b].posterior != needed:
            raise ConfigError(
                f"config.losses.{name}.on={branches} needs config.model.{b}.posterior={needed}, which is "
                f"{config.model[b].posterior}"
            )
