"""A sentence encoder of published weights, read from a folder as sentence-transformers writes it.

The folder has config.json, model.safetensors and tokenizer.json, and for the pooling modules.json and
1_Pooling/config.json. Of the architectures, BERT is read. Nothing in such a folder is code that runs.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.errors import ConfigError, one_line
from ternary_jax.lattice.text.models import ACTIVATIONS, Sizes

POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first", "pooling_mode_max_tokens": "max"}
WHOLE = "put back the files that belong together"
EXTRA = "pip install 'ternary_jax[text]'"


class Teacher(NamedTuple):
    """An encoder.

    sizes, params: of models.Bert
    tokenizer: of the package tokenizers, without padding or truncation
    pooling: "mean", "first" or "max" of the last layer
    digest: the SHA-256 of the weights and of the tokenizer
    """

    sizes: Sizes
    params: Any
    tokenizer: Any
    pooling: str
    digest: str


def load(folder: str | Path) -> Teacher:
    """The teacher in a folder; a ConfigError that says what is missing or does not fit."""
    folder = _folder(folder)
    config = _json(folder, "config.json")
    sizes = _sizes(folder, config)
    pooling = _pooling(folder)
    weights, tokens = folder / "model.safetensors", folder / "tokenizer.json"
    for file in (weights, tokens):
        if not file.is_file():
            raise ConfigError(f"--teacher={folder} has no {file.name}: give a folder that has it, beside config.json")
    tokenizer = _tokenizer(tokens)
    most = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if most >= sizes.vocabulary:
        raise ConfigError(
            f"--teacher={folder}: tokenizer.json has a token of the number {most:,}, and config.json has vocab_size="
            f"{sizes.vocabulary:,}: {WHOLE}"
        )
    digest = hashlib.sha256()
    for file in (weights, tokens):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return Teacher(sizes, _params(weights, sizes), tokenizer, pooling, digest.hexdigest())


def arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by name; a ConfigError where it cannot be read."""
    try:
        from safetensors.numpy import load_file
    except ImportError as e:
        raise ConfigError(f"{file.name} is read by the package safetensors, which is not installed: {EXTRA}") from e
    try:
        return load_file(file)
    except Exception as e:  # the package has an error of its own, which is no OSError
        raise ConfigError(f"{file.name} cannot be read ({one_line(e)}): put back a whole file") from e


# --- what is in a folder ----------------------------------------------------------------------------------------------


