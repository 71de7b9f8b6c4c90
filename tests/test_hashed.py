"""The rule of hashed features: what is a feature, one bucket for one text, and nothing depends on the lines around it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from textkit.errors import TextkitError
from textkit.text.characters import points_of
from textkit.text.hashed import BUCKETS_FILE, Hashed, from_gaps, gaps
from textkit.text.ngrams.hashing import one_text
from textkit.text.normalizer import Normalizer
from textkit.text.rules import rule_from_spec

LINES = [
    "The cat, sat.", "", "   ", "a", "héllo wörld 12 12", "日本語 x", "no\u00a0break  two  spaces", "emoji 🙂🙂",
    "line\nfeed\rinside", "\ud800 half", "مرحبا", "İstanbul", "12 345", "x" * 300,
]  # fmt: skip


def rule(**options):
    settings = {"word_ngrams": 2, "minimum": 2, "maximum": 4, "buckets": 1 << 21, **options}
    return Hashed(Normalizer(True, "NFC", "split", True), **settings)


def by_hand(words, word_ngrams, minimum, maximum, across):
    """The features of a line by name, counted out one by one."""
    names = [" ".join(words[at : at + n]) for n in range(1, word_ngrams + 1) for at in range(len(words) - n + 1)]
    text = f" {' '.join(words)} " if words else ""
    for n in range(minimum, maximum + 1):
        for at in range(len(text) - n + 1):
            gram = text[at : at + n]
            if gram.strip() and (across or " " not in gram[1:-1]):
                names.append(gram)
    return names


def test_the_features_of_a_line_are_its_words_pairs_and_ngrams_of_characters():
    names = [name for name, _, _ in rule(minimum=3, maximum=3).tokens("The cat")]
    assert names == ["the", "cat", "the cat", " th", "the", "he ", " ca", "cat", "at "]


def test_ngrams_reach_across_words_only_if_asked_to():
    assert "e c" in [name for name, _, _ in rule(across=True).tokens("the cat")]
    assert "e c" not in [name for name, _, _ in rule().tokens("the cat")]
    assert [name for name, _, _ in rule(word_ngrams=0, minimum=1, maximum=1).tokens("ab c")] == ["a", "b", "c"]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(("word_ngrams", "minimum", "maximum"), [(0, 1, 4), (3, 2, 5), (1, 1, 0), (2, 3, 3)])
def test_the_same_text_has_the_same_bucket_wherever_it_stands(word_ngrams, minimum, maximum, across):
    made = rule(word_ngrams=word_ngrams, minimum=minimum, maximum=maximum, across=across)
    buckets, counts = made.buckets_of(LINES)
    assert counts.sum() == len(buckets)
    seen: dict[tuple[bool, str], int] = {}
    begin = 0
    for words, count in zip(made.words_of(LINES), counts.tolist(), strict=True):
        names = by_hand(words, word_ngrams, minimum, maximum, across)
        assert len(names) == count
        of_words = sum(max(0, len(words) - n + 1) for n in range(1, word_ngrams + 1))
        for at, name in enumerate(names):  # a word and an n-gram of the same letters are two features
            key, bucket = (at < of_words, name), int(buckets[begin + at])
            assert seen.setdefault(key, bucket) == bucket
        begin += count
    assert len(set(seen.values())) > 0.99 * len(seen)  # two in a million share a bucket


def test_a_line_has_the_same_rows_alone_and_among_others():
    made = rule()
    together = made.encode(LINES)
    ends = np.cumsum(together.lengths)
    for line, end, length in zip(LINES, ends.tolist(), together.lengths.tolist(), strict=True):
        assert made.encode([line]).ids.tolist() == together.ids[end - length : end].tolist()
    many = made.encode(LINES * 700)  # more than are hashed at once
    assert many.ids.tolist() == together.ids.tolist() * 700


def test_a_long_line_before_others_does_not_count_them_twice():
    made = rule()
    long = "dog " * (1 << 17)  # more characters than are normalised together
    size = int(made.encode([long]).lengths[0])
    for lines in ([long, "end"], [long, *LINES], ["end", long, "end"], [long, long], [long]):
        assert made.encode(lines).lengths.tolist() == [
            size if line is long else int(made.encode([line]).lengths[0]) for line in lines
        ]


def test_digits_are_left_out_if_asked_to():
    made = rule(digits=False)
    assert made.words_of(["a1b 22 c"]) == [["a", "b", "c"]]
    assert made.encode(["12 345"]).lengths.tolist() == [0]
    assert made.words_of(["١٢ x"]) == [["x"]]


def test_nothing_is_read_of_a_line_without_a_letter_if_asked_to():
    made = rule(letterless=False)
    lines = ["!!!", "½ + 3", "♥ 🇩🇪", "", "Ⅳ", "5 €", "a!", "我", "½ й"]
    every = rule().encode(lines)
    assert made.encode(lines).lengths.tolist() == [0] * 6 + every.lengths[6:].tolist()
    assert made.encode(["!!!", "a!"]).ids.tolist() == rule().encode(["a!"]).ids.tolist()
    assert made.keeping(np.arange(9)).encode(["!"]).lengths.tolist() == [0]
    assert rule_from_spec(made.spec(), {}.__getitem__).encode(["!"]).lengths.tolist() == [0]
    before = {key: value for key, value in made.spec().items() if key != "letterless"}  # a model of an older textkit
    assert rule_from_spec(before, {}.__getitem__).encode(["!"]).lengths.tolist() != [0]


@pytest.mark.parametrize("lengths", [[9, 2], [9, 2, 2], [2, 9, 2], [9, 9], [2, 2, 9], [3, 3, 3, 3], [20], [0, 9, 0]])
def test_lines_that_are_read_in_portions_are_read_once(monkeypatch, lengths):
    monkeypatch.setattr("textkit.text.hashed._AT_ONCE", 8)
    made, lines = rule(), ["abcdefghijklmnopqrst"[:length] for length in lengths]
    assert made.encode(lines).lengths.tolist() == [int(made.encode([line]).lengths[0]) for line in lines]
    assert sum(int((block == 10).sum()) for block, _ in made.blocks(lines)) == len(lines)


def test_only_kept_buckets_have_a_row():
    every = rule()
    buckets, _ = every.buckets_of(["the cat"])
    kept = np.unique(buckets)[::2]
    made = every.keeping(kept)
    assert len(made) == len(kept)
    wanted = [int(np.searchsorted(kept, bucket)) for bucket in buckets if bucket in kept]
    encoded = made.encode(["", "the cat", "zzz"])
    assert encoded.ids.tolist() == wanted
    assert encoded.lengths.tolist() == [0, len(wanted), 0]
    assert len(made.tokens("the cat")) == len(wanted)


def test_gaps_spell_any_ascending_numbers():
    numbers = np.array([0, 3, 254, 255, 256, 511, 1000, 5000, 5255, 5511])
    assert from_gaps(gaps(numbers), 5512).tolist() == numbers.tolist()
    assert gaps(np.array([2, 3])) == b"\x02\x00"
    assert gaps(np.array([255])) == b"\xff\x00"
    for data in (b"", b"\xff", b"\x05\xff"):
        with pytest.raises(ValueError, match="ascending"):
            from_gaps(data, 1000)
    with pytest.raises(ValueError, match="below 5"):
        from_gaps(b"\x05", 5)


def test_a_manifest_describes_the_rule():
    made = rule(across=True, digits=False).keeping(np.array([5, 9, 1000]))
    again = rule_from_spec(made.spec(), made.files().__getitem__)
    assert isinstance(again, Hashed)
    assert again.spec() == made.spec()
    assert again.encode(LINES).ids.tolist() == made.encode(LINES).ids.tolist()
    whole = rule_from_spec(rule().spec(), {}.__getitem__)
    assert whole.encode(LINES).ids.tolist() == rule().encode(LINES).ids.tolist()


@pytest.mark.parametrize(
    ("change", "files", "reason"),
    [
        ({"hash": "md5"}, {}, "unknown hash 'md5'"),
        ({"min": 5}, {}, "n-grams of 5 to 4 characters"),
        ({"normalizer": {"lower": True}}, {}, "a normalizer has no 'lower'"),
        ({"kept": BUCKETS_FILE}, {BUCKETS_FILE: b"\xff"}, "not ascending numbers below 2097152"),
        ({"kept": BUCKETS_FILE, "buckets": 3}, {BUCKETS_FILE: b"\x09"}, "not ascending numbers below 3"),
    ],
)
def test_a_wrong_description_is_refused(change, files, reason):
    with pytest.raises(TextkitError, match=f"is not described rightly: .*{reason}"):
        rule_from_spec({**rule().spec(), **change}, files.__getitem__)


def bucket_by_hand(words: list[str], name: str, of_words: bool, buckets: int) -> int:
    """The bucket of a feature by the plain formula."""
    multiplier, salt, whole = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 1 << 64

    def polynomial(text):
        return sum((ord(character) + 1) * multiplier**place for place, character in enumerate(text)) % whole

    if of_words:
        hashed = 0
        for at, word in enumerate(name.split(" ")):
            own = polynomial(word)
            own = (own ^ own >> 31) * multiplier % whole
            hashed = (hashed * salt + own) % whole if at else own
    else:
        hashed = (polynomial(name) + len(name) * salt) % whole
    mixed = (hashed ^ hashed >> 32) * salt % whole
    mixed ^= mixed >> 29
    return (mixed >> 32) * buckets >> 32


@pytest.mark.parametrize("buckets", [1, 77, 1 << 21, (1 << 24) - 1])
def test_buckets_by_the_plain_formula(buckets):
    made = rule(word_ngrams=3, minimum=1, maximum=5, buckets=buckets)
    given, counts = made.buckets_of(LINES)
    wanted = []
    for words in made.words_of(LINES):
        names = by_hand(words, 3, 1, 5, False)
        of_words = sum(max(0, len(words) - n + 1) for n in range(1, 4))
        wanted += [bucket_by_hand(words, name, at < of_words, buckets) for at, name in enumerate(names)]
    assert given.tolist() == wanted
    assert given.dtype == counts.dtype == np.int64


@pytest.mark.parametrize(
    "normalizer",
    [
        Normalizer(),
        Normalizer(False, "NFKC", "keep"),
        Normalizer(True, "NFD", "split", True),
        Normalizer(True, "none", "keep", True),
    ],
)
def test_words_are_those_that_the_normalizer_separates(normalizer):
    drawn = np.random.default_rng(2)
    odd = "ab .,!\u00bf\u2014\u65e5\u30fc\u0e33\u0301\u0327\u0130I\u03a3\u03c3\x00\x1c\x85\u2028\r\u200b\u00ad\ufb01\uff21"
    odd += "\uff01\U0001f600\ud800 \t"
    lines = LINES + ["".join(drawn.choice(list(odd), 30)) for _ in range(300)]
    made = Hashed(normalizer, 1, 1, 0, 77)
    text = normalizer("\n".join(" ".join(line.splitlines()) for line in lines))
    assert made.words_of(lines) == [line.split() for line in text.split("\n")]


@pytest.mark.parametrize(
    "normalizer",
    [
        Normalizer(clean=True), Normalizer(unicode="NFKC"), Normalizer(lowercase=False, unicode="NFD", clean=True),
        Normalizer(unicode="none", punctuation="keep"), Normalizer(unicode="NFKD", clean=True),
    ],
)  # fmt: skip
def test_characters_are_folded_as_texts_are(normalizer):
    """Lines in which no form depends on the neighbours are folded character by character, the others as texts."""
    rng = random.Random(5)
    codes = [
        *range(0x3000),
        *range(0xD7F0, 0xD810),
        *range(0xF900, 0x10000),
        *range(0x1D160, 0x1D1B0),
        *range(0x1F5F0, 0x1F610),
    ]
    often = "abc\u03a3\u03c3 \u0130Ii\t\r\n\u0301\u0327\u200d\u1100\u1161"
    lines = [
        "".join(chr(rng.choice(codes)) if rng.random() < 0.4 else rng.choice(often) for _ in range(rng.randrange(12)))
        for _ in range(4000)
    ]
    hashed = Hashed(normalizer, 1, 1, 3, 1000)
    expected = points_of(normalizer.folded(one_text(lines)) + "\n")
    assert np.array_equal(hashed._points(lines), expected)
    assert np.array_equal(np.concatenate([hashed._points([line]) for line in lines]), expected)
