"""The ternary task on small spaces: batches, parameter updates, phases, metrics, exports, and whole runs."""

import functools
import json
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from reference import judge
from reference import losses as reference
from scipy import stats

from ternary_jax.config import listed_runs, split
from ternary_jax.engine import host
from ternary_jax.engine.plan import plan, schedule_rows
from ternary_jax.engine.program import control_chain
from ternary_jax.sweeps.plan import plan as sweep_plan
from ternary_jax.vae import branch, control, data, evaluate, forward, references, task
from ternary_jax.workdir import checkpoint
from ternary_jax.workdir import rows as log

D, N, DIM = small.D, small.N, small.DIM
V = judge.valuation_of_integer(np.arange(N), D)
SPLITS = {
    "none": {},
    "random": dict(data__split="random", data__train_share=0.6),
    "residue_balls": dict(data__split="residue_balls", data__residue_level=2, data__residue_held_out=4),
    "digit_box": dict(data__split="digit_box", data__box_digits=2),
    "one level": dict(data__split="residue_balls", data__residue_level=1, data__residue_held_out=1),
}


@functools.cache
def static_of(name):
    """(task, static) of a split. Its held-out rows have one level if the name is "one level", else at least two."""
    for seed in range(9):
        static, _ = split(small.config(**SPLITS[name], data__split_seed=seed))
        made = task.make_task(static)
        levels = set(V[~np.asarray(made.data.train_mask)])
        if (len(levels) == 1) == (name == "one level"):
            return made, static
    raise AssertionError(name)


# --- what a step draws ------------------------------------------------------------------------------------------------


def drawn(n, **overrides):
    """n batches of an untrained task, and its mask of training operations."""
    made, _, hypers, _ = small.setting(**overrides)
    sample = small.jit(jax.vmap(lambda key: made.sample(small.context(made, hypers)._replace(key=key))))
    return jax.device_get((sample(jax.random.split(jax.random.key(0), n)), made.data.train_mask))


def test_a_batch_is_of_all_operations_that_are_trained_on():
    batch, train_mask = drawn(60, **SPLITS["random"])
    assert batch.partners is None
    assert batch.anchors.shape == (60, 24)
    assert set(batch.anchors.ravel()) == set(np.flatnonzero(train_mask))
    assert train_mask.sum() == round(0.6 * N)


def test_partners_are_at_each_pair_valuation_in_turn():
    batch, train_mask = drawn(60, data__partners=True, **SPLITS["random"])
    anchors, partners = batch.anchors, batch.partners
    assert anchors.shape == partners.shape == (60, 12)
    assert train_mask[anchors].all()
    assert train_mask[partners].all()
    found = judge.valuation_of_integer(np.abs(anchors - partners), D)
    wanted = np.broadcast_to(np.arange(12) % D, found.shape)
    alone = found == D  # an operation none of whose neighbours is trained on is its own partner
    np.testing.assert_array_equal(found[~alone], wanted[~alone])
    where = train_mask[None] & (judge.valuation_of_integer(np.arange(N)[:, None] - np.arange(N), D) == wanted[0, 3])
    np.testing.assert_array_equal(alone[:, 3], ~where[anchors[:, 3]].any(1))
    assert set(partners.ravel()) == set(np.flatnonzero(train_mask))


def test_levels_have_their_share_of_a_batch():
    batch, _ = drawn(20, data__budget=0.5)
    high = V[batch.anchors] >= 2
    assert (high.sum(1) >= 12).all()
    assert np.mean(high) < 0.7


# --- what moves in a step ---------------------------------------------------------------------------------------------

MODEL = dict(
    radii__inner=0.08,
    radii__outer=0.9,
    losses__radial__on="A",
    losses__stratification__on="AB",
    losses__reconstruction__on="AB",
    model__curvature="learned",
    data__shifts=1,
)

# Linear networks halve the time to compile.
THIN: dict[str, Any] = {"model__direction_hidden": (), "model__radius_hidden": ()}
for _b in "AB":
    THIN |= {f"model__{_b}__encoder": "plain", f"model__{_b}__hidden": (), f"model__{_b}__decoder_hidden": ()}


@pytest.fixture(scope="module")
def steps():
    """Steps with two frozen groups and a clip norm that clips."""
    return small.steps(**MODEL, start__frozen=("encoder_A", "decoder_B"), train__clip_norm=0.5)


