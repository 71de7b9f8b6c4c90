"""PairCorpus: TSV or two files, plain or compressed; the split, the sample; what does not match is refused."""

from __future__ import annotations

import pytest
from data_file import data_file

from textkit.corpora.corpus import Corpus
from textkit.corpora.pairs import PairCorpus, pair, sides
from textkit.errors import TextkitError

ENGLISH = [f"line {n}" for n in range(1000)]
GERMAN = [f"Zeile {n}" for n in range(1000)]
PAIRS = [f"line {n}\tZeile {n}" for n in range(1000)]


def write(path, lines):
    return data_file(path.parent, "".join(f"{line}\n" for line in lines), path.name)


@pytest.mark.parametrize("names", [("a.en", "a.de"), ("a.en.gz", "a.de.zst"), ("a.en", "a.de.gz")])
def test_two_files_belong_together_line_by_line(tmp_path, names):
    corpus = PairCorpus([write(tmp_path / names[0], ENGLISH), write(tmp_path / names[1], GERMAN)])
    corpus.check()
    assert corpus.aligned
    for _ in range(2):
        assert list(corpus.lines()) == PAIRS
    assert [len(chunk) for chunk in corpus.chunks(300)] == [300, 300, 300, 100]


@pytest.mark.parametrize("names", [("a.tsv",), ("a.tsv", "b.tsv.gz"), ("a.tsv.zst", "b.tsv", "c.tsv")])
def test_tsv_files_one_after_the_other(tmp_path, names):
    n = len(names)
    corpus = PairCorpus([write(tmp_path / name, PAIRS[at::n]) for at, name in enumerate(names)])
    corpus.check()
    assert not corpus.aligned
    assert list(corpus.lines()) == [line for at in range(n) for line in PAIRS[at::n]]


def test_files_of_very_different_size_stay_aligned(tmp_path):
    """A block of one file holds thousands of lines, and a block of the other only a few."""
    long = [f"{n} " + "word " * 2000 for n in range(700)]
    corpus = PairCorpus([write(tmp_path / "a", map(str, range(700))), write(tmp_path / "b", long)])
    assert [pair(line)[1].split()[0] for line in corpus.lines()] == [pair(line)[0] for line in corpus.lines()]
    assert sum(1 for _ in corpus.lines()) == 700


def test_further_columns_are_ignored_and_empty_sides_kept(tmp_path):
    file = write(tmp_path / "a.tsv", ["a\tb\tCC-BY 2.0 (someone)\tmore", "", "  ", "\tx", "y\t", "c\td\r"])
    assert list(PairCorpus([file]).lines()) == ["a\tb", "\t", "\t", "\tx", "y\t", "c\td"]
    assert sides(["a\tb", "\t", "\tx"]) == (["a", "", ""], ["b", "", "x"])
    assert PairCorpus.pair("a\tb") == ("a", "b")


def test_every_line_has_one_tab_whatever_the_two_files_hold(tmp_path):
    first = write(tmp_path / "a", ["", "plain", "with\ta tab", "", "end"])
    second = write(tmp_path / "b", ["x", "a\tb\tc", "", "", "Ende"])
    expected = ["\tx", "plain\ta b c", "with a tab\t", "\t", "end\tEnde"]
    assert list(PairCorpus([first, second]).lines()) == expected


@pytest.mark.parametrize(("first", "second"), [(1000, 999), (3, 1000), (1000, 1)])
def test_files_of_unequal_length_are_refused_with_both_counts(tmp_path, first, second):
    corpus = PairCorpus([write(tmp_path / "a", ENGLISH[:first]), write(tmp_path / "b", GERMAN[:second])])
    message = f"a has {first} lines, .*b {second}: line by line they must belong together"
    with pytest.raises(TextkitError, match=message):
        corpus.check()
    with pytest.raises(TextkitError, match=message):  # also if nobody checked before
        list(corpus.lines())


