"""The family `dssm`: word hashing, layers and loss by hand, negatives, and a model whose two sides are served."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from textkit import config
from textkit.bundle import bundle
from textkit.corpora.corpus import corpus_of
from textkit.errors import TextkitError, UsageError
from textkit.exporting.export import export
from textkit.plugin import Epoch, Graph
from textkit.tasks.embed.exporting.export import exported
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit_plugins.encoder import dssm
from textkit_plugins.encoder.dssm import DssmOptions, DssmPlugin, bags_of, batch_of, vectors_of
from textkit_plugins.encoder.towers import Batch, Tower, Towers
from textkit_plugins.encoder.vectors import belonging

PLUGIN = DssmPlugin()
ANSWERS = {"sun": "hot warm bright", "rain": "wet grey cloudy", "snow": "white cold icy", "wind": "blowing gale storm"}
HOSTILE = [
    "",
    " \t ",
    "a",
    "Я",
    "Привет, мир!",
    "\U0001f600",
    "hot \U0001f600",
    "日本語",
    "x" * 10_000,
    "rain " * 2_000,
]
EVERY = "\t".join((" ".join([*ANSWERS, "what is the"]), " ".join([*ANSWERS.values(), "it was very"])))


def hashing(tmp_path, *records, **options):
    """The rule that is learnt from records."""
    (tmp_path / "pairs.tsv").write_text("".join(f"{record}\n" for record in records))
    chosen = DssmOptions(**{"min_count": 1, **options})
    return PLUGIN.vocabulary(corpus_of(PLUGIN, [tmp_path / "pairs.tsv"], chosen), chosen)


def trigrams(rule, text):
    return [name.replace(" ", "#") for name, _, _ in rule.tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good", "#go goo ood od#"),
        ("Good good", "#go goo ood od# #go goo ood od#"),
        ("a", "#a#"),
        ("to do", "#to to# #do do#"),
        ("да нет", "#да да# #не нет ет#"),
        ("\U0001f600", "#\U0001f600#"),
        ("don't", "#do don on# #'# #t#"),
        ("   ", ""),
    ],
)
def test_a_word_between_two_marks_is_its_letter_trigrams(tmp_path, text, expected):
    rule = hashing(tmp_path, f"{text if text.strip() else 'x'}\tgood")
    assert trigrams(rule, text) == expected.split()
    assert rule.encode([text]).lengths.tolist() == [len(expected.split())]


def test_trigrams_of_few_texts_have_no_row(tmp_path):
    records = ["good\tgods", "go\tgo"]
    # #go: 4 texts; go#: 2; the others 1 each
    assert trigrams(hashing(tmp_path, *records, min_count=2), "good go") == ["#go", "#go", "go#"]
    assert trigrams(hashing(tmp_path, *records, features=1), "good go") == ["#go", "#go"]
    with pytest.raises(TextkitError, match=r"pairs\.tsv: min_count=5"):
        hashing(tmp_path, *records, min_count=5)


def test_layers_are_hyperbolic_tangents_of_counts(tmp_path):
    rule = hashing(tmp_path, "good god\tdog")
    tower = Tower(DssmOptions(hidden=(3,), output=2), len(rule))
    with torch.no_grad():
        tower.bias += torch.tensor([0.1, -0.2, 0.3])
        tower.layers[0].bias += 0.5
        found = tower(bags_of(["good good god", "", "dog"], rule)).numpy()
    counts = np.zeros((3, len(rule)))
    for line, words in enumerate((["good", "good", "god"], [], ["dog"])):
        for word in words:
            np.add.at(counts[line], rule.encode([word]).ids, 1)
    hidden = np.tanh(counts @ tower.table.weight.detach().numpy() + [0.1, -0.2, 0.3])
    expected = np.tanh(hidden @ tower.layers[0].weight.detach().numpy().T + 0.5)
    assert found[[0, 2]] == pytest.approx(expected[[0, 2]], abs=1e-6)
    assert not found[1].any()  # no trigram, no vector


def test_loss_is_that_of_a_softmax_over_cosines_times_gamma():
    network = Towers(DssmOptions(gamma=2.0), 1)
    given = {"queries": torch.tensor([[1.0, 0.0], [0.0, 2.0]]), "documents": torch.tensor([[3.0, 0], [4, 3], [-1, 0]])}
    network.documents = torch.nn.Identity()
    also = torch.tensor([[False, False, False], [True, False, False]])
    cosines = [[1.0, 0.8, -1.0], [0.0, 0.6, 0.0]]
    e = [[math.exp(2 * cosine) for cosine in row] for row in cosines]
    # The first document belongs to the second query too, so it is none of its negatives.
    expected = -(math.log(e[0][0] / sum(e[0])) + math.log(e[1][1] / (e[1][1] + e[1][2]))) / 2
    assert network.loss(Batch(given["queries"], given["documents"], also, 0)).item() == pytest.approx(
        expected, rel=1e-6
    )


def test_partners_of_an_equal_query_are_no_negatives():
    queries, documents = ["a", "b", "a", "c"], ["x", "y", "z", "x", "y", "w"]
    found = belonging(queries, documents)
    assert found.tolist() == [
        [True, False, True, True, False, False],  # of "a": x and z, wherever they stand
        [False, True, False, False, True, False],
        [True, False, True, True, False, False],
        [True, False, False, True, False, False],
    ]


def test_hard_negatives_and_drawn_documents_stand_behind_the_partners(tmp_path):
    rule = hashing(tmp_path, EVERY)
    pairs = [("sun", "hot", ""), ("rain", "wet", "warm"), ("snow", "cold", "")]
    batch = batch_of(pairs, ["icy", "hot"], rule)
    wanted = bags_of(["hot", "wet", "cold", "warm", "icy", "hot"], rule)
    assert torch.equal(batch.documents.ids, wanted.ids)
    assert batch.also.nonzero().tolist() == [[0, 5]]  # "hot" was drawn, which is the partner of "sun"


def test_drawn_documents_repeat_and_begin_anywhere(tmp_path):
    rule = hashing(tmp_path, *(f"query {n}\tdocument {n}" for n in range(50)))
    options = DssmOptions(drawn=3, min_count=1)
    corpus = corpus_of(PLUGIN, [tmp_path / "pairs.tsv"], options)

    def documents(number, start=0):
        found = PLUGIN.batches(corpus, rule, options, Epoch(number, 7, start, batch_size=20))
        return [[batch.documents.ids.tolist(), len(batch.documents.begins)] for batch in found]

    whole = documents(1)
    assert [count for _, count in whole] == [23, 23, 13]
    assert documents(1, 2) == whole[2:]
    assert documents(2) != whole


def test_documents_are_drawn_from_all_of_a_long_corpus(monkeypatch):
    monkeypatch.setattr(dssm, "WINDOW", 10)
    chunks = [[f"q\t{number}" for number in range(begin, begin + 10)] for begin in range(0, 50, 10)]
    corpus = SimpleNamespace(chunks=lambda size: iter(chunks))
    pools = [dssm._sampled(corpus, Epoch(number, 3)) for number in range(400)]
    assert all(len(set(pool)) == 10 for pool in pools)
    shares = np.bincount([int(text) // 10 for pool in pools for text in pool]) / 4000
    assert shares == pytest.approx([0.2] * 5, abs=0.04)  # five standard deviations


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two towers, of the paper's sizes, over questions and answers that share no word."""
    folder, random = tmp_path_factory.mktemp("dssm"), np.random.default_rng(1)
    records = ["query\tdocument"]
    for _ in range(300):
        topic = str(random.choice(list(ANSWERS)))
        query, answer = [topic, "what is the"], [str(random.choice(ANSWERS[topic].split())), "it was very"]
        records.append("\t".join(" ".join(random.permutation(" ".join(side).split())) for side in (query, answer)))
    (folder / "pairs.tsv").write_text("\n".join([*records, ""]))
    chosen = config.resolve(PLUGIN, None, ["towers=two", "min_count=1", "epochs=6", "batch_size=32", "drawn=8"])
    run = Run.create(folder / "run", PLUGIN, *chosen, 1, [folder / "pairs.tsv"])
    list(train(run, run.corpus, threads=1))
    return run


