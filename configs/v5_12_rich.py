"""v5_12 at the rich end of the frontier between richness and tree: radii of level 0 as far apart as the ball allows.

The first digit sends a point of level 0 to 0.945 or to 0.25 of the ball's radius. This leaves less room for the higher
levels, so their bands lie nearer to the origin and nearer to each other.
"""

from pathlib import Path

from ml_collections import ConfigDict

from ternary_jax.config import read


def get_config() -> ConfigDict:
    config = read(Path(__file__).with_name("v5_12.py"))
    config.losses.bands.outer = 0.945  # just below model.max_radius, 0.95
    config.losses.bands.between = 0.25
    config.losses.bands.furthest = 0.6
    config.losses.bands.ratio = 0.6
    config.losses.bands.spread = 4.0
    return config.lock()
