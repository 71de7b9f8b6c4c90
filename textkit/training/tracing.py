"""Asks torch for the graph of a module. The module stays a black box: nothing here knows an architecture or a plugin.

What torch's exporter is known to get wrong is looked for in what it wrote: axes frozen at the example's size, opsets
and IR versions that onnxruntime does not read, weights outside the file, traces of this machine's folders.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from textkit.errors import TextkitError, one_line
from textkit.training.embedding_graph import IR_VERSION, LARGEST, OPSET
from textkit.training.parity import Rows

if TYPE_CHECKING:
    import onnx
    import torch

EXAMPLE = (3, 7)  # line, token: sizes that neither are 1 nor alike, for 1 and equal sizes are taken for constants


def table_of(module: torch.nn.Module) -> np.ndarray | None:
    """The table f32[id, dim] of a torch.nn.Embedding, which needs no exporter; None for any other module."""
    import torch

    if type(module) is not torch.nn.Embedding or module.max_norm is not None:
        return None
    return module.weight.detach().cpu().numpy().astype(np.float32, copy=False)


def rows_of(module: torch.nn.Module) -> Rows:
    """The module as a function of arrays, ids and weight i64, f32 [line, token] -> f32[line, token, dim].

    Rows of padding are zeros, whatever the module makes of them, as in the exported graph.
    """
    import torch

    lookup = type(module) is torch.nn.Embedding  # takes the ids alone

    def rows(ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            arguments = (torch.from_numpy(ids), torch.from_numpy(weight))
            found = (module(arguments[0]) if lookup else module(*arguments)).float().numpy()
        if found.ndim != 3 or found.shape[:2] != ids.shape:
            raise TextkitError(
                f"the module of graph 'embed' gives {found.shape} for ids {ids.shape}, not [line, token, dim]"
            )
        return np.where((weight > 0)[:, :, None], found, np.float32(0))

    return rows


def trace(module: torch.nn.Module, ids: int) -> onnx.ModelProto:
    """The graph of an `embed` module: ids i64[line, token], weight f32[line, token] -> rows f32[line, token, dim].

    `ids`: how many there are. Raises TextkitError where torch cannot export it, or froze an axis.
    """
    import torch

    size = sum(value.numel() * value.element_size() for value in module.state_dict().values())
    if size > LARGEST:
        raise TextkitError(
            f"the model's weights take {size / 1e9:.1f} GB, an ONNX file holds 2 GB: train with a smaller --max-vocab"
        )
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    example = (torch.arange(EXAMPLE[0] * EXAMPLE[1]).reshape(EXAMPLE) % ids, torch.ones(EXAMPLE))
    try:
        with _quiet():
            program = torch.onnx.export(
                _ports(module),
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=["ids", "weight"],
                output_names=["rows"],
                dynamic_shapes={"ids": free, "weight": free},
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # it raises what it likes, and wraps the reason in advice to its own developers
        reason: BaseException = error
        while reason.__cause__ is not None:
            reason = reason.__cause__
        raise TextkitError(f"torch cannot export the graph 'embed': {one_line(reason)[:300]}") from error
    model = program.model_proto
    _widen_masks(model.graph)
    _strip(model)
    refuse_surprises(model)
    return model


def refuse_surprises(model: onnx.ModelProto) -> None:
    """Raises TextkitError for a traced graph that would not do what the module does, or not everywhere."""
    import onnx

    try:
        onnx.checker.check_model(model)
    except Exception as error:  # ValidationError is no subclass of anything narrower
        raise TextkitError(f"the exported graph is not valid: {one_line(error)[:300]}") from error
    ports = {port.name: _axes(port) for port in [*model.graph.input, *model.graph.output]}
    if list(ports) != ["ids", "weight", "rows"]:
        raise TextkitError(f"the exported graph has the ports {', '.join(ports)} and not ids, weight, rows")
    for name, axes in ports.items():
        if any(isinstance(axis, int) for axis in axes[:2]):
            raise TextkitError(f"torch froze an axis of {name!r} at the example's size {axes}: no other line would fit")
    if len(ports["rows"]) != 3 or not isinstance(ports["rows"][2], int):
        raise TextkitError(f"the exported graph gives rows of {ports['rows']}, not [line, token, dim] with a fixed dim")
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    if model.ir_version > IR_VERSION or opsets.get("", OPSET) != OPSET:
        raise TextkitError(
            f"the exported graph has IR {model.ir_version} and opsets {opsets}: not what onnxruntime reads"
        )
    if any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer):
        raise TextkitError("the exported graph keeps its weights outside the file")


def _ports(module: torch.nn.Module) -> torch.nn.Module:
    """The module with its arguments under the names of the ports."""
    import torch

    class Ports(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return self.module(ids, weight)

    return Ports().eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """stdout is data: what the exporter prints goes to stderr. Its warnings are about torch's own insides."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _widen_masks(graph: onnx.GraphProto) -> None:
    """Gives every mask of an Attention the whole query axis: one mask for all queries is legal, and onnxruntime
    refuses it."""
    from onnx import helper, numpy_helper

    axes = {value.name: _axes(value) for value in graph.value_info}
    one = "one_query_axis"
    for node in [node for node in graph.node if node.op_type == "Attention" and len(node.input) > 3 and node.input[3]]:
        query, mask = node.input[0], node.input[3]
        if axes.get(mask, [1, 1])[-2] != 1:
            continue
        if not any(constant.name == one for constant in graph.initializer):
            graph.initializer.append(numpy_helper.from_array(np.array([1]), one))
        axis = 1 if any(attribute.name == "q_num_heads" for attribute in node.attribute) else 2  # 3 axes or 4
        size, shape, wide = (f"{node.output[0]}/{part}" for part in ("queries", "mask_shape", "mask"))
        new = [
            helper.make_node("Shape", [query], [size], start=axis, end=axis + 1),
            helper.make_node("Concat", [size, one], [shape], axis=0),
            helper.make_node("Expand", [mask, shape], [wide]),  # [..., query, key]
        ]
        at = list(graph.node).index(node)
        for step, inserted in enumerate(new):
            graph.node.insert(at + step, inserted)
        node.input[3] = wide


def _strip(model: onnx.ModelProto) -> None:
    """Takes out stack traces and other remarks: they name files of this machine, and weigh more than a small graph."""
    del model.metadata_props[:]
    model.doc_string = ""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        del graph.metadata_props[:], graph.value_info[:]
        for part in [*graph.node, *graph.initializer, *graph.input, *graph.output]:
            part.doc_string = ""
            del part.metadata_props[:]
        for node in graph.node:
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:], function.value_info[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def _axes(port: onnx.ValueInfoProto) -> list[int | str]:
    return [
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param for axis in port.type.tensor_type.shape.dim
    ]