def same(a, b):
    return {group for group in a if jax.tree.all(jax.tree.map(np.array_equal, a[group], b[group]))}


def test_frozen_groups_stay_bit_by_bit_with_their_optimizer_and_others_move(steps):
    state, info = steps.step(steps.state)
    for number in (1, 2):
        state, info = steps.step(state, number)
    frozen = {"encoder_A", "decoder_B"}
    assert same(state.params, steps.state.params) == frozen
    assert same(state.opt_state, steps.state.opt_state) == frozen
    assert all(float(info.gradient[group]) > 0 for group in frozen)
    assert set(state.params) == {f"{part}_{b}" for part in ("encoder", "projection", "decoder") for b in "AB"} | {
        "curvature"
    }


def test_a_frozen_group_is_not_in_the_clip_norm(steps):
    state, info = steps.step(steps.state)
    norms = {group: float(norm) for group, norm in info.gradient.items()}
    together = np.sqrt(sum(norms[group] ** 2 for group in norms if group not in ("encoder_A", "decoder_B")))
    assert together > 0.5
    assert float(info.gradient_norm) > 1.05 * together
    for group in ("encoder_B", "projection_A", "decoder_A", "curvature"):
        first_moment = np.linalg.norm(small.flat(state.opt_state[group].mu))
        assert first_moment == pytest.approx(0.1 * norms[group] * 0.5 / together, rel=1e-4), group


def test_rates_are_by_group_and_at_0_the_optimizer_goes_on(steps):
    state, _ = steps.step(steps.state)
    factors = {"encoder_B": 0.0, "projection_A": 3.0, "curvature": 0.5}
    rates = steps.hypers.rates._replace(**{group: jnp.float32(x) for group, x in factors.items()})
    hypers = steps.hypers._replace(rates=rates)
    begun = steps.state._replace(control=control_chain(steps.made).init(hypers))
    moved, info = steps.step(begun, hypers=hypers)
    for group, before in steps.state.params.items():
        one, other = (small.flat(after.params[group]) - small.flat(before) for after in (state, moved))
        np.testing.assert_allclose(other, factors.get(group, 1.0) * one, rtol=1e-3, atol=1e-7, err_msg=group)
        assert float(info.rates[group]) == factors.get(group, 1.0)
    assert same(moved.params, steps.state.params) == {"encoder_A", "decoder_B", "encoder_B"}
    assert same(moved.opt_state, steps.state.opt_state) == {"encoder_A", "decoder_B"}


def test_a_learned_curvature_moves_and_the_targets_do_not(steps):
    state, info = steps.step(steps.state)
    assert float(info.signals["c"]) == pytest.approx(0.7, rel=1e-6)
    assert float(info.gradient["curvature"]) > 0
    _, later = steps.step(state, 1)
    theta = float(state.params["curvature"]["theta"])
    assert float(later.signals["c"]) == pytest.approx(np.log1p(np.exp(theta)), rel=1e-6)
    assert abs(float(later.signals["c"]) - 0.7) > 1e-3

    @small.jit
    def geometry(theta):
        params = steps.state.params | {"curvature": {"theta": theta}}
        given = small.context(steps.made, steps.hypers)
        made = {b: branch.make_branch(b, steps.static) for b in "AB"}
        outputs = forward.forward(made, steps.static, params, data.Indices(jnp.arange(24)), given, 0)
        return [(one.targets, one.c, one.c0, one.points.r) for one in outputs.values()]

    # Radii are (2 / sqrt c) artanh(...) of what the networks say: at a quarter of c they are twice as long.
    for (targets, c, c0, r), (_, _, _, r_before) in zip(
        geometry(np.log(np.expm1(0.175))), geometry(np.log(np.expm1(0.7))), strict=True
    ):
        assert (float(c), float(c0)) == pytest.approx((0.175, 0.7), rel=1e-5)
        np.testing.assert_allclose(targets, reference.radial_targets(0.08, 0.9, 0.7, D), rtol=1e-5)
        np.testing.assert_allclose(r, 2 * np.asarray(r_before), rtol=1e-5)


