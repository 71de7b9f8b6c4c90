"""A step graph as a GPU runs it: what goes up and down is a small array each way, and numbers that never change are constants.

`k` as an input is read back to the host twice a step, and keeps CUDA graphs from the step, so it is a constant here. Tokens,
parents and the numbers that go with them come in one array, `given`. Of the continuations of a line's beams only the best leave
the GPU. What is left out of a top-p draw is cut there, too, so that no distribution leaves it. Knows the ports of a step by
their names (searching/ports.py), and the nodes by which the exporter draws (exporting/step_graph.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from textkit.cuda.model import Model
from textkit.cuda.nodes import FLOAT, INT32, INT64, Node, Value, rename, shape_of

GIVEN = "given"
NUMBERS = 4  # random numbers for one token under top-p (searching/sampling.py)
_SHARE, _WEIGHT, _LOGPROB = "share", "draw/weight", "logprob"
_LONGEST = 1024  # tokens that a share is looked for among: a share that needs more is drawn on the host

Kind = Literal["ranked", "listed", "drawn", "cut", "whole"]
# Kind -> the rows of `given` f32[row, line, beam]
ROWS: dict[Kind, tuple[str, ...]] = {
    "ranked": ("token", "parent", "score"),
    "listed": ("token", "parent"),
    "drawn": ("token", "parent", "uniform"),
    "cut": ("token", "parent", *(f"uniform.{at}" for at in range(NUMBERS))),
    "whole": ("token", "parent"),
}


@dataclass(frozen=True)
class StepEdit:
    """An edit of a step graph, for Session.

    `ranked`: of all continuations of a line's beams, whose score so far is a row of `given`, the `choices` best leave:
    `place` i32[line, choice] (beam * vocabulary + token) and `best` f32[line, choice], their log-probabilities. `listed`: the
    `choices` best of each beam: `listed_id` i32[line, beam, choice] and `top_logprob`. `drawn`: `drawn` f32[2, line, beam]:
    token and log-probability. `cut`: the same, drawn from the likeliest tokens that make up `share` f32[]; the token is -1
    where that takes more than the 1,024 likeliest. `whole`: nothing but the distribution.
    """

    kind: Kind
    vocab: int
    choices: int = 0

    @property
    def key(self) -> str:
        return f"step {self.kind} {self.choices} {self.vocab}"

    def __call__(self, model: Model) -> None:
        work = _Step(model, self.vocab)
        work.take(ROWS[self.kind], self.choices)
        if self.kind == "ranked":
            work.rank(self.choices)
        elif self.kind == "listed":
            work.list()
        elif self.kind == "cut":
            work.cut()
        if self.kind in ("drawn", "cut"):
            work.join_drawn()
        model.ordered()
        model.drop_unused()
        taken = {name for node in model.nodes for name in (*node.takes, *node.within)}
        model.inputs = [port for port in model.inputs if port.name in taken]


def can_cut(model: Model) -> bool:
    """Whether a step graph draws by nodes of the names that the exporter gives them."""
    return any(_WEIGHT in node.makes for node in model.nodes)


class _Step:
    def __init__(self, model: Model, vocab: int) -> None:
        self.model, self.vocab = model, vocab

    def add(self, operator: str, takes: Collection[str], makes: str | list[str], **settings: int) -> str:
        node = Node(operator, list(takes), [makes] if isinstance(makes, str) else list(makes))
        for name, value in settings.items():
            node.with_integer(name, value)
        self.model.nodes.append(node)
        return node.makes[0]

    def constant(self, name: str, value: object) -> str:
        return self.model.put(f"cuda/{name}", np.asarray(value))

    def take(self, rows: Collection[str], choices: int) -> None:
        """Takes the inputs of a step out of the rows of `given`, and makes `k` a constant."""
        for at, name in enumerate(rows):
            row = self.add("Gather", [GIVEN, self.constant(f"row{at}", np.array(at))], f"cuda/{name}", axis=0)
            if name in ("token", "parent"):
                self.add("Cast", [row], name, to=INT64)
            elif name == "uniform":
                rename(self.model.nodes, name, row)
        if any(port.name == "k" for port in self.model.inputs):
            self.model.put("k", np.array(max(1, choices)))
        gone = {"token", "parent", "k", "uniform"}
        self.model.inputs = [port for port in self.model.inputs if port.name not in gone]
        self.model.inputs.append(Value(GIVEN, FLOAT, shape_of([len(rows), "line", "beam"])))

    def give(self, name: str, kind: int, axes: Collection[str | int], instead: Collection[str]) -> None:
        """Makes `name` an output of the graph instead of others."""
        self.model.outputs = [port for port in self.model.outputs if port.name not in instead]
        self.model.outputs.append(Value(name, kind, shape_of(axes)))

    def rank(self, choices: int) -> None:
        flat, one = self.constant("flat", np.array([0, -1])), self.constant("one", np.array([-1]))
        score = self.add("Unsqueeze", ["cuda/score", one], "cuda/scores")  # [line, beam, 1]
        total = self.add("Add", ["top_logprob", score], "cuda/total")  # [line, beam, choice]
        totals = self.add("Reshape", [total, flat], "cuda/totals")  # [line, beam * choice]
        count = self.constant("choices", np.array([choices]))
        self.add("TopK", [totals, count], ["cuda/bests", "cuda/at"], axis=1, largest=1, sorted=1)
        ids = self.add("Reshape", ["top_id", flat], "cuda/ids")
        logprobs = self.add("Reshape", ["top_logprob", flat], "cuda/logprobs")
        token = self.add("GatherElements", [ids, "cuda/at"], "cuda/chosen", axis=1)
        self.add("GatherElements", [logprobs, "cuda/at"], "best", axis=1)
        beam = self.add("Div", ["cuda/at", self.constant("width", np.array(choices))], "cuda/beam")
        first = self.add("Mul", [beam, self.constant("vocab", np.array(self.vocab))], "cuda/first")
        self.add("Cast", [self.add("Add", [first, token], "cuda/place")], "place", to=INT32)
        self.give("place", INT32, ["line", choices], ["top_id", "top_logprob"])
        self.give("best", FLOAT, ["line", choices], [])

    def list(self) -> None:
        self.add("Cast", ["top_id"], "listed_id", to=INT32)
        self.give("listed_id", INT32, ["line", "beam", "k"], ["top_id"])

    def join_drawn(self) -> None:
        first = self.constant("first", np.array([0]))
        token = self.add("Cast", ["drawn_id"], "cuda/drawn_id", to=FLOAT)
        parts = [self.add("Unsqueeze", [name, first], f"{name}/row") for name in (token, "drawn_logprob")]
        self.add("Concat", parts, "drawn", axis=0)
        self.give("drawn", FLOAT, [2, "line", "beam"], ["drawn_id", "drawn_logprob"])

    def cut(self) -> None:
        """Draws as drawing.py does for top-p: each number but the last draws from all tokens, and its token is taken if it is
        among the likeliest that make up the share; the last draws from those alone."""
        model = self.model
        reached = self._reached({"uniform", _WEIGHT})
        drawing = [node for node in model.nodes if not reached.isdisjoint(node.takes)]
        model.inputs.append(Value(_SHARE, FLOAT, b""))
        last, first = self.constant("last_axis", np.array([-1])), self.constant("none", np.array(0, np.float32))
        most = min(_LONGEST, self.vocab)
        count = self.constant("longest", np.array([most]))
        self.add("TopK", [_WEIGHT, count], ["cuda/likeliest", "cuda/likeliest_at"], axis=-1, largest=1, sorted=1)
        axis = self.constant("sum_axis", np.array(2))
        before = self.add("CumSum", ["cuda/likeliest", axis], "cuda/before", exclusive=1)
        kept = self.add("Less", [before, _SHARE], "cuda/kept")  # [line, beam, likeliest]
        highest = self.constant("highest", np.array(2, np.float32))
        among = self.add("Where", [kept, "cuda/likeliest", highest], "cuda/among")
        least = self.add("ReduceMin", [among, last], "cuda/least", keepdims=1)  # [line, beam, 1]
        short = ""
        if most < self.vocab:
            whole = self.add("ReduceSum", ["cuda/likeliest", last], "cuda/found", keepdims=0)
            short = self.add("Less", [whole, _SHARE], "cuda/short")  # [line, beam]
        stays = self.add("GreaterOrEqual", [_WEIGHT, least], "cuda/stays")
        self.add("Where", [stays, _WEIGHT, first], "cuda/weight")
        token, logprob = self._drawn(drawing, NUMBERS - 1, {_WEIGHT: "cuda/weight"})
        for at in reversed(range(NUMBERS - 1)):
            from_all, logprob_from_all = self._drawn(drawing, at, {})
            place = self.add("Unsqueeze", [from_all, last], f"cuda/{at}/index")
            own = self.add("GatherElements", [_WEIGHT, place], f"cuda/{at}/own", axis=2)
            taken = self.add("GreaterOrEqual", [own, least], f"cuda/{at}/taken_column")
            taken = self.add("Squeeze", [taken, last], f"cuda/{at}/taken")
            token = self.add("Where", [taken, from_all, token], f"cuda/{at}/id")
            logprob = self.add("Where", [taken, logprob_from_all, logprob], f"cuda/{at}/logprob")
        model.nodes = [node for node in model.nodes if node not in drawing]
        if short:
            token = self.add("Where", [short, self.constant("nothing", np.array(-1)), token], "cuda/sure")
        self.add("Identity", [token], "drawn_id")
        self.add("Identity", [logprob], "drawn_logprob")

    def _reached(self, names: Collection[str]) -> set[str]:
        """`names`, and all values that depend on them."""
        found = set(names)
        for node in self.model.nodes:
            if not found.isdisjoint(node.takes):
                found.update(node.makes)
        return found

    def _drawn(self, nodes: Collection[Node], at: int, names: Mapping[str, str]) -> tuple[str, str]:
        """Adds copies of the nodes that draw, which use the random number `at` and take `names` by other names: the token that
        they draw, and its log-probability."""
        made = {name: f"{name}/{at}" for node in nodes for name in node.makes}
        names = {**names, "uniform": f"cuda/uniform.{at}", **made}
        for node in nodes:
            takes, makes = ([names.get(name, name) for name in side] for side in (node.takes, node.makes))
            self.model.nodes.append(replace(node, takes=takes, makes=makes, attributes=dict(node.attributes)))
        return made["drawn_id"], made["drawn_logprob"]


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
