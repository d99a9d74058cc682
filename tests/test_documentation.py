"""Every key of every packaged config has a meaning, which is the comment beside its assignment."""

from pathlib import Path

import pytest

from ternary_jax.config import comments, documentation, listing, load_config, locate, read, resolved
from ternary_jax.config.keys import flat

TRAINED = [name for name in locate.packaged() if name not in ("defaults", "text")]


@pytest.mark.parametrize("name", TRAINED)
def test_every_key_has_a_meaning(name):
    config = load_config(name)
    keys = [*flat(config)]
    meanings = documentation.meanings(name, config.task, keys)
    assert [*meanings] == keys
    assert not [key for key in keys if not meanings[key]]


def test_a_meaning_is_that_of_the_file_that_a_config_starts_from():
    keys = ["losses.bands.radius", "model.B.decoder_gain", "model.A.posterior", "rates.curvature", "losses.kl.weight"]
    found = documentation.meanings("v5_12", "ternary_jax.vae.task", [*keys, "no.such"])
    assert found["losses.bands.radius"] == "weight of the radii"
    assert found["model.B.decoder_gain"] == "factor on the input of the decoder"
    assert found["model.A.posterior"].startswith('The latent vector that training decodes. "point": the encoder')
    assert found["rates.curvature"] == "factor on the learning rate of each group of parameters"
    assert found["losses.kl.weight"] == "KL of a Gaussian posterior to N(0, 1)"
    assert found["no.such"] == ""


def test_a_config_of_ones_own_has_its_comments_and_those_of_the_package(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from ternary_jax.config import read\n"
        "def get_config():\n"
        "    config = read('vae')\n"
        "    config.losses.kl.weight = 0.2  # mine\n"
        "    return config.lock()\n"
    )
    assert [Path(one).stem for one in documentation.started_from(str(file))] == ["defaults", "vae", "mine"]
    found = documentation.meanings(file, "ternary_jax.vae.task", ["losses.kl.weight", "train.epochs"])
    assert found["losses.kl.weight"] == "KL of a Gaussian posterior to N(0, 1)"
    assert found["train.epochs"].startswith("length of a run in epochs")
    assert documentation.defaults(file)["losses.kl.weight"] == 0.1


def test_the_values_that_differ_from_the_base_are_those_of_the_files_after_it():
    """The base of smoke.py is vae.py; that of a task of one's own, defaults.py."""
    config = resolved(load_config("smoke", {"train.learning_rate": (1e-3, 2e-3), "train.batch_size": 256}))
    found = documentation.changed(config)
    assert found["train.learning_rate"] == "0.001,0.002"
    assert (found["model.A.hidden"], found["losses.radial.on"], found["train.epochs"]) == ("64,64", "A", 60)
    assert not found.keys() & {"task", "seed", "runs", "data.n_digits", "train.weight_decay"}
    base = resolved(read("vae"))
    assert {key for key, x in config.items() if base[key] != x} - found.keys() == {"runs"}
    own = {"task": "line", "train.epochs": 3, "seed": 5, "stop.watch": "error", "train.momentum": 0.5}
    assert documentation.changed(resolved(read("defaults")) | own).keys() == own.keys() - {"task", "seed"}


