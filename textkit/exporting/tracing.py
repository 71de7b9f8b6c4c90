"""Asks torch for the graph of a module. The module stays a black box: nothing here knows an architecture or a plugin.

The graph is checked for what torch's exporter is known to get wrong: axes frozen at the example's size, opsets and IR
versions that onnxruntime does not read, weights outside the file, traces of this machine's folders.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.bundle.weights import ALSO, MODULE, TURNED
from textkit.errors import TextkitError, one_line
from textkit.exporting.onnx_format import IR_VERSION, LARGEST, OPSET
from textkit.task import Port

if TYPE_CHECKING:
    import onnx
    import torch


_SHARED = 1024  # numbers of the largest weights that torch keeps one of


def trace(
    module: torch.nn.Module, inputs: Sequence[tuple[Port, torch.Tensor]], outputs: Sequence[Port], graph: str
) -> onnx.ModelProto:
    """The graph of a module whose forward takes `inputs` in order and gives `outputs`, one tensor or a tuple.

    Each input comes with an example. The sizes of its free axes (a str in the port) should differ and be neither 0 nor 1:
    torch takes such sizes for constants. `graph` is its name in messages. Raises TextkitError where torch cannot export the
    module or froze an axis that a port leaves free.
    """
    import torch

    size = sum(value.numel() * value.element_size() for value in module.state_dict().values())
    if size > LARGEST:
        raise TextkitError(
            f"the model's weights take {size / 1e9:.1f} GB, an ONNX file holds 2 GB: train with a smaller --max-vocab"
        )
    free = tuple(
        {at: torch.export.Dim.DYNAMIC for at, axis in enumerate(port.axes) if isinstance(axis, str)}
        for port, _ in inputs
    )
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                _variadic(module),
                tuple(example for _, example in inputs),
                dynamo=True,
                opset_version=OPSET,
                input_names=[port.name for port, _ in inputs],
                output_names=[port.name for port in outputs],
                dynamic_shapes={"given": free},
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # torch may raise anything, and wraps the reason in advice to its own developers
        reason: BaseException = error
        while reason.__cause__ is not None:
            reason = reason.__cause__
        raise TextkitError(f"torch cannot export the graph {graph!r}: {one_line(reason)[:300]}") from error
    model = program.model_proto
    _widen_masks(model.graph)
    norms = _shapes_of_norms(model.graph)
    _strip(model)
    _name_weights(model.graph, module)
    _name_equals(model.graph, program.exported_program)
    refuse_surprises(model, [port for port, _ in inputs], outputs)
    _name_axes(model.graph, [*(port for port, _ in inputs), *outputs], norms)
    model.graph.value_info.extend(norms)
    return model


def _shapes_of_norms(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The shapes that torch knows of normalised values.

    onnxruntime loses the names of axes at the first sum where it cannot see that both sides have them. From there on it does
    not see that one layer's buffers fit another's, and compares each buffer with all those before it. That was half of the
    time that the encoder of en-de took to load (28 ms, or 13 ms without it). A shape behind each norm is enough for all that
    follows.
    """
    found = {name for node in graph.node if node.op_type == "LayerNormalization" for name in node.output[:1]}
    return [type(value).FromString(value.SerializeToString()) for value in graph.value_info if value.name in found]