def _folder(folder: str | Path) -> Path:
    """The folder, or that of a name on the hub, which is fetched if huggingface_hub is installed."""
    found = Path(folder)
    if found.is_dir():
        return found
    if found.exists() or found.is_absolute() or f"{folder}".count("/") != 1 or f"{folder}".startswith("."):
        raise ConfigError(
            f"--teacher={folder} is no folder: give the folder that has config.json, model.safetensors and "
            "tokenizer.json, or a name on the hub such as sentence-transformers/all-MiniLM-L6-v2"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as e:
        raise ConfigError(
            f"--teacher={folder} is no folder, and to fetch it by this name needs huggingface_hub: pip install "
            "huggingface_hub, or give a folder"
        ) from e
    try:
        return Path(snapshot_download(f"{folder}", allow_patterns=["*.json", "model.safetensors"]))
    except Exception as e:  # whatever its many libraries raise without a connection
        raise ConfigError(f"--teacher={folder} could not be fetched ({one_line(e)}): give a folder") from e


def _json(folder: Path, name: str, kind: type = dict) -> Any:
    """The object (or the list, by kind) in a JSON file of the folder."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"--teacher={folder} has no readable {name} ({e.strerror}): give a folder that has it") from e
    except ValueError as e:
        raise ConfigError(f"--teacher={folder}: {name} is no JSON ({one_line(e)}): {WHOLE}") from e
    if not isinstance(found, kind):
        what = {dict: "an object", list: "a list"}[kind]
        raise ConfigError(f"--teacher={folder}: {name} has to hold {what} of JSON: {WHOLE}")
    return found


def _sizes(folder: Path, config: Any) -> Sizes:
    """The sizes in config.json, where it is that of a BERT encoder as models.Bert has it."""
    kind = config.get("model_type")
    if kind != "bert":
        raise ConfigError(f"--teacher={folder} has the architecture {kind!r}: give a folder with model_type bert")
    if (place := config.get("position_embedding_type", "absolute")) != "absolute":
        raise ConfigError(f"--teacher={folder} has {place!r} positions: give an encoder with absolute ones")
    if (act := config.get("hidden_act")) not in ACTIVATIONS:
        raise ConfigError(f"--teacher={folder} has hidden_act={act!r}: give an encoder with {', '.join(ACTIVATIONS)}")
    names = ("vocab_size", "max_position_embeddings", "type_vocab_size", "hidden_size", "num_hidden_layers")
    names += ("num_attention_heads", "intermediate_size")
    for name in names:
        if not (type(config.get(name)) is int and config[name] > 0):  # no bool
            raise ConfigError(
                f"--teacher={folder}: config.json has {name}={config.get(name)!r}, which has to be a positive whole "
                f"number: {WHOLE}"
            )
    epsilon = config.get("layer_norm_eps", 1e-12)
    if not (isinstance(epsilon, float) and 0 < epsilon < 1):  # no NaN, which the JSON of Python allows
        raise ConfigError(
            f"--teacher={folder}: config.json has layer_norm_eps={epsilon!r}, which has to be a number above 0 and "
            f"below 1: {WHOLE}"
        )
    if config["hidden_size"] % config["num_attention_heads"]:
        raise ConfigError(
            f"--teacher={folder}: config.json has hidden_size={config['hidden_size']}, which has to be a multiple of "
            f"num_attention_heads={config['num_attention_heads']}: {WHOLE}"
        )
    return Sizes._make([*(config[name] for name in names), act, epsilon])


def _pooling(folder: Path) -> str:
    """How the last layer becomes one vector; without modules.json its mean."""
    if not (folder / "modules.json").exists():
        return "mean"
    parts = _json(folder, "modules.json", list)
    if not all(isinstance(part, dict) and {"type", "path"} <= part.keys() for part in parts):
        raise ConfigError(f"--teacher={folder}: modules.json has to hold a type and a path for each part: {WHOLE}")
    kinds = {f"{part['type']}".rpartition(".")[2]: f"{part['path']}" for part in parts}
    if other := kinds.keys() - {"Transformer", "Pooling", "Normalize"}:
        raise ConfigError(
            f"--teacher={folder} ends with {', '.join(sorted(other))}: give an encoder that ends with its pooling"
        )
    if "Pooling" not in kinds:
        return "mean"
    modes = _json(folder, f"{kinds['Pooling']}/config.json")
    on = [mode for mode, used in modes.items() if mode.startswith("pooling_mode") and used is True]
    if len(on) != 1 or on[0] not in POOLINGS:
        raise ConfigError(
            f"--teacher={folder} pools by {', '.join(on) or 'nothing'}: give one of {', '.join(POOLINGS)}"
        )
    return POOLINGS[on[0]]


def _tokenizer(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as e:
        raise ConfigError(
            f"--teacher={file.parent}: {file.name} is read by the package tokenizers, which is not installed: {EXTRA}"
        ) from e
    try:
        made = Tokenizer.from_file(str(file))
    except Exception as e:  # the package raises Exception itself
        raise ConfigError(f"--teacher={file.parent}: {file.name} is no tokenizer ({one_line(e)}): {WHOLE}") from e
    made.no_padding()
    made.no_truncation()
    return made


# --- weights ----------------------------------------------------------------------------------------------------------

_EMBEDDINGS = {"tokens": "word_embeddings", "positions": "position_embeddings", "types": "token_type_embeddings"}
_LAYERS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "answer": "attention.output.dense",
    "norm_of_attention": "attention.output.LayerNorm",
    "hidden": "intermediate.dense",
    "out": "output.dense",
    "norm_of_hidden": "output.LayerNorm",
}


def _params(file: Path, sizes: Sizes) -> Any:
    """The parameters of models.Bert from a file with the names of PyTorch's BERT, whose matrices are transposed."""
    try:
        there = {name.removeprefix("bert."): value for name, value in arrays(file).items()}
    except ConfigError as e:
        raise ConfigError(f"--teacher={file.parent}: {e}") from e

    def taken(name: str, *shape: int) -> np.ndarray:
        if name not in there:
            raise ConfigError(f"--teacher={file.parent}: {file.name} has no array {name}, as config.json asks: {WHOLE}")
        if there[name].shape != shape:
            raise ConfigError(
                f"--teacher={file.parent}: {name} has the shape {there[name].shape}, and config.json says {shape}: "
                f"{WHOLE}"
            )
        if not np.all(np.isfinite(there[name])):
            raise ConfigError(f"--teacher={file.parent}: {name} of {file.name} has a NaN or an infinity: {WHOLE}")
        return there[name].astype(np.float32)

    def norm(name: str) -> dict[str, np.ndarray]:
        return {"scale": taken(f"{name}.weight", sizes.width), "bias": taken(f"{name}.bias", sizes.width)}

    def dense(name: str, into: int, out: int) -> dict[str, np.ndarray]:
        return {"kernel": taken(f"{name}.weight", out, into).T, "bias": taken(f"{name}.bias", out)}

    def layer(number: int) -> dict[str, Any]:
        ends = {"hidden": (sizes.width, sizes.hidden), "out": (sizes.hidden, sizes.width)}
        names = {ours: f"encoder.layer.{number}.{theirs}" for ours, theirs in _LAYERS.items()}
        return {
            ours: norm(name) if ours.startswith("norm") else dense(name, *ends.get(ours, (sizes.width, sizes.width)))
            for ours, name in names.items()
        }

    rows = {"tokens": sizes.vocabulary, "positions": sizes.positions, "types": sizes.types}
    found: dict[str, Any] = {
        ours: taken(f"embeddings.{theirs}.weight", rows[ours], sizes.width) for ours, theirs in _EMBEDDINGS.items()
    }
    found["norm"] = norm("embeddings.LayerNorm")
    found["layers"] = jax.tree.map(lambda *each: np.stack(each), *map(layer, range(sizes.layers)))
    return jax.tree.map(jnp.asarray, found)
