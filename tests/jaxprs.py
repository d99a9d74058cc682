"""The equations of a jaxpr, for tests that a disabled feature leaves none."""

import jax


def equations(jaxpr):
    """The names of the primitives of all equations, including those of inner jaxprs."""
    found = []
    for eqn in jaxpr.eqns:
        found.append(eqn.primitive.name)
        for inner in jax.tree.leaves(eqn.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(inner, "jaxpr", inner)
            found += equations(inner) if hasattr(inner, "eqns") else []
    return found
