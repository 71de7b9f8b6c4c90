"""The choice of sampling: one token for each sample of each line, drawn (drawing.py) from what the model thinks likely.

A graph that can draw does so itself where all tokens but a fixed few may be drawn. Its distributions, tens of
thousands of numbers for each token, then need not leave it. Random numbers come from Philox, a counter-based generator
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Its key is the seed and the line, its counter the part of
the line and the sample, so the numbers depend neither on the batch nor on its order. Knows no model; numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from textkit.searching.drawing import COLDEST, Draw, draw
from textkit.searching.history import History, Hypothesis

if TYPE_CHECKING:
    from textkit.searching.constraints import Constraints
    from textkit.searching.options import Search, Target

_PENDING = 64  # steps that are written to the history together
_TRIES = 4  # random numbers for one token under top-p, which may reject all but the last

# (step, rows i64[row], token i64[row, sample], going bool[row, sample]) -> which of those going to cut here
Watch = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Samples:
    """The samples of the lines of a batch: each is a beam that continues itself until it ends.

    `by_graph`: the graph draws the tokens; otherwise they are drawn here. What goes on is held by row of the batch, what is
    done by line.
    """

    def __init__(
        self,
        target: Target,
        options: Search,
        constraints: Constraints,
        keys: np.ndarray,
        watch: Watch | None = None,
        by_graph: bool = False,
    ) -> None:
        limits, samples = constraints.limits, options.n_best
        lines = len(limits)
        self.options, self.constraints, self.eos, self.beams = options, constraints, target.eos, samples
        self.draws = by_graph
        self.whole = options.draws_from_all and not by_graph  # every step needs the whole distribution
        self.choices = 0 if options.draws_from_all or by_graph else max(1, options.top_k) if options.temperature else 1
        self.history = History(int(limits.max()), lines, samples, apart=True)
        self._keys, self._watch = keys, watch
        self._uniform = np.empty((0, lines, samples))  # [step, line, sample], with top-p [step, line, sample, number]
        self._temperature = np.array(max(options.temperature, COLDEST), np.float32)
        self._share = np.array(options.top_p, np.float32) if options.top_p < 1 else None
        self._going = np.ones((lines, samples), bool)  # [row, sample]
        self._done: np.ndarray | None = None  # bool[row]; None while no row is done
        # Of steps that are not yet in the history: step, rows, and tokens, beams and log-probabilities [row, sample].
        self._pending: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._sum = np.zeros((lines, samples))  # of log-probabilities, [row, sample]; meaningless after a sample's end
        self._slots = np.tile(np.arange(samples), (lines, 1))  # [row, sample]
        self._first = int(limits.min())  # the number of steps before which no row reaches its limit
        self._logprob = np.zeros((lines, samples))
        self._length = np.zeros((lines, samples), np.int64)  # with any eos
        self._ended = np.zeros((lines, samples), bool)

    def draw(self, step: int, rows: np.ndarray, steps: int = 1) -> Draw:
        """The Draw by which the model draws the tokens of `step`, or of several steps from it on."""
        numbers = self._numbers(step, rows)
        if steps > 1:
            numbers = np.stack([numbers, *(self._numbers(step + at, rows) for at in range(1, steps))])
        return Draw(numbers, self._temperature, self.constraints.bias(step), self._share, self.options.top_k)

    def choose(
        self, step: int, rows: np.ndarray, outputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return token and parent i64[row, sample] of the next step, and which rows are done (None: none)."""
        if "drawn_id" in outputs:
            token, beam, chosen = outputs["drawn_id"], self._slots, outputs["drawn_logprob"]
        else:
            token, beam, chosen = self._drawn(step, rows, outputs)
        self._pending.append((step, rows, token, beam, chosen))
        return token, beam, self._advance(step, rows, token)

    def _drawn(
        self, step: int, rows: np.ndarray, outputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return token i64[row, sample], the beam that it continues, and its log-probability."""
        options = self.options
        whole = self.whole or self.constraints.chosen_among(step)
        if whole:
            logprob = self.constraints.apply_whole(step, outputs["logprob"])
        else:
            logprob = self.constraints.apply(step, outputs["top_id"], outputs["top_logprob"])
        uniform = self._numbers(step, rows)
        at = draw(logprob, uniform, options.temperature, options.top_k, options.top_p)  # [row, sample]
        row = np.arange(len(rows))[:, None]
        beam = self._slots if logprob.shape[1] > 1 else np.zeros_like(at)
        token = at if whole else outputs["top_id"][row, beam, at]
        chosen = logprob[row, beam, at]
        forced = self.constraints.forced(step)
        if forced is not None:
            token[forced[0]] = forced[1][:, None]
            chosen[forced[0]] = outputs["logprob"][forced[0], 0, forced[1]][:, None]
        return token, beam, chosen

    def _numbers(self, step: int, rows: np.ndarray) -> np.ndarray:
        """The random numbers of a step, [row, sample]; with top-p several for each sample, [row, sample, number].

        They are f64 in [0, 1), or f32 in (0, 1] for a graph to draw by. These are the same numbers and, but for rounding, draw
        the same tokens.
        """
        if step >= len(self._uniform):
            steps, tries = max(64, 2 * step), (_TRIES,) if self.options.top_p < 1 else ()
            numbers = _streams(self.options.seed, self._keys, self.beams, steps * math.prod(tries))
            numbers = numbers.reshape(len(self._keys), self.beams, steps, *tries)
            self._uniform = np.ascontiguousarray(np.moveaxis(numbers, 2, 0))
            if self.draws:
                self._uniform = np.maximum(self._uniform, 1e-30).astype(np.float32)  # above 0
        of_step = self._uniform[step]
        return of_step if len(rows) == len(of_step) else of_step[rows]

    def _advance(self, step: int, rows: np.ndarray, token: np.ndarray) -> np.ndarray | None:
        """Ends the samples that are at their end, and returns which rows are done (None: none).

        As long as nothing ends, next to nothing is done here: a model's step leaves little of Python in the processor's caches,
        and the first numpy call after it takes ten times as long as the same call among others.
        """
        quiet = self._watch is None and step + 1 < self._first and len(self._pending) < _PENDING
        if quiet and self.eos not in token.ravel().tolist():
            return self._done
        self._write()
        going = self._going
        ends = (token == self.eos) & going
        stops = ends | (going & (self.constraints.limits <= step + 1)[:, None])
        if self._watch is not None:
            stops |= self._watch(step, rows, token, going & ~ends)
        row, sample = np.nonzero(stops)
        at = rows[row], sample
        self._length[at], self._ended[at], self._logprob[at] = step + 1, ends[row, sample], self._sum[row, sample]
        going[row, sample] = False
        done: np.ndarray = np.invert(going.any(1))
        self._done = done if done.any() else None
        return self._done

    def _write(self) -> None:
        """Writes the pending steps to the history."""
        for step, rows, token, beam, chosen in self._pending:
            self.history.write(step, rows, token, beam, chosen)
            self._sum += chosen
        self._pending.clear()

    def keep_rows(self, rows: np.ndarray) -> None:
        """Drops all rows but these."""
        self._write()
        self._going, self._sum, self._slots = self._going[rows], self._sum[rows], self._slots[rows]
        self._done = None
        self._first = int(self.constraints.limits[rows].min())

    def found(self) -> list[list[Hypothesis]]:
        """The samples of each line, in the order in which they were drawn."""
        lines, samples = self._length.shape
        line, sample = (part.ravel() for part in np.indices((lines, samples)))
        length, ended, logprob = self._length.ravel(), self._ended.ravel(), self._logprob.ravel()
        score = logprob / (length + ~ended).astype(np.float64) ** self.options.length_penalty
        traced = self.history.trace(line, length, sample, ended, self.eos, score, logprob)
        return [traced[at : at + samples] for at in range(0, lines * samples, samples)]


def _streams(seed: int, keys: np.ndarray, samples: int, count: int) -> np.ndarray:
    """The first `count` random numbers of each sample of each part of a line, f64[part, sample, number] in [0, 1).

    `keys` i64[part, 2]: its line, and which of the line's it is. One generator is set to the beginning of each stream: a new
    one would ask the system for random bits first, which takes longer than all else.
    """
    bits = np.random.Philox(key=0)
    draws, state = np.random.Generator(bits), bits.state
    found = np.empty((len(keys), samples, count))
    for at, (line, part) in enumerate(keys.tolist()):
        state["state"]["key"] = np.array([seed % 2**64, line], np.uint64)
        for sample in range(samples):
            state["state"]["counter"] = np.array([0, 0, part, sample], np.uint64)
            bits.state = state
            draws.random(out=found[at, sample])
    return found
