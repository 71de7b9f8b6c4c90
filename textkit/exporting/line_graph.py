"""Exports a graph that takes a batch of lines (`ids` and `weight`) and proves it. The exporter of a new task calls this.

Knows no task, no plugin and no training run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.exporting import quantize_graph, tracing
from textkit.exporting.exported import TOKEN_LIMIT, Exported
from textkit.exporting.parity import MORE, RAGGED, SAMPLE, UNSEEN, Case, cases, load, refuse
from textkit.exporting.parity_steps import difference
from textkit.exporting.quantize_channels import largest_channels
from textkit.plugin import Graph
from textkit.task import Port, Signature
from textkit.text.rule import TextRule

if TYPE_CHECKING:
    import onnx
    import torch

    from textkit.serving.session import Session

TOLERANCE = 1e-5  # of the largest number in an output
EXAMPLE = (3, 7)  # line, token: different sizes and not 1, because torch takes 1 and equal sizes for constants

Outputs = Mapping[str, np.ndarray]


def exported_lines(
    name: str, signature: Signature, graph: Graph, rule: TextRule, sample: Sequence[str], precision: str
) -> Exported:
    """The graph `name` of a module (ids i64[line, token], weight f32[line, token]) -> the signature's outputs, in order.

    An output's axes "line" and "token" stay free; any other name stands for the size that the module gives. The graph is
    compared with the module over batches of many shapes, and lines of ragged batches with the same lines alone. `sample`: lines
    of real text. Raises TextkitError where the graph, or the module, is not what it should be.
    """
    module = graph.module.eval()
    limit = graph.limit or TOKEN_LIMIT
    batches = list(cases(rule, sample, limit))
    body = traced(name, signature, module, len(rule), graph.limit)
    reference = _outputs_of(module, signature, name)
    full = load(body.SerializeToString())
    figures = {"against": "torch"} | _check(full, reference, batches, signature)
    _check_padding(full, batches, signature)
    if precision == "fp32":
        return Exported({name: body.SerializeToString()}, {"tokens": limit}, figures, graph.facts)
    largest = largest_channels(body, batches) if precision == "int8" else {}
    lowered = quantize_graph.lower(body, precision, largest=largest).SerializeToString()
    deviation = _deviation(load(lowered), reference, batches, signature)
    return Exported({name: lowered}, {"tokens": limit}, figures | {"deviation": deviation}, graph.facts)


def traced(name: str, signature: Signature, module: torch.nn.Module, ids: int, limit: int = 0) -> onnx.ModelProto:
    """The graph that torch makes of a module (ids, weight) -> the signature's outputs.

    `ids`: the size of the vocabulary. `limit`: the most tokens of a line that the module takes, 0 for any number.
    """
    import torch

    lines, tokens = EXAMPLE[0], min(EXAMPLE[1], limit or EXAMPLE[1])
    lines += tokens == lines
    example = {
        "ids": torch.arange(lines * tokens).reshape(lines, tokens) % ids,
        "weight": torch.ones(lines, tokens),
    }
    if [port.name for port in signature.inputs] != list(example):
        raise TextkitError(
            f"the graph {name!r} takes {', '.join(port.name for port in signature.inputs)}, not ids and weight"
        )
    with torch.no_grad():
        given = module(*example.values())
    tensors = given if isinstance(given, tuple) else (given,)
    if len(tensors) != len(signature.outputs):
        raise TextkitError(
            f"the module of graph {name!r} gives {len(tensors)} tensors, its task has {len(signature.outputs)}"
        )
    outputs = [
        Port(
            port.name, port.dtype, tuple(_axis(axis, size) for axis, size in zip(port.axes, tensor.shape, strict=False))
        )
        for port, tensor in zip(signature.outputs, tensors, strict=True)
    ]
    return tracing.trace(module, [(port, example[port.name]) for port in signature.inputs], outputs, name)


def _axis(axis: str | int, size: int) -> str | int:
    return axis if axis in ("line", "token") else int(size)


def _outputs_of(module: torch.nn.Module, signature: Signature, name: str) -> Callable[[Case], Outputs]:
    """The module as a function of a case."""
    import torch

    def outputs(case: Case) -> Outputs:
        with torch.no_grad():
            given = module(torch.from_numpy(case.ids), torch.from_numpy(case.weight))
        arrays = [tensor.numpy() for tensor in (given if isinstance(given, tuple) else (given,))]
        for port, array in zip(signature.outputs, arrays, strict=True):
            if array.shape[: len(_free(port))] != case.ids.shape[: len(_free(port))]:
                raise TextkitError(f"the module of graph {name!r} gives {port.name} of shape {array.shape}")
        return {port.name: array for port, array in zip(signature.outputs, arrays, strict=True)}

    return outputs


def _free(port: Port) -> Sequence[str]:
    """The axes that an output shares with the batch: line, or line and token."""
    return [axis for axis in port.axes[:2] if axis in ("line", "token")]


def _real(port: Port, case: Case, array: np.ndarray) -> np.ndarray:
    """The part of an output that counts: the rows of real tokens, or of lines that have a real token."""
    real = case.weight > 0
    return array[real if len(_free(port)) == 2 else real.any(axis=1)]


def _check(
    session: Session, reference: Callable[[Case], Outputs], batches: Sequence[Case], signature: Signature
) -> dict[str, Any]:
    """The largest difference over all cases. Raises TextkitError where it is more than TOLERANCE."""
    worst, where, lines = 0.0, "", 0
    for case in batches:
        if case.name == MORE:
            continue
        lines += len(case.ids)
        given, wanted = _given(session, case), reference(case)
        for port in signature.outputs:
            apart = difference(_real(port, case, given[port.name]), _real(port, case, wanted[port.name]))
            if apart > worst:
                worst, where = apart, f"{port.name}, case {case.name!r}"
    refuse(worst, TOLERANCE, where)
    return {"max_relative": worst, "tolerance": TOLERANCE, "lines": lines}


def _check_padding(session: Session, batches: Sequence[Case], signature: Signature) -> None:
    """Raises TextkitError where a line's result depends on the padding behind it, because batches would change results."""
    for case in batches:
        if case.name not in (RAGGED, UNSEEN):
            continue
        together = _given(session, case)
        for line, length in enumerate((case.weight > 0).sum(axis=1).tolist()):
            if not length:
                continue
            part = (slice(line, line + 1), slice(0, length))
            alone = _given(session, Case("alone", case.ids[part], case.weight[part]))
            for port in signature.outputs:
                here = together[port.name][line : line + 1]
                here = here[:, :length] if len(_free(port)) == 2 else here
                apart = difference(alone[port.name], here)
                if apart > TOLERANCE:
                    raise TextkitError(
                        f"{port.name} of a line changes by {apart:.2g} of its largest number when the line is padded, "
                        f"{TOLERANCE:.0e} is allowed: the network must leave tokens of weight 0 out; nothing was written"
                    )


def _deviation(
    session: Session, reference: Callable[[Case], Outputs], batches: Sequence[Case], signature: Signature
) -> dict[str, Any]:
    """How far a graph of lower precision is from the model: the largest difference relative to the largest number, over the
    lines of real text, or over all cases where there are none."""
    worst, lines = 0.0, 0
    for case in [case for case in batches if case.name in (SAMPLE, MORE)] or batches:
        given, wanted = _given(session, case), reference(case)
        lines += len(case.ids)
        for port in signature.outputs:
            worst = max(worst, difference(_real(port, case, given[port.name]), _real(port, case, wanted[port.name])))
    if not np.isfinite(worst):
        raise TextkitError("the graph of lower precision gives what is not a number: nothing was written")
    return {"max_relative": worst, "lines": lines}


def _given(session: Session, case: Case) -> Outputs:
    return session.run({"ids": case.ids, "weight": case.weight})
