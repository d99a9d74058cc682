"""Trained models: loading one from its workdir, asking it, and exporting it."""

from ternary_jax.inference.model import About, Model, load

__all__ = ["About", "Model", "load"]
