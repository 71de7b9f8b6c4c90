"""What the families of encoders read of a line in training, and what they begin with: their rule and the weights of tokens."""

from __future__ import annotations

import pytest
import torch

from textkit.corpora import corpus as corpora
from textkit.plugin import Epoch
from textkit_plugins.encoder.classifying import ClassifierOptions, ClassifierPlugin
from textkit_plugins.encoder.few import FewShotOptions, FewShotPlugin

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
