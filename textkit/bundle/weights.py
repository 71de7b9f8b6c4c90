"""The weights in an exported graph under the names that they had in the network, in full precision. Needs the package onnx.

The exporter keeps the names of parameters (exporting/tracing.py), those of equal ones in a weight's metadata; lower precisions
add suffixes to them (exporting/quantize_*.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from textkit.errors import TextkitError, pip_install

MODULE = "module."  # what torch puts before the names of a module that is exported
TURNED = ".T"  # behind the name of a matrix that is stored transposed
ROW_STEPS = "/row_steps"  # behind the name of an activation: its integers
ALSO = "also"  # key of a weight's metadata: names of further weights with the same numbers, which the graph holds once
CHANNELS = "/channels"  # the numbers that its channels were multiplied by, and their rows of the matrices divided by
_SCALE, _STEPS, _TRANSPOSED, _HALF = "/scale", "/steps", "/transposed", "/half"
_PRODUCT = "MatMulIntegerToFloat"


def parsed(data: bytes) -> Any:
    """onnx's GraphProto of a file's bytes. Raises TextkitError where onnx is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise TextkitError(
            f"reading a model's weights needs the package {error.name}: {pip_install('train')}"
        ) from None
    return onnx.load_from_string(data).graph


def weights_of(data: bytes) -> dict[str, np.ndarray]:
    """name -> f32 array of each weight of a graph, given as a file's bytes. Integers are multiplied by their scales. Raises
    TextkitError where onnx is not installed."""
    graph = parsed(data)
    from onnx import numpy_helper

    stored = {weight.name: weight for weight in graph.initializer}
    # matrix -> the activation that it multiplies
    given = {node.input[1]: node.input[0].removesuffix(ROW_STEPS) for node in graph.node if node.op_type == _PRODUCT}
    found: dict[str, np.ndarray] = {}
    for name, weight in stored.items():
        plain = name.removeprefix("body/").removesuffix(_HALF)
        if not plain.startswith(MODULE) or name.endswith(_SCALE):
            continue
        array = numpy_helper.to_array(weight)
        if array.dtype == np.int8:
            scale = numpy_helper.to_array(stored[f"{name.removesuffix(_STEPS)}{_SCALE}"])
            array = array.astype(np.float32) * scale  # [in, out] by columns, or a table by rows
            if (channels := stored.get(f"{given.get(name)}{CHANNELS}")) is not None:
                array = array * numpy_helper.to_array(channels)[:, None]
        if not np.issubdtype(array.dtype, np.floating):
            continue
        plain = plain.removesuffix(_STEPS)
        if plain.endswith(_TRANSPOSED):
            plain, array = plain.removesuffix(_TRANSPOSED), array.T
        if plain.endswith(TURNED):
            plain, array = plain.removesuffix(TURNED), array.T
        for each in (plain, *(entry.value for entry in weight.metadata_props if entry.key == ALSO)):
            found[each.removeprefix(MODULE)] = np.ascontiguousarray(array, np.float32)
    return found
