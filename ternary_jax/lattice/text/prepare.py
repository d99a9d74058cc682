"""From pairs to a prepared corpus: encoded, split by groups, centred and projected on a face."""

from pathlib import Path
from typing import Any

import numpy as np

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import encodings, projection, splits
from ternary_jax.lattice.text.pairs import Pairs, distinct
from ternary_jax.lattice.text.plan import LARGEST_TEST, Plan
from ternary_jax.lattice.text.prepared import Prepared
from ternary_jax.lattice.text.weights import Teacher


def prepare(pairs: Pairs, plan: Plan, teacher: Teacher | None, folder: Path) -> Prepared:
    """The prepared corpus of pairs of texts, by a teacher, or of pairs of vectors. folder: of what is encoded."""
    vectors = isinstance(pairs.left, np.ndarray)
    if vectors == (teacher is not None):
        raise ConfigError(
            "--teacher is given, and the pairs are vectors already: leave it out"
            if vectors
            else "--teacher is missing, and the pairs are texts: give the folder of a sentence encoder"
        )
    chosen = splits.first(pairs.group, _numbers(pairs.right), plan.limit)
    pairs = Pairs(*(_taken(side, chosen) for side in pairs))
    made = _given(pairs) if teacher is None else _encoded(pairs, plan, teacher, folder)
    groups = len(set(pairs.group))
    test = plan.test or min(LARGEST_TEST, groups // 4)
    found = splits.split(pairs.group, *_ids(pairs), test, plan.validation)
    train = found == splits.TRAIN
    cells = plan.face[0] * plan.face[1]
    onto = projection.fit(plan.kind, made["left"][made["left_of"][train]], cells)
    back = projection.fit(plan.kind, made["right"][made["right_of"][train]], cells)
    about = {
        "name": plan.name,
        "face": list(plan.face),
        "projection": plan.kind,
        "inputs": plan.inputs if teacher else "vectors",
        "teacher": teacher.digest if teacher else "",
        "longest": plan.longest if teacher else 0,
        "groups": groups,
        "cut": made.pop("cut"),
    }
    return Prepared(**made, split=found, onto=onto, back=back, about=about)


def summary(prepared: Prepared) -> str:
    """What was made, a line for each fact that a user can act on."""
    about, (n_train, n_validation, n_test) = prepared.about, (int(np.sum(prepared.split == k)) for k in range(3))
    width, height = about["face"]
    lines = [
        f"{about['name']}: {n_train:,} training, {n_validation:,} validation and {n_test:,} test pairs; "
        f"{len(prepared.right):,} candidates; {about['groups']:,} groups",
        f"{prepared.left.shape[1]} -> {width} x {height} -> {prepared.right.shape[1]} by {about['projection']}: "
        f"{projection.kept(prepared.onto, prepared.left):.1%} of the variance of the inputs and "
        f"{projection.kept(prepared.back, prepared.right):.1%} of that of the targets are on the face",
    ]
    if about["cut"]:
        lines.append(f"{about['cut']:,} texts were longer than {about['longest']} tokens and were cut")
    if unused := int(np.sum(prepared.split == splits.UNUSED)):
        lines.append(
            f"{unused:,} unused pair{'s' * (unused > 1)}: of the group of a test pair, or with a text of a test or "
            "validation pair"
        )
    return "\n".join(lines)


# --- inside -----------------------------------------------------------------------------------------------------------


def _encoded(pairs: Pairs, plan: Plan, teacher: Teacher, folder: Path) -> dict[str, Any]:
    (lefts, left_of), (rights, right_of) = distinct(pairs.left), distinct(pairs.right)
    left = encodings.encode(teacher, lefts, plan.longest, folder, "left sides")
    right = encodings.encode(teacher, rights, plan.longest, folder, "right sides")
    return {
        "left": left.words if plan.inputs == "words" else left.meaning,
        "right": right.meaning,
        "meaning": left.meaning,
        "left_of": left_of,
        "right_of": right_of,
        "texts": (lefts, rights),
        "cut": left.cut + right.cut,
    }


def _given(pairs: Pairs) -> dict[str, Any]:
    """Vectors as they are; equal rows of a side are one candidate."""
    left_of, right_of = _numbers(pairs.left), _numbers(pairs.right)
    left, right = (
        side[np.unique(of, return_index=True)[1]] for side, of in ((pairs.left, left_of), (pairs.right, right_of))
    )
    none = np.zeros((0, right.shape[1]), np.float32)
    return dict(left=left, right=right, meaning=none, left_of=left_of, right_of=right_of, texts=([], []), cut=0)


def _ids(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of both sides as splits.split asks for them: texts in one space, vectors with none in common."""
    if isinstance(pairs.left, np.ndarray):
        left, right = _numbers(pairs.left), _numbers(pairs.right)
        return left, right + len(left)
    both = _numbers([*pairs.left, *pairs.right])
    return both[: len(pairs.left)], both[len(pairs.left) :]


def _numbers(side: Any) -> np.ndarray:
    """(n,) int32: the number of each value or row among the distinct ones, in order of their first place."""
    return distinct([row.tobytes() for row in side] if isinstance(side, np.ndarray) else side)[1]


def _taken(side: Any, chosen: np.ndarray) -> Any:
    return side[chosen] if isinstance(side, np.ndarray) else [side[k] for k in chosen]
