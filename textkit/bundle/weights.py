"""The weights in an exported graph under the names that they had in the network, in full precision. Needs the package onnx.

The exporter keeps the names of parameters (exporting/tracing.py); lower precisions add suffixes to them (quantize_graph.py).
"""

from __future__ import annotations

import numpy as np

MODULE = "module."  # what torch puts before the names of a module that is exported
TURNED = ".T"  # behind the name of a matrix that is stored transposed
_SCALE, _STEPS, _TRANSPOSED, _HALF = "/scale", "/steps", "/transposed", "/half"


def weights_of(data: bytes) -> dict[str, np.ndarray]:
    """name -> f32 array of each weight of a graph, given as a file's bytes. Integers are multiplied by their scales."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(data).graph
    stored = {weight.name: weight for weight in graph.initializer}
    found: dict[str, np.ndarray] = {}
    for name, weight in stored.items():
        plain = name.removeprefix("body/").removesuffix(_HALF)
        if not plain.startswith(MODULE) or name.endswith(_SCALE):
            continue
        array = numpy_helper.to_array(weight)
        if array.dtype == np.int8:
            scale = numpy_helper.to_array(stored[f"{name.removesuffix(_STEPS)}{_SCALE}"])
            array = array.astype(np.float32) * scale  # [in, out] by columns, or a table by rows
        if not np.issubdtype(array.dtype, np.floating):
            continue
        plain = plain.removesuffix(_STEPS)
        if plain.endswith(_TRANSPOSED):
            plain, array = plain.removesuffix(_TRANSPOSED), array.T
        if plain.endswith(TURNED):
            plain, array = plain.removesuffix(TURNED), array.T
        found[plain.removeprefix(MODULE)] = np.ascontiguousarray(array, np.float32)
    return found
