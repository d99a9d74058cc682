"""The check that no random key is used twice, in every program that is traced.

jax_debug_key_reuse also checks every call, which takes all calls off the fast path: an operation outside jit takes ten
times as long. Without it, a key that two programs use goes unseen; the engine draws inside its own programs alone.
"""

import contextlib

import jax
from jax._src import pjit
from jax.experimental.key_reuse import _core as key_reuse

_checked = [True]


def install() -> None:
    """Check what jax.jit traces from now on. Another release of jax than the one of this file checks all calls."""
    if jax.__version_info__[:2] != (0, 10):
        jax.config.update("jax_debug_key_reuse", True)
        return
    trace = pjit._trace_for_jit

    def traced(*args):
        found = trace(*args)
        if _checked[0]:
            key_reuse.check_key_reuse_jaxpr(found.params["jaxpr"].jaxpr)
        return found

    pjit._trace_for_jit = traced


@contextlib.contextmanager
def used_twice():
    """A program may use a key twice here, as one does that repeats its draws in the backward pass."""
    _checked[0] = False
    with jax.debug_key_reuse(False):
        yield
    _checked[0] = True
