"""Addition modulo p^k, on the same engine: a task that is known to generalise long after it fits."""
