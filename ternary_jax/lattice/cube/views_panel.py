"""The panel of a cube's activity, and what it shows in words."""

from typing import Any

import numpy as np

from ternary_jax.panels import curves, faces, style
from ternary_jax.panels.curves import Curves, Group, Mark

SHOWN = 8  # updates whose face is drawn


def panel(found: Any) -> Any:
    """The activity over the updates, and the face of the first sample after some of them. found: an Activity."""
    at = np.unique(np.linspace(0, len(found.read) - 1, min(SHOWN, len(found.read))).astype(int))
    shown = {f"update {k + 1}": found.read[k, 0] for k in at}
    return style.below([curves.panel(_curves(found)), style.wrapped(faces.row(shown), 170)])


def text(found: Any) -> str:
    """First and last strength, and how much the last update still changes. found: an Activity."""
    kept = "The faces are those of the first sample; yellow is high, blue is low."
    return f"{curves.text(_curves(found)._replace(marks=()))} The training has {found.updates} updates a step. {kept}"


def _curves(found: Any) -> Curves:
    at = np.arange(1.0, len(found.read) + 1)
    labels = {"activity": found.rms, "change by an update": found.moved}
    groups = [Group(label, [(label, at, x)]) for label, x in labels.items()]
    marks = [Mark(float(found.updates), "in training")]
    return Curves("update", "root mean square", groups, marks=marks)
