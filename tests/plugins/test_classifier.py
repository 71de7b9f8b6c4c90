"""The family `classifier` and its blocks: poolings, filters, normalisation, losses and logistic regression against hand-made
numbers and reference implementations; lines learnt from raw text to the exported graph."""

from __future__ import annotations

import math
import re

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional

from textkit import config
from textkit.corpora import corpus as corpora
from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError
from textkit.plugin import Epoch, Graph
from textkit.tasks.classify.corpus import Labelled, labelled, written
from textkit.tasks.classify.evaluation import measures
from textkit.tasks.classify.exporting.export import exported
from textkit.tasks.classify.task import QUANTILES
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit_plugins.encoder import classifying
from textkit_plugins.encoder.batching import sorted_batches
from textkit_plugins.encoder.calibrating import of_answers
from textkit_plugins.encoder.classification import Batch, Classifier, Served
from textkit_plugins.encoder.classifying import ClassifierOptions, ClassifierPlugin, batch_of, scored
from textkit_plugins.encoder.network import Encoder, Pooling

PLUGIN = ClassifierPlugin()
IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0], [3, 0, 0, 0, 0]])
WEIGHT = torch.tensor([[1.0, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
ROWS = 8
TOKENS = {"text": "word"}
BLOCKS = {
    "bag": {},
    "bag idf": {"weighting": "idf"},
    "bag max": {"pooling": "max"},
    "cnn": {**TOKENS, "encoder": "cnn", "pooling": "max", "widths": (2, 3), "filters": 4},
    "deep cnn": {**TOKENS, "encoder": "cnn", "layers": 2, "filters": 4, "pooling": "attention"},
    "rnn": {**TOKENS, "encoder": "rnn", "cell": "rnn", "hidden": 5},
    "lstm attention": {**TOKENS, "encoder": "rnn", "hidden": 5, "layers": 2, "pooling": "attention"},
    "gru forwards": {**TOKENS, "encoder": "rnn", "cell": "gru", "bidirectional": False, "hidden": 5, "pooling": "max"},
    "units": {"units": 6, "normalization": "layer"},
    "batch norm": {"units": 6, "normalization": "batch"},
}


TRACED = ("bag",)  # torch takes seconds for each
SLOW = pytest.mark.slow


def options(**given) -> ClassifierOptions:
    return ClassifierOptions(**{"dim": 6, "dropout": 0.0, **given})


def network(labels: int = 3, **given) -> Classifier:
    torch.manual_seed(3)
    made = options(**given)
    return Classifier(made, ROWS, [labels], [made.several]).eval()


@pytest.fixture(params=BLOCKS)
def block(request) -> Classifier:
    made = network(**BLOCKS[request.param])
    if made.options.normalization == "batch":  # running statistics that are not where they began
        made.train()
        for _ in range(3):
            made(IDS, WEIGHT, 0)
    return made.eval()


# ---- blocks


def test_padding_changes_nothing(block):
    with torch.no_grad():
        together = block(IDS, WEIGHT, 0)
        for line, length in enumerate((5, 2, 1)):
            alone = block(IDS[line : line + 1, :length], WEIGHT[line : line + 1, :length], 0)
            assert torch.allclose(alone[0], together[line], atol=1e-5)
            other = IDS.clone()
            other[line, length:] = 5  # what stands at padding is never read
            assert torch.allclose(block(other, WEIGHT, 0)[line], together[line], atol=1e-6)


def test_a_line_of_padding_alone_is_a_number(block):
    with torch.no_grad():
        assert torch.isfinite(block(IDS, torch.zeros_like(WEIGHT), 0)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [name if name in TRACED else pytest.param(name, marks=SLOW) for name in BLOCKS], indirect=True
)
def test_the_exported_graph_computes_what_the_network_does(block, tmp_path):
    rule = PLUGIN.vocabulary(
        corpus_of(tmp_path, ["a\tb c d e f g", "z\tb c d e f g"]), options(**TOKENS, min_count=1, vocab_size=ROWS + 5)
    )
    served = Served(Classifier(block.options, len(rule), [3], [False]))
    found = exported(
        {"classify": Graph(served, facts={"heads": [], "attends": False})},
        rule,
        [written(Labelled("b c d", ("a",)))],
        "fp32",
    )
    session = onnxruntime.InferenceSession(found.graphs["classify"])
    logits, share = session.run(None, {"ids": IDS.numpy(), "weight": WEIGHT.numpy()})
    with torch.no_grad():
        wanted, shares = served.eval()(IDS, WEIGHT)
    assert np.allclose(logits, wanted, atol=1e-5)
    assert np.allclose(share, shares, atol=1e-5)


def corpus_of(folder, lines):
    """A corpus of the lines as a user writes them."""
    (folder / "lines.tsv").write_text("".join(f"{line}\n" for line in lines))
    return corpora.corpus_of(PLUGIN, [folder / "lines.tsv"], options())


def test_attention_is_a_convolution_a_logit_and_a_softmax_over_the_real_words():
    made = Pooling(options(**TOKENS, pooling="attention", attention_width=3, attention_dim=1), ROWS)
    tokens = torch.tensor([[[1.0], [2.0], [4.0], [9.0]]]).repeat(1, 1, 6) * torch.eye(6)[0]  # the first number alone
    with torch.no_grad():
        made.convolution.weight.zero_()
        made.convolution.weight[0, 0] = torch.tensor([0.1, 0.2, 0.3])  # the word before, the word, the word behind
        made.convolution.bias.fill_(0.05)
        made.logit.weight.fill_(2.0)
        made.logit.bias.fill_(7.0)  # the same for all words: it changes nothing
        weight = torch.tensor([[1.0, 1, 1, 0]])
        vector, share = made(torch.zeros(1, 4, dtype=torch.int64), weight, tokens)
    seen = [
        0.1 * before + 0.2 * here + 0.3 * behind + 0.05 for before, here, behind in ((0, 1, 2), (1, 2, 4), (2, 4, 0))
    ]
    powers = [math.exp(2 * math.tanh(x)) for x in seen]
    wanted = [power / sum(powers) for power in powers]
    assert share[0].tolist() == [pytest.approx(x, rel=1e-5) for x in wanted] + [0]
    assert vector[0, 0].item() == pytest.approx(sum(x * y for x, y in zip(wanted, (1, 2, 4), strict=True)), rel=1e-5)


def test_filters_slide_over_words_and_the_highest_counts():
    made = Encoder(options(**TOKENS, encoder="cnn", dim=1, widths=(2,), filters=1, pooling="max"), 4)
    with torch.no_grad():
        made.tokens.embedding.weight[:] = torch.tensor([[0.0], [1.0], [-2.0], [5.0]])
        made.tokens.layers[0][0].weight[:] = torch.tensor([[[3.0, -1.0]]])
        made.tokens.layers[0][0].bias.fill_(0.5)
        vector, _, tokens = made(torch.tensor([[1, 2, 3]]), torch.ones(1, 3))
    # 3 * the word before - the word + .5, cut at 0: 0 - 1 + .5; 3 + 2 + .5; -6 - 5 + .5
    assert tokens[0, :, 0].tolist() == [0, 5.5, 0]
    assert vector.item() == 5.5


def test_tfidf_weights_make_a_vector_of_length_one():
    made = Pooling(options(weighting="idf"), ROWS)
    with torch.no_grad():
        made.importance.weight[:, 0] = torch.tensor([9.0, 3, 4, 1, 1, 1, 1, 1])
        tokens = torch.eye(6)[None, :2]
        vector, share = made(torch.tensor([[1, 2]]), torch.ones(1, 2), tokens)
    assert vector[0, :2].tolist() == [pytest.approx(0.6), pytest.approx(0.8)]
    assert share[0].tolist() == [pytest.approx(0.36), pytest.approx(0.64)]


def test_batch_normalisation_serves_with_running_statistics():
    made = network(normalization="batch", dim=2)
    made.train()
    with torch.no_grad():
        for _ in range(200):
            made(IDS, WEIGHT, 0)
        vectors = made.encoder(IDS, WEIGHT)[0]
    made.eval()
    norm = made.heads[0].steps[0]
    with torch.no_grad():
        given = norm(vectors)
    wanted = (vectors - vectors.mean(0)) / (vectors.var(0, unbiased=True) + norm.eps).sqrt()
    assert torch.allclose(given, wanted, atol=1e-3)
    assert torch.allclose(norm(vectors[:1]), given[:1])  # a line alone has no statistics of its own


# ---- losses


def batch(wanted, count=(1.0, 1.0)) -> Batch:
    return Batch(IDS[:2], WEIGHT[:2], torch.tensor(wanted), torch.tensor(count), 0)


def test_cross_entropy_smoothed_weighted_and_focal():
    head = network().heads[0]
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    two = batch([0, 2])
    assert head.loss(logits, two, 0, 0).item() == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)
    smooth = -0.7 * math.log(0.5) - 0.3 * (math.log(0.5) + 2 * math.log(0.25)) / 3
    assert head.loss(logits[:1], batch([0])._replace(count=torch.ones(1)), 0.3, 0).item() == pytest.approx(smooth)
    weighted = -(3 * math.log(0.5) + math.log(0.8)) / 4
    assert head.loss(logits, batch([0, 2], (3.0, 1.0)), 0, 0).item() == pytest.approx(weighted)
    focal = -(0.5**2 * math.log(0.5) + 0.2**2 * math.log(0.8)) / 2
    assert head.loss(logits, two, 0, 2).item() == pytest.approx(focal)
    head.class_weight[:] = torch.tensor([2.0, 1.0, 0.5])
    classes = -(2 * math.log(0.5) + 0.5 * math.log(0.8)) / 2.5
    assert head.loss(logits, two, 0, 0).item() == pytest.approx(classes)


def test_the_log_loss_of_several_labels():
    head = network(several=True).heads[0]
    logits = torch.tensor([[math.log(3), 0.0, -math.log(3)]])
    one = Batch(IDS[:1], WEIGHT[:1], torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1), 0)
    assert head.loss(logits, one, 0, 0).item() == pytest.approx(-math.log(0.75) - math.log(0.5) - math.log(0.75))
    focal = -(0.25 * math.log(0.75) + 0.5 * math.log(0.5) + 0.25 * math.log(0.75))
    assert head.loss(logits, one, 0, 1).item() == pytest.approx(focal)


def test_two_labels_have_a_sigmoid():
    made = network(labels=2)
    with torch.no_grad():
        logits = made(IDS, WEIGHT, 0)
    assert logits[:, 0].tolist() == [0, 0, 0]
    assert torch.allclose(functional.softmax(logits, 1)[:, 1], torch.sigmoid(logits[:, 1]))


def test_a_bag_of_one_number_is_logistic_regression(tmp_path):
    """The optimum of shares of words is the same, whoever finds it: scipy on the matrix, or the family by its own training."""
    words = ["a", "b", "c", "d"]
    random = np.random.default_rng(5)
    lines, rows, answers = [], [], []
    for _ in range(300):
        drawn = random.integers(0, 4, random.integers(2, 7))
        share = np.bincount(drawn, minlength=4) / len(drawn)
        answers.append(int(random.random() < 1 / (1 + math.exp(-(4 * share[0] - 3 * share[2])))))
        rows.append(share)
        lines.append(written(Labelled(" ".join(words[at] for at in drawn), ("yes" if answers[-1] else "no",))))
    x, y = np.array(rows), np.array(answers)

    def loss(weights):
        z = x @ weights
        return float((np.logaddexp(0, z) - y * z).mean())

    best = minimize(loss, np.zeros(4), method="BFGS").fun
    given = options(dim=1, word_ngrams=1, maxn=0, min_count=1)
    torch.manual_seed(1)
    corpus = Corpus([tmp_path / "lines"])
    (tmp_path / "lines").write_text("".join(f"{line}\n" for line in lines))
    rule = PLUGIN.vocabulary(corpus, given)
    made = PLUGIN.network(given, rule)
    everything = next(PLUGIN.batches(corpus, rule, given, Epoch(0, 1, batch_size=0)))
    descent = torch.optim.LBFGS(made.parameters(), max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def step():
        descent.zero_grad()
        value, _ = made.loss(everything)
        value.backward()
        return value

    descent.step(step)
    assert made.loss(everything)[0].item() == pytest.approx(best, abs=2e-4)


# ---- lines


def test_batches_are_the_same_from_wherever_they_begin(tmp_path):
    lines = [f"{written(Labelled('w ' * (n % 17 + 1), ('a',)))}{n}" for n in range(1000)]
    (tmp_path / "lines").write_text("".join(f"{line}\n" for line in lines))
    corpus = Corpus([tmp_path / "lines"])
    whole = list(sorted_batches(corpus, Epoch(2, 7, batch_size=9)))
    assert sorted(sum(whole, [])) == sorted(lines)
    assert [len(b) for b in whole].count(9) == 111
    for start in (1, 31, 32, 33, 100, 111):
        assert list(sorted_batches(corpus, Epoch(2, 7, start, batch_size=9))) == whole[start:]
    assert list(sorted_batches(corpus, Epoch(3, 7, batch_size=9))) != whole
    spread = [max(map(len, b)) - min(map(len, b)) for b in whole[:100]]
    assert np.median(spread) <= 6


def test_labels_that_no_training_line_has_are_answered_wrong_and_never_learnt(monkeypatch, tmp_path):
    given = options(word_ngrams=1, maxn=0, min_count=1)
    rule = PLUGIN.vocabulary(corpus_of(tmp_path, ["yes\tgood", "no\tbad", "no\tbad day"]), given)
    assert rule.learnt["labels"] == ["no", "yes"]
    assert rule.learnt["counts"] == [2, 1]
    made = PLUGIN.network(given, rule)
    strange = batch_of(
        [Labelled("good", ("maybe",)), Labelled("bad", ("no",))], rule, {"no": 0, "yes": 1}, given, False
    )
    assert strange.count.tolist() == [0, 1]
    with torch.no_grad():
        made.heads[0].steps[-1].bias.fill_(-9)  # always "no"
        lines = [Labelled("bad", ("no",)), Labelled("good", ("maybe",)), Labelled("good", ("yes",))]
        score = scored(made.eval(), 0, lines, rule, ["no", "yes"], given, False)
        monkeypatch.setattr(classifying, "_KEPT", 2)  # logits: of one line
        again = scored(made, 0, lines, rule, ["no", "yes"], given, False)
    assert score.value == pytest.approx(1 / 3)
    assert (again.value, again.detail["macro-f1"]) == (score.value, score.detail["macro-f1"])
    assert len({float(made.heads[0].typical[0]), float(made.heads[0].typical[-1])}) == 1
    with pytest.raises(TextkitError, match="no line of the dev data has a label"):
        scored(made, 0, lines[1:2], rule, ["no", "yes"], given, False)


def test_the_test_lines_are_measured_with_what_the_dev_lines_fitted(tmp_path):
    given = options(word_ngrams=1, maxn=0, min_count=1, several=True)
    (tmp_path / "lines.tsv").write_text("yes\tgood\nno\tbad\nno,yes\tgood bad\n" * 5)
    corpus = corpora.corpus_of(PLUGIN, [tmp_path / "lines.tsv"], given)
    rule = PLUGIN.vocabulary(corpus, given)
    made = PLUGIN.network(given, rule).eval()
    head = made.heads[0]
    corpus.held_out = True
    with torch.no_grad():
        head.temperature.fill_(2)
        head.thresholds.fill_(0.9)  # the untrained network says about 0.5
        assert PLUGIN.score(made, corpus, rule, given).value == 0  # no label is given
        assert head.temperature.item() == 2
        assert head.calibration.tolist() == [-1, -1]  # not measured
        corpus.held_out = False
        assert PLUGIN.score(made, corpus, rule, given).value > 0.5
    assert head.thresholds.max() < 0.9
    assert head.calibration.min() >= 0


def test_accuracy_and_f1_of_answers_are_those_of_the_matrices():
    random = np.random.default_rng(2)
    wanted, answers = random.integers(-1, 9, 200), random.integers(0, 7, 200)
    found = of_answers(wanted, answers, 12)
    assert found["accuracy"] == (wanted == answers).mean()
    both = measures.one_hot(wanted, 12), measures.one_hot(answers, 12)
    assert found["macro-f1"] == pytest.approx(measures.macro_f1(*both))


@pytest.mark.parametrize(
    ("lines", "message"),
    [(["yes\tgood", "yes\tbad"], "has one label"), (["yes\tgood", "no\tbad"], "min_count=2")],
)
def test_a_corpus_of_which_nothing_can_be_learnt_is_refused(lines, message, tmp_path):
    with pytest.raises(TextkitError, match=message):
        PLUGIN.vocabulary(corpus_of(tmp_path, lines), options(word_ngrams=1, maxn=0))


def test_lines_that_may_have_several_labels_and_have_none_are_refused(tmp_path):
    (tmp_path / "lines.tsv").write_text("\tgood\n\tbad\n")
    given = options(several=True)
    with pytest.raises(TextkitError, match=r"lines\.tsv: no line has a label$"):
        PLUGIN.vocabulary(corpora.corpus_of(PLUGIN, [tmp_path / "lines.tsv"], given), given)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("encoder=cnn", "encoder=cnn: needs tokens in order; set text="),
        ("pooling=attention", "pooling=attention: needs tokens in order; set text="),
        ("word_ngrams=0 maxn=0", "word_ngrams=0, maxn=0: a line would have no features"),
        ("minn=6", "minn=6, maxn=5: must be minn <= maxn"),
        ("dropout=1", "dropout=1.0: must be at least 0 and below 1"),
        ("focal=-1", "focal=-1: must be at least 0"),
        ("text=bpe encoder=rnn attention_width=4 pooling=attention", "attention_width=4: must be odd"),
        ("pooling=cls text=bpe", "pooling=cls: the first token of a bag knows of no other"),
        ("weighting=idf pooling=max", "weighting=idf: is for pooling=mean"),
        ("label_smoothing=1", "label_smoothing=1.0: must be at least 0 and below 1"),
    ],
)
def test_options_that_make_no_model_are_refused(given, reason):
    with pytest.raises(TextkitError, match="options of classifier: .*" + re.escape(reason)):
        config.resolve(PLUGIN, None, given.split())


