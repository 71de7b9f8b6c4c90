"""The embedder: vectors by hand and from a reference in f64, whatever else is in the batch, the window or the line."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from small_bundle import embed_model, write_small
from small_embedder import PROBABILITY, TABLE, WORDS, vectors_of, write_ngrams, write_words
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import textkit
from textkit.bundle import bundle
from textkit.errors import TextkitError, UsageError
from textkit.serving import open_model
from textkit.serving.padding import parts
from textkit.tasks.embed.exporting.export import export_embedding_table
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.text.tokenizer import Pretokenized

UNSEEN = ["catalogue", "naïve", "dogs", "x", "日本", "thecat", "a" * 30]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("models") / "five")


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ngrams(tmp_path_factory.mktemp("models") / "ngrams")


def table_of(folder: Path) -> np.ndarray:
    """All rows of a model's table, f32[id, dim], through its own graph."""
    embedder = Embedder(folder)
    ids = np.arange(len(embedder.bundle.rule))[:, None]
    feeds = {"ids": ids, "weight": np.ones(ids.shape, np.float32), "pool": np.array(0), "normalize": np.array(False)}
    return embedder.session.run(feeds, ["vector"])["vector"]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def some_lines(count: int, most: int = 12) -> list[str]:
    generator = random.Random(4)
    vocabulary = [*WORDS, *WORDS, "unknown", *UNSEEN]
    return [" ".join(generator.choices(vocabulary, k=generator.randrange(most))) for _ in range(count)]


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_mean_by_hand(words: Path) -> None:
    vectors = Embedder(words)(["The cat.", "cat", "dog unknown SAT", "", " \t", "unknown"])
    assert vectors.dtype == np.float32
    means = [[5 / 3, -4 / 3, -1], [4, -4, 0], [1, 5, 1.5], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(vectors, means, rtol=0, atol=1e-6)


def test_max_by_hand(words: Path) -> None:
    vectors = Embedder(words, pooling="max")(["The cat.", ".", "", "dog cat"])
    assert vectors.tolist() == [[4, 0, 0], [0, 0, -3], [0, 0, 0], [4, 8, 1]]


def test_sif_by_hand(words: Path) -> None:
    # Without a sample there is no component, only the mean weighted by a / (a + p), a = 1e-3. the: 1/501, cat: 1/101.
    weights = 1e-3 / (1e-3 + PROBABILITY[[0, 1]].astype(np.float64))
    expected = weights @ TABLE[[0, 1]] / weights.sum()
    np.testing.assert_allclose(Embedder(words, pooling="sif")(["the cat", ""]), [expected, [0, 0, 0]], atol=1e-6)


def test_normalised_vectors_have_length_1_and_blank_ones_stay_zero(words: Path) -> None:
    for pooling in ("mean", "max", "sif"):
        plain = Embedder(words, pooling=pooling)(["the cat", "dog", "", "unknown"])
        vectors = Embedder(words, pooling=pooling, normalize=True)(["the cat", "dog", "", "unknown"])
        np.testing.assert_allclose(vectors[:2], [unit(vector) for vector in plain[:2]], atol=1e-7)
        assert vectors[2:].tolist() == [[0, 0, 0]] * 2


def test_one_str_is_no_list_of_lines(words: Path) -> None:
    with pytest.raises(TypeError, match="lines is one str"):
        Embedder(words)("cat")


def test_a_graph_that_gives_other_shapes_than_it_states(tmp_path: Path) -> None:
    model = embed_model()
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "table")
    table.CopyFrom(numpy_helper.from_array(np.ones((3, 5), np.float32), "table"))
    folder = write_small(tmp_path / "small", graphs={"embed": model.SerializeToString()})
    with pytest.raises(TextkitError, match=r"small: the model gives vector of shape \(1, 5\), not \(1, 2\)"):
        Embedder(folder)(["cat"])


def test_a_graph_that_fails_says_so_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph = embed_model(np.ones((1, 2), np.float32)).SerializeToString()  # one row for three words
    folder = write_small(tmp_path / "small", graphs={"embed": graph})
    with pytest.raises(TextkitError, match="small: the model failed: .* out of data bounds"):
        Embedder(folder)(["dog"])
    assert capfd.readouterr().err == ""


def test_no_lines_at_all(words: Path) -> None:
    assert Embedder(words)([]).shape == (0, 3)
    assert Embedder(words)(["", " "]).tolist() == [[0, 0, 0]] * 2


