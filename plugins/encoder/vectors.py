"""The vectors of texts while a sentence encoder is trained, and which texts belong together. Light: no torch at the top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.corpora.batching import padded
from textkit.plugin import Score
from textkit_plugins.encoder.batching import read_tokens

if TYPE_CHECKING:
    from textkit.text.rule import TextRule
    from textkit_plugins.encoder.sentences import SentenceOptions
    from textkit_plugins.encoder.similarity import Lines

_SCORED = 256  # texts in a batch
COMPARED = 4096  # pairs of the dev data among which partners are looked for


def lines_of(texts: Sequence[str], rule: TextRule, config: SentenceOptions) -> Lines:
    import torch

    from textkit_plugins.encoder.similarity import Lines

    return Lines(*map(torch.from_numpy, padded(rule, texts, read_tokens(config))))


def vectors_of(network: Any, texts: Sequence[str], rule: TextRule, config: SentenceOptions) -> np.ndarray:
    """The vectors of texts, f32[text, dim], of length 1. Call it without gradients."""
    device = next(network.parameters()).device
    order = np.argsort([len(text) for text in texts], kind="stable")
    found = np.zeros((len(texts), config.size), np.float32)
    for begin in range(0, len(order), _SCORED):
        some = order[begin : begin + _SCORED]
        lines = lines_of([texts[at] for at in some], rule, config)
        found[some] = network(type(lines)(lines.ids.to(device), lines.weight.to(device))).float().cpu().numpy()
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def found_partners(first: np.ndarray, second: np.ndarray) -> Score:
    """The mean reciprocal rank of each text's partner among all partners; both f32[pair, dim], of length 1."""
    near = first @ second.T
    # Equal texts are equally right, wherever they stand.
    better = (near > np.diagonal(near)[:, None] + 1e-6).sum(1)
    return Score("mrr", float((1 / (1 + better)).mean()), higher_is_better=True, detail={"pairs": len(near)})


def belonging(queries: Sequence[str], documents: Sequence[str]) -> np.ndarray:
    """Which documents belong to which queries, bool[query, document]: those that are the partner of an equal query.

    `documents`: a partner for each query, in their order, and more.
    """
    query, document = (_numbers(texts) for texts in (queries, documents))
    pairs = np.zeros((query.max() + 1, document.max() + 1), bool)  # of different texts
    pairs[query, document[: len(query)]] = True
    found: np.ndarray = pairs[query][:, document]
    return found


def _numbers(texts: Sequence[str]) -> np.ndarray:
    """A number for each text, i64[text], the same for equal texts."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts])
