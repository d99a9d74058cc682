"""What a program is made of, for tests of what is on and what is off."""

import jax


def equations(jaxpr):
    """The primitive of every equation, also of inner jaxprs."""
    found = []
    for eqn in jaxpr.eqns:
        found.append(eqn.primitive.name)
        for inner in jax.tree.leaves(eqn.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(inner, "jaxpr", inner)
            found += equations(inner) if hasattr(inner, "eqns") else []
    return found
