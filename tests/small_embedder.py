"""Exported models of a few words, shared by the tests of the embedder and of `textkit embed`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from textkit.tasks.embed.exporting.export import export_embedding_table
from textkit.text.normalizer import Normalizer
from textkit.text.rule import TextRule
from textkit.text.subwords import NGrams
from textkit.text.words import Words

WORDS = ["the", "cat", "sat", "dog", "."]
# Whole numbers, so that sums are exact, and means of 2 and 4 too.
TABLE = np.array([[1, 0, 0], [4, -4, 0], [2, 2, 2], [0, 8, 1], [0, 0, -3]], np.float32)  # [id, dim]
PROBABILITY = np.array([0.5, 0.1, 0.1, 0.1, 0.2], np.float32)


def write_words(folder: Path, **changes: object) -> Path:
    """Five words in three dimensions; `changes` are arguments of export_embedding_table."""
    facts = {"rule": Words(WORDS, Normalizer()), "table": TABLE, "probability": PROBABILITY, "name": "five"}
    return export_embedding_table(folder, **(facts | changes))  # type: ignore[arg-type]


def write_ngrams(folder: Path, buckets: int = 50, dim: int = 8, **changes: object) -> Path:
    """The same words and n-grams of 3 and 4 characters, with random vectors."""
    table = np.random.default_rng(7).standard_normal((len(WORDS) + buckets, dim)).astype(np.float32)
    rule = Words(WORDS, Normalizer(), NGrams(3, 4, buckets, len(WORDS)))
    return export_embedding_table(folder, rule=rule, table=table, name="ngrams", **changes)  # type: ignore[arg-type]


def vectors_of(rule: TextRule, table: np.ndarray, line: str) -> np.ndarray:
    """The vector of each word of a line that has an id, f64[word, dim]: the mean of the rows that spell the word."""
    ids = rule.encode([line]).ids
    spans = [table[ids[start:stop]].astype(np.float64).mean(0) for _, start, stop in rule.tokens(line) if stop > start]
    return np.array(spans).reshape(-1, table.shape[1])
