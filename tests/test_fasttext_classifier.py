"""fastText's supervised models as classifiers: by hand, as the real tool makes them, and what import makes of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from fasttext_models import LABELS, MODELS, PRINTED
from test_fasttext_files import CENTROIDS, NORMS, quantised
from test_interop import file
from vector_files import QUANTISED, SUPERVISED, glove, golden

from textkit.bundle.bundle import read as read_bundle
from textkit.errors import UsageError
from textkit.interop.fasttext.classifier import Classifier, make_bundle
from textkit.interop.fasttext.tree import huffman
from textkit.interop.foreign import read_as
from textkit.interop.table import Foreign
from textkit.serving.padding import padded
from textkit.serving.session import Session

HS, NS, SOFTMAX, OVA = 1, 2, 3, 4
WORDS = [b"a", b"b", b"</s>"]
ROWS = np.array([[1, 2], [4, -2], [1, 3]], np.float32)


def matrix(table: np.ndarray) -> bytes:
    """The bytes of a matrix that is not quantised, after the byte that says so."""
    return struct.pack("<?qq", False, *table.shape) + table.astype("<f4").tobytes()


def supervised(
    labels: list[tuple[bytes, int]], output: bytes | np.ndarray, loss: int = SOFTMAX, rows: bytes | np.ndarray = ROWS,
    words: list[bytes] = WORDS, dim: int = 2, buckets: int = 0, grams: tuple[int, int] = (0, 0), word_ngrams: int = 1,
    version: int = 12, model: int = 3, pruned: dict[int, int] | None = None,
) -> bytes:  # fmt: skip
    """The bytes of a supervised model; matrices that are quantised are given as bytes."""
    head = struct.pack(
        "<ii12id", 793712314, version, dim, 5, 5, 1, 5, word_ngrams, loss, model, buckets, *grams, 100, 1e-4
    )
    size = -1 if pruned is None else len(pruned)
    head += struct.pack("<iiiqq", len(words) + len(labels), len(words), len(labels), 99, size)
    for kind, entries in enumerate(([(word, 9) for word in words], labels)):
        head += b"".join(name + b"\0" + struct.pack("<qb", count, kind) for name, count in entries)
    head += b"".join(struct.pack("<ii", *pair) for pair in (pruned or {}).items())
    return head + b"".join(part if isinstance(part, bytes) else matrix(part) for part in (rows, output))


def labelled(*names: str) -> list[tuple[bytes, int]]:
    return [(f"__label__{name}".encode(), 9 - at) for at, name in enumerate(names)]


def classifier(folder: Path, content: bytes, name: str = "m") -> Classifier:
    found = read_as(None, file(folder, content, f"{name}.file"))
    assert isinstance(found, Classifier)
    return found


class Served:
    """The bundle of a model, run as it is served."""

    def __init__(self, folder: Path, content: bytes, name: str = "m", **options: object) -> None:
        made = make_bundle(classifier(folder, content, name), folder / name, source="x.bin", **options)
        self.bundle = read_bundle(made, "classify")
        self.head = self.bundle.manifest.facts["heads"][0]
        self.session = Session(self.bundle.graph("classify"), "cpu", 1)

    def logits(self, lines: list[str]) -> np.ndarray:
        encoded = self.bundle.rule.encode(lines)
        starts = np.cumsum(encoded.lengths) - encoded.lengths
        return self.session.run(padded(encoded, starts, encoded.lengths, 1 << 16)[0])["logits"].astype(np.float64)

    def probabilities(self, lines: list[str]) -> np.ndarray:
        logits = self.logits(lines)
        if self.head["several"]:
            return 1 / (1 + np.exp(-logits))
        every = np.exp(logits)
        return every / every.sum(1, keepdims=True)

    def best(self, lines: list[str]) -> list[str]:
        return [self.head["labels"][at] for at in self.logits(lines).argmax(1)]


# Probabilities by hand. The vector of "a b" is the mean of three rows, (2, 1); that of "a" is (1, 2.5).


def test_softmax_by_hand(tmp_path: Path) -> None:
    output = np.array([[1, 0], [0, 1], [-1, 1]], np.float32)  # scores of "a b": 2, 1, -1; of "a": 1, 2.5, 1.5
    served = Served(tmp_path, supervised(labelled("x", "y", "z"), output))
    np.testing.assert_allclose(served.logits(["a b", "a"]), [[2, 1, -1], [1, 2.5, 1.5]], atol=1e-6)
    e = np.exp
    np.testing.assert_allclose(
        served.probabilities(["b a"]), [np.array([e(2), e(1), e(-1)]) / (e(2) + e(1) + e(-1))], atol=1e-7
    )
    assert served.head == {"name": "", "labels": ["x", "y", "z"], "several": False, "temperature": 1.0}
    assert served.best(["a b", "a", "b b b b"]) == ["x", "y", "x"]


@pytest.mark.parametrize("loss", [OVA, NS])
def test_labels_of_their_own_probability_by_hand(tmp_path: Path, loss: int) -> None:
    # Scores of "a b": 0.1, -0.1, 9, -9, 8, 0. fastText reads sigmoids from a table of steps of 1/32, and rounds down.
    output = np.array([[0.05, 0], [-0.05, 0], [4.5, 0], [-4.5, 0], [4, 0], [0, 0]], np.float32)
    served = Served(tmp_path, supervised(labelled(*"uvwxyz"), output, loss))
    sigmoid = [1 / (1 + np.exp(-score)) for score in (3 / 32, -4 / 32, np.inf, -np.inf, 8, 0)]
    np.testing.assert_allclose(served.probabilities(["a b"]), [sigmoid], atol=1e-9)
    assert served.head["several"] is True


def test_hierarchical_softmax_by_hand(tmp_path: Path) -> None:
    # z (1) and y (2) are joined first, z to the left; that node (3) and x (4) then, x to the right.
    output = np.array([[0.5, 0], [0, 2], [77, 77]], np.float32)  # the last row is no node's. Scores of "a b": 1 and 2
    counts = [(b"__label__x", 4), (b"__label__y", 2), (b"__label__z", 1)]
    served = Served(tmp_path, supervised(counts, output, HS))
    low, high = 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2))
    np.testing.assert_allclose(
        np.exp(served.logits(["a b"])), [[high, (1 - high) * low, (1 - high) * (1 - low)]], atol=1e-7
    )
    assert (served.head["several"], served.head["labels"]) == (False, ["x", "y", "z"])


def test_one_label_is_certain(tmp_path: Path) -> None:
    for loss in (HS, SOFTMAX):
        served = Served(tmp_path, supervised(labelled("x"), np.ones((1, 2)), loss), f"m{loss}")
        assert served.probabilities(["a b", "q"]).tolist() == [[1], [1]]


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_are_those_of_the_real_tool(tmp_path: Path, name: str) -> None:
    served = Served(tmp_path, golden(MODELS[name]))
    assert served.head["labels"] == LABELS
    assert served.head["several"] is (name in ("ova", "ns"))
    lines, printed = list(PRINTED[name]), np.array(list(PRINTED[name].values()))
    found = served.probabilities(lines)
    # fastText adds 1e-5 inside each logarithm: to a label's probability, or to that of each turn in a tree (two at most here).
    of_tree = served.bundle.manifest.made["loss"] == "hierarchical softmax"
    np.testing.assert_allclose(found, printed - 1e-5, atol=3e-5 if of_tree else 1e-6)
    assert served.best(lines) == [LABELS[at] for at in printed.argmax(1)]
    # No answer depends on the lines beside it. Logarithms round in another way at the end of an array.
    alone = np.concatenate([served.logits([line]) for line in lines])
    for together in (served.logits(lines), served.logits(lines[::-1])[::-1]):
        np.testing.assert_allclose(together, alone, rtol=1e-6 if of_tree else 0, atol=1e-6 if of_tree else 0)


# Quantised models.


def centroids(codes: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
    rows = np.concatenate([CENTROIDS[0][codes[:, 0]], CENTROIDS[1][codes[:, 1]]], axis=1)
    return rows if norms is None else rows * NORMS[norms][:, None]


@pytest.mark.parametrize("qout", [False, True])
@pytest.mark.parametrize("norms", [False, True])
@pytest.mark.parametrize("loss", [SOFTMAX, HS])
def test_quantised_matrices_stay_quantised_and_give_the_same(
    tmp_path: Path, loss: int, norms: bool, qout: bool
) -> None:
    random = np.random.default_rng(5)
    # Two buckets of three are kept, in another order; rows are of two and one numbers, which leaves the last part narrower.
    pruned = {31: 1, 4: 0}
    codes, of_labels = random.integers(0, 256, (5, 2)), random.integers(0, 256, (3, 2))
    lengths = random.integers(0, 256, 8) if norms else [None] * 8
    norm = (lengths[:5], lengths[5:]) if norms else (None, None)
    output = centroids(of_labels, norm[1])
    content = supervised(
        labelled("x", "y", "z"), quantised(of_labels, norm[1]) if qout else output, loss, quantised(codes, norm[0]), dim=3,
        buckets=50, grams=(2, 3), pruned=pruned,
    )  # fmt: skip
    served = Served(tmp_path, content)
    rule = served.bundle.rule
    assert rule.kept.tolist() == [4, 31]
    rows = centroids(codes, norm[0])[[0, 1, 2, 3, 4]]
    grams = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    lines = ["a b", "a", *grams]
    assert {3, 4} & set(rule.encode(lines).ids.tolist())  # some of these lead to the buckets that are kept
    wanted = np.array([rows[rule.encode([line]).ids].mean(0) @ output.T for line in lines])
    if loss == HS:
        tree = huffman([9, 8, 7])
        assert tree.parent.tolist() == [4, 3, 3, 4, -1]
        # 8 and 7 are joined first, 7 to the left; then 9, to the left of them.
        logs = lambda score: -np.logaddexp(0, -score)  # noqa: E731
        low, high = wanted[:, 0], wanted[:, 1]
        wanted = np.stack([logs(-high), logs(high) + logs(low), logs(high) + logs(-low)], 1)
    np.testing.assert_allclose(served.logits(lines), wanted, atol=2e-5)
    graph = served.bundle.graph("classify")
    assert codes.astype(np.uint8).tobytes() in graph
    assert (of_labels[: 2 if loss == HS else 3].astype(np.uint8).tobytes() in graph) is qout


def test_a_quantised_model_stays_small(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 256, (20_003, 2))
    content = supervised(
        labelled("x", "y"), np.ones((2, 3)), rows=quantised(codes, None), dim=3, buckets=2_000_000, grams=(2, 4),
        pruned={int(bucket): at for at, bucket in enumerate(random.choice(2_000_000, 20_000, replace=False))},
    )  # fmt: skip
    folder = make_bundle(classifier(tmp_path, content), tmp_path / "m", source="m.ftz")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 0.6 * len(
        content
    )  # gaps are shorter than pairs of numbers
    with pytest.raises(UsageError, match="--precision int8: m.ftz is quantised already"):
        make_bundle(classifier(tmp_path, content), tmp_path / "n", source="m.ftz", precision="int8")


def test_lower_precision_is_measured(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows, output = random.normal(size=(53, 8)).astype(np.float32), random.normal(size=(4, 8)).astype(np.float32)
    content = supervised(labelled(*"wxyz"), output, rows=rows, dim=8, buckets=50, word_ngrams=2)
    full = Served(tmp_path, content)
    lines = ["a b", "b a b", "a", "q r s"]
    for precision, tolerance in (("fp16", 1e-3), ("int8", 2e-2)):
        low = Served(tmp_path, content, precision, precision=precision)
        np.testing.assert_allclose(low.logits(lines), full.logits(lines), atol=tolerance)
        assert low.bundle.manifest.precision == precision
        assert 0 < low.bundle.manifest.parity["deviation"]["max_relative"] < tolerance
    assert full.bundle.manifest.parity["max_relative"] < 1e-5


# Labels, words and options.


def test_labels_are_as_in_the_file(tmp_path: Path) -> None:
    names = [b"__label__en", b"__label__zh-Hant,x", b"#own", b"__label__", "__label__日本".encode()]
    content = supervised([(name, 5) for name in names], np.ones((5, 2)))
    assert classifier(tmp_path, content).labels == ["en", "zh-Hant,x", "#own", "__label__", "日本"]
    both = supervised([(b"__label__en", 5), (b"en", 4)], np.ones((2, 2)))
    assert classifier(tmp_path, both).labels == ["__label__en", "en"]


def test_words_that_are_no_text_are_left_out_with_their_rows(tmp_path: Path) -> None:
    words = [b"a", b"\xff", b"b", b"</s>"]
    rows = np.array([[1, 2], [100, 100], [4, -2], [1, 3], *[[7, 7]] * 5], np.float32)
    content = supervised(labelled("x", "y"), np.eye(2), rows=rows, words=words, buckets=5, grams=(9, 9))
    found = classifier(tmp_path, content)
    assert (found.rule.words, found.notes) == (
        ["a", "b", "</s>"],
        ["1 words left out that are no UTF-8: no text holds them"],
    )
    np.testing.assert_array_equal(found.parts.rows, rows[[0, 2, 3, 4, 5, 6, 7, 8]])
    np.testing.assert_allclose(Served(tmp_path, content).logits(["a b"]), [[2, 1]], atol=1e-6)


def test_rows_that_no_text_leads_to_are_left_out(tmp_path: Path) -> None:
    rows = np.concatenate([ROWS, np.full((7, 2), 5, np.float32)])
    content = supervised(labelled("x", "y"), np.eye(2), rows=rows, buckets=7)
    found = classifier(tmp_path, content)
    assert (len(found.rule), len(found.parts.rows)) == (3, 3)
    old = supervised(labelled("x", "y"), np.eye(2), rows=rows, buckets=7, grams=(2, 3), version=11)
    assert len(classifier(tmp_path, old).rule) == 3  # format 11 had no n-grams of characters in classifiers


def test_import_decides_by_content_and_task(call, tmp_path: Path) -> None:
    path = file(tmp_path, golden(SUPERVISED), "s.bin")
    assert call("import", path, "-o", tmp_path / "c", "-v") == (
        0, "", f"textkit: read a classifier of 2 labels (fastText .bin, softmax), wrote {tmp_path / 'c'}\n",
    )  # fmt: skip
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert (manifest["task"], manifest["attends"], manifest["text"]["kind"]) == ("classify", False, "fasttext")
    assert manifest["made"]["command"].startswith("textkit import")
    assert (manifest["made"]["loss"], manifest["data"]) == ("softmax", [{"file": "s.bin", "format": "fastText .bin"}])
    for at, options in enumerate((["--task", "embed"], ["--word-ngrams"])):
        assert call("import", path, "-o", tmp_path / f"e{at}", "-q", *options)[0] == 0
        assert json.loads((tmp_path / f"e{at}" / "manifest.json").read_text())["task"] == "embed"
    assert call("import", "-", "-o", tmp_path / "p", "-q", stdin=golden(QUANTISED))[0] == 0
    assert json.loads((tmp_path / "p" / "manifest.json").read_text())["task"] == "classify"
    for at, options in enumerate((["--max-vocab", "3"], ["--encoding", "latin-1"], ["--on-error", "skip"])):
        code, _, error = call("import", path, "-o", tmp_path / f"n{at}", *options)
        assert (code, error.count("\n")) == (2, 1)
        assert "--task embed makes word vectors of it" in error
        assert call("import", path, "-o", tmp_path / f"n{at}", "--task", "embed", "-q", *options)[0] == 0
    code, _, error = call("import", path, "-o", tmp_path / "z", "--task", "classify", "--word-ngrams")
    assert (code, error) == (
        2, "textkit: --word-ngrams is for --task embed: a classifier keeps all of its n-grams\n"
    )  # fmt: skip


def test_what_is_no_classifier_does_not_become_one(call, tmp_path: Path) -> None:
    path = file(tmp_path, glove({"a": [1, 2], "b": [2, 3]}), "v.txt")
    code, _, error = call("import", path, "-o", tmp_path / "m", "--task", "classify")
    assert (code, error) == (
        1, f"textkit: {path}: is no model of fastText, and no other file becomes a classifier\n"
    )  # fmt: skip
    vectors = file(tmp_path, supervised([], np.ones((3, 2)), model=2), "v.bin")
    code, _, error = call("import", vectors, "-o", tmp_path / "m", "--task", "classify")
    assert (code, error) == (
        1, f"textkit: {vectors}: holds word vectors and no labels, so it cannot become a classifier\n"
    )  # fmt: skip
    assert isinstance(read_as(None, vectors), Foreign)
    assert not (tmp_path / "m").exists()
