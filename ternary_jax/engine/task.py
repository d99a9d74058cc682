"""What the engine asks of a task, and what it says where it cannot go on."""

from typing import NamedTuple


class RunError(RuntimeError):
    """A run cannot go on. Its text is one sentence that names the cause and what to do."""


class Metric(NamedTuple):
    """A metric of the task, and what it is to be compared with.

    name: its key in a row
    better: +1 where higher is better, -1 where lower
    best: the best possible; nan where not known
    chance: of a guess; nan where it has none
    untrained: the level seen without training; nan where not known
    """

    name: str
    better: int
    best: float
    chance: float
    untrained: float
