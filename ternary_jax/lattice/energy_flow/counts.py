"""Parameters in closed form: of this model, and of the one that the documents describe."""

from typing import Any

NEURON_OF_THE_DOCUMENTS = 3504


def parameters(model: Any, interaction: Any, cells: int) -> dict[str, int]:
    """Parameters by group; cells: of a face."""
    h, c, k = model.hidden, model.channels, model.neuron_hidden
    content, place = c * model.content, 3 + 6 * model.frequencies
    layers = [_carrier(model.neuron_output if layer == 0 else h, h) for layer in range(model.layers)]
    found = {
        "neuron": _dense(place, k) + content * k + _dense(k, k) + 4 * k + _dense(k, model.neuron_output),
        "carrier": sum(layers) + 3 * h * content,
        "movement": _dense(h, model.movement_hidden) + _dense(model.movement_hidden, 3),
        "energy": _dense(h, c) if model.energy == "multiply" else _dense(h, h // 2) + _dense(h // 2, c),
    }
    if interaction.kind != "none":
        m = interaction.messages
        gates = 4 if interaction.kind == "attention" else 2
        found["exchange"] = 2 * c * m + gates * _dense(h, m)
    if model.children:
        found["children"] = (1 + model.children) * (h + 1)
    if model.cells_scale:
        found["cells"] = cells * h
    return found | ({"spread": c} if c > 1 else {})


def of_the_documents(hidden: int, layers: int) -> int:
    """Parameters of the original: the neuron, the carrier with two biases, and heads of energy, place and spawning.

    The heads of place and spawning have 64 hidden units.
    """
    carrier = sum(3 * hidden * ((65 if layer == 0 else hidden) + hidden + 2) for layer in range(layers))
    energy = _dense(hidden, hidden // 2) + _dense(hidden // 2, 1)
    spawning = _dense(hidden, 64) + _dense(64, 1) + _dense(hidden, 1)
    return NEURON_OF_THE_DOCUMENTS + carrier + energy + _dense(hidden, 64) + _dense(64, 3) + spawning


def _carrier(given: int, h: int) -> int:
    return _dense(given, 3 * h) + 3 * h * h + h


def _dense(given: int, found: int) -> int:
    return (given + 1) * found
