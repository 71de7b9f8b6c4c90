"""Checks that the graphs of `language` compute what their modules do, and that steps give what scoring gives.

Graphs and modules read chunks of lines in a chain and then take steps, each with their own state. A bundle is written only
where every case agrees. Knows no plugin, no architecture and no search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.corpora.batching import padded
from textkit.errors import TextkitError
from textkit.exporting.parity import STRANGE, load
from textkit.exporting.parity_steps import (
    BATCH,
    CHECKED,
    LONGEST,
    MEASURED,
    PARENTS,
    TOLERANCE,
    difference,
    draw_of,
    drawn_apart,
    feeds,
)
from textkit.searching.drawing import Draw
from textkit.task import NEXT
from textkit.tasks.language.exporting.ports import Modules, spread

if TYPE_CHECKING:
    from textkit.text.language import LanguageText

Arrays = dict[str, np.ndarray]
MOST_RAISED = 0.25  # share by which a lower precision may raise the perplexity


class Graphs:
    """The two graphs, run as they are served."""

    def __init__(self, graphs: Mapping[str, bytes]) -> None:
        self._score, self._step = (load(graphs[name]) for name in ("score", "step"))
        self.states = [name for name in self._step.inputs if name.startswith(("state.", "cache."))]

    def score(
        self, previous: np.ndarray, ids: np.ndarray, weight: np.ndarray, state: Arrays
    ) -> tuple[np.ndarray, Arrays]:
        """logprob f32[line, token] and the state after."""
        found = self._score.run({"previous": previous, "ids": ids, "weight": weight, **state})
        return found["logprob"], {name: found[name + NEXT] for name in self.states}

    def step(
        self, token: np.ndarray, parent: np.ndarray, k: int, state: Arrays, draw: Draw | None = None
    ) -> tuple[Arrays, Arrays]:
        """The outputs, and the state for the next step."""
        given = self._step.run({**feeds(token, parent, k, draw), **state})
        return given, {name: given[name + NEXT] for name in self.states}


# A case: its name, ids i64[line, token], weight f32[line, token].
Case = tuple[str, np.ndarray, np.ndarray]


def cases(rule: LanguageText, sample: Sequence[str], limit: int = 0) -> Iterator[Case]:
    """Batches of many shapes: one token, long, ragged, blank lines, unseen words, and `sample` lines of real text."""
    # Two chunks and the steps behind them are within the limit.
    longest = max(1, (min(limit or LONGEST, LONGEST) - len(PARENTS)) // 2)
    random = np.random.default_rng(0)
    for lines, tokens in ((1, 1), (1, 9), (3, 1), (5, 17), (2, longest)):
        ids = random.integers(0, len(rule), (lines, min(tokens, longest)))
        yield f"{lines} x {tokens}", ids, np.ones(ids.shape, np.float32)
    ids = random.integers(0, len(rule), (4, min(11, longest)))
    lengths = np.array([ids.shape[1], 1, min(4, ids.shape[1]), min(2, ids.shape[1])])
    weight = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.float32)
    yield "ragged", np.where(weight > 0, ids, 0), weight
    yield "strange text", *padded(rule, STRANGE, longest)
    for start in range(0, min(len(sample), CHECKED), BATCH):
        yield "sample", *padded(rule, sample[start : min(start + BATCH, CHECKED)], longest)


def check(graphs: Graphs, modules: Modules, rule: LanguageText, batches: Iterator[Case]) -> dict[str, Any]:
    """Compares every output of graphs and modules in every case. Returns figures for the manifest.

    Raises TextkitError with the worst figure where they disagree.
    """
    worst, where, lines = 0.0, "", 0
    for name, ids, weight in batches:
        lines += len(ids)
        for what, apart in _differences(graphs, modules, rule, ids, weight):
            if not apart <= worst:
                worst, where = apart, f"{what}, case {name!r}"
        if name == "ragged":
            _check_padding(graphs, modules, rule, ids, weight)
        if name in ("1 x 9", "sample"):
            _check_steps(graphs, modules, rule, ids, weight)
    if not worst <= TOLERANCE:
        raise TextkitError(
            f"the exported graphs differ from the model by {worst:.2g} of the largest number, {TOLERANCE:.0e} is allowed "
            f"({where}): nothing was written"
        )
    return {"max_relative": worst, "tolerance": TOLERANCE, "lines": lines}


def _differences(
    graphs: Graphs, modules: Modules, rule: LanguageText, ids: np.ndarray, weight: np.ndarray
) -> Iterator[tuple[str, float]]:
    """How far graphs and modules differ over two chunks, the second of other words, and over the steps behind them."""
    import torch

    random = np.random.default_rng(len(ids))
    previous = np.full(len(ids), rule.eos)
    with torch.no_grad():
        wanted_state = modules.begin(len(ids))
        state = begin(modules, len(ids))
        for at in range(2):
            logprob, state = graphs.score(previous, ids, weight, state)
            read = np.concatenate([previous[:, None], ids[:, :-1]], 1)
            logits, wanted_state = modules.score(torch.from_numpy(read), torch.from_numpy(weight > 0), wanted_state)
            wanted = logits.double().log_softmax(-1).numpy()
            wanted = np.take_along_axis(wanted, ids[:, :, None], 2)[:, :, 0]
            yield f"'logprob' of score, chunk {at}", difference(logprob, np.where(weight > 0, wanted, 0))
            for name, tensor in wanted_state.items():
                yield f"{name!r} of score, chunk {at}", difference(state[name], tensor.numpy())
            previous, ids = ids[:, -1], random.integers(0, len(rule), ids.shape)
        state, wanted_state = spread(state), spread(wanted_state)
        for at, beams in enumerate(PARENTS):
            parent = np.tile(np.array(beams), (len(ids), 1))
            token = random.integers(0, len(rule), parent.shape)
            k = min(len(rule), (1, 8, 3, 40)[at % 4])
            draw = draw_of(parent.shape, len(rule), at)
            given, state = graphs.step(token, parent, k, state, draw)
            logits, wanted_state = modules.step(torch.from_numpy(token), torch.from_numpy(parent), wanted_state)
            wanted = logits.double().log_softmax(-1).numpy()
            yield f"'logprob' of step {at}", difference(given["logprob"], wanted)
            yield f"'drawn_id' of step {at}", drawn_apart(given, draw)
            for name, tensor in wanted_state.items():
                yield f"{name!r} of step {at}", difference(state[name], tensor.numpy())
            best = -np.sort(-wanted, axis=-1)[..., :k]
            yield f"'top_logprob' of step {at}", difference(given["top_logprob"], best)
            chosen = np.take_along_axis(wanted, given["top_id"] % len(rule), axis=-1)
            yield f"'top_id' of step {at}", difference(chosen, best)


def begin(modules: Modules, lines: int) -> Arrays:
    return {name: tensor.numpy() for name, tensor in modules.begin(lines).items()}


def _check_padding(graphs: Graphs, modules: Modules, rule: LanguageText, ids: np.ndarray, weight: np.ndarray) -> None:
    """Raises TextkitError where what follows a line depends on the padding behind it."""
    previous = np.full(len(ids), rule.eos)
    together, state = graphs.score(previous, ids, weight, begin(modules, len(ids)))
    token = np.arange(len(ids))[:, None] % len(rule)
    parent = np.zeros_like(token)
    after = graphs.step(token, parent, 1, spread(state))[0]["logprob"]
    for line, length in enumerate(weight.sum(axis=1).astype(int)):
        part = slice(line, line + 1)
        alone, state = graphs.score(previous[part], ids[part, :length], weight[part, :length], begin(modules, 1))
        follows = graphs.step(token[part], parent[part], 1, spread(state))[0]["logprob"]
        apart = max(difference(alone, together[part, :length]), difference(follows, after[part]))
        if not apart <= TOLERANCE:
            raise TextkitError(
                f"what follows a line changes by {apart:.2g} of the largest number when the line is padded, {TOLERANCE:.0e} is "
                "allowed: the network must leave masked tokens out; nothing was written"
            )


def _check_steps(graphs: Graphs, modules: Modules, rule: LanguageText, ids: np.ndarray, weight: np.ndarray) -> None:
    """Raises TextkitError where words one by one are not as likely as the same words at once."""
    previous = np.full(len(ids), rule.eos)
    at_once, _ = graphs.score(previous, ids, weight, begin(modules, len(ids)))
    state, token = spread(begin(modules, len(ids))), previous[:, None]
    one_by_one = np.zeros_like(at_once)
    for at in range(ids.shape[1]):
        given, state = graphs.step(token, np.zeros_like(token), 1, state)
        one_by_one[:, at] = given["logprob"][np.arange(len(ids)), 0, ids[:, at]]
        token = ids[:, at : at + 1]
    apart = difference(np.where(weight > 0, one_by_one, 0), at_once)
    if not apart <= TOLERANCE:
        raise TextkitError(
            f"the module of graph 'step' differs from that of 'score' by {apart:.2g} of the largest number, {TOLERANCE:.0e} is "
            "allowed: nothing was written"
        )


def deviation(
    full: Graphs, lower: Graphs, modules: Modules, rule: LanguageText, sample: Sequence[str], limit: int
) -> dict[str, Any]:
    """How far the log-probabilities of graphs of lower precision are from those of full precision, over lines of real text,
    or over random ids where there are none; and how that changes the perplexity."""
    longest = min(limit, LONGEST)
    lines = sorted(sample[:MEASURED], key=len)
    batches = [padded(rule, lines[at : at + BATCH], longest) for at in range(0, len(lines), BATCH)]
    if not batches:
        batches = [(ids, weight) for name, ids, weight in cases(rule, (), longest) if name[0].isdigit()]
    found: list[np.ndarray] = []
    for ids, weight in batches:
        previous = np.full(len(ids), rule.eos)
        both = [
            graphs.score(previous, ids, weight, begin(modules, len(ids)))[0][weight > 0] for graphs in (full, lower)
        ]
        found.append(np.stack(both).astype(np.float64))
    logprob = np.concatenate(found, 1)  # [graphs, token]
    if not np.isfinite(logprob[1]).all():
        raise TextkitError("the graphs of lower precision give what is not a number: nothing was written")
    apart = np.abs(logprob[1] - logprob[0])
    perplexity = np.exp(-logprob.mean(1))
    return {
        "mean_abs": float(apart.mean()),  # of a token's log-probability
        "max_abs": float(apart.max()),
        "perplexity": float(perplexity[1] / perplexity[0]),  # relative to that of full precision
        "tokens": logprob.shape[1],
        "lines": sum(len(ids) for ids, _ in batches),
    }


def refuse_deviation(precision: str, figures: Mapping[str, Any]) -> None:
    """Raises TextkitError where the lower precision raises the perplexity by more than MOST_RAISED."""
    if not figures["perplexity"] <= 1 + MOST_RAISED:
        raise TextkitError(
            f"--precision {precision} raises the perplexity by {figures['perplexity'] - 1:.0%}, more than {MOST_RAISED:.0%}: "
            "nothing was written"
        )
