"""The draw of a token, as nodes of a step graph: from all tokens, the likeliest of a number, or those that make up a share.

As searching/drawing.py draws on the host, with the same random numbers, so that the tokens are the same but for rounding. Knows
the nodes by which the exporter draws (exporting/step_graph.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from textkit.cuda.choosing import biased
from textkit.cuda.model import Model
from textkit.cuda.nodes import FLOAT, Node, rename
from textkit.cuda.step_graph import NUMBERS, StepGraph
from textkit.cuda.unrolling import FOLLOWING, reached

_SHARE, _WEIGHT = "share", "draw/weight"
_LONGEST = 1024  # tokens that a share is looked for among: a share that needs more is drawn on the host
_LOWEST = float(np.finfo(np.float32).min)


def can_draw(model: Model) -> bool:
    """Whether a step graph draws by nodes of the names that the exporter gives them."""
    return any(_WEIGHT in node.makes for node in model.nodes)


def join(work: StepGraph) -> None:
    """Gives `drawn` instead of drawn_id and drawn_logprob."""
    token = work.add("Cast", ["drawn_id"], "cuda/drawn_id", to=FLOAT)
    work.joined("drawn", [token, "drawn_logprob"], "drawn")
    work.give("drawn", FLOAT, [2, "line", "beam"], ["drawn_id", "drawn_logprob", "top_id", "top_logprob"])


def go_on(work: StepGraph) -> None:
    """Gives the first two rows of `given` of the next step: each beam continues itself."""
    nothing, one = work.constant("zero", np.array(0, np.float32)), work.constant("unit", np.array(1, np.float32))
    zeros = work.add("Mul", ["cuda/drawn_id", nothing], "cuda/zeros")  # [line, beam]
    ones = work.add("Add", [zeros, one], "cuda/ones")
    own = work.add("CumSum", [ones, work.constant("beam_axis", np.array(1))], "cuda/own", exclusive=1)
    work.joined("following", ["cuda/drawn_id", own], FOLLOWING)


def keep_likeliest(work: StepGraph, count: int) -> None:
    """Leaves only the `count` likeliest tokens a weight; the weights make up 1 again."""
    if count >= work.vocab:
        return
    every = f"{_WEIGHT}/every"
    rename(work.model.nodes, _WEIGHT, every)
    for node in work.model.nodes:
        if every not in node.makes:
            node.takes = [_WEIGHT if name == every else name for name in node.takes]
    most, last = work.constant("top_count", np.array([count])), work.constant("last_axis", np.array([-1]))
    work.add("TopK", [every, most], ["cuda/top", "cuda/top_at"], axis=-1, largest=1, sorted=1)
    whole = work.add("ReduceSum", ["cuda/top", last], "cuda/top_sum", keepdims=1)
    weights = work.add("Div", ["cuda/top", whole], "cuda/top_weights")
    none = work.add("Mul", [every, work.constant("none", np.array(0, np.float32))], "cuda/no_weights")
    work.add("ScatterElements", [none, "cuda/top_at", weights], _WEIGHT, axis=-1)


def among(work: StepGraph, count: int, share: bool) -> None:
    """Draws from the `count` likeliest tokens that are not barred, in their order; with `share`, from the likeliest of these
    that make it up. What is made is [line, beam, k] and [line, beam, 1]."""
    axis, last = work.constant("sum_axis", np.array(2)), work.constant("last_axis", np.array([-1]))
    lowest = work.constant("lowest", np.array(_LOWEST, np.float32))
    barred = work.constant("barred", np.array(-np.inf, np.float32))
    logprob = biased(work)
    allowed = work.add("GreaterOrEqual", [logprob, lowest], "cuda/allowed")
    rank = work.add("CumSum", [work.add("Cast", [allowed], "cuda/allowed_one", to=FLOAT), axis], "cuda/rank")
    within = work.add("LessOrEqual", [rank, work.constant("count", np.array(count, np.float32))], "cuda/within")
    kept = work.add("Where", [within, logprob, barred], "cuda/kept")
    most = work.add("ReduceMax", [kept, last], "cuda/most", keepdims=1)
    below = work.add("Sub", [kept, work.add("Max", [most, lowest], "cuda/finite")], "cuda/below")
    temperature = work.take("temperature", FLOAT, [])
    weight = work.add("Exp", [work.add("Div", [below, temperature], "cuda/tempered")], "cuda/weight")
    sums = work.add("CumSum", [weight, axis], "cuda/sums")
    whole = work.add("ReduceMax", [sums, last], "cuda/whole", keepdims=1)

    def reaching(at: str, of: str) -> str:
        """The first place whose sum reaches so much of the whole."""
        number = work.add("Unsqueeze", [f"cuda/uniform{at}", last], f"cuda/number{at}")
        mark = work.add("Mul", [of, number], f"cuda/mark{at}")
        found = work.add("GreaterOrEqual", [sums, mark], f"cuda/beyond{at}")
        ones = work.add("Cast", [found], f"cuda/beyond_one{at}", to=FLOAT)  # ArgMax knows no bool
        return work.add("ArgMax", [ones], f"cuda/place{at}", axis=2, keepdims=1)

    if not share:
        place = reaching("", whole)
    else:
        before = work.add("Sub", [sums, weight], "cuda/before")
        wanted = work.add("Mul", [whole, work.take(_SHARE, FLOAT, [])], "cuda/wanted")
        inside = work.add("Less", [before, wanted], "cuda/inside")
        rest = work.add("Where", [inside, sums, work.constant("nothing", np.array(0, np.float32))], "cuda/inside_sums")
        place = reaching(f".{NUMBERS - 1}", work.add("ReduceMax", [rest, last], "cuda/of_share", keepdims=1))
        for at in reversed(range(NUMBERS - 1)):
            from_all = reaching(f".{at}", whole)
            own = work.add("GatherElements", [before, from_all], f"cuda/before.{at}", axis=2)
            taken = work.add("Less", [own, wanted], f"cuda/taken.{at}")
            place = work.add("Where", [taken, from_all, place], f"cuda/chosen.{at}")
    for name in ("id", "logprob"):
        own = work.add("GatherElements", [f"top_{name}", place], f"cuda/drawn_{name}_column", axis=2)
        work.add("Squeeze", [own, last], f"drawn_{name}")


def cut(work: StepGraph) -> None:
    """Draws as drawing.py does for top-p: each number but the last draws from all tokens, and its token is taken if it is
    among the likeliest that make up the share; the last draws from those alone."""
    model = work.model
    depends = reached(model, {"uniform", _WEIGHT})
    drawing = [node for node in model.nodes if not depends.isdisjoint(node.takes)]
    work.take(_SHARE, FLOAT, [])
    last, none = work.constant("last_axis", np.array([-1])), work.constant("none", np.array(0, np.float32))
    most = min(_LONGEST, work.vocab)
    count = work.constant("longest", np.array([most]))
    work.add("TopK", [_WEIGHT, count], ["cuda/likeliest", "cuda/likeliest_at"], axis=-1, largest=1, sorted=1)
    axis = work.constant("sum_axis", np.array(2))
    before = work.add("CumSum", ["cuda/likeliest", axis], "cuda/before", exclusive=1)
    kept = work.add("Less", [before, _SHARE], "cuda/kept")  # [line, beam, likeliest]
    highest = work.constant("highest", np.array(2, np.float32))
    among = work.add("Where", [kept, "cuda/likeliest", highest], "cuda/among")
    least = work.add("ReduceMin", [among, last], "cuda/least", keepdims=1)  # [line, beam, 1]
    short = ""
    if most < work.vocab:
        whole = work.add("ReduceSum", ["cuda/likeliest", last], "cuda/found", keepdims=0)
        short = work.add("Less", [whole, _SHARE], "cuda/short")  # [line, beam]
    stays = work.add("GreaterOrEqual", [_WEIGHT, least], "cuda/stays")
    work.add("Where", [stays, _WEIGHT, none], "cuda/weight")
    token, logprob = _drawn(work, drawing, NUMBERS - 1, {_WEIGHT: "cuda/weight"})
    for at in reversed(range(NUMBERS - 1)):
        from_all, logprob_from_all = _drawn(work, drawing, at, {})
        place = work.add("Unsqueeze", [from_all, last], f"cuda/{at}/index")
        own = work.add("GatherElements", [_WEIGHT, place], f"cuda/{at}/own", axis=2)
        taken = work.add("GreaterOrEqual", [own, least], f"cuda/{at}/taken_column")
        taken = work.add("Squeeze", [taken, last], f"cuda/{at}/taken")
        token = work.add("Where", [taken, from_all, token], f"cuda/{at}/id")
        logprob = work.add("Where", [taken, logprob_from_all, logprob], f"cuda/{at}/logprob")
    model.nodes = [node for node in model.nodes if node not in drawing]
    if short:
        token = work.add("Where", [short, work.constant("nothing", np.array(-1)), token], "cuda/sure")
    work.add("Identity", [token], "drawn_id")
    work.add("Identity", [logprob], "drawn_logprob")


def _drawn(work: StepGraph, nodes: Collection[Node], at: int, names: Mapping[str, str]) -> tuple[str, str]:
    """Adds copies of the nodes that draw, which use the random number `at` and take `names` by other names: the token that
    they draw, and its log-probability."""
    made = {name: f"{name}/{at}" for node in nodes for name in node.makes}
    names = {**names, "uniform": f"cuda/uniform.{at}", **made}
    work.model.nodes += [node.again(names) for node in nodes]
    return made["drawn_id"], made["drawn_logprob"]
