"""The same line has the same answer: alone, in any company, in any order, and by any number of threads, to the last bit."""

from __future__ import annotations

import random

import pytest

from textkit.serving.translator import Translator

TEXT = """the a my some three old green tiny cat dog house river teacher idea runs sees likes forgets never often slowly and
or because when under behind 1984 Berlin, Anna naïve"""


def lines_of(count: int, longest: int = 24) -> list[str]:
    """Made-up lines of mixed lengths, the same each time, a blank one and one that occurs twice among them."""
    drawn = random.Random(12)
    lines = [
        " ".join(drawn.choices(TEXT.split(), k=drawn.randint(1, longest))) + drawn.choice(".?!") for _ in range(count)
    ]
    return ["", *lines[1:-1], lines[0]]


SEARCHES = {
    "beam": {},
    "greedy": {"beam_size": 1},
    "n-best": {"n_best": 4, "word_scores": True},
    "sampled": {"sample": True, "seed": 7, "temperature": 0.8},
    "of the likeliest": {"sample": True, "seed": 3, "top_p": 0.9, "n_best": 2},
}


@pytest.mark.parametrize("search", SEARCHES)
def test_a_line_is_translated_alike_alone_and_together(search):
    options, lines = SEARCHES[search], lines_of(14)
    one = Translator("en-de", "cpu", threads=1, **options)
    together = one.translate(lines)
    assert [one.translate([line], first=number)[0] for number, line in enumerate(lines)] == together
    two = Translator("en-de", "cpu", threads=2, **options)
    assert two.translate(lines) == together
    assert [found for at in range(0, 14, 5) for found in two.translate(lines[at : at + 5], first=at)] == together
    if "sample" not in options:
        assert two.translate(lines[::-1]) == together[::-1]
