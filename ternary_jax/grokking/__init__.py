"""Grokking: one set of definitions; a detector that runs with the training, and an analysis of what a run has logged."""
