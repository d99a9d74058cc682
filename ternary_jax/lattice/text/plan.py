"""How pairs are prepared: choices and defaults, without an import of jax, so that --help answers at once."""

from typing import NamedTuple

KINDS = ("pca", "orthogonal")  # of projections on a face
INPUTS = ("words", "meaning")  # vectors of the left sides
LARGEST_TEST = 1000  # test pairs where their number is not given


class Plan(NamedTuple):
    """How pairs are prepared.

    name: of the corpus
    face: (width, height)
    kind: of KINDS
    inputs: of INPUTS
    longest: tokens of a text
    limit: distinct right sides, 0 for all
    test: test pairs; 0: a quarter of the groups, and LARGEST_TEST at most
    validation: share of the groups that are left
    """

    name: str
    face: tuple[int, int] = (15, 15)
    kind: str = "pca"
    inputs: str = "words"
    longest: int = 48
    limit: int = 0
    test: int = 0
    validation: float = 0.08
