"""Corpus: streaming, the split, the sample; line_batches: every line once, in an order that can be repeated."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest

from textkit.corpora.batching import line_batches, padded
from textkit.corpora.corpus import Corpus, Reservoir, parts_of
from textkit.errors import TextkitError
from textkit.plugin import Epoch
from textkit.text.words import Words


@pytest.fixture
def numbers(tmp_path):
    """Two files, the second compressed, with the lines 0..999 and 1000..1999."""
    (tmp_path / "a.txt").write_text("".join(f"{n}\n" for n in range(1000)))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("".join(f"{n}\n" for n in range(1000, 2000)).encode()))
    return [tmp_path / "a.txt", tmp_path / "b.txt.gz"]


def test_reads_file_after_file_as_often_as_asked(numbers):
    corpus = Corpus(numbers)
    for _ in range(2):
        assert list(corpus.lines()) == [str(n) for n in range(2000)]


def test_chunks_have_the_length_asked_for(numbers):
    chunks = list(Corpus(numbers).chunks(300))
    assert [len(chunk) for chunk in chunks] == [300] * 6 + [200]
    assert sum(chunks, []) == [str(n) for n in range(2000)]


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    (tmp_path / "a").write_text(
        "some words on a line of eighty characters, so that there are many of them, and no\n" * 200_000
    )
    tracemalloc.start()
    corpus = Corpus([tmp_path / "a"]).sampled(100, seed=1)
    lines = sum(len(chunk) for chunk in corpus.chunks(1000))
    counts = corpus.split(1, tmp_path / "dev", tmp_path / "test")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == sum(counts.values()) == 200_000  # 16 MB
    assert peak < 6e6


def test_zstandard(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    (tmp_path / "a.zst").write_bytes(zstandard.compress(b"a b\nc\n"))
    assert list(Corpus([tmp_path / "a.zst"]).lines()) == ["a b", "c"]


def test_parts_are_a_hash_of_number_and_seed_written_down_for_good():
    # splitmix64 (the reference outputs for state 0 are 0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4), then % 100, computed
    # below in arbitrary precision: a change of the hash would change the split of every existing run.
    def splitmix(value):
        value = (value + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    assert splitmix(0) == 0xE220A8397B1DCDAF
    shares = [splitmix(number ^ splitmix(7)) % 100 for number in range(1000)]
    expected = [0 if share < 70 else 1 if share < 90 else 2 for share in shares]
    assert parts_of(np.arange(1000), 7).tolist() == expected
    assert parts_of(np.arange(1000), 8).tolist() != expected


def test_split_is_70_20_10_and_every_line_falls_to_one_part(numbers, tmp_path):
    counts = Corpus(numbers).split(3, tmp_path / "dev", tmp_path / "test")
    assert sum(counts.values()) == 2000
    # Standard deviations of 2000 draws: 20, 18, 13; four of them are allowed.
    assert abs(counts["train"] - 1400) < 82
    assert abs(counts["dev"] - 400) < 72
    assert abs(counts["test"] - 200) < 54
    train = list(Corpus(numbers, "train", 3).lines())
    dev, test = (list(Corpus([tmp_path / name]).lines()) for name in ("dev", "test"))
    assert [len(train), len(dev), len(test)] == list(counts.values())
    assert sorted(map(int, train + dev + test)) == list(range(2000))
    assert dev == list(Corpus(numbers, "dev", 3).lines())


def test_sample_comes_from_the_first_whole_pass_and_holds_no_blank_lines(tmp_path):
    (tmp_path / "a").write_text("".join(f"{n}\n \n" for n in range(500)))
    corpus = Corpus([tmp_path / "a"]).sampled(20, seed=1)
    next(corpus.lines())
    assert corpus.sample is None
    assert len(list(corpus.chunks(7))) == 143  # 1000 lines
    first = corpus.sample
    assert len(first) == len(set(first)) == 20
    assert set(first) <= {str(n) for n in range(500)}
    assert corpus.total == 1000
    assert len(list(corpus.lines())) == 1000
    assert corpus.sample is first
    again = Corpus([tmp_path / "a"]).sampled(20, seed=1)
    list(again.lines())
    assert again.sample == first


def test_a_corpus_smaller_than_the_sample_is_the_sample(tmp_path):
    (tmp_path / "a").write_text("x\ny\n")
    corpus = Corpus([tmp_path / "a"]).sampled(20, seed=1)
    list(corpus.lines())
    assert corpus.sample == ["x", "y"]


def test_reservoir_draws_evenly():
    hits = np.zeros(50)
    for seed in range(2000):
        reservoir = Reservoir(5, seed)
        for start in range(0, 50, 7):
            reservoir.add([str(n) for n in range(start, min(start + 7, 50))])
        hits[[int(item) for item in reservoir.kept]] += 1
    # Each of the 50 is chosen with probability 1/10: 200 of 2000, standard deviation 13.4; five of them are allowed.
    assert hits.sum() == 10_000
    assert np.abs(hits - 200).max() < 67


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\x7fELF\0\0"), "is binary"),
    ],
)
def test_check_names_the_file_and_what_is_wrong_with_it(tmp_path, numbers, make, message):
    path = tmp_path / "wrong.txt"
    make(path)
    with pytest.raises(TextkitError, match=rf"wrong\.txt: {message}"):
        Corpus([numbers[0], path]).check()


def test_check_refuses_what_can_be_read_only_once(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TextkitError, match="reads its data more than once"):
        Corpus([tmp_path / "pipe"]).check()


def batches(numbers, **epoch):
    return list(line_batches(Corpus(numbers), Epoch(**{"number": 0, "seed": 1, "batch_size": 32, **epoch})))


def test_line_batches_hold_every_line_once_in_an_order_of_seed_and_epoch(numbers):
    first = batches(numbers)
    assert [len(batch) for batch in first] == [32] * 62 + [16]
    assert sorted(map(int, sum(first, []))) == list(range(2000))
    assert first == batches(numbers)
    assert first != batches(numbers, number=1)
    assert first != batches(numbers, seed=2)


@pytest.mark.parametrize("start", [0, 1, 62, 63])
def test_line_batches_begin_where_asked(numbers, start):
    assert batches(numbers, start=start) == batches(numbers)[start:]


def test_line_batches_of_size_zero_are_one_batch(numbers):
    (batch,) = batches(numbers, batch_size=0)
    assert len(batch) == 2000


def test_line_batches_leave_blank_lines_out(tmp_path):
    (tmp_path / "a").write_text("x\n\n \ny\n")
    assert sorted(batches([tmp_path / "a"])[0]) == ["x", "y"]


def test_line_batches_shuffle_a_window_at_a_time(numbers):
    epoch = Epoch(0, 1, batch_size=1000)
    first, second = line_batches(Corpus(numbers), epoch, window=1000)
    assert sorted(map(int, first)) == list(range(1000))
    assert sorted(map(int, second)) == list(range(1000, 2000))


def test_padded_puts_zeros_where_no_token_is():
    ids, weight = padded(Words(["a", "b", "c"]), ["c b", "", "b c a"], longest=2)
    assert ids.tolist() == [[2, 1], [0, 0], [1, 2]]
    assert weight.tolist() == [[1, 1], [0, 0], [1, 1]]
