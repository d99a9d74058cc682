"""A description of an operation as a trained branch sees it, and of two operations together: the text of `query`."""

from typing import Any

import numpy as np

from ternary_jax import tables, ternary
from ternary_jax.vae import operations
from ternary_jax.vae import space as asked
from ternary_jax.vae.space import NEAREST, Space

TRITS = ("-1", "0", "1")


def describe(space: Space, operation: Any, other: Any = "") -> str:
    """operation, other -> a text: truth table, index, valuation, radius, nearest operations; of two, the midpoint.

    operation, other: one operation each, also an index as text; other="" for none
    """
    index = operations.one_of(operation, space.n_digits)
    parts = [_alone(space, index), _nearest(space, index)]
    if not (isinstance(other, str) and other == ""):
        second = operations.one_of(other, space.n_digits)
        parts += [_alone(space, second), _together(space, index, second)]
    return "\n\n".join(parts)


def _alone(space: Space, index: int) -> str:
    """The facts of one operation; the truth table where an operation is a map of two trits."""
    text, decoded = ternary.signs(index, space.n_digits), int(asked.decode(space, index))
    right = "itself" if decoded == index else ternary.signs(decoded, space.n_digits)
    facts = [
        f"operation {text}",
        f"index      {index}",
        f"valuation  {ternary.valuation(index, space.n_digits)} of {space.n_digits}",
        f"radius     {float(asked.radius(space, index)):.4f}",
        f"decoded    {right}",
    ]
    if space.n_digits != 9:
        return "\n".join(facts)
    rows = [["f(x, y)", *(f"y = {y}" for y in TRITS)]]
    for x, values in zip(TRITS, ternary.truth_table(index).tolist(), strict=True):
        rows.append([f"x = {x}", *(TRITS[value + 1] for value in values)])
    return "\n".join([*facts, tables.columns(rows)])


def _nearest(space: Space, index: int) -> str:
    found = asked.nearest(space, index, min(NEAREST, 3**space.n_digits - 1))
    rows = [["nearest", "index", "distance", "shared digits"]]
    for other, apart in zip(np.asarray(found.indices), np.asarray(found.distances), strict=True):
        shared = ternary.pair_valuation(index, other, space.n_digits)
        rows.append([ternary.signs(other, space.n_digits), str(other), f"{apart:.4f}", str(shared)])
    return tables.columns(rows)


def _together(space: Space, index: int, other: int) -> str:
    middle = asked.interpolate(space, index, other)
    decoded = int(asked.decode(space, middle))
    shared = int(ternary.pair_valuation(index, other, space.n_digits))
    one, two, third = (ternary.signs(x, space.n_digits) for x in (index, other, decoded))
    return "\n".join(
        [
            f"from {one} to {two}",
            f"distance   {float(asked.distance(space, index, other)):.4f}",
            f"3-adic     {float(ternary.distance(index, other, space.n_digits)):.4g}, {shared} leading digits shared",
            f"midpoint   decoded {third}, index {decoded}, radius {float(asked.radius(space, middle)):.4f}",
        ]
    )
