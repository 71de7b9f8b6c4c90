"""The choice among the continuations of a line's beams, as nodes of a step graph: the best of all beams leave the GPU.

Which of them go on is known to the GPU as well, so that it can take the next step before the host has seen this one: as in
searching/beams.py, the best that do not end.
"""

from __future__ import annotations

import numpy as np

from textkit.cuda.nodes import FLOAT, INT32
from textkit.cuda.step_graph import StepGraph
from textkit.cuda.unrolling import FOLLOWING


def _best(work: StepGraph, choices: int, logprob: str) -> tuple[str, str, str]:
    """The `choices` best of [line, beam, k] for each line: token and beam i64, and log-probability, [line, choice].

    Their scores are `cuda/bests`.
    """
    flat, one = work.constant("flat", np.array([0, -1])), work.constant("one", np.array([-1]))
    score = work.add("Unsqueeze", ["cuda/score", one], "cuda/scores")  # [line, beam, 1]
    total = work.add("Add", [logprob, score], "cuda/total")  # [line, beam, k]
    totals = work.add("Reshape", [total, flat], "cuda/totals")  # [line, beam * k]
    count = work.constant("choices", np.array([choices]))
    work.add("TopK", [totals, count], ["cuda/bests", "cuda/at"], axis=1, largest=1, sorted=1)
    ids = work.add("Reshape", ["top_id", flat], "cuda/ids")
    logprobs = work.add("Reshape", [logprob, flat], "cuda/logprobs")
    token = work.add("GatherElements", [ids, "cuda/at"], "cuda/chosen", axis=1)
    best = work.add("GatherElements", [logprobs, "cuda/at"], "cuda/best", axis=1)
    k = int(work.model.constant("k")) if work.model.is_constant("k") else choices
    beam = work.add("Div", ["cuda/at", work.constant("width", np.array(k))], "cuda/beam")
    return token, beam, best


def _place(work: StepGraph, token: str, beam: str) -> str:
    """beam * vocabulary + token, i64[line, choice]."""
    first = work.add("Mul", [beam, work.constant("vocab", np.array(work.vocab))], "cuda/first")
    return work.add("Add", [first, token], "cuda/place")


def rank(work: StepGraph, choices: int) -> None:
    """Gives `place` and `best`."""
    token, beam, best = _best(work, choices, "top_logprob")
    work.add("Cast", [_place(work, token, beam)], "place", to=INT32)
    work.add("Identity", [best], "best")
    work.give("place", INT32, ["line", choices], ["top_id", "top_logprob"])
    work.give("best", FLOAT, ["line", choices], [])


def biased(work: StepGraph) -> str:
    """top_logprob with -inf for barred ids."""
    bias = work.add("Gather", [work.take("bias", FLOAT, ["vocab"]), "top_id"], "cuda/bias", axis=0)
    return work.add("Add", ["top_logprob", bias], "cuda/biased")  # [line, beam, k]


def pick(work: StepGraph, choices: int) -> None:
    """Gives `picked`. fp32 holds whole numbers up to 2**24."""
    token, beam, best = _best(work, choices, biased(work))
    place = work.add("Cast", [_place(work, token, beam)], "cuda/place/float", to=FLOAT)
    work.joined("picked", [place, best], "picked")
    work.give("picked", FLOAT, [2, "line", choices], ["top_id", "top_logprob"])


def go_on(work: StepGraph, choices: int, beams: int, eos: int) -> None:
    """Gives the rows of `given` of the next step: of the `choices` picked, the best `beams` that do not end, best first."""
    whole = ("cuda/chosen", "cuda/beam")
    rows = [*(work.add("Cast", [name], f"{name}/float", to=FLOAT) for name in whole), "cuda/bests"]
    if choices > beams:
        # Whole numbers, all of them different: how sums of log-probabilities were rounded does not matter.
        order = work.constant("order", -np.arange(choices, dtype=np.float32))
        ends = work.add("Equal", [rows[0], work.constant("eos", np.array(eos, np.float32))], "cuda/ends")
        late = work.add("Cast", [ends], "cuda/late", to=FLOAT)
        behind = work.add("Mul", [late, work.constant("behind", np.array(choices, np.float32))], "cuda/behind_by")
        keys = work.add("Sub", [order, behind], "cuda/keys")  # [line, choice]
        count = work.constant("beams", np.array([beams]))
        work.add("TopK", [keys, count], ["cuda/going_keys", "cuda/going"], axis=1, largest=1, sorted=1)
        rows = [work.add("GatherElements", [row, "cuda/going"], f"{row}/going", axis=1) for row in rows]
    work.joined("following", rows, FOLLOWING)


def give_list(work: StepGraph) -> None:
    """Gives `listed_id` and `top_logprob`."""
    work.add("Cast", ["top_id"], "listed_id", to=INT32)
    work.give("listed_id", INT32, ["line", "beam", "k"], ["top_id"])
