"""The graph that takes lines out of a batch on a GPU."""

from __future__ import annotations

from collections.abc import Collection

from textkit.cuda.model import Model
from textkit.cuda.nodes import INT64, Node, Value, shape_of


def lines_graph(ports: Collection[tuple[str, int, int]]) -> bytes:
    """A graph that keeps the lines `rows` i64[kept] of each of its inputs (name, type of numbers, number of axes): a Gather
    each. Its outputs have the names of its inputs, with `/kept` behind."""
    model = Model.empty()
    model.inputs = [Value("rows", INT64, shape_of(["kept"]))]
    for name, kind, rank in ports:
        axes = [f"{name}/{at}" for at in range(1, rank)]
        model.inputs.append(Value(name, kind, shape_of(["line", *axes])))
        model.outputs.append(Value(f"{name}/kept", kind, shape_of(["kept", *axes])))
        model.nodes.append(Node("Gather", [name, "rows"], [f"{name}/kept"]).with_integer("axis", 0))
    return model.written()
