"""The choice of sampling: one token for each sample of each line, drawn (drawing.py) from what the model thinks likely.

Random numbers come from Philox, a generator that counts (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"):
its key is the seed and the line, its counter the sample, so neither the batch nor its order shows. Knows no model; numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from textkit.serving.drawing import draw
from textkit.serving.history import History, Hypothesis

if TYPE_CHECKING:
    from textkit.serving.constraints import Constraints
    from textkit.serving.decoding import Search, Target

# (step, rows i64[row], token i64[row, sample], going bool[row, sample]) -> which of those that go on are to end here, cut
Watch = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Samples:
    """The samples of the lines of a batch: each is a beam that continues itself until it ends."""

    def __init__(
        self, target: Target, options: Search, constraints: Constraints, keys: np.ndarray, watch: Watch | None = None
    ) -> None:
        limits, samples = constraints.limits, options.n_best
        lines = len(limits)
        self.options, self.constraints, self.eos = options, constraints, target.eos
        self.whole = options.draws_from_all  # whether every step needs the whole distribution, and no choices
        self.choices = max(1, options.top_k) if options.temperature else 1
        self.history = History(int(limits.max()), lines, samples)
        self._keys, self._watch = keys, watch
        self._uniform = np.empty((lines, samples, 0))  # [line, sample, step]
        self._logprob = np.zeros((lines, samples))
        self._length = np.zeros((lines, samples), np.int64)  # with the end, 0: it goes on
        self._ended = np.zeros((lines, samples), bool)
        self._slots = np.arange(samples)

    def choose(
        self, step: int, rows: np.ndarray, outputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """token and parent i64[row, sample] of the next step, and which rows are done."""
        options, uniform = self.options, self._numbers(step)[rows]
        if self.whole:
            logprob = self.constraints.apply_whole(step, outputs["logprob"])
        else:
            logprob = self.constraints.apply(step, outputs["top_id"], outputs["top_logprob"])
        at = draw(logprob, uniform, options.temperature, options.top_k, options.top_p)  # [row, sample]
        row = np.arange(len(rows))[:, None]
        beam = np.broadcast_to(self._slots, at.shape) if logprob.shape[1] > 1 else np.zeros_like(at)
        token = at if self.whole else outputs["top_id"][row, beam, at]
        chosen = logprob[row, beam, at]
        forced = self.constraints.forced(step)
        if forced is not None:
            token[forced[0]] = forced[1][:, None]
            chosen[forced[0]] = outputs["logprob"][forced[0], 0, forced[1]][:, None]
        self.history.write(step, rows, token, beam, chosen)
        return token, beam, self._advance(step, rows, token, chosen)

    def _numbers(self, step: int) -> np.ndarray:
        """f64[line, sample] of a step, in [0, 1)."""
        if step >= self._uniform.shape[2]:
            steps = max(64, 2 * step)
            seed = self.options.seed
            self._uniform = np.array(
                [[_stream(seed, *key, sample, steps) for sample in self._slots.tolist()] for key in self._keys.tolist()]
            )
        return self._uniform[:, :, step]

    def _advance(self, step: int, rows: np.ndarray, token: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Adds up what goes on, and says which rows do no more."""
        goes = self._length[rows] == 0
        self._logprob[rows] += np.where(goes, chosen, 0)
        ends = goes & (token == self.eos)
        self._ended[rows] |= ends
        stops = ends | (goes & (self.constraints.limits <= step + 1)[:, None])
        if self._watch is not None:
            stops |= self._watch(step, rows, token, goes & ~ends)
        length = np.where(stops, step + 1, self._length[rows])
        self._length[rows] = length
        return (length > 0).all(1)

    def keep_rows(self, rows: np.ndarray) -> None:
        """Nothing is held by row."""

    def found(self) -> list[list[Hypothesis]]:
        """The samples of each line, in the order in which they were drawn."""
        lines, samples = self._length.shape
        line, sample = (part.ravel() for part in np.indices((lines, samples)))
        length, ended, logprob = self._length.ravel(), self._ended.ravel(), self._logprob.ravel()
        score = logprob / (length + ~ended).astype(np.float64) ** self.options.length_penalty
        traced = self.history.trace(line, length, sample, ended, self.eos, score, logprob)
        return [traced[at : at + samples] for at in range(0, lines * samples, samples)]


def _stream(seed: int, line: int, part: int, sample: int, count: int) -> np.ndarray:
    """The first `count` numbers of a sample of a part of a line, f64 in [0, 1)."""
    bits = np.random.Philox(
        key=np.array([seed % 2**64, line], np.uint64), counter=np.array([0, 0, part, sample], np.uint64)
    )
    return np.random.Generator(bits).random(count)
