"""Ablations: intervals, table and answer of hand-made runs; the settings of every ablation; one small ablation."""

import json
import shutil
from collections import Counter
from types import SimpleNamespace
from typing import Any

import ablations
import lab
import lab_ablation_results as results
import lab_ablations
import lab_results
import numpy as np
import pytest
from scipy import stats

from ternary_jax.config import has_sweep, listed_runs, load_config
from ternary_jax.sweeps import plan as plans
from ternary_jax.tables import columns

DECLARED = {name: lab_ablations.load(name) for name in results.NAMES}
SEEDS = 16
AGAINST = {"base": "", "worse": "base", "slightly": "base", "same": "base", "other": "worse"}
BETTER = {"coverage_B": 1, "hierarchy_B": -1}


def hand_made():
    """Values by setting, metric and seed. `slightly` differs at 95 %, and not at the level of all differences."""
    rng = np.random.default_rng(0)
    of_seed, noise = rng.normal(0.5, 0.1, SEEDS), rng.normal(0, 0.01, (2, SEEDS))
    slight = 0.02 + 0.03 * (noise[1] - noise[1].mean()) / noise[1].std(ddof=1)
    coverage = {
        "base": of_seed,
        "worse": of_seed - 0.2 + noise[0],
        "slightly": of_seed + slight,
        "same": of_seed,
        "other": of_seed + 0.1 + noise[1],
    }
    hierarchy = {name: -0.8 + 0.001 * rng.normal(size=SEEDS) for name in coverage}
    hierarchy["worse"] = hierarchy["base"] + 0.3 + 0.01 * noise[0]
    return {
        name: {
            "coverage_B": dict(enumerate(coverage[name].tolist())),
            "hierarchy_B": dict(enumerate(hierarchy[name].tolist())),
        }
        for name in coverage
    }


def content(values=None, against=None, better=None, **more) -> dict[str, Any]:
    """A result file of these values."""
    values, against, better = values or hand_made(), against or AGAINST, better or BETTER
    said = {name: {"about": f"about {name}", "against": against[name], "diverged": 0} for name in values}
    return {
        "title": "A title",
        "question": "A question?",
        "config": "v5_12",
        "n_digits": 9,
        "epochs": 96,
        "seeds": SEEDS,
        "seconds": 12345,
        "metrics": better,
        "settings": said,
        "commit": "0123456789",
        **results.compared(values, against, better),
        **more,
    }


# --- intervals --------------------------------------------------------------------------------------------------------


def test_the_intervals_are_those_of_t_tests_paired_by_seed():
    values = hand_made()
    found = results.compared(values, AGAINST, BETTER)
    assert found["comparisons"] == 8
    for name, other in AGAINST.items():
        for metric in BETTER:
            figures = found["figures"][name][metric]
            x = np.array([*values[name][metric].values()])
            own = stats.ttest_1samp(x, 0).confidence_interval(0.95)
            np.testing.assert_allclose(figures["mean"], (x.mean(), own.low, own.high), rtol=2e-6)
            if not other:
                assert not figures.keys() & {"less", "sure"}
                continue
            d = x - [*values[other][metric].values()]
            if not d.any():
                assert figures["less"] == [0, 0, 0]
                continue
            plain, sure = (stats.ttest_1samp(d, 0).confidence_interval(level) for level in (0.95, 1 - 0.05 / 8))
            np.testing.assert_allclose(figures["less"], (d.mean(), plain.low, plain.high), rtol=3e-5)
            np.testing.assert_allclose(figures["sure"], (sure.low, sure.high), rtol=3e-5)


def test_a_run_without_a_value_takes_its_pair_with_it_and_a_metric_without_values_has_no_difference():
    values = hand_made()
    del values["worse"]["coverage_B"][3]
    values["same"]["hierarchy_B"] = {}
    found = results.compared(values, AGAINST, BETTER)
    assert found["comparisons"] == 7
    figures = found["figures"]["worse"]["coverage_B"]
    assert ("paired" in figures, figures["n"]) == (False, SEEDS - 1)
    x, y = ([of for seed, of in values[name]["coverage_B"].items() if seed != 3] for name in ("worse", "base"))
    low, high = stats.ttest_rel(x, y).confidence_interval()
    assert figures["less"] == pytest.approx([np.mean(x) - np.mean(y), low, high], rel=1e-4)
    assert found["figures"]["same"]["hierarchy_B"] == {"mean": [None] * 3, "n": 0}
    table = results.rows(content(values))
    assert next(row[2] for row in table if row[0] == "same") == "-"


