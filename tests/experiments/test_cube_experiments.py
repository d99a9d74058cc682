"""experiments/cube.py, cube_probes.py and bench_cube.py: their rows, ceilings, verdicts, tables and figures."""

import json
import types

import bench_cube
import cube as experiment
import cube_probes
import jax
import lab
import lab_cube_rows
import lab_lattice
import lab_result_rows
import numpy as np
import pytest
from small_cube import wires

from ternary_jax.config import load_config, split
from ternary_jax.lattice.cube import task

pytestmark = pytest.mark.usefixtures("compiled_soon")

LIKE_WIRES = {"model.channels": 4, "model.hidden": 3, "data.evaluated": 32, "losses.blur.width": 0.0}


def configured(name, **changes):
    row = lab_cube_rows.ROWS[name]
    given = row.changes | {key.replace("__", "."): value for key, value in changes.items()}
    return load_config(f"{experiment.CONFIG}:{row.target}", given)


def wired(config):
    """Parameters of two runs of cells that hand each pixel on through its column, unchanged."""
    return jax.tree.map(lambda x: np.stack([x, x]), wires(split(config)[0]))


def test_every_row_is_a_config_of_its_target_and_weights():
    for name, row in lab_cube_rows.ROWS.items():
        config = configured(name)
        assert name.startswith(row.target)
        assert f"_{config.model.weights}" in name
        assert name.endswith("_8") == ((config.lattice.width, config.lattice.height, config.lattice.depth) == (8, 8, 6))
        assert row.bar in ("", *lab_cube_rows.BARS)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mirror_own_all_t4", 1 / 5),  # only the middle column stays where it is
        ("mirror_own_all_t6", 3 / 5),  # and two columns have two cells to go
        ("mirror_own_all_t8", 1.0),
        ("mirror_own", 1.0),
        ("gate_own", None),
        ("recall_own", None),
        ("erase_own", None),
    ],
)
def test_the_ceiling_is_that_of_the_cells_that_a_value_can_reach(name, wanted):
    found = experiment.ceiling(configured(name))
    assert found == ({} if wanted is None else {"ceiling": pytest.approx(wanted, abs=1e-5)})


def test_the_ceiling_is_that_of_the_map_of_the_run():
    few = {"model__schedule": "all", "model__updates": 4}
    found = [experiment.ceiling(configured("permutation_own", data__map=k, **few))["ceiling"] for k in range(8)]
    assert len(set(found)) > 1
    assert max(found) < 0.3


def test_nothing_of_a_face_is_read_one_update_short_and_all_of_it_after_that(monkeypatch):
    config = configured("identity_own_all", model__leak=1.0, **{k.replace(".", "__"): v for k, v in LIKE_WIRES.items()})
    short = experiment.one_update_short(config, wired(config))
    assert len(short) == 2
    assert max(short) <= 0
    real = experiment.probes.r2_by_update
    monkeypatch.setattr(experiment.probes, "r2_by_update", lambda p, x, y, static, n: real(p, x, y, static, n + 1))
    np.testing.assert_allclose(experiment.one_update_short(config, wired(config)), 1, atol=1e-5)


def test_columns_that_come_from_the_other_side_are_told_apart(monkeypatch):
    def outputs(static, params, face, updates):
        moved = jax.numpy.roll(face, static.data.shift, 2)
        return moved.at[..., : static.data.shift].set(0)[None], None, {}

    monkeypatch.setattr(task, "outputs", outputs)
    config = configured("shift_wrapped_own")
    found = experiment.apart(config, {"any": np.zeros(2)})
    np.testing.assert_allclose(found["r2_others"], 1)
    np.testing.assert_allclose(found["r2_wrapped"], 0, atol=1e-2)


def test_a_verdict_names_each_bar_that_is_missed():
    def row(r2, cpu_s, **more):
        return {"metrics": {"r2": r2} | more, "cpu_s": cpu_s}

    rows = lab_cube_rows.ROWS
    assert experiment.verdict(rows["mirror_own"], row([0.99, 0.995, 0.97], 30)) == "met"
    assert experiment.verdict(rows["mirror_own"], row([0.98, 0.995, 0.96], 31)) == (
        "MISSED: r2 < 0.99, worst r2 < 0.97, more than 30 s"
    )
    recalled = row([0.99] * 3, 9, r2_after_10=[0.96] * 3, r2_after_100=[0.8, 0.95, 0.89])
    assert experiment.verdict(rows["recall_own"], recalled) == "MISSED: r2_after_100 < 0.9"
    assert experiment.verdict(rows["mirror_shared"], row([0.1], 9)) == "-"