def test_a_fixed_curvature_is_no_group_and_any_learned_one_can_begin():
    made, _, hypers, _ = small.setting()
    assert "curvature" not in jax.eval_shape(made.init, jax.random.key(0), hypers)
    made, static, hypers, _ = small.setting(model__curvature="learned")
    begin = small.jit(lambda hypers: forward.curvature(made.init(jax.random.key(0), hypers), {}, hypers, static))
    for c in (1e-4, 0.7, 5.0, 1e3):
        given = hypers._replace(model=hypers.model._replace(c=jnp.float32(c)))
        assert float(begin(given)) == pytest.approx(c, rel=1e-5)


def test_a_shared_decoder_drops_out_as_that_of_a():
    for a, b, expected in ((0.5, 0.0, True), (0.0, 0.5, False), (0.5, 0.5, True)):
        static, _ = split(
            small.config(
                model__A__decoder="improved",
                model__A__dropout=a,
                model__B__dropout=b,
                model__B__decoder="shared",
                model__B__encoder="plain",
            )
        )
        assert forward.has_dropout(static, "B") == expected


def test_microbatches_have_the_gradient_of_the_batch_where_losses_are_means_over_rows():
    found = {}
    for parts in (1, 4):
        steps = small.steps(**THIN, losses__stratification__on="A", train__microbatches=parts, train__clip_norm=0.0)
        state, info = steps.step(steps.state)
        found[parts] = small.gradient(state), info
    for group, slope in found[1][0].items():
        np.testing.assert_allclose(found[4][0][group], slope, rtol=1e-4, atol=1e-6, err_msg=group)
    assert float(found[4][1].loss) == pytest.approx(float(found[1][1].loss), rel=1e-6)
    assert found[4][1].terms.keys() == {"reconstruction_A", "reconstruction_B", "stratification_A"}


# --- phases -----------------------------------------------------------------------------------------------------------


def test_phases_begin_with_their_epochs():
    made, static, _, _ = small.setting(phases__structure_from=1, phases__geometry_from=3)
    steps = plan(static, N)
    assert (steps.unit, steps.total) == (4, 16)  # 81 operations by 24
    rows = schedule_rows(made, static)
    assert rows["structure"].tolist() == [0.0] * 4 + [1.0] * 12
    assert rows["geometry"].tolist() == [0.0] * 12 + [1.0] * 4
    assert not small.setting()[0].schedules
    assert small.setting(phases__geometry_from=2)[0].schedules["structure"].tolist() == [1.0] * 16


@pytest.mark.parametrize("later", [0.0, 0.5])
def test_a_phase_leaves_reconstruction_and_kl_alone_then_all_but_geometry_then_all(later):
    phases = dict(phases__structure_from=1, phases__geometry_from=3, phases__radial_after=later)
    _, _, hypers, _ = small.setting(**phases)
    every = {"radial", "stratification", "monotonic", "rank", "rich", "geodesic", "zero", "bands"}
    every |= {"metric", "norm", "ranking", "ranking_v2", "ranking_hyperbolic", "repulsion", "centroid"}
    every |= {"entropy", "focus", "alignment"}

    def of(structure, geometry):
        knobs = dict(structure=jnp.float32(structure), geometry=jnp.float32(geometry))
        on = dict.fromkeys((*every, "reconstruction", "kl", "prior"), "AB")
        found = control.knob_factors(knobs, on, hypers)
        return {name: float(x) for name, x in found.items()}

    assert of(0.0, 0.0) == dict.fromkeys(every, 0.0)
    assert of(1.0, 0.0) == dict.fromkeys(every, 1.0) | {"geodesic": 0.0}
    assert of(1.0, 1.0) == dict.fromkeys(every, 1.0) | {"radial": later}
    assert control.knob_factors({}, dict.fromkeys(every, "AB"), hypers) == {}


