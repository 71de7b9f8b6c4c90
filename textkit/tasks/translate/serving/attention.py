"""What each word of a translation looks at: a sentence and its translation -> weights, with an exported model.

The translation is the model's own, or one that is given. A model with the graph `explain` shows every layer and head of each
kind of attention; any other shows the one output `attention` of its step graph. Knows ports by the task's signature; no
architecture, and not how weights are drawn.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.drawing.weights import BLANK, Weights
from textkit.errors import TextkitError, UsageError
from textkit.searching.decoding import search
from textkit.serving.session import Session
from textkit.tasks.translate.serving.translator import Translator
from textkit.text.translation import BYTE, SPACE

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

KINDS = ("cross", "encoder", "decoder")  # who looks at whom: target at source, source at source, target at target
_INSIDE = "'’-‐"  # marks that a word may have inside


class Attention:
    """(sentence, translation or None) -> Weights. `layer` and `head` count from 1.

    `layer` None: the last; `head` None: the mean of all; `every`: all heads of all layers. `pieces`: weights of the tokenizer's
    pieces rather than of words.
    """

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        kind: str = "cross",
        layer: int | None = None,
        head: int | None = None,
        every: bool = False,
        pieces: bool = False,
    ) -> None:
        """Raises UsageError for what the model does not show, TextkitError for a model that is damaged."""
        if kind not in KINDS:
            raise UsageError(f"unknown kind {kind!r}; there is {', '.join(KINDS)}")
        self.translator = Translator(model, device, threads, alignment=True, sentences=False)
        self.kind, self.every, self.pieces = kind, every, pieces
        self.bundle = self.translator.bundle
        self._explain: Session | None = None
        self.layers = self.heads = 1
        self.explained = "explain" in self.bundle.manifest.graphs
        if self.explained:
            sizes = next(port.axes for port in self.bundle.manifest.ports("explain")[1] if port.name == kind)[1:3]
            if not all(isinstance(size, int) and size > 0 for size in sizes):
                raise TextkitError(
                    f"{self.bundle.folder}: its manifest says {sizes} of the layers and heads of 'explain'"
                )
            self.layers, self.heads = (int(size) for size in sizes)
        elif kind != "cross" or layer is not None or head is not None or every:
            other = "for kinds, layers and heads a model is exported with 'textkit export-onnx --explain', or imported with it"
            if self.bundle.manifest.made.get("explainable") is False:
                other = f"a model of the family {self.bundle.manifest.plugin.get('name')} has no other kinds, layers or heads"
            raise UsageError(f"{self.bundle.folder}: shows one weight for each pair of words; {other}")
        for name, value, most in (("layer", layer, self.layers), ("head", head, self.heads)):
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"--{name} {value}: the model's {kind} attention has {most}, counted from 1")
        self.layer, self.head = layer or self.layers, head

    @property
    def device(self) -> str:
        return self.translator.steps.device

    def load(self) -> None:
        """Reads and checks now what would otherwise be loaded when first used. Raises TextkitError."""
        self.translator.load()
        if self.explained and self._explain is None:
            steps = self.translator.steps
            self._explain = Session(self.bundle.graph("explain"), steps.where, self.translator.threads)

    def __call__(self, sentence: str, translation: str | None = None) -> Weights:
        """The weights; BLANK for a sentence without a token. Raises TextkitError for a sentence that is too long, and for a
        model without attention."""
        self.load()
        rule, translator = self.translator.rule, self.translator
        sentence = sentence.strip()
        source = rule.encode([sentence]).ids
        if not sentence or len(source) < 2:
            return BLANK
        if len(source) > translator.limit:
            raise TextkitError(f"the sentence has {len(source):,} tokens, the model takes {translator.limit:,}")
        ids = self._translated(source) if translation is None else self._given(translation)
        target = [rule.target_token(id) or "?" for id in ids]
        found = self._weights(source[None], ids)  # [layer, head, target, source] or [target, source]
        sides = {"source": rule.source_tokens(sentence), "target": target}
        if self.kind == "decoder":  # rows and columns are the words that are read, of which the start is the first
            sides["target"] = [rule.target_token(rule.start) or "<s>", *target[:-1]]
        rows, columns = {"cross": ("target", "source"), "encoder": ("source",) * 2, "decoder": ("target",) * 2}[
            self.kind
        ]
        if rule.reverse:  # read backwards, shown forwards
            order = np.append(np.arange(len(source) - 1)[::-1], len(source) - 1)
            sides["source"] = [sides["source"][at] for at in order]
            found = found[..., order] if columns == "source" else found
            found = found[..., order, :] if rows == "source" else found
        if not found.any():
            raise TextkitError(f"{self.bundle.folder}: the model has no attention")
        return self._merged(sides[rows], sides[columns], found)

    def _translated(self, source: np.ndarray) -> list[int]:
        translator = self.translator
        mask = np.ones((1, len(source)), bool)
        found = search(
            translator.steps, source[None], mask, translator.target, translator.options, most=translator.most
        )
        return found[0][0].ids

    def _given(self, translation: str) -> list[int]:
        ids = self.translator.rule.encode_target([translation.strip()]).ids.tolist()
        if len(ids) < 2:
            raise TextkitError("the translation that is given is blank")
        if len(ids) > self.translator.most + 1:
            raise TextkitError(
                f"the translation that is given has {len(ids):,} tokens, the model takes {self.translator.most + 1:,}"
            )
        return ids

    def _weights(self, source: np.ndarray, ids: list[int]) -> np.ndarray:
        """f32[layer, head, target, source] with `every`, otherwise [target, source]; each row is from the step that says a
        word of `ids`."""
        mask, start = np.ones(source.shape, bool), self.translator.rule.start
        if self._explain is None:
            return self._stepped(source, mask, [start, *ids[:-1]])
        given = {"source": source, "source_mask": mask, "target": np.array([[start, *ids[:-1]]])}
        found = self._explain.run(given, [self.kind])[self.kind][0]  # [layer, head, target, source]
        if self.every:
            return found
        return found[self.layer - 1].mean(0) if self.head is None else found[self.layer - 1, self.head - 1]

    def _stepped(self, source: np.ndarray, mask: np.ndarray, said: Sequence[int]) -> np.ndarray:
        """f32[target, source]: the step graph's own attention, as it is given the words `said` one after another."""
        steps = self.translator.steps
        state: Mapping[str, Any]
        memory, state = steps.encode(source, mask)
        parent, rows = np.zeros((1, 1), np.int64), []
        for token in said:
            state = steps.step(np.array([[token]]), parent, 1, memory, state, False)
            rows.append(np.array(state["attention"])[0, 0])
        return np.stack(rows)

    def _merged(self, rows: list[str], columns: list[str], weights: np.ndarray) -> Weights:
        title = self._title()
        if self.pieces:
            return Weights(tuple(columns), tuple(rows), weights, title)
        of_rows, of_columns = words(rows), words(columns)
        return Weights(
            tuple(text for text, _ in of_columns),
            tuple(text for text, _ in of_rows),
            merged(weights, [at for _, at in of_rows], [at for _, at in of_columns]),
            title,
        )

    def _title(self) -> str:
        if not self.explained:
            return "attention"
        if self.every:
            return f"{self.kind} attention, every head of every layer"
        head = "mean of all heads" if self.head is None else f"head {self.head} of {self.heads}"
        return f"{self.kind} attention, layer {self.layer} of {self.layers}, {head}"


