"""A step graph as a GPU runs it: what goes up and down is a small array each way, and numbers that never change are constants.

`k` as an input is read back to the host twice a step, and keeps CUDA graphs from the step, so it is a constant here. Tokens,
parents and the numbers that go with them come in one array, `given`. Which continuations go on is found on the GPU
(choosing.py), and so is a drawn token (drawing.py), so that no distribution leaves it. Several steps may be one graph
(unrolling.py). Knows the ports of a step by their names (searching/ports.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from textkit.cuda import choosing, drawing
from textkit.cuda.model import Model
from textkit.cuda.nodes import FLOAT, INT64, Value, rename, shape_of
from textkit.cuda.step_graph import GIVEN, NUMBERS, StepGraph
from textkit.cuda.unrolling import FOLLOWING, unrolled

Kind = Literal["picked", "ranked", "listed", "drawn", "cut", "among", "among_share", "whole"]
_NUMBERS = tuple(f"uniform.{at}" for at in range(NUMBERS))
# Kind -> the rows of `given` f32[row, line, beam]
ROWS: dict[Kind, tuple[str, ...]] = {
    "picked": ("token", "parent", "score"),
    "ranked": ("token", "parent", "score"),
    "listed": ("token", "parent"),
    "drawn": ("token", "parent", "uniform"),
    "cut": ("token", "parent", *_NUMBERS),
    "among": ("token", "parent", "uniform"),
    "among_share": ("token", "parent", *_NUMBERS),
    "whole": ("token", "parent"),
}
BARRED = 4  # the most ids that a bias bars: the start, padding, the unknown word, and the end before the minimum length
DRAWN = ("drawn", "cut", "among", "among_share")


@dataclass(frozen=True)
class StepEdit:
    """An edit of a step graph, for Session.

    `ranked`: of all continuations of a line's beams, whose score so far is a row of `given`, the `choices` best leave:
    `place` i32[line, choice] (beam * vocabulary + token) and `best` f32[line, choice], their log-probabilities. `picked`: the
    same after `bias` f32[vocab], which bars BARRED ids at most; `picked` f32[2, line, choice]: place and log-probability.
    `listed`: the `choices` best of each beam: `listed_id` i32[line, beam, choice] and `top_logprob`. `drawn`: `drawn`
    f32[2, line, beam]: token and log-probability; with `choices`, of so many likeliest. `cut`: the same, drawn from the
    likeliest tokens that make up `share` f32[]; the token is -1 where that takes more than the 1,024 likeliest. `among`,
    `among_share`: the same, from the `choices` likeliest in their order. `whole`: nothing but the distribution.

    `steps`: so many steps are one graph (`picked` of `beams` that end with `eos`, `drawn`, `among`, `among_share`); the graph
    then gives `picked` or `drawn` of each step, and takes the random numbers of each in further rows of `given`.
    """

    kind: Kind
    vocab: int
    choices: int = 0
    beams: int = 0
    eos: int = 0
    steps: int = 1

    @property
    def key(self) -> str:
        numbers = self.choices, self.vocab, self.beams, self.eos, self.steps
        return " ".join(["step", self.kind, *map(str, numbers)])

    def __call__(self, model: Model) -> None:
        work = StepGraph(model, self.vocab)
        likeliest = self.choices + (BARRED if self.kind in ("picked", "among", "among_share") else 0)
        _take(work, ROWS[self.kind], min(likeliest, self.vocab))
        if self.kind == "picked":
            choosing.pick(work, self.choices)
        elif self.kind == "ranked":
            choosing.rank(work, self.choices)
        elif self.kind == "listed":
            choosing.give_list(work)
        elif self.kind in ("among", "among_share"):
            drawing.among(work, self.choices, share=self.kind == "among_share")
        elif self.kind in DRAWN:
            if self.choices:
                drawing.keep_likeliest(work, self.choices)
            if self.kind == "cut":
                drawing.cut(work)
        if self.kind in DRAWN:
            drawing.join(work)
        if self.steps > 1:
            if self.kind == "picked":
                choosing.go_on(work, self.choices, self.beams, self.eos)
            else:
                drawing.go_on(work)
            work.give(FOLLOWING, FLOAT, ["row", "line", "beams"], [])
        model.ordered()
        model.drop_unused()
        taken = {name for node in model.nodes for name in (*node.takes, *node.within)}
        model.inputs = [port for port in model.inputs if port.name in taken]

    def finish(self, model: Model) -> None:
        """What is changed after precisions are: several steps become one graph."""
        if self.steps > 1:
            unrolled(model, self.steps, "picked" if self.kind == "picked" else "drawn", len(ROWS[self.kind]))


def _take(work: StepGraph, rows: Collection[str], k: int) -> None:
    """Takes the inputs of a step out of the rows of `given`, and makes `k` a constant."""
    model = work.model
    for at, name in enumerate(rows):
        row = work.add("Gather", [GIVEN, work.constant(f"row{at}", np.array(at))], f"cuda/{name}", axis=0)
        if name in ("token", "parent"):
            work.add("Cast", [row], name, to=INT64)
        elif name == "uniform":
            rename(model.nodes, name, row)
    if any(port.name == "k" for port in model.inputs):
        model.put("k", np.array(max(1, k)))
        _fold_choices(model)
    gone = {"token", "parent", "k", "uniform"}
    model.inputs = [port for port in model.inputs if port.name not in gone]
    model.inputs.append(Value(GIVEN, FLOAT, shape_of([len(rows), "line", "beam"])))


def _fold_choices(model: Model) -> None:
    """Makes constants of what is made of `k` alone. A large graph's are not folded while it loads, and TopK reads them."""
    for node in list(model.nodes):
        if node.operator not in ("Reshape", "Min") or not all(map(model.is_constant, node.takes)):
            continue
        first, second = (model.constant(name) for name in node.takes)
        model.put(node.makes[0], first.reshape(second) if node.operator == "Reshape" else np.minimum(first, second))
        model.nodes.remove(node)
