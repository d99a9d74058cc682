"""The final figures of the ternary configs that are printed for each seed, and their bars."""

# Bars on the final model, on branch B where no other is named.
BARS: dict[str, dict[str, float]] = {
    "v5_12": dict(
        coverage=1.0, hierarchy=-0.8320, richness=0.0042, triplet_accuracy=0.98, ultrametric_correlation=-0.78
    ),
    "v5_12_rich": dict(coverage=1.0, hierarchy=-0.8320, richness=0.0106, triplet_accuracy=0.95),
    "v5_12_4": dict(coverage=0.99, hierarchy=-0.80),
    "v5_10": dict(coverage=1.0, coverage_A=1.0, triplet_accuracy=0.95),
}


def figures_of(name: str) -> list[str]:
    """The printed figures of a config: those of the main config, and those that have bars."""
    return [*dict.fromkeys([*BARS["v5_12"], *BARS.get(name, {})])]


def sign_of(metric: str) -> int:
    """+1 where more of a figure is better, -1 where less is."""
    return -1 if metric in ("hierarchy", "ultrametric_correlation") else 1
