"""The emergent cube: gated perceptrons on a lattice, each of which sees its six neighbours alone."""
