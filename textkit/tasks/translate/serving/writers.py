"""Writes translations: one line each, Moses' n-best lists, or JSON lines. Knows no model.

There is one output record, or with n-best one numbered group, for each input record. Numbers have six digits: the rest of a
batch could only change later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textkit.streams.columns import Block
from textkit.streams.escaping import escaped
from textkit.streams.records import json_bytes, number, opened, rounded
from textkit.tasks.translate.serving.translations import Translation
from textkit.tasks.translate.task import TRANSLATED

Translations = Sequence[Sequence[Translation]]  # of each record, best first


def text_of(
    block: Block, translations: Translations, first: int, many: bool = False, check: bool = False
) -> bytes:  # fmt: skip
    """One line each, and behind ||| the alignment (Pharaoh's i-j) and word scores where there are any, as in Marian; with
    `check` also the confidence, where the model states it, and what is doubtful, "Doubts= " and words with commas between."""
    lines = [" ||| ".join([_text(found[0]), *_details(found[0], check)]) for found in translations]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def nbest_of(
    block: Block, translations: Translations, first: int, many: bool = False, check: bool = False
) -> bytes:  # fmt: skip
    """Lines `id ||| translation ||| F0= logprob ||| score`, where the id is the record's number, from 0."""
    lines = []
    for place, found in enumerate(translations, first):
        for one in found:
            scores = f"F0= {number(one.logprob)}", number(one.score)
            lines.append(" ||| ".join([str(place), _text(one), *_details(one, check), *scores]))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def jsonl_of(
    block: Block, translations: Translations, first: int, many: bool = False, check: bool = False, key: str = TRANSLATED[0]
) -> bytes:  # fmt: skip
    """One object each: the record's own fields, `key` (the translation), "score" and what else is known of it, and with `many`
    "nbest", which is a list even of one; null for a record that could not be used. "doubts" is there where there are any, and
    with `check` in each."""
    lines = []
    for at, found in enumerate(translations):
        if at in block.problems:
            lines.append(b'%bnull, "score": null}\n' % opened(block, at, key))
            continue
        fields = _fields(found[0])
        if check or found[0].doubts:
            fields["doubts"] = list(found[0].doubts)
        if many:
            fields["nbest"] = [_fields(one) for one in found]
        # `opened` has written the first key already.
        rest = json_bytes({key: value for key, value in fields.items() if key != TRANSLATED[0]})[1:]
        lines.append(b"%b%b, %b\n" % (opened(block, at, key), json_bytes(fields[TRANSLATED[0]]), rest))
    return b"".join(lines)


def _text(translation: Translation) -> str:
    return escaped(translation.text)


def _details(translation: Translation, check: bool) -> list[str]:
    details = []
    if translation.source_tokens:
        details.append(" ".join(f"{i}-{j}" for i, j in translation.alignment))
    if translation.word_scores:
        details.append("WordScores= " + " ".join(map(number, translation.word_scores)))
    if check and translation.confidence is not None:
        details.append(f"Confidence= {number(translation.confidence)}")
    if check:
        details.append("Doubts= " + ",".join(translation.doubts))
    return details


def _fields(translation: Translation) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "translation": translation.text,
        "score": rounded(translation.score),
        "logprob": rounded(translation.logprob),
    }
    if translation.confidence is not None:
        fields["confidence"] = rounded(translation.confidence)
    for key in ("source_tokens", "tokens", "alignment"):
        if value := getattr(translation, key):
            fields[key] = value
    if translation.word_scores:
        fields["word_scores"] = list(map(rounded, translation.word_scores))
    return fields


FORMATTERS: dict[str, Callable[..., bytes]] = {
    "text": text_of,
    "nbest": nbest_of,
    "jsonl": jsonl_of,
}