@pytest.mark.parametrize(
    "name", ["bag idf", pytest.param("cnn", marks=SLOW), pytest.param("lstm attention", marks=SLOW), "batch norm"]
)
def test_a_small_language_is_learnt(name, tmp_path):
    random = np.random.default_rng(2)
    say = {"sun": ["warm", "bright", "noon"], "rain": ["wet", "grey", "cloud"], "snow": ["white", "cold", "flake"]}
    lines = []
    for _ in range(800):
        label = str(random.choice(list(say)))
        words = [str(random.choice(["the", "a", "is", "very"])) for _ in range(int(random.integers(1, 5)))]
        words.insert(int(random.integers(0, len(words) + 1)), str(random.choice(say[label])))
        lines.append(f"{label}\t{' '.join(words)}")
    corpus = corpus_of(tmp_path, lines)
    given = {"dim": 8, "epochs": 12, "min_count": 1, **BLOCKS[name]}
    spelled = [
        f"{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for key, value in given.items()
    ]
    chosen = config.resolve(PLUGIN, None, spelled)
    run = Run.create(tmp_path / "run", PLUGIN, *chosen, 1, corpus.paths)
    list(train(run, run.corpus, threads=1))
    assert run.facts["dev_score"]["value"] > 0.95
    assert run.facts["test_score"]["value"] > 0.9
    graph = PLUGIN.graphs(run.network(), run.vocabulary, run.config)["classify"]
    head = graph.facts["heads"][0]
    assert head["labels"] == ["rain", "snow", "sun"]
    assert 0 < head["temperature"] < 20
    assert head["calibration_error"]["after"] < 0.1
    assert len(head["typical"]) == QUANTILES
    record = next(iter(run.dev_corpus or run.corpus.with_paths([run.folder / "dev.txt"]).lines()))
    assert labelled(record).labels[0] in say
