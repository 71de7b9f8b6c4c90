"""Names with letters that the source's language lacks: found, missed in a translation, hidden, and put back."""

from __future__ import annotations

import pytest
import small_translator
from test_parting import Searched, segment

from textkit.searching.options import Search
from textkit.tasks.translate.serving.doubts import broken, lost_names
from textkit.tasks.translate.serving.guarding import Guard
from textkit.tasks.translate.serving.translations import Translation
from textkit.text.preserved.foreign_names import foreign_names
from textkit.text.preserved.sentinels import sentinel
from textkit.text.translation import TranslationText

S0, S1 = map(sentinel, range(2))


@pytest.fixture
def rule() -> TranslationText:
    rule = small_translator.rule()
    rule.source_language, rule.target_language, rule.sentinels = "en", "de", 3
    return rule


@pytest.mark.parametrize(
    ("text", "language", "names"),
    [
        ("Ask Ms. Peña in São Paulo, not Jean-Noël's café.", "en", ["Peña", "São", "Jean-Noël's"]),
        ("Peña lives in Łódź.", "en", ["Peña", "Łódź"]),
        ("Naïve people live in Zürich.", "en", ["Zürich"]),
        ('"Naïve?" he asked.', "en", []),
        ("A naïve fiancé ate crème brûlée.", "en", []),
        ("Frau Müller aß im Café in Ålesund.", "de", ["Ålesund"]),
        ("Åsa och Øystein", "sv", ["Øystein"]),
        ("Ask Peña.", "", []),
        ("Ask Peña.", "xx", []),
        ("plain words alone", "en", []),
    ],
)
def test_what_is_a_foreign_name(text: str, language: str, names: list[str]):
    found = list(foreign_names(text, language))
    assert [name.value for name in found] == names
    assert all(text[name.begin : name.end] == name.value and not name.plain for name in found)


def test_a_name_is_lost_where_no_form_of_it_is_there():
    source = "Ask Peña and Łódź and Curaçao."
    assert [name.value for name in lost_names("Frag Peñas und ŁÓDŹ und Curao.", source, "en")] == ["Curaçao"]
    assert broken("S\ufffdo Paulo", "São Paulo")
    assert not broken("a \ufffd", "ein \ufffd")


def test_a_lost_name_is_hidden_and_put_back(rule: TranslationText):
    source = "the dog sees Peña ."
    search = Searched({f"the dog sees {S0} .": f"Der Hund sieht {S0}."})
    found = [[Translation("Der Hund sieht Pe\ufffda.", confidence=0.9)]]
    Guard(rule, Search(), search)([segment(source, rule)], found)
    assert found[0][0] == Translation("Der Hund sieht Peña.", confidence=0.9)
    assert [text for text, _ in search.asked] == [f"the dog sees {S0} ."]


def test_a_lost_name_is_hidden_with_all_numbers_if_that_helps(rule: TranslationText):
    source = "the dog sees Peña 19"
    search = Searched({f"the dog sees {S0} {S1}": f"Der Hund sieht {S0} {S1}"}, "Der Hund 19")
    found = [[Translation("Der Hund sieht 19", confidence=0.9)]]
    Guard(rule, Search(), search)([segment(source, rule)], found)
    assert found[0][0].text == "Der Hund sieht Peña 19"


def test_no_character_that_bytes_do_not_make_up_is_shown(rule: TranslationText):
    found = [[Translation("der Hu\ufffdnd", confidence=0.9)]]
    Guard(rule, Search(), Searched({}, "der Hu\ufffdnd"))([segment("the dog", rule)], found)
    assert found[0][0].text == "der Hund"


def test_a_name_is_not_put_in_by_force(rule: TranslationText):
    """A translation may have another form of it: Cordoba for Córdoba."""
    found = [[Translation("Der Hund sieht Cordoba.", confidence=0.9)]]
    Guard(rule, Search(), Searched({}, "Der Hund sieht Cordoba."))([segment("the dog sees Córdoba .", rule)], found)
    assert found[0][0] == Translation("Der Hund sieht Cordoba.", confidence=0.9)
