"""Puts a shortlist into the graphs of a translator.

The new graph `shortlist` says which words a line may hold. `step` gets a second way to the best words, which takes the
projection on the columns of those words alone.

The graphs are edited as they are exported, in any precision. Their weights stay as they are, and so does the way over the whole
vocabulary: serving loads one of the two. The columns are gathered once for a batch (`textkit/searching/shortlist.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from textkit.bundle import onnxfile, writing
from textkit.bundle.onnxfile import keep_outputs
from textkit.errors import TextkitError
from textkit.exporting.onnx_format import IR_VERSION, OPSET
from textkit.exporting.parity import load
from textkit.exporting.parity_steps import TOLERANCE, difference, feeds
from textkit.searching.shortlist import shortlisted
from textkit.task import NEXT
from textkit.tasks.translate.exporting import parity

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from textkit.bundle.bundle import Bundle
    from textkit.tasks.translate.exporting.parity import Case, Graphs
    from textkit.tasks.translate.lexicon import Lexicon
    from textkit.text.translation import TranslationText

SHORTLIST = "shortlist"
_WEIGHT, _SCALE, _BIAS = "shared.weight", "shared.scale", "shared.bias"


def shortlist_graph(lexicon: Lexicon) -> bytes:
    """The graph source i64[line, source], source_mask bool[line, source] -> allowed bool[line, vocab]."""
    from onnx import TensorProto, helper, numpy_helper

    node, port = helper.make_node, helper.make_tensor_value_info
    always = np.zeros((1, lexicon.size), bool)
    always[0, lexicon.always] = True
    anything = lexicon.always[0]  # what stands for no candidate: a word that is allowed in any case
    table = np.where(lexicon.table < 0, anything, lexicon.table)
    # The last row is that of padding.
    table = np.concatenate([table, np.full((1, table.shape[1]), anything)])
    kind = np.int16 if lexicon.size <= 2**15 else np.int32
    constants = {
        "table": table.astype(kind), "always": always, "padding": np.array(len(table) - 1), "flat": np.array([0, -1]),
        "true": np.array(True), "lines": np.array([lexicon.size]),
    }  # fmt: skip
    nodes = [
        node("Where", ["source_mask", "source", "padding"], ["rows"]),
        node("Gather", ["table", "rows"], ["candidates"]),  # [line, source, place]
        node("Cast", ["candidates"], ["ids"], to=TensorProto.INT64),
        node("Reshape", ["ids", "flat"], ["of_line"]),  # [line, source * place]
        node("Shape", ["source"], ["line"], end=1),
        node("Concat", ["line", "lines"], ["shape"], axis=0),
        node("Expand", ["always", "shape"], ["before"]),
        node("Shape", ["of_line"], ["many"]),
        node("Expand", ["true", "many"], ["marks"]),
        node("ScatterElements", ["before", "of_line", "marks"], ["allowed"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, SHORTLIST,
        [port("source", TensorProto.INT64, ["line", "source"]), port("source_mask", TensorProto.BOOL, ["line", "source"])],
        [port("allowed", TensorProto.BOOL, ["line", lexicon.size])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="textkit")
    return bytes(made.SerializeToString())


def with_shortlist(step: bytes) -> bytes:
    """The graph `step` with the ports of a shortlist (task.py). Raises TextkitError for a projection of an unknown form."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(step)
    graph = model.graph
    if any(port.name == SHORTLIST for port in graph.input):
        raise TextkitError("the model has a shortlist already")
    projection, shared, fixed = _projected(graph)
    node, port = helper.make_node, helper.make_tensor_value_info
    constants = {"short/one": np.array([1]), "short/second": np.array([1]), **fixed}
    choice = [
        node("Unsqueeze", ["allowed", "short/second"], ["short/of_line"]),  # [line, 1, choice]
        node("Unsqueeze", ["outside", "short/second"], ["short/barred"]),
        node("Shape", ["token"], ["short/beams"]),
        node("Concat", ["short/beams", "short/one"], ["short/shape"], axis=0),  # line, beam, 1
        node("Expand", ["short/of_line", "short/shape"], ["short/own"]),  # [line, beam, choice]
        node("GatherElements", ["short/logits", "short/own"], ["short/chosen"], axis=2),
        node("Add", ["short/chosen", "short/barred"], ["short/valid"]),
        node("LogSoftmax", ["short/valid"], ["short/logprob"], axis=-1),
        node("Reshape", ["k", "short/one"], ["short/wanted"]),
        node("Shape", ["allowed"], ["short/choices"], start=1),
        node("Min", ["short/wanted", "short/choices"], ["short/k"]),
        node("TopK", ["short/logprob", "short/k"], ["short_logprob", "short/place"], axis=-1, largest=1, sorted=1),
        node("GatherElements", ["short/own", "short/place"], ["short/at"], axis=2),  # [line, beam, k], of the shortlist
        node("Gather", [SHORTLIST, "short/at"], ["short_id"]),
    ]
    graph.node.extend([*projection, *choice])
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    graph.input.extend(
        [
            port(SHORTLIST, TensorProto.INT64, ["word"]),
            port("allowed", TensorProto.INT64, ["line", "choice"]),
            port("outside", TensorProto.FLOAT, ["line", "choice"]),
        ]
    )
    for name, kind, axes in shared:
        graph.input.append(port(name, kind, axes))
        graph.output.append(port(name + NEXT, kind, axes))
    beams: list[str | int] = ["line", "beam", "short_k"]
    graph.output.extend([port("short_id", TensorProto.INT64, beams), port("short_logprob", TensorProto.FLOAT, beams)])
    made: bytes = model.SerializeToString()
    return made


