"""What all figures share: their style, reference lines, and colours. It knows no task and no workdir."""
