"""Text for the lattices: vectors of sentences, and what is judged in their space."""
