"""Of what a plateau is one, and whether a rise can follow it."""

import json

import numpy as np
import pytest
from test_analyze import N, answer, workdir

from ternary_jax.analysis import plateaus
from ternary_jax.grokking.history import History

FALLING = (12.4, 9.0, 4.0, 4.6, 3.3, 2.9, 2.1, 1.9)  # as the first evaluations of a default run


def test_a_loss_falls_or_is_flat_by_the_order_of_its_values_and_their_fall():
    rng = np.random.default_rng(0)
    assert plateaus.falls(np.array(FALLING), 10.5)
    assert not plateaus.falls(np.array(FALLING), 200.0)  # a small part of the whole fall
    assert not plateaus.falls(np.array(FALLING[::-1]), 10.5)
    assert not plateaus.falls(np.ones(9), 0.0)
    assert not plateaus.falls(np.ones(1), 0.0)
    noise = [plateaus.falls(x, np.ptp(x)) for x in rng.normal(size=(200, 15))]
    assert np.mean(noise) < 0.02
    drift = np.linspace(0.02, 0, 60) + 0.01 * rng.normal(size=60)
    assert not plateaus.falls(drift, 4.0)


def first(count):
    return lambda row: row | {"loss": FALLING[int(row["epoch"]) - 1]} if row["epoch"] <= count else row


def cut(folder, count):
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:count]))


def test_a_loss_that_falls_is_no_plateau_though_the_definition_takes_its_curve_for_noise(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady", runs=1, change=first(8))
    cut(folder, 8)
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "  plateaus of the loss: 0\n" in out
    assert "flat by its noise, but no plateau, as the loss falls: 1, the longest of 7 evaluations" in out
    assert "(run 0, epoch 1 to 7, loss 12.4 to 2.1)" in out
    (one,) = json.loads((folder / "analysis.json").read_text())["runs"][0]["plateaus"]
    assert (one["loss"], one["falls"]) == ([12.4, 2.1], True)


def test_a_rise_after_a_loss_that_fell_says_so(tmp_path, capsys):
    def falls(row):
        return row | {"loss": 4.0 - 0.03 * row["epoch"] + row["loss"] / 1e3} if row["epoch"] < 80 else row

    folder = workdir(tmp_path / "run", runs=1, change=falls)
    _, out, _ = answer(capsys, folder, "--no-figures", "--metrics=score,order")
    assert "micro event after 6 evaluations that are no plateau, loss 1.72 to 0.3004, gain 0.3" in out


@pytest.mark.parametrize("full", [True, False])
def test_a_plateau_says_its_loss_and_that_no_rise_can_follow_where_metrics_are_at_their_ceiling(tmp_path, capsys, full):
    at = {"score": 0.999, "held_out_score": 0.5, "order": -0.83} if full else {"score": 0.5, "held_out_score": 0.999}
    folder = workdir(tmp_path / "run", "steady", runs=1, change=lambda row: row | at)
    _, out, _ = answer(capsys, folder, "--no-figures")
    (line,) = [line for line in out.splitlines() if "plateaus of the loss: " in line]
    assert "the longest of " in line
    assert f"to {N}, loss 0." in line
    sentence = "of them no rise was possible: fewer than 2 watched metrics were further from their ceiling than 0.01"
    assert (sentence in out) == full
    found = json.loads((folder / "analysis.json").read_text())["runs"][0]["plateaus"][-1]
    assert found["can_rise"] == (["held_out_score"] if full else ["score", "order"])


def test_one_evaluation_shows_no_progress(tmp_path, capsys):
    folder = workdir(tmp_path / "run", "steady", runs=1, change=first(8))
    cut(folder, 1)
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "?    progress: the loss fell: one evaluation shows no progress; its loss is median 12.40000" in out
    folder = workdir(tmp_path / "two", "steady", runs=1, change=first(8))
    cut(folder, 2)
    _, out, _ = answer(capsys, folder, "--no-figures")
    assert "yes  progress: the loss fell: median 12.40000 at first, median 9.00000 now" in out


def test_the_picture_shows_the_ceiling_and_chance_of_a_metric_that_rests_at_its_ceiling():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from ternary_jax.pictures import style

    values = -0.83205 + 1e-7 * np.random.default_rng(0).normal(size=20)
    figure, axes = plt.subplots(2, 1)
    given = [
        {"best": -0.83205, "chance": 0.0, "tolerance": 1e-4},
        {"best": -0.83205, "chance": np.nan, "tolerance": 0.1},
    ]
    for ax, metric in zip(axes, given, strict=True):
        ax.plot(values)
        style.references(ax, {"ceiling": metric["best"], "chance": metric["chance"]}, metric["tolerance"])
    figure.canvas.draw()
    for ax in axes:
        assert ax.yaxis.get_major_formatter().get_offset() == ""
    low, high = axes[0].get_ylim()
    assert low < -0.83205 < 0 < high
    assert [one.get_text() for one in axes[0].texts] == ["ceiling -0.83205", "chance 0"]
    assert np.diff(axes[1].get_ylim()) >= 0.2
    assert [one.get_text() for one in axes[1].texts] == ["ceiling -0.83205"]
    plt.close(figure)


def test_a_logarithmic_axis_has_plain_numbers():
    """Formulas are off, as names from a workdir may have a dollar sign."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from ternary_jax.analysis import figures

    figure, ax = plt.subplots()
    one = History(0, 0, {"epoch": np.arange(3.0), "loss": np.array([12.4, 4.0, 2.9])})
    figures._curves(ax, "loss", [({"run": 0, "rises": [], "transitions": {}}, one)], "epoch")
    figure.canvas.draw()
    labels = [label.get_text() for label in ax.yaxis.get_ticklabels(which="both")]
    assert "10" in labels
    assert not any("$" in label for label in labels)
    plt.close(figure)
