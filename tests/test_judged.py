"""Judged retrieval: what is read and refused, rankings and figures by hand, and `textkit evaluate` end to end."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_embedder import write_words

from textkit.bundle import bundle
from textkit.errors import TextkitError
from textkit.tasks.embed.evaluation import data, judged, retrieval
from textkit.verbs import evaluate

CORPUS = "a\tthe cat\nb\tdog\nc\tsat .\nd\t\n"
QUERIES = "1\tcat\n2\tdog dog\n3\tunheard\n4\tsat\n"
QRELS = "1\ta\t2\n1\tb\t1\n2\tb\t0\n3\tc\t1\n"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return written(tmp_path, CORPUS, QUERIES, QRELS)


def written(folder: Path, corpus: str, queries: str, qrels: str, ends: str = "tsv") -> list[Path]:
    paths = [folder / f"{name}.{ends}" for name in ("corpus", "queries", "qrels")]
    for path, text in zip(paths, (corpus, queries, qrels), strict=True):
        path.write_text(text)
    return paths


def read(paths: list[Path]) -> judged.Judged:
    return judged.read(*map(str, paths))


def test_three_files_are_read(files):
    found = read(files)
    assert found.documents == {"a": "the cat", "b": "dog", "c": "sat .", "d": ""}
    assert found.queries == {"1": "cat", "2": "dog dog", "3": "unheard", "4": "sat"}
    assert found.grades == {"1": {"a": 2, "b": 1}, "2": {"b": 0}, "3": {"c": 1}}


def test_headers_titles_and_trecs_columns(tmp_path):
    found = read(written(
        tmp_path, "id\ttitle\ttext\na\tFur\tthe cat\nb\t\tdog\n\n", "query_id\tquery\r\n1\tcat\r\n",
        "query-id\tcorpus-id\tscore\n1\ta\t-1\n",
    ))  # fmt: skip
    assert (found.documents, found.queries) == ({"a": "Fur the cat", "b": "dog"}, {"1": "cat"})
    assert found.grades == {"1": {"a": -1}}
    found = read(written(tmp_path, "a\tthe cat\nb\tdog\n", "1\tcat\n", "1 0 a 1\n1 Q0 b 0\n"))
    assert found.grades == {"1": {"a": 1, "b": 0}}


def test_json_lines_as_beir_has_them(tmp_path):
    corpus = [{"_id": "a", "title": "Fur", "text": "the cat", "metadata": {}}, {"_id": "b", "title": "", "text": "dog"}]
    corpus.append({"_id": 3, "title": None, "text": ""})
    paths = written(
        tmp_path, "".join(json.dumps(value) + "\n" for value in corpus), '{"_id": "1", "text": "cat"}\n', "1\ta\t1\n",
        "jsonl",
    )  # fmt: skip
    found = read(paths)
    assert (found.documents, found.queries) == ({"a": "Fur the cat", "b": "dog", "3": ""}, {"1": "cat"})
    assert judged.are_judged([str(path) for path in paths])


@pytest.mark.parametrize(
    ("at", "text", "said"),
    [
        (0, "a\tthe cat\nb\n", "corpus.tsv, line 2: has 1 column: a line is id<tab>text or"),
        (0, "a\tx\tx\tx\n", "corpus.tsv, line 1: has 4 columns"),
        (0, "a\tthe cat\nb\tdog\tcat\n", "corpus.tsv, line 2: has 3 columns"),
        (0, "a\tthe cat\n\na\tdog\n", "corpus.tsv, line 3: the id 'a' comes a second time"),
        (0, "\tthe cat\n", "corpus.tsv, line 1: the document has no id"),
        (0, "\n \n", "corpus.tsv: holds no document"),
        (0, '{"_id": "a"}\n', "corpus.tsv, line 1: no field 'text'"),
        (0, '{"text": "a"}\n', "corpus.tsv, line 1: no field '_id'"),
        (0, '{"_id": "a", "text": 1}\n', "corpus.tsv, line 1: field 'text' is a number"),
        (0, '{"_id": "a", "text": "x"}\n{"_id"\n', "corpus.tsv, line 2: malformed JSON"),
        (1, "1\tcat\n2\tdog\n1\tcat\n", "queries.tsv, line 3: the id '1' comes a second time"),
        (1, "", "queries.tsv: is empty"),
        (2, "1\ta\t1\n1\te\t1\n", "qrels.tsv, line 2: no line of {corpus} has the id 'e'"),
        (2, "9\ta\t1\n", "qrels.tsv, line 1: no line of {queries} has the id '9'"),
        (2, "1\ta\t1\n\n1\ta\t1\n", "qrels.tsv, line 3: document 'a' is judged a second time for query '1'"),
        (2, "1\ta\t1\n1\tb\tx\n", "qrels.tsv, line 2: the grade is 'x': no whole number"),
        (2, f"1\ta\t{'9' * 19}\n", "qrels.tsv, line 1: the grade is '9999999999999999999': 18 digits are the most"),
        (2, f"1\ta\t{'9' * 5000}\n", "9…': 18 digits are the most"),
        (2, "1\ta\t1\n1\tb\n", "qrels.tsv, line 2: is no judgement, query<tab>document<tab>grade"),
        (2, "1\ta\t\n", "qrels.tsv, line 1: is no judgement"),
        (2, "query\tdocument\tgrade\n", "qrels.tsv: holds no judgement"),
    ],
)
def test_bad_files_name_file_and_line(tmp_path, files, at, text, said):
    files[at].write_text(text)
    with pytest.raises(TextkitError) as error:
        read(files)
    assert said.format(corpus=files[0], queries=files[1]) in str(error.value)


def test_pairs_are_judged_by_standing_together(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("query\tdocument\ncat\tthe cat\nsun\thot\ncat\tfur\nsun\thot\n \tnothing\n")
    found = judged.read_pairs(str(path))
    assert found.grades == {"cat": {"the cat": 1, "fur": 1}, "sun": {"hot": 1}}
    assert list(found.documents.values()) == ["the cat", "hot", "fur"]
    path.write_text("anchor\tpositive\tnegative\ncat\tfur\tdog\nsun\thot\t0.5\n")
    found = judged.read_pairs(str(path))
    assert (list(found.documents), found.grades["cat"]) == (["fur", "dog", "hot", "0.5"], {"fur": 1})
    path.write_text("x\tq\td\n1\tcat\tfur\n")
    assert judged.read_pairs(str(path), "q", "d").grades == {"cat": {"fur": 1}}
    path.write_text("\n")
    with pytest.raises(TextkitError, match="no pair of a query and its document"):
        judged.read_pairs(str(path))


def test_ties_are_broken_as_trec_eval_breaks_them():
    trec = pytest.importorskip("pytrec_eval")
    random = np.random.default_rng(5)
    names = [f"d{number}" for number in range(120)] + ["é", "z", "Ä", "日"]
    axes = np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))]).astype(np.float32)  # exact products, and no vector
    vectors = {name: axes[number] for name, number in zip(names, random.integers(7, size=len(names)), strict=True)}
    asked = {f"q{number}": axes[number % 6].copy() for number in range(30)}
    grades = {q: {d: int(random.integers(0, 3)) for d in random.permutation(names)[:20].tolist()} for q in asked}
    asked["q0"][:] = 0  # finds nothing
    grades["q1"] = dict.fromkeys(grades["q1"], 0)  # nothing is relevant
    read = judged.Judged("x", {name: name for name in names}, {q: q for q in asked}, grades)
    rankings = retrieval.Searched(
        read, lambda texts: [vectors[t] for t in texts], lambda texts: [asked[t] for t in texts]
    )("meaning")
    assert rankings["q0"] == []
    runs = {}
    for query, vector in asked.items():
        runs[query] = {name: float(vector @ other) for name, other in vectors.items() if other.any()}
        runs[query] = runs[query] if vector.any() else {"x": 1.0}
        ties = sorted(runs[query], key=lambda name: (runs[query][name], name), reverse=True)
        assert not vector.any() or rankings[query] == ties
    measures = {"ndcg_cut.10", "recall.10,100", "recip_rank"}
    wanted = trec.RelevanceEvaluator(grades, measures).evaluate(runs)
    found = {result.metric: result.value for result in retrieval.results(read, rankings)}
    for metric, name in (("ndcg@10", "ndcg_cut_10"), ("recall@10", "recall_10"), ("recall@100", "recall_100")):
        assert found[metric] == pytest.approx(np.mean([of[name] for of in wanted.values()]), abs=1e-9)
    assert found["mrr"] == pytest.approx(np.mean([of["recip_rank"] for of in wanted.values()]), abs=1e-9)


def test_figures_by_hand(call, tmp_path, files):
    """cat: a (cosine .84 with the mean of `the` and `cat`), then c and b; dog dog: b; unheard has no vector."""
    model = write_words(tmp_path / "model")
    code, out, error = call("evaluate", "-m", model, *files)
    assert (code, error) == (0, "")
    named = " ".join(map(str, files))
    best = 2 + 1 / math.log2(3)
    gain = 2 + 1 / math.log2(4)  # a first; c is third, b is -1 * ... behind it
    cosines = np.array([[1, 0, 0], [4, -4, 0], [2, 2, 2], [0, 8, 1], [0, 0, -3]], float)
    vector = {"a": cosines[[0, 1]].mean(0), "b": cosines[3], "c": cosines[[2, 4]].mean(0)}
    scores = {d: cosines[1] @ v / np.linalg.norm(v) for d, v in vector.items()}
    assert sorted(scores, key=scores.get, reverse=True) == ["a", "c", "b"]
    assert [line.split("\t") for line in out.splitlines()] == [
        ["ndcg@10", f"{gain / best / 3:.4f}", "3", "4", "1", named],
        ["recall@10", "0.3333", "3", "4", "1", named],
        ["recall@100", "0.3333", "3", "4", "1", named],
        ["mrr", "0.3333", "3", "4", "1", named],
    ]
    code, out, _ = call("evaluate", "-m", model, *files, "--metric", "mrr,ndcg", "--format", "jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["metric"] for record in records] == ["ndcg@10", "mrr"]
    assert records[0]["value"] == pytest.approx(gain / best / 3)
    assert (records[0]["data"], records[0]["documents"], records[0]["used"]) == (named, 4, 3)


def test_the_three_files_are_known_by_their_looks(call, tmp_path, files, monkeypatch):
    paths = list(map(str, files))
    assert evaluate._claimant(paths) == "embed"
    assert judged.are_judged(paths)
    assert judged.are_judged([paths[0], "-", paths[2]])
    assert not judged.are_judged(paths[:2])
    assert not judged.are_judged([paths[0], "-", "-"])
    assert not judged.are_judged([paths[2], paths[1], paths[0]])
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", str(write_words(tmp_path / "model")))
    assert call("evaluate", *files)[1].startswith("ndcg@10\t")
    # What is wrong in one of them is said of that line.
    for at, text, wrong in (
        (0, "a\tthe cat\na\tdog\n", "line 2: the id 'a' comes a second time"),
        (0, "a\n", "line 1: has 1 column"),
        (0, "a\tFur\tthe cat\nb\tdog\n", "line 2: has 2 columns"),
        (2, "1\ta\tx\n", "holds no judgement"),
        (2, "1\ta\t1\n1\ta\t2\n1\n", "line 2: document 'a' is judged a second time"),
    ):
        bad = tmp_path / "bad.tsv"
        bad.write_text(text)
        some = [*paths[:at], str(bad), *paths[at + 1 :]]
        assert wrong in call("evaluate", *some)[2]
    # Three files of pairs with scores are measured one by one.
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("cat\tdog\t1\ncat\tcat\t9\nsat\t.\t3\n")
    code, out, _ = call("evaluate", pairs, pairs, pairs)
    assert (code, out.count("similarity\t")) == (0, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "mrr,sts"], "several at a time are bleu,chrf,confidence or ndcg,recall,mrr"),
        (["--metric", "sts,similarity"], "several at a time are"),
        (["--metric", "mrr", "--restrict-vocab", "5"], "--restrict-vocab: has no effect on mrr"),
        (["--metric", "mrr", "--columns", "1,2"], "--columns 1,2: of pairs, two are needed"),
        (["--metric", "recall", "--delimiter", ","], "--delimiter: has no effect on recall"),
        (["--metric", "sts", "--hybrid"], "--hybrid: has no effect on sts"),
    ],
)
def test_options_that_cannot_work_are_refused(call, tmp_path, files, options, said):
    code, out, error = call("evaluate", "-m", write_words(tmp_path / "model"), *options, *files)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error


def test_a_file_in_the_wrong_place_is_one_line(call, tmp_path, files):
    code, out, error = call(
        "evaluate", "-m", write_words(tmp_path / "m"), "--metric", "ndcg", files[0], files[2], files[1]
    )
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert "qrels.tsv, line 2: the id '1' comes a second time; retrieval is measured with three files" in error


def test_words_and_hybrid_by_hand():
    """BM25 finds b (two of two words), then a and c (one each, c the longer); meaning prefers c."""
    pytest.importorskip("tantivy")
    documents = {"a": "red", "b": "red fish", "c": "fish in a pond of water", "d": "bird", "e": ""}
    vectors = {"red": (1, 0), "red fish": (3, 4), "fish in a pond of water": (0, 1), "bird": (0, -1), "": (0, 0)}
    grades = {"1": {"b": 1}, "2": {"d": 1}, "3": {"a": 1}}
    read = judged.Judged("x", documents, {"1": "red fishes", "2": "zebra", "3": " "}, grades)
    asked = {"red fishes": (0.0, 1.0), "zebra": (0.0, -1.0), " ": (0.0, 0.0)}
    searched = retrieval.Searched(
        read, lambda texts: [vectors[t] for t in texts], lambda texts: [asked[t] for t in texts]
    )
    assert searched("words") == {"1": ["b", "a", "c"], "2": [], "3": []}
    assert searched("meaning") == {"1": ["c", "b", "a", "d"], "2": ["d", "a", "b", "c"], "3": []}
    # b: .7 * 1.8 / 2 + .3; c: .7 + .3 * BM25(c) / BM25(b), where c has half of the words, in a longer text: 0.93 > .7 + .15
    assert searched("hybrid") == {"1": ["b", "c", "a", "d"], "2": ["d", "a", "b", "c"], "3": []}
    found = {result.metric: result for result in retrieval.results(read, searched("hybrid"), ["mrr"], "hybrid")}
    assert found["mrr/hybrid"].value == pytest.approx(2 / 3)
    assert (found["mrr/hybrid"].outside, found["mrr/hybrid"].detail["mode"]) == (1, "hybrid")


def test_modes_on_the_command_line(call, tmp_path, files):
    pytest.importorskip("tantivy")
    model = write_words(tmp_path / "model")
    code, out, error = call("evaluate", "-m", model, *files, "--words", "--hybrid", "--metric", "mrr,recall")
    assert (code, error) == (0, "")
    assert [line.split("\t")[0] for line in out.splitlines()] == [
        "recall@10/words", "recall@100/words", "mrr/words", "recall@10/hybrid", "recall@100/hybrid", "mrr/hybrid",
    ]  # fmt: skip
    pairs = tmp_path / "sts.tsv"
    pairs.write_text("cat\tdog\t1\ncat\tcat\t9\nsat\t.\t3\n")
    code, out, error = call("evaluate", "-m", model, pairs, "--words")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "--words: is for judged retrieval" in error


@pytest.mark.slow
def test_hybrid_search_is_better_than_its_parts():
    """The figures of docs/search.md, of the shipped model."""
    data_sets = Path(__file__).resolve().parents[2] / "shared" / "data" / "ir"
    if not data_sets.is_dir():
        pytest.skip(f"no {data_sets}: the data sets of the workplace are not here")
    from textkit.tasks.embed.evaluation.measures import Evaluator
    from textkit.tasks.embed.serving.embedder import Embedder

    evaluator = Evaluator(Embedder("en-sentences"))
    for name, metric, least in (("cranfield", "ndcg@10", 0.40), ("xquad_en", "mrr", 0.85)):
        paths = [str(data_sets / name / f"{part}.tsv") for part in ("corpus", "queries", "qrels")]
        found = {each.metric: each.value for each in evaluator.retrieval(paths, (), None, retrieval.MODES)}
        assert found[f"{metric}/hybrid"] >= least
        assert found[f"{metric}/hybrid"] > max(found[f"{metric}/words"], found[metric])


def two_sided(folder: Path) -> Path:
    """Five words; the side of queries has each word's vector in the place of the next word."""
    documents, queries = write_words(folder / "documents"), write_words(folder / "queries", table=_turned())
    shutil.copy(queries / "embed.onnx", documents / "query.onnx")
    manifest = json.loads((documents / "manifest.json").read_text())
    manifest["graphs"]["query"] = manifest["graphs"]["embed"] | {"file": "query.onnx"}
    content = (documents / "query.onnx").read_bytes()
    manifest["files"]["query.onnx"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (documents / "manifest.json").write_text(json.dumps(manifest))
    return documents


def _turned() -> np.ndarray:
    from small_embedder import TABLE

    return np.roll(TABLE, 1, axis=0)  # `cat` is where `the` was, `dog` where `sat` was


def test_pairs_of_a_model_with_two_sides(call, tmp_path):
    model, path = two_sided(tmp_path), tmp_path / "pairs.tsv"
    path.write_text("cat\tthe\nsat\tcat\ndog\tsat\n")
    assert retrieval.learnt_pairs(bundle.read(model).manifest)
    assert call("evaluate", "-m", model, path)[1].splitlines()[-1] == f"mrr\t1.0000\t3\t3\t0\t{path}"
    # The same lines, embedded alike on both sides, do not find each other; and a model that learnt no pairs has to be told.
    one = tmp_path / "documents-alone"
    write_words(one)
    code, _, error = call("evaluate", "-m", one, path)
    assert (code, error.count("\n")) == (1, 1)
    assert "--metric mrr measures pairs of a query and its document" in error
    found = call("evaluate", "-m", one, "--metric", "mrr", "--columns", "1,2", path)[1].split("\t")
    assert float(found[1]) < 0.9


def test_a_training_that_was_scored_by_mrr_learnt_pairs(tmp_path):
    facts = {"made": {"facts": {"dev_score": {"name": "mrr", "value": 0.5}}}}
    model = write_words(tmp_path / "m")
    manifest = json.loads((model / "manifest.json").read_text())
    for made, learnt in ((facts["made"], True), ({"facts": "mrr"}, False), ({}, False)):
        (model / "manifest.json").write_text(json.dumps(manifest | {"made": made}))
        assert retrieval.learnt_pairs(bundle.read(model).manifest) is learnt


def test_claims_of_other_data_stay(tmp_path):
    path = tmp_path / "one.tsv"
    path.write_text("A man goes home.\tEin Mann geht heim.\n")
    assert data.claims([str(path)]) == 0
