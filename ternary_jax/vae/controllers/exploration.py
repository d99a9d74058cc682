"""Open-loop schedules of v5.10 over t, the completed fraction of the run: permeability, temperatures, KL weights.

t = e / E at epoch e, a real number, of E epochs: (steps,), from `done`. All lengths and times are fractions of the run;
the originals gave them in epochs of 300. Each function returns (steps,) float32, a value for each step. All schedules
are continuous in t. In the originals, the KL weight of branch B jumped from 0 to 0.21 in one step, which destroyed the
order that it had learned, and the amplitude of the temperature grew fivefold within an epoch.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ternary_jax.config.keys import real, reals
from ternary_jax.control import schedules
from ternary_jax.errors import ConfigError
from ternary_jax.vae import loss_factors
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.controllers.declaration import Controller, ControllerParts
from ternary_jax.vae.loss_factors import Factor

KNOBS = ("rho", "temperature_A", "temperature_B", "beta_A", "beta_B", "lambda_3")
_TEMPERATURE = {
    "first": real(1e-3, 100),
    "last": real(1e-3, 100),
    "lag": real(0, 1),
    "period": real(1e-3, 1e3),
    "amplitude": real(0, 0.99),
}


def done(steps: int) -> np.ndarray:
    """t = n / steps of the steps n = 0, 1, ..., (steps,) float64."""
    return np.arange(steps) / steps


def permeability(t: np.ndarray, boundaries: Sequence[float], levels: Sequence[float]) -> np.ndarray:
    """rho: linear from (boundaries[k], levels[k]) to the next such point; constant before the first and after the last.

    Originals: 0.1, 0.3 and 0.7 at epochs 40, 120 and 250 of 300.
    """
    return _interpolated(t, boundaries, levels)


def temperature(t: np.ndarray, first: float, last: float, lag: float, period: float, amplitude: float) -> np.ndarray:
    """T(s) = (first + (last - first) s) (1 + amplitude cos(2 pi s / period)) at s = max(0, t - lag).

    amplitude: relative, less than 1, so that T > 0 without a floor; lag: delay of the branch, whose schedule is cut off
    at the end of the run. Originals: A from 1 to 0.3, with an amplitude of 0.1 and a period of 30 epochs of 300; B from
    0.9 to 0.39 at epoch 250, with a lag of 30, then 0.3, without oscillation.
    """
    s = np.maximum(0, t - lag)
    return ((first + (last - first) * s) * (1 + amplitude * np.cos(2 * np.pi * s / period))).astype(np.float32)


def kl_weight(t: np.ndarray, warmup: float, level: float, final: float) -> np.ndarray:
    """beta: linear from 0 to `level` at t = warmup, then linear to `final` at t = 1.

    Originals: 0.3 at epoch 50 of 300, and 0.8 at the end.
    """
    return _interpolated(t, (0, warmup, 1), (0, level, final))


def kl_weight_behind(t: np.ndarray, ahead: np.ndarray, lag: float, ramp: float, share: float) -> np.ndarray:
    """beta of a branch from that of the other branch, `ahead`: share min(1, max(0, t - lag) / ramp) ahead.

    Originals: share sin(pi / 4) from epoch 50 of 300 on, without a ramp.
    """
    return (_interpolated(t, (lag, lag + ramp), (0, share)) * ahead).astype(np.float32)


def entropy_alignment(t: np.ndarray, mean: float, amplitude: float, period: float) -> np.ndarray:
    """lambda_3 = mean - amplitude sin(2 pi t / period). Originals: 0.3, 0.15 and 30 epochs of 300."""
    return (mean - amplitude * np.sin(2 * np.pi * t / period)).astype(np.float32)


def rows(given: Any, steps: int) -> dict[str, np.ndarray]:
    """The schedules of the group `schedules` of a config, (steps,) each, by knob."""
    t, beta = done(steps), given.beta
    beta_A = kl_weight(t, beta.warmup, beta.level, beta.final)
    temperatures = {b: getattr(given, f"temperature_{b}") for b in BRANCHES}
    return {
        "rho": permeability(t, given.rho.at, given.rho.levels),
        **{
            f"temperature_{b}": temperature(t, own.first, own.last, own.lag, own.period, own.amplitude)
            for b, own in temperatures.items()
        },
        "beta_A": beta_A,
        "beta_B": kl_weight_behind(t, beta_A, beta.lag_B, beta.ramp_B, beta.share_B),
        "lambda_3": entropy_alignment(t, given.alignment.mean, given.alignment.amplitude, given.alignment.period),
    }


def check(config: Any, losses: Any) -> None:
    """Check that the permeability has a level for each of its times, and that the times rise."""
    rho = config.schedules.rho
    if not 0 < len(rho.at) == len(rho.levels) or any(a >= b for a, b in itertools.pairwise(rho.at)):
        raise ConfigError(
            f"config.schedules.rho.at={','.join(map(str, rho.at))} has to be in rising order, and to have a time for "
            f"each of config.schedules.rho.levels={','.join(map(str, rho.levels))}"
        )


def _interpolated(t, at, levels):
    """Linear interpolation between points, constant outside; at: increasing."""
    if len(at) != len(levels) or not np.all(np.diff(at) > 0):
        raise ValueError(f"a schedule through {tuple(levels)} at {tuple(at)}: give one time for each, in rising order")
    return np.interp(t, at, levels).astype(np.float32)


CONTROLLER = Controller(
    name="schedules",
    keys={
        "schedules.rho.at": reals(0, 1),
        "schedules.rho.levels": reals(0, 1),
        **{f"schedules.temperature_{b}.{name}": key for b in BRANCHES for name, key in _TEMPERATURE.items()},
        "schedules.beta.warmup": real(1e-3, 0.999),
        "schedules.beta.level": real(0, 100),
        "schedules.beta.final": real(0, 100),
        "schedules.beta.share_B": real(0, 100),
        "schedules.beta.lag_B": real(0, 1),
        "schedules.beta.ramp_B": real(1e-3, 1),
        "schedules.alignment.mean": real(0, 100),
        "schedules.alignment.amplitude": real(0, 100),
        "schedules.alignment.period": real(1e-3, 1e3),
    },
    on=lambda static: "schedules" in static.control,
    make=lambda static, scope: ControllerParts(
        schedules.follow(**{knob: knob for knob in KNOBS}), rows(static.schedules, scope.plan.total)
    ),
    place=30,
    check=check,
    factors=tuple(Factor(f"beta_{b}", loss_factors.KL, b) for b in BRANCHES),
)
