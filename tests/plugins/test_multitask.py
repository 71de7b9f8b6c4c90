"""The family `multitask`: heads that take turns over one encoder, each with its own labels, in one graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from textkit import config
from textkit.corpora import corpus as corpora
from textkit.errors import TextkitError, UsageError
from textkit.plugin import Epoch
from textkit.tasks.classify.corpus import head_of
from textkit.training.initial import options_of, source_of
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit_plugins.encoder.batching import batches_in_turn
from textkit_plugins.encoder.multitasking import MultitaskPlugin

PLUGIN = MultitaskPlugin()
SMALL = [
    "dim=12",
    "filters=8",
    "widths=1,2",
    "units=8",
    "min_count=1",
    "vocab_size=200",
    "epochs=30",
    "learning_rate=0.01",
]
WEATHER = {"sun": ["warm", "bright"], "rain": ["wet", "grey"], "snow": ["white", "cold"]}
MOOD = {"glad": ["love", "nice"], "sad": ["hate", "bad"]}


def lines(labels, count, seed):
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        label = str(random.choice(list(labels)))
        words = [str(random.choice(["the", "a", "is", "very"])) for _ in range(int(random.integers(1, 4)))]
        words.insert(int(random.integers(0, len(words) + 1)), str(random.choice(labels[label])))
        found.append(f"{label}\t{' '.join(words)}\n")
    return "".join(found)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("multitask")
    for name, labels, count in (("weather", WEATHER, 300), ("mood", MOOD, 120)):
        (folder / f"{name}.tsv").write_text(lines(labels, count, 1))
    chosen = config.resolve(PLUGIN, None, SMALL)
    made = Run.create(folder / "run", PLUGIN, *chosen, 1, [folder / "weather.tsv", folder / "mood.tsv"])
    list(train(made, made.corpus, threads=1))
    return made


def test_every_head_learns_its_own_labels(run):
    assert run.vocabulary.learnt["heads"].keys() == {"mood", "weather"}
    assert list(run.vocabulary.learnt["heads"]["weather"]) == ["rain", "snow", "sun"]
    score = run.facts["dev_score"]
    assert score["mood accuracy"] > 0.9
    assert score["weather accuracy"] > 0.9
    assert score["value"] == pytest.approx((score["mood accuracy"] + score["weather accuracy"]) / 2)


def test_one_graph_answers_all_questions(run):
    graph = PLUGIN.graphs(run.network(), run.vocabulary, run.config)["classify"]
    heads = graph.facts["heads"]
    assert [head["name"] for head in heads] == ["mood", "weather"]
    ids = torch.from_numpy(run.vocabulary.encode(["nice wet a"]).ids[None])
    logits = graph.module.eval()(ids, torch.ones(ids.shape))[0][0]
    assert len(logits) == 5
    assert heads[0]["labels"][int(logits[:2].argmax())] == "glad"
    assert heads[1]["labels"][int(logits[2:].argmax())] == "rain"


def test_a_batch_is_of_one_head_and_heads_take_turns_by_size(run):
    corpus = run.corpus
    batches = list(batches_in_turn(corpus, Epoch(0, 3, batch_size=10), head_of))
    assert [len({head_of(record) for record in batch}) for batch in batches] == [1] * len(batches)
    assert sorted(sum(batches, [])) == sorted(corpus.lines())
    heads = [head_of(batch[0]) for batch in batches]
    assert heads.count("mood") == 12
    assert heads.count("weather") == 30
    assert "mood" in heads[:20]
    assert "mood" in heads[20:]
    for start in (1, 17, 41):
        assert list(batches_in_turn(corpus, Epoch(0, 3, start, batch_size=10), head_of)) == batches[start:]


def test_a_head_of_one_label_is_refused(tmp_path):
    (tmp_path / "one.tsv").write_text("same\ta b\nsame\tc d\n")
    (tmp_path / "two.tsv").write_text("this\ta b\nthat\tc d\n")
    options = config.resolve(PLUGIN, None, SMALL)[0]
    corpus = corpora.corpus_of(PLUGIN, [tmp_path / "one.tsv", tmp_path / "two.tsv"], options)
    with pytest.raises(TextkitError, match="one: has one label"):
        PLUGIN.vocabulary(corpus, options)


@pytest.mark.parametrize("said", ["coarse=this=that", "nothing=und"])
def test_an_option_of_a_single_head_is_refused(said, tmp_path):
    (tmp_path / "two.tsv").write_text("this\ta b\nthat\tc d\n")
    options = config.resolve(PLUGIN, None, [*SMALL, said])[0]
    corpus = corpora.corpus_of(PLUGIN, [tmp_path / "two.tsv"], options)
    with pytest.raises(UsageError, match=f"^{said.partition('=')[0]}: has no effect on multitask, whose labels are of"):
        PLUGIN.vocabulary(corpus, options)


def test_it_begins_with_the_encoder_of_another_run(run, tmp_path):
    (tmp_path / "season.tsv").write_text(lines({"june": ["warm", "bright"], "november": ["wet", "grey"]}, 60, 2))
    source = source_of(str(run.folder))
    options = config.resolve(PLUGIN, None, ["epochs=1"], (options_of(PLUGIN, source), PLUGIN.training))[0]
    assert options.filters == 8  # as in the run
    corpus = corpora.corpus_of(PLUGIN, [tmp_path / "season.tsv"], options)
    rule = PLUGIN.adopt(corpus, options, source)
    assert rule.learnt["heads"].keys() == {"season"}
    network = PLUGIN.network(options, rule)
    taken = PLUGIN.begin(network, options, rule, source)
    before, after = run.network().state_dict(), network.state_dict()
    assert set(taken) == {name for name in before if name.startswith("encoder.")}
    assert all(torch.equal(before[name], after[name]) for name in taken)