class _Product(NamedTuple):
    """The last product of a step graph. `bias`: the constant that is added to it; `size`: the value that it is multiplied by;
    "" where there is none. `turned`: whether the product itself turns its matrix."""

    node: onnx.NodeProto
    bias: str
    size: str
    turned: bool


def _wrong(what: str) -> TextkitError:
    return TextkitError(f"the graph 'step' ends in {what}: a shortlist needs a product with a matrix of words")


def _last(makers: Mapping[str, onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]) -> _Product:
    """What makes the logits."""
    from onnx import helper

    last, bias, sizes, turned = makers["logits"], "", list[str](), False
    if last.op_type == "Reshape":  # of a product of rows that are beams of lines
        last = makers[last.input[0]]
    if last.op_type == "Add":
        bias = next((name for name in last.input if name in constants and len(constants[name].dims) == 1), "")
        if not bias:
            raise _wrong("a sum")
        last = makers[next(name for name in last.input if name != bias)]
    if last.op_type == "Mul":  # by the size of each row of integers
        sizes = [name for name in last.input if getattr(makers.get(name), "op_type", "") != "MatMulIntegerToFloat"]
        last = makers[next((name for name in last.input if name not in sizes), last.input[0])]
    if last.op_type not in ("MatMul", "Gemm", "MatMulIntegerToFloat") or len(sizes) > 1:
        raise _wrong(last.op_type)
    if last.op_type == "Gemm":
        said = {entry.name: helper.get_attribute_value(entry) for entry in last.attribute}
        turned = bool(said.pop("transB", 0))
        if said.pop("transA", 0) or any(factor != 1 for factor in said.values()) or bias:
            raise _wrong("a product of another form")
        bias = last.input[2] if len(last.input) > 2 else ""
        if bias and bias not in constants:
            raise _wrong("a sum")
    return _Product(last, bias, sizes[0] if sizes else "", turned)


def _projected(
    graph: onnx.GraphProto,
) -> tuple[list[onnx.NodeProto], list[tuple[str, int, list[str | int]]], dict[str, np.ndarray]]:
    """The nodes from the hidden state to short/logits [line, beam, word], with those that gather what they multiply by; the
    name, type and axes of what is gathered; and the constants that they need."""
    from onnx import TensorProto, helper

    node = helper.make_node
    makers = {name: maker for maker in graph.node for name in maker.output}
    constants = {weight.name: weight for weight in graph.initializer}
    last, bias, size, turned = _last(makers, constants)
    nodes, kind, width = _columns(makers, constants, last.input[1], turned)
    shared: list[tuple[str, int, list[str | int]]] = [(_WEIGHT, kind, [width, "word"])]
    fixed = {"short/last": np.array([-1])}
    output = "short/product"
    if last.op_type == "MatMulIntegerToFloat":
        inner = list(last.input[5:])
        if inner[:1] not in ([], [""]):
            raise _wrong("a matrix with a zero point")
        factors = [last.input[0], _WEIGHT, last.input[2], _SCALE, last.input[4]]
        nodes.append(node("Gather", [last.input[3], SHORTLIST], [_SCALE + NEXT]))
        shared.append((_SCALE, TensorProto.FLOAT, ["word"]))
        if len(inner) > 1:
            if bias:
                raise _wrong("two biases")
            nodes.append(node("Gather", [inner[1], SHORTLIST], [_BIAS + NEXT]))
            shared.append((_BIAS, TensorProto.FLOAT, ["word"]))
            factors += ["", _BIAS]
        nodes.append(node("MatMulIntegerToFloat", factors, [output], domain="com.microsoft"))
    else:
        # onnxruntime multiplies a single row in another way, with other rounding. So there is always one more, of zeros.
        nodes += [
            node("Reshape", [last.input[0], "short/flat"], ["short/hidden"]),  # [row, dim]
            node("Concat", ["short/hidden", "short/zeros"], ["short/given"], axis=0),
            node("MatMul", ["short/given", _WEIGHT], ["short/all"]),
            node("Slice", ["short/all", "short/first", "short/last", "short/first"], [output]),
        ]
        fixed |= {"short/flat": np.array([-1, width]), "short/zeros": np.zeros((1, width), np.float32)}
        fixed["short/first"] = np.array([0])
    if size:
        nodes.append(node("Mul", [output, size], ["short/scaled"]))
        output = "short/scaled"
    if bias:
        nodes += [node("Gather", [bias, SHORTLIST], [_BIAS + NEXT]), node("Add", [output, _BIAS], ["short/biased"])]
        shared.append((_BIAS, TensorProto.FLOAT, ["word"]))
        output = "short/biased"
    nodes += [
        node("Shape", ["token"], ["short/lines"]),
        node("Concat", ["short/lines", "short/last"], ["short/back"], axis=0),
        node("Reshape", [output, "short/back"], ["short/logits"]),
    ]
    return nodes, shared, fixed


