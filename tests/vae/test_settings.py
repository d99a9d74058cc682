"""Rules on several keys of a config: refusals in a sentence with key and fix, and allowed combinations."""

import re
import runpy

import pytest
import small

from ternary_jax.config import ConfigError, has_sweep, listed_runs, load_config, split
from ternary_jax.sweeps.plan import plan
from ternary_jax.vae.losses import registry

CONTROLLED = small.CONTROLLED

REFUSED = [
    (
        dict(train__batch_size=82),
        "config.train.batch_size=82 is more than the 81 operations of config.data.n_digits=4: 81 or less is allowed",
    ),
    (dict(data__split="random", data__train_share=0.0), "config.data.train_share=0.0 .* leaves nothing to train: give"),
    (dict(data__split="residue_balls", data__residue_level=5), "config.data.residue_level=5 .*: give 1 to 4"),
    (dict(data__split="digit_box", data__box_digits=5), "config.data.box_digits=5 .*: give 2 or more"),
    (
        dict(data__partners=True, train__batch_size=25),
        "config.data.partners=True .*: config.train.batch_size=25 has to be a multiple of 2, twice",
    ),
    (
        dict(data__partners=True, train__batch_size=30, train__microbatches=3 * 2),
        "config.train.batch_size=30 has to be a multiple of 12, twice config.train.microbatches",
    ),
    (dict(losses__bands__on="B"), "config.losses.bands.on=B needs .*: set config.data.partners=True"),
    (dict(train__batch_size=24, train__microbatches=24), "config.train.batch_size=24 leaves no pairs: give 2 rows"),
    (
        dict(train__batch_size=24, train__microbatches=12, losses__ranking_v2__on="B"),
        "config.train.batch_size=24 leaves no triplets .*: give 3 rows or more in each microbatch",
    ),
    (dict(losses__alignment__on="A"), "config.losses.alignment.on='A' is not allowed: give none or AB"),
    (dict(model__A__decoder="shared"), "config.model.A.decoder=shared: it is B that may share .*; give A its own"),
    (
        dict(model__B__decoder="residual", model__B__decoder_hidden=(7, 8)),
        "config.model.B.decoder_hidden=7,8 has to repeat one width",
    ),
    (
        dict(model__A__decoder="residual", model__A__decoder_hidden=()),
        "config.model.A.decoder_hidden= has to repeat one width",
    ),
    (
        dict(losses__kl__on="AB", model__A__posterior="gaussian"),
        "config.losses.kl.on=AB needs config.model.B.posterior=gaussian, which is point",
    ),
    (
        dict(losses__geodesic__on="A", losses__geodesic__furthest=9.0, model__c=1.0, radii__outer=0.9),
        "config.losses.geodesic.furthest=9.0 is out of reach: .*config.radii.outer=0.9 are at most 5.889 apart",
    ),
    (
        dict(losses__geodesic__on="A", losses__geodesic__furthest=5.0, runs=3, model__c=(1.0, 0.5, 4.0)),
        "config.losses.geodesic.furthest=5.0 is out of reach: .*at most 2.944 apart",
    ),
    (
        dict(phases__structure_from=3, phases__geometry_from=2),
        "config.phases.geometry_from=2 comes before .*config.phases.structure_from=3: give that epoch or a later one",
    ),
    (CONTROLLED | dict(model__cross_injection=False), "config.controller.on=True .*config.model.cross_injection=True"),
    (CONTROLLED | dict(losses__radial__on="A"), "config.losses.radial.on and .geodesic.on of B or AB"),
    (CONTROLLED | dict(losses__geodesic__on="none"), "config.losses.radial.on and .geodesic.on of B or AB"),
    (CONTROLLED | dict(losses__kl__on="B"), "config.losses.kl.on=AB"),
    (CONTROLLED | dict(model__rho=0.6), "config.model.rho=0.6 .*: give 0.5 or less"),
    (
        CONTROLLED | dict(runs=2, model__rho=(0.1, 0.6)),
        "config.model.rho=.* the upper bound of rho with config.controller.on=True: give 0.5 or less",
    ),
]


