"""The order in which an encoded corpus is read: every line once per epoch, whole, in a different order each time."""

from __future__ import annotations

import numpy as np
import pytest

from textkit_plugins.embeddings import shuffled_lines
from textkit_plugins.embeddings.shuffled_lines import WordBatch, batches, count_batches


def laid(lines: list[list[int]], end: bool = True) -> np.ndarray:
    flat = [token for line in lines for token in [*line, -1]]
    return np.array(flat if end else flat[:-1], np.int32)


def lines_of(tokens: np.ndarray) -> list[tuple[int, ...]]:
    assert tokens[-1] == -1
    cuts = np.flatnonzero(tokens == -1)
    return [tuple(part[part >= 0].tolist()) for part in np.split(tokens, cuts[:-1] + 1)]


def words_of(part: WordBatch) -> np.ndarray:
    """The centre words."""
    words = part.tokens[part.first : part.last]
    return words[words >= 0]


def whole_of(parts: list[WordBatch]) -> np.ndarray:
    """The text of one window, put together from batches that hold the whole lines of their words."""
    last = parts[-1]
    text = np.full(last.offset + len(last.tokens), -2, np.int32)
    for part in parts:
        there = text[part.offset : part.offset + len(part.tokens)]
        assert ((there == -2) | (there == part.tokens)).all()
        there[:] = part.tokens
    assert (text > -2).all()
    return text


LINES = [[number] * (1 + number % 5) for number in range(200)]


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_every_line_comes_once_and_whole(size: int) -> None:
    tokens = laid(LINES)
    found = list(batches(tokens, size, (1, 0)))
    assert [part.number for part in found] == list(range(count_batches(tokens, size)))
    assert all(len(words_of(part)) == size for part in found[:-1])
    read = lines_of(whole_of(found))
    assert sorted(read) == sorted(map(tuple, LINES))
    assert read != [tuple(line) for line in LINES]


def test_the_order_follows_from_the_seed_and_can_be_gone_on_with() -> None:
    tokens = laid(LINES)

    def order(*seed: int, first: int = 0) -> list[list[int]]:
        return [words_of(part).tolist() for part in batches(tokens, 50, seed, first)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    assert order(1, 0, first=5) == order(1, 0)[5:]


def test_windows_lose_nothing_at_their_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffled_lines, "_WINDOW", 64)
    tokens = laid(LINES)
    found = [words_of(part) for part in batches(tokens, 10, (3, 0))]
    assert len(found) == count_batches(tokens, 10)
    assert [part.tolist() for part in found[9:]] == [words_of(part).tolist() for part in batches(tokens, 10, (3, 0), 9)]
    words = np.concatenate(found)
    assert np.array_equal(np.bincount(words[words >= 0]), np.bincount(tokens[tokens >= 0]))


def test_a_text_without_line_ends_is_shuffled_in_pieces() -> None:
    tokens = laid([list(range(2500))], end=False)
    read = lines_of(whole_of(list(batches(tokens, 999, (1, 0)))))
    assert sorted(read) == [tuple(range(1000)), tuple(range(1000, 2000)), tuple(range(2000, 2500))]
    assert count_batches(tokens, 999) == 3  # 2,500 words


def test_lines_without_words_and_an_empty_text() -> None:
    assert count_batches(np.array([-1, -1], np.int32), 5) == 0
    assert list(batches(np.array([-1, -1], np.int32), 5, (1,))) == []
    assert list(batches(np.empty(0, np.int32), 5, (1,))) == []
