"""Pairs that are changed on both sides alike, and how a translator learns from them."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from textkit.corpora.augmenting import RATES, Augmented, Augmenter, rates
from textkit.corpora.pairs import PairCorpus, pair
from textkit.corpora.tokenizing import TokenizerOptions, learn
from textkit.text.preserved.numerals import numbers
from textkit.text.preserved.sentinels import numbers as sentinels_of
from textkit.text.preserved.sentinels import sentinel

PAIRS = [
    "Then Tom paid 25 euros, not 30.\tDann zahlte Tom 25 Euro, nicht 30.",
    "I met Mary in Boston.\tIch traf Mary in Boston.",
    "He came, and she left.\tEr kam, und sie ging.",
    "See https://example.org now!\tSieh jetzt https://example.org!",
    "1 day\t1 Tag",
]


def changed(changes: str, lines: list[str] = PAIRS, sentinels: int = 0, turns: int = 60) -> list[list[str]]:
    """What becomes of each line in `turns` epochs."""
    augmenter = Augmenter(rates(changes), "en", "de", sentinels)
    epochs = [augmenter(lines, [1, epoch]) for epoch in range(turns)]
    return [list(found) for found in zip(*epochs, strict=True)]


def test_rates():
    assert rates("") == {}
    assert rates("case:0.2, numbers") == {"case": 0.2, "numbers": RATES["numbers"]}
    for said, why in {
        "casing": "'casing' is no change; there are join", "case,case": "'case' occurs twice",
        "case:x": "'x' is no number", "case:1.5": "a rate is at least 0", "case:": "'' is no number",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=re.escape(why)):
            rates(said)


def test_nothing_is_changed_without_a_rate():
    assert changed("case:0,join:0") == [[line] * 60 for line in PAIRS]


def test_the_same_epoch_is_changed_in_the_same_way():
    every = ",".join(RATES)
    assert changed(every, sentinels=4, turns=5) == changed(every, sentinels=4, turns=5)
    assert len(set(changed(every, sentinels=4)[0])) > 20


def test_slips_of_the_fingers_are_in_small_words_of_the_source():
    line = "We will probably meet Benjamin tomorrow.\tWir treffen Benjamin wohl morgen."
    found = set(changed("typos:1", [line], turns=400)[0])
    assert {one.split("\t")[1] for one in found} == {line.split("\t")[1]}
    sources = {one.split("\t")[0] for one in found} - {line.split("\t")[0]}
    assert len(sources) > 30
    assert {"We will probably meet Benjamin tomorow.", "We wlil probably meet Benjamin tomorrow."} <= sources
    words = line.split("\t")[0].split()
    for source in sources:  # one word of four letters or more, in small letters; its first letter stays
        other = [(was, now) for was, now in zip(words, source.split(), strict=True) if was != now]
        assert len(other) == 1
        assert other[0][0] in ("will", "probably", "meet", "tomorrow.")
        assert other[0][0][0] == other[0][1][0]
    untouched = "I saw Tom at http://example.org/there on 12th\tx"
    assert set(changed("typos:1", [untouched])[0]) == {untouched}


def test_capitals_and_small_letters():
    found = set(changed("case:1")[1])
    assert found == {
        "I MET MARY IN BOSTON.\tICH TRAF MARY IN BOSTON.",
        "i met mary in boston.\tIch traf Mary in Boston.",
    }


def test_numbers_are_the_same_on_both_sides():
    seen = set()
    for line in changed("numbers:1")[0]:
        source, target = pair(line)
        values = [number.value for number in numbers(source, "en")]
        assert values == [number.value for number in numbers(target, "de")]
        assert len(values) == 2
        seen |= set(values)
        assert re.sub(r"[\d.,]+", "#", source) == "Then Tom paid # euros# not #"
    assert len(seen) > 60
    assert any("." in value for value in seen)
    assert set(changed("numbers:1")[4]) == {PAIRS[4]}  # "1 day", but "2 days"


def test_names_are_the_same_on_both_sides():
    found = changed("names:1")[1]
    assert len(set(found)) == 60
    for line in found:
        match = re.fullmatch(r"I met (.+) in (.+)\.\tIch traf (.+) in (.+)\.", line)
        assert match
        assert match.groups()[:2] == match.groups()[2:]
    assert set(changed("names:1", ["Tom's dog\tToms Hund"])[0]) == {"Tom's dog\tToms Hund"}  # a genitive stays


def test_ends_and_parts_and_pairs_of_pairs():
    assert "I met Mary in Boston\tIch traf Mary in Boston" in changed("punctuation:1")[1]
    assert any(line.count("!") > 2 for line in changed("punctuation:1")[3])
    assert set(changed("fragments:1")[2]) == {"He came\tEr kam", "and she left.\tund sie ging."}
    assert set(changed("copy:1")[2]) == {"Er kam, und sie ging.\tEr kam, und sie ging."}
    joined = changed("join:1")[1]
    assert "I met Mary in Boston. He came, and she left.\tIch traf Mary in Boston. Er kam, und sie ging." in joined


def test_sentinels_stand_on_both_sides():
    for lines in changed("keep:1", sentinels=3):
        for line in lines:
            source, target = map(sentinels_of, pair(line))
            assert source == list(range(len(source)))  # numbered as they come
            assert sorted(target) == source
            assert len(source) <= 3
    assert all(sentinel(0) in line for line in changed("keep:1", sentinels=3)[1])
    # What is hidden in every served line is hidden in every pair, whatever the rates are.
    see = f"See {sentinel(0)} now!\tSieh jetzt {sentinel(0)}!"
    assert set(changed("case:0", sentinels=3)[3]) == {see}
    assert set(changed("keep:0")[3]) == {PAIRS[3]}


def test_a_vocabulary_has_sentinels_and_single_digits(tmp_path: Path):
    file = tmp_path / "pairs.tsv"
    file.write_text("".join(f"{line}\n" for line in PAIRS * 4))
    options = TokenizerOptions(
        vocab_size=400, digits="single", sentinels=3, source_language="en", target_language="de", spell_bytes=True
    )
    augmenter = Augmenter(rates("case,keep"), "en", "de", 3)
    rule = learn(Augmented(PairCorpus([file]), augmenter, (0,)), options)
    line = f"In 2019 it{sentinel(1)} was {sentinel(2)}."
    pieces = rule.source_tokens(line)
    assert sum(piece.strip("▁").isdecimal() for piece in pieces) == 4
    assert [piece for piece in pieces if sentinels_of(piece)] == [sentinel(1), sentinel(2)]
    assert rule.decode([rule.encode([line]).ids.tolist()]) == [line]
    assert rule.spec()["sentinels"] == 3
    assert rule.spec()["target_language"] == "de"


def test_random_pairs_keep_their_sides_together():
    """Whatever is changed, a pair has a tab, text on both sides, and the same sentinels."""
    chance = random.Random(1)
    words = ["a", "B", "3", "4,5", "<b>", "Tom", ",", "http://x.de/a", "\U0001f600", ".", "Mary's", "1.000"]
    lines = ["\t".join(" ".join(chance.choices(words, k=chance.randint(1, 9))) for _ in range(2)) for _ in range(300)]
    for found in changed(",".join(f"{name}:1" for name in RATES), lines, 5, turns=3):
        for line in found:
            source, target = pair(line)
            assert source.strip()
            assert target.strip()
            assert line.count("\t") == 1
            assert sorted(sentinels_of(source)) == sorted(sentinels_of(target))
