"""Takes the look-ups of rows out of a small graph, so that the host makes them.

Most of the time of a bag of embeddings is looking up rows of a table, 100 or more for each line. numpy copies a row of 24 bytes
in a quarter of the time that onnxruntime's Gather takes. The rows are the same bytes, so the results are the same, too. Knows
no task.
"""

from __future__ import annotations

import numpy as np

from textkit.bundle.protobuf import Damaged
from textkit.bundle.small_graph import Node, OtherGraph, SmallGraph, input_field


def without_lookups(data: bytes, port: str) -> tuple[bytes, dict[str, np.ndarray]] | None:
    """The same model with rows as inputs instead of the ids in `port`, and the tables by the names of these inputs.

    An input has the rows [..., column] of its table [row, column] for the ids [...]. None for a graph of many nodes, and for
    one that does anything else with the ids. `data` was inspected (onnxfile.inspect).
    """
    try:
        graph = SmallGraph(data)
        lookups = [node for node in graph.nodes if port in node.used]
        if not lookups or not all(_looks_up(node, port, graph) for node in lookups):
            return None
        tables = {node.makes[0]: graph.tables[node.takes[0]] for node in lookups}
        declared = {
            name: input_field(name, table.kind, ("line", "token", table.columns)) for name, table in tables.items()
        }
        left = graph.rest(lookups, {port}, declared)
    except (Damaged, OtherGraph):
        return None
    return left, {name: graph.array(table) for name, table in tables.items()}


def _looks_up(node: Node, port: str, graph: SmallGraph) -> bool:
    """Whether a node does nothing but look up rows of a table by the port's ids."""
    gathers = node.operator == b"Gather" and not node.attributes.get("axis", 0)
    one = len(node.takes) == 2 and len(node.makes) == 1
    return gathers and one and node.takes[0] in graph.tables and node.takes[1] == port
