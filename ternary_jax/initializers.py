"""The initial weights of a dense layer."""

import jax

# Variance 1 / fan_in, as flax's default, which is a truncated normal: thirty of those take seconds to compile.
uniform = jax.nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