def test_a_probe_has_figures_at_multiples_of_t_with_and_without_training(monkeypatch):
    config = cube_probes.configured("end", {"runs": 2})
    curves = np.stack([np.arange(1, cube_probes.LONG + 1), 2 * np.arange(1, cube_probes.LONG + 1)])
    monkeypatch.setattr(cube_probes, "over", lambda f, params: params * curves)
    found = cube_probes.attractor(lambda name: cube_probes.Cube(split(config)[0], 1.0, 0.5, None, None))
    t = config.model.updates
    assert found["end"]["10 T"] == [10 * t, 20 * t]
    assert found["end, untrained"]["1 T"] == [t / 2, t]
    assert found["pool"]["1,000"] == [1000, 2000]
    assert len(found) == 2 * len(cube_probes.CUBES)
    assert "pool, untrained" in cube_probes.table(found)


def test_the_file_keeps_the_median_and_the_worst_seed_and_no_curve():
    rows = {"end": {"1 T": [0.5, 0.9, 0.7], "updates": [1, 5, 3], "outside": [0.0, 0.0, 0.0], "curve": [0.1] * 41}}
    assert cube_probes.summary(rows) == {"end": {"1 T": [0.7, 0.5], "updates": [3, 5], "outside": [0, 0]}}


def test_untrained_cubes_have_every_row_or_those_of_the_null():
    def measure(of, p):
        return {", a": {"x": [p]}, ", b": {"x": [p]}}

    made = cube_probes.Cube(None, 1.0, 0.5, None, None)
    found = cube_probes.each(lambda name: made, ("pool",), measure)
    assert [*found] == ["pool, a", "pool, b", "pool, untrained, a", "pool, untrained, b"]
    found = cube_probes.each(lambda name: made, ("pool",), measure, lambda of, p: {", b": {"x": [p]}})
    assert found == {
        name: {"x": [1.0 if "un" not in name else 0.5]} for name in ("pool, a", "pool, b", "pool, untrained, b")
    }


def test_a_probe_is_kept_beside_the_others_and_curves_and_seeds_apart(tmp_path, monkeypatch):
    def run(*names):
        monkeypatch.setattr("sys.argv", ["probes.py", f"--out={tmp_path}", *names])
        lab_lattice.run_probes("", "drawn", made)

    drawn = []
    made = lab_lattice.Probes(
        lambda name, given: {of: {"r2": [0.1, 0.4, 0.3], "curve": [0.5]} for of in given.of or [name]},
        str,
        lambda found: drawn.append(found) or lab.figure(2, 2),
        {"first": "one", "second": "one", "third": "other"},
        cube_probes.summary,
        ["another"],
    )
    with pytest.raises(SystemExit, match=r"drawn\.json has no rows to draw: name the probes before `picture`"):
        run("picture")
    run("second", "third")
    run("first", "picture")
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "other"))
    assert [*one][:2] == ["first", "second"]
    assert one["first"] == {"first": {"r2": [0.3, 0.1]}}
    assert other["third"] == {"third": {"r2": [0.3, 0.1]}}
    assert drawn == [{name: {name: {"r2": [0.1, 0.4, 0.3], "curve": [0.5]}} for name in made.files}]
    assert (tmp_path / "drawn.png").exists()
    run("first", "--of=another")
    assert [*json.loads((tmp_path / "one.json").read_text())["first"]] == ["first", "another"]


def test_rows_of_shared_weights_have_a_file_of_their_own_and_others_stay(tmp_path):
    given = types.SimpleNamespace(out=tmp_path)
    experiment.keep(given, "cube", rows={"mirror_own": 1})
    experiment.keep(given, "cube", rows={"identity_own": 2}, baselines={"blur": 3})
    found = json.loads((tmp_path / "cube.json").read_text())
    assert [*found["rows"].items()] == [("identity_own", 2), ("mirror_own", 1)]
    assert found["baselines"] == {"blur": 3}


def test_the_rates_of_the_rows_are_the_best_of_those_on_file():
    rates = json.loads((lab.RESULTS / "cube_weights.json").read_text())["rates"]
    for weights, targets in rates.items():
        means = {rate: sum(scores[rate] for scores in targets.values()) / len(targets) for rate in targets["dense"]}
        assert max(means.values()) - means[f"{lab_cube_rows.TUNED[weights]:g}"] < 0.0005, weights
    config = load_config(experiment.CONFIG, {})
    assert config.train.learning_rate == lab_cube_rows.TUNED["own"]


