"""Configs: accepted values, refused values with their messages, sweeps, and the split into static and hypers."""

import functools
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from ternary_jax import config as configs
from ternary_jax.config import ConfigError, checks, load_config, read, resolved, split
from ternary_jax.config.keys import Key, choice, flag, flat, integer, integers, real, text, words
from ternary_jax.config.table import KEYS as ENGINE_KEYS
from ternary_jax.config.table import SHAPES
from ternary_jax.engine import host
from ternary_jax.grokking import extension
from ternary_jax.sweeps.plan import plan

KEYS = ENGINE_KEYS | extension.KEYS
DEFAULTS = Path(__file__).parents[1] / "configs" / "defaults.py"
TASK_KEYS = {
    "model.hidden": integers(1, 4096),
    "model.beta": real(0, 1, excluded=(0, 1), traced=True),
    "model.gain": real(traced=True),
    "model.offset": real(),
    "model.kind": choice("relu", "tanh"),
    "model.name": text(),
    "model.bias": flag(),
    "model.low": integer(1),
    "model.parts": words(),
}


@pytest.fixture(scope="module", autouse=True)
def a_task():
    module = types.ModuleType("a_task")
    vars(module).update(KEYS=TASK_KEYS)
    sys.modules["a_task"] = module
    yield module
    del sys.modules["a_task"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A config that starts from the defaults and names the task."""
    return written(tmp_path_factory.mktemp("configs") / "mine.py")


def written(path, change="", more=""):
    path.write_text(f"""
from ternary_jax.config import read
def get_config(arg="plain"):
    config = read({str(DEFAULTS)!r})
    config.task = "a_task"
    config.model = dict(hidden=(64, 32), beta=0.5, gain=1.0, offset=-2.0, kind="relu", name=arg, bias=True, low=1)
    config.model["parts"] = ()
    {change}
    return config
{more}
""")
    return path


def refused(*args, **named):
    with pytest.raises(ConfigError) as caught:
        load_config(*args, **named)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def wrong_sweep(path, overrides=()):
    """The sentence on sweep(add) of a file; a sweep is planned as `main --sweep` does it."""
    with pytest.raises(ConfigError) as caught:
        plan(path, {}, overrides, rows=configs.listed_runs(path))
    return str(caught.value)


# --- what is accepted -------------------------------------------------------------------------------------------------


def test_the_defaults_are_every_key_of_the_engine_but_the_task():
    values = flat(read(DEFAULTS))
    assert values.keys() == KEYS.keys() - {"task"}
    assert {type(value) for value in values.values()} == {int, float, bool, str, tuple}
    assert (
        refused(DEFAULTS)
        == f"{DEFAULTS} has no config.task, as it is a base of other configs: give one of these, such as --config=v5_12"
    )


def test_a_config_is_locked_and_has_plain_values(file):
    config = load_config(file)
    assert config.is_locked
    assert config.model.is_locked
    assert (config.train.epochs, config.model.hidden, config.model.name) == (100, (64, 32), "plain")
    assert isinstance(config, ConfigDict)


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("train.epochs", "20", 20),
        ("train.epochs", "1_000", 1000),
        ("train.clip_norm", "3", 3.0),
        ("train.clip_norm", "1e-3", 1e-3),
        ("model.offset", "-.5", -0.5),
        ("train.remat", "TRUE", True),
        ("log.tensorboard", "false", False),
        ("train.schedule", "constant", "constant"),
        ("model.name", "1e3", "1e3"),
        ("model.name", "x=y", "x=y"),
        ("model.name", " a ", "a"),
        ("model.hidden", "64,64", (64, 64)),
        ("model.hidden", "(64, 64)", (64, 64)),
        ("model.hidden", "[8]", (8,)),
        ("model.hidden", "8", (8,)),
        ("model.hidden", "8,", (8,)),
        ("model.hidden", "()", ()),
        ("model.parts", "", ()),
        ("model.parts", " ", ()),
        ("model.parts", "one", ("one",)),
        ("model.parts", "one,2", ("one", "2")),
        ("model.parts", "one, other ", ("one", "other")),
        ("train.learning_rate", "1e-2", 1e-2),
        ("train.learning_rate", "1e-3,1e-2", (1e-3, 1e-2)),
        ("train.weight_decay", "(0, 1)", (0.0, 1.0)),
        ("seed", "7", 7),
        ("seed", "7,3", (7, 3)),
    ],
)
def test_a_typed_value_is_read_as_its_key_asks_and_is_the_value_itself(file, key, typed, value):
    runs = len(value) if isinstance(value, tuple) and "model" not in key else 1
    config = load_config(file, [f"{key}={typed}", f"runs={runs}"])
    read_back = flat(config)[key]
    assert read_back == value
    assert type(read_back) is type(value)
    assert config == load_config(file, {key: value, "runs": runs})


def test_numbers_of_numpy_are_numbers(file):
    config = load_config(file, {"train.epochs": np.int64(3), "train.clip_norm": np.float32(0.5), "model.low": 2})
    assert type(config.train.epochs) is int
    assert type(config.train.clip_norm) is float


def test_a_file_has_variants_and_works_from_any_folder(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert load_config("mine.py:of_mine").model.name == "of_mine"
    assert load_config(f"{file}:a.py:b").model.name == "a.py:b"
    assert configs.config_name("some/where/mine.py:of_mine") == "mine_of_mine"
    assert configs.config_name("some/where/mine.py") == configs.config_name(file) == "mine"


def test_a_file_may_give_a_traced_value_per_run_over_a_default_that_is_one(tmp_path):
    config = load_config(written(tmp_path / "two.py", "config.train.learning_rate, config.runs = (0.1, 0.2), 2"))
    assert config.train.learning_rate == (0.1, 0.2)


def test_a_task_that_only_reports_has_only_its_own_keys(tmp_path, monkeypatch):
    module = types.ModuleType("a_report")
    vars(module).update(KEYS={"x": integer(1), "seed": integer(0, 9)}, report=str)
    monkeypatch.setitem(sys.modules, "a_report", module)
    path = tmp_path / "report.py"
    path.write_text(
        "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict(dict(task='a_report', x=3, seed=1))"
    )
    assert resolved(load_config(path)) == {"seed": 1, "task": "a_report", "x": 3}
    assert "give an int from 0 to 9" in refused(path, ["seed=10"])
    assert "there is no such key; there are task, x, seed" in refused(path, ["train.epochs=3"])


def test_the_check_of_a_task_can_refuse_a_config(file, a_task, monkeypatch):
    def check(config):
        if config.model.low > config.runs:
            raise ConfigError("config.model.low is over config.runs")

    monkeypatch.setattr(a_task, "check", check, raising=False)
    load_config(file)
    assert refused(file, ["model.low=2"]) == "config.model.low is over config.runs"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epochs=1e3", "config.train.epochs=1e3 is not allowed: give an int from 0 to 10000000"),
        ("train.epochs=1.5", "config.train.epochs=1.5 is not allowed: give an int from 0 to 10000000"),
        ("train.epochs=0", "config.train.epochs=0 and config.train.steps=0 leave nothing to train: set one of them"),
        ("train.steps=9", "config.train.epochs=100 and config.train.steps=9 are both set, and a run is counted in one"),
        ("train.epochs=10000001", "give an int from 0 to 10000000"),
        ("train.epochs=True", "give an int"),
        ("train.epochs=9if", "give an int"),
        ("train.epochs", "config.train.epochs= is not allowed: give an int"),
        ("train.epochs=" + 5000 * "9", "give an int"),
        ("model.low=0", "give an int, 1 or more"),
        ("train.clip_norm=wide", "config.train.clip_norm=wide is not allowed: give a number from 0 to 1000000000"),
        ("train.clip_norm=True", "give a number"),
        ("train.clip_norm=nan", "give a number"),
        ("model.offset=nan", "config.model.offset=nan is not allowed: give a number"),
        ("model.offset=1e999", "give a number"),
        ("model.gain=-inf", "give a number, or one per run"),
        ("model.gain=1e39", "give a number"),  # inf as a float32
        ("model.beta=0", "give a number from 0 to 1, 0 and 1 excluded, or one per run"),
        ("model.beta=1.0", "0 and 1 excluded"),
        ("model.beta=1e-50", "beta=1e-50 is not allowed, as it is 0 in float32: give a number from 0 to 1, 0 and 1 ex"),
        ("model.beta=0.99999999999", "as it is 1 in float32: give a number from 0 to 1, 0 and 1 excluded"),
        ("train.clip_norm=" + 6000 * "9", "config.train.clip_norm=" + 77 * "9" + "... is not allowed: give a number"),
        (6000 * "x" + "=1", f"config.{77 * 'x'}...=1 is not allowed: there is no such key"),
        ("train.lr=1e-3", "there is no such key; there are train.epochs, train.steps, "),
        ("train.lr=1e-3", "train.clip_norm, train.dtype and 5 more: see --keys"),
        ("lr=1e-3", "there is no such key; there are task, seed, runs, train.epochs"),
        ("epochs=3", "there is no such key; the nearest is train.epochs"),
        ("learning_rate=3", "there is no such key; the nearest is train.learning_rate"),
        (".train=3", "config..train=3 is not allowed: there is no such key; there are task, "),
        (".train=3", f" and {len(KEYS | TASK_KEYS) - 15} more: see --keys"),
        ("train=3", "train.dtype and 5 more: see --keys"),
        ("train.learning_rate=0", "give a number from 0 to 10, 0 excluded, or one per run"),
        ("train.learning_rate=1e-3,0", "config.train.learning_rate=1e-3,0 is not allowed"),
        ("train.learning_rate=((1,2),3)", "or one per run"),
        ("train.clip_norm=1,2", "config.train.clip_norm=1,2 is not allowed, as it is the same for all runs: give a nu"),
        ("train.clip_norm=0,05", "a comma separates the values of runs: the decimal sign is a point, 0.05: gi"),
        ("train.learning_rate=0,001", "the decimal sign is a point, 0.001: give a number from 0 to 10"),
        ("train.learning_rate=1e\N{MINUS SIGN}3", "as its character 3, '\N{MINUS SIGN}', is MINUS SIGN (U+2212): give"),
        ("taks=fly", "there is no such key; the nearest is task"),
        ("tree.depth=3", "there is no such key; there is no group tree, but train, evaluate, stop, "),
        ("seed=-1", "give an int from 0 to 1000000000, or one per run"),
        ("seed=1,2.0", "give an int"),
        ("train.remat=1", "config.train.remat=1 is not allowed: give true or false"),
        ("train.remat=yes", "give true or false"),
        ("train.schedule=cosin", "config.train.schedule=cosin is not allowed: give constant or cosine"),
        ("model.name=", "give some text"),
        ("model.hidden=64,,64", "give a tuple, each an int from 1 to 4096"),
        ("model.hidden=64,0", "give a tuple, each an int from 1 to 4096"),
        ("model.hidden=64 64", "give a tuple"),
        ("model.parts=one,,other", "config.model.parts=one,,other is not allowed: give a tuple, each some text"),
        ("model.parts=one,", "give a tuple, each some text"),
        ("train.epoch=3", "config.train.epoch=3 is not allowed: there is no such key; the nearest is train.epochs"),
        ("model.hiden=3", "the nearest is model.hidden"),
        ("tr\N{CYRILLIC SMALL LETTER A}in.epochs=3", "as its character 3, '\N{CYRILLIC SMALL LETTER A}', is "
         "CYRILLIC SMALL LETTER A (U+0430); the nearest is train.epochs"),
        ("seed=1,1", "config.seed=(1, 1) makes runs 0 and 1 the same, as they differ in no other value either: give "
         "run 1 another seed, or leave it out"),
        ("zzz=3", "there is no such key; there are task, seed, runs, train.epochs"),
        ("train=3", "config.train=3 is not allowed: it is a group; set one of its keys, train.epochs, tr"),
        ("train.epochs.x=3", "there is no such key; the nearest is train.epochs"),
        ("runs=2\nseed=1", "config.runs=2 seed=1 is not allowed"),
        ("train.microbatches=3", "=3 has to divide config.train.batch_size=512: give a divisor, such as 2"),
        ("evaluate.costly_every=7", "is no multiple of evaluate.cheap_every=10: give a multiple, such as 10"),
        ("checkpoint.every=3", "config.checkpoint.every=3 is no multiple of evaluate.cheap_every=10: give"),
        ("task=fly", "config.task=fly has to be the name of a task module, such as ternary_jax.addition.task: there "),
        ("task=ternary_jax.precision", "this one has no KEYS"),
        ("task=.relative", "config.task=.relative has to be the name of a task module"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_what_is_allowed(file, override, words):
    sentence = refused(file, [override])
    assert words in sentence
    assert str(file) not in sentence  # the message does not blame the file


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "train.epochs",
            "20",
            "config.train.epochs='20' is not allowed, as it is text: write it without the quotes: gi",
        ),
        ("train.epochs", None, "config.train.epochs=None is not allowed: give an int"),
        ("train.epochs", True, "give an int"),
        ("train.epochs", 20.0, "give an int"),
        ("model.parts", (1,), "give a tuple, each some text"),
        ("model.parts", ("",), "give a tuple, each some text"),
        ("train.remat", 1, "give true or false"),
        ("train.clip_norm", 10**400, "give a number"),
        ("train.clip_norm", float("inf"), "give a number"),
        (
            "train.learning_rate",
            np.array([1e-3, 2e-3]),
            "as several values have to be a tuple, and this is of type nda",
        ),
        ("train", {"epochs": 3}, "it is a group"),
        ("task", 3, "config.task=3 has to be the name of a task module"),
        (3, 3, "config.3=3 is not allowed: there is no such key"),
    ],
)
def test_a_wrong_value_in_a_mapping_is_named_with_what_is_allowed(file, key, value, words):
    assert words in refused(file, {key: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("config.train.epochs = -1", "config.train.epochs=-1 is not allowed in {}: give an int from 0 to 10000000"),
        ("config.train.epoch = 7", "config.train.epoch=7 is not allowed in {}: there is no such key; the nearest is t"),
        ("config.train = 3", "config.train=3 is not allowed in {}: it is a group; set one of its keys"),
        ("del config.train.epochs", "{} has no config.train.epochs: set it to an int from 0 to 10000000"),
        ("del config.model", "{} has no config.model.hidden: set it to a tuple"),
        ("config.train.epochs = config.train.get_ref('batch_size')", "is a reference: give it a value of its own"),
        ("return 3", "get_config() of {} has to return an ml_collections.ConfigDict, and returns int: return one, su"),
        ("config.task = 'a_taks'", "config.task=a_taks in {} has to be the name of a task module, such as ternary_j"),
        ("config.task = 'worng'", ": there is no module worng in {0.parent}, in the current folder or amo"),
        ("return None", "and returns nothing: end it with `return config`"),
        ("raise ValueError('two\\n   lines')", "{}, line 8: ValueError: two lines"),
        ("raise SystemExit(3)", "{}, line 8: SystemExit: 3"),
        ("config[1] = 2", "{}: TypeError"),
        ("nothing", "{}, line 8: NameError: name 'nothing' is not defined; correct this line"),
        ("import nothing", "{}, line 8: ModuleNotFoundError: No module named 'nothing'"),
        ("1 / 0", "{}, line 8: ZeroDivisionError"),
        ("max(key=abs)", "{}, line 8: TypeError"),
        ("dict()['x']", "{}, line 8: KeyError: 'x'"),
        ("config.foo.bar = 3", "{}, line 8: there is no group config.foo; there are checkpoint, emergence, eva"),
        ("config.train.lr.x = 3", "{}, line 8: there is no group config.train.lr; there are none"),
        ("config['foo']['bar'] = 3", "{}, line 8: there is no group config['foo']; there are checkpoint, emergence,"),
        ("x = config.train.epoch + 1", "{}, line 8: there is no key config.train.epoch; there are batch_size, chunk"),
        ("read('nowhere.py')", '{}, line 8: read("nowhere.py"): there is no such file; read("vae") starts from the'),
        ("read('x/smoke.py')", '{}, line 8: read("x/smoke.py"): there is no such file; read("smoke") starts from the'),
        ("read('vea')", '{}, line 8: read("vea"): there is no packaged config of this name; there are closed_form'),
        ("read('/')", '{}, line 8: read("/") is a folder, and a config is a Python file with get_config(): give'),
        ("read('vae:x')", "configs/vae.py has no variant 'x'; give "),
        ("read('v5_10:x')", "{}, line 8: read(\"v5_10:x\"): v5_10 has no variant 'x': there are statenet, disabled, "
         "prior, ranking, all; give one, such as v5_10:statenet"),
        ("read(__file__)", '{0}, line 8: read("{0}"): this file is being read, so the config would start from itself; '
         "start from another file"),
        ("1 +", "{}, line 8: SyntaxError: invalid syntax; correct this line"),
    ],
)  # fmt: skip
def test_an_error_inside_a_config_file_names_the_file(tmp_path, change, words):
    path = written(tmp_path / "wrong.py", change)
    assert words.format(path) in refused(path)


def test_a_missing_file_function_or_variant_is_refused(tmp_path, file):
    (tmp_path / "empty.py").write_text("x = 1")
    assert (
        'empty.py has no get_config(): define it, so that it returns a config, such as one from read("vae"), or '
        in (refused(tmp_path / "empty.py"))
    )
    (tmp_path / "conf.yaml").write_text("epochs: 3")
    assert "conf.yaml has no get_config(), and a config is a Python file with get_config(): give one, such as" in (
        refused(tmp_path / "conf.yaml")
    )
    assert f"{file} has no sweep(add): define it, so that it calls add({{KEY: VALUE, ...}}) once per run, or leave" in (
        wrong_sweep(file)
    )
    nowhere = refused(tmp_path / "nowhere.py")
    assert "there is no such file; those of this repository are in configs/" in nowhere
    assert "has no variant 'x'" in refused(f"{DEFAULTS}:x")
    assert refused("v5_10:x").startswith("--config=v5_10:x: v5_10 has no variant 'x': there are statenet, disabled, ")
    assert "correct this line" not in refused("v5_10:x")


def test_a_file_that_reads_itself_is_refused_with_its_line(tmp_path):
    path, other = tmp_path / "one.py", tmp_path / "other.py"
    path.write_text("from ternary_jax.config import read\nbase = read(__file__)\ndef get_config(): return base")
    assert refused(path).startswith(
        f'{path}, line 2: read("{path}"): this file is being read, so the config would start'
    )
    other.write_text(f"from ternary_jax.config import read\ndef get_config(): return read({str(path)!r})")
    path.write_text(f"from ternary_jax.config import read\ndef get_config(): return read({str(other)!r})")
    assert refused(path).startswith(f'{other}, line 2: read("{path}"): this file is being read')


def test_another_task_for_a_config_that_sets_keys_of_its_own():
    sentence = refused("vae", ["task=ternary_jax.addition.task"])
    assert sentence.startswith("config.task=ternary_jax.addition.task has no balance.band, balance.decay, ")
    assert sentence.endswith("/vae.py sets them: leave config.task out, or give a --config for this task")
    assert re.search(r"(balance\.\w+, ){4}balance\.\w+ and \d+ more, and /", sentence)


def test_a_base_file_that_is_not_there_is_no_fault_of_a_flag(tmp_path):
    """As where smoke.py has been copied into another folder: its base is beside it no more."""
    (path := tmp_path / "smoke.py").write_text(SMOKE.read_text())
    base, line = tmp_path / "vae.py", SMOKE.read_text().partition("config = read(")[0].count("\n") + 1
    said = (
        f'read("{base}"): there is no such file; read("vae") starts from the packaged configs/vae.py, from any folder'
    )
    assert refused(path) == f"{path}, line {line}: {said}"
    (above := tmp_path / "above.py").write_text(
        "import ternary_jax.config as c\ndef get_config(): return c.read('smoke.py')"
    )
    assert '"smoke.py"): there is no such file' in refused(above)  # a base is searched from the current folder
    base.mkdir()
    assert f'line {line}: read("{base}") is a folder, and a config is a Python file' in refused(path)


def test_a_path_that_is_no_regular_file_is_named_as_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rule = "and a config is a Python file with get_config(): give one, such as configs/smoke.py"
    os.mkfifo("fifo")
    assert f"--config={tmp_path}/fifo is a FIFO, {rule}" in refused(tmp_path / "fifo")
    assert f"--config=fifo is a FIFO, {rule}" in refused("fifo")
    assert f"--config=/dev/zero is a device, {rule}" in refused("/dev/zero")
    assert f"--config={os.devnull} is a device, {rule}" in refused(os.devnull)
    Path("link.py").symlink_to("gone.py")
    gone = "is a symbolic link to gone.py, which is not there: give the file itself, or mend the link"
    assert refused("link.py") == f"--config=link.py {gone}"
    Path("link.py").unlink()
    Path("link.py").symlink_to("link.py")
    assert "--config=link.py is a symbolic link to link.py" in refused("link.py")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "README.md",
            b"# Title\n\n03 of them",
            "README.md is no Python file (line 3: leading zeros in decimal",
        ),
        (
            "config.json",
            b'{"log.tensorboard": false}',
            "only records the values of a run: to go on with that run",
        ),
        (
            "metrics.npz",
            b"PK\x03\x04\x00\xff",
            "metrics.npz is binary, or text that is not UTF-8, and a config is a Python file with g",
        ),
        (
            "latin.py",
            b"x = '\xe9'",
            "latin.py is binary, or text that is not UTF-8, and a config is a Python",
        ),
        (
            "empty.py",
            b" \n",
            "empty.py is empty, and a config is a Python file with get_config(): give one, such",
        ),
        ("wrong.py", b"x = 1\ndef get_config(:", "wrong.py, line 2: SyntaxError: invalid syntax; correct this line"),
        ("deep.py", b"(" * 9999, "deep.py, line 1: SyntaxError: too many nested parentheses; correct this line"),
    ],
)
def test_a_file_that_is_no_program_is_said_to_be_what_it_is(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert words in refused(tmp_path / name)


def test_a_folder_is_no_config(tmp_path):
    rule = "and a config is a Python file with get_config()"
    assert f"--config={tmp_path} is a folder, {rule}: give one, such as configs/smoke.py" in refused(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    words = f"--config={tmp_path} is the workdir of a run, {rule}: to go on with that run, give the --config"
    assert words in refused(tmp_path)
    assert refused(tmp_path).endswith(f"--workdir={tmp_path}")
    assert refused(tmp_path / "config.json").endswith(f"--workdir={tmp_path}")


# --- several values ---------------------------------------------------------------------------------------------------


def test_several_values_of_a_key_are_as_many_runs(file):
    config = load_config(file, ["train.learning_rate=1e-3,2e-3", "train.weight_decay=0,1"])
    assert (config.runs, config.train.learning_rate, config.seed) == (2, (1e-3, 2e-3), 0)
    assert checks.about_runs(config, KEYS | TASK_KEYS) == (
        "2 runs, one per value of train.learning_rate (0.001, 0.002) and train.weight_decay (0.0, 1.0)"
    )
    assert load_config(file, {"seed": (5, 3, 1)}).runs == 3
    assert load_config(file, {"train.learning_rate": (0.1,)}).runs == 1
    assert load_config(file, ["seed=1,1", "train.learning_rate=1e-3,2e-3"]).runs == 2
    assert "makes runs 0 and 2" in refused(file, ["seed=1,2,1", "train.learning_rate=0.1,1,0.1000000001"])
    assert load_config(file, [" train.epochs = 5 ", "model.name= a b "]).train.epochs == 5
    assert checks.about_runs(load_config(file, {"runs": 3}), KEYS | TASK_KEYS) == ""


def test_runs_that_were_given_hold(file, tmp_path):
    for typed in (["runs=1"], ["runs=3"]):
        sentence = refused(file, ["train.learning_rate=1e-3,1e-2", *typed])
        assert sentence == f"config.train.learning_rate has 2 values for config.{typed[0]}: give one, or one per run"
    three = written(tmp_path / "three.py", "config.runs = 3")
    assert "has 2 values for config.runs=3" in refused(three, ["seed=1,2"])


def test_several_numbers_of_values_are_refused(file):
    assert refused(file, ["train.learning_rate=1e-3,1e-2", "seed=1,2,3"]) == (
        "config.seed has 3 values and config.train.learning_rate has 2 values: these are one per run, so give as many "
        "of each"
    )
    assert "config.runs=4097 is not allowed: give an int from 1 to 4096" in refused(file, {"seed": tuple(range(4097))})


# --- sweeps -----------------------------------------------------------------------------------------------------------


def swept(tmp_path, body):
    return written(tmp_path / "swept.py", more=f"def sweep(add):\n    {body}\n")


def test_a_sweep_has_the_rows_that_its_file_adds(tmp_path):
    body = "row = {}\n    for k in range(3): row.update({'train.learning_rate': 10.0**-k, 'seed': 5 - k}); add(row)"
    assert configs.listed_runs(swept(tmp_path, body)) == [
        {"train.learning_rate": rate, "seed": seed} for rate, seed in ((1.0, 5), (0.1, 4), (0.01, 3))
    ]
    assert load_config(tmp_path / "swept.py").runs == 1


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["runs=3"], "config.runs=3 is not allowed in a sweep, whose runs are its settings times its seeds"),
        ({"runs": 1}, "config.runs=1 is not allowed in a sweep, whose runs are its settings times its seeds"),
        (["seed=1"], "--config.seed=1 and config.seed in sweep(add) of {} set the same key: leave one of the two out"),
        (["seed=1,2"], "--config.seed=1,2 and config.seed in sweep(add) of {} set the same key: leave one of the two"),
    ],
)
def test_what_a_sweep_sets_is_set_by_nothing_else(tmp_path, overrides, words):
    path = swept(tmp_path, "add({'seed': 1}); add({'seed': 2})")
    assert wrong_sweep(path, overrides).startswith(words.format(path))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("pass", "adds no run: call add once per run, each time with the same keys"),
        (
            "add({'seed': 1}); add({'train.learning_rate': 1.0})",
            "sets seed in run 0 and not in run 1: call add each ti",
        ),
        ("add({'runs': 3})", "config.runs is not allowed in sweep(add) of"),
        ("add({'train.rate': 3})", "config.train.rate=3 is not allowed in sweep(add) of"),
        ("add({'seed': 'x'})", "config.seed='x' is not allowed in sweep(add) of"),
        ("add({'seed': (1, 2)})", "config.seed=(1, 2) is not allowed in sweep(add) of"),
        ("add(3)", "TypeError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_wrong_sweep_is_refused_with_its_file(tmp_path, body, words):
    sentence = wrong_sweep(path := swept(tmp_path, body))
    assert words in sentence
    assert str(path) in sentence


# --- what a program gets ----------------------------------------------------------------------------------------------


def test_a_split_has_the_names_of_the_config_and_traced_values_per_run(file):
    static, hypers = split(load_config(file, {"runs": 3, "seed": 10, "train.learning_rate": (1, 2, 3)}))
    assert (static.runs, static.train.batch_size, static.model.hidden, static.task) == (3, 512, (64, 32), "a_task")
    assert not hasattr(static, "seed")
    assert not hasattr(static.train, "learning_rate")
    assert set(hypers._fields) == {"seed", "train", "model"}  # no empty group
    assert set(hypers.train._fields) == {"learning_rate", "weight_decay"}
    np.testing.assert_array_equal(hypers.seed, [10, 11, 12])
    np.testing.assert_array_equal(hypers.train.learning_rate, [1, 2, 3])
    np.testing.assert_array_equal(hypers.model.beta, [0.5, 0.5, 0.5])
    assert hypers.seed.dtype == np.int32
    assert {leaf.dtype for leaf in [*hypers.train, *hypers.model]} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(split(load_config(file, {"runs": 2, "seed": (7, 3)}))[1].seed, [7, 3])


def test_two_splits_of_a_config_are_the_same_program(file):
    one, other = split(load_config(file)), split(load_config(file))
    changed = split(load_config(file, {"train.learning_rate": 0.5, "seed": 3}))
    assert one[0] == other[0] == changed[0]
    assert hash(one[0]) == hash(other[0]) == hash(changed[0])
    assert jax.tree.structure(one[1]) == jax.tree.structure(other[1]) == jax.tree.structure(changed[1])
    assert split(load_config(file, {"train.epochs": 3}))[0] != one[0]


def test_differences_are_said_but_for_what_is_free(file):
    old = resolved(load_config(file))
    changes = {"train.epochs": 20, "train.schedule": "constant", "train.on_nan": "rollback", "train.max_rollbacks": 9}
    new = json.loads(json.dumps(resolved(load_config(file, changes))))
    assert configs.differences(old, new) == [
        "train.epochs is 100 there and 20 here",
        "train.schedule is cosine there and constant here",
    ]
    assert configs.differences(old, old) == []
    del old["train.remat"]
    assert configs.differences(old, new)[1:2] == ["train.remat is not set there and False here"]


def values_of(key: Key, runs: int):
    """A hypothesis strategy of all values that the key allows."""
    if key.choices:
        return st.sampled_from(key.choices)
    if key.kind is str:
        one = st.text("ab_1 ", min_size=1).filter(str.strip).map(str.strip)
        return (
            st.lists(one, max_size=3).map(tuple) if key.many else st.text(min_size=1).filter(lambda x: x == x.strip())
        )
    if key.kind is bool:
        return st.booleans()
    low, high = max(key.low, -1e9), min(key.high, 1e9)
    if key.kind is int:
        one = st.integers(int(low), int(high))
    else:
        one = st.floats(low, high, width=32).filter(lambda x: x not in key.excluded)
    if key.many:
        return st.lists(one, max_size=3).map(tuple)
    return one | st.tuples(*[one] * runs) if key.traced else one


@st.composite
def changes(draw):
    table = KEYS | TASK_KEYS
    out = {"runs": draw(st.integers(1, 3))}
    for key in sorted(draw(st.sets(st.sampled_from(sorted(table.keys() - {"task", "runs"}))))):  # a fixed order
        out[key] = draw(values_of(table[key], out["runs"]))
    out["train.batch_size"] = out.get("train.microbatches", 1) * draw(st.integers(1, 9))
    cheap = out["evaluate.cheap_every"] = draw(st.integers(1, 50))
    n, steps = draw(st.integers(1, 99)), draw(st.booleans())
    out |= {"train.epochs": 0, "train.steps": n} if steps else {"train.epochs": n, "train.steps": 0}
    out["train.warmup_epochs"] = draw(st.integers(0, n - 1))
    out |= {f"train.phase_{part}": () for part in ("shapes", "epochs", "rates")}
    if out.get("train.schedule") == "phases":
        lengths = out["train.phase_epochs"] = tuple(draw(st.lists(st.integers(1, 99), min_size=1, max_size=3)))
        out["train.phase_shapes"] = tuple(draw(st.sampled_from(SHAPES)) for _ in lengths)
        out["train.phase_rates"] = tuple(draw(st.floats(0, 1)) for _ in lengths)
        out |= {"train.epochs": sum(lengths), "train.steps": 0, "train.warmup_epochs": lengths[0] - 1}
    for name, one in (("plateaus", st.integers(1, 40)), ("gains", st.floats(0, 1))):
        out[f"grokking.{name}"] = tuple(sorted(draw(st.tuples(one, one, one))))
    out["profile.steps"] = draw(st.sampled_from(("", "0:1", "10:200")))
    out["grokking.memory"] = draw(st.integers(40, 99))
    return out | {"evaluate.costly_every": cheap * draw(st.integers(0, 9))} | {"checkpoint.every": cheap * 3}


@given(changes())
def test_a_config_is_the_same_after_a_journey_through_json(file, drawn):
    config = load_config(file, drawn)
    back = resolved(config)
    assert list(back) == sorted(KEYS | TASK_KEYS)
    again = load_config(file, json.loads(json.dumps(back)))
    assert again == config
    assert resolved(again) == back
    assert split(again)[0] == split(config)[0]
    table = KEYS | TASK_KEYS

    def as_typed(key, v):
        words = table[key].kind is str
        return ",".join(v) if words and table[key].many else v if words else json.dumps(v)

    typed = [f"{key}={as_typed(key, v)}" for key, v in back.items()]
    assert load_config(file, typed) == config


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "train.learning_rate",
            -1,
            "config.train.learning_rate=-1.0 is not allowed: give a number from 0 to 10, 0",
        ),
        ("train.schedule", "cosin", "config.train.schedule='cosin' is not allowed: give constant or cosine"),
        (
            "checkpoint.best_metric",
            "loss ",
            "config.checkpoint.best_metric='loss ' is not allowed, as it begins or ends with a space",
        ),
        ("checkpoint.every", 3, "config.checkpoint.every=3 is no multiple of evaluate.cheap_every"),
        ("grokking.memory", 4, "config.grokking.memory=4 is shorter than the least of .plateaus"),
        ("data.n_digits", 99, "config.data.n_digits=99 is not allowed: give an int from"),
        ("losses.radial.share", 7.0, "config.losses.radial.share=7.0 is not allowed: give a number"),
    ],
)
def test_a_value_that_is_set_in_a_locked_config_is_checked_before_a_run(tmp_path, key, value, words):
    config = load_config("smoke")
    *groups, name = key.split(".")
    setattr(functools.reduce(getattr, groups, config), name, value)
    with pytest.raises(ConfigError) as caught:
        host.run(config, tmp_path / "run")
    assert str(caught.value).startswith(words)
    assert not list(tmp_path.iterdir())


def test_a_config_needs_no_jax():
    code = f"import sys; from ternary_jax.config import read; read({str(DEFAULTS)!r}); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=DEFAULTS.parents[1]).returncode == 0


SMOKE = Path(__file__).parents[1] / "configs" / "smoke.py"
PHASES = {
    "train.schedule": "phases",
    "train.phase_shapes": ("cosine", "linear"),
    "train.phase_epochs": (20, 30),
    "train.phase_rates": (1.0, 0.5),
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train.phase_rates": (1.0,)}, "has no phases: set config.train.schedule=phases"),
        ({"train.schedule": "phases"}, "there are no phases: set .*, such as cosine, 60 and 1.0 for a single phase"),
        (PHASES | {"train.phase_shapes": ()}, "as many config.train.phase_shapes"),
        ({"train.warmup_epochs": 60}, "warmup_epochs=60 are not over before the end of the run, of 60 epochs: give le"),
        ({"train.epochs": 0, "train.steps": 9, "train.warmup_epochs": 9}, "of 9 steps: give less, or more config.trai"),
        (PHASES | {"train.phase_rates": (1.0,)}, "there are 2, 2 and 1"),
        (PHASES | {"train.phase_shapes": ("cosine", "steep")}, "has steep: allowed are constant, cosine"),
        (PHASES | {"train.epochs": 60}, "are 50 epochs together"),
        (PHASES | {"train.warmup_epochs": 20, "train.epochs": 50}, "=20 are not over before the end of the first"),
    ],
)
def test_phases_that_do_not_fit_the_run_are_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        load_config(SMOKE, changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plateaus": (5, 15)}, r"config.grokking.plateaus=5,15 has to be three numbers that rise"),
        ({"gains": (0.03, 0.01, 0.08)}, r"config.grokking.gains=0.03,0.01,0.08 has to be three numbers that rise"),
        ({"memory": 4}, r"config.grokking.memory=4 is shorter than the least of .plateaus, 5: give more"),
    ],
)
def test_thresholds_of_grokking_that_are_out_of_order_are_refused(file, changes, said):
    with pytest.raises(ConfigError, match=said):
        load_config(file, {f"grokking.{name}": value for name, value in changes.items()})


def test_words_are_typed_with_commas_or_as_in_a_config_file(file):
    for typed in ("a,b", "('a', 'b')", '["a", "b"]'):
        assert load_config(file, [f"grokking.metrics={typed}"]).grokking.metrics == ("a", "b")
    assert load_config(file, ["grokking.metrics=()"]).grokking.metrics == ()
    assert "the nearest is seed" in refused(file, ["train.sed=1"])
