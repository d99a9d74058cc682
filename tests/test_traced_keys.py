"""The check of tests/traced_keys.py: a program that uses a random key twice is refused when it is traced."""

import jax
import jax.numpy as jnp
import pytest
import traced_keys


def twice(key):
    return jax.random.normal(key) + jax.random.uniform(key)


def in_a_loop(key):
    return jax.lax.fori_loop(0, 2, lambda _, x: x + jax.random.normal(key), jnp.float32(0))


@pytest.mark.parametrize("program", [twice, in_a_loop, lambda key: jax.vmap(twice)(jax.random.split(key, 2))])
def test_a_program_that_uses_a_key_twice_is_refused(program):
    with pytest.raises(jax.errors.KeyReuseError):
        jax.jit(program)(jax.random.key(0))


def test_it_may_where_a_test_says_so():
    with traced_keys.used_twice():
        jax.jit(lambda key: twice(key))(jax.random.key(0))