# --- what is measured -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPLITS)
def test_metrics_are_those_of_b_then_a_with_their_references(name):
    made, _ = static_of(name)
    held_out = evaluate.OnHeldOut._fields if name != "none" else ()
    cheap = [evaluate.Cheap._fields[0], *held_out, *evaluate.Cheap._fields[1:]]
    names = [*cheap, *evaluate.Costly._fields]
    assert [m.name for m in made.metrics] == [f"{name}_{b}" for b in "BA" for name in names]
    assert [m.name for m in made.metrics if m.costly] == [f"{n}_{b}" for b in "BA" for n in evaluate.Costly._fields]
    train_mask = np.asarray(made.data.train_mask)
    known = references.levels(D, 3, evaluate.draw_samples(D)) | references.held_out(train_mask, D)
    for m in made.metrics:
        k = known[m.name[:-2]]
        assert (m.best, m.chance, m.untrained) == pytest.approx((k.best, k.chance, k.untrained), nan_ok=True)
        assert m.better == (-1 if m.name[:-2] in references.LOWER_IS_BETTER else 1)
    by_name = {m.name: m for m in made.metrics}
    order = -V + np.random.default_rng(0).random(N) / 2
    assert by_name["hierarchy_A"].best == pytest.approx(judge.spearman(V, order))
    if name == "one level":
        assert np.isnan(by_name["held_out_hierarchy_B"].best)
    elif held_out:
        ceiling = stats.spearmanr(V[~train_mask], order[~train_mask])[0]
        assert by_name["held_out_hierarchy_B"].best == pytest.approx(ceiling)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", ["split none", "nothing of generalisation"]),
        ("random", ["split random: 32 of 81 operations held out", "leaks"]),
        ("residue_balls", ["split residue_balls: 36 of 81", "whole residue balls"]),
        ("digit_box", ["split digit_box: 9 of 81", "a box"]),
    ],
)
def test_the_note_of_a_split_says_what_it_measures(name, words):
    (note,) = static_of(name)[0].notes
    assert all(word in note for word in words), note
    assert "\n" not in note


@pytest.mark.parametrize("name", ["residue_balls", "digit_box", "one level"])
def test_what_is_held_out_is_measured_on_both_branches(name):
    made, _ = static_of(name)
    hypers = jax.tree.map(lambda x: x[0], split(small.config(**SPLITS[name]))[1])
    made = made._replace(data=jax.device_put(made.data))
    params, context = small.drawn(jax.eval_shape(made.init, jax.random.key(0), hypers)), small.context(made, hypers)
    with jax.debug_nans(False):
        both = small.jit(lambda params: (made.evaluate(params, context), cast(Any, made.export)(params, context)))
        found, file = jax.device_get(both(params))
        changed = params | {group: jax.tree.map(lambda x: 2 * x, params[group]) for group in ("encoder_B", "decoder_B")}
        _, other = jax.device_get(both(changed))
    for name_of in ("z", "radius"):
        np.testing.assert_array_equal(other[f"{name_of}_A"], file[f"{name_of}_A"])
        assert np.abs(other[f"{name_of}_B"] - file[f"{name_of}_B"]).max() > 0.01
    assert set(found) == {m.name for m in made.metrics if not m.costly}
    train_mask = file["train_mask"]
    np.testing.assert_array_equal(train_mask, made.data.train_mask)
    for b in "AB":
        right = (file[f"prediction_{b}"] == judge.trits(D)).all(1)
        radius = np.linalg.norm(file[f"z_{b}"].astype(np.float64), axis=1)
        assert float(found[f"coverage_{b}"]) == pytest.approx(right.mean(), abs=1e-6)
        assert float(found[f"held_out_coverage_{b}"]) == pytest.approx(right[~train_mask].mean(), abs=1e-6)
        gap = right[train_mask].mean() - right[~train_mask].mean()
        assert float(found[f"coverage_gap_{b}"]) == pytest.approx(gap, abs=1e-6)
        if name == "one level":
            assert np.isnan(found[f"held_out_hierarchy_{b}"])
        else:
            expected = stats.spearmanr(V[~train_mask], radius[~train_mask])[0]
            assert float(found[f"held_out_hierarchy_{b}"]) == pytest.approx(expected, abs=1e-6)


# --- a run of the whole engine ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """(workdir, summary, files of the runs): two at once, with bands, phases, a learned c, and one level held out."""
    workdir = tmp_path_factory.mktemp("two")
    given = dict(
        **SPLITS["one level"],
        **THIN,
        runs=2,
        data__partners=True,
        losses__bands__on="B",
        losses__stratification__on="A",
        model__curvature="learned",
        phases__structure_from=1,
        phases__geometry_from=2,
        train__epochs=20,
        evaluate__cheap_every=1,
        evaluate__costly_every=20,
        checkpoint__every=20,
        targets__coverage_B=0.0,
    )
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.debug_nans(False):  # of the hierarchy of one level
        summary = host.run(small.config(**given), workdir)
    jax.config.update("jax_disable_most_optimizations", before)
    files = []
    for path in sorted((workdir / "embeddings").iterdir()):
        with np.load(path) as file:
            files.append(dict(file))
    return workdir, summary, files


