"""What a search for a classifier tries: every point and every value of a scale is one that a training takes."""

from __future__ import annotations

import dataclasses

import pytest

from textkit.training.tuning.proposing import Proposals
from textkit_plugins.encoder.classifying import ClassifierOptions, ClassifierPlugin
from textkit_plugins.encoder.tuned import MANY, space

PLUGIN = ClassifierPlugin()
# With these an option has an effect, or goes together with the others.
BESIDE = {
    "vocab_size": {"text": "bpe"},
    "filters": {"text": "bpe", "encoder": "cnn"},
    "hidden": {"text": "bpe", "encoder": "rnn"},
    "cell": {"text": "bpe", "encoder": "rnn"},
    "pooling": {"text": "bpe"},
    "wide": {"text": "bpe"},
}


def proposals():
    made = Proposals(PLUGIN, ClassifierOptions(), PLUGIN.training, frozenset(), seed=1)
    made.enter(PLUGIN.space(1000))
    return made


@pytest.mark.parametrize("point", space(1000).points)
def test_points(point):
    found = proposals().settled(point)
    assert found is not None
    assert {key: found[key] for key in point} == point  # each of its options has an effect


@pytest.mark.parametrize("key", space(1000).scales)
def test_scales(key):
    for value in space(1000).scales[key]:
        found = proposals().settled({**BESIDE.get(key, {}), key: value})
        assert found is not None
        assert found[key] == value


def test_fewer_passes_over_many_lines():
    assert max(space(MANY).scales["epochs"]) < max(space(MANY - 1).scales["epochs"])


def test_several_labels_and_other_columns_stay():
    options = dataclasses.replace(ClassifierOptions(), several=True, text_column="said")
    made = Proposals(PLUGIN, options, PLUGIN.training, frozenset({"several", "text_column"}), seed=1)
    made.enter(PLUGIN.space(1000))
    for _ in range(12):
        values = made.next([made.base])
        assert values["several"]
        assert values["text_column"] == "said"
