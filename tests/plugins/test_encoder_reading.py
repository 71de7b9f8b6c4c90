"""What the families of encoders read of a line in training, and what they begin with: their rule and the weights of tokens."""

from __future__ import annotations

import math

import pytest
import torch

from textkit.corpora import corpus as corpora
from textkit.plugin import Epoch, Source
from textkit_plugins.encoder.classifying import ClassifierOptions, ClassifierPlugin
from textkit_plugins.encoder.few import FewShotOptions, FewShotPlugin
from textkit_plugins.encoder.multitasking import MultitaskOptions, MultitaskPlugin
from textkit_plugins.encoder.sentences import SentenceOptions, SentencePlugin

LABELLED = ["no\ta b", "no\tb c b", "yes\tc a d e", "yes\tc"]
WORDS = {"text": "word", "min_count": 1, "vocab_size": 50, "dim": 8, "dropout": 0.0}
TRANSFORMER = {"encoder": "transformer", "heads": 2, "feedforward": 8, "positions": 3}


def corpus_of(folder, plugin, lines, options):
    (folder / "data.tsv").write_text("".join(f"{line}\n" for line in lines))
    return corpora.corpus_of(plugin, [folder / "data.tsv"], options)


@pytest.mark.parametrize("longest", [2, 512])
def test_a_line_longer_than_the_encoder_takes_is_cut(longest, tmp_path):
    plugin, few = ClassifierPlugin(), FewShotPlugin()
    options = ClassifierOptions(**WORDS, **TRANSFORMER, longest=longest)
    corpus = corpus_of(tmp_path, plugin, LABELLED, options)
    rule = plugin.vocabulary(corpus, options)
    (batch,) = plugin.batches(corpus, rule, options, Epoch(0, 1))
    assert batch.ids.shape == (4, min(longest, 3))
    network = plugin.network(options, rule)
    assert network.loss(batch)[0].isfinite()
    with torch.no_grad():
        assert plugin.score(network.eval(), corpus, rule, options).value >= 0
    list(few.fit(network, corpus, rule, FewShotOptions(**WORDS, **TRANSFORMER, longest=longest), Epoch(0, 1)))


def idf(network, rule, word):
    return network.encoder.pooling.importance.weight[rule.encode([word]).ids[0]].item()


@pytest.mark.parametrize("text", ["word", "hashed"])
def test_a_token_begins_with_its_inverse_line_frequency(text, tmp_path):
    own = {"word_ngrams": 1, "maxn": 0, "min_count": 1} if text == "hashed" else WORDS
    lines = ["x,y,z\tb a", "x\tb c b", "x,y\tc", "y\td"]
    for plugin, options in (
        (ClassifierPlugin(), ClassifierOptions(**own, weighting="idf", several=True)),
        (
            MultitaskPlugin(),
            MultitaskOptions(
                **{"text": text, "encoder": "bag", "pooling": "mean"} | own, weighting="idf", several=True
            ),
        ),
        (SentencePlugin(), SentenceOptions(**own, weighting="idf")),
    ):
        data = ["b a\tb c b", "c\td"] if plugin.name == "sentence-encoder" else lines
        corpus = corpus_of(tmp_path, plugin, data, options)
        rule = plugin.vocabulary(corpus, options)
        network = plugin.network(options, rule)
        for word, count in (("a", 1), ("b", 2), ("c", 2)):  # of 4 texts
            assert idf(network, rule, word) == pytest.approx(1 + math.log(5 / (1 + count))), plugin.name


def test_a_rule_that_is_taken_over_counts_the_new_texts(tmp_path):
    plugin, options = ClassifierPlugin(), ClassifierOptions(**WORDS, weighting="idf")
    source = Source("", {}, plugin.vocabulary(corpus_of(tmp_path, plugin, LABELLED, options), options), {})
    rule = plugin.adopt(corpus_of(tmp_path, plugin, ["no\tb a", "yes\tb"], options), options, source)
    assert idf(plugin.network(options, rule), rule, "a") == pytest.approx(1 + math.log(3 / 2))
    assert idf(plugin.network(options, rule), rule, "b") == pytest.approx(1)


@pytest.mark.parametrize("few", [False, True])
def test_the_source_stays_as_it_is(few, tmp_path):
    plugin, options = ClassifierPlugin(), ClassifierOptions(**WORDS)
    source = Source("", {}, plugin.vocabulary(corpus_of(tmp_path, plugin, LABELLED, options), options), {})
    learnt = dict(source.rule.learnt)
    plugin, options = (
        (FewShotPlugin(), FewShotOptions(**WORDS)) if few else (plugin, ClassifierOptions(**WORDS, clean=False))
    )
    rule = plugin.adopt(corpus_of(tmp_path, plugin, ["maybe\ta b", "no\tb", "yes\tc"], options), options, source)
    assert rule.learnt["labels"] == ["maybe", "no", "yes"]
    assert source.rule.learnt == learnt
    assert source.rule.clean


def test_tokens_that_stay_are_those_of_clean_text(tmp_path):
    """With clean=true a soft hyphen inside of a word is no part of it: "abc" is what the texts have most."""
    plugin, options = ClassifierPlugin(), ClassifierOptions(**WORDS)
    whole = plugin.vocabulary(corpus_of(tmp_path, plugin, ["no\tabc", "yes\txyz", "yes\txyz"], options), options)
    whole.clean = False  # as an imported tokenizer
    options = ClassifierOptions(**{**WORDS, "vocab_size": 2})  # <unk>, and one
    corpus = corpus_of(tmp_path, plugin, ["no\ta\u00adbc"] * 3 + ["yes\txyz"] * 2, options)
    rule = plugin.adopt(corpus, options, Source("", {}, whole, {}))
    assert rule.clean
    names = rule.vocabulary()[0]
    assert any("abc" in name for name in names)
    assert not any("xyz" in name for name in names)