def test_the_pages_have_every_row_ceiling_baseline_rate_probe_and_bar():
    row = {"metrics": {"r2": [0.9, 0.8, 0.7], "r2_held": [0.5] * 3}, "steps": 800, "cpu_s": 11.2, "parameters": 6297}
    found = {"rows": {"a": row | {"ceiling": 0.98}, "b": row}}
    lines = lab_result_rows.cubes(found | {"rates": {"own": {"dense": {"0.01": 0.5}}}})
    assert {len(line) for line in lines} == {7}
    assert lines[1] == ["`a`", "0.8000 (0.7000)", "0.9800", "r2_held 0.5000 (0.5000)", "800", "11", "6,297"]
    assert [line[0] for line in lines[2:]] == ["`b`", "dense, own, by learning rate"]
    others = {"blur": {"mean": 0.0, "x": [0.9, 0.7, 0.8], "x, parameters": 6297}, "gate": {"mean": 0.5}}
    lines = lab_result_rows.cube_baselines({"baselines": others})
    assert lines == [["target", "mean", "x (6,297)"], ["blur", "0.0000", "0.8000 (0.7000)"], ["gate", "0.5000", "-"]]
    probed = {"noise": {"pool": {"+10": [0.5, 0.25]}}, "swap": {}, "commit": "1"}
    assert lab_result_rows.of_probes("noise", "damage")(probed)[1:] == [["noise", "pool", "+10 0.5 (0.25)"]]
    timed = {"seconds": 2.5, "gib": 1.5, "parameters": 7}
    rows = {"full": timed | {"flops": 4e9, "plain_s": 1.25}, "original": timed}
    lines = lab_result_rows.cube_speed({"rows": rows, "bars": {"steps/s": ["7.4", ">= 10.0"]}})
    assert [line[0] for line in lines[1:]] == ["full", "original", "steps/s: 7.4, wanted >= 10.0"]
    assert lines[1][1:] == ["2.500", "1.50", "7", "4", "1.250"]


def test_every_probed_cube_is_a_config_and_its_picture_shows_what_was_measured():
    for name in cube_probes.CUBES:
        config = cube_probes.configured(name, {})
        assert config.model.schedule == "all"
        assert (config.data.drive == "pulse") == name.startswith("recall")
        assert config.pool.damage == 0.5 * ("damage" in name)
    rows = {"end": {"curve": [0.1, 0.2, 0.3]}, "end, untrained": {"curve": [0.0] * 3}}
    lesion = {"end": {share: [0.5] for share in map(str, cube_probes.probes.SHARES)}}
    figure = cube_probes.picture({"attractor": rows, "lesion": lesion})
    drawn = [line.get_ydata() for line in figure.axes[0].get_lines()]
    np.testing.assert_allclose(drawn, [[0.1, 0.2, 0.3]])
    assert len(figure.axes[3].get_lines()) == 1
    assert not figure.axes[1].get_lines()


def test_the_floating_point_operations_of_a_step_are_those_of_its_products():
    config = load_config(lab.CONFIGS / "cube.py", bench_cube.ROWS["full, all, gated"][0])
    # 32 x 480 into the units and 240 x 32 out of them, forward and twice backward, of 2,475 cells, 8 faces, 11 updates
    assert bench_cube.flop(config) == 6 * (32 * 480 + 240 * 32) * 2475 * 8 * 11
    assert bench_cube.size_of(config) == (2475, 8)


@pytest.mark.parametrize("row", ["small", "full, sweep", "full, all, gated"])
def test_the_plain_products_of_a_step_are_those_whose_flop_are_counted(monkeypatch, row):
    monkeypatch.setattr(bench_cube, "timed", lambda a, b: [lambda: 2.0 * a.size * b.shape[-1]])  # a second for a FLOP
    config = load_config(lab.CONFIGS / "cube.py", bench_cube.ROWS[row][0] | {"lattice.depth": 2})
    assert bench_cube.plain_products(config, 1) == bench_cube.flop(config)


def test_the_bars_of_the_benchmark_are_figures_of_its_rows():
    names = (*bench_cube.ROWS, bench_cube.ORIGINAL)
    rows = {name: {"seconds": 2.0 + k, "gib": 1.5, "parameters": 7} for k, name in enumerate(names)}
    for name in bench_cube.ROWS:
        rows[name] |= {"flops": 4e9, "plain_s": 1.5}
    found = bench_cube.measured(rows)
    assert (found["small"], found["cost_of_8_runs"], found["all_s"]) == (0.5, 1.5, 4.0)
    assert found["share_of_products"] == 0.375
    assert found.keys() == bench_cube.BARS.keys()
    assert "GFLOP/s" in bench_cube.table(rows)


def test_the_cell_of_the_original_has_its_number_of_parameters_and_every_cell_a_gradient():
    pytest.importorskip("torch", reason="the bench extra is not installed")
    import lab_torch_cube

    small = {"lattice.width": 3, "lattice.height": 2, "lattice.depth": 2, "train.batch_size": 2}
    trainer = lab_torch_cube.Trainer(load_config(lab.CONFIGS / "cube.py", small), 1)
    assert trainer.parameters() == 12 * 29_462
    trainer.step()
    of_context = {f"cells.{n}.layer.{name}" for n in range(12) for name in ("weight", "bias")}  # nobody passes one
    assert {name for name, p in trainer.model.named_parameters() if p.grad is None} == of_context
