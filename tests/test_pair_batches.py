"""Encoded pairs and their batches: padding by hand, budgets kept, filters counted, an order that can be repeated."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from textkit.corpora.pair_batches import (
    EncodedPairs,
    PairBatch,
    count_batches,
    encoded_pairs,
    pair_batch,
    token_batches,
)
from textkit.corpora.pairs import PairCorpus
from textkit.corpora.tokenizing import TokenizerOptions, learn
from textkit.errors import TextkitError, TextkitWarning
from textkit.plugin import Epoch
from textkit.training.events import Done
from textkit.training.progress import sentence

PAD, UNK, START, EOS = range(4)


class Folder:
    """What encoded_pairs needs of a run."""

    def __init__(self, path):
        self.scratch, self.facts = path / "scratch", {}
        self.scratch.mkdir()


def corpus_of(tmp_path, *lines):
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\n" for line in lines))
    return PairCorpus([tmp_path / "pairs.tsv"])


def words(corpus, **options):
    return learn(corpus, TokenizerOptions(tokenizer="word", min_count=1, **options))


def many(n, seed=0, longest=40):
    """EncodedPairs whose ids count up from 4, so that every token of every pair is different."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest, (2, n)) + 1
    arrays = []
    for side in lengths:
        ids = np.arange(4, 4 + side.sum(), dtype=np.int32)
        ids[np.cumsum(side) - 1] = EOS
        arrays.append((ids, np.concatenate([[0], np.cumsum(side)])))
    (source, source_starts), (target, target_starts) = arrays
    return EncodedPairs(source, target, source_starts, target_starts, START, PAD, PAD, {"kept": n})


def test_padding_and_masks_by_hand(tmp_path):
    corpus = corpus_of(tmp_path, "a b\tx y z", "c\tx")
    rule = words(corpus)  # x twice, then a b c y z
    assert rule.vocabulary()[0][4:] == ["▁x", "▁a", "▁b", "▁c", "▁y", "▁z"]
    batch = pair_batch(encoded_pairs(corpus, rule, None), np.array([0, 1]))
    assert batch.source.tolist() == [[5, 6, 3], [7, 3, 0]]
    assert batch.source_mask.tolist() == [[True, True, True], [True, True, False]]
    assert batch.target_in.tolist() == [[2, 4, 8, 9], [2, 4, 0, 0]]
    assert batch.target_out.tolist() == [[4, 8, 9, 3], [4, 3, 0, 0]]
    assert batch.target_mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert [tensor.dtype for tensor in batch[:5]] == [torch.int64, torch.bool, torch.int64, torch.int64, torch.bool]
    assert (batch.examples, batch.words) == (2, 6)
    assert PairBatch(*batch[:5]).words == 6  # counted if nobody gave it


def test_a_reversed_source_in_a_batch(tmp_path):
    corpus = corpus_of(tmp_path, "a b\tx y z", "c\tx")
    batch = pair_batch(encoded_pairs(corpus, words(corpus, reverse=True), None), np.array([1, 0]))
    assert batch.source.tolist() == [[7, 3, 0], [6, 5, 3]]
    assert batch.target_out.tolist() == [[4, 3, 0, 0], [4, 8, 9, 3]]


def test_a_pad_that_is_a_token_of_the_other_side(tmp_path):
    """Marian's start token is its pad; only the mask tells them apart."""
    corpus = corpus_of(tmp_path, "a b\tx", "c\tx y z")
    rule = words(corpus)
    rule.start = rule.pad = 9
    rule.source_pad = 8
    batch = pair_batch(encoded_pairs(corpus, rule, None), np.array([0, 1]))
    assert batch.source.tolist() == [[5, 6, 3], [7, 3, 8]]
    assert batch.target_in.tolist() == [[9, 4, 9, 9], [9, 4, 8, 9]]
    assert batch.target_out.tolist() == [[4, 3, 9, 9], [4, 8, 9, 3]]
    assert batch.target_mask.tolist() == [[True, True, False, False], [True] * 4]


def test_what_is_left_out_is_counted(tmp_path):
    corpus = corpus_of(
        tmp_path,
        "a\tb",
        "\tb", "a\t", "", "\t", " ▁\tb",  # five empty
        "a b c d\tb", "a b c d e\tb b", "b\ta b c",  # four, five and three words; a side without room for eos is long
        "a b c\tb", "a b\tb",
    )  # fmt: skip
    pairs = encoded_pairs(corpus, words(corpus), None, max_tokens=4, max_ratio=2.5)
    assert pairs.counts == {"kept": 2, "empty": 5, "long": 2, "lopsided": 2}
    assert len(pairs) == 2
    assert (pairs.source_lengths.tolist(), pairs.target_lengths.tolist()) == ([2, 3], [2, 2])
    everything = encoded_pairs(corpus, words(corpus), None)
    assert everything.counts == {"kept": 6, "empty": 5, "long": 0, "lopsided": 0}
    exactly = encoded_pairs(corpus, words(corpus), None, max_ratio=3)
    assert exactly.counts["lopsided"] == 1  # three times is not more than three times