def test_the_rows_and_summary_of_a_run_show_its_training(two_runs):
    workdir, summary, _ = two_runs
    assert summary["finished"]
    assert summary == json.loads((workdir / "summary.json").read_text())
    (note,) = summary["notes"]
    assert note.startswith("split residue_balls: 27 of 81 operations held out")
    metrics = [*evaluate.Cheap._fields, *evaluate.OnHeldOut._fields, *evaluate.Costly._fields]
    for number, run in enumerate(summary["runs"]):
        undefined = {"held_out_hierarchy_A", "held_out_hierarchy_B"}  # of one level
        assert {f"{name}_{b}" for name in metrics for b in "AB"} - undefined <= set(run["final"])
        rows = [row for row in log.read(workdir) if row["run"] == number]
        assert len(rows) == 20
        for term in ("reconstruction_A", "reconstruction_B", "stratification_A", "band_distance_B"):
            assert rows[-1][f"loss/{term}"] < 0.9 * rows[0][f"loss/{term}"], term
        assert {key for key in rows[0] if key.startswith("loss/")} == {
            *(f"loss/{term}" for term in ("reconstruction_A", "reconstruction_B", "stratification_A")),
            *(f"loss/band_{part}_B" for part in ("radius", "distance", "spread")),
        }
        assert [row["control/structure"] for row in rows] == [0] + [1] * 19
        assert [row["control/geometry"] for row in rows] == [0, 0] + [1] * 18
        assert rows[0]["loss"] == pytest.approx(rows[0]["loss/reconstruction_A"] + rows[0]["loss/reconstruction_B"])
        assert rows[0]["rate/curvature"] > 0
        assert rows[-1]["c"] != pytest.approx(0.7, rel=1e-3)


def test_the_export_holds_what_it_should(two_runs):
    _, _, files = two_runs
    assert len(files) == 2
    for file in files:
        assert {name: (a.dtype.name, a.shape) for name, a in file.items()} == {
            **{f"z_{b}": ("float32", (N, DIM)) for b in "AB"},
            **{f"radius_{b}": ("float32", (N,)) for b in "AB"},
            **{f"prediction_{b}": ("int8", (N, D)) for b in "AB"},
            "c": ("float32", ()),
            "index": ("int32", (N,)),
            "valuation": ("int32", (N,)),
            "train_mask": ("bool", (N,)),
        }
        np.testing.assert_array_equal(file["index"], np.arange(N))
        np.testing.assert_array_equal(file["valuation"], V)
        residues = {r: set(file["train_mask"][r::3]) for r in range(3)}
        assert sorted(map(sorted, residues.values())) == [[False], [True], [True]]
        for b in "AB":
            s = np.sqrt(float(file["c"])) * np.linalg.norm(file[f"z_{b}"].astype(np.float64), axis=1)
            np.testing.assert_allclose(
                file[f"radius_{b}"], 2 / np.sqrt(float(file["c"])) * np.arctanh(s), rtol=1e-5, atol=1e-6
            )
        assert np.abs(file["z_A"] - file["z_B"]).max() > 0.01
    assert np.abs(files[0]["z_B"] - files[1]["z_B"]).max() > 0.01


def test_the_summary_says_what_the_judge_says_of_both_branches_of_both_runs(two_runs):
    workdir, summary, files = two_runs
    step, state, _ = checkpoint.load(workdir / "checkpoints")
    assert step == 20 * 3  # 54 operations by 24
    for number, (run, file) in enumerate(zip(summary["runs"], files, strict=True)):
        theta = float(state["params"]["curvature"]["theta"][number])
        assert float(file["c"]) == pytest.approx(np.log1p(np.exp(theta)), rel=1e-6)
        for b in "AB":
            theirs = judge.judge(file[f"z_{b}"], file[f"prediction_{b}"], file["c"])
            for name, value in theirs.items():
                assert run["final"][f"{name}_{b}"] == pytest.approx(value, abs=1e-6), (name, b)


def test_the_sweep_of_the_smoke_config_is_one_value_per_run():
    path = small.CONFIGS / "smoke.py"
    (group,) = sweep_plan(path, {}, rows=listed_runs(path)).groups
    _, hypers = split(group.config)
    assert group.config.runs == len(hypers.train.learning_rate) > 1
    assert len(set(zip(hypers.train.learning_rate.tolist(), hypers.seed.tolist(), strict=True))) == group.config.runs
