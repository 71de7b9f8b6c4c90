"""Writes what a language model says: one line each, tab-separated, or JSON lines. Knows no model.

There is one output record for each input record. Numbers have six digits: the rest of a batch could only change later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textkit.streams.columns import Block
from textkit.streams.escaping import escaped
from textkit.streams.records import json_bytes, number, opened, rounded
from textkit.tasks.language.serving.generator import Generated
from textkit.tasks.language.serving.scorer import Scored
from textkit.tasks.language.task import GENERATED, SCORED
from textkit.text.language import EOS_NAME, LanguageText

Named = list[tuple[str, float]]  # tokens, or words, with their log-probabilities
Details = Callable[[LanguageText, Scored], Named]


def per_token(rule: LanguageText, scored: Scored) -> Named:
    """Each token with its log-probability, the end of the line last."""
    return list(zip(map(rule.token, scored.ids.tolist()), scored.logprobs.tolist(), strict=True))


def per_word(rule: LanguageText, scored: Scored) -> Named:
    """Each word with the sum over its pieces; a word begins at white space. The end of the line is the last."""
    if rule.words:
        return per_token(rule, scored)
    words: list[tuple[list[int], float]] = []
    inside = False
    for token, logprob in zip(scored.ids.tolist(), scored.logprobs.tolist(), strict=True):
        piece = rule.token(token)
        if not inside or token == rule.eos or piece[:1].isspace():
            words.append(([], 0.0))
        inside = bool(piece.strip())  # a piece of white space alone is no part of the word behind it
        ids, total = words[-1]
        words[-1] = ([*ids, token], total + logprob)
    texts = rule.decode([ids for ids, _ in words[:-1]])
    return [*((text.strip(), total) for text, (_, total) in zip(texts, words, strict=False)), (EOS_NAME, words[-1][1])]


DETAILS: dict[str, Details] = {"per_token": per_token, "per_word": per_word}


def scores_text_of(block: Block, scored: Sequence[Scored], rule: LanguageText, details: str | None) -> bytes:
    """One line each: log-probability, tokens, perplexity, and with `details` a column `token log-probability` for each."""
    lines = []
    for at, one in enumerate(scored):
        if at in block.problems:
            lines.append("nan\t0\tnan")
            continue
        columns = [number(one.logprob), str(one.tokens), number(one.perplexity)]
        if details is not None:
            named = DETAILS[details](rule, one)
            columns += [f"{escaped(name, tabs=True)} {number(logprob)}" for name, logprob in named]
        lines.append("\t".join(columns))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def scores_jsonl_of(
    block: Block, scored: Sequence[Scored], rule: LanguageText, details: str | None, key: str = SCORED[0]
) -> bytes:
    """One object each: the record's own fields, then `key` (the log-probability), "tokens", "perplexity", "unknown", and
    `details`, a list of [token, log-probability]; null for a record that could not be used."""
    lines = []
    for at, one in enumerate(scored):
        if at in block.problems:
            lines.append(b"%bnull}\n" % opened(block, at, key))
            continue
        rest: dict[str, Any] = {
            "tokens": one.tokens, "perplexity": rounded(one.perplexity), "unknown": one.unknown,
        }  # fmt: skip
        if details is not None:
            rest[details] = [[name, rounded(logprob)] for name, logprob in DETAILS[details](rule, one)]
        lines.append(b"%b%b, %b\n" % (opened(block, at, key), json_bytes(rounded(one.logprob)), json_bytes(rest)[1:]))
    return b"".join(lines)


def texts_of(block: Block, generated: Sequence[Sequence[Generated]], whole: bool) -> bytes:
    """One line per sample, prompt after prompt: prompt and text, or without `whole` the text alone."""
    lines = []
    for at, found in enumerate(generated):
        texts = [""] if at in block.problems else [one.whole if whole else one.text for one in found]
        lines += [escaped(text) for text in texts]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def texts_jsonl_of(
    block: Block, generated: Sequence[Sequence[Generated]], whole: bool, key: str = GENERATED[0]
) -> bytes:
    """One object per prompt: the record's own fields, then `key` (the continuation), "logprob", "tokens", "ended", and where
    there are several samples "samples", a list of objects; null for a record that could not be used."""
    lines = []
    for at, found in enumerate(generated):
        if at in block.problems:
            lines.append(b"%bnull}\n" % opened(block, at, key))
            continue
        fields = _fields(found[0])
        rest = {key: value for key, value in fields.items() if key != "continuation"}
        if len(found) > 1:
            rest["samples"] = [_fields(one) for one in found]
        start = opened(block, at, key)
        lines.append(b"%b%b, %b\n" % (start, json_bytes(fields["continuation"]), json_bytes(rest)[1:]))
    return b"".join(lines)


def _fields(one: Generated) -> dict[str, Any]:
    return {"continuation": one.text, "logprob": rounded(one.logprob), "tokens": one.tokens, "ended": one.ended}


SCORES = {"text": scores_text_of, "jsonl": scores_jsonl_of}
TEXTS = {"text": texts_of, "jsonl": texts_jsonl_of}
