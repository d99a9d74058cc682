"""Synthetic histories of evaluations, (runs, evaluations, ...) each, with and without grokking events."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ternary_jax.config import read
from ternary_jax.grokking import definitions

STANDARD = definitions.thresholds(read(Path(__file__).parents[1] / "configs" / "defaults.py").grokking.to_dict())


class Histories(NamedTuple):
    """loss (R, E), metrics (R, E, M), controls (R, E, C), frozen (R, E, G)."""

    loss: np.ndarray
    metrics: np.ndarray
    controls: np.ndarray
    frozen: np.ndarray


def steady(rng, runs=32, n=150, metrics=3, noise=0.02):
    """No event: a falling loss with a plateau and flat metrics, both noisy; slow controls, nothing frozen."""
    e = np.arange(n)
    loss = 0.3 + 4 * np.exp(-e / 3) + noise * rng.normal(size=(runs, n))
    figures = 0.3 + noise * rng.normal(size=(runs, n, metrics))
    rate = np.broadcast_to(0.5 + 0.5 * np.cos(np.pi * e / n / 1.5), (runs, n))
    controls = np.stack([rate, np.ones((runs, n))], -1)
    return Histories(loss, figures, controls, np.zeros((runs, n, 2)))


def grokked(rng, runs=32, n=150, at=80, width=1.0, height=0.6, metrics=3, noise=0.02):
    """`steady`, with a rise of all metrics at `at` along a logistic curve, whose middle four fifths take 4.4 widths."""
    history = steady(rng, runs, n, metrics, noise)
    rise = height / (1 + np.exp(-(np.arange(n) - at) / width))
    return history._replace(metrics=history.metrics + rise[None, :, None])


def dropped(rng, runs=32, n=150, at=80, metrics=3, noise=0.02):
    """`steady`, with a drop of the rate to a tenth that makes metrics jump and the loss fall: no grokking."""
    history = steady(rng, runs, n, metrics, noise)
    later = np.arange(n) >= at
    controls = history.controls * np.where(later, 0.1, 1.0)[None, :, None]
    loss = history.loss - 0.15 * later
    return history._replace(loss=loss, metrics=history.metrics + 0.2 * later[None, :, None], controls=controls)


def anything(rng, runs, n=80, metrics=3):
    """Random steps, slopes, spikes, noise, gaps, jumps of controls and freezes.

    All values are multiples of 1/256, so that equal values are equal in float32 and in float64.
    """
    e = np.arange(n)

    def steps(count, size):
        at = rng.integers(0, n, (count, 1))
        return np.sum(size * rng.choice([-1, 1], (count, 1), p=[0.2, 0.8]) * (e >= at), 0)

    def one(noise):
        x = steps(rng.integers(0, 3), rng.choice([0.02, 0.1, 0.4])) + noise * rng.normal(size=n)
        x = x + rng.choice([0, 0.003], p=[0.9, 0.1]) * e
        x[rng.integers(0, n, rng.integers(0, 3))] += rng.choice([-0.5, 0, 0.5], p=[0.1, 0.7, 0.2])
        return x

    def run():
        noise = rng.choice([0, 0.005, 0.02])
        own = rng.choice([0.005, 0.02])
        loss = (
            1
            + own * rng.normal(size=n)
            - rng.choice([0, 0.3], p=[0.7, 0.3]) * one(own)
            + rng.choice([0, 3]) * np.exp(-e / 3)
        )
        together = one(noise)
        figures = [together + noise * rng.normal(size=n) if rng.random() < 0.7 else one(noise) for _ in range(metrics)]
        controls = rng.choice([1.0, 0.9, 0.5, 0.25], n)
        keep = rng.random(n) < 0.98
        held = np.maximum.accumulate(np.where(keep, 0, e))
        frozen = (np.cumsum(rng.random((n, 2)) < 0.01, 0) % 2).astype(float)
        return loss, np.stack(figures, -1), np.stack([controls[held], np.ones(n)], -1), frozen

    loss, figures, controls, frozen = map(np.stack, zip(*(run() for _ in range(runs)), strict=True))
    figures = np.round(figures * 256) / 256
    figures[rng.random(figures.shape) < 0.002] = np.inf
    return Histories(np.round(loss * 256) / 256, figures, controls, frozen)
