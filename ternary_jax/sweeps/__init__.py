"""Sweeps: a product of settings and seeds, planned in groups of equal static settings, and trained group by group."""
