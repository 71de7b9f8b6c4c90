"""Inspects an ONNX file before onnxruntime sees it: a bounded walk through the protobuf in plain Python.

Refuses what could reach outside the file (external data), what textkit does not serve (unknown domains and operators, opsets
newer than onnxruntime's, functions of the file's own), and what claims more than the file holds: tensors larger than their
bytes, huge sizes in constants, more nodes than any network has. Returns the graph's ports. Knows nothing of bundles or tasks.
Field numbers are those of onnx.proto, which never change.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from textkit.bundle import operators
from textkit.bundle.constants import Branches, Constants, Scopes, Tensor, most_folded
from textkit.bundle.onnx_ports import port
from textkit.bundle.protobuf import Damaged, signed
from textkit.bundle.pruning import MAX_DEPTH, keep_outputs
from textkit.errors import TextkitError, quoted
from textkit.task import Port

__all__ = [
    "DOMAINS",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "ONE_SCALE",
    "Header",
    "Unfolded",
    "inspect",
    "keep_outputs",
    "most_folded",
    "shares_scales",
]

DOMAINS = tuple(operators.ALLOWED)
MAX_BYTES = 2**31 - 1  # protobuf's own limit
MAX_OPSET = {"": 26, "com.microsoft": 1}  # what onnxruntime 1.31 reads; the exporter writes 23
MAX_IR = 13
MAX_NODES = 6_000  # a transformer of 24 layers has about 1,500; onnxruntime takes a second for a chain of 6,000

ONE_SCALE = "recurrence/one_behind"  # in a graph with this constant, an LSTM's scale does not depend on the batch

_LARGEST = 1 << 20  # the largest value of an attribute: an axis, a width, a number of groups
_INT = 2  # the type of an attribute that is one whole number


@dataclass(frozen=True)
class Header:
    """What the walk found: versions, and the ports of the main graph in order.

    `rows`: the most rows that the graph's tables have together. `folded`: whether what the graph computes from constants
    alone is small enough to be computed while it loads.
    """

    ir: int
    opsets: dict[str, int]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    rows: int
    folded: bool


class Unfolded(bytes):
    """A graph whose constants must not be folded while it loads: they are computed as it runs, where memory is bounded."""


def inspect(data: bytes, name: str) -> Header:
    """The header of an ONNX model. Raises TextkitError, whose line begins with `name`, for one that must not be loaded."""
    if len(data) > MAX_BYTES:
        raise TextkitError(f"{name}: {len(data)} bytes, more than the {MAX_BYTES} of a single ONNX file")
    try:
        return _Walk(data).model()
    except Damaged as refusal:
        raise TextkitError(f"{name}: {refusal}") from None


def shares_scales(graph: bytes) -> bool:
    """Whether the lines of a batch share a quantisation scale, as in int8 models of earlier versions.

    A line's result then depends a little on the lines beside it.
    """
    recurrent = b"DynamicQuantizeLSTM" in graph and ONE_SCALE.encode() not in graph
    return recurrent or b"DynamicQuantizeLinear" in graph or b"DynamicQuantizeMatMul" in graph


@dataclass
class _Graph:
    """What the walk keeps of a graph: its constants, the ports of the outermost graph, the outputs of an inner one."""

    scopes: Scopes
    gives: list[bytes] = field(default_factory=list)
    ports: tuple[list[Port], list[Port]] = field(default_factory=lambda: ([], []))


class _Walk(Constants):
    """One pass over one file."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.nodes_left = MAX_NODES

    def model(self) -> Header:
        ir, graphs = 0, 0
        opsets: dict[str, int] = {}
        ports: tuple[list[Port], list[Port]] = ([], [])
        parts = list(self.fields(0, len(self.data), {7, 8, 20, 25}))
        functions = [(value, end) for number, value, end in parts if number == 25]
        for first, last in functions:
            self.function(first, last)
        if functions:  # they can call each other: a few lines may unfold into millions of nodes
            raise Damaged("has functions of its own; a model's graph is made of operators alone")
        for number, value, end in parts:
            if number == 1 and not end:
                ir = value
            elif number == 7:
                graphs += 1
                ports = self.graph(value, end, 0, ()).ports
            elif number == 8:
                domain, version = self.opset(value, end)
                opsets[domain] = version
            elif number == 20:
                raise Damaged("carries a training graph (training_info)")
        if graphs != 1 or not opsets:
            raise Damaged("not an ONNX model")
        if not 3 <= ir <= MAX_IR:
            raise Damaged(f"has IR version {ir}; versions 3 to {MAX_IR} are read")
        return Header(ir, opsets, tuple(ports[0]), tuple(ports[1]), self.rows, self.folded)

    def opset(self, start: int, stop: int) -> tuple[str, int]:
        domain, version = "", 0
        for number, value, end in self.fields(start, stop, {1}):
            if number == 1:
                domain = self.domain(value, end)
            elif number == 2 and not end:
                version = value
        if not 1 <= version <= MAX_OPSET[domain]:
            raise Damaged(f"needs opset {version} of {domain or 'ai.onnx'}; up to {MAX_OPSET[domain]} is read")
        return domain, version

    def function(self, start: int, stop: int) -> None:
        """Looks for references out of the file, so that the error names them rather than the function."""
        for number, value, end in self.fields(start, stop, {7, 9, 10, 11}):
            if number == 7:
                self.node(value, end, 1, ({},), calls=True)
            elif number == 9:
                self.opset(value, end)
            elif number == 10:
                self.domain(value, end)
            elif number == 11:
                self.attribute(value, end, 1, ({},))

    def graph(self, start: int, stop: int, depth: int, outer: Scopes) -> _Graph:
        """Walks a graph. `outer`: the constants of the graphs around it."""
        if depth > MAX_DEPTH:
            raise Damaged(f"nests graphs more than {MAX_DEPTH} deep")
        graph = _Graph(({}, *outer))
        inner: list[tuple[int, int]] = []  # nodes stand before the constants they use, so they are walked last
        for number, value, end in self.fields(start, stop, {1, 5, 11, 12, 15}):
            if number == 1:
                inner.append((value, end))
                if len(inner) > self.nodes_left:
                    raise Damaged(f"has more than {MAX_NODES} nodes")
            elif number == 5:
                self.define(*self.tensor(value, end), graph.scopes[0])
            elif number == 15:
                self.sparse(value, end)
            elif number == 11 and depth == 0:
                graph.ports[0].append(port(self, value, end))
            elif number == 12 and depth == 0:
                graph.ports[1].append(port(self, value, end))
            elif number == 12:
                names = [self.data[first:last] for kind, first, last in self.fields(value, end, {1}) if kind == 1]
                graph.gives.append(names[-1] if names else b"")
        for first, last in inner:
            self.node(first, last, depth, graph.scopes)
        return graph

    def node(self, start: int, stop: int, depth: int, scopes: Scopes, calls: bool = False) -> None:
        """Walks a node. `calls`: whether its operator may be the name of a function."""
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise Damaged(f"has more than {MAX_NODES} nodes")
        operator, domain = b"", ""
        takes, makes, attributes = [], [], []
        for number, value, end in self.fields(start, stop, {1, 2, 4, 5, 7}):
            if number == 1:
                takes.append(self.data[value:end])
            elif number == 2:
                makes.append(self.data[value:end])
            elif number == 5:
                attributes.append((value, end))
            elif number == 4:
                operator = self.data[value:end]
            elif number == 7:
                domain = self.domain(value, end)
        constant: Tensor | None = None
        inner: Branches = []
        for first, last in attributes:
            found = self.attribute(first, last, depth, scopes, operator, inner)
            if constant and found and operator == b"Constant":
                raise Damaged("has a constant of two values")
            constant = found or constant
        if operator not in operators.ALLOWED[domain] and not calls:
            self.refuse(operator)
        lacks = bool(domain) and len(takes) < operators.NEEDS.get(operator, 0)
        if b"" in takes:
            blank = operators.BLANKS[domain].get(operator, ())
            lacks = lacks or any(not name and place not in blank for place, name in enumerate(takes))
        if lacks:
            raise Damaged(f"{_called(operator)} lacks an input")
        if operator != b"Constant":
            self.derive(operator, takes, makes, scopes, inner)
        elif constant and makes:
            self.define(makes[0], constant, scopes[0])

    def refuse(self, operator: bytes) -> None:
        if operator == b"EPContext":
            raise Damaged("refers to a compiled engine outside the file (EPContext)")
        name = operator[:1000].decode("utf-8", "replace")
        raise Damaged(f"has the operator {quoted(name)}, which a model may not have")

    def attribute(
        self, start: int, stop: int, depth: int, scopes: Scopes, operator: bytes = b"", inner: Branches | None = None
    ) -> Tensor | None:
        """Walks an attribute and returns the constant in it, if any. `inner`: the list that its graphs are added to."""
        found: Tensor | None = None
        name, kind, parts = b"", 0, 0
        numbers: list[int] = []
        for number, value, end in self.fields(start, stop, {1, 5, 6, 10, 11, 22, 23}):
            if number == 1:
                name = self.data[value:end]
            elif number == 20 and not end:
                kind = value
            elif number in (6, 11):
                parts += number == 6
                graph = self.graph(value, end, depth + 1, scopes)
                if inner is not None:
                    inner.append((graph.scopes, graph.gives))
            elif number in (5, 10):
                parts += number == 5
                found = self.tensor(value, end)[1]
            elif number in (22, 23):
                self.sparse(value, end)
            elif number in (3, 8):  # an integer, and a list of them
                numbers += self.packed(value, end) if end else [value]
            elif number in (2, 4, 7, 9):  # a float, a string, and lists of them
                found = found or Tensor(end - value if end else 1)
        if parts > 1:  # protobuf merges the two
            raise Damaged("damaged: an attribute has two values")
        values = tuple(map(signed, numbers))
        if operator == b"GatherND" and values and not 0 <= values[0] <= 8:
            raise Damaged("GatherND has batch_dims that no tensor has")
        counts = (values or kind == _INT) and name in operators.COUNTS and operator != b"RotaryEmbedding"
        if counts and min(values, default=0) < 1:
            raise Damaged(f"{_called(operator)} has a {name.decode()} of less than one")
        if not values:
            return found
        if operator not in (b"Constant", b"Slice") and not -_LARGEST <= min(values) <= max(values) <= _LARGEST:
            # onnxruntime adds and multiplies some attributes unchecked, and indexes by others.
            raise Damaged(f"{_called(operator)} has an attribute beyond {_LARGEST}")
        if found is None:
            few = values if len(values) <= operators.MOST_AXES else None
            found = Tensor(len(values), few, rank=1, negates=-1 in values)
        return found

    def domain(self, start: int, stop: int) -> str:
        domain = self.text(start, stop)
        domain = "" if domain == "ai.onnx" else domain
        if domain not in DOMAINS:
            raise Damaged(f"uses operators of the unknown domain {quoted(domain)}")
        return domain


def _called(operator: bytes) -> str:
    return operator[:100].decode("utf-8", "replace")