def test_a_file_that_reads_itself_ends(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("from ternary_jax.config import read\ndef get_config():\n    return read('own.py')\n")
    assert documentation.started_from(str(file)) == (str(file),)


SOURCE = b"""
def get_config():
    config = ConfigDict()
    config.a = 1  # of a
    # of b, in
    # two lines
    config.b = 2
    config.c = 3

    one = ConfigDict(dict(x=1))  # of one
    one.y = 2  # of y
    config.p = one
    config.q = ConfigDict(one.to_dict() | dict(z=3))
    group = config.group = ConfigDict()  # of the group
    group.d, group.e = 4, 5  # of both
    for name in ("f", "g"):
        config.group[name] = 6
    for branch in (config.p, config.q):
        branch.w = 7  # of w
    if True:
        config["h"] = "# no comment"  # of h
    config.m = ConfigDict({"n": dict(o=1)})  # of m
    local = 3  # of no key
    return config.lock()
"""


def test_comments_are_those_beside_or_directly_above():
    found = comments.of_keys(SOURCE)
    assert found == {
        **{"a": "of a", "b": "of b, in two lines", "c": "", "h": "of h"},
        **{"p": "", "p.x": "of one", "p.y": "of y", "p.w": "of w"},
        **{"q": "", "q.x": "of one", "q.y": "of y", "q.z": "", "q.w": "of w"},
        **{"group": "of the group", "group.d": "of both", "group.e": "of both", "group.*": ""},
        **{"m": "of m", "m.n": "of m", "m.n.o": "of m"},
    }


def test_a_listing_fits_a_terminal():
    lines = listing.keys("v5_10", load_config("v5_10"), "").splitlines()
    assert max(map(len, lines)) <= listing.WIDTH
    assert "train.epochs = 120 (default 100): an int from 0 to 10000000" in lines


def test_differences_are_those_from_the_first_file_that_sets_a_key():
    lines = listing.differences("v5_12", load_config("v5_12", {"data.shifts": 2})).splitlines()
    assert lines[0] == f"{len(lines) - 1} of {len(flat(load_config('v5_12')))} values differ from their defaults"
    assert {"  data.shifts = 2 (default 4)", "  data.partners = true (default false)"} <= set(lines)
    assert max(map(len, lines)) <= listing.WIDTH


@pytest.mark.parametrize(
    ("value", "typed"),
    [((64, 32), "64,32"), ((), "()"), ("", "(empty)"), (True, "true"), (1e-3, "0.001"), (("a", "b"), "a,b")],
)
def test_a_value_is_shown_as_it_is_typed(value, typed):
    assert listing.as_typed(value) == typed


@pytest.mark.parametrize(
    ("read", "bases"),
    [
        ('"configs/defaults.py"', ["defaults"]),  # from the current folder, the root of the repository
        ('"../x/base.py"', ["base"]),
        ('Path(__file__).parent / "../x/base.py"', ["base"]),
        ('str(Path(__file__).resolve().parent) + "/base.py"', ["base"]),
        ('"FOLDER/base.py"', ["base"]),
        ('Path("FOLDER") / "x" / ".." / "x" / "base.py"', ["base"]),
        ('"v5_10:all"', ["defaults", "vae", "v5_10"]),
        ('"FOLDER/base.py:arg" if True else "\\0/" + 999 * "x"', ["base"]),
        ('"base.py" if True else "../x/mine.py"', ["base"]),
    ],
)
def test_a_base_file_is_found_however_its_path_is_written(tmp_path, monkeypatch, read, bases):
    (folder := tmp_path / "x").mkdir()
    monkeypatch.chdir(locate.FOLDER.parent if "configs" in read else folder)
    packaged = str(locate.FOLDER / "defaults.py")
    head = "from pathlib import Path\nfrom ternary_jax.config import read\ndef get_config(arg=''):\n"
    (folder / "base.py").write_text(f"{head}    return read({packaged!r})\n")
    (folder / "mine.py").write_text(
        f"{head}    config = read({read.replace('FOLDER', str(tmp_path if ' / ' in read else folder))})\n"
        "    config.task, config.train.epochs = 'toy', 7\n    return config\n"
    )
    found = [Path(one).stem for one in documentation.started_from(str(folder / "mine.py"))]
    assert [one for one in found if one not in ("defaults", "mine")] == [one for one in bases if one != "defaults"]
    assert documentation.defaults(folder / "mine.py")["train.epochs"] == 100
    assert documentation.meanings(folder / "mine.py", "toy", ["train.epochs"])["train.epochs"].startswith("length of")


def test_a_base_file_that_cannot_be_read_alone_gives_no_defaults(tmp_path):
    head = "from ternary_jax.config import read\n"
    (tmp_path / "base.py").write_text(f"{head}def get_config(arg):\n    return read('defaults')\n")
    (tmp_path / "mine.py").write_text(f"{head}def get_config():\n    return read({str(tmp_path / 'base.py:x')!r})\n")
    assert documentation.defaults(tmp_path / "mine.py")["train.epochs"] == 100


def test_files_that_start_from_each_other_end(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.py").write_text(f"def get_config():\n    return read('../{tmp_path.name}/{other}.py')\n")
    found = documentation.started_from(str(tmp_path / "a.py"))
    assert [Path(one).stem for one in found] == ["b", "a"]