def test_values_without_two_seeds_in_common_are_not_paired_and_the_table_says_so():
    values = hand_made()
    values["worse"]["coverage_B"] = {seed + 100: x for seed, x in values["worse"]["coverage_B"].items()}
    figures = results.compared(values, AGAINST, BETTER)["figures"]["worse"]["coverage_B"]
    x, y = ([*values[name]["coverage_B"].values()] for name in ("worse", "base"))
    low, high = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    assert figures["paired"] is False
    assert figures["less"][1:] == pytest.approx([low, high], abs=2e-3)  # our degrees of freedom are rounded down
    assert "unpaired" in columns(results.rows(content(values)))


# --- table and answer -------------------------------------------------------------------------------------------------


def test_the_answer_says_higher_and_lower_by_the_corrected_intervals_alone():
    found = content()
    slightly = found["figures"]["slightly"]["coverage_B"]
    assert slightly["less"][1] > 0 > slightly["sure"][0]
    text = results.answer(found)
    assert text.startswith(
        "4 of the 8 differences have a corrected interval that excludes zero: 2 for the better, 2 for the worse "
        "(16 seeds, each interval at 99.38 %, all together at 95 %). "
    )
    _, coverage, hierarchy = text.split(". ")
    assert coverage.startswith("Coverage of B (higher is better) is higher in other (against worse: +0.3")
    assert "lower in worse (-0.2" in coverage
    assert coverage.endswith("; the corrected interval includes zero for slightly and same")
    assert hierarchy.startswith("Hierarchy of B (lower is better) is higher in worse (+0.")
    assert ", lower in other (against worse: -0." in hierarchy
    assert hierarchy.endswith("; the corrected interval includes zero for slightly and same.")


def test_without_any_difference_the_answer_names_the_metrics():
    values = hand_made()
    two = dict.fromkeys(("base", "same"), values["base"])
    text = results.answer(content(two, {"base": "", "same": "base"}))
    assert text.startswith("0 of the 2 differences")
    assert text.endswith("In coverage of B and hierarchy of B, the corrected interval of every setting includes zero.")


def test_runs_that_diverged_are_counted_in_table_and_answer():
    found = content()
    found["settings"]["worse"]["diverged"] = 2
    assert results.answer(found).endswith("Runs that diverged: 2 of worse.")
    assert "worse, 2 diverged" in [row[0] for row in results.rows(found)]


def test_the_table_has_means_and_differences_of_each_setting():
    found = content()
    table = results.rows(found)
    assert [row[0] for row in table] == [
        "16 seeds",
        "base",
        *(line for name in AGAINST if AGAINST[name] for line in (name, f"- less {AGAINST[name]}")),
    ]
    figures = found["figures"]["worse"]["coverage_B"]
    assert table[2][1] == "{:.4f} [{:.4f}, {:.4f}]".format(*figures["mean"])
    assert table[3][1] == "{:+.4f} [{:+.4f}, {:+.4f}] *".format(*figures["less"])
    assert not table[5][1].endswith("*"), "slightly: the interval at 95 % excludes zero, the corrected one does not"


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("coverage_A", "coverage of A"),
        ("triplet_accuracy_B", "triplet accuracy of B"),
        ("richness_geodesic_B", "geodesic richness of B"),
        ("step_ms", "milliseconds of a step"),
    ],
)
def test_metrics_have_words(metric, words):
    assert results.noun(metric) == words


