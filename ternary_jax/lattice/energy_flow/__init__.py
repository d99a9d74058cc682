"""The energy-flow lattice: flows carry the values of an input face through a box of cells to an output face."""