def test_nothing_left_names_the_counts(tmp_path):
    corpus = corpus_of(tmp_path, "a b c\tx", "\tx", "a a a a a a\tx", "y y y\tx")
    rule, run = words(corpus), Folder(tmp_path)
    message = r"pairs\.tsv: no pair is left to learn from: 1 empty, 1 long, 2 lopsided"
    with pytest.raises(TextkitError, match=message):
        encoded_pairs(corpus, rule, None, max_tokens=6, max_ratio=1.5)
    for _ in range(2):  # the second time the pairs come from the files
        with pytest.raises(TextkitError, match=message):
            encoded_pairs(corpus, rule, run, max_tokens=6, max_ratio=1.5)


def test_ids_are_made_once_and_mapped(tmp_path, monkeypatch):
    corpus = corpus_of(tmp_path, *(f"a b{n}\tx y z{n}" for n in range(300)), "\tx")
    rule, run = words(corpus), Folder(tmp_path)
    monkeypatch.setattr("textkit.corpora.pair_batches._LINES", 70)  # several blocks
    pairs = encoded_pairs(corpus, rule, run, 100, 9.0)
    assert isinstance(pairs.source, np.memmap)
    assert run.facts["pairs"] == {"kept": 300, "empty": 1, "long": 0, "lopsided": 0}
    in_memory = encoded_pairs(corpus, rule, None, 100, 9.0)
    for name in ("source", "target", "source_starts", "target_starts"):
        np.testing.assert_array_equal(getattr(pairs, name), getattr(in_memory, name))

    def refuse(lines):
        raise AssertionError("encoded again")

    monkeypatch.setattr(rule, "encode", refuse)
    again = encoded_pairs(corpus, rule, run, 100, 9.0)
    assert len(again) == 300
    run.facts.clear()  # as after kill -9
    encoded_pairs(corpus, rule, run, 100, 9.0)
    assert run.facts["pairs"]["kept"] == 300
    with pytest.raises(AssertionError, match="encoded again"):  # other limits need other files
        encoded_pairs(corpus, rule, run, 99, 9.0)
    monkeypatch.undo()
    assert len(encoded_pairs(corpus.with_part("dev", 1), rule, run, 100, 9.0)) < 100


def test_a_half_written_folder_is_not_believed(tmp_path, monkeypatch):
    corpus = corpus_of(tmp_path, "a\tb", "c\td")
    rule, run = words(corpus), Folder(tmp_path)
    monkeypatch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        encoded_pairs(corpus, rule, run)
    monkeypatch.undo()
    assert len(encoded_pairs(corpus, rule, run)) == 2
    assert [entry.suffix for entry in run.scratch.iterdir()] == [""]


def test_another_process_that_was_faster_is_no_error(tmp_path, monkeypatch):
    corpus = corpus_of(tmp_path, "a\tb", "c\td")
    rule, run = words(corpus), Folder(tmp_path)
    encoded_pairs(corpus, rule, run)
    (folder,) = run.scratch.iterdir()
    answers = iter([False])
    monkeypatch.setattr(type(folder), "exists", lambda path: next(answers, True))
    assert len(encoded_pairs(corpus, rule, run)) == 2
    monkeypatch.undo()
    assert list(run.scratch.iterdir()) == [folder]


@pytest.mark.parametrize("budget", [41, 100, 1000, 10**6])
def test_every_pair_once_and_no_batch_beyond_the_budget(budget):
    pairs = many(700)
    batches = list(token_batches(pairs, Epoch(0, 1), budget))
    assert len(batches) == count_batches(pairs, Epoch(0, 1), budget) == count_batches(pairs, Epoch(3, 9, 2), budget)
    for batch in batches:
        assert max(batch.source.numel(), batch.target_out.numel()) <= budget
    source = torch.cat([batch.source[batch.source_mask] for batch in batches])
    target = torch.cat([batch.target_out[batch.target_mask] for batch in batches])
    assert sorted(source.tolist()) == sorted(pairs.source.tolist())
    assert sorted(target.tolist()) == sorted(pairs.target.tolist())
    assert sum(batch.examples for batch in batches) == 700
    assert sum(batch.words for batch in batches) == len(pairs.target)
    for batch in batches:  # the sides of a row belong together, one step apart
        assert (batch.target_in[:, 0] == START).all()
        after = batch.target_mask[:, 1:]
        assert torch.equal(batch.target_in[:, 1:][after], batch.target_out[:, :-1][after])
        assert (batch.target_out[torch.arange(batch.examples), batch.target_mask.sum(1) - 1] == EOS).all()
        assert torch.equal(batch.source != PAD, batch.source_mask)
        first_of_source = {int(pairs.source[at]): n for n, at in enumerate(pairs.source_starts[:-1])}
        first_of_target = {int(pairs.target[at]): n for n, at in enumerate(pairs.target_starts[:-1])}
        numbers = [first_of_source[token] for token in batch.source[:, 0].tolist()]
        assert numbers == [first_of_target[token] for token in batch.target_out[:, 0].tolist()]