def test_the_figure_has_a_panel_for_each_metric_with_zero_in_it():
    values = hand_made()
    values["same"]["hierarchy_B"] = {}
    figure = lab_ablations.figure(content(values))
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title().splitlines()[0] for ax in shown] == ["coverage of B", "hierarchy of B"]
    figure.canvas.draw()
    assert all(ax.get_xlim()[0] < 0 < ax.get_xlim()[1] for ax in shown)
    labels = [label.get_text() for label in shown[0].get_yticklabels()]
    assert labels == ["worse less base", "slightly less base", "same less base", "other less worse"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_has_question_settings_answer_table_and_figure():
    found = content()
    text = results.page({"losses": found}, "../results/")
    for part in ("## A title", "A question?", "- worse: about worse", results.answer(found), "commit 0123456"):
        assert part in text
    assert "![Differences of a title, with their intervals](../results/ablate_losses.png)" in text
    assert text.count("Not measured yet: ") == len(results.NAMES) - 1


def test_the_results_of_ablations_are_on_a_page_of_their_own(tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copy(lab.ROOT / "README.md", tmp_path)
    shutil.copytree(lab.RESULTS, tmp_path / "results", ignore=shutil.ignore_patterns("*.png", "raw", "ablate_*"))
    page = tmp_path / "docs" / "ablations.md"
    assert page not in lab_results.pages(tmp_path)
    (tmp_path / "results" / "ablate_losses.json").write_text(json.dumps(content()))
    assert "## A title" in lab_results.pages(tmp_path)[page]
    (tmp_path / "results" / "ablate_other.json").write_text("{}")
    with pytest.raises(lab_results.ResultError, match=r"results/ablate_other\.json has no declaration"):
        lab_results.pages(tmp_path)


def test_the_page_of_another_folder_lies_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ablations.py", "--page", f"--out={tmp_path}"])
    with pytest.raises(SystemExit, match="has no result of an ablation: write one"):
        ablations.main()
    (tmp_path / "ablate_losses.json").write_text(json.dumps(content()))
    ablations.main()
    assert "](ablate_losses.png)" in (tmp_path / "ablations.md").read_text()


def test_an_unknown_ablation_is_a_usage_error(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ablations.py", "loses"])
    with pytest.raises(SystemExit):
        ablations.main()
    assert "NAME=loses is no ablation: give some of modules, losses" in capsys.readouterr().err


# --- the declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECLARED)
def test_every_setting_is_a_valid_config(name):
    """The plan of a sweep loads and assembles the config of each group, with the values of all its runs."""
    one, file = DECLARED[name], lab_ablations.file_of(name)
    assert one.name == name
    assert has_sweep(file)
    rows = listed_runs(file)
    assert rows == lab_ablations.settings(one)
    found = plans.plan(file, {}, {}, 2, rows)
    assert len(found.runs) == 2 * len(one.settings)
    trained = Counter(tuple(run.settings.items()) for run in found.runs)
    assert set(trained.values()) == {2}, "two settings are the same"


@pytest.mark.parametrize("name", DECLARED)
def test_quick_is_a_valid_length_of_few_operations(name):
    """The last epoch is measured in full. Settings do not change the lengths that --quick does."""
    config = load_config(lab_ablations.file_of(name), DECLARED[name].quick)
    task, static, _ = lab.assemble(config)
    steps = lab.plan(task, static)
    assert config.data.n_digits == 7
    assert config.evaluate.costly_every == config.train.epochs
    assert steps.total < 1000


@pytest.mark.parametrize("name", DECLARED)
def test_a_declaration_is_complete(name):
    one = DECLARED[name]
    names = [setting.name for setting in one.settings]
    assert len({*names}) == len(names)
    assert one.settings[0].changes == {}
    assert all(setting.against in ("", *names) and setting.about for setting in one.settings)
    assert one.seeds >= (16 if name in ("modules", "losses", "curvature") else 8)
    fixed = {*one.length, *one.quick} & {key for setting in one.settings for key in setting.changes}
    assert not fixed, "the length of a run and a setting set the same key"


@pytest.mark.parametrize("name", DECLARED)
def test_the_result_file_is_small(name):
    one, rng = DECLARED[name], np.random.default_rng(0)
    values = {
        setting.name: {metric: dict(enumerate(rng.normal(size=one.seeds))) for metric in one.metrics}
        for setting in one.settings
    }
    better = dict.fromkeys(one.metrics, 1)
    found = content(values, lab_ablations.against(one), better, question=one.question)
    for setting in one.settings:
        found["settings"][setting.name]["about"] = setting.about
    assert len(lab.dumps(found)) < 15_000  # of 16,000, which the provenance has to fit into


@pytest.mark.parametrize(
    ("setting", "variant"),
    [("disabled", "disabled"), ("prior", "prior"), ("prior, ranking", "ranking"), ("all", "all")],
)
def test_the_rows_of_the_documents_are_the_variants_of_v5_10(setting, variant):
    one = DECLARED["modules"]
    changes = next(found.changes for found in one.settings if found.name == setting)
    found = load_config(lab_ablations.file_of("modules"), changes)
    wanted = load_config(f"v5_10:{variant}", {**lab_ablations.ALWAYS, **one.length})
    for config in (found, wanted):
        with config.unlocked():
            del config.losses.kl.weight  # of a loss that is off where the prior is on
    assert found == wanted


def test_the_estimate_counts_runs_programs_and_samples():
    line, seconds = lab_ablations.estimate(DECLARED["losses"], quick=False)
    samples = 8 * 16 * 96 * 39 * 512  # 39 steps of 512 are an epoch of 19,683
    assert line.startswith(f"losses: 8 settings, 128 runs, 1 program, {samples / 1e6:,.0f} million samples: about ")
    cost = DECLARED["losses"].cost
    assert seconds == pytest.approx(samples / cost.samples_per_s + cost.compile_s)
    total = sum(lab_ablations.estimate(one, quick=False)[1] for one in DECLARED.values())
    assert total <= 6 * 3600
    assert sum(lab_ablations.estimate(one, quick=True)[1] for one in DECLARED.values()) <= 15 * 60


# --- training ---------------------------------------------------------------------------------------------------------


def test_an_interruption_ends_the_process_and_says_how_to_go_on(tmp_path, monkeypatch):
    rows = [SimpleNamespace(ending="interrupted"), SimpleNamespace(ending="epochs done")]
    monkeypatch.setattr(lab_ablations.sweep, "run", lambda *args, **more: SimpleNamespace(table=lambda: rows))
    with pytest.raises(SystemExit, match=r"1 runs in .* have not ended: the same command goes on with them"):
        lab_ablations.train(DECLARED["losses"], tmp_path, {}, 2)


def test_the_runs_of_quick_and_of_another_folder_stay_elsewhere(tmp_path):
    def given(*args):
        return lab_ablations.parser("A question?").parse_args([*args])

    one = DECLARED["losses"]
    assert lab_ablations.workdir_of(one, given()) == lab.ROOT / "runs" / "ablations" / "losses"
    assert lab_ablations.workdir_of(one, given("--quick")) == lab.ROOT / "runs" / "quick" / "ablations" / "losses"
    assert lab_ablations.workdir_of(one, given("--quick", f"--out={tmp_path}")) == tmp_path / "ablations" / "losses"


def test_steps_are_timed_in_turns_in_milliseconds_of_one_step(monkeypatch):
    """A chunk of 4 steps takes 8 ms with the ranking, else 4 ms; it has the changes of its setting and of --quick."""
    configs, one = [], DECLARED["modules"]
    monkeypatch.setattr(lab_ablations, "load_config", lambda file, changes: configs.append(changes) or changes)
    clock = {True: 8e-3, False: 4e-3}
    ranked = "losses.ranking_hyperbolic.on"
    chunk = lambda config: SimpleNamespace(length=4, timed=lambda: lambda: clock[ranked in config])  # noqa: E731
    monkeypatch.setattr(lab_ablations.lab, "Chunk", chunk)
    found = lab_ablations.timed(one, {"data.n_digits": 5})
    assert found["prior"]["step_ms"] == pytest.approx(dict.fromkeys(range(lab_ablations.ROUNDS), 1.0))
    assert found["all"]["step_ms"] == pytest.approx(dict.fromkeys(range(lab_ablations.ROUNDS), 2.0))
    assert configs == [{"data.n_digits": 5, **setting.changes} for setting in one.settings]


@pytest.mark.slow
def test_a_small_ablation_is_trained_once_and_writes_table_answer_figure_and_page(tmp_path, monkeypatch, capsys):
    tiny = {"data.n_digits": 4, "train.batch_size": 48, "train.epochs": 6, "train.cycle_epochs": 2, "train.chunk": 6}
    tiny |= {"train.cycle_growth": 2, "evaluate.cheap_every": 6, "evaluate.costly_every": 6, "checkpoint.every": 6}
    tiny |= {"model.dim": 4, "model.A.hidden": (8,), "model.B.hidden": (8,), "model.direction_hidden": (8,)}
    one = DECLARED["losses"]._replace(quick=tiny)
    given = lab_ablations.parser("A question?").parse_args(["--quick", f"--out={tmp_path}"])
    lab_ablations.run(one, given)
    printed = capsys.readouterr().out
    found = lab.read("ablate_losses", given)
    assert results.answer(found) in printed
    assert [*found["settings"]] == [setting.name for setting in one.settings]
    assert found["comparisons"] == 7 * len(one.metrics)
    raw = lab.read("raw/ablate_losses", given)["values"]
    log = (tmp_path / "ablations" / "losses" / "runs.csv").read_text().splitlines()
    assert len(log) == 1 + 8 * lab_ablations.QUICK_SEEDS
    x = [*raw["no bands"]["hierarchy_B"].values()]
    assert found["figures"]["no bands"]["hierarchy_B"]["mean"][0] == pytest.approx(np.mean(x), rel=1e-5)
    assert (tmp_path / "ablate_losses.png").stat().st_size > 10_000

    monkeypatch.setattr("ternary_jax.engine.host.run", lambda *args, **more: pytest.fail("a run is trained twice"))
    lab_ablations.run(one, given)
    assert lab.read("ablate_losses", given)["figures"] == found["figures"]
    assert results.answer(found) in results.page({"losses": found}, "")
