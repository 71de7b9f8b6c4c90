"""BPE-dropout: probabilities by hand, the tokenizer's spelling without dropout, text that is kept, epochs that differ."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from textkit.corpora.bpe_dropout import Merges, _hashed, respelt
from textkit.corpora.pair_batches import encoded_pairs
from textkit.corpora.pairs import PairCorpus
from textkit.corpora.tokenizing import TokenizerOptions, learn
from textkit.plugin import Epoch
from textkit.registry import registry

LINES = [
    "the lower the newer , the newest\tje tiefer desto neuer , am neuesten",
    "a low tower is no wider\tein tiefer Turm ist nicht breiter",
    "the widest , the lowest , the newest towers\tdie breitesten , tiefsten , neuesten Türme",
    "the lower tower is the newer tower\tder tiefere Turm ist der neuere Turm",
] * 3


class Folder:
    """What encoded_pairs and respelt need of a run."""

    def __init__(self, path):
        self.scratch, self.facts = path / "scratch", {}
        self.scratch.mkdir()


@pytest.fixture(params=["keep", "split"])
def corpus(request, tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\n" for line in LINES))
    corpus = PairCorpus([tmp_path / "pairs.tsv"])
    rule = learn(corpus, TokenizerOptions(vocab_size=340, punctuation=request.param))
    return encoded_pairs(corpus, rule, None), rule


def at(number, run=None, seed=1):
    return Epoch(number, seed, 0, 32, run and run.scratch)


def same(one, other):
    fields = ("source", "target", "source_starts", "target_starts")
    return all(np.array_equal(getattr(one, field), getattr(other, field)) for field in fields)


def texts(pairs, rule):
    return [
        rule.decode([part.tolist() for part in np.split(ids, starts[1:-1])])
        for ids, starts in ((pairs.source, pairs.source_starts), (pairs.target, pairs.target_starts))
    ]


def test_without_dropout_words_are_spelt_as_the_tokenizer_spells_them(corpus):
    pairs, rule = corpus
    assert len(pairs.source) < sum(len(line.split("\t")[0]) for line in LINES), "something is merged"
    assert same(respelt(pairs, rule, 0.0, 0, at(0)), pairs)


def test_another_spelling_is_the_same_text(corpus):
    pairs, rule = corpus
    other = respelt(pairs, rule, 0.4, 0, at(0))
    assert len(other.source) > len(pairs.source)
    assert texts(other, rule) == texts(pairs, rule)


def test_all_merges_left_out_are_characters(corpus):
    pairs, rule = corpus
    other = respelt(pairs, rule, 1 - 1e-12, 0, at(0))
    first = other.source[: other.source_starts[1]]
    assert [rule.target_token(token) for token in first] == [*"▁the▁lower▁the▁newer▁,▁the▁newest", "</s>"]


def test_an_epoch_is_always_the_same_and_no_other_is(corpus, tmp_path):
    pairs, rule = corpus
    run = Folder(tmp_path)
    first = respelt(pairs, rule, 0.3, 0, at(3, run))
    (file,) = run.scratch.iterdir()
    changed = file.stat().st_mtime_ns
    assert same(respelt(pairs, rule, 0.3, 0, at(3, run)), first)
    assert file.stat().st_mtime_ns == changed, "the spellings are made once"
    assert same(respelt(pairs, rule, 0.3, 0, at(3)), first), "with a file or without"
    assert not same(respelt(pairs, rule, 0.3, 0, at(4, run)), first)
    assert not same(respelt(pairs, rule, 0.3, 0, at(3, seed=2)), first)


def test_the_epochs_length_is_that_of_the_first(tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\n" for line in LINES))
    corpus, plugin = PairCorpus([tmp_path / "pairs.tsv"]), registry.get("seq2seq")
    config = plugin.Config(vocab_size=340, bpe_dropout=0.5, batch_tokens=64, max_tokens=60)
    rule = plugin.vocabulary(corpus, config)
    counted = {plugin.steps(corpus, rule, config, at(number)) for number in (0, 3)}
    assert counted == {len(list(plugin.batches(corpus, rule, config, at(0))))}
    assert counted != {plugin.steps(corpus, rule, replace(config, bpe_dropout=0.0), at(0))}


def test_a_pair_that_would_be_too_long_stays_as_it_is(corpus):
    pairs, rule = corpus
    free = respelt(pairs, rule, 0.1, 0, at(0))
    limit = int(np.median(np.maximum(free.source_lengths, free.target_lengths)))
    assert limit >= max(pairs.source_lengths.max(), pairs.target_lengths.max())
    other = respelt(pairs, rule, 0.1, limit, at(0))
    long = (free.source_lengths > limit) | (free.target_lengths > limit)
    assert 0 < long.sum() < len(pairs)
    assert other.source_lengths.max() <= limit
    assert other.target_lengths.max() <= limit
    for line in range(len(pairs)):
        wanted = pairs if long[line] else free
        found = other.source[other.source_starts[line] : other.source_starts[line + 1]]
        assert found.tolist() == wanted.source[wanted.source_starts[line] : wanted.source_starts[line + 1]].tolist()
    assert texts(other, rule) == texts(pairs, rule)


def test_probabilities_by_hand():
    # Merges: a b -> ab, then ab c -> abc. p = 1/2: "abc" keeps both merges, 1/4; "ab c" one, 1/4; "a b c" none, 1/2.
    a, b, c, ab, abc = range(5)
    merges = Merges({(a, b): (0, ab), (ab, c): (1, abc)})
    assert merges.characters([abc, ab]) == [a, b, c, a, b]
    chance = random.Random(1)
    found = Counter(tuple(merges.spelt([a, b, c], 0.5, chance)) for _ in range(4000))
    for spelling, share in (((abc,), 0.25), ((ab, c), 0.25), ((a, b, c), 0.5)):
        assert found.pop(spelling) / 4000 == pytest.approx(share, abs=0.03)  # four standard deviations
    assert not found


def test_words_of_the_same_ids_are_one_kind_and_no_others():
    random_ids = np.random.default_rng(0).integers(0, 50, 60_000).astype(np.int32)
    words = np.arange(0, 60_000, 3)
    kinds = _hashed(random_ids, words)
    triples = [tuple(triple) for triple in random_ids.reshape(-1, 3).tolist()]
    assert len(set(kinds.tolist())) == len(set(triples)) == len(set(zip(kinds.tolist(), triples, strict=True)))


def test_the_first_merge_by_rank_is_done_first():
    merges = Merges({(0, 1): (1, 3), (1, 2): (0, 4)})
    assert merges.spelt([0, 1, 2], 0.0, random.Random(1)) == [0, 4]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bpe_dropout": 1.0}, "bpe_dropout=1.0: must be at least 0 and below 1"),
        (
            {"bpe_dropout": 0.1, "tokenizer": "word"},
            "bpe_dropout=0.1: is for byte pairs read forwards, and tokenizer=word",
        ),
        (
            {"bpe_dropout": 0.1, "reverse": True},
            "bpe_dropout=0.1: is for byte pairs read forwards, and the source is read",
        ),
    ],
)
def test_what_it_is_not_for(options, told):
    with pytest.raises(ValueError, match=told):
        TokenizerOptions(**options)
