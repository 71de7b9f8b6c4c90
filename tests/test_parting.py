"""Translations in halves: where a segment is cut, how two halves become one, and when a guard takes them."""

from __future__ import annotations

import numpy as np
import pytest
import small_translator

from textkit.errors import UsageError
from textkit.searching.options import Search
from textkit.sentences.abbreviations import within
from textkit.sentences.halving import clauses
from textkit.sentences.splitting import Part
from textkit.tasks.translate.serving.doubts import loops
from textkit.tasks.translate.serving.guarding import Guard
from textkit.tasks.translate.serving.parting import Half, parted, whole
from textkit.tasks.translate.serving.segments import Segment
from textkit.tasks.translate.serving.translations import Translation
from textkit.tasks.translate.serving.translator import Translator
from textkit.text.preserved.sentinels import sentinel
from textkit.text.translation import TranslationText

S0, S1, S2 = map(sentinel, range(3))


@pytest.fixture
def rule() -> TranslationText:
    rule = small_translator.rule()
    rule.source_language, rule.target_language, rule.sentinels = "en", "de", 3
    return rule


def segment(text: str, rule: TranslationText, prefix: tuple[int, ...] = ()) -> Segment:
    return Segment(text, rule.encode([text]).ids, prefix, (0, 0))


def test_a_segment_is_cut_where_a_clause_ends(rule: TranslationText):
    halves = parted(segment("the dog runs home, the cat sees the man.", rule), rule)
    assert [half.segment.text for half in halves] == ["the dog runs home,", "the cat sees the man."]
    assert [half.space for half in halves] == [" ", ""]
    for half in halves:
        np.testing.assert_array_equal(half.segment.ids, rule.encode([half.segment.text]).ids)


def test_sentinels_are_numbered_anew_and_remembered(rule: TranslationText):
    halves = parted(segment(f"the dog {S0} runs home, the cat {S1} sees {S2}.", rule), rule)
    assert [half.segment.text for half in halves] == [f"the dog {S0} runs home,", f"the cat {S0} sees {S1}."]
    assert [half.sentinels for half in halves] == [[S0], [S1, S2]]
    found = [Translation(f"der Hund {S0},"), Translation(f"die Katze {S1} {S0} {S2}.")]
    assert whole(halves, found, 1.0, "de").text == f"der Hund {S0}, die Katze {S2} {S1} ."  # the half has no third one


def test_some_segments_are_not_cut(rule: TranslationText):
    assert parted(segment("the dog runs home .", rule), rule) == []  # five words
    assert parted(segment("the dog runs home , the cat", rule, prefix=(4,)), rule) == []


@pytest.mark.parametrize(
    ("first", "second", "sources", "right"),
    [
        ("Der Hund läuft.", "Der Mann sieht.", ("the dog runs,", "the man sees."), "Der Hund läuft, der Mann sieht."),
        ("Der Hund läuft,", "Sie sieht.", ("the dog runs,", "she sees."), "Der Hund läuft, Sie sieht."),
        ("Der Hund.", "Mann sieht!", ("the dog", "man sees!"), "Der Hund Mann sieht!"),
        ("Der Hund.", "Der Mann.", ("the dog.", "The man."), "Der Hund. Der Mann."),
        ("Der Hund …", "DER Mann", ("the dog;", "the man"), "Der Hund ; DER Mann"),
        ("", "Und", ("the dog", "and"), " und"),
    ],
)
def test_two_halves_become_one_sentence(first: str, second: str, sources: tuple[str, str], right: str):
    halves = [Half(Segment(text, np.arange(3), (), (0, 0)), " ", []) for text in sources]
    halves[1] = halves[1]._replace(space="")
    assert whole(halves, [Translation(first), Translation(second)], 1.0, "de").text == right


def test_scores_and_alignments_of_two_halves_are_those_of_both():
    halves = [
        Half(Segment("x", np.arange(3), (), (0, 0)), " ", []),
        Half(Segment("y", np.arange(3), (), (0, 0)), "", []),
    ]
    one = Translation("a b", -1.0, -2.0, 3, True, 0.5, ("a", "b"), (), ("x",), ((0, 0), (0, 1)))
    other = Translation("c", -2.0, -2.0, 2, False, 0.25, ("c",), (), ("y", "z"), ((1, 0),))
    assert whole(halves, [one, other], 1.0, "") == Translation(
        "a b c", -0.8, -4.0, 5, False, 0.4, ("a", "b", "c"), (), ("x", "y", "z"), ((0, 0), (0, 1), (2, 2))
    )


