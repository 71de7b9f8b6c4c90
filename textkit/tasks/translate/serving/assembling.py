"""Makes a translation of what a search found: its text, and its tokens, scores and alignment where they are asked for; and
those of a line of the translations of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from textkit.searching.history import Hypothesis
from textkit.searching.options import Search
from textkit.tasks.translate.serving.confidence import Confidence, known
from textkit.tasks.translate.serving.keeping import put_back
from textkit.tasks.translate.serving.parting import part_of
from textkit.tasks.translate.serving.segments import Piece, Segment
from textkit.tasks.translate.serving.translations import Translation, each_text, joined
from textkit.tasks.translate.serving.unknown import replaced, shown
from textkit.text.preserved.sentinels import apart, as_close, restored
from textkit.text.translation import TranslationText


class Asked(NamedTuple):
    """What is asked for besides the text; `confidence`: how much of it a translation deserves, where the model says that."""

    replace_unk: bool
    word_scores: bool
    alignment: bool
    confidence: Confidence | None


def translation(
    rule: TranslationText, segment: Segment, hypothesis: Hypothesis, text: str, asked: Asked
) -> Translation:
    """The translation of `segment`. `text`: that of the hypothesis's ids."""
    ids = hypothesis.ids[:-1] if hypothesis.ended else hypothesis.ids
    if not hypothesis.ended:  # cut at the limit, perhaps between the byte tokens of one character
        text = text.rstrip("\ufffd")
    made = Translation(
        text, hypothesis.score, hypothesis.logprob, len(ids) + 1, hypothesis.ended,
        confidence=None if asked.confidence is None else asked.confidence(
            known(hypothesis.logprob, len(ids) + 1, segment.text, text)
        ),
        word_scores=() if hypothesis.logprobs is None else tuple(hypothesis.logprobs.tolist()),
    )  # fmt: skip
    if asked.word_scores or asked.alignment:
        made = replace(made, tokens=tuple(map(rule.target_token, ids)))
    if rule.unk in ids:
        made = replace(made, text=rule.detokenized(shown(rule, ids)))
    made = _close(made, segment)
    if hypothesis.attention is None or not ids or not (asked.alignment or rule.unk in ids):
        return made
    words = len(segment.ids) - 1
    looked = hypothesis.attention[: len(ids), :words].argmax(1)  # [target]
    looked = (words - 1 - looked if rule.reverse else looked).tolist()
    tokens = rule.source_tokens(apart(segment.text) if rule.sentinels else segment.text)[:-1]
    tokens = tokens[::-1] if rule.reverse else tokens
    if asked.replace_unk and rule.unk in ids:
        made = _close(replace(made, text=rule.detokenized(replaced(rule, ids, tokens, looked))), segment)
    if asked.alignment:
        pairs = sorted(zip(looked, range(len(ids)), strict=True))
        made = replace(made, source_tokens=tuple(tokens), alignment=tuple(pairs))
    return made


def _close(made: Translation, segment: Segment) -> Translation:
    """A translation whose sentinels are as close to words as they are in the segment."""
    text = as_close(made.text, segment.text)
    return made if text == made.text else replace(made, text=text)


def of_line(
    line: Sequence[Piece], segments: Sequence[Segment], found: Sequence[list[Translation]], spans: Sequence[str],
    loud: bool, options: Search, language: str,
) -> list[Translation]:  # fmt: skip
    """The `n_best` translations of a line, best first (samples: in the order drawn); one at least.

    `line`: its parts; `found`: the translations of each of the `segments`; `spans`: what the line's sentinels stand for;
    `loud`: whether it gets capitals; `language`: its language, "" for any.
    """
    of_parts = []
    before = False  # whether the sentence of the part before goes on
    for at, space, kept, goes_on in line:
        source, own = segments[at].text, [spans[number] for number in kept]
        ones = [part_of(one, source, before, goes_on, language) for one in found[at]]
        of_parts.append(([put_back(one, source, own, loud) for one in ones], restored(space, spans)))
        before = goes_on
    ranks = range(options.n_best if of_parts else 1)
    ranked = [joined(of_parts, rank, options.length_penalty) for rank in ranks]
    best, *others = (one for one in ranked if one is not None)
    if not others:
        return [best]
    # The best stays what it is alone: a guard may have put it before likelier ones.
    return [best, *others] if options.sample else each_text([best, *sorted(others, key=lambda one: -one.score)])
