"""A BERT sentence encoder as plain float64 numpy, one text at a time, written from the paper (arXiv 1810.04805).

It shares no code with the package: weights are the arrays of a file with the names of PyTorch, sizes those of its
config.json.
"""

import math

import numpy as np

ERF = np.vectorize(math.erf, otypes=[float])
ACTIVATIONS = {
    "gelu": lambda x: x / 2 * (1 + ERF(x / math.sqrt(2))),
    "gelu_new": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: x * (x > 0),
}
ACTIVATIONS["gelu_pytorch_tanh"] = ACTIVATIONS["gelu_new"]


def encode(arrays, config, ids, pooling):
    """(words, meaning): the unit vectors (width,) of a text with these token ids."""
    weights = {name.removeprefix("bert."): value.astype(float) for name, value in arrays.items()}

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(x, name):
        size, found = config["hidden_size"] // config["num_attention_heads"], np.zeros_like(x)
        query, key, value = (linear(x, f"{name}.self.{part}") for part in ("query", "key", "value"))
        for head in range(config["num_attention_heads"]):
            of = slice(head * size, (head + 1) * size)
            scores = np.exp(query[:, of] @ key[:, of].T / math.sqrt(size))
            found[:, of] = scores / scores.sum(1, keepdims=True) @ value[:, of]
        return linear(found, f"{name}.output.dense")

    tables = [weights[f"embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type")]
    x = first = norm(tables[0][ids] + tables[1][: len(ids)] + tables[2][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        x = norm(x + attention(x, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
        hidden = ACTIVATIONS[config["hidden_act"]](linear(x, f"{name}.intermediate.dense"))
        x = norm(x + linear(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    pooled = {"mean": x.mean(0), "first": x[0], "max": x.max(0)}[pooling]
    return tuple(v / math.sqrt((v**2).sum()) for v in (first.mean(0), pooled))