def _columns(
    makers: Mapping[str, onnx.NodeProto], constants: Mapping[str, onnx.TensorProto], matrix: str, turned: bool
) -> tuple[list[onnx.NodeProto], int, int]:
    """The nodes that gather columns of `matrix` [dim, vocab], their type, and dim. A table that is turned, here (`turned`) or
    by a node, is gathered by rows first; one that is stored in half precision is converted after that."""
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node
    if matrix in constants and not turned:
        weight = constants[matrix]
        return [node("Gather", [matrix, SHORTLIST], [_WEIGHT + NEXT], axis=1)], weight.data_type, weight.dims[0]
    table, nodes, rows = matrix, list[onnx.NodeProto](), "short/rows"
    if not turned:
        maker = makers.get(matrix)
        if maker is None or maker.op_type != "Transpose":
            raise _wrong("a product")
        table = maker.input[0]
    cast = makers.get(table)
    if cast is not None and cast.op_type == "Cast":
        table, rows = cast.input[0], "short/halves"
    if table not in constants:
        raise _wrong("a product")
    nodes.append(node("Gather", [table, SHORTLIST], [rows]))
    kind = constants[table].data_type
    if rows == "short/halves":
        kind = TensorProto.FLOAT
        nodes.append(node("Cast", [rows], ["short/rows"], to=kind))
    nodes.append(node("Transpose", ["short/rows"], [_WEIGHT + NEXT], perm=[1, 0]))
    return nodes, kind, constants[table].dims[1]


def check(step: bytes, shortlist: bytes, graphs: Graphs, cases: Iterable[Case], start: int) -> float:
    """Raises TextkitError unless the words that `step` chooses by a shortlist are the best of those that its whole distribution
    allows. Returns the largest difference. `graphs`: encode and step as they were."""
    lists, chosen = load(shortlist), load(keep_outputs(step, ["short_id", "short_logprob"]))
    ports = [port.name for port in onnxfile.inspect(step, "step").outputs if port.name.startswith("shared.")]
    gather, worst, k = load(keep_outputs(step, ports)), 0.0, 7
    for case in cases:
        allowed = lists.run({"source": case.source, "source_mask": case.mask})["allowed"]
        short = shortlisted(allowed)
        shared = {name.removesuffix(NEXT): array for name, array in gather.run({SHORTLIST: short.words}).items()}
        memory, state = graphs.encode(case.source, case.mask)
        token = np.full((len(case.source), 1), start)
        whole, _ = graphs.step(token, np.zeros_like(token), 1, memory, state)
        own = {SHORTLIST: short.words, "allowed": short.allowed, "outside": short.outside, **shared}
        got = chosen.run({**feeds(token, np.zeros_like(token), k), **memory, **state, **own})
        logprob = np.where(allowed[:, None], whole["logprob"].astype(np.float64), -np.inf)
        logprob -= np.log(np.exp(logprob).sum(-1, keepdims=True))
        best = -np.sort(-logprob, axis=-1)[..., : got["short_id"].shape[2]]
        found = np.take_along_axis(logprob, got["short_id"], axis=-1)
        worst = max(worst, difference(got["short_logprob"], best), difference(found, best))
    if not worst <= TOLERANCE:
        raise TextkitError(f"the words of the shortlist are off by {worst:.2g} of the model's: nothing was written")
    return worst


def write(
    folder: Path, found: Bundle, rule: TranslationText, lexicon: Lexicon, sources: Sequence[str], command: str, overwrite: bool
) -> int:  # fmt: skip
    """Writes the model `found` with a shortlist to `folder`; returns how many words a line of `sources` usually may hold.

    Raises TextkitError where the graphs do not choose as they should, and writes nothing then.
    """
    manifest = found.manifest
    graphs = {name: found.graph(name) for name in manifest.graphs}
    step, lists = with_shortlist(graphs["step"]), shortlist_graph(lexicon)
    cases = list(parity.cases(rule, sources[: parity.CHECKED], manifest.limits["tokens"]))
    worst = check(step, lists, parity.Graphs(graphs), cases, rule.start)
    made = {"command": command, "pairs": len(sources)}
    writing.write(
        folder, name=folder.resolve().name, task=manifest.task, rule=rule, graphs={**graphs, "step": step, "shortlist": lists},
        plugin=manifest.plugin, limits=manifest.limits, defaults=manifest.defaults, facts=manifest.facts, data=manifest.data,
        licence=manifest.licence, scores=[], parity={**manifest.parity, "shortlist": worst}, precision=manifest.precision,
        made={**manifest.made, "shortlist": made}, overwrite=overwrite,
    )  # fmt: skip
    counts = [lexicon.allowed(case.source, case.mask).sum(1) for case in cases if case.name == "sample"]
    return round(float(np.concatenate(counts).mean())) if counts else len(lexicon.always)
