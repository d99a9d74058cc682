"""Grokking: one set of definitions; a detector that runs with the training, and an analysis of its log."""
