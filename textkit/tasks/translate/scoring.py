"""The dev score of a translator in training: BLEU of greedy translations, and the loss. Light to import: no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.plugin import Score

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit.text.rule import Encoded
    from textkit.text.translation import TranslationText

EXAMPLES = 3  # dev lines shown with each score
_SCORE_TOKENS = 4096  # padded tokens at once


def dev_score(network: torch.nn.Module, dev: Corpus, vocabulary: TranslationText, config: Any) -> Score:
    """BLEU of greedy translations with the loss beside it, or the loss (per token, without label smoothing)."""
    from textkit.corpora.pairs import pair

    pairs = [pair(line) for line in dev.lines()]
    pairs = [(source, target) for source, target in pairs if source.strip() and target.strip()]
    if not pairs:
        raise TextkitError(f"{dev.paths[0]}: the dev part has no pair of lines with text on both sides")
    loss = dev_loss(network, dev, vocabulary, config)
    detail = {"loss": loss, "perplexity": math.exp(min(loss, 700))}
    whole = config.score == "bleu"
    lines = pairs[: EXAMPLES if not whole else None]
    if whole and 0 < config.score_lines < len(lines):
        lines = [lines[at * len(lines) // config.score_lines] for at in range(config.score_lines)]
    found = translations(network, [source for source, _ in lines], vocabulary, config)
    examples = tuple(
        f"{source} ||| {translation} ||| {target}"
        for (source, target), translation in list(zip(lines, found, strict=True))[:EXAMPLES]
    )
    if not whole:
        return Score("loss", loss, False, {"perplexity": detail["perplexity"]}, examples)
    return Score("bleu", bleu(lines, found, config), True, detail, examples)


def bleu(pairs: Sequence[tuple[str, str]], found: Sequence[str], config: Any) -> float:
    """sacrebleu's corpus BLEU of `found` against `pairs`; a source that occurs twice is one line with several references."""
    from textkit.tasks.translate.evaluation import Scorer

    lines: dict[str, tuple[str, list[str]]] = {}
    for (source, target), translation in zip(pairs, found, strict=True):
        lines.setdefault(source, (translation, []))[1].append(target)
    scored, references = zip(*lines.values(), strict=True)
    return Scorer(tokenize=config.bleu_tokenize, lowercase=config.lowercase)(scored, references)[0].value


def translations(network: torch.nn.Module, lines: Sequence[str], vocabulary: TranslationText, config: Any) -> list[str]:
    """Greedy translations, with the caches of the step module; lines longer than max_tokens are cut."""
    import torch

    from textkit.tasks.translate.greedy import greedy

    encode, step = network.encoder().eval(), network.stepper().eval()
    device = next(network.parameters()).device
    encoded = rows(vocabulary.encode(list(lines)))
    encoded = [ids if len(ids) <= config.max_tokens else _cut(ids, config.max_tokens) for ids in encoded]
    found: list[list[int]] = [[] for _ in lines]
    for group in _groups(np.array([len(ids) for ids in encoded]), _SCORE_TOKENS):
        source, mask = (
            torch.from_numpy(part).to(device) for part in _padded([encoded[at] for at in group], vocabulary.source_pad)
        )
        longest = (2 * mask.sum(1) + 10).clamp(max=config.max_tokens)
        for at, ids in zip(
            group, greedy(encode, step, source, mask, vocabulary.start, vocabulary.eos, longest), strict=True
        ):
            found[at] = ids
    return vocabulary.decode(found)


def dev_loss(network: torch.nn.Module, dev: Corpus, vocabulary: TranslationText, config: Any) -> float:
    """The mean of -log p(token) over the target tokens; pairs longer than max_tokens are left out."""
    import torch

    from textkit.corpora.batching import move
    from textkit.corpora.pair_batches import encoded_pairs, pair_batch
    from textkit.families.chunked_loss import smoothed_cross_entropy

    device = next(network.parameters()).device
    pairs = encoded_pairs(dev, vocabulary, None, config.max_tokens)
    total, count = 0.0, 0
    with torch.no_grad():
        for chosen in _groups(np.maximum(pairs.source_lengths, pairs.target_lengths), _SCORE_TOKENS):
            batch = move(pair_batch(pairs, chosen), device)
            hidden = network.hidden(batch.source, batch.source_mask, batch.target_in)[batch.target_mask]
            _, exact = smoothed_cross_entropy(network, hidden, batch.target_out[batch.target_mask], 0.0)
            total, count = total + float(exact) * len(hidden), count + len(hidden)
    return total / count


def rows(encoded: Encoded) -> list[np.ndarray]:
    """The ids of each line."""
    return np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])


def _cut(ids: np.ndarray, longest: int) -> np.ndarray:
    """The first ids and the last one, eos."""
    return np.concatenate([ids[: longest - 1], ids[-1:]])


def _groups(lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Groups of the numbers of lines of similar length, each `tokens` at most with padding; the longest first."""
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        size = max(1, tokens // int(lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def _padded(lines: Sequence[np.ndarray], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The padded ids i64[line, token], and which of them are real bool[line, token]."""
    lengths = np.array([len(ids) for ids in lines])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, np.int64)
    ids[mask] = np.concatenate(lines)
    return ids, mask