# --- the same vector in every batch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "max", "sif"])
@pytest.mark.parametrize("model", ["words", "ngrams"])
def test_results_do_not_depend_on_the_batch(
    model: str, pooling: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "textkit.serving.spreading.HEAVY", 0
    )  # so that threads take batches even though these are small
    folder = request.getfixturevalue(model)
    lines = [*some_lines(300), " ".join(["the cat catalogue"] * 100), "", "cat"]
    alone = Embedder(folder, pooling=pooling, threads=1)
    one_by_one = np.concatenate([alone([line]) for line in lines])
    for batch_tokens, threads in ((1, 1), (8, 2), (100, 3), (10**6, 1)):
        together = Embedder(folder, pooling=pooling, batch_tokens=batch_tokens, threads=threads)(lines)
        np.testing.assert_allclose(together, one_by_one, rtol=0, atol=1e-7)
    shuffled = random.Random(1).sample(range(len(lines)), len(lines))
    again = alone([lines[at] for at in shuffled])
    np.testing.assert_allclose(again, one_by_one[shuffled], rtol=0, atol=1e-7)


@pytest.mark.parametrize("dim", [7, 50, 128])
def test_results_are_the_same_to_the_last_bit(tmp_path: Path, dim: int) -> None:
    # This is more than the contract asks, and the reason for padding to whole groups of 8.
    lines = some_lines(200)
    folder = write_ngrams(tmp_path / "model", dim=dim, sample=lines)  # the sample gives sif a component to remove
    for pooling in ("mean", "max", "sif"):
        embedder = Embedder(folder, pooling=pooling)
        assert np.array_equal(embedder(lines), np.concatenate([embedder([line]) for line in lines]))


