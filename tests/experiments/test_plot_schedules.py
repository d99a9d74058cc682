"""The figure of a config's schedules shows the rows that the engine uses."""

import lab
import numpy as np
import plot_schedules
import pytest
from matplotlib import image

from ternary_jax.config import load_config

CONFIGS = lab.CONFIGS
SMALL = {"data.n_digits": 4, "train.batch_size": 20, "compilation_cache": False}


def drawn(figure):
    """The panels: (x, y) of the line, by title."""
    return {ax.get_title(): ax.lines[0].get_data() for ax in figure.axes}


def test_the_command_draws_the_smoke_config(tmp_path, capsys):
    plot_schedules.main([f"--config={CONFIGS}/smoke.py", f"--out={tmp_path}/new", "--config.train.warmup_epochs=5"])
    out = tmp_path / "new" / "schedules_smoke.png"
    picture = image.imread(out)
    assert picture.ndim == 3
    assert picture[..., :3].min() < 0.5 < picture[..., :3].max()
    assert str(out) in capsys.readouterr().err


def test_each_schedule_has_a_panel_of_its_own_over_the_epochs():
    changes = SMALL | {"phases.structure_from": 2, "phases.geometry_from": 7, "train.warmup_epochs": 3}
    task, static, _ = lab.assemble(load_config(CONFIGS / "smoke.py", changes))
    rows, unit = lab.schedule_rows(task, static), lab.plan(task, static).unit
    panels = drawn(plot_schedules.draw(rows, unit))
    assert [*panels] == ["learning_rate", "structure", "geometry"]
    for name, (x, y) in panels.items():
        np.testing.assert_array_equal(y, rows[name])
        np.testing.assert_allclose(x[[0, -1]], [0, static.train.epochs - 1 / unit])
    for name, epoch in (("structure", 2), ("geometry", 7)):
        x, y = panels[name]
        assert x[np.argmax(y)] == epoch


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_there_are_as_many_panels_as_schedules(n):
    rows = {f"schedule {k}": np.linspace(0, k, 12) for k in range(n)}
    figure = plot_schedules.draw(rows, 4)
    assert [*drawn(figure)] == [*rows]
    assert sum(ax.get_xlabel() == "epoch" for ax in figure.axes) == min(n, 3)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--out=here"], "--config"),
        ([f"--config={CONFIGS}/none.py"], "there is no such file"),
        ([f"--config={CONFIGS}/smoke.py", "--colour=red"], "'--colour=red' is no flag"),
        ([f"--config={CONFIGS}/smoke.py", "--config.train.epoch=3"], "train.epoch"),
        ([f"--config={CONFIGS}/closed_form.py"], "trains nothing"),
    ],
)
def test_a_mistake_is_said_and_nothing_is_drawn(argv, text, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(plot_schedules, "draw", lambda *given: pytest.fail("it drew"))
    with pytest.raises(SystemExit) as stop:
        plot_schedules.main(argv)
    assert stop.value.code == 2
    assert text in " ".join(capsys.readouterr().err.split())
