"""Looks through an ONNX file before onnxruntime sees it: a bounded walk of the protobuf in plain Python.

Refuses what could reach outside the file (external data) or what textkit does not serve (operators of unknown domains,
opsets newer than onnxruntime's), and gives the graph's ports; takes outputs out, with the nodes that nothing else needs.
Knows nothing of tensors' contents, which it steps over without a copy, and nothing of bundles or tasks. Field numbers are
those of onnx.proto, which never change.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from textkit.errors import TextkitError, quoted
from textkit.protobuf import BYTES, Damaged, Message
from textkit.tasks import Port

DOMAINS = ("", "ai.onnx", "com.microsoft")
MAX_BYTES = 2**31 - 1  # protobuf's own limit
MAX_OPSET = {"": 26, "ai.onnx": 26, "com.microsoft": 1}  # what onnxruntime 1.31 reads; the exporter writes 23
MAX_IR = 13
MAX_FIELDS = 1_000_000  # a transformer of 24 layers has about 200,000
MAX_DEPTH = 16  # graphs within graphs: If and Loop bodies

_EXTERNAL = "keeps its weights outside the file (external data)"
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "str", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What the walk found: versions, and the ports of the main graph in order."""

    ir: int
    opsets: dict[str, int]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def inspect(data: bytes, name: str) -> Header:
    """The header of an ONNX model. Raises TextkitError, its line beginning with `name`, for one not to be loaded."""
    if len(data) > MAX_BYTES:
        raise TextkitError(f"{name}: {len(data)} bytes, more than the {MAX_BYTES} of a single ONNX file")
    try:
        return _Walk(data).model()
    except Damaged as refusal:
        raise TextkitError(f"{name}: {refusal}") from None


def shares_scales(graph: bytes) -> bool:
    """Whether what is in a batch together shares a scale in whole numbers, as in int8 models of earlier versions: a line's
    result then depends a little on the lines beside it."""
    return b"DynamicQuantize" in graph  # Linear, MatMul and LSTM


def keep_outputs(data: bytes, names: Collection[str], where: str = "graph") -> bytes:
    """The same model with only these outputs, and without the nodes and the inputs that only the others needed.

    onnxruntime computes every node of a graph, even one whose output nobody asked for or that leads to no output at all.
    The rest stays byte for byte. Raises TextkitError, its line beginning with `where`, for bytes that are no model and for a
    name that is none of its outputs.
    """
    try:
        return _Walk(data).pruned(set(names))
    except Damaged as refusal:
        raise TextkitError(f"{where}: {refusal}") from None


class _Refusal(Damaged):
    """Why a model is not loaded."""


