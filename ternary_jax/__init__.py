"""Structured-latent models over the 3-adic space of ternary operations."""

import os

# XLA calls two of its own tuning preferences missing features of this machine, in two long lines for every program
# that it takes from the compilation cache, and then uses the program (jax issue 38445). Only what is fatal is worth
# its lines. It has to be said before jax is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
