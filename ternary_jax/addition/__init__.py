"""Addition modulo p^k: a task that is known to generalise long after it fits, on the same engine."""