def test_batches_are_as_full_as_they_can_be():
    """A plain loop that takes one pair after the other cuts the same batches."""
    pairs = many(500, seed=3)
    by_length = sorted(zip(pairs.target_lengths.tolist(), pairs.source_lengths.tolist(), strict=True))
    shapes, count, width = [], 0, 0
    for lengths in by_length:
        if (count + 1) * max(width, *lengths) > 300:
            shapes.append((count, width))
            count, width = 0, 0
        count, width = count + 1, max(width, *lengths)
    shapes.append((count, width))
    found = [
        (batch.examples, max(batch.source.shape[1], batch.target_out.shape[1]))
        for batch in token_batches(pairs, Epoch(0, 1), 300)
    ]
    assert sorted(found) == sorted(shapes)
    assert found != shapes  # the batches are shuffled afterwards


def test_little_is_padding():
    random = np.random.default_rng(1)
    source = random.integers(5, 40, 20_000)
    target = np.maximum(2, source + random.integers(-3, 4, 20_000))
    starts = [np.concatenate([[0], np.cumsum(side)]) for side in (source, target)]
    ids = [np.full(side.sum(), 5, np.int32) for side in (source, target)]
    pairs = EncodedPairs(*ids, *starts, START, PAD, PAD, {})
    batches = list(token_batches(pairs, Epoch(0, 1), 4096))
    assert sum(batch.words for batch in batches) / sum(batch.target_out.numel() for batch in batches) > 0.98
    assert source.sum() / sum(batch.source.numel() for batch in batches) > 0.9


def test_the_order_follows_from_seed_and_number_and_resumes_anywhere():
    pairs = many(300)
    whole = [batch.source.tolist() for batch in token_batches(pairs, Epoch(2, 7), 200)]
    assert whole == [batch.source.tolist() for batch in token_batches(pairs, Epoch(2, 7), 200)]
    for start in (0, 1, 17, len(whole) - 1, len(whole), len(whole) + 5):
        assert [batch.source.tolist() for batch in token_batches(pairs, Epoch(2, 7, start), 200)] == whole[start:]
    for other in (Epoch(3, 7), Epoch(2, 8)):
        assert [batch.source.tolist() for batch in token_batches(pairs, other, 200)] != whole


def test_pairs_of_the_same_lengths_do_not_always_meet_in_the_same_batch():
    pairs = many(400, longest=4)  # nine kinds of pairs
    together = [
        {frozenset(batch.source[:, 0].tolist()) for batch in token_batches(pairs, Epoch(n, 1), 40)} for n in (0, 1)
    ]
    assert len(together[0] & together[1]) < 5


def test_a_budget_smaller_than_a_pair():
    with pytest.raises(TextkitError, match="batch_tokens=30: the longest pair has 40 tokens on a side"):
        list(token_batches(many(300), Epoch(0, 1), 30))


def test_many_pairs_left_out_are_worth_a_warning(tmp_path):
    corpus = corpus_of(tmp_path, *["a\tb"] * 17, *["\tb"] * 2, "a b c d\tb")
    rule, run = words(corpus), Folder(tmp_path)
    with pytest.warns(TextkitWarning, match=r"pairs\.tsv: 3 of 20 pairs are left out: 2 empty, 1 long$"):
        encoded_pairs(corpus, rule, run, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = encoded_pairs(corpus, rule, run, 4)  # the warning is not repeated
        more = encoded_pairs(corpus, rule, run)  # two of twenty are not many
    assert (len(again), len(more)) == (17, 18)


def test_the_end_tells_of_pairs_left_out():
    facts = {"seconds": 1.0, "pairs": {"kept": 28_998, "empty": 0, "long": 1_000, "lopsided": 2}}
    assert sentence(Done("epochs", facts), "run") == (
        "trained in 1.0 s; 1,002 of 30,000 pairs were left out (1,000 long, 2 lopsided); the run is run"
    )
    facts["pairs"] = {"kept": 5, "empty": 0}
    assert sentence(Done("epochs", facts), "run") == "trained in 1.0 s; the run is run"


def test_facts_are_plain_json(tmp_path):
    corpus = corpus_of(tmp_path, "a\tb")
    run = Folder(tmp_path)
    encoded_pairs(corpus, words(corpus), run, 5, 2.0)
    assert json.loads(json.dumps(run.facts)) == {"pairs": {"kept": 1, "empty": 0, "long": 0, "lopsided": 0}}
