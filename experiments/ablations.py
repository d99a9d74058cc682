"""All ablations, or the named ones, from nothing: what each module, loss, curvature, part and defect costs.

    python experiments/ablations.py                     all; the same command goes on after a kill
    python experiments/ablations.py losses curvature    these
    python experiments/ablations.py --quick             all on 3^7 operations, with 4 seeds
    python experiments/ablations.py --estimate          print settings, seeds and time of each, and train nothing
    python experiments/ablations.py --page              write docs/ablations.md from results/, and train nothing

Each is a file ablate_NAME.py, which runs by itself too. Writes results/ablate_NAME.json and .png, and
docs/ablations.md. With --quick or --out=DIR, all of these go to that folder, ablations.md too.
"""

import argparse

from ternary_jax import terminal  # before jax: the package sets which messages XLA prints

# isort: split
import lab
import lab_ablation_results as results
import lab_ablations


def main() -> None:
    """Print the estimate, train, and write the page."""
    parser = lab_ablations.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(results.NAMES)}; default: all")
    parser.add_argument("--page", action="store_true", help="write the page from the results, and train nothing")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in results.NAMES]:
        parser.error(f"NAME={unknown[0]} is no ablation: give some of {', '.join(results.NAMES)}")
    if not given.page:
        ablations = [lab_ablations.load(name) for name in given.names or results.NAMES]
        lab_ablations.announce(ablations, given.quick)
        for one in () if given.estimate else ablations:
            lab_ablations.run(one, given)
    if given.page or not given.estimate:
        write_page(given)


def write_page(given: argparse.Namespace) -> None:
    """Write docs/ablations.md from results/; the page of another folder lies in it."""
    folder = lab.folder(given)
    if not (found := results.read_all(folder)):
        raise SystemExit(f"{folder} has no result of an ablation: write one, such as by ablate_losses.py, then --page")
    usual = folder == lab.RESULTS
    file = lab.ROOT / "docs" / "ablations.md" if usual else folder / "ablations.md"
    file.write_text(results.page(found, "../results/" if usual else ""))
    terminal.say(f"wrote {file}")


if __name__ == "__main__":
    main()
