"""What the weights of a dense layer are at first."""

import jax

# Of variance 1 / fan_in, as flax's default; but that is a truncated normal, and thirty of them take seconds to compile.
uniform = jax.nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
