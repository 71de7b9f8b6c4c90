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
    return _tokenizer(options, chunks, where)


def _hashed(options: EncoderOptions, chunks: Chunks, where: object) -> Hashed:
    every = Hashed(
        options.normalizer(), options.word_ngrams, options.minn, options.maxn, options.bucket, across=options.across,
        digits=options.digits,
    )  # fmt: skip
    return with_rows(every, options.features, options.min_count, chunks, where)


def with_rows(every: Hashed, most: int, min_count: int, chunks: Chunks, where: object) -> Hashed:
    """`every` with rows for the buckets that the most lines have: at most `most`, each in at least `min_count` lines."""
    bucket = every.buckets
    lines = np.zeros(bucket, np.int32)  # that have each bucket
    for texts in chunks():
        for begin in range(0, len(texts), _COUNTED):
            buckets, counts = every.buckets_of(texts[begin : begin + _COUNTED])
            keys = np.repeat(np.arange(len(counts)) * bucket, counts) + buckets
            keys.sort()
            once = keys[np.diff(keys, prepend=-1) > 0] % bucket
            lines += np.bincount(once, minlength=bucket).astype(np.int32)
    found = np.flatnonzero(lines >= min_count)
    if not len(found):
        raise TextkitError(f"{where}: min_count={min_count}: no word or n-gram is in so many lines")
    if len(found) > most:
        best = np.argsort(-lines[found], kind="stable")[:most]
        found = np.sort(found[best])
    rule = every.keeping(found)
    rule.learnt = {"lines": lines[found].tolist()}
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
