"""Which tokens may not come next and which must: ids never produced, a minimum length, repeated n-grams, forced prefixes.

It also says how many continuations of a beam to ask for so that enough are left. Knows no model; numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from textkit.searching.options import Search, Target


class Constraints:
    """The constraints on one batch. `limits` i64[line]: the most tokens of each line, raised where a prefix needs more."""

    def __init__(
        self, target: Target, options: Search, limits: np.ndarray, prefixes: Sequence[Sequence[int]] | None, most: int,
        first: Sequence[np.ndarray | None] | None = None,
    ) -> None:  # fmt: skip
        # For each line the ids that its first token is chosen from; None: any id.
        self.first = None if first is None or all(rows is None for rows in first) else first
        self.size = target.size
        self.eos = target.eos
        self.least = options.min_length
        self.limits, self.most = limits, most
        never = {target.start, target.pad} | (set() if options.allow_unk else {target.unk})
        self.never = np.array(sorted(never - {target.eos}), np.int64)
        self._is_never = np.zeros(target.size, bool)
        self._is_never[self.never] = True
        self._barred = self.never, np.append(self.never, self.eos)  # from the minimum length on, and before it
        self._bias: dict[bool, np.ndarray] = {}
        # How many choices to ask for beyond those wanted. These ids are seldom among the likeliest, and a greedy search
        # that asks for a single choice is faster. Where one of them is, the step is repeated with room for all.
        self._more = len(self.never) if options.sample else 0
        self._ngram = options.no_repeat_ngram_size
        self._tokens = np.zeros((len(limits), 1, 0), np.int64)  # [row, beam, token], for n-grams only
        self._banned: np.ndarray | None = None  # [row, beam, n], -1 where there are fewer
        self._prefix: np.ndarray | None = None  # [row, token]
        self._prefix_length = np.zeros(len(limits), np.int64)
        self.longest_prefix = 0
        if prefixes is not None and any(map(len, prefixes)):
            self._set_prefixes([list(prefix[:most]) for prefix in prefixes], most)

    def _set_prefixes(self, prefixes: list[list[int]], most: int) -> None:
        self._prefix_length = np.array([len(prefix) for prefix in prefixes])
        self.longest_prefix = int(self._prefix_length.max())
        self._prefix = np.zeros((len(prefixes), self.longest_prefix), np.int64)
        for row, prefix in enumerate(prefixes):
            self._prefix[row, : len(prefix)] = prefix
        self.limits = np.maximum(self.limits, np.minimum(self._prefix_length + 1, most))

    def whole(self, step: int) -> bool:
        """Whether step `step` needs the whole distribution, which a forced token's log-probability is read from."""
        return step < self.longest_prefix or self.chosen_among(step)

    def chosen_among(self, step: int) -> bool:
        """Whether some line's token at `step` is chosen from given ids, of which the graph knows nothing."""
        return step == 0 and self.first is not None

    def plain(self, step: int) -> bool:
        """Whether nothing else than `bias` says what may come at `step`."""
        return not self._ngram and not self.whole(step)

    def plain_for(self, step: int, steps: int) -> bool:
        """Whether from `step` on that holds for so many steps, with one bias, and the model takes all of their tokens."""
        return self.plain(step) and step + steps <= self.most and not step < self.least < step + steps

    def choices(self, step: int, wanted: int) -> int:
        """How many continuations to ask for so that `wanted` are left."""
        banned = 0 if self._banned is None else self._banned.shape[2]
        return min(wanted + self._more + banned + (step < self.least), self.size)

    def crowded_out(self, top_id: np.ndarray) -> bool:
        """Whether ids that are never produced took places that other ids should have had."""
        return not self._more and bool(len(self.never)) and bool(self._is_never[top_id].any())

    def ask_for_more(self) -> None:
        """Makes `choices` leave room, from now on, for the ids that are never produced."""
        self._more = len(self.never)

    def apply(self, step: int, top_id: np.ndarray, top_logprob: np.ndarray) -> np.ndarray:
        """Return top_logprob f32[row, beam, k] with -inf where top_id may not come next."""
        if not self._more and step >= self.least and self._banned is None:
            return top_logprob
        barred = self._is_never[top_id]
        if step < self.least:
            barred |= top_id == self.eos
        if self._banned is not None:
            barred |= (top_id[..., None] == self._banned[:, :, None, :]).any(-1)
        return np.where(barred, np.float32(-np.inf), top_logprob) if barred.any() else top_logprob

    def apply_whole(self, step: int, logprob: np.ndarray) -> np.ndarray:
        """Does what `apply` does to the whole distribution f32[row, beam, vocab]; in place, unless a prefix is still forced."""
        if step < self.longest_prefix:
            logprob = logprob.copy()
        logprob[..., self._barred[step < self.least]] = -np.inf
        if step == 0 and self.first is not None:
            for row, among in enumerate(self.first):
                if among is not None:
                    kept = logprob[row][:, among]
                    logprob[row] = -np.inf
                    logprob[row][:, among] = kept
        if self._banned is not None:
            rows, beam, at = np.nonzero(self._banned >= 0)
            logprob[rows, beam, self._banned[rows, beam, at]] = -np.inf
        return logprob

    def bias(self, step: int) -> np.ndarray:
        """f32[vocab], -inf for the ids that no line may produce at `step`. Repeated n-grams are left out of account."""
        early = step < self.least
        if early not in self._bias:
            self._bias[early] = np.zeros(self.size, np.float32)
            self._bias[early][self._barred[early]] = -np.inf
        return self._bias[early]

    def forced(self, step: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The rows whose token at `step` is forced, and those tokens; None where there are no such rows."""
        if self._prefix is None or step >= self.longest_prefix:
            return None
        rows = np.flatnonzero(self._prefix_length > step)
        return (rows, self._prefix[rows, step]) if len(rows) else None

    def chosen(self, token: np.ndarray, parent: np.ndarray) -> None:
        """Takes note of what was chosen: token and parent i64[row, beam]."""
        size = self._ngram
        if not size:
            return
        before = np.take_along_axis(self._tokens, parent[:, :, None], axis=1)
        self._tokens = np.concatenate([before, token[:, :, None]], 2)  # [row, beam, token]
        count = self._tokens.shape[2]
        if count < size:
            return
        # Ban each token that has followed the last size - 1 tokens before.
        follows = count - size + 1
        same = np.ones((*token.shape, follows), bool)
        for at in range(size - 1):
            same &= self._tokens[:, :, at : at + follows] == self._tokens[:, :, count - size + 1 + at, None]
        most = int(same.sum(2).max())
        if not most:
            self._banned = None
            return
        first = np.argsort(~same, axis=2, kind="stable")[:, :, :most]
        found = np.take_along_axis(self._tokens[:, :, size - 1 :], first, axis=2)
        self._banned = np.where(np.take_along_axis(same, first, axis=2), found, -1)

    def keep_rows(self, rows: np.ndarray) -> None:
        """Drops all rows but these."""
        self.limits = self.limits[rows]
        if self._prefix is not None:
            self._prefix, self._prefix_length = self._prefix[rows], self._prefix_length[rows]
        if self._ngram:
            self._tokens = self._tokens[rows]
            self._banned = None if self._banned is None else self._banned[rows]
