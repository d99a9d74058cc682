"""Lattices: models whose inputs and outputs are faces of a box of cells, and what they share."""
