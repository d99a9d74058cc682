"""The success levels that the documents of the originals define for a dual model, and a checklist of branch B."""

from ternary_jax.metric import Criteria

LEVELS = ("Minimal", "Good", "Excellent", "Exceptional")
# The documents write the hierarchy with the wrong sign: it is negative, and a lower value is better.
ASKED = {"coverage": (0.80, 0.95, 0.99, 1.0), "hierarchy": (-0.5, -0.7, -0.8, -0.82), "q": (1.0, 1.5, 2.0, 2.2)}


def levels(branch: str) -> dict[str, dict[str, float]]:
    """Level -> metric -> value."""
    return {level: {f"{name}_{branch}": asked[k] for name, asked in ASKED.items()} for k, level in enumerate(LEVELS)}


CRITERIA = (
    Criteria("A", levels("A"), {}),
    Criteria("B", levels("B"), {"coverage_B": 0.95, "hierarchy_B": -0.70}, samples_per_s=2000.0),
)
