"""What a search has chosen, step by step, and the hypotheses that result. Knows no model and not where scores come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Hypothesis:
    """One translation of one line. `ids`: its tokens; the last is eos where it `ended`, otherwise it was cut."""

    ids: list[int]
    score: float  # logprob / length^length_penalty
    logprob: float  # the sum of its tokens' log-probabilities
    ended: bool
    logprobs: np.ndarray | None = None  # f32[target], one for each of `ids`
    attention: np.ndarray | None = None  # f32[target, source], one row for each of `ids`


class History:
    """The token and the parent of every beam of every line at every step."""

    def __init__(self, steps: int, lines: int, beams: int, apart: bool = False) -> None:
        """`apart`: from the second step on each beam continues itself."""
        self.beams = beams
        self._token = np.empty((steps, lines, beams), np.int32)  # takes memory only where it is written
        self._parent = np.empty((steps, lines, beams), np.int32) if beams > 1 and not apart else None
        self._logprob: np.ndarray | None = None
        self.attention: np.ndarray | None = None
        self._whole = np.arange(lines)

    def keep(self, logprobs: bool, source: int) -> None:
        """Makes the history keep log-probabilities if `logprobs`, and attention over `source` tokens if `source` > 0."""
        steps, lines, beams = self._token.shape
        if logprobs:
            self._logprob = np.empty((steps, lines, beams), np.float32)
        if source:
            self.attention = np.empty((steps, lines, beams, source), np.float32)

    def see(self, step: int, rows: np.ndarray, attention: np.ndarray) -> None:
        """Records the attention f32[row, beam, source] of the beams as they were before step `step` chose."""
        if self.attention is not None:
            self.attention[step, rows, : attention.shape[1]] = attention

    def write(
        self, step: int, rows: np.ndarray, token: np.ndarray, parent: np.ndarray, logprob: np.ndarray | None = None
    ) -> None:
        """Records what step `step` chose for the lines `rows`: token, parent and, where it is kept, logprob [row, beam]."""
        at = slice(None) if len(rows) == len(self._whole) else rows
        self._token[step, at] = token
        if self._parent is not None:
            self._parent[step, at] = parent
        if self._logprob is not None:
            self._logprob[step, at] = logprob

    @property
    def wants_logprob(self) -> bool:
        return self._logprob is not None

    def trace(
        self, line: np.ndarray, length: np.ndarray, beam: np.ndarray, ended: np.ndarray, eos: int,
        score: np.ndarray, logprob: np.ndarray,
    ) -> list[Hypothesis]:  # fmt: skip
        """The hypotheses, each given by its line, its length with any eos, its beam, and whether eos ended it.

        Every array is [hypothesis]. `beam` is the beam of the last token before any eos.
        """
        count, longest = len(line), int(length.max(initial=1))
        ids = np.full((count, longest), eos, np.int64)
        logprobs = np.zeros((count, longest), np.float32)
        place = np.repeat(beam[:, None], longest, 1)  # the beam that each token is in
        begin = place.copy()  # the beam that it was added to
        last = length - 1 - ended  # the step of the last token before any eos
        every = np.arange(count)
        if self._parent is not None:
            for step in range(int(last.max(initial=-1)), -1, -1):
                live = np.flatnonzero(last >= step)
                begin[live, step] = self._parent[step, line[live], place[live, step]]
                if step:
                    place[live, step - 1] = begin[live, step]
        inside = np.nonzero(np.arange(longest) <= last[:, None])  # [hypothesis, step]
        chosen = inside[1], line[inside[0]], place[inside]
        ids[inside] = self._token[chosen]
        if self._logprob is not None:
            logprobs[inside] = self._logprob[chosen]
        begin[:, 0] = 0  # the first step has one beam
        if self._logprob is not None:  # eos has what the other tokens leave of the sum
            rest = (logprob - logprobs.sum(1, dtype=np.float64))[ended]
            logprobs[every[ended], length[ended] - 1] = rest
        found = []
        each = ids.tolist(), score.tolist(), logprob.tolist(), ended.tolist()
        for at, (size, own, total, summed, whole) in enumerate(zip(length.tolist(), *each, strict=True)):
            seen = None
            if self.attention is not None:
                seen = self.attention[np.arange(size), line[at], begin[at, :size]]  # [target, source]
            found.append(
                Hypothesis(
                    own[:size],
                    total,
                    summed,
                    whole,
                    logprobs[at, :size].copy() if self._logprob is not None else None,
                    seen,
                )
            )
        return found