class _Walk(Message):
    """One pass over one file."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, MAX_FIELDS)

    def model(self) -> Header:
        ir, opsets, graphs, ports = 0, {}, 0, ([], [])
        for number, value, end in self.fields(0, len(self.data), {7, 8, 20, 25}):
            if number == 1 and end is None:
                ir = value
            elif number == 7:
                graphs += 1
                ports = self.graph(value, end, 0)
            elif number == 8:
                domain, version = self.opset(value, end)
                opsets[domain] = version
            elif number == 20:
                raise _Refusal("carries a training graph (training_info)")
            elif number == 25:
                self.function(value, end)
        if graphs != 1 or not opsets:
            raise _Refusal("not an ONNX model")
        if not 3 <= ir <= MAX_IR:
            raise _Refusal(f"has IR version {ir}; versions 3 to {MAX_IR} are read")
        return Header(ir, opsets, tuple(ports[0]), tuple(ports[1]))

    def pruned(self, names: set[str]) -> bytes:
        """The model's bytes with the outputs `names` alone."""
        graphs = []
        for number, first, last in self.fields(0, len(self.data), {7}):
            if number == 7:
                graphs.append((self.tag, first, last))
        if len(graphs) != 1:
            raise _Refusal("not an ONNX model")
        tag, first, last = graphs[0]
        kept = self.pruned_graph(first, last, names)
        size = sum(stop - start for start, stop in kept)
        head = bytes([7 << 3 | BYTES]) + _varint(size)
        view = memoryview(self.data)
        return b"".join([view[:tag], head, *(view[start:stop] for start, stop in kept), view[last:]])

    def pruned_graph(self, start: int, stop: int, names: set[str]) -> list[tuple[int, int]]:
        """The pieces of the data that make the graph with these outputs. A node stands behind those it needs."""
        nodes, inputs, outputs, dropped = [], [], {}, []
        for number, value, end in self.fields(start, stop, {1, 11, 12}):
            begin = self.tag
            if number == 1:
                nodes.append((begin, value, end))
            elif number == 11:
                inputs.append((self.port_name(value, end), begin, end))
            elif number == 12:
                outputs.setdefault(self.port_name(value, end), []).append((begin, end))
        if missing := names - outputs.keys():
            raise _Refusal(f"has no output {quoted(min(missing))}")
        for name, spans in outputs.items():
            dropped += spans if name not in names else []
        needed, unneeded = set(names), set()
        for begin, first, last in reversed(nodes):
            used, made = self.node_names(first, last, 0)
            if needed.isdisjoint(made):
                dropped.append((begin, last))
                unneeded |= used
            else:
                needed |= used
        dropped += [(begin, end) for name, begin, end in inputs if name in unneeded - needed]
        kept = []
        for begin, end in sorted(dropped):
            kept.append((start, begin))
            start = end
        return [*kept, (start, stop)]

    def port_name(self, start: int, stop: int) -> str:
        name = ""
        for number, value, end in self.fields(start, stop, {1}):
            if number == 1:
                name = self.text(value, end)
        return name

    def node_names(self, start: int, stop: int, depth: int) -> tuple[set[str], set[str]]:
        """What a node takes, the graphs within it included, and what it makes."""
        if depth > MAX_DEPTH:
            raise _Refusal(f"nests graphs more than {MAX_DEPTH} deep")
        used, made = set(), set()
        for number, value, end in self.fields(start, stop, {1, 2, 5}):
            if number in (1, 2):
                (used if number == 1 else made).add(self.text(value, end))
            elif number == 5:
                for kind, first, last in self.fields(value, end, {6, 11}):
                    if kind in (6, 11):
                        for part, begin, finish in self.fields(first, last, {1, 12}):
                            if part == 1:
                                used |= self.node_names(begin, finish, depth + 1)[0]
                            elif part == 12:  # some graphs give a value of the outer one back as it is
                                used.add(self.port_name(begin, finish))
        return used, made - {""}

    def opset(self, start: int, stop: int) -> tuple[str, int]:
        domain, version = "", 0
        for number, value, end in self.fields(start, stop, {1}):
            if number == 1:
                domain = self.domain(value, end)
            elif number == 2 and end is None:
                version = value
        if not 1 <= version <= MAX_OPSET[domain]:
            raise _Refusal(f"needs opset {version} of {domain or 'ai.onnx'}; up to {MAX_OPSET[domain]} is read")
        return domain, version

    def function(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {7, 9, 10, 11}):
            if number == 7:
                self.node(value, end, 1)
            elif number == 9:
                self.opset(value, end)
            elif number == 10:
                self.domain(value, end)
            elif number == 11:
                self.attribute(value, end, 1)

    def graph(self, start: int, stop: int, depth: int) -> tuple[list[Port], list[Port]]:
        """Walks a graph; the ports of the outermost one."""
        if depth > MAX_DEPTH:
            raise _Refusal(f"nests graphs more than {MAX_DEPTH} deep")
        inputs: list[Port] = []
        outputs: list[Port] = []
        for number, value, end in self.fields(start, stop, {1, 5, 11, 12, 15}):
            if number == 1:
                self.node(value, end, depth)
            elif number == 5:
                self.tensor(value, end)
            elif number == 15:
                self.sparse(value, end)
            elif number == 11 and depth == 0:
                inputs.append(self.port(value, end))
            elif number == 12 and depth == 0:
                outputs.append(self.port(value, end))
        return inputs, outputs

    def node(self, start: int, stop: int, depth: int) -> None:
        for number, value, end in self.fields(start, stop, {4, 5, 7}):
            if number == 5:
                self.attribute(value, end, depth)
            elif number == 7:
                self.domain(value, end)
            elif number == 4 and self.text(value, end) == "EPContext":
                raise _Refusal("refers to a compiled engine outside the file (EPContext)")

    def attribute(self, start: int, stop: int, depth: int) -> None:
        for number, value, end in self.fields(start, stop, {5, 6, 10, 11, 22, 23}):
            if number in (6, 11):
                self.graph(value, end, depth + 1)
            elif number in (5, 10):
                self.tensor(value, end)
            elif number in (22, 23):
                self.sparse(value, end)

    def sparse(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {1, 2}):
            if number in (1, 2):
                self.tensor(value, end)

    def tensor(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {13}):
            if number == 13 or (number == 14 and (end is not None or value != 0)):
                raise _Refusal(_EXTERNAL)

    def port(self, start: int, stop: int) -> Port:
        name, dtype, axes = "", "", []
        for number, value, end in self.fields(start, stop, {1, 2}):
            if number == 1:
                name = self.text(value, end)
            elif number == 2:
                for kind, first, last in self.fields(value, end, {1}):
                    if kind == 1:  # tensor_type; sequences, maps and optionals are no ports of ours
                        dtype, axes = self.tensor_type(first, last)
        if not name or not dtype:
            raise _Refusal(f"port {quoted(name)} is no tensor of a known type")
        return Port(name, dtype, tuple(axes))

    def tensor_type(self, start: int, stop: int) -> tuple[str, list[str | int]]:
        dtype, axes = "", []
        for number, value, end in self.fields(start, stop, {2}):
            if number == 1 and end is None:
                dtype = _DTYPES.get(value, "")
            elif number == 2:
                axes = [self.axis(first, last) for kind, first, last in self.fields(value, end, {1}) if kind == 1]
        return dtype, axes

    def axis(self, start: int, stop: int) -> str | int:
        axis: str | int = ""
        for number, value, end in self.fields(start, stop, {2}):
            if number == 1 and end is None:
                axis = value
            elif number == 2:
                axis = self.text(value, end)
        return axis

    def domain(self, start: int, stop: int) -> str:
        domain = self.text(start, stop)
        if domain not in DOMAINS:
            raise _Refusal(f"uses operators of the unknown domain {quoted(domain)}")
        return domain

    def text(self, start: int, stop: int) -> str:
        if stop - start > 10_000:
            raise _Refusal("has a name of more than 10,000 bytes")
        try:
            return self.data[start:stop].decode("utf-8")
        except UnicodeDecodeError:
            raise _Refusal("damaged: a name is not UTF-8") from None


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