def refuse_surprises(model: onnx.ModelProto, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Raises TextkitError for a traced graph that would not do what the module does on every batch and every machine."""
    import onnx

    try:
        onnx.checker.check_model(model)
    except Exception as error:  # ValidationError is no subclass of anything narrower
        raise TextkitError(f"the exported graph is not valid: {one_line(error)[:300]}") from error
    found = {port.name: _axes(port) for port in [*model.graph.input, *model.graph.output]}
    wanted = {port.name: port.axes for port in [*inputs, *outputs]}
    if list(found) != list(wanted):
        raise TextkitError(f"the exported graph has the ports {', '.join(found)} and not {', '.join(wanted)}")
    for name, axes in found.items():
        stated = f"{axes}, not [{', '.join(map(str, wanted[name]))}]"
        if len(axes) != len(wanted[name]):
            raise TextkitError(f"the exported graph's {name!r} has the axes {stated}")
        if any(isinstance(axis, int) and isinstance(free, str) for axis, free in zip(axes, wanted[name], strict=True)):
            raise TextkitError(
                f"torch froze an axis of {name!r} at the example's size: {stated}; no other line would fit"
            )
        if any(isinstance(fixed, int) and axis != fixed for axis, fixed in zip(axes, wanted[name], strict=True)):
            raise TextkitError(f"the exported graph's {name!r} has the axes {stated}")
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    if model.ir_version > IR_VERSION or opsets.get("", OPSET) != OPSET:
        raise TextkitError(
            f"the exported graph has IR {model.ir_version} and opsets {opsets}: not what onnxruntime reads"
        )
    if any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer):
        raise TextkitError("the exported graph keeps its weights outside the file")


def _name_axes(graph: onnx.GraphProto, ports: Sequence[Port], inner: Sequence[onnx.ValueInfoProto]) -> None:
    """Renames free axes from the exporter's names to the ports', those of `inner` values too. An axis of an inner value that
    no port has loses its name, which leaves its size open."""
    names: dict[str, str] = {}
    for value, port in zip([*graph.input, *graph.output], ports, strict=True):
        for dim, axis in zip(value.type.tensor_type.shape.dim, port.axes, strict=True):
            if isinstance(axis, str):
                names.setdefault(dim.dim_param, axis)
                dim.dim_param = axis
    for value in inner:
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_param = names.get(dim.dim_param, "")


def _variadic(module: torch.nn.Module) -> torch.nn.Module:
    """The module, taking any number of tensors, so that its free axes are stated as a list and not by argument names."""
    import torch

    class Variadic(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *given: torch.Tensor) -> Any:
            return self.module(*given)

    return Variadic().eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Sends what the exporter prints to stderr, because stdout is data, and hides warnings about torch's own internals."""
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
    """Gives every mask of an Attention the whole query axis: one mask for all queries is legal, but onnxruntime
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
    """Removes stack traces and other remarks: they name files of this machine and take more bytes than a small graph."""
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


def _name_weights(graph: onnx.GraphProto, module: torch.nn.Module) -> None:
    """Gives a weight that torch transposed and renamed the name of its parameter, followed by TURNED.

    A training can then begin with the weights of an exported model (textkit.bundle.weights).
    """
    from onnx import numpy_helper

    there = {weight.name for weight in graph.initializer}
    lost = {
        parameter.detach().cpu().numpy().T.tobytes(): f"{MODULE}{name}{TURNED}"
        for name, parameter in module.named_parameters()
        if parameter.dim() == 2 and f"{MODULE}{name}" not in there
    }
    for weight in graph.initializer:
        if len(weight.dims) == 2 and (name := lost.pop(numpy_helper.to_array(weight).tobytes(), None)):
            for node in graph.node:
                node.input[:] = [name if given == weight.name else given for given in node.input]
            weight.name = name


def _name_equals(graph: onnx.GraphProto, program: torch.export.ExportedProgram) -> None:
    """Writes into a weight's metadata (ALSO) which others have its numbers: torch keeps one of small weights that are equal
    (onnx_ir's DeduplicateInitializersPass), as the scales of two norms are before a training has reached them."""
    import torch
    from onnx import numpy_helper

    inputs = program.graph_signature.input_specs
    users = {node.name: node.users for node in program.graph.nodes if node.op == "placeholder"}
    used = {spec.target for spec in inputs if spec.target and users.get(getattr(spec.arg, "name", ""))}
    there = {weight.name for weight in graph.initializer}
    lost: dict[tuple[tuple[int, ...], bytes], list[str]] = {}
    for name, tensor in {**program.state_dict, **program.constants}.items():  # constants: buffers that are not saved
        if name in used - there and isinstance(tensor, torch.Tensor) and tensor.numel() <= _SHARED:
            array = tensor.detach().cpu().numpy()
            lost.setdefault((array.shape, array.tobytes()), []).append(name)
    for weight in graph.initializer if lost else ():
        array = numpy_helper.to_array(weight)
        for name in lost.pop((array.shape, array.tobytes()), ()):
            weight.metadata_props.add(key=ALSO, value=name)


def _axes(port: onnx.ValueInfoProto) -> list[int | str]:
    return [
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param for axis in port.type.tensor_type.shape.dim
    ]