def merged(weights: np.ndarray, rows: Sequence[int], columns: Sequence[int]) -> np.ndarray:
    """Weights of pieces -> weights [..., target, source] of words: the sum over the pieces looked at, the mean over those that
    look. `rows`, `columns`: where each word begins."""
    weights = np.add.reduceat(weights, columns, axis=-1)
    sizes = np.diff([*rows, weights.shape[-2]])
    return np.add.reduceat(weights, rows, axis=-2) / sizes[:, None].astype(np.float32)


def words(pieces: Sequence[str]) -> list[tuple[str, int]]:
    """The words that pieces make up, and the number of the first piece of each.

    A word begins at the sign for a space. A punctuation mark is a word by itself, except for a hyphen or an apostrophe within
    a word; so is each character of a script without spaces, as far as pieces show it. Characters spelled by their bytes are
    put together. If no piece has a sign for a space, each piece is a word already.
    """
    units: list[tuple[str, int]] = []
    spelled = bytearray()
    for at, piece in enumerate(pieces):
        byte = BYTE.fullmatch(piece)
        if byte is None:
            spelled.clear()
            units.append((piece, at))
            continue
        if spelled:
            at = units.pop()[1]
        spelled.append(int(byte[1], 16))
        units.append((spelled.decode("utf-8", "replace"), at))
    if not any(SPACE in piece for piece in pieces):
        return units
    found: list[tuple[str, int]] = []
    for number, (unit, at) in enumerate(units):
        after = units[number + 1][0] if number + 1 < len(units) else ""
        if found and _joined(found[-1][0], unit, after):
            text, at = found.pop()
            unit = text + unit
        found.append((unit, at))
    return [(text.replace(SPACE, " ").strip() or text, at) for text, at in found]


def _joined(word: str, unit: str, after: str) -> bool:
    """Whether `unit` continues `word`; `after` is the unit behind it."""
    if unit.startswith(SPACE) or not unit:
        return not unit
    if word.endswith(SPACE):
        return True
    if unit in _INSIDE:
        return _letter(word[-1:]) and _letter(after[:1])
    if word[-1:] in _INSIDE:
        return _letter(word[-2:-1]) and _letter(unit[:1])
    return _letter(word[-1:]) and _letter(unit[:1])


def _letter(character: str) -> bool:
    """Whether a character joins its neighbours: letters, digits and combining marks do, East Asian ones only if Hangul."""
    if not character or unicodedata.category(character)[0] not in "LMN":
        return False
    return unicodedata.east_asian_width(character) not in "WF" or unicodedata.name(character, "").startswith("HANGUL")
