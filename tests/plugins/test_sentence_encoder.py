"""The family `sentence-encoder`: its losses by hand, what is learnt from pairs, scores and a teacher, and its graph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from textkit import config
from textkit.corpora import corpus as corpora
from textkit.errors import TextkitError, UsageError
from textkit.exporting.export import export
from textkit.plugin import Epoch
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.text.hashed import Hashed
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit_plugins.encoder import teaching
from textkit_plugins.encoder.sentences import SentenceOptions, SentencePlugin, batch_of
from textkit_plugins.encoder.similarity import Batch, Lines, SentenceEncoder
from textkit_plugins.encoder.teaching import Taught, taught_batches, texts_of

PLUGIN = SentencePlugin()
SMALL = ["dim=16", "word_ngrams=1", "maxn=0", "min_count=1", "epochs=15", "learning_rate=0.02", "dropout=0"]
WORDS = {
    "sun": "hot warm noon bright",
    "rain": "wet grey cloud drop",
    "snow": "white cold flake ice",
    "wind": "blow gale storm air",
}


def sentence(random, topic):
    words = [str(random.choice(["the", "a", "is", "very", "so"])) for _ in range(int(random.integers(1, 4)))]
    words.insert(int(random.integers(0, len(words) + 1)), str(random.choice(WORDS[topic].split())))
    return " ".join(words)


def pairs(count, seed, scores=False):
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        topic, other = random.choice(list(WORDS), 2, replace=False)
        same = not scores or random.random() < 0.5
        cells = [sentence(random, topic), sentence(random, topic if same else other)]
        found.append("\t".join([*cells, *(["5" if same else "0"] if scores else [])]) + "\n")
    return "".join(found)


def trained(folder: Path, text: str, *assignments: str) -> Run:
    (folder / "data.tsv").write_text(text)
    chosen = config.resolve(PLUGIN, None, [*SMALL, *assignments])
    run = Run.create(folder / "run", PLUGIN, *chosen, 1, [folder / "data.tsv"])
    list(train(run, run.corpus, threads=1))
    return run


class Fixed(SentenceEncoder):
    """Gives the vectors that stand where ids would."""

    def __init__(self, **options):
        super().__init__(SentenceOptions(**options), 3)

    def forward(self, lines):
        return lines.ids


def batch(*sides, wanted=None) -> Batch:
    lines = tuple(Lines(torch.tensor(side), torch.ones(1, 1)) for side in sides)
    return Batch(lines, None if wanted is None else torch.tensor(wanted), 2, 2)


def test_contrast_is_the_cross_entropy_of_finding_the_partner():
    first, second = [[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [4.0, 3.0]]
    cosines = [[1.0, 0.8], [0.0, 0.6]]  # of the first texts with the second
    e = [[math.exp(c / 0.5) for c in row] for row in cosines]
    there = -(math.log(e[0][0] / sum(e[0])) + math.log(e[1][1] / sum(e[1]))) / 2
    back = -(math.log(e[0][0] / (e[0][0] + e[1][0])) + math.log(e[1][1] / (e[0][1] + e[1][1]))) / 2
    network = Fixed(temperature=0.5)
    assert network.loss(batch(first, second)).item() == pytest.approx((there + back) / 2, rel=1e-5)
    negatives = [[0.0, 1.0], [1.0, 0.0]]  # cosines 0, 1 and 1, 0
    wide = -(math.log(e[0][0] / (sum(e[0]) + 1 + math.exp(2))) + math.log(e[1][1] / (sum(e[1]) + math.exp(2) + 1))) / 2
    assert network.loss(batch(first, second, negatives)).item() == pytest.approx(wide, rel=1e-5)


def test_every_hard_negative_counts_and_no_text_that_belongs_to_the_first():
    pairs = [("w a", "w b", ""), ("w a", "w c", "w d"), ("w e", "w b", "w c")]
    given = SentenceOptions(temperature=0.5, word_ngrams=1, maxn=0)
    made = batch_of(pairs, Hashed(given.normalizer(), 1, 1, 0, 64), given)
    assert [len(side.ids) for side in made.sides] == [3, 3, 2]
    # "w a" has the partners b and c, "w e" has b alone: the columns are b, c, b, d, c.
    assert made.also.tolist() == [
        [False, True, True, False, True],
        [True, False, True, False, True],
        [True, False, False, False, False],
    ]
    cosines = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    also = torch.tensor([[False, True], [False, False]])
    lines = Lines(cosines, torch.ones(1, 1))
    e = [math.exp(1 / 0.5), 1]
    there = math.log((e[0] + e[1]) / e[0]) / 2  # the first has its partner alone to choose from
    network = Fixed(temperature=0.5)
    # Back, the second text of the second pair belongs to the first text of the first pair as well.
    assert network.loss(Batch((lines, lines), None, 2, 2, also=also)).item() == pytest.approx(there)


def test_similarity_and_teacher_are_squared_distances():
    first, second = [[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [4.0, 3.0]]
    network = Fixed(objective="similarity")
    assert network.loss(batch(first, second, wanted=[0.5, 1.0])).item() == pytest.approx((0.25 + 0.16) / 2)
    network = Fixed(objective="teacher", teacher="en-words")
    wanted = network.loss(batch(first, wanted=[[0.0, 5.0], [3.0, 4.0]])).item()
    assert wanted == pytest.approx((2 + (0.6**2 + 0.2**2)) / 2)  # of (1,0) and (0,1); of (0,1) and (.6,.8)


def test_texts_that_belong_together_come_near(tmp_path):
    run = trained(tmp_path, pairs(400, 1))
    assert run.facts["dev_score"]["name"] == "mrr"
    assert run.facts["test_score"]["value"] > 0.25  # 40 pairs of 4 topics: a tenth are as near as the partner
    embed = Embedder(export(run, tmp_path / "model"))
    assert embed.pooling == "mean"
    assert embed.normalize
    near = embed(["so hot", "noon is", "the flake"])
    assert near[0] @ near[1] > near[0] @ near[2] + 0.3
    assert np.linalg.norm(near, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_scores_of_pairs_are_learnt(tmp_path):
    run = trained(tmp_path, pairs(400, 2, scores=True), "objective=similarity")
    assert run.facts["test_score"]["name"] == "spearman"
    assert run.facts["test_score"]["value"] > 0.7
    assert run.vocabulary.learnt["highest"] == 5


def test_a_teachers_vectors_are_learnt(tmp_path):
    teacher = export(trained(tmp_path, pairs(400, 1)), tmp_path / "teacher")
    random = np.random.default_rng(3)
    (tmp_path / "text").mkdir()
    lines = "".join(f"{sentence(random, str(random.choice(list(WORDS))))}\n" for _ in range(500))
    given = [f"teacher={teacher}", "objective=teacher", "dim=16"]
    run = trained(tmp_path / "text", lines, *given)
    assert run.facts["test_score"]["name"] == "cosine"
    assert run.facts["test_score"]["value"] > 0.97


def test_a_teacher_is_asked_once_for_each_text(tmp_path):
    class Teacher:
        dim, asked = 3, []

        def __call__(self, texts):
            self.asked += texts
            return np.array([[len(text), 1, 0] for text in texts], np.float32)

    texts = [f"{'w ' * n}x" for n in range(40)]
    taught = Taught(texts, Teacher(), tmp_path)
    assert taught.vectors(np.array([3, 5]))[:, 0].tolist() == [7, 11]
    assert taught.vectors(np.array([5, 6]))[:, 0].tolist() == [11, 13]
    again = Taught(texts, Teacher(), tmp_path)  # after an interruption
    assert again.vectors(np.array([6, 3, 9]))[:, 0].tolist() == [13, 7, 19]
    assert Teacher.asked == [texts[at] for at in (3, 5, 6, 9)]


def test_batches_of_a_teacher_are_the_same_from_wherever_they_begin(tmp_path, monkeypatch):
    (tmp_path / "lines").write_text("".join(f"{'word ' * (n % 13 + 1)}{n}\n" for n in range(300)))
    options = config.resolve(PLUGIN, None, [*SMALL, "objective=teacher", "teacher=en-words", "dim=100"])[0]
    corpus = corpora.corpus_of(PLUGIN, [tmp_path / "lines"], options)
    rule = PLUGIN.vocabulary(corpus, options)
    whole = list(taught_batches(corpus, rule, options, Epoch(1, 5, batch_size=16)))
    monkeypatch.setattr(teaching, "texts_of", lambda *_: pytest.fail("the texts are read once"))
    assert sum(batch.examples for batch in whole) == len(texts_of(corpus, 5))
    assert {batch.epoch for batch in whole} == {1}  # blocks thaw by it
    rest = list(taught_batches(corpus, rule, options, Epoch(1, 5, 7, batch_size=16)))
    assert len(rest) == len(whole) - 7
    for one, other in zip(whole[7:], rest, strict=True):
        assert torch.equal(one.sides[0].ids, other.sides[0].ids)
        assert torch.equal(one.wanted, other.wanted)


def test_dev_lines_without_text_are_no_score(tmp_path):
    options = config.resolve(PLUGIN, None, [*SMALL, "objective=teacher", "teacher=en-words", "dim=100"])[0]
    (tmp_path / "dev").write_text(" \n\n")
    dev = corpora.corpus_of(PLUGIN, [tmp_path / "dev"], options)
    with pytest.raises(TextkitError, match="no line with text"):
        PLUGIN.score(None, dev, None, options)
    with pytest.raises(TextkitError, match="dev: has no line with text"):  # said before the training begins
        dev.check()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("temperature=0", "temperature=0: must be above 0"),
        ("objective=teacher", "objective=teacher, teacher=: a teacher is for objective=teacher"),
        ("teacher=en-words", "objective=contrast, teacher=en-words: a teacher is for objective=teacher"),
        ("output=-1", "output=-1: must be at least 0"),
        ("longest=0", "longest=0: must be at least 1"),
    ],
)
def test_options_that_make_no_model_are_refused(given, reason):
    with pytest.raises(UsageError, match=f"options of sentence-encoder: {reason}"):
        config.resolve(PLUGIN, None, [given])
