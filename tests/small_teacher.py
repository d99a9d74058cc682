"""Shared fixtures of the tests of ternary_jax.lattice.text: a random encoder of 2 layers in a folder, and its texts."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ternary_jax.lattice.text import teacher

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["the", "river", "lake", "cold", "deep", "flow", "##s", "##ing", "##ed", "##er", "山", "水", "σ", "##ση"]
SIGNS = list(",.!?-'123")
VOCABULARY = [*MARKS, *WORDS, *SIGNS, *string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": 48,
    "type_vocab_size": 2,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "layer_norm_eps": 1e-12,
}
MODES = {"mean": "pooling_mode_mean_tokens", "first": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens"}


def arrays(config: dict[str, Any] = CONFIG, prefix: str = "") -> dict[str, np.ndarray]:
    """Random weights with the names and shapes of PyTorch's BERT, and the head that this encoder does not use."""
    rng, width, hidden = np.random.default_rng(0), config["hidden_size"], config["intermediate_size"]
    shapes = {"pooler.dense.weight": (width, width)}
    for name, rows in (
        ("word", "vocab_size"),
        ("position", "max_position_embeddings"),
        ("token_type", "type_vocab_size"),
    ):
        shapes[f"embeddings.{name}_embeddings.weight"] = (config[rows], width)
    norms = ["embeddings.LayerNorm"]
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        dense = {f"attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        dense |= {"attention.output.dense": (width, width), "intermediate.dense": (hidden, width)}
        for name, shape in (dense | {"output.dense": (width, hidden)}).items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    shapes |= {f"{name}.{part}": (width,) for name in norms for part in ("weight", "bias")}
    found = {name: 0.5 * rng.normal(size=shape) + name.endswith("Norm.weight") for name, shape in shapes.items()}
    return {f"{prefix}{name}": value.astype(np.float32) for name, value in found.items()}


def tokenizer() -> Tokenizer:
    """The tokenizer of BERT on VOCABULARY; with truncation and padding, as published ones have them."""
    numbers = {token: number for number, token in enumerate(VOCABULARY)}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)  # pyright: ignore[reportAttributeAccessIssue]
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    made.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_truncation(5)
    made.enable_padding(length=16)
    return made


def write(folder: Path, pooling: str = "mean", prefix: str = "", **changes: Any) -> dict[str, Any]:
    """Write the folder as sentence-transformers does; -> its config with the changes."""
    config = CONFIG | changes
    (folder / "1_Pooling").mkdir(parents=True)
    modes = {mode: mode == MODES[pooling] for mode in MODES.values()}
    parts = [(".", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in parts]
    for name, value in (
        ("config.json", config),
        ("modules.json", modules),
        ("1_Pooling/config.json", {"word_embedding_dimension": config["hidden_size"], **modes}),
    ):
        (folder / name).write_text(json.dumps(value))
    save_file(arrays(config, prefix), folder / "model.safetensors")
    tokenizer().save(str(folder / "tokenizer.json"))
    return config


def texts(n: int, seed: int = 0, most: int = 6) -> list[str]:
    """n different texts of 1 to `most` words of the vocabulary and a number."""
    rng = np.random.default_rng(seed)
    return [" ".join([*rng.choice(WORDS[:6], rng.integers(1, most + 1)), *f"{k:03b}"]) for k in range(n)]


def counted(found):
    """teacher.encode, which adds the list of its texts to `found` at every call."""
    encode = teacher.encode

    def calls(model, texts, longest):
        found.append(list(texts))
        return encode(model, texts, longest)

    return calls
