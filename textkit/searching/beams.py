"""The choice of beam search, and of greedy search (a beam of one): which continuations of a line's beams go on.

It is made for all lines at once; decoding.py describes the search itself. Knows no model; numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textkit.searching.history import History, Hypothesis

if TYPE_CHECKING:
    from textkit.searching.constraints import Constraints
    from textkit.searching.options import Search, Target


@dataclass(frozen=True)
class Pick:
    """What a step graph picks the continuations of a line by, as Beams does.

    The best of all its beams, whose `score` f64[row, beam] is that so far, after `bias` f32[vocab], which is -inf for ids that
    may not be produced. Of these the best `beams` that are not `eos` go on.
    """

    score: np.ndarray
    bias: np.ndarray
    beams: int
    eos: int


class Beams:
    """The beams of a batch: those that go on by row of the batch, the finished hypotheses by line."""

    whole = draws = False  # the k likeliest continuations are enough, and nothing is drawn

    def __init__(self, target: Target, options: Search, constraints: Constraints, spare: int = 0) -> None:
        limits, beams = constraints.limits, options.beam_size
        lines = len(limits)
        self.beams, self.eos, self.penalty = beams, target.eos, options.length_penalty
        self._wanted = options.n_best + spare
        kept = beams + spare  # those beyond `beams` do not decide when a line is done
        # Each beam's best beams + 1 contain the best `beams` that do not end, and all of the best `beams` that end.
        self.choices = 1 if beams == 1 else beams + 1
        self._early = options.early_stopping
        self.constraints = constraints
        self.history = History(int(limits.max()), lines, beams)
        self._score = np.zeros((lines, 1))  # f64[row, beam]; -inf where there is no such beam or its line is done
        self._done = np.zeros(lines, bool)  # [row]
        self._first = int(limits.min())  # the number of steps before which no line reaches its limit
        # The best finished hypotheses of each line, best first, [line, beam]; the score is -inf where a line has fewer.
        self._kept_score = np.full((lines, kept), -np.inf)
        self._kept_logprob = np.full((lines, kept), -np.inf)
        self._kept_place = np.zeros((lines, kept), np.int64)  # (length * beams + beam) * 2 + ended
        self._full = False  # whether any line has kept `beams` hypotheses
        self._slots = np.arange(beams)
        self._sizes = (0, 0)
        self._base = np.zeros((0, 1), np.int64)

    @property
    def score(self) -> np.ndarray:
        """f64[row, beam]: the sum of each beam's log-probabilities so far; -inf where there is none."""
        return self._score

    def pick(self, step: int) -> Pick | None:
        """What a model that picks is to pick by at `step`; None where more counts than that."""
        if not self.constraints.plain(step):
            return None
        return Pick(self._score, self.constraints.bias(step), self.beams, self.eos)

    def choose(
        self, step: int, rows: np.ndarray, outputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return token and parent i64[row, beam] of the next step, and which rows are done."""
        if "picked_id" in outputs:
            return self._choose_picked(step, rows, outputs)
        ids, logprob = outputs["top_id"], outputs["top_logprob"]
        logprob = self.constraints.apply(step, ids, logprob)
        forced = self.constraints.forced(step)
        if self.beams == 1 and forced is None:
            return self._choose_one(step, rows, ids, logprob)
        total = logprob + self._score[:, :, None]  # f64[row, beam, k]
        if forced is not None:
            total[forced[0]] = -np.inf
        count, beams, k = total.shape
        if beams * k < 2 * self.beams:  # a first step, or a vocabulary smaller than the beam
            spare = ((0, 0), (0, 0), (0, -(-2 * self.beams // beams) - k))
            total = np.pad(total, spare, constant_values=-np.inf)
            ids, logprob = np.pad(ids, spare), np.pad(logprob, spare)
            k = total.shape[2]
        order: np.ndarray = np.argsort(-total.reshape(count, -1), axis=1, kind="stable")[:, : 2 * self.beams]
        flat: np.ndarray = order + self._begins(count, beams * k)  # [row, 2 * beam]
        token, parent, score, flat = self._go_on(step, rows, ids.take(flat), order // k, total.take(flat), flat)
        chosen = logprob.take(flat) if self.history.wants_logprob else None
        if forced is not None:
            token, parent, score, chosen = self._force(*forced, step, outputs["logprob"], token, parent, score, chosen)
        self._score = score
        self.history.write(step, rows, token, parent, chosen)
        return token, parent, self._finish(step, rows)

    def _choose_picked(
        self, step: int, rows: np.ndarray, outputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The choice among what the model picked, in its order, on which it may have gone on already."""
        token, parent, logprob = (outputs[f"picked_{name}"] for name in ("id", "beam", "logprob"))  # [row, choice]
        if self.beams == 1:
            return self._choose_one(step, rows, token[:, :, None], logprob[:, :, None])
        score = self._score.take(parent + self._begins(*self._score.shape)) + logprob
        token, parent, score, logprob = self._go_on(step, rows, token, parent, score, logprob)
        self._score = score
        self.history.write(step, rows, token, parent, logprob if self.history.wants_logprob else None)
        return token, parent, self._finish(step, rows)

    def _begins(self, count: int, width: int) -> np.ndarray:
        """Where each of `count` rows of so many places begins, i64[row, 1]."""
        if self._sizes != (count, width):
            self._sizes, self._base = (count, width), np.arange(count)[:, None] * width
        return self._base

    def _go_on(
        self, step: int, rows: np.ndarray, token: np.ndarray, parent: np.ndarray, score: np.ndarray, more: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Keeps those of the continuations [row, choice] that end; what is given, of the best `beams` that do not."""
        parts, ends = (token, parent, score, more), token == self.eos
        if not ends.any():
            return tuple(part[:, : self.beams] for part in parts)
        self._end(step, rows, parent, score, ends)
        going = np.argsort(ends, axis=1, kind="stable")[:, : self.beams]
        going += np.arange(len(token))[:, None] * token.shape[1]
        return tuple(part.take(going) for part in parts)

    def _choose_one(
        self, step: int, rows: np.ndarray, ids: np.ndarray, logprob: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The greedy choice: the likeliest token of each row."""
        if ids.shape[2] == 1:
            token, best = ids[:, :, 0], logprob[:, :, 0]
        else:
            at = logprob.argmax(2)[:, :, None]
            token = np.take_along_axis(ids, at, 2)[:, :, 0]  # [row, 1]
            best = np.take_along_axis(logprob, at, 2)[:, :, 0]
        score = self._score + best
        ends = token == self.eos
        if ends.any():
            ended = np.flatnonzero(ends[:, 0] & (score[:, 0] > -np.inf))
            line = rows[ended]
            self._kept_score[line, 0] = score[ended, 0] / (step + 1.0) ** self.penalty
            self._kept_logprob[line, 0] = score[ended, 0]
            self._kept_place[line, 0] = (step + 1) * 2 + 1
            score[ended] = -np.inf
            self._done[ended] = True
        self._score = score
        parent = np.zeros_like(token)
        self.history.write(step, rows, token, parent, best)
        if step + 1 >= self._first:
            self._cut(step, rows)
        self._done |= score[:, 0] == -np.inf
        return token, parent, self._done

    def _force(
        self, forced: np.ndarray, given: np.ndarray, step: int, whole: np.ndarray, token: np.ndarray, parent: np.ndarray,
        score: np.ndarray, chosen: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:  # fmt: skip
        """Leaves the rows `forced` one beam, which takes the token `given` whatever its probability."""
        logprob = whole[forced, 0, given]
        token, parent, score = token.copy(), parent.copy(), score.copy()
        before = self._score[forced, 0]
        token[forced], parent[forced], score[forced] = given[:, None], 0, -np.inf
        score[forced, 0] = before + logprob
        if chosen is not None:
            chosen = chosen.copy()
            chosen[forced] = logprob[:, None]
        return token, parent, score, chosen

    def _end(self, step: int, rows: np.ndarray, parent: np.ndarray, score: np.ndarray, ends: np.ndarray) -> None:
        """Keeps the continuations that end among the best `beams`; parent, score and ends are [row, 2 * beam]."""
        ending = ends[:, : self.beams] & (score[:, : self.beams] > -np.inf)
        some = np.flatnonzero(ending.any(1))
        if len(some):
            logprob = np.where(ending[some], score[some, : self.beams], -np.inf)
            self._keep(rows[some], logprob, step + 1, parent[some, : self.beams], 1)

    def _keep(self, line: np.ndarray, logprob: np.ndarray, length: int, beam: np.ndarray, ended: int) -> None:
        """Puts finished hypotheses, [row, beam], among those kept for each line."""
        place = (length * self.beams + beam) * 2 + ended
        score = np.concatenate([self._kept_score[line], logprob / float(length + 1 - ended) ** self.penalty], 1)
        best = np.argsort(-score, axis=1, kind="stable")[:, : self._kept_score.shape[1]]
        self._kept_score[line] = np.take_along_axis(score, best, 1)
        logprob = np.concatenate([self._kept_logprob[line], logprob], 1)
        self._kept_logprob[line] = np.take_along_axis(logprob, best, 1)
        self._kept_place[line] = np.take_along_axis(np.concatenate([self._kept_place[line], place], 1), best, 1)
        self._full = self._full or bool((self._kept_score[line, self.beams - 1] > -np.inf).any())

    def _finish(self, step: int, rows: np.ndarray) -> np.ndarray:
        """Which rows are done after this step, bool[row]; their beams are frozen."""
        best = self._score[:, 0]
        over = best == -np.inf  # no beam goes on: the line is frozen already, or no token is allowed
        if self._full:
            worst = self._kept_score[rows, self.beams - 1]
            over |= (worst > -np.inf) if self._early else best / (step + 1.0) ** self.penalty <= worst
        if over.any():
            self._done |= over
            self._score[self._done] = -np.inf
        if step + 1 >= self._first:
            self._cut(step, rows)
        return self._done

    def _cut(self, step: int, rows: np.ndarray) -> None:
        """Ends the lines that are at their limit, and keeps what their beams hold."""
        at = np.flatnonzero((self.constraints.limits <= step + 1) & ~self._done)
        if len(at):
            beam = np.broadcast_to(self._slots, (len(at), self.beams))
            self._keep(rows[at], self._score[at], step + 1, beam, 0)
            self._done[at] = True
            self._score[at] = -np.inf

    def keep_rows(self, rows: np.ndarray) -> None:
        """Drops all rows but these."""
        self._score, self._done = self._score[rows], self._done[rows]

    def found(self) -> list[list[Hypothesis]]:
        """The best `n_best` hypotheses of each line, and up to `spare` more."""
        line, rank = np.nonzero(self._kept_score[:, : self._wanted] > -np.inf)
        place, ended = self._kept_place[line, rank] >> 1, self._kept_place[line, rank] & 1 == 1
        traced = self.history.trace(
            line, place // self.beams, place % self.beams, ended, self.eos,
            self._kept_score[line, rank], self._kept_logprob[line, rank],
        )  # fmt: skip
        found: list[list[Hypothesis]] = [[] for _ in self._kept_score]
        for at, hypothesis in zip(line.tolist(), traced, strict=True):
            found[at].append(hypothesis)
        return [hypotheses or [Hypothesis([], -np.inf, -np.inf, False)] for hypotheses in found]
