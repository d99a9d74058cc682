"""The sentence encoder: both vectors against a plain float64 encoder, its activations, its files and their faults."""

import json
import re
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest
import small_teacher
from reference import bert, wordpiece
from safetensors.numpy import load_file, save_file

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import models, teacher, weights

TEXTS = ["the river flows", "", "Cold, deep lake!", "the " * 20, "山水", "deep", "flowing rivers 12", "a lake-river"]
NUMBERS = {token: number for number, token in enumerate(small_teacher.VOCABULARY)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "teacher"


def expected(config, pooling, longest, texts=TEXTS, prefix=""):
    """(words, meaning) by the plain encoder."""
    arrays, found = small_teacher.arrays(config, prefix), []
    for text in texts:
        ids = wordpiece.ids(text, NUMBERS)
        ids = [*ids[: longest - 1], NUMBERS["[SEP]"]] if len(ids) > longest else ids
        found.append(bert.encode(arrays, config, ids, pooling))
    return np.array(found).transpose(1, 0, 2)


@pytest.mark.parametrize(
    ("pooling", "activation", "longest", "prefix"),
    [
        ("mean", "gelu", 48, ""),
        ("first", "gelu_new", 12, "bert."),
        ("max", "relu", 12, ""),
        ("mean", "gelu_pytorch_tanh", 12, ""),
    ],
)
def test_both_vectors_are_those_of_a_plain_encoder(folder, monkeypatch, pooling, activation, longest, prefix):
    """Texts of several lengths, in several batches, of which some are cut, come back in their order."""
    monkeypatch.setattr(teacher, "TOKENS", 64)
    config = small_teacher.write(folder, pooling, prefix, hidden_act=activation)
    found = teacher.encode(weights.load(folder), TEXTS, longest)
    words, meaning = expected(config, pooling, longest, prefix=prefix)
    np.testing.assert_allclose(found.words, words, atol=1e-5)
    np.testing.assert_allclose(found.meaning, meaning, atol=1e-5)
    assert found.cut == (longest == 12)  # 20 words and two marks are longer than that, and shorter than 48


def test_a_text_longer_than_every_length_of_a_batch_is_encoded(folder, monkeypatch):
    monkeypatch.setattr(teacher, "LENGTHS", (2, 4))
    config = small_teacher.write(folder)
    found = teacher.encode(weights.load(folder), TEXTS[:1], 12)
    np.testing.assert_allclose(found.meaning, expected(config, "mean", 12, TEXTS[:1])[1], atol=1e-5)


@pytest.mark.parametrize("name", models.ACTIVATIONS)
def test_activations_are_those_of_their_formulas(name):
    x = np.linspace(-5, 5, 41).astype(np.float32)
    found = models.ACTIVATIONS[name](jnp.asarray(x))
    np.testing.assert_allclose(found, bert.ACTIVATIONS[name](x.astype(float)), atol=2e-6)


def test_a_folder_without_modules_is_pooled_by_its_mean(folder):
    small_teacher.write(folder, "max")
    (folder / "modules.json").unlink()
    assert weights.load(folder).pooling == "mean"
    (folder / "modules.json").write_text('[{"path": "", "type": "sentence_transformers.models.Transformer"}]')
    assert weights.load(folder).pooling == "mean"


def test_the_digest_is_that_of_the_weights_and_the_tokenizer(folder, tmp_path):
    small_teacher.write(folder)
    small_teacher.write(tmp_path / "other")
    before = weights.load(folder).digest
    assert weights.load(tmp_path / "other").digest == before
    arrays = load_file(folder / "model.safetensors")
    save_file({name: value + 1 for name, value in arrays.items()}, folder / "model.safetensors")
    assert weights.load(folder).digest != before


def refused(folder) -> str:
    """The sentence on a folder, which begins with its flag."""
    with pytest.raises(ConfigError) as caught:
        weights.load(folder)
    sentence = f"{caught.value}"
    assert "\n" not in sentence
    assert sentence.startswith(f"--teacher={folder}"), sentence
    return sentence


MESSAGES = [
    ({"model_type": "roberta"}, r"has the architecture 'roberta': give a folder with model_type bert$"),
    ({"position_embedding_type": "relative_key"}, r"has 'relative_key' positions: give an encoder with absolute ones$"),
    ({"hidden_act": "swish"}, r"has hidden_act='swish': give an encoder with gelu, gelu_new, .*relu$"),
    ({"hidden_size": 0}, r"config.json has hidden_size=0, which has to be a positive whole number: put back"),
    ({"num_hidden_layers": "2"}, r"num_hidden_layers='2', which has to be a positive whole number: put back"),
    ({"num_hidden_layers": True}, r"num_hidden_layers=True, which has to be a positive whole number: put back"),
    ({"layer_norm_eps": "1e-12"}, r"layer_norm_eps='1e-12', which has to be a number above 0 and below 1: put back"),
    ({"layer_norm_eps": None}, r"layer_norm_eps=None, which has to be a number above 0 and below 1: put back"),
    ({"layer_norm_eps": float("nan")}, r"layer_norm_eps=nan, which has to be a number above 0 and below 1: put back"),
    ({"layer_norm_eps": 0.0}, r"layer_norm_eps=0.0, which has to be a number above 0 and below 1: put back"),
    ({"num_attention_heads": 5}, r"hidden_size=12, which has to be a multiple of num_attention_heads=5: put back"),
    ({"vocab_size": 20}, r"tokenizer.json has a token of the number \d+, and config.json has vocab_size=20: put back"),
    ({"intermediate_size": 21}, r"intermediate.dense.weight has the shape \(20, 12\), and config.json says \(21, 12\)"),
    (
        {"num_hidden_layers": 3},
        r"model.safetensors has no array encoder.layer.2.attention.* config.json asks: put back",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), MESSAGES)
def test_a_config_that_does_not_fit_is_refused(folder, changes, sentence):
    config = small_teacher.write(folder)
    (folder / "config.json").write_text(json.dumps(config | changes))
    assert re.search(sentence, refused(folder))


FILES = [
    ("config.json", None, r"has no readable config.json \(No such file or directory\): give a folder that has it$"),
    ("model.safetensors", None, r"has no model.safetensors: give a folder that has it, beside config.json$"),
    ("tokenizer.json", None, r"has no tokenizer.json: give a folder that has it, beside config.json$"),
    ("config.json", "{", r"config.json is no JSON \(.+\): put back the files that belong together$"),
    ("config.json", "[]", r"config.json has to hold an object of JSON: put back"),
    ("modules.json", "{}", r"modules.json has to hold a list of JSON: put back"),
    ("modules.json", "[1]", r"modules.json has to hold a type and a path for each part: put back"),
    (
        "modules.json",
        '[{"type": "m.Dense", "path": ""}]',
        r"ends with Dense: give an encoder that ends with its pooling",
    ),
    ("1_Pooling/config.json", "", r": 1_Pooling/config.json is no JSON \(.+\): put back"),
    ("1_Pooling/config.json", "{}", r"pools by nothing: give one of pooling_mode_mean_tokens, pooling_mode_cls_token"),
    ("1_Pooling/config.json", '{"pooling_mode_lasttoken": true}', r"pools by pooling_mode_lasttoken: give one of"),
    ("tokenizer.json", "{}", r"tokenizer.json is no tokenizer \(.+\): put back the files that belong together$"),
    ("model.safetensors", "PK", r"model.safetensors cannot be read \(.+\): put back a whole file$"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), FILES)
def test_a_missing_or_damaged_file_is_refused(folder, name, content, sentence):
    small_teacher.write(folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert re.search(sentence, refused(folder))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.bias", "embeddings.LayerNorm.weight"]
)
def test_weights_that_are_not_finite_are_refused(folder, name, value):
    small_teacher.write(folder)
    arrays = load_file(folder / "model.safetensors")
    arrays[name].flat[-1] = value
    save_file(arrays, folder / "model.safetensors")
    assert f"{name} of model.safetensors has a NaN or an infinity: put back the files that belong" in refused(folder)


def test_two_poolings_at_once_are_refused(folder):
    small_teacher.write(folder)
    modes = dict.fromkeys(small_teacher.MODES.values(), True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    assert "pools by pooling_mode_mean_tokens, pooling_mode_cls_token, pooling_mode_max" in refused(folder)


@pytest.mark.parametrize("name", ["minilm", "./a/b", "a/b/c", __file__])
def test_a_name_that_is_no_folder_is_refused(name):
    sentence = r"is no folder: give the folder that has config.json, .* or a name on the hub such as sentence-transf"
    assert re.search(sentence, refused(name))


def test_a_name_on_the_hub_is_fetched_where_its_package_is_installed(folder, monkeypatch):
    small_teacher.write(folder)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert re.search(r"is no folder, and to fetch it by this name needs huggingface_hub: pip", refused("some/encoder"))

    def fails(name, allow_patterns):
        raise TimeoutError

    for snapshot in (fails, lambda name, allow_patterns: folder):
        hub = types.SimpleNamespace(snapshot_download=snapshot)
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        if snapshot is fails:
            assert re.search(r"could not be fetched \(TimeoutError\): give a folder$", refused("some/encoder"))
    assert weights.load("some/encoder").pooling == "mean"


@pytest.mark.parametrize(("library", "file"), [("safetensors", "model.safetensors"), ("tokenizers", "tokenizer.json")])
def test_a_missing_library_is_named_with_its_fix(folder, monkeypatch, library, file):
    small_teacher.write(folder)
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    sentence = rf"{file} is read by the package {library}, which is not installed: pip install 'ternary_jax\[text\]'$"
    assert re.search(sentence, refused(folder))


def test_more_tokens_than_positions_are_refused(folder):
    small_teacher.write(folder)
    with pytest.raises(ConfigError, match=r"^--longest=49 is more than the 48 positions of the teacher: give fewer$"):
        teacher.encode(weights.load(folder), TEXTS, 49)
