"""N-grams of tokens beside an encoder: hashes and tf-idf against hand-made numbers and scikit-learn's, order that a bag does
not see learnt from raw text to the exported graph, and the solution of `few-shot`."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
import torch

from textkit import config
from textkit.corpora import corpus as corpora
from textkit.corpora.batching import padded
from textkit.errors import TextkitError
from textkit.exporting.export import export
from textkit.plugin import Epoch, Graph
from textkit.tasks.classify.corpus import Labelled, written
from textkit.tasks.classify.exporting.export import exported
from textkit.tasks.classify.serving.classifier import Classifier as Served
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit_plugins.encoder.classification import Classifier
from textkit_plugins.encoder.classification import Served as Module
from textkit_plugins.encoder.classifying import ClassifierOptions, ClassifierPlugin, attends
from textkit_plugins.encoder.few import FewShotOptions, FewShotPlugin
from textkit_plugins.encoder.multitasking import MultitaskPlugin
from textkit_plugins.encoder.ngrams import HASHES, MULTIPLIER, Tfidf, hashes_of, learnt_ngrams, most_features, order_of
from textkit_plugins.encoder.solving import Solved
from textkit_plugins.encoder.wide import Wide

PLUGIN = ClassifierPlugin()
TOKENS = {"text": "word", "min_count": 1, "vocab_size": 300}
# The same words in either order: only pairs of words tell which label it is.
ORDER = [
    f"{label}\t{start} {pair}{end}"
    for label, pair in (("bites", "dog man"), ("bitten", "man dog"))
    for start in ("the", "a", "one", "my", "this", "that")
    for end in ("", " today", " again", " here", " now")
]


def options(**given) -> ClassifierOptions:
    return ClassifierOptions(**{**TOKENS, "dim": 4, "dropout": 0.0, "wide": 2, **given})


def rule_of(texts, folder):
    (folder / "lines.tsv").write_text("".join(f"{'ab'[at % 2]}\t{text}\n" for at, text in enumerate(texts)))
    corpus = corpora.corpus_of(PLUGIN, [folder / "lines.tsv"], options())
    return PLUGIN.vocabulary(corpus, options()), corpus


def branch(hashes, lines, total, size=2, order=2) -> Wide:
    return Wide(options(), {"order": order, "hashes": hashes, "lines": lines, "total": total}, size).eval()


def tensors(rule, texts):
    return map(torch.from_numpy, padded(rule, texts))


def hashed(*ids) -> int:
    value = 0
    for token in ids:
        value = (value * MULTIPLIER + token + 1) % HASHES
    return value


# ---- n-grams


def test_ngrams_stay_within_their_lines():
    found = list(hashes_of(np.array([3, 4, 5, 7, 9]), np.array([3, 0, 1, 1]), 3))
    assert [hashes.tolist() for hashes, _ in found] == [
        [4, 5, 6, 8, 10],
        [(4 * MULTIPLIER + 5) % HASHES, (5 * MULTIPLIER + 6) % HASHES],
        [((4 * MULTIPLIER + 5) * MULTIPLIER + 6) % HASHES],
    ]
    assert [line.tolist() for _, line in found] == [[0, 0, 0, 2, 3], [0, 0], [0]]
    assert [len(hashes) for hashes, _ in hashes_of(np.zeros(0, np.int64), np.zeros(2, np.int64), 2)] == []


def test_what_the_most_lines_have_is_kept(tmp_path):
    rule, _ = rule_of(["x y", "x y z", "x x", "w"], tmp_path)
    x, y = rule.encode(["x y"]).ids.tolist()
    learnt = learnt_ngrams(rule, lambda: iter([["x y", "x y z"], ["x x", "w"]]), 2, 10)
    # "x" is in three lines, though four times; "z" and "w" are in one line each
    assert dict(zip(learnt["hashes"], learnt["lines"], strict=True)) == {
        hashed(x): 3, hashed(y): 2, hashed(x, y): 2,
    }  # fmt: skip
    assert learnt["hashes"] == sorted(learnt["hashes"])
    assert learnt["total"] == 4
    assert learnt_ngrams(rule, lambda: iter([["x y", "x y z", "x x", "w"]]), 2, 1)["hashes"] == [hashed(x)]
    assert learnt_ngrams(rule, lambda: iter([["x y"]]), 2, 10)["hashes"] == []


def test_thousands_of_labels_leave_room_for_fewer_ngrams():
    assert most_features(options(), {"labels": ["a"] * 77}) == 20_000
    assert most_features(options(), {"labels": ["a"] * 10_000}) == (1 << 24) // 10_000
    assert most_features(options(), {"heads": {"x": ["a"] * 5000, "y": ["a"] * 5000}}) == (1 << 24) // 10_000


@pytest.mark.parametrize(
    ("given", "begun", "order"),
    [
        ({"wide": -1}, False, 0),
        ({"wide": -1}, True, 2),
        ({"wide": -1, "pooling": "attention"}, True, 0),
        ({"wide": 1, "pooling": "attention"}, True, 1),
        ({"wide": 3}, False, 3),
        ({"wide": 0}, True, 0),
    ],
)
def test_what_begins_with_another_model_has_ngrams_by_itself(given, begun, order):
    assert order_of(options(**given), begun) == order


# ---- the branch


def test_logits_are_weights_times_tfidf_of_length_one():
    # idf: log((1 + 11) / (1 + 2)) + 1 and log((1 + 11) / (1 + 5)) + 1, whose squares are rounded to 64ths
    made = branch([hashed(3), hashed(3, 4)], [2, 5], 11)
    squares = [round((math.log(12 / lines) + 1) ** 2 * 64) / 64 for lines in (3, 6)]
    made.set_weights(np.array([[9.0, 9.0], [1.0, 0.0], [0.0, 10.0]]))  # row 0 stays nothing
    with torch.no_grad():
        found = made(torch.tensor([[3, 4, 8], [3, 3, 0], [8, 8, 8]]), torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 1, 1]]))
    length = math.sqrt(sum(squares))
    assert found[0].tolist() == pytest.approx([math.sqrt(squares[0]) / length, 10 * math.sqrt(squares[1]) / length])
    assert found[1].tolist() == pytest.approx([2 / math.sqrt(2), 0])
    assert found[2].tolist() == [0, 0]


def test_features_are_those_of_scikit_learn(tmp_path):
    text = pytest.importorskip("sklearn.feature_extraction.text")
    random = np.random.default_rng(1)
    words = ["sun", "rain", "snow", "hot", "cold", "the", "is"]
    texts = [" ".join(random.choice(words, random.integers(1, 9))) for _ in range(60)]
    rule, _ = rule_of(texts, tmp_path)
    made = branch(*list(learnt_ngrams(rule, lambda: iter([texts]), 2, 1000).values())[1:])
    ids, weight = tensors(rule, texts)
    rows, real = made.occurrences(ids, weight)
    tfidf = Tfidf([(rows[:40], real[:40]), (rows[40:], real[40:])], made.square.numpy())
    found = tfidf.of_all().toarray()
    # A vector in which n-grams recur has another length there: it adds them up first.
    sklearn = text.TfidfVectorizer(ngram_range=(1, 2), min_df=2, norm=None, token_pattern=r"\S+")
    wanted = sklearn.fit_transform(texts).toarray()
    names = sklearn.get_feature_names_out()
    place = {hash_: at + 1 for at, hash_ in enumerate(np.flatnonzero(made.rows.numpy()).tolist())}
    columns = [place[hashed(*rule.encode([name]).ids.tolist())] for name in names]
    assert len(columns) == made.table.num_embeddings - 1
    ratio = found[:, columns].sum(1) / wanted.sum(1)
    assert found[:, columns] == pytest.approx(wanted * ratio[:, None], abs=0.002)
    squares = made.square.numpy()[rows] * (real > 0)
    weights = np.sqrt(squares / squares.sum(1, keepdims=True))
    one_by_one = np.zeros_like(found)
    np.add.at(one_by_one, (np.arange(len(texts))[:, None], rows), weights)
    assert found == pytest.approx(one_by_one, abs=1e-6)
    # What is learnt from the first 50 lines knows nothing of the others, and gives all of them features.
    few = text.TfidfVectorizer(ngram_range=(1, 2), min_df=2, norm=None, token_pattern=r"\S+").fit(texts[:50])
    wanted = few.transform(texts).toarray()
    found = tfidf.learnt_from(np.arange(50)).toarray()
    columns = [place[hashed(*rule.encode([name]).ids.tolist())] for name in few.get_feature_names_out()]
    assert set(np.flatnonzero(found.any(0))) == set(columns)
    ratio = found[:, columns].sum(1) / wanted.sum(1)
    assert found[:, columns] == pytest.approx(wanted * ratio[:, None], abs=0.002)


def test_batches_may_have_lines_in_another_order():
    random = np.random.default_rng(5)
    rows, weight = random.integers(0, 4, (6, 3)), random.integers(0, 2, (6, 3)).astype(np.float32)
    square, order = np.array([0.0, 1, 2.25, 4]), np.array([4, 0, 5, 1, 3, 2])
    plain = Tfidf([(rows, weight)], square)
    cut = [(rows[order[:4]], weight[order[:4]]), (rows[order[4:]], weight[order[4:]])]
    again = Tfidf(cut, square, order=order)
    assert np.array_equal(again.of_all().toarray(), plain.of_all().toarray())
    some = np.array([0, 1, 4, 5])
    assert np.array_equal(again.learnt_from(some).toarray(), plain.learnt_from(some).toarray())


def test_padding_and_other_lines_change_no_bit():
    made = branch([hashed(at) for at in range(1, 9)], list(range(2, 10)), 90, size=5)
    random = np.random.default_rng(2)
    made.set_weights(random.normal(size=(9, 5)))
    ids = torch.from_numpy(random.integers(1, 9, (4, 12)))
    with torch.no_grad():
        alone = made(ids, torch.ones(4, 12))
        more = torch.cat([ids, torch.full((4, 20), 3)], 1)
        together = made(more, (torch.arange(32) < 12).float().expand(4, 32))
    assert torch.equal(alone, together)


def test_several_heads_share_a_branch():
    network = Classifier(options(), 9, [3, 2], [False, False], {"order": 1, "hashes": [4], "lines": [2], "total": 9})
    assert network.wide.table.weight.shape == (2, 4)  # two labels have one number
    network.eval().wide.set_weights(np.array([[0.0] * 4, [1.0, 2, 3, 4]]))
    ids, weight = torch.tensor([[3, 8]]), torch.ones(1, 2)
    bare = Classifier(options(), 9, [3, 2], [False, False])
    bare.load_state_dict({name: value for name, value in network.state_dict().items() if "wide" not in name})
    with torch.no_grad():
        first, second = (network(ids, weight, head) - bare.eval()(ids, weight, head) for head in (0, 1))
    assert first[0].tolist() == pytest.approx([1, 2, 3], abs=1e-5)
    assert second[0].tolist() == pytest.approx([0, 4], abs=1e-5)


def test_attention_says_what_counts_only_where_nothing_else_does():
    learnt = {"order": 1, "hashes": [4], "lines": [2], "total": 9}
    given = options(pooling="attention")
    assert attends(Classifier(given, 9, [3], [False]))
    assert not attends(Classifier(given, 9, [3], [False], learnt))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("text=word wide=6", "wide=6: must be from -1 to 5"),
        ("text=word wide=-2", "wide=-2: must be from -1 to 5"),
        ("text=word wide_features=0", "wide_features=0: must be from 1 to 32766"),
        ("text=word wide_features=40000", "wide_features=40000: must be from 1 to 32766"),
    ],
)
def test_options_that_make_no_model_are_refused(given, reason):
    with pytest.raises(TextkitError, match=reason):
        config.resolve(PLUGIN, None, given.split())


# ---- from raw text to the graph


def run_of(folder, *given) -> Run:
    (folder / "lines.tsv").write_text("".join(f"{line}\n" for line in ORDER * 4))
    chosen = config.resolve(PLUGIN, None, ["text=word", "min_count=1", "dim=4", "epochs=4", *given])
    run = Run.create(folder / "run", PLUGIN, *chosen, 1, [folder / "lines.tsv"])
    list(train(run, run.corpus, threads=1))
    return run


def test_order_is_learnt_that_a_bag_does_not_see(tmp_path):
    run = run_of(tmp_path, "wide=2", "epochs=12", "learning_rate=0.02")
    assert run.facts["dev_score"]["value"] == 1
    model = export(run, tmp_path / "model", "int8")
    served = Served(model, threads=1)
    lines = ["the dog man", "my man dog here", "", "dog man", "xqz"]
    answers = list(served.answer(lines))
    assert [answer.label for answer in answers[:2]] == ["bites", "bitten"]
    assert [answer.label for answer in served.answer(lines[3:4])] == [answers[3].label] == ["bites"]
    weights = served.explain(["the dog man here"])[0].words
    assert [word.weight > 0.1 for word in weights] == [False, True, True, False]


def test_a_line_has_the_same_logits_alone_and_with_others_to_the_bit(tmp_path):
    random = np.random.default_rng(3)
    words = [f"w{at}" for at in range(30)]
    texts = [" ".join(random.choice(words, 1 + at % 23)) for at in range(60)]
    rule, _ = rule_of(texts, tmp_path)
    learnt = learnt_ngrams(rule, lambda: iter([texts]), 2, 1000)
    network = Classifier(options(), len(rule), [77], [False], learnt).eval()
    network.wide.set_weights(random.normal(size=network.wide.table.weight.shape))
    graph = Graph(Module(network), facts={"heads": [], "attends": False})
    made = exported({"classify": graph}, rule, [written(Labelled(texts[0], ("a",)))], "fp32")
    session = onnxruntime.InferenceSession(made.graphs["classify"])

    def logits(some):
        ids, weight = padded(rule, some)
        more = ((0, 0), (0, -ids.shape[1] % 8))  # as the host pads lines
        return session.run(["logits"], {"ids": np.pad(ids, more), "weight": np.pad(weight, more)})[0]

    assert np.array_equal(logits(texts), np.concatenate([logits([text]) for text in texts]))


def test_a_bag_alone_does_not_see_it(tmp_path):
    assert run_of(tmp_path, "wide=1", "epochs=12", "learning_rate=0.02").facts["dev_score"]["value"] < 0.8


def test_a_run_that_knows_no_ngrams_has_none(tmp_path):
    """Runs made before there were any, and imported classifiers."""
    rule, _ = rule_of(["x y", "x y z"], tmp_path)
    assert "ngrams" in rule.learnt
    rule.learnt = {key: value for key, value in rule.learnt.items() if key != "ngrams"}
    assert PLUGIN.network(options(), rule).wide is None


def test_few_shot_puts_its_solution_into_the_branch(tmp_path):
    (tmp_path / "lines.tsv").write_text("".join(f"{line}\n" for line in ORDER))
    few = FewShotPlugin()
    own = FewShotOptions(**TOKENS, dim=4, wide=2, dropout=0.0)
    corpus = corpora.corpus_of(few, [tmp_path / "lines.tsv"], own)
    rule = PLUGIN.vocabulary(corpus, options())
    torch.manual_seed(1)
    network = few.network(own, rule)
    epoch = Epoch(0, 1)
    list(few.fit(network, corpus, rule, own, epoch))
    assert epoch.facts["cross_validation"]["accuracy"] == 1
    ids, weight = tensors(rule, ["the dog man", "the man dog", "so dog man"])
    with torch.no_grad():
        assert network.eval()(ids, weight, 0).argmax(1).tolist() == [0, 1, 0]
        network.wide.table.weight.zero_()
        alike = network(ids, weight, 0)
    assert alike[0].tolist() == pytest.approx(alike[1].tolist())  # the encoder sees the same words


def test_lines_kept_back_are_not_counted_among_the_ngrams(tmp_path):
    """Each word is in two lines of one label. So whatever a line shares with others, a fold that has not seen it has in one
    line alone, which is too few; if the fold counted the line itself, it would be right about nearly all."""
    random = np.random.default_rng(4)
    lines = [f"{'ab'[at // 2 % 2]}\tw{at // 2}" for at in range(400)]
    random.shuffle(lines)
    (tmp_path / "lines.tsv").write_text("".join(f"{line}\n" for line in lines))
    few, own = FewShotPlugin(), FewShotOptions(**TOKENS, dim=1, wide=1, dropout=0.0)
    corpus = corpora.corpus_of(few, [tmp_path / "lines.tsv"], own)
    rule = PLUGIN.vocabulary(corpus, options(wide=1))
    assert len(rule.learnt["ngrams"]["hashes"]) > 190
    network, epoch = few.network(own, rule), Epoch(0, 1)
    with torch.no_grad():
        network.encoder.tokens.embedding.weight.zero_()  # vectors know nothing
    list(few.fit(network, corpus, rule, own, epoch))
    assert epoch.facts["cross_validation"]["accuracy"] < 0.6


def named(tmp_path, labels, **given):
    """What few-shot finds over vectors that know words of two kinds, hot and wet ones, and how its network answers."""
    lines = [f"{labels[at % 2]}\t{text}" for at, text in enumerate(["hot noon", "grey mist", "dry noon", "damp mist"])]
    (tmp_path / "lines.tsv").write_text("".join(f"{line}\n" for line in lines))
    few, own = FewShotPlugin(), FewShotOptions(**TOKENS, dim=2, wide=0, dropout=0.0, **given)
    corpus = corpora.corpus_of(few, [tmp_path / "lines.tsv"], own)
    words = {"hot": (1, 0), "dry": (1, 0), "sunny": (1, 0.2), "grey": (0, 1), "damp": (0, 1), "rainy": (0.2, 1)}
    (tmp_path / "words.tsv").write_text("".join(f"a\t{word} noon mist\nb\t{word}\n" for word in words))
    rule = PLUGIN.vocabulary(corpora.corpus_of(PLUGIN, [tmp_path / "words.tsv"], options()), options())
    rule.learnt = {**few.facts(corpus, own)}
    network, epoch = few.network(own, rule), Epoch(0, 1)
    with torch.no_grad():
        network.encoder.tokens.embedding.weight.zero_()
        for word, vector in words.items():
            network.encoder.tokens.embedding.weight[int(rule.encode([word]).ids[0])] = torch.tensor(vector)
    list(few.fit(network, corpus, rule, own, epoch))
    head = network.heads[0].steps[-1]
    return epoch.facts["cross_validation"], head.weight.detach().numpy().copy()


def test_the_name_of_a_label_is_an_example_of_it(tmp_path):
    facts, weight = named(tmp_path, ("sunny", "rainy_"))
    assert facts["names"]
    assert facts["folds"] == 4  # names are judged in no fold
    without, alone = named(tmp_path, ("sunny", "rainy_"), names=False)
    assert not without["names"]
    # the names' vectors lie between the lines', so their weights reach less far apart
    assert not np.allclose(weight, alone, rtol=0.01)
    codes, same = named(tmp_path, ("q2", "q1"))
    assert not codes["names"]
    assert np.array_equal(same, alone)
    swapped, same = named(tmp_path, ("rainy", "sunny"))  # names that say the contrary are no examples
    assert not swapped["names"]
    assert np.allclose(same, -alone, atol=1e-3)


def test_a_name_counts_as_two_lines(tmp_path):
    random = np.random.default_rng(5)
    vectors, wanted = random.normal(size=(24, 3)).astype(np.float32), np.arange(24) % 3
    names = np.eye(3, dtype=np.float32)
    both, whose = np.concatenate([vectors, names]), np.concatenate([wanted, np.arange(3)])
    solved = Solved(both, whose, np.array([1.0] * 24 + [2.0] * 3), False, 3, None, 3)
    _, judged, logits = solved.chosen((0.1,), 1)
    assert judged.tolist() == list(range(24))
    assert logits.shape == (24, 3)
    twice = Solved(np.concatenate([both, names]), np.concatenate([whose, np.arange(3)]), np.ones(30), False, 3)
    assert np.allclose(solved.solve(0.1), twice.solve(0.1), atol=1e-3)


def test_multitask_has_a_branch_too(tmp_path):
    texts = [line.partition("\t")[2] for line in ORDER]
    lengths = [f"{'long' if len(text) > 15 else 'short'}\t{text}" for text in texts]
    for name, lines in (("order", ORDER), ("length", lengths)):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{line}\n" for line in lines))
    plugin = MultitaskPlugin()
    chosen = config.resolve(plugin, None, ["wide=2", "encoder=bag", "pooling=mean", "units=0", "dim=4", "epochs=4"])
    run = Run.create(tmp_path / "run", plugin, *chosen, 1, [tmp_path / "order.tsv", tmp_path / "length.tsv"])
    list(train(run, run.corpus, threads=1))
    assert run.network().wide.table.weight.shape[1] == 2  # one number for each of two heads of two labels
    assert len(run.network().wide.rows) == HASHES
