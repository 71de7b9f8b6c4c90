"""Words that are remembered by number: cut as the rule cuts them, told apart, and forgotten together."""

from __future__ import annotations

import random

import numpy as np
import pytest

from textkit.text.hashed import Hashed
from textkit.text.ngrams import seen_words
from textkit.text.ngrams.seen_words import SeenWords
from textkit.text.normalizer import Normalizer

RULE = Hashed(Normalizer(clean=True), 1, 1, 3, 1 << 16, digits=False)


def looked(seen: SeenWords, lines: list[str]) -> tuple[list[list[int]], list[str]]:
    """The numbers of each line's words, and the words that were new."""
    numbers, new = [], []
    for given, kind in RULE.blocks(lines):
        found = seen.look(given, kind)
        numbers += [part.tolist() for part in np.split(found.numbers, np.cumsum(found.counts)[:-1])]
        text = found.new.points.tobytes().decode("utf-32-le", "surrogatepass")
        new += [line.strip(" ") for line in text.split("\n")[:-1]]
    return numbers, new


def test_words_have_one_number_each():
    seen = SeenWords()
    numbers, new = looked(seen, ["The cat, the dog!", "", "a cat 12 3x"])
    assert sorted(new) == ["!", ",", "a", "cat", "dog", "the", "x"]
    [the, cat, comma, again, dog, mark], blank, [a, cat_again, x] = numbers
    assert the == again
    assert cat == cat_again
    assert blank == []
    assert len({the, cat, comma, dog, mark, a, x}) == 7
    assert looked(seen, ["cat the"]) == ([[cat, the]], [])


def test_words_are_those_of_the_rule(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen_words, "AT_ONCE", 200)
    pool = [
        *"abcdeXYZ",
        " ",
        " ",
        "\t",
        "\n",
        "\r",
        ".",
        "7",
        "\u0301",
        "\u200d",
        "\u03a3",
        "\u0130",
        "\u4e2d",
        "\u3000",
        "\U0001f600",
        "\0",
    ]
    rng = random.Random(3)
    lines = ["".join(rng.choices(pool, k=rng.randrange(25))) for _ in range(400)]
    seen, known = SeenWords(), {}
    for some in (lines[:150], lines[100:]):
        numbers, new = looked(seen, some)
        fresh = iter(new)
        for words, of_line in zip(RULE.words_of(some), numbers, strict=True):
            assert len(words) == len(of_line)
            for word, number in zip(words, of_line, strict=True):
                assert known.setdefault(word, number) == number
        assert len(set(known.values())) == len(known)
        assert set(fresh) <= set(known)


def test_all_words_are_forgotten_where_there_is_no_more_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen_words, "MOST", 10)
    seen = SeenWords()
    assert len(looked(seen, ["a b c d e f"])[1]) == 6
    assert len(looked(seen, ["a b g h i"])[1]) == 3
    numbers, new = looked(seen, ["a b j k"])  # two more than there is room for
    assert sorted(new) == ["a", "b", "j", "k"]
    assert sorted(numbers[0]) == [0, 1, 2, 3]
    assert looked(seen, ["j a"]) == ([[numbers[0][2], numbers[0][0]]], [])


def test_a_long_word_is_never_remembered():
    seen = SeenWords()
    longest, longer = "x" * seen_words.LONGEST, "x" * (seen_words.LONGEST + 1)
    assert looked(seen, [f"{longest} {longer}"])[1] in ([longest, longer], [longer, longest])
    numbers, new = looked(seen, [f"{longest} {longer} {longer}"])
    assert new == [longer, longer]
    assert len(set(numbers[0])) == 3


def test_words_that_share_a_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen_words, "_PLACES_BITS", 8)  # 256 places for up to 200 words
    monkeypatch.setattr(seen_words, "MOST", 200)
    seen = SeenWords()
    words = [f"{first}{second}" for first in "abcdefghijklmn" for second in "opqrstuvwxyz"]
    given, new = looked(seen, [" ".join(words)])
    assert len(new) == len(words) == len(set(given[0])) == 168
    assert looked(seen, [" ".join(reversed(words))]) == ([given[0][::-1]], [])