@pytest.fixture(scope="module")
def models(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {precision: export(run, folder / precision, precision) for precision in ("fp32", "int8")}


@pytest.mark.slow
def test_questions_find_their_answers(run, models):
    assert run.facts["dev_score"]["name"] == "mrr"
    assert bundle.read(models["fp32"]).manifest.scores[0]["metric"] == "mrr"
    queries = Embedder(models["fp32"], side="query")(list(ANSWERS))
    documents = Embedder(models["fp32"])([words.split()[0] for words in ANSWERS.values()])
    assert (queries @ documents.T).argmax(1).tolist() == [0, 1, 2, 3]


@pytest.mark.slow
def test_each_side_has_a_graph_of_its_own_tower(run, models):
    manifest = bundle.read(models["fp32"]).manifest
    assert list(manifest.graphs) == ["embed", "query"]
    assert manifest.parity["query"]["max_relative"] <= manifest.parity["query"]["tolerance"]
    towers, lines = run.network(), [*ANSWERS, EVERY, *HOSTILE]
    for side, tower in (("document", towers.documents), ("query", towers.queries)):
        embed = Embedder(models["fp32"], side=side)
        assert embed.two_sided
        with torch.no_grad():
            wanted = vectors_of(tower, lines, run.vocabulary)
        assert embed(lines) == pytest.approx(wanted, abs=2e-5)
        assert embed.long_lines == 0
    assert np.abs(vectors_of(towers.queries.requires_grad_(False), lines[:4], run.vocabulary) - wanted[:4]).max() < 1e-6
    assert np.abs(Embedder(models["fp32"])(lines[:4]) - wanted[:4]).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_line_has_one_vector_in_every_batch(models, precision):
    lines = [*ANSWERS, EVERY, *HOSTILE, *(f"{EVERY} " * n for n in range(1, 8))]
    for side in ("document", "query"):
        embed = Embedder(models[precision], threads=1, side=side)
        together = embed(lines)
        assert np.array_equal(np.concatenate([embed([line]) for line in lines]), together)
        assert np.array_equal(embed(lines[::-1])[::-1], together)
        lengths = np.linalg.norm(together, axis=1)
        assert np.allclose(lengths[lengths > 0], 1, atol=1e-5)
        assert not together[[len(ANSWERS) + 1, len(ANSWERS) + 2]].any()  # blank lines


@pytest.mark.slow
def test_the_command_line_takes_a_side(models, call):
    text = "".join(f"{word}\n" for word in ANSWERS)
    for options, side in (([], "document"), (["--side", "document"], "document"), (["--side", "query"], "query")):
        code, out, _ = call("embed", "-m", models["fp32"], *options, stdin=text)
        found = np.array([line.split() for line in out.splitlines()], float)
        assert code == 0
        assert found == pytest.approx(Embedder(models["fp32"], side=side)(list(ANSWERS)), abs=1e-4)
    with pytest.raises(UsageError, match="unknown side 'querry'; did you mean 'query'"):
        Embedder(models["fp32"], side="querry")


def test_one_tower_is_one_graph_which_serves_both_sides(run, tmp_path):
    shared = Towers(DssmOptions(), len(run.vocabulary))
    assert shared.queries is shared.documents
    graphs = PLUGIN.graphs(shared, run.vocabulary, DssmOptions())
    assert list(graphs) == ["embed"]
    embed = Embedder()  # of words, and of one side
    other = Embedder(side="query")
    assert not other.two_sided
    assert np.array_equal(other(["a query"]), embed(["a query"]))


def test_two_sides_have_vectors_of_one_size(run):
    graphs = {name: Graph(torch.nn.Embedding(len(run.vocabulary), size)) for name, size in (("embed", 2), ("query", 3))}
    with pytest.raises(TextkitError, match="'embed' and 'query' give other vectors: .*2.*3"):
        exported(graphs, run.vocabulary, [], "fp32")


def test_scores_are_refused_and_the_family_that_learns_them_is_named(tmp_path):
    (tmp_path / "scored.tsv").write_text("a b\tc d\t4.5\ne\tf\t0\n")
    with pytest.raises(TextkitError, match=r"line 1: column 3 looks like a score, which sentence-encoder learns"):
        corpus_of(PLUGIN, [tmp_path / "scored.tsv"], DssmOptions()).check()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gamma=0", "gamma=0: must be above 0"), ("hidden=0", "hidden=0: at least one layer"),
        ("output=0", "output=0: must be at least 1"), ("drawn=-1", "drawn=-1: must be at least 0"),
        ("towers=three", "takes one of shared, two"), ("score_column=3", "unknown option 'score_column'"),
    ],
)  # fmt: skip
def test_options_that_make_no_model_are_refused(given, said):
    with pytest.raises(UsageError, match=said):
        config.resolve(PLUGIN, None, [given])
