"""The declaration of each result file on docs/results.md: what it answers, the command that wrote it, and its rows.

It imports no jax, as lab_results.py, which writes the pages.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lab_result_rows import (
    Row,
    accuracy,
    agreements,
    clusters,
    commits,
    cube_baselines,
    cube_speed,
    cubes,
    decoded,
    detector,
    diagram,
    each,
    endurance,
    faults,
    flow_speed,
    flows,
    held_out,
    homeostasis,
    named,
    of_probes,
    probes,
    recovery,
    seeds,
    steering,
    strategy,
    texts,
    tree,
    variants,
)
from lab_tree_rows import frontier, peers


class Section(NamedTuple):
    """A result file on docs/results.md. rows: its content -> the lines of a table, the first of which is the head."""

    title: str
    command: str
    note: str
    rows: Callable[[Mapping[str, Any]], list[Row]]


SHORTER = "Measured when the schedule had 80 epochs, the first cosine 10 of them; the config has 96 and 12 now."
SEEDS = "One process a seed, without a compilation cache."
HELD_OUT = "Five of the nine rows of the script, the first with --runs=2. A row has one split; others differ widely."
BESIDE = "Differences are over seeds, from the row that is named: flows of the same size, or a linear map."
DRAWN = "32,768 pairs to train on, 2,048 to test, on 8 x 8; no model has a greater cosine than the row ceiling."
SPEED = dict(ms=",.2f", samples_per_s=",.0f")
SECTIONS: dict[str, Section] = {
    "seeds_v5_12": Section("v5.12", "seeds.py", SEEDS, seeds),
    "seeds_v5_12_rich": Section("v5.12, rich", "seeds.py --config=configs/v5_12_rich.py --seeds=2", SEEDS, seeds),
    "seeds_v5_12_4": Section("v5.12.4", "seeds.py --config=configs/v5_12_4.py --seeds=1", "", seeds),
    "disc": Section("The residue tree in the points of v5_12", "disc.py", "Branch B of one run, seed 0.", clusters),
    "variants": Section("The specialised scripts", "variants.py --seeds=4", "Four seeds each.", variants),
    "frontier": Section(
        "Hierarchy, Q and richness: what is possible",
        "frontier.py",
        "The last column is proven for all layouts of radii below 0.95; within 1e-6 of the ceiling of hierarchy, it is "
        "that of bands without overlap. Rows of radii are the best layouts that a search has found, not bounds: only "
        "level 0 has a width, or each level has a band, or anything. Richness is the mean over levels, so the two "
        "operations of level 8 count as much as the 13,122 of level 0: layouts with little else than them spread are "
        "rich at no cost. Published points have no Q and no triplets. Figure: "
        "[frontier.png](../results/frontier.png).",
        frontier,
    ),
    "held_out": Section("Held-out operations", "held_out.py", f"{HELD_OUT} {SHORTER}", held_out),
    "seeds_v5_10": Section("v5.10", "seeds.py --config=configs/v5_10.py", SEEDS, seeds),
    "compare_statenet": Section(
        "StateNet against schedules",
        "compare_statenet.py",
        "R is the reference objective at the end, F a mean log of R over a run; lower is better. "
        "This R was taken at the c and sigma of the run, so changing these changed it directly; it is now at those "
        "of the config. "
        "Brackets are 95 % intervals over seeds. A run meets coverage 0.99 of both branches and hierarchy -0.80. "
        "Runs have 2,106 steps, less than half of v5_10; steps are those until the bars are met, 2,100 if never.",
        steering,
    ),
    "meta_train_statenet": Section(
        "Training StateNet",
        "meta_train_statenet.py PART",
        "On 3^5 and 3^6 operations, by the R of the comparison above. PART is tune, then course, train and unroll, in "
        "any order.",
        strategy,
    ),
    "statenet_worlds_predict": Section(
        "What R and J say of runs that differ",
        "statenet_worlds.py predict",
        "32 runs of 460 steps on 3^7 operations, each in a world of its own, by fixed schedules. Spearman's "
        "correlation of -R and of -J with what a user wants, with the sign of better, so 1 is perfect, and its 95 % "
        "interval by resampling runs. J is made of these figures, all but steps; R is the sum of the losses.",
        agreements,
    ),
    "bench_statenet": Section(
        "The cost of StateNet", "bench_statenet.py --quick", "A step of v5_10.", each("speed", "", **SPEED, ratio=".3f")
    ),
    "detect_grokking": Section("The detector of grokking", "detect_grokking.py", "Runs that show it.", detector),
    "phase_diagram": Section("What most of three runs do", "phase_diagram.py", "Rows are train fractions.", diagram),
    "bench_grokking": Section(
        "The cost of detector and gates",
        "bench_grokking.py",
        "A chunk of v5_12, three epochs; cost is the time of the controllers beyond those of plain, as a share of a "
        "plain chunk.",
        each("arms", "", seconds=".3f", controllers_ms=".2f", cost=".2%"),
    ),
    "homeostasis_compare": Section("Homeostasis on v5_12", "homeostasis.py compare", "Sixteen seeds.", homeostasis),
    "homeostasis_recover": Section("An encoder that opens too fast", "homeostasis.py recover", "", recovery),
    "accuracy_geometry": Section("Precision of the geometry", "accuracy_geometry.py", "In float32.", accuracy),
    "bench_geometry": Section(
        "Speed of the geometry",
        "bench_geometry.py",
        "All pairs of 4,096 points in 16 dimensions, two cores.",
        named(
            *(
                (f"seconds, {name}", f"seconds/{name}", ".3f")
                for name in ("ternary_jax", "geoopt", "geoopt, 256 rows at a time")
            )
        ),
    ),
    "embed_tree": Section("The residue tree as a table of points", "embed_tree.py", "3^5 operations.", tree),
    "bench_peers": Section(
        "Packages that embed the residue tree",
        "bench_peers.py",
        "3^5 leaves, 16 dimensions. gensim ranks the ancestors of each node and never sees a distance; geoopt and "
        "ternary_jax fit distances of leaves to paths in the tree, so that only triplets are common ground. geoopt "
        "moves points back to a norm of 0.996, and so can take longer steps: as far out as geoopt has the same limit. "
        "Path stress and distortion ignore a factor on all distances, and a perfect fit of paths has a distortion of "
        "0.13. ancestors is the mean average precision of the ancestors of a node. The cores were shared with other "
        "work: read CPU seconds.",
        peers,
    ),
    "energy_flow": Section(
        "The energy-flow lattice",
        "energy_flow.py ROW",
        "r2 is of fresh faces; several seeds are trained in one program, and CPU seconds are those of one of them.",
        flows,
    ),
    "energy_flow_dense": Section(
        "The energy-flow lattice on a dense mix",
        "energy_flow.py ROW",
        "As above, of an orthogonal matrix; rows with still have flows that move along z alone.",
        flows,
    ),
    "bench_energy_flow": Section(
        "The speed of the energy-flow lattice",
        "bench_energy_flow.py",
        "Flow-steps are flows x steps x faces, of whole training steps.",
        flow_speed,
    ),
    "cube": Section(
        "The emergent cube",
        "cube.py ROW",
        "r2 is of fresh faces; several seeds are trained in one program, on one matrix or permutation for all, and "
        "CPU seconds are those of one of them. Weights are after the target; 5 x 5 x 4 cells, with _8 8 x 8 x 6. "
        "No cube of that size and length exceeds the ceiling; r2_short is read before anything of a face can be there.",
        cubes,
    ),
    "cube_baselines": Section(
        "Other models of the targets of the cube",
        "cube.py baselines",
        "r2 on fresh faces; of what is trained, the median of the seeds, and in brackets the worst where it is known. "
        "The budget is that of a row of the cube, 800 steps of 32 faces. The cube itself stands in the rows above.",
        cube_baselines,
    ),
    "cube_weights": Section(
        "Cells that share weights",
        "cube.py ROW",
        "As above, for cells that share weights; rows of weights of each cell (own) are above. Each kind has the best "
        "of the learning rates at the end of the table, which are of another seed.",
        cubes,
    ),
    "cube_probes": Section(
        "Probes of the states of a cube",
        "cube_probes.py attractor noise damage asynchronous",
        "5 x 5 x 4 cells, all updated; a mirror, or the recall of a face. T is 12 updates. damage: a block of cells "
        "has lost its states, or got random ones; updates until 99 % of the r2 are back, 41 where not after 40.",
        of_probes("attractor", "noise", "damage", "asynchronous"),
    ),
    "cube_probes_cells": Section(
        "Probes of the cells of a cube",
        "cube_probes.py lesion layers swap rule speed larger",
        "The same cubes. speed: cells that a slope of 1 % has come after t updates, and the greatest slope outside of "
        "the light cone. rule: the share of the updates that one rule explains, of unrelated cells 0.01.",
        of_probes("lesion", "layers", "swap", "rule", "speed", "larger"),
    ),
    "bench_cube": Section(
        "The speed of the cube",
        "bench_cube.py",
        "Whole training steps, each row in a process of its own; a step of the original is one update of each cell, a "
        "step of full, all is eleven. Plain products are those of a step, each alone.",
        cube_speed,
    ),
    "cube_endurance": Section(
        "The endurance of the cube",
        "cube_endurance.py",
        "Growth is of the last fifth of the time over the second one, the least of each.",
        endurance,
    ),
    "text_chatterbot": Section(
        "Lattices between texts: the small corpus of the package",
        "text_lattices.py level ROW...",
        f"Of 128 pairs that were never trained on; chance of recall is 1 and 10 of 128, and of all 1 of 512. {BESIDE}",
        texts,
    ),
    "text_wiki": Section(
        "Lattices between texts: the next sentence of Wikipedia",
        "text_lattices.py --pairs=wiki.npz level ROW...",
        f"3,680 pairs to train on, 1,000 to test; chance of recall is 1 and 10 of 1,000, of all 1 of 5,000. {BESIDE}",
        texts,
    ),
    "text_boolq": Section(
        "Lattices between texts: the passage that answers a question",
        "text_lattices.py --pairs=boolq.npz level ROW...",
        f"BoolQ, 1,000 pairs to test; chance of recall is 1 and 10 of 1,000, of all 1 of 8,002. {BESIDE}",
        texts,
    ),
    "text_wiki_20": Section(
        "Lattices between texts: the next sentence of Wikipedia, on 20 x 20",
        "text_lattices.py --pairs=wiki_20.npz level ROW...",
        f"The same pairs on a face of 400 cells, which holds all 384 numbers of a vector. {BESIDE}",
        texts,
    ),
    "text_synthetic_linear": Section(
        "Lattices between drawn vectors: an orthogonal map",
        "text_lattices.py --pairs=synthetic_linear ROW...",
        f"{DRAWN} {BESIDE}",
        texts,
    ),
    "text_synthetic_nonlinear": Section(
        "Lattices between drawn vectors: two random layers",
        "text_lattices.py --pairs=synthetic_nonlinear ROW...",
        f"{DRAWN} {BESIDE}",
        texts,
    ),
    "text_wiki_all_decoder": Section(
        "Texts from surfaces, byte by byte",
        "text_lattices.py --pairs=wiki_all.npz decoder",
        "Trained on the first 96 bytes of both sides of the training pairs of the whole corpus, 15,159 texts; bits of "
        "1,000 second sentences of other articles, less is better. no surface is a decoder that never saw one. Below, "
        "sentences of our own and what the decoder of the first seed writes from their surfaces.",
        decoded,
    ),
    "energy_flow_probes": Section(
        "Probes of the energy-flow lattice",
        "energy_flow_probes.py depth steps barrier removal permuted",
        "r2 is of fresh faces; behind a barrier, the hard one. through is the share of flows that went through the "
        "hole; no way around is the r2 of flows that stay in their rows. Distances are in cells.",
        probes,
    ),
    "bench_step": Section(
        "A training step of v5_12",
        "bench_step.py",
        "512 x 8 is eight runs of batch 512 at once. The peak is the best matrix product of the same process.",
        each("rates/rows", "batch", **SPEED, share_of_peak=".0%"),
    ),
    "bench_engine": Section(
        "The engine",
        "bench_engine.py",
        "With smoke.py unless said; the share of v5_12 is the median of five turns.",
        named(
            ("seconds to the first step, nothing compiled", "start/cold_first_step_s", ".1f"),
            ("seconds to the first step, warm cache", "start/warm_first_step_s", ".1f"),
            ("log, evaluation and checkpoints, as a share of a bare scan", "observing/share", ".1%"),
            ("the same share of v5_12, whose chunks are shorter", "observing_default/share", ".1%"),
            ("milliseconds that a save holds the loop up, worst", "observing/save_blocks_ms_worst", ".0f"),
            *((f"samples/s, {n} runs at once", f"many_runs_samples_per_s/{n}", ",.0f") for n in (1, 2, 4, 8)),
        ),
    ),
    "bench_commits": Section(
        "Beside an earlier commit",
        "bench_commits.py OLD --rounds=15",
        "before and now are medians of whole runs of v5_12; OLD has commit ae850a5. The ratio is the median of the "
        "ratios of each round, and may differ from that of the medians; more is faster.",
        commits,
    ),
    "kill": Section(
        "Killed and resumed",
        "kill.py",
        "Every trial kills the process, by turns at a random moment and in a save, and compares checkpoint, rows and "
        "exports with an undisturbed run. Measured with smoke.py when its model had a single branch.",
        named(
            ("trials", "config/trials", "d"),
            ("identical to the last bit", "identical", "d"),
            ("arrays", "compared", "d"),
        ),
    ),
    "fuzz": Section(
        "Damaged workdirs",
        "fuzz.py",
        "A fault is a traceback, a hang (over 10 s; a training 60 s), or a change outside of the workdir.",
        named(
            ("cases", "cases", "d"),
            ("without a fault", "faultless", "d"),
            ("readers that read", "answers/read", ",d"),
            ("analyses", "answers/analysed", ",d"),
            ("readers that refused, with a sentence", "answers/refused", ",d"),
            ("trainings that went on", "answers/resumed", "d"),
        ),
    ),
    "faults": Section("Faults", "faults.py", "Each fault is caused for real.", faults),
}
