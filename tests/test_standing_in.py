"""Numbers that a model without sentinels lost, put through behind numbers that it knows."""

from __future__ import annotations

import numpy as np
import pytest
import small_translator

from textkit.searching.options import Search
from textkit.tasks.translate.serving.guarding import Guard
from textkit.tasks.translate.serving.segments import Segment
from textkit.tasks.translate.serving.standing_in import with_stand_ins, without_stand_ins
from textkit.tasks.translate.serving.translations import Translation
from textkit.text.preserved.numerals import numbers


def taken(text: str, *values: str) -> tuple[str, list[str]] | None:
    return with_stand_ins(text, [one for one in numbers(text, "en") if one.value in values], "en")


def test_a_stand_in_is_a_number_that_the_text_does_not_have():
    assert taken("It costs 19.99 euros.", "19.99") == ("It costs 27 euros.", ["27"])
    assert taken("27 of 1,250 at 3:30", "1250", "3:30") == ("27 of 38 at 45", ["38", "45"])
    assert taken("From 1847 to 1990, 36 men", "1847", "36") == ("From 1985 to 1990, 27 men", ["1985", "27"])
    assert taken(" ".join(map(str, range(100, 108))), *map(str, range(100, 108))) is None  # more than there are


@pytest.mark.parametrize(
    ("translation", "put"),
    [
        ("Um 38 kostet es 27 Euro.", "Um 15:30 kostet es 19,99 Euro."),
        ("Es kostet 27 Euro.", None),  # 38 is missing
        ("27 und 38 und 27", None),  # which of the two?
        ("2738 Euro", None),
    ],
)
def test_each_stand_in_is_there_once_or_nothing_is_put_back(translation: str, put: str | None):
    assert without_stand_ins(translation, ["27", "38"], ["19,99", "15:30"], "de") == put


def test_a_guard_puts_lost_numbers_back():
    rule = small_translator.rule()
    rule.source_language, rule.target_language = "en", "de"
    asked: list[str] = []

    def search(segments: list[Segment], options: Search) -> list[list[Translation]]:
        asked.extend(segment.text for segment in segments)
        return [[Translation("der 27 Hund", logprob=-1.0)] for _ in segments]

    def guarded(text: str, first: Translation) -> Translation:
        found = [[first]]
        Guard(rule, Search(), search)([Segment(text, np.arange(9), (), (0, 0))], found)
        return found[0][0]

    assert guarded("the 1,234.5 dog", Translation("der 12345 Hund")) == Translation("der 1.234,5 Hund", logprob=-1.0)
    assert asked == ["the 27 dog"]
    assert guarded("the 14 dog", Translation("der 14 Hund")).text == "der 14 Hund"  # nothing is lost
    lost = guarded("the 27 dog, 31 cat", Translation("der 27 Hund"))
    assert lost.doubts == ("numbers",)  # 31 -> 38, which is not there
    shown = Translation("der Hund", tokens=("der", "Hund"))
    assert guarded("the 99 dog", shown).doubts == ("numbers",)  # tokens would be those of another number
    assert asked == ["the 27 dog", "the 27 dog, 38 cat"]
    rule.target_language = ""
    assert guarded("the 99 dog", Translation("der Hund")) == Translation("der Hund")
