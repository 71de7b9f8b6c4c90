"""Lines -> how likely they are, with an exported model of the task `language`. Knows the graph's ports; no file, no torch.

Each line begins with a fresh state, as if after the end of another line. The lines of a batch are read side by side in pieces,
and each line's state is carried from piece to piece, so that a line of any length takes no more memory than a piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.searching.on_device import OnDevice
from textkit.searching.steps import beginning
from textkit.serving.budget import Budget
from textkit.serving.machine import cpus
from textkit.serving.opened import OpenModel
from textkit.serving.session import Session, of_model
from textkit.task import NEXT
from textkit.text.language import LanguageText
from textkit.text.rule import Encoded

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

LINES = 64  # lines read side by side, so that a recurrent network's steps multiply matrices
_LOGITS = 1 << 24  # logits of a piece: lines * tokens * vocabulary
_TOKENS = 1 << 13  # tokens of a piece, over all lines
_MORE = 8  # times as many lines, tokens and logits on a GPU
_PART = 1 << 16  # characters of a line that become ids at a time, about
_BORDER = re.compile(r"(?<=[^\s]) (?=[^\s])")  # where a line may be cut without changing its tokens


@dataclass(frozen=True)
class Scored:
    """How likely a line is.

    `logprob`: the sum of log p over its tokens, the end of the line included (natural logarithm); `unknown`: how many of them
    stand for unknown words; `unknown_logprob`: their part of the sum; `ids` i64[token], `logprobs` f32[token]: each token.
    """

    logprob: float
    tokens: int
    unknown: int
    unknown_logprob: float
    ids: np.ndarray
    logprobs: np.ndarray

    @property
    def perplexity(self) -> float:
        """exp of the mean of -log p over the tokens."""
        return perplexity(self.logprob, self.tokens)


def perplexity(logprob: float, count: int) -> float:
    """exp(-logprob / count); infinite beyond what a float holds, and where `count` is 0."""
    with np.errstate(over="ignore"):
        return float(np.exp(np.float64(-logprob) / count)) if count else float("inf")


class LanguageModel(OpenModel["Scored"]):
    """list[str] -> list[Scored]; a whitespace-only line is the end of a line alone. Can be pickled; loads when first used."""

    task = "language"
    loaded = ("_session", "_on_device", "_budget")

    def __init__(
        self, model: str | Path | Bundle | None = None, device: str = "auto", threads: int | None = None
    ) -> None:
        """`model`: a name, a folder or a Bundle; None: the default.

        Raises UsageError for an unknown model, TextkitError for a model that is damaged or of another task.
        """
        self.open(model)
        rule_of(self.bundle)
        self.context: int | None = self.bundle.manifest.limits.get("context")  # tokens that it remembers; None: all
        self.device, self.threads = device, threads or cpus()
        self._session: Session | None = None
        self._on_device: OnDevice | None = None
        self._budget: Budget | None = None

    def answer(self, lines: Sequence[str], first: int = 0) -> list[Scored]:
        """How likely each line is."""
        return self.score(self.encode(lines))

    @property
    def session(self) -> Session:
        """The graph, loaded. `session.device` is where it really runs."""
        if self._session is None:
            session = Session(self.bundle.graph("score"), self.device, self.threads)
            if session.device != "cpu":
                self._on_device = OnDevice(session.device)
            self._session = session
        return self._session

    @property
    def rule(self) -> LanguageText:
        return rule_of(self.bundle)

    @property
    def tokens_at_once(self) -> int:
        """The number of tokens that go through the graph in one call, over all lines."""
        most = max(1, min(_LOGITS // len(self.rule), _TOKENS))
        return most if self.session.device == "cpu" else most * _MORE

    def encode(self, lines: Sequence[str]) -> Encoded:
        """The lines as ids, each followed by the end of a line: the first half of the work."""
        return encode(self.rule, lines)

    def score(self, encoded: Encoded) -> list[Scored]:
        """How likely each line of `encoded` is, the second half of the work."""
        rule, ends = self.rule, np.cumsum(encoded.lengths)
        starts = ends - encoded.lengths
        logprobs = np.zeros(len(encoded.ids), np.float32)
        order = np.argsort(-encoded.lengths, kind="stable")

        def read(part: np.ndarray) -> None:
            self._read(encoded.ids, starts[part], encoded.lengths[part], logprobs)

        if self._budget is None:
            self._budget = Budget(LINES if self.session.device == "cpu" else LINES * _MORE)
        at = 0
        while at < len(order):
            size = self._budget.tokens  # here of lines, of which a GPU may hold fewer
            self._budget.run(read, order[at : at + size], size)
            at += size
        unknown = np.zeros(len(encoded.ids), bool) if rule.unk is None else encoded.ids == rule.unk
        found = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            of_line, known = logprobs[start:end], ~unknown[start:end]
            total, of_known = of_line.sum(dtype=np.float64), of_line[known].sum(dtype=np.float64)
            count = int(end - start - known.sum())
            found.append(
                Scored(float(total), end - start, count, float(total - of_known), encoded.ids[start:end], of_line)
            )
        return found

    def _read(self, ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray, logprobs: np.ndarray) -> None:
        """Fills in `logprobs` [flat] for the lines at `starts` in the flat ids, the longest first."""
        # A product of one row adds up in another order than one of several: attention reads two tokens at least.
        least = 1 if self.context is None else 2
        piece = max(least, self.tokens_at_once // len(starts))
        state: dict[str, Any] = beginning(self.bundle, len(starts))
        previous = np.full(len(starts), self.rule.eos)
        for begin, width, again in pieces(int(lengths[0]), piece, self.context):
            going = int(np.searchsorted(-lengths, -begin, side="left"))  # lines that have a token here
            if begin and going < len(previous):
                previous, state = previous[:going], self._first_lines(state, going)
            if again:  # a model of limited memory starts afresh and rereads the last tokens
                previous = ids[starts[:going] + begin - again - 1]
                state = beginning(self.bundle, going)
                places = starts[:going, None] + np.arange(begin - again, begin)  # [line, token]
                _, state = self.run(previous, ids[places], np.ones(places.shape, np.float32), state)
                previous = ids[places[:, -1]]
            columns = np.arange(max(width, least))
            places = starts[:going, None] + begin + columns  # [line, token]
            real = (begin + columns < lengths[:going, None]) & (columns < width)
            given = np.where(real, ids[np.minimum(places, len(ids) - 1)], 0)
            of_words, state = self.run(previous, given, real.astype(np.float32), state)
            logprobs[places[real]] = of_words[real]
            previous = given[:, width - 1]

    def _first_lines(self, state: dict[str, Any], going: int) -> dict[str, Any]:
        if self._on_device is None:
            return {name: value[:going] for name, value in state.items()}
        return self._on_device.take(state, np.arange(going))

    def run(
        self, previous: np.ndarray, ids: np.ndarray, weight: np.ndarray, state: dict[str, Any]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """One piece through the graph: logprob f32[line, token] and the state after, which stays on a GPU."""
        session, given = self.session, {"previous": previous, "ids": ids, "weight": weight}
        with of_model(self.bundle.folder):
            if self._on_device is None:
                found = session.run({**given, **state})
            else:
                new = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
                held = {name: value for name, value in state.items() if name not in new}
                found = self._on_device.run(session, {**given, **new}, held, ("logprob",))
        return found["logprob"], {name: found[name + NEXT] for name in state}

    def stream(self) -> Stream:
        """Reads continuous text, the state carried from line to line: this measures the perplexity of a corpus."""
        return Stream(self)


class Stream:
    """The state of a text that is read continuously. Call it with lines, any number of times."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._state = beginning(model.bundle, 1)
        self._previous = np.array([model.rule.eos])
        self._behind: np.ndarray = np.zeros(0, np.int64)  # what a model of limited memory remembers

    def __call__(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """ids i64[token] and logprobs f32[token] of the lines, each token given all of the text before it."""
        model = self._model
        ids = model.encode(lines).ids
        logprobs = np.zeros(len(ids), np.float32)
        for begin, width, again in pieces(len(ids), model.tokens_at_once, model.context, len(self._behind)):
            if again:
                self._begin_anew(again)
            part = ids[None, begin : begin + width]
            logprobs[begin : begin + width] = self._read(part)
            if model.context is not None:
                self._behind = np.concatenate([self._behind, part[0]])
        return ids, logprobs

    def _begin_anew(self, count: int) -> None:
        """Rereads the last `count` tokens from a fresh state, with only one token before them."""
        self._state = beginning(self._model.bundle, 1)
        self._previous, self._behind = self._behind[-count - 1 : -count], self._behind[-count:]
        self._read(self._behind[None])

    def _read(self, ids: np.ndarray) -> np.ndarray:
        """ids i64[1, token] -> logprob f32[token]; advances the state."""
        found, self._state = self._model.run(self._previous, ids, np.ones(ids.shape, np.float32), self._state)
        self._previous = ids[:, -1]
        logprob: np.ndarray = found[0]
        return logprob


def pieces(length: int, piece: int, context: int | None, held: int = 0) -> Iterator[tuple[int, int, int]]:
    """(begin, width, again) for parts of `length` tokens, each at most `piece` long. A model that remembers only `context`
    tokens, `held` of them already, starts afresh when it is full: the last `again` tokens before `begin` are then reread."""
    begin = 0
    while begin < length:
        width, again = min(piece, length - begin), 0
        if context is not None:
            if held >= context:
                again = held = context // 2
            width = min(width, context - held)
            if context - held - width == 1 and width > 2:  # leave no token by itself
                width -= 1
        yield begin, width, again
        begin, held = begin + width, held + width


def encode(rule: LanguageText, lines: Sequence[str]) -> Encoded:
    """The lines as ids. The tokenizer gets a long line part by part, because it takes hundreds of bytes per token."""
    if all(len(line) <= _PART for line in lines):
        return rule.encode(lines)
    ids: list[np.ndarray] = []
    lengths = []
    for line in lines:
        parts = parts_of(line)
        of_line = [rule.encode([part]).ids[:-1] for part in parts[:-1]] + [rule.encode(parts[-1:]).ids]
        ids += of_line
        lengths.append(sum(map(len, of_line)))
    return Encoded(np.concatenate(ids), np.array(lengths, np.int64))


def parts_of(line: str) -> list[str]:
    """A line in parts that become the same tokens as the whole: it is cut before single spaces between words. A line without
    such a place is one part."""
    cuts = [0]
    for border in _BORDER.finditer(line):
        if border.start() - cuts[-1] >= _PART:
            cuts.append(border.start())
    return [line[begin:end] for begin, end in zip(cuts, [*cuts[1:], len(line)], strict=True)]


def rule_of(model: Bundle) -> LanguageText:
    """How text becomes ids and ids text. Raises TextkitError where the model's rule is of another kind."""
    if not isinstance(model.rule, LanguageText):
        raise TextkitError(f"{model.folder}: does not say how a line ends and how ids become text")
    return model.rule
