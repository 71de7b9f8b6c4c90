"""What is answered about a line: one translation, and how those of a line's sentences become those of the line."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Translation:
    """One translation of one line. For several sentences, texts and tokens are joined and log-probabilities added."""

    text: str
    score: float = 0.0  # logprob / length^length_penalty
    logprob: float = 0.0  # the sum over its tokens
    length: int = 0  # in tokens, including the end of each sentence
    complete: bool = True  # whether the model ended it; otherwise it was cut at the limit
    confidence: float | None = None  # the chrF that is expected of it, 0 to 1; None for a model without that
    # Filled only on request:
    tokens: tuple[str, ...] = ()  # of the translation, without sentence ends
    word_scores: tuple[float, ...] = ()  # log-probability of each token, including sentence ends
    source_tokens: tuple[str, ...] = ()
    alignment: tuple[tuple[int, int], ...] = ()  # (source, target) tokens from 0: where each target token looked most
    doubts: tuple[str, ...] = ()  # what speaks against the best translation (doubts.py, keeping.py), once each


def joined(parts: list[tuple[list[Translation], str]], rank: int, length_penalty: float) -> Translation | None:
    """The translations of rank `rank` of a line's parts, joined. A part with fewer gives its last; None if all have."""
    if not parts:
        return Translation("") if not rank else None
    chosen = [(found[min(rank, len(found) - 1)], space) for found, space in parts]
    if len(chosen) == 1:
        only, space = chosen[0]
        return None if rank >= len(parts[0][0]) else replace(only, text=only.text + space) if space else only
    if rank and all(rank >= len(found) for found, _ in parts):
        return None
    whole = chosen[0][0]
    space = chosen[0][1]
    for more, behind in chosen[1:]:
        sources, targets = len(whole.source_tokens), len(whole.tokens)
        whole = Translation(
            whole.text + space + more.text, 0.0, whole.logprob + more.logprob, whole.length + more.length,
            whole.complete and more.complete, _mean(whole, more), whole.tokens + more.tokens,
            whole.word_scores + more.word_scores, whole.source_tokens + more.source_tokens,
            whole.alignment + tuple((i + sources, j + targets) for i, j in more.alignment),
            tuple(dict.fromkeys(whole.doubts + more.doubts)),
        )  # fmt: skip
        space = behind
    return replace(
        whole,
        text=whole.text + space,
        score=whole.logprob / max(1, whole.length) ** length_penalty,
    )


def _mean(one: Translation, other: Translation) -> float | None:
    """The confidence in both, each weighted by its length; one that was not searched has no say."""
    length = one.length + other.length
    if one.confidence is None or other.confidence is None or not length:
        return other.confidence if one.confidence is None else one.confidence
    return (one.confidence * one.length + other.confidence * other.length) / length


def each_text(found: list[Translation]) -> list[Translation]:
    """The first translation of each distinct text, in order."""
    texts: dict[str, Translation] = {}
    for one in found:
        texts.setdefault(one.text, one)
    return list(texts.values())
