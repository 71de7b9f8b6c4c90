"""Removes outputs from an ONNX file, with the nodes that nothing else needs: a bounded walk, as in onnxfile.py.

Knows nothing of operators, tensors and tasks. Field numbers are those of onnx.proto, which never change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from textkit.bundle.protobuf import MAX_FIELDS, Damaged, Message, head_of
from textkit.errors import TextkitError, quoted

MAX_DEPTH = 16  # graphs within graphs: the branches of If


def keep_outputs(data: bytes, names: Collection[str], where: str = "graph") -> bytes:
    """The same model with only these outputs, and without the nodes and the inputs that only the others needed.

    onnxruntime computes every node of a graph, even one whose output nobody asked for or that leads to no output at all.
    The rest stays byte for byte. Raises TextkitError, whose line begins with `where`, for bytes that are no model and for a
    name that is not one of its outputs.
    """
    try:
        return Pruning(data, MAX_FIELDS).pruned(set(names))
    except Damaged as refusal:
        raise TextkitError(f"{where}: {refusal}") from None


class Pruning(Message):
    """One pass over one file."""

    def pruned(self, names: set[str]) -> bytes:
        """The model's bytes with only the outputs `names`."""
        tag, first, last = self.only_graph()
        return self.with_graph(tag, last, self.pruned_graph(first, last, names))

    def only_graph(self) -> tuple[int, int, int]:
        """Where the model's graph is: the place of its tag, of its first byte and behind its last."""
        graphs = []
        for number, first, last in self.fields(0, len(self.data), {7}):
            if number == 7:
                graphs.append((self.tag, first, last))
        if len(graphs) != 1:
            raise Damaged("not an ONNX model")
        return graphs[0]

    def with_graph(self, tag: int, last: int, kept: list[tuple[int, int]], more: bytes = b"") -> bytes:
        """The model's bytes with another graph instead of that from `tag` to `last`: these pieces of the data, and `more`."""
        size = sum(stop - start for start, stop in kept) + len(more)
        view = memoryview(self.data)
        pieces: list[bytes | memoryview] = [
            view[:tag],
            head_of(7, size),
            *(view[start:stop] for start, stop in kept),
            more,
            view[last:],
        ]
        return type(self.data)(b"".join(pieces))

    def pruned_graph(self, start: int, stop: int, names: set[str]) -> list[tuple[int, int]]:
        """The pieces of the data that make up the graph with these outputs. In a graph, a node follows those it needs."""
        nodes, inputs = [], []
        outputs: dict[str, list[tuple[int, int]]] = {}
        dropped: list[tuple[int, int]] = []
        for number, value, end in self.fields(start, stop, {1, 11, 12}):
            begin = self.tag
            if number == 1:
                nodes.append((begin, value, end))
            elif number == 11:
                inputs.append((self.port_name(value, end), begin, end))
            elif number == 12:
                outputs.setdefault(self.port_name(value, end), []).append((begin, end))
        if missing := names - outputs.keys():
            raise Damaged(f"has no output {quoted(min(missing))}")
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
        return without(start, stop, dropped)

    def port_name(self, start: int, stop: int) -> str:
        name = ""
        for number, value, end in self.fields(start, stop, {1}):
            if number == 1:
                name = self.text(value, end)
        return name

    def node_names(self, start: int, stop: int, depth: int) -> tuple[set[str], set[str]]:
        """The names that a node takes, with those that the graphs within it take, and the names that it makes."""
        if depth > MAX_DEPTH:
            raise Damaged(f"nests graphs more than {MAX_DEPTH} deep")
        used: set[str] = set()
        made: set[str] = set()
        for number, value, end in self.fields(start, stop, {1, 2, 5}):
            if number in (1, 2):
                (used if number == 1 else made).add(self.text(value, end))
            elif number == 5:
                for kind, first, last in self.fields(value, end, {6, 11}):
                    if kind in (6, 11):
                        for part, begin, finish in self.fields(first, last, {1, 12}):
                            if part == 1:
                                used |= self.node_names(begin, finish, depth + 1)[0]
                            elif part == 12:  # an inner graph may return a value of the outer one unchanged
                                used.add(self.port_name(begin, finish))
        return used, made - {""}


def without(start: int, stop: int, dropped: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left between two places of the data when the pieces `dropped` are taken out."""
    kept = []
    for begin, end in sorted(dropped):
        kept.append((start, begin))
        start = end
    return [*kept, (start, stop)]
