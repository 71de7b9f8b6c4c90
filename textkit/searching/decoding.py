"""Searches for translations over the graphs encode and step: greedily, by beams or by samples, many lines at once.

The model is anything that encodes and steps (StepModel); the search never reads its memory and state. constraints.py says
what may come next, beams.py and sampling.py choose, and history.py holds what was chosen. Knows no text, no file and no
onnxruntime; numpy only.

Beam search is that of Graves (2012, "Sequence Transduction with Recurrent Neural Networks") and Sutskever et al. (2014,
section 3.2): of all continuations of a line's beams the likeliest go on. A continuation that ends among the best `beam_size`
is kept, and the next best continuation takes its beam. A line is done at its limit of tokens, or when `beam_size` hypotheses
are kept and the likeliest beam, scored at its present length, is no better than the worst of them. With `early_stopping` it
is done as soon as `beam_size` are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from textkit.searching.beams import Beams, Pick
from textkit.searching.constraints import Constraints
from textkit.searching.drawing import Draw
from textkit.searching.history import Hypothesis
from textkit.searching.options import Search, Target
from textkit.searching.sampling import Samples, Watch

_COMPACT = 4  # finished lines leave once the steps wasted on them are 1/_COMPACT of the batch's lines


class StepModel(Protocol):
    """The model that is searched over. Its `memory` and `state` belong to the lines and are never read here."""

    draws: bool  # whether `step` takes a Draw

    @property
    def ranks(self) -> bool:
        """Whether `step` looks for the likeliest among the continuations of all beams of a line, given their scores."""

    @property
    def cuts(self) -> bool:
        """Whether `step` takes a Draw with a share or from the likeliest, too."""

    def ahead(self, choice: Draw | Pick) -> int:
        """How many steps the model takes at a time where it chooses by `choice`."""

    def encode(self, source: np.ndarray, source_mask: np.ndarray) -> tuple[Any, Any]:
        """source i64[line, source], source_mask bool[line, source] -> memory [line, ...], state [line, 1, ...]."""

    def step(
        self,
        token: np.ndarray,
        parent: np.ndarray,
        k: int,
        memory: Any,
        state: Any,
        full: bool,
        choice: Draw | Pick | None = None,
        score: np.ndarray | None = None,
    ) -> Mapping[str, Any]:
        """token, parent i64[line, beam] -> the outputs of a step, which are also the next step's `state`.

        The outputs are top_id, top_logprob [line, beam, k], likeliest first, unless k is 0; with `full` logprob
        [line, beam, vocab]; with a Draw drawn_id, drawn_logprob [line, beam]; attention [line, beam, source] where it was
        asked for.

        A model that `ranks` (a GPU's) gets `score` f64[line, beam], the beams' scores so far, and then gives the likeliest of
        all continuations of a line; top_logprob is -inf in places without one. With a Pick it may give picked_id, picked_beam
        i64[line, choice] and picked_logprob instead, best first.
        """

    def steps(
        self, count: int, token: np.ndarray, parent: np.ndarray, memory: Any, state: Any, choice: Draw | Pick
    ) -> tuple[Sequence[Mapping[str, Any]], Any]:
        """Takes as many steps as `ahead` says, each with what the model chose before: what each gives, and the state."""

    def keep(self, memory: Any, state: Any, rows: np.ndarray) -> tuple[Any, Any]:
        """Memory and state of the lines `rows` alone."""


def search(
    model: StepModel,
    source: np.ndarray,
    source_mask: np.ndarray,
    target: Target,
    options: Search,
    *,
    most: int = 512,
    prefixes: Sequence[Sequence[int]] | None = None,
    keys: np.ndarray | None = None,
    logprobs: bool = False,
    attention: bool = False,
    starts: np.ndarray | None = None,
    watch: Watch | None = None,
    spare: int = 0,
    first: Sequence[np.ndarray | None] | None = None,
) -> list[list[Hypothesis]]:
    """The `n_best` translations of each line, best first; at least one each.

    source i64[line, source] is padded; source_mask bool[line, source]. `most`: the most tokens of a translation that the
    model takes. `prefixes`: the target ids that each line's translations begin with. `keys` i64[line, 2]: what a line's
    random numbers depend on besides the seed; by default the line's number and 0. `logprobs`, `attention`: whether
    hypotheses have them. `starts` i64[line]: the token that each line's first step reads; by default `target.start`.
    `watch`: called with every token of every sample. `spare`: how many hypotheses beyond `n_best` to return where beam
    search has found them. `first`: for each sampled line the ids that its first token is chosen from; None: any id.
    """
    lines = len(source)
    if not lines:
        return []
    limits = options.limits(source_mask.sum(1), most)
    constraints = Constraints(target, options, limits, prefixes, most, first)
    if options.sample:
        if keys is None:
            keys = np.stack([np.arange(lines), np.zeros(lines, np.int64)], 1)
        drawn = options.draws_plainly or (options.draws_freely and model.cuts)
        by_graph = model.draws and drawn and not constraints.longest_prefix
        chooser: Beams | Samples = Samples(target, options, constraints, keys, watch, by_graph)
    else:
        chooser = Beams(target, options, constraints, spare)
    if logprobs or attention:
        chooser.history.keep(logprobs, source.shape[1] if attention else 0)
    begin = np.full(lines, target.start) if starts is None else starts
    _loop(model, source, source_mask, begin, chooser, constraints)
    return chooser.found()


def _loop(
    model: StepModel, source: np.ndarray, source_mask: np.ndarray, starts: np.ndarray, chooser: Beams | Samples,
    constraints: Constraints,
) -> None:  # fmt: skip
    """Steps until every line is done. A step treats all lines at once: nothing here runs line by line."""
    memory, state = model.encode(source, source_mask)
    # [line, beam]. Samples that the model draws are beams from the start; what is drawn here needs one distribution a line.
    token = np.repeat(starts[:, None], chooser.beams if chooser.draws and not constraints.chosen_among(0) else 1, 1)
    parent = np.zeros_like(token)
    rows = np.arange(len(source))  # the line in each row of the batch
    sampler = chooser if isinstance(chooser, Samples) and chooser.draws else None  # whose tokens the model draws
    ranked = chooser if isinstance(chooser, Beams) and model.ranks else None
    waste = 0  # steps spent on finished lines since lines last left the batch
    step = 0
    while True:
        choice: Draw | Pick | None = None if ranked is None else ranked.pick(step)
        if sampler is not None and not constraints.chosen_among(step):
            choice = sampler.draw(step, rows)
        ahead = _ahead(model, chooser, constraints, step, choice)
        found: Sequence[Mapping[str, Any]]
        if choice is not None and ahead > 1:
            if sampler is not None:
                choice = sampler.draw(step, rows, ahead)
            found, state = model.steps(ahead, token, parent, memory, state, choice)
        else:
            full = chooser.whole or constraints.whole(step)
            k = constraints.choices(step, chooser.choices) if chooser.choices else 0
            score = None if ranked is None else ranked.score
            outputs = model.step(token, parent, k, memory, state, full, choice, score)
            if k and "picked_id" not in outputs and constraints.crowded_out(outputs["top_id"]):
                constraints.ask_for_more()
                if k < constraints.size:
                    k = constraints.choices(step, chooser.choices)
                    outputs = model.step(token, parent, k, memory, state, full, None, score)
            found, state = (outputs,), outputs
            if chooser.history.attention is not None:
                chooser.history.see(step, rows, outputs["attention"])
        for outputs in found:
            token, parent, done = chooser.choose(step, rows, outputs)
            constraints.chosen(token, parent)
            step += 1
            if done is None or not done.any():
                continue
            gone = int(done.sum())
            if gone == len(rows):
                return
            waste += gone
        if done is not None and waste and waste * _COMPACT >= len(rows):
            going = np.flatnonzero(~done)
            rows, token, parent, waste = rows[going], token[going], parent[going], 0
            memory, state = model.keep(memory, state, going)
            chooser.keep_rows(going)
            constraints.keep_rows(going)


def _ahead(
    model: StepModel, chooser: Beams | Samples, constraints: Constraints, step: int, choice: Draw | Pick | None
) -> int:
    """How many steps the model takes before anybody looks at what it chose."""
    if choice is None or chooser.history.attention is not None:
        return 1
    count = model.ahead(choice)
    return count if count > 1 and constraints.plain_for(step, count) else 1