def test_a_word_goes_on_small_if_it_is_known_to():
    assert within("Und dann", "de") == "und dann"
    assert within("Hund und Katze", "de") == "Hund und Katze"
    assert within("Trotzdem ging er", "de") == "trotzdem ging er"
    assert within("Sie kommen", "de") == "Sie kommen"  # it may be an address
    assert within("I am", "en") == "I am"
    assert within("The dog", "en") == "the dog"
    assert within("The dog", "xx") == "The dog"
    assert within("", "de") == ""


class Searched:
    """Stands in for the search: texts by source, and what it was asked for."""

    def __init__(self, texts: dict[str, str], other: str = "der Hund") -> None:
        self.texts, self.other = texts, other
        self.asked: list[tuple[str, int]] = []

    def __call__(self, segments: list[Segment], options: Search) -> list[list[Translation]]:
        self.asked += [(one.text, options.no_repeat_ngram_size) for one in segments]
        return [[Translation(self.texts.get(one.text, self.other), confidence=0.9)] for one in segments]


LONG = "the dog sees 19 men, the cat runs home."


def test_what_loses_a_number_is_translated_in_halves(rule: TranslationText):
    search = Searched(
        {"the dog sees 19 men,": "Der Hund sieht 19 Mann.", "the cat runs home.": "Die Katze läuft heim."}
    )
    found = [[Translation("Der Hund")]]
    Guard(rule, Search(), search)([segment(LONG, rule)], found)
    assert found[0][0].text == "Der Hund sieht 19 Mann, die Katze läuft heim."
    assert found[0][0].doubts == ()
    # The number behind a sentinel was tried first; both times that number is the only one.
    assert [text for text, _ in search.asked] == [f"the dog sees {S0} men, the cat runs home."] * 2 + [
        "the dog sees 19 men,",
        "the cat runs home.",
    ]


def test_a_number_that_nothing_brings_back_is_put_where_it_stood(rule: TranslationText):
    found = [[Translation("Der Hund sieht Männer, die Katze läuft heim.", confidence=0.9)]]
    Guard(rule, Search(), Searched({}))([segment(LONG, rule)], found)
    assert found[0][0].text == "Der Hund sieht 19 Männer, die Katze läuft heim."
    assert found[0][0].doubts == ("kept",)


def test_a_number_is_put_back_as_the_target_language_writes_it(rule: TranslationText):
    found = [[Translation("Der Hund", confidence=0.9)]]
    Guard(rule, Search(), Searched({}))([segment("the dog 1,234.5", rule)], found)
    assert found[0][0].text == "Der Hund 1.234,5"


def test_a_model_without_sentinels_is_not_forced(rule: TranslationText):
    rule.sentinels = 0
    found = [[Translation("Der Hund", confidence=0.9)]]
    Guard(rule, Search(), Searched({}))([segment("the dog 1234", rule)], found)
    assert found[0][0] == Translation("Der Hund", confidence=0.9, doubts=("numbers",))


def test_shorter_repeats_are_barred_if_longer_ones_do_not_help(rule: TranslationText):
    search = Searched({}, "der der der Hund")
    found = [[Translation("der der der der")]]
    Guard(rule, Search(), search)([segment("the dog runs home .", rule)], found)
    assert [size for _, size in search.asked] == [3, 2]
    assert found[0][0].doubts == ("loop",)


def test_halves_that_are_no_better_are_not_taken(rule: TranslationText):
    text = "the dog runs home, the cat sees the man."
    found = [[Translation("die die die Katze", confidence=0.9)]]
    Guard(rule, Search(), Searched({}, "der der der"))([segment(text, rule)], found)
    assert found[0][0].text == "die die die Katze"


