"""Tokenizers made smaller: what stays, that all text is still spelled, and that ids fit together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from textkit.corpora.pruning import pruned
from textkit.errors import UsageError
from textkit.text.tokenizer import Pretokenized

TEXT = [
    "the cat sat on the mat",
    "the dog sat on the log",
    "a cat and a dog",
    "zebras xylophone quick",
    "mats cats dogs logs",
] * 3
USED = ["the cat sat on the mat", "a cat and the mat"]


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    )
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ids)
    return tokenizer


def byte_pairs() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(name, tokenizer.token_to_id(name)) for name in special]
    )
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.train_from_iterator(
        TEXT, trainers.UnigramTrainer(vocab_size=90, special_tokens=["<s>", "<unk>"], unk_token="<unk>")
    )
    return tokenizer


KINDS = {"wordpiece": (wordpiece, 60), "byte pairs": (byte_pairs, 275), "unigram": (unigram, 26)}


@pytest.fixture(params=KINDS)
def made(request):
    build, size = KINDS[request.param]
    rule = Pretokenized(build().to_str().encode())
    return rule, *pruned(rule, [USED], size), size


def test_the_smaller_rule_has_the_tokens_that_are_used_most(made):
    whole, small, old, size = made
    assert len(small) <= size < len(whole)
    assert len(old) == len(small)
    names, before = whole.vocabulary()
    named = dict(zip(before.tolist(), names, strict=True))
    names, after = small.vocabulary()
    assert [named[int(at)] for at in old] == [name for _, name in sorted(zip(after.tolist(), names, strict=True))]
    for line in USED:  # whole words that are used stay whole
        assert old[small.encode([line]).ids].tolist() == whole.encode([line]).ids.tolist()


def test_other_text_is_spelled_by_shorter_tokens(made):
    whole, small, old, _ = made
    line = "the mats sat"
    names = {at: name for name, at in zip(*small.vocabulary(), strict=True)}
    spelled = "".join(names[at] for at in small.encode([line]).ids.tolist())
    for mark in ("##", "▁", "Ġ", "[CLS]", "[SEP]", "<s>", "</s>"):
        spelled = spelled.replace(mark, "")
    assert spelled == "thematssat"


def test_a_file_that_does_not_say_its_type(made):
    whole, small, _, size = made
    record = json.loads(whole.files()["tokenizer.json"])
    del record["model"]["type"]
    other, _ = pruned(Pretokenized(json.dumps(record).encode()), [USED], size)
    assert other.tokenizer.get_vocab() == small.tokenizer.get_vocab()


def test_special_tokens_stay_around_each_line(made):
    whole, small, old, _ = made
    for rule in (whole, small):
        ids = rule.encode(["the cat"]).ids.tolist()
        given = [int(old[at]) for at in ids] if rule is small else ids
        assert given == whole.encode(["the cat"]).ids.tolist()
    assert json.loads(small.files()["tokenizer.json"])["truncation"] is None


def test_a_size_too_small_for_what_must_stay():
    rule = Pretokenized(byte_pairs().to_str().encode())
    with pytest.raises(UsageError, match="vocab_size=100: too small: 258 tokens"):
        pruned(rule, [USED], 100)


def test_layers_are_taken_at_even_distances():
    from textkit_plugins.encoder.reducing import layers_taken, with_layers, with_units

    assert layers_taken(6, 3) == [0, 2, 5]
    assert layers_taken(12, 4) == [0, 4, 7, 11]
    assert layers_taken(6, 1) == [0]
    assert layers_taken(2, 6) == [0, 1]
    weights = {f"encoder.tokens.layers.{at}.inner.weight": np.full((3, 2), at) for at in range(6)} | {"x": np.ones(1)}
    found = with_layers(weights, 3)
    assert sorted(found) == [f"encoder.tokens.layers.{at}.inner.weight" for at in range(3)] + ["x"]
    assert [int(found[f"encoder.tokens.layers.{at}.inner.weight"][0, 0]) for at in range(3)] == [0, 2, 5]
    layer = {
        "a.inner.weight": np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]]), "a.inner.bias": np.array([1.0, 2.0, 3.0]),
        "a.outer.weight": np.array([[1.0, 9.0, 3.0], [0.0, 0.0, 4.0]]),
    }  # fmt: skip
    small = with_units(layer, 2)  # sizes 5 * 1, 1 * 9, 2 * 5
    assert small["a.inner.weight"].tolist() == [[1, 0], [0, 2]]
    assert small["a.inner.bias"].tolist() == [2, 3]
    assert small["a.outer.weight"].tolist() == [[9, 3], [0, 4]]
