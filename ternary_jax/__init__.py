"""Structured-latent models over the 3-adic space of ternary operations."""