def test_threads_take_a_batch_each_where_batches_are_heavy(ngrams: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Embedder(ngrams, threads=2, batch_tokens=16)
    run = embedder.session.run
    names: list[str] = []
    meeting = threading.Barrier(2, timeout=10)

    def spied(feeds: dict[str, np.ndarray], outputs: list[str]) -> dict[str, np.ndarray]:
        names.append(threading.current_thread().name)
        if len(names) in (2, 3):
            meeting.wait()  # passes when both workers have a batch
        return run(feeds, outputs)

    embedder.session.run = spied  # type: ignore[method-assign]
    monkeypatch.setattr("textkit.serving.spreading.HEAVY", 0)
    embedder(["the cat sat"] * 100)
    assert len(set(names)) == 3
    monkeypatch.setattr("textkit.serving.spreading.HEAVY", 1000)
    done = len(names)
    embedder(["the cat sat"] * 100)
    assert set(names[done:]) == {"MainThread"}


@pytest.mark.parametrize("heavy", [0, 1000])
def test_threads_of_the_caller_share_an_embedder(ngrams: Path, monkeypatch: pytest.MonkeyPatch, heavy: float) -> None:
    monkeypatch.setattr("textkit.serving.spreading.HEAVY", heavy)
    lines = some_lines(64)
    embedder = Embedder(ngrams, threads=2, batch_tokens=32)
    expected = embedder(lines)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(embedder, [lines] * 16):
            assert np.array_equal(vectors, expected)


@pytest.mark.parametrize(("limit", "width"), [(10, 10), (9, 9), (100, 16)])
def test_padding_never_reaches_beyond_the_models_limit(tmp_path: Path, limit: int, width: int) -> None:
    # A network may have no position beyond its limit.
    embedder = Embedder(write_words(tmp_path / "x", limit=limit))
    shapes = []
    run = embedder.session.run

    def spied(feeds: dict[str, np.ndarray], outputs: list[str]) -> dict[str, np.ndarray]:
        shapes.append(feeds["ids"].shape)
        return run(feeds, outputs)

    embedder.session.run = spied  # type: ignore[method-assign]
    embedder(["cat " * 9])
    embedder.tokens(["cat " * 9])
    assert shapes == [(1, width), (1, width)]


# --- words that several ids spell -------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_spelled_word_counts_as_one_word(ngrams: Path, pooling: str, normalize: bool) -> None:
    embedder = Embedder(ngrams, pooling=pooling, normalize=normalize, batch_tokens=64)
    table = table_of(ngrams)
    lines = some_lines(200)
    for line, vector in zip(lines, embedder(lines), strict=True):
        rows = vectors_of(embedder.bundle.rule, table, line)
        expected = np.zeros(8)
        if len(rows):
            expected = rows.mean(0) if pooling == "mean" else rows.max(0)
            expected = unit(expected) if normalize else expected
        np.testing.assert_allclose(vector, expected, atol=1e-6)


# --- lines that are too long ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("limit", [1, 2, 5, 7, 64])
def test_a_split_line_is_pooled_as_the_whole(tmp_path: Path, limit: int, pooling: str, normalize: bool) -> None:
    whole = Embedder(write_ngrams(tmp_path / "whole"), pooling=pooling, normalize=normalize)
    cut = Embedder(write_ngrams(tmp_path / "parts", limit=limit), pooling=pooling, normalize=normalize)
    lines = [*some_lines(60, 30), " ".join(["cat"] * (limit + 1))]
    if pooling == "max":  # a word that is longer than the limit is cut, so its maximum differs from the whole word's
        widths = [[stop - start for _, start, stop in whole.bundle.rule.tokens(line)] for line in lines]
        lines = [line for line, spans in zip(lines, widths, strict=True) if max(spans, default=0) <= limit]
    np.testing.assert_allclose(cut(lines), whole(lines), atol=1e-6)
    lengths = whole.encode(lines).lengths
    assert whole.long_lines == 0
    assert cut.long_lines == (lengths > limit).sum() > 0


def test_a_part_ends_where_a_word_ends(tmp_path: Path) -> None:
    # <dogs> has 4 n-grams of 3 characters and 3 of 4; <naïve> has 5 and 4.
    line = "dogs naïve the dogs cat naïve"
    embedder = Embedder(write_ngrams(tmp_path / "x", limit=12), pooling="max")
    encoded = embedder.encode([line])
    assert encoded.spans is not None
    assert encoded.spans.tolist() == [7, 9, 1, 7, 1, 9]
    starts, lengths = parts(encoded, 0, 34, 12)
    assert (starts.tolist(), lengths.tolist()) == ([0, 7, 17, 25], [7, 10, 8, 9])
    rows = vectors_of(embedder.bundle.rule, table_of(tmp_path / "x"), line)
    np.testing.assert_allclose(embedder([line]), [rows.max(0)], atol=1e-6)


def test_sif_of_a_split_line_is_the_mean_of_its_parts_by_length(tmp_path: Path) -> None:
    embedder = Embedder(write_words(tmp_path / "x", limit=2), pooling="sif")
    first, second = embedder(["the cat", "dog"])
    np.testing.assert_allclose(embedder(["the cat dog"]), [(2 * first + second) / 3], atol=1e-6)


def test_a_cut_line_is_its_beginning(tmp_path: Path) -> None:
    embedder = Embedder(write_words(tmp_path / "x", limit=2), long="cut")
    vectors = embedder(["the cat dog sat", "dog", "the cat"])
    assert vectors.tolist() == [[2.5, -2, 0], [0, 8, 1], [2.5, -2, 0]]
    assert embedder.long_lines == 1


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("model", ["words", "ngrams"])
def test_a_line_of_10_mb(model: str, pooling: str, request: pytest.FixtureRequest) -> None:
    embedder = Embedder(request.getfixturevalue(model), pooling=pooling)
    line = "the cat . " * 1_000_000
    # The graph adds up 65,536 numbers in f32, which leaves about four correct digits.
    np.testing.assert_allclose(embedder([line]), embedder(["the cat ."]), rtol=1e-3)
    assert embedder.long_lines == 1
    assert embedder(["x" * 100_000]).shape == (1, embedder.dim)


# --- tokens and the vocabulary ----------------------------------------------------------------------------------------


def test_tokens_by_hand(words: Path) -> None:
    found = Embedder(words).tokens(["The cat xyz.", "", "xyz"])
    assert [[(token, vector.tolist()) for token, vector in line] for line in found] == [
        [("the", [1, 0, 0]), ("cat", [4, -4, 0]), ("xyz", [0, 0, 0]), (".", [0, 0, -3])],
        [],
        [("xyz", [0, 0, 0])],
    ]
    normalised = Embedder(words, normalize=True).tokens(["dog xyz"])[0]
    np.testing.assert_allclose([vector for _, vector in normalised], [unit(TABLE[3]), [0, 0, 0]], atol=1e-7)


@pytest.mark.parametrize("limit", [3, 1 << 16])
def test_tokens_of_spelled_words_and_long_lines(tmp_path: Path, limit: int) -> None:
    embedder = Embedder(write_ngrams(tmp_path / "x", limit=limit))
    table = table_of(tmp_path / "x")
    for line in some_lines(20):
        found = embedder.tokens([line])[0]
        rule = embedder.bundle.rule
        assert [token for token, _ in found] == [token for token, _, _ in rule.tokens(line)]
        spelled = [
            vector for (_, vector), (_, start, stop) in zip(found, rule.tokens(line), strict=True) if stop > start
        ]
        np.testing.assert_allclose(np.array(spelled).reshape(-1, 8), vectors_of(rule, table, line), atol=1e-6)


def test_tokens_of_a_cut_line(tmp_path: Path) -> None:
    embedder = Embedder(write_words(tmp_path / "x", limit=2), long="cut")
    assert [token for token, _ in embedder.tokens(["the cat dog"])[0]] == ["the", "cat"]
    assert embedder.long_lines == 1


def test_the_vocabulary_through_the_graph(words: Path, ngrams: Path) -> None:
    for options in ({}, {"pooling": "max", "normalize": True}):
        embedder = Embedder(words, **options)  # type: ignore[arg-type]
        assert embedder.words() == WORDS
        assert np.array_equal(embedder.matrix(), TABLE)
    assert Embedder(ngrams).words() == WORDS
    assert np.array_equal(Embedder(ngrams).matrix(), table_of(ngrams)[: len(WORDS)])


def test_a_tokenizer_with_special_tokens_and_a_gap_in_its_ids(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[U]": 0, "cat": 1, "[C]": 3}, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[C] $A", special_tokens=[("[C]", 3)])
    rule = Pretokenized(tokenizer.to_str().encode())
    table = np.array([[1, 1], [2, 0], [9, 9], [6, 6]], np.float32)
    embedder = Embedder(export_embedding_table(tmp_path / "x", rule=rule, table=table, name="x"))
    # [C] cat; a blank line is blank, though the tokenizer would make [C] of it.
    expected = [[4, 3], [0, 0], [0, 0], [3, 7 / 3]]
    np.testing.assert_allclose(embedder(["cat", "", " ", "cat dog"]), expected, rtol=1e-6)
    assert [token for token, _ in embedder.tokens(["cat"])[0]] == ["[C]", "cat"]
    assert embedder.tokens([" "]) == [[]]
    assert embedder.words() == ["[U]", "cat", "[C]"]
    assert np.array_equal(embedder.matrix(), table[[0, 1, 3]])


# --- as an object -----------------------------------------------------------------------------------------------------


def test_it_can_be_pickled(words: Path) -> None:
    embedder = Embedder(words, pooling="max", normalize=True, threads=2, batch_tokens=2)
    before = embedder(["the cat", "dog sat the", "the"])
    again = pickle.loads(pickle.dumps(embedder))
    assert np.array_equal(again(["the cat", "dog sat the", "the"]), before)
    assert (again.pooling, again.normalize, again.threads, again.bundle.folder) == ("max", True, 2, words)
    assert len(pickle.dumps(embedder)) < 2000


def test_options_default_to_what_the_model_says(tmp_path: Path) -> None:
    folder = write_words(tmp_path / "x", defaults={"pooling": "max", "normalize": True})
    assert np.array_equal(Embedder(folder)(["the cat"]), Embedder(folder, pooling="max", normalize=True)(["the cat"]))
    assert Embedder(folder, pooling="mean", normalize=False)(["the cat"]).tolist() == [[2.5, -2, 0]]


def test_the_doors(words: Path) -> None:
    expected = [[2.5, -2, 0]]
    for opened in (
        open_model(words),
        open_model(str(words), "embed"),
        textkit.load(str(words)),
        Embedder(bundle.read(words)),
    ):
        assert opened(["the cat"]).tolist() == expected  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="unknown task 'tranlate'; did you mean 'translate'"):
        open_model(words, "tranlate")
    with pytest.raises(TextkitError, match="a model for 'embed', not for 'translate'"):
        open_model(words, "translate")
    with pytest.raises(UsageError, match="unknown option 'poling'; did you mean 'pooling'"):
        open_model(words, poling="max")
    with pytest.raises(UsageError, match="unknown pooling 'men'"):
        open_model(words, pooling="men")
    with pytest.raises(UsageError, match="unknown long 'clip'"):
        open_model(words, long="clip")
    with pytest.raises(UsageError, match="batch_tokens=0"):
        open_model(words, batch_tokens=0)
    with pytest.raises(TextkitError, match="no/model"):
        open_model(str(words / "no" / "model"))


def test_serving_imports_no_torch_and_no_onnx(words: Path) -> None:
    script = (
        "import sys; import textkit\n"
        f"assert textkit.load({str(words)!r})(['the cat']).tolist() == [[2.5, -2, 0]]\n"
        "print(sorted({'torch', 'onnx', 'onnxscript', 'transformers', 'scipy', 'numba', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
