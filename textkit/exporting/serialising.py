"""Turns a graph and its large tables into a file's bytes, without holding the tables more often than needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.bundle.protobuf import head_of

if TYPE_CHECKING:
    import onnx

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # field numbers of ModelProto, GraphProto and TensorProto in onnx.proto


def serialised(model: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> bytes:
    """The model's bytes with `weights` among its initializers; `model` loses its graph.

    They are put together as protobuf, field by field: onnx.helper holds a table five times before it is bytes, so that 1.2 GB
    of vectors took 6 GB of memory.
    """
    from onnx import TensorProto, helper

    parts: list[Any] = [model.graph.SerializeToString()]
    for name, array in weights.items():
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        header = TensorProto(name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
        content = [header.SerializeToString(), head_of(_RAW_DATA, array.nbytes), array.reshape(-1).view(np.uint8).data]
        parts += [head_of(_INITIALIZER, sum(map(len, content))), *content]
    model.ClearField("graph")
    return b"".join([model.SerializeToString(), head_of(_GRAPH, sum(map(len, parts))), *parts])