def test_each_line_is_mended_by_itself(rule: TranslationText):
    search = Searched(
        {"the dog sees 19 men,": "Der Hund sieht 19 Mann.", "the cat runs home.": "Die Katze läuft heim."}
    )
    lines = [LONG, "the dog", "the dog 12 13 14 15 home", LONG]
    alone = []
    for line in lines:
        one = [[Translation("Der Hund")]]
        Guard(rule, Search(), search)([segment(line, rule)], one)
        alone += one
    together = [[Translation("Der Hund")] for _ in lines]
    Guard(rule, Search(), search)([segment(line, rule) for line in lines], together)
    assert together == alone


def test_a_word_that_came_back_is_tried_with_a_capital(rule: TranslationText):
    search = Searched({"Hund": "dog", "Paris": "Paris"})
    found = [[Translation("hund", confidence=0.9)], [Translation("paris.", confidence=0.9)], [Translation("Hund")]]
    Guard(rule, Search(), search)([segment(text, rule) for text in ("hund", "paris", "Hund")], found)
    assert [some[0].text for some in found] == ["dog", "paris.", "Hund"]
    assert [text for text, _ in search.asked] == ["Hund", "Paris"]


def test_unknown_words_are_no_loop():
    assert not loops("der <unk> <unk> <unk> Hund", "the Yak-bull dog")
    assert loops("der <unk> der der der Hund", "the Yak-bull dog")


@pytest.mark.parametrize(
    ("text", "most", "parts"),
    [
        ("One two, three four.", 4, ["One two, three four."]),
        ("One two, three four.", 3, ["One two,", "three four."]),
        (
            "One, two three four five six seven eight.",
            4,
            ["One, two three four five six seven eight."],
        ),  # not a good place
        ("a b c; d e f: g h i, j k l.", 3, ["a b c;", "d e f:", "g h i,", "j k l."]),
        ("one two 3,000 four", 2, ["one two 3,000 four"]),
        ("a" * 5000, 1, ["a" * 5000]),
        ("", 1, [""]),
    ],
)
def test_a_sentence_is_cut_where_clauses_end(text: str, most: int, parts: list[str]):
    found = [*clauses(Part(text, "  "), most)]
    assert [part.text for part in found] == parts
    assert [part.goes_on for part in found] == [True] * (len(parts) - 1) + [False]
    assert [part.space for part in found] == [" "] * (len(parts) - 1) + ["  "]
    assert "".join(part.text + part.space for part in found) == text + "  "


def test_a_very_long_sentence_is_cut_without_recursion_to_its_end():
    found = [*clauses(Part("one two three, " * 20_000), 4)]
    assert len(found) > 10_000
    assert max(len(part.text.split()) for part in found) <= 6


def test_a_translator_cuts_at_clauses_if_asked_to(tmp_path):
    model = small_translator.write_translator(tmp_path / "model")
    line = "the dog sees a man, the cat runs."
    whole_, cut = Translator(model)([line]), Translator(model, clauses=6)([line])
    assert whole_ == ["der Hund sieht ein Mann, der Katze läuft."]
    assert cut == whole_  # word by word, it makes no difference
    found = Translator(model, clauses=6, alignment=True).translate([line])[0][0]
    assert len(found.source_tokens) == len(found.tokens) == 10
    assert found.alignment == tuple((at, at) for at in range(10))
    assert Translator(model, clauses=5, sentences=False)([line]) == whole_
    for wrong in (-1, 1.5, "5"):
        with pytest.raises(UsageError, match="^clauses="):
            Translator(model, clauses=wrong)


def test_of_n_best_translations_the_mended_one_stays_first(tmp_path, monkeypatch):
    model = small_translator.write_translator(tmp_path / "model")

    def mended(self, segments, found):
        found[0][0] = Translation("mended", score=-100.0, doubts=("short",))

    monkeypatch.setattr(Guard, "__call__", mended)
    (found,) = Translator(model, n_best=3, beam_size=4).translate(["the dog"])
    assert found[0] == Translation("mended", score=-100.0, doubts=("short",))
    assert found[1].score >= found[2].score > found[0].score


def test_what_has_no_fault_is_not_searched_again(rule: TranslationText):
    search = Searched({})
    found = [[Translation("Der Hund sieht 19 Männer, die Katze läuft heim.", confidence=0.1)]]
    Guard(rule, Search(), search)([segment(LONG, rule)], found)
    assert search.asked == []
    assert found[0][0].doubts == ("low-confidence",)
