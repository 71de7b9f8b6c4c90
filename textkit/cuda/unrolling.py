"""Several steps of a search as one graph: what a step gives is what the next one takes, and the host looks once for all.

Between steps a GPU then waits for nobody. Nodes that depend on nothing that changes from step to step are there once, and
weights always are.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from textkit.cuda.model import Model
from textkit.cuda.nodes import FLOAT, Node, Value, shape_of
from textkit.cuda.step_graph import GIVEN
from textkit.task import NEXT

FOLLOWING = "following"  # the rows of `given` of the next step, but for random numbers


def reached(model: Model, names: Collection[str]) -> set[str]:
    """`names`, and all values that depend on them."""
    found = set(names)
    for node in model.nodes:
        if not found.isdisjoint(node.takes) or not found.isdisjoint(node.within):
            found.update(node.makes)
    return found


def can_unroll(model: Model) -> bool:
    """Whether the nodes of a step can be there several times: nodes with graphs in them cannot."""
    return all(not node.within for node in model.nodes)


def unrolled(model: Model, steps: int, result: str, rows: int) -> None:
    """Makes a graph of one step one of several. It gives `result` [step, ...] of all of them. `given` has `rows` rows for the
    first step and, for each further one, as many as FOLLOWING lacks."""
    model.ordered()
    kept = next(port for port in model.outputs if port.name == result)
    states = [port.name for port in model.outputs if port.name.endswith(NEXT)]
    taken = [name.removesuffix(NEXT) for name in states]
    again = reached(model, {GIVEN, *taken})
    body = [node for node in model.nodes if not again.isdisjoint(node.makes)]
    nodes = [node for node in model.nodes if again.isdisjoint(node.makes)]
    made = {name for node in body for name in node.makes if name}
    own = 3 if result == "picked" else 2  # the rows of FOLLOWING
    more = rows - own
    results, before = [], ""
    for step in range(steps):
        names = {name: f"{name}/step{step}" for name in made}
        if step == steps - 1:
            names |= {name: name for name in states}
        if step:
            names |= {name: f"{name}{NEXT}{before if f'{name}{NEXT}' in made else ''}" for name in taken}
            given = f"{FOLLOWING}{before}"
            if more:
                at = rows + (step - 1) * more
                which = model.put(f"cuda/rows{step}", np.arange(at, at + more))
                nodes.append(Node("Gather", [GIVEN, which], [f"cuda/numbers{step}"]).with_integer("axis", 0))
                joined = f"cuda/given{step}"
                nodes.append(Node("Concat", [given, f"cuda/numbers{step}"], [joined]).with_integer("axis", 0))
                given = joined
            names[GIVEN] = given
        before = f"/step{step}"
        nodes += [node.again(names) for node in body]
        first = model.put("cuda/step_axis", np.array([0]))
        nodes.append(Node("Unsqueeze", [names[result], first], [f"cuda/result{step}"]))
        results.append(f"cuda/result{step}")
    nodes.append(Node("Concat", results, [result]).with_integer("axis", 0))
    model.nodes = nodes
    model.outputs = [port for port in model.outputs if port.name not in (result, FOLLOWING)]
    model.outputs.append(Value(result, kept.kind, shape_of([steps, "row", "line", "place"])))
    model.inputs = [port for port in model.inputs if port.name != GIVEN]
    model.inputs.append(Value(GIVEN, FLOAT, shape_of([rows + (steps - 1) * more, "line", "beam"])))
    model.ordered()
    model.drop_unused()