def test_a_line_without_a_tab_is_named(tmp_path):
    file = write(tmp_path / "a.tsv", [*PAIRS, "no tab here"])
    with pytest.raises(TextkitError, match=r"a\.tsv, line 1001: has no tab: a pair is source<tab>target"):
        list(PairCorpus([file]).lines())


def test_files_that_are_no_pairs(tmp_path):
    plain = write(tmp_path / "a", ENGLISH)
    with pytest.raises(
        TextkitError, match="a: has no tab in its first line: pairs are TSV files, or two files of lines"
    ):
        PairCorpus([plain]).check()
    with pytest.raises(TextkitError, match="has no tab in its first line"):
        PairCorpus([plain, plain, plain]).check()
    with pytest.raises(TextkitError, match="no such file"):
        PairCorpus([plain, tmp_path / "none"]).check()
    with pytest.raises(TextkitError, match="is empty"):
        PairCorpus([plain, write(tmp_path / "empty", [])]).check()
    (tmp_path / "binary").write_bytes(b"a\0b\n" * 1000)
    with pytest.raises(TextkitError, match="is binary"):
        PairCorpus([plain, tmp_path / "binary"]).check()


def test_blank_lines_before_the_first_text_do_not_decide(tmp_path):
    tsv = write(tmp_path / "a.tsv", ["", " ", "a\tb"])
    assert not PairCorpus([tsv, tsv]).aligned
    plain = write(tmp_path / "a", ["", "", "a"])
    assert PairCorpus([plain, tsv]).aligned


def test_files_without_one_whole_pair_are_refused_at_once(tmp_path):
    """This holds for a dev file too, whose score would only be due after the first epoch."""
    blanks, text = write(tmp_path / "blanks", ["", " "]), write(tmp_path / "text", ["a", "b"])
    for paths in ([blanks], [blanks, blanks], [text, blanks], [write(tmp_path / "a.tsv", ["\t", "a\t ", "\tb"])]):
        with pytest.raises(TextkitError, match=f"{paths[0].name}: has no pair of lines with text on both sides"):
            PairCorpus(paths).check()


def test_the_split_gives_every_pair_to_one_part_and_writes_tsv(tmp_path):
    two = PairCorpus([write(tmp_path / "a", ENGLISH), write(tmp_path / "b", GERMAN)])
    counts = two.split(3, tmp_path / "dev.txt", tmp_path / "test.txt")
    train = two.with_part("train", 3)
    dev, test = (two.with_paths([tmp_path / name]) for name in ("dev.txt", "test.txt"))
    found = [list(part.lines()) for part in (train, dev, test)]
    assert [len(part) for part in found] == list(counts.values())
    assert sorted(sum(found, [])) == sorted(PAIRS)
    assert all(isinstance(part, PairCorpus) for part in (train, dev, test))
    # the same share of the same line, whether it came from TSV, two files or lines
    tsv = write(tmp_path / "a.tsv", PAIRS)
    assert list(PairCorpus([tsv], "train", 3).lines()) == list(Corpus([tsv], "train", 3).lines()) == found[0]


def test_a_corpus_of_pairs_samples_itself_while_it_is_read(tmp_path):
    lines = [*PAIRS, "", "\t"]
    sampled = PairCorpus([write(tmp_path / "a.tsv", lines)]).sampled(50, seed=1)
    assert list(sampled.lines()) == [*PAIRS, "\t", "\t"]
    assert sampled.total == 1002
    assert len(set(sampled.sample)) == 50
    assert set(sampled.sample) <= set(PAIRS)
    assert list(sampled.chunks(2000))[0][:2] == PAIRS[:2]  # again, after the sample is taken
    train = PairCorpus([tmp_path / "a.tsv"], "train", 7).sampled(5, seed=1)
    assert list(train.lines()) == list(PairCorpus([tmp_path / "a.tsv"], "train", 7).lines())
    assert isinstance(train.with_part("dev", 7), PairCorpus)
