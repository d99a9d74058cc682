"""The factors of knobs on the weights of losses."""

from typing import Any

import pytest
import small

from ternary_jax.config import split
from ternary_jax.vae import control


def test_factors_multiply_and_a_loss_that_no_knob_scales_has_none():
    knobs: Any = {"lambda_1": 0.5, "balance_A": 3.0, "beta_A": 0.1, "tau": 0.25, "ranking": 0.5, "lambda_3": 0.3}
    on = ("reconstruction", "prior", "kl", "stratification", "radial", "ranking_v2", "alignment")
    hypers = split(small.config())[1]
    found = control.knob_factors(knobs, dict.fromkeys(on, "AB"), hypers)
    assert control.knob_factors(knobs, {"metric": "AB"}, hypers) == {}
    assert found["reconstruction_A"] == 1.5
    assert found["prior_A"] == found["kl_A"] == pytest.approx(0.15)
    assert found["stratification"] == found["radial"] == 1.5
    assert found["ranking_v2"] == 0.25
    assert found["alignment"] == 0.3
    assert not any(name.endswith("_B") for name in found)


def test_products_of_three_have_one_order():
    """Rounding depends on the order: shared knobs, then those of the controllers, the last of the chain first."""
    knobs: Any = {name: Word(x) for name, x in {"lambda_1": "l", "balance_A": "b", "beta_A": "k"}.items()}
    found = control.knob_factors(knobs, {"kl": "A"}, None)
    assert found["kl_A"].text == "((lb)k)"


class Word:
    """A factor that records how it was multiplied."""

    def __init__(self, text):
        self.text = text

    def __mul__(self, other):
        return Word(f"({self.text}{other.text})")
