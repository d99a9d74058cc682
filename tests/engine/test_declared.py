"""A task that does not give what it declares is named in one sentence, before anything is compiled."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import toy

from ternary_jax.config import load_config, split
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.program import make_train
from ternary_jax.errors import ConfigError
from ternary_jax.metric import Metric

CONFIG = Path(__file__).parents[1] / "toy_config.py"


def refused(wrong, **overrides):
    """The sentence on a toy that is changed; its program is only traced."""
    static, hypers = split(load_config(CONFIG, overrides))
    task = wrong(toy.make_task(static))

    def traced():
        init, chunk = make_train(task, static)
        jax.eval_shape(chunk.program, jax.eval_shape(init, hypers), jnp.int32(0), hypers, *chunk.shared)

    with pytest.raises(ConfigError) as caught:
        traced()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def and_more(function, **more):
    return lambda params, context: function(params, context) | {k: jnp.float32(v) for k, v in more.items()}


def without(name, task):
    return task._replace(metrics=tuple(metric for metric in task.metrics if metric.name != name))


def declares(name, costly, task):
    return task._replace(metrics=(*task.metrics, Metric(name, 1, 1.0, 0.0, 0.0, costly=costly)))


def test_a_metric_that_is_not_declared_is_named():
    assert refused(lambda task: task._replace(evaluate=and_more(task.evaluate, eror=0))) == (
        "Task.evaluate of a line returns eror, which Task.metrics does not declare: the nearest is error; declared are "
        "error: declare it, or do not return it"
    )
    assert "Task.evaluate of a line returns error, " in refused(lambda task: without("error", task))
    costly = "Task.costly of a line returns distance, which Task.metrics does not declare; declared are none"
    assert costly in refused(lambda task: without("distance", task))


def test_a_costly_metric_is_checked_where_it_is_only_measured_after_the_last_step():
    """Its error would come after the whole training."""
    at_end = {"evaluate.costly_every": 20}
    assert "returns distance, which" in refused(lambda task: without("distance", task), **at_end)
    assert "declares width, which Task.costly" in refused(lambda task: declares("width", True, task), **at_end)


def test_a_metric_that_is_declared_and_not_returned_is_named():
    assert refused(lambda task: declares("width", False, task)) == (
        "Task.metrics of a line declares width, which Task.evaluate does not return: it returns error; return it too, "
        "or do not declare it"
    )
    assert "declares width, which Task.costly does not return" in refused(lambda task: declares("width", True, task))


def test_a_metric_of_the_other_function_is_named():
    assert refused(lambda task: task._replace(evaluate=and_more(task.evaluate, distance=0))) == (
        "Task.evaluate of a line returns distance, which Task.metrics declares with costly=True: declare it with "
        "costly=False, or return it from Task.costly"
    )
    assert "Task.costly of a line returns error, which Task.metrics declares with costly=False" in refused(
        lambda task: task._replace(costly=and_more(task.costly, error=0))
    )


def test_a_metric_is_a_scalar_and_metrics_are_a_dict():
    wide = refused(lambda task: task._replace(evaluate=lambda params, context: {"error": jnp.zeros(3)}))
    assert wide == "Task.evaluate of a line returns error of shape (3,): a metric is a scalar of one run"
    alone = refused(lambda task: task._replace(costly=lambda params, context: jnp.float32(1)))
    assert alone.endswith("return a dict of metrics by name")


def test_a_signal_that_no_step_gives_is_named():
    assert refused(lambda task: task._replace(signals=("loss", "slopes"))) == (
        "Task.signals of a line lists slopes, which no step of it gives: the nearest is slope; there are loss, fit, "
        "pull, slope, gradient/offset, gradient/slope"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda task: None, "make_task of toy returns NoneType: return a ternary_jax.engine.task.Task"),
        (lambda task: task._replace(metrics=task.metrics[0]), "Task.metrics of a line is no tuple of Metric"),
        (lambda task: task._replace(samples_per_epoch=64.5), "samples_per_epoch of a line is 64.5: give an int"),
        (lambda task: task._replace(samples_per_epoch=0), "samples_per_epoch of a line is 0: give an int"),
    ],
)
def test_a_task_of_another_form_is_named(change, words, monkeypatch):
    made = toy.make_task
    monkeypatch.setattr(toy, "make_task", lambda static: change(made(static)))
    with pytest.raises(ConfigError, match=words):
        assemble(load_config(CONFIG))


def test_a_loss_of_another_form_and_a_parameter_without_a_gradient_are_named():
    def total(change):
        return lambda task: task._replace(loss=lambda *args: change(task.loss(*args)))

    assert refused(total(lambda loss: loss.total)).startswith("Task.loss of a line returns an array: return a ")
    wide = refused(total(lambda loss: loss._replace(total=jnp.ones(3) * loss.total)))
    assert wide == "Loss.total of a line has the shape (3,): give a scalar, the mean over the batch"
    counted = refused(lambda task: task._replace(init=lambda *args: task.init(*args) | {"n": {"w": jnp.int32(1)}}))
    assert counted == "the parameter n.w of a line is int32: make it a float, or use Task.state"


def test_keys_that_are_no_keys_are_named(monkeypatch):
    monkeypatch.setitem(toy.KEYS, "toy.noise", 3)
    with pytest.raises(ConfigError, match=r"KEYS of toy has no Key for toy\.noise: make one, such as real\(0, 1\)"):
        load_config(CONFIG)
