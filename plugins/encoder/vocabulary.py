"""Learns how lines become ids for an encoder: hashed features, or a tokenizer. Light: no torch.

Tokenizers lose what they say they normalise: Unicode form, case, runs of white space. A character that is not in a vocabulary
of pieces is spelled by its bytes, so no text is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from textkit.corpora.tokenizing import SPECIAL, START, TokenizerOptions, learn_lines, written
from textkit.errors import TextkitError
from textkit.text.hashed import Hashed
from textkit.text.tokenizer import Pretokenized

if TYPE_CHECKING:
    from textkit.text.rule import TextRule
    from textkit_plugins.encoder.options import EncoderOptions

_COUNTED = 4000  # lines whose features are counted at once
Chunks = Callable[[], Iterator[Sequence[str]]]  # the texts, as often as they are asked for


def learnt_rule(options: EncoderOptions, chunks: Chunks, where: object) -> TextRule:
    """The rule for the texts. TextkitError, which names `where` they are from, if they hold nothing to learn."""
    if options.text == "hashed":
        return _hashed(options, chunks, where)
    rule = _tokenizer(options, chunks, where)
    if options.weighting == "idf":
        rule.learnt = frequencies(rule, chunks)
    return rule


def frequencies(rule: TextRule, chunks: Chunks) -> dict[str, Any]:
    """How often each row of the rule occurs in the texts (`tokens`), in how many of them (`lines`), and how many texts there
    are (`total`)."""
    tokens, lines, total = np.zeros(len(rule), np.int64), np.zeros(len(rule), np.int64), 0
    for texts in chunks():
        total += len(texts)
        for begin in range(0, len(texts), _COUNTED):
            encoded = rule.encode(texts[begin : begin + _COUNTED])
            tokens += np.bincount(encoded.ids, minlength=len(rule))
            lines += _lines_with(encoded.ids, encoded.lengths, len(rule))
    return {"tokens": tokens.tolist(), "lines": lines.tolist(), "total": total}


def _lines_with(found: np.ndarray, lengths: np.ndarray, size: int) -> np.ndarray:
    """How many lines have each of the numbers `found`, which are below `size` and laid end to end: i64[size]."""
    keys = np.repeat(np.arange(len(lengths)) * size, lengths) + found
    keys.sort()
    once = keys[np.diff(keys, prepend=-1) > 0] % size
    return np.bincount(once, minlength=size)


def _hashed(options: EncoderOptions, chunks: Chunks, where: object) -> Hashed:
    every = Hashed(
        options.normalizer(), options.word_ngrams, options.minn, options.maxn, options.bucket, across=options.across,
        digits=options.digits, letterless=options.letterless,
    )  # fmt: skip
    return with_rows(every, options.features, options.min_count, chunks, where)


def with_rows(every: Hashed, most: int, min_count: int, chunks: Chunks, where: object) -> Hashed:
    """`every` with rows for the buckets that the most lines have: at most `most`, each in at least `min_count` lines."""
    bucket = every.buckets
    lines, total = np.zeros(bucket, np.int32), 0  # that have each bucket; all
    for texts in chunks():
        total += len(texts)
        for begin in range(0, len(texts), _COUNTED):
            lines += _lines_with(*every.buckets_of(texts[begin : begin + _COUNTED]), bucket).astype(np.int32)
    found = np.flatnonzero(lines >= min_count)
    if not len(found):
        raise TextkitError(f"{where}: min_count={min_count}: no word or n-gram is in so many lines")
    if len(found) > most:
        best = np.argsort(-lines[found], kind="stable")[:most]
        found = np.sort(found[best])
    rule = every.keeping(found)
    rule.learnt = {"lines": lines[found].tolist(), "total": total}
    return rule


def _tokenizer(options: EncoderOptions, chunks: Chunks, where: object) -> Pretokenized:
    """A tokenizer of pieces or words; with pooling=cls it puts <s> before each line, whose vector is the line's."""
    made = learn_lines(
        chunks,
        TokenizerOptions(
            tokenizer=cast(Any, options.text), vocab_size=options.vocab_size, unicode=options.unicode, clean=options.clean,
            lowercase=options.lowercase, punctuation=options.punctuation, min_count=options.min_count,
        ),
        where,
    )  # fmt: skip
    if options.pooling == "cls":
        from tokenizers.processors import TemplateProcessing

        made.post_processor = TemplateProcessing(
            single=f"{SPECIAL[START]} $A", special_tokens=[(SPECIAL[START], START)]
        )
    return Pretokenized(written(made), options.clean)