@pytest.mark.parametrize(("overrides", "words"), REFUSED)
def test_contradicting_settings_are_refused_with_the_key_and_the_fix(overrides, words):
    with pytest.raises(ConfigError) as caught:
        small.config(**overrides)
    sentence = str(caught.value)
    assert re.search(words, sentence), sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "overrides",
    [
        dict(train__batch_size=81),
        dict(data__partners=True, train__batch_size=24, train__microbatches=12),
        dict(train__batch_size=24, train__microbatches=12),
        dict(train__batch_size=24, train__microbatches=8, losses__ranking_v2__on="B", losses__alignment__on="AB"),
        dict(model__B__decoder="shared", model__A__decoder="residual", model__A__decoder_hidden=(7, 7)),
        dict(model__B__decoder="shared", model__B__decoder_hidden=(7, 8)),
        dict(losses__kl__on="B", model__B__posterior="gaussian"),
        dict(losses__geodesic__furthest=9.0),  # the loss is off
        dict(losses__geodesic__on="A", losses__geodesic__furthest=5.88, model__c=1.0, radii__outer=0.9),
        dict(losses__bands__on="B", data__partners=True),
        dict(phases__structure_from=2, phases__geometry_from=2),
        CONTROLLED,
        CONTROLLED | dict(losses__radial__on="B", losses__geodesic__on="B", model__rho=0.5),
        dict(model__rho=0.9, model__cross_injection=True),
    ],
)
def test_settings_without_a_contradiction_are_allowed(overrides):
    small.config(**overrides)


def files():
    return sorted(path.name for path in small.CONFIGS.glob("*.py") if path.name not in ("defaults.py", "text.py"))


def names():
    """The names of all configs, including variants."""
    tables = {file: runpy.run_path(str(small.CONFIGS / file)).get("VARIANTS", {}) for file in files()}
    return [
        ":".join(filter(None, (file, arg))) for file, table in tables.items() for arg in dict.fromkeys(("", *table))
    ]


@pytest.mark.parametrize("name", names())
def test_every_config_of_the_repository_can_be_read_and_split(name):
    config = load_config(small.CONFIGS / name)
    if config.task == "ternary_jax.vae.task":
        split(config)
    if has_sweep(path := small.CONFIGS / name):
        assert len(plan(path, {}, rows=listed_runs(path)).runs) > 1


def test_there_are_configs_of_this_task():
    assert {"vae.py", "smoke.py"} <= set(files())
    assert load_config(small.CONFIGS / "smoke.py").task == "ternary_jax.vae.task"


def test_every_loss_can_be_configured_and_is_off_unless_it_is_asked_for():
    config = load_config(small.CONFIGS / "vae.py")
    assert set(config.losses) == registry.table().keys()
    assert registry.on(config.losses) == {"reconstruction": "AB"}


def test_the_losses_that_are_on_have_a_fixed_order():
    config = small.config(losses__rank__on="A", losses__kl__on="B", model__B__posterior="gaussian")
    for given in (config.losses, split(config)[0].losses):
        assert registry.on(given) == {"reconstruction": "AB", "kl": "B", "rank": "A"}
        assert [*registry.on(given)] == ["reconstruction", "kl", "rank"]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (dict(radii__inner=0.9, radii__outer=0.9), "radii.outer=0.9, and that at most config.model.max_"),
        (dict(radii__outer=0.97), "config.radii.outer=0.97, and that at most config.model.max_radius=0.95"),
        (
            dict(losses__bands__on="B", data__partners=True, losses__bands__between=0.93, losses__bands__outer=0.92),
            "config.losses.bands.between=0.93 has to be less than config.losses.bands.outer=0.92",
        ),
        (dict(data__partners=True, train__batch_size=6), "config.train.batch_size=6 has too few partners"),
        (dict(phases__geometry_from=4), "config.phases.geometry_from=4 is never reached in config.train.epochs=4"),
        (dict(losses__reconstruction__on="none"), "config.losses has every loss off"),
    ],
)
def test_settings_that_cannot_train_as_meant_are_refused(overrides, sentence):
    with pytest.raises(ConfigError) as error:
        small.config(**overrides)
    assert sentence in str(error.value)
