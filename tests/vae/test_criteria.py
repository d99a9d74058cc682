"""The success criteria of the dual model name metrics that it measures."""

from ternary_jax.vae import evaluate
from ternary_jax.vae.criteria import CRITERIA


def test_the_levels_rise_and_name_metrics_of_their_branch():
    measured = {*evaluate.Cheap._fields, *evaluate.Costly._fields}
    assert [one.name for one in CRITERIA] == ["A", "B"]
    for one in CRITERIA:
        assert list(one.levels) == ["Minimal", "Good", "Excellent", "Exceptional"]
        for level in (*one.levels.values(), one.checklist):
            assert {name.removesuffix(f"_{one.name}") for name in level} <= measured
        for name, better in ((f"coverage_{one.name}", 1), (f"hierarchy_{one.name}", -1), (f"q_{one.name}", 1)):
            asked = [better * level[name] for level in one.levels.values()]
            assert asked == sorted(set(asked))
    assert [bool(one.checklist and one.samples_per_s) for one in CRITERIA] == [False, True]
