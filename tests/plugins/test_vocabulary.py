"""The words of a corpus, and the corpus as ids: by hand on a few lines, and with errors and interruptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError
from textkit.text.normalizer import Normalizer
from textkit.text.subwords import NGrams
from textkit.text.words import Words
from textkit_plugins.embeddings import vocabulary
from textkit_plugins.embeddings.vocabulary import LINE_END, TextOptions


def corpus(folder: Path, *lines: str) -> Corpus:
    path = folder / "text.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Corpus([path])


def test_words_are_sorted_by_count_and_ties_by_first_sight(tmp_path: Path) -> None:
    rule = vocabulary.build(corpus(tmp_path, "d b a", "c b", "", "B. d"), TextOptions(min_count=1))
    assert rule.words == ["b", "d", "a", "c", "."]
    assert rule.counts.tolist() == [3, 2, 1, 1, 1]
    assert rule.counts.dtype == np.int64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_count": 2}, ["the", "Fly", ",", "fly"]),
        ({"min_count": 2, "vocab_size": 3}, ["the", "Fly", ","]),
        ({"min_count": 2, "lowercase": True}, ["fly", "the", ","]),
        ({"min_count": 3}, ["the"]),
        ({"min_count": 2, "punctuation": "keep"}, ["the", "Fly,", "fly"]),
    ],
)
def test_options(tmp_path: Path, options: dict, words: list[str]) -> None:
    text = corpus(tmp_path, "the Fly, the fly", "the Fly, ten", "fly")
    rule = vocabulary.build(text, TextOptions(**{"lowercase": False, **options}), least=1)
    assert rule.words == words
    assert rule.normalizer == Normalizer(
        options.get("lowercase", False), "NFC", options.get("punctuation", "split"), clean=True
    )


def test_unicode_is_composed(tmp_path: Path) -> None:
    text = corpus(tmp_path, "caf\u00e9 cafe\u0301", "x")
    assert vocabulary.build(text, TextOptions(min_count=1)).words == ["caf\u00e9", "x"]
    assert len(vocabulary.build(text, TextOptions(min_count=1, unicode="none"))) == 3


@pytest.mark.parametrize("wrong", [{"min_count": 0}, {"vocab_size": -1}, {"unicode": "NFX"}, {"punctuation": "eat"}])
def test_options_out_of_range(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        TextOptions(**wrong)


def test_a_corpus_too_small_names_file_and_option(tmp_path: Path) -> None:
    text = corpus(tmp_path, "a b a c")
    with pytest.raises(
        TextkitError, match=r"text\.txt: .*too small: 1 of its 3 distinct words occurs min_count=2 times"
    ):
        vocabulary.build(text, TextOptions(min_count=2))
    with pytest.raises(TextkitError, match="0 of its 3 .* at least 2 are needed"):
        vocabulary.build(text, TextOptions())


def test_counting_with_a_bound_forgets_the_rarest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_CHUNK_LINES", 1)
    text = corpus(tmp_path, "a a a b b c", "d e", "a f")
    # After line 2 there are five words, and c, d, e (seen once) are dropped; after line 3: a 4, b 2, f 1, which fit.
    assert vocabulary.count(text, Normalizer(), most=3) == {"a": 4, "b": 2, "f": 1}
    # After line 1 there are three, and c is dropped; after line 2 four, and b, d, e (at most twice) are; then a 4, f 1.
    assert vocabulary.count(text, Normalizer(), most=2) == {"a": 4, "f": 1}
    assert vocabulary.count(text, Normalizer(), most=6) == {"a": 4, "b": 2, "c": 1, "d": 1, "e": 1, "f": 1}


def test_encoded_by_hand(tmp_path: Path) -> None:
    text = corpus(tmp_path, "a zz b A", "", "zz", "c b a", "c")
    scratch = tmp_path / "scratch"
    ids = vocabulary.encoded(text, Words(["a", "b", "c"], Normalizer()), scratch)
    assert ids.tolist() == [0, 1, 0, LINE_END, 2, 1, 0, LINE_END, 2, LINE_END]
    assert ids.dtype == np.int32
    assert not ids.flags.writeable


def test_encoded_leaves_words_alone_that_subwords_would_spell(tmp_path: Path) -> None:
    text = corpus(tmp_path, "ab cd ab")
    rule = Words(["ab"], Normalizer(), NGrams(2, 3, buckets=10, first=1))
    assert vocabulary.encoded(text, rule, tmp_path / "s").tolist() == [0, 0, LINE_END]


def test_encoded_does_not_depend_on_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    lines = [" ".join(f"w{n}" for n in random.integers(0, 30, random.integers(0, 6))) for _ in range(200)]
    text = corpus(tmp_path, *lines)
    rule = vocabulary.build(text, TextOptions(min_count=17))
    assert 2 < len(rule) < 30
    expected = [
        id for line in lines if (known := [rule.id(w) for w in line.split() if w in rule]) for id in [*known, LINE_END]
    ]
    for chunk in (1, 7, 10_000):
        monkeypatch.setattr(vocabulary, "_CHUNK_LINES", chunk)
        ids = vocabulary.encoded(text, rule, tmp_path / f"chunk{chunk}")
        assert ids.tolist() == expected


def test_a_resumed_run_reads_the_file_again_and_ignores_half_a_file(tmp_path: Path) -> None:
    text = corpus(tmp_path, "a b")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / f"{vocabulary.ENCODED_FILE}.part").write_bytes(b"interrupted")
    rule = Words(["a", "b"], Normalizer())
    first = vocabulary.encoded(text, rule, scratch).tolist()
    assert [path.name for path in scratch.iterdir()] == [vocabulary.ENCODED_FILE]
    text.paths[0].unlink()
    assert vocabulary.encoded(text, rule, scratch).tolist() == first == [0, 1, LINE_END]


def test_a_corpus_without_any_of_the_words(tmp_path: Path) -> None:
    with pytest.raises(TextkitError, match=r"text\.txt: no word of the vocabulary occurs"):
        vocabulary.encoded(corpus(tmp_path, "x y"), Words(["a"]), tmp_path / "scratch")
