"""fastText's supervised models as classifiers: files and probabilities by hand, models of the real tool, and damaged files."""

from __future__ import annotations

import json
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fasttext_models import LABELS, MODELS, PRINTED
from test_fasttext_files import CENTROIDS, NORMS, quantised
from test_interop import file
from vector_files import QUANTISED, SUPERVISED, glove, golden

from textkit.bundle.bundle import read as read_bundle
from textkit.errors import TextkitError, UsageError
from textkit.interop.fasttext_bin import spell
from textkit.interop.fasttext_classifier import Classifier, make_bundle
from textkit.interop.fasttext_tree import huffman, turns
from textkit.interop.foreign import read, read_as
from textkit.interop.table import Foreign, Room
from textkit.serving.padding import padded
from textkit.serving.session import Session
from textkit.text.fasttext import FastText, hash_words
from textkit.text.rules import rule_from_spec
from textkit.text.subwords import NGrams, hash_ngrams

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


@pytest.mark.parametrize("labels", [2, 3, 8, 65])
@pytest.mark.parametrize("shape", ["equal", "chain", "drawn"])
def test_sums_along_a_tree_are_those_of_its_paths(labels: int, shape: str) -> None:
    random = np.random.default_rng(labels)
    counts = {
        "equal": [5] * labels, "chain": [1 << (labels - at) // 2 for at in range(labels)],
        "drawn": sorted(random.integers(0, 1000, labels).tolist(), reverse=True),
    }[shape]  # fmt: skip
    tree = huffman(counts)
    found = turns(tree)
    each = random.normal(size=2 * (labels - 1) + 1)  # the turns right, the turns left, and none
    each[-1] = 0
    sums = each.copy()
    for step in found.steps:
        sums = sums + sums[step]
    sums = sums[found.leaves] + sums[found.last]
    for label in range(labels):
        node, wanted = label, 0.0
        while tree.parent[node] >= 0:
            wanted += each[tree.parent[node] - labels + (0 if tree.right[node] else labels - 1)]
            node = int(tree.parent[node])
        assert sums[label] == pytest.approx(wanted, abs=1e-9)
    # Huffman's: no tree has a smaller sum of counts times depths than the sum of its inner nodes' counts.
    assert sum(tree.right[: 2 * labels - 2]) == labels - 1
    assert len(found.steps) <= 7


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


# How lines become rows.


def by_hand(line: str, words: list[str], word_ngrams: int, grams: tuple[int, int], buckets: int) -> list[int]:
    """fastText's getLine, written out: the rows of a line, in its order."""

    def fnv(text: str) -> int:
        state = 2166136261
        for byte in text.encode():
            state = ((state ^ (byte - 256 if byte > 127 else byte) & 0xFFFFFFFF) * 16777619) & 0xFFFFFFFF
        return state

    rows, hashes = [], []
    for separator in "\0\t\v\f\r":
        line = line.replace(separator, " ")
    for word in [*filter(None, line.split(" ")), "</s>"]:
        if word not in words and word.startswith("__label__"):
            continue
        rows += [words.index(word)] if word in words else []
        hashes.append(fnv(word) - (1 << 32 if fnv(word) >> 31 else 0))
        if word == "</s>":
            break
        marked = f"<{word}>"
        for at in range(len(marked)):
            for n in range(max(1, grams[0]), grams[1] + 1):
                if at + n <= len(marked) and not (n == 1 and at in (0, len(marked) - 1)):
                    rows.append(len(words) + fnv(marked[at : at + n]) % buckets)
    for at in range(len(hashes)):
        state = hashes[at] & 0xFFFFFFFFFFFFFFFF
        for following in hashes[at + 1 : at + word_ngrams]:
            state = (state * 116049371 + following) & 0xFFFFFFFFFFFFFFFF
            rows.append(len(words) + state % buckets)
    return rows


LINES = [
    "the cat", "", "cat  naïve\t日本 q", "q", "the\0cat\vthe", "a </s> the cat", "__label__x cat __label__ the",
    "fish\u00a0dog\x85fish", "the " * 30, "ж" * 200 + " cat " + "x" * 64 + " " + "y" * 65, "<the> </s", "\U0001f600 a b c d e",
]  # fmt: skip


@pytest.mark.parametrize(
    ("word_ngrams", "grams", "buckets"),
    [(1, (0, 0), 0), (3, (0, 0), 97), (1, (2, 4), 1000), (2, (1, 6), 53), (5, (3, 3), 7)],
)
def test_lines_are_the_rows_that_fasttext_takes(word_ngrams: int, grams: tuple[int, int], buckets: int) -> None:
    words = ["</s>", "the", "cat", "naïve", "__label__"]
    rule = FastText(words, word_ngrams, max(1, grams[0]), grams[1], buckets)
    encoded = rule.encode(LINES)
    assert encoded.weight is None
    ends = np.cumsum(encoded.lengths)
    for line, end, length in zip(LINES, ends, encoded.lengths, strict=True):
        wanted = by_hand(line, words, word_ngrams, grams, buckets)
        assert Counter(encoded.ids[end - length : end].tolist()) == Counter(wanted), line
        np.testing.assert_array_equal(rule.encode([line]).ids, encoded.ids[end - length : end])
    assert encoded.spans.sum() == len(encoded.ids)
    assert rule.encode([]).ids.shape == (0,)
    again = rule_from_spec(rule.spec(), rule.files().__getitem__)
    np.testing.assert_array_equal(again.encode(LINES).ids, encoded.ids)
    assert (len(again), again.vocabulary()[0]) == (len(words) + buckets, words)


@pytest.mark.parametrize(("word_ngrams", "grams", "buckets"), [(1, (2, 4), 1000), (2, (1, 6), 53), (5, (3, 3), 7)])
def test_composed_words_weigh_as_many_rows(word_ngrams: int, grams: tuple[int, int], buckets: int) -> None:
    words = ["</s>", "the", "cat", "naïve", "a", "日本"]
    table = np.random.default_rng(0).normal(size=(len(words) + buckets, 3)).astype(np.float32)
    own = table.copy()
    spell(own[: len(words)], own[len(words) :], [word.encode() for word in words], NGrams(*grams, buckets, 0))
    rule = FastText(words, word_ngrams, *grams, buckets, composed=True)
    encoded = rule.encode(LINES)
    ends = np.cumsum(encoded.lengths)
    for line, end, length in zip(LINES, ends, encoded.lengths, strict=True):
        wanted = by_hand(line, words, word_ngrams, grams, buckets)
        weight = encoded.weight[end - length : end]
        assert weight.sum() == len(wanted), line
        rows = own[encoded.ids[end - length : end]].astype(np.float64)
        np.testing.assert_allclose(
            weight.astype(np.float64) @ rows, table[wanted].sum(0, np.float64), rtol=1e-4, atol=1e-4
        )
    again = rule_from_spec(rule.spec(), rule.files().__getitem__)
    np.testing.assert_array_equal(again.encode(LINES).weight, encoded.weight)
    assert len(rule.encode(["the cat 日本"]).ids) == 4 + sum(4 - n + 1 for n in range(2, word_ngrams + 1))


def test_buckets_without_a_row_are_left_out() -> None:
    whole = FastText(["a", "</s>"], 2, 2, 3, 100)
    some = np.arange(0, 100, 3)
    rule = FastText(["a", "</s>"], 2, 2, 3, 100, some)
    for line in LINES:
        wanted = [row for row in whole.encode([line]).ids.tolist() if row < 2 or (row - 2) % 3 == 0]
        assert rule.encode([line]).ids.tolist() == [row if row < 2 else (row - 2) // 3 + 2 for row in wanted]
    again = rule_from_spec(rule.spec(), rule.files().__getitem__)
    assert again.encode(LINES).ids.tolist() == rule.encode(LINES).ids.tolist()
    assert len(again) == 2 + len(some)


def test_tokens_are_the_words_and_where_their_rows_are() -> None:
    rule = FastText(["cat", "</s>"], 2, 3, 3, 50)
    tokens = rule.tokens("cat __label__q dogs\tcat")
    assert [word for word, _, _ in tokens] == ["cat", "dogs", "cat"]
    encoded = rule.encode(["cat dogs cat"])
    # <ca cat at> with the word and the two words; <do dog ogs gs> and the two; the last as the first; the line's end
    assert [last - first for _, first, last in tokens] == [5, 5, 5]
    assert (tokens[0][1], tokens[-1][2] + 1) == (0, len(encoded.ids))
    assert encoded.ids[0] == 0
    assert encoded.ids[-1] == 1


def test_a_word_has_one_hash_however_long() -> None:
    words = ["", "a", "naïve", "x" * 63, "x" * 64, "x" * 65, "ж" * 100]
    # The n-gram of a whole word with its marks is what hash_ngrams makes of the word.
    marked = [f"<{word}>" for word in words[1:]]
    for word, mark in zip(words[1:], marked, strict=True):
        grams, _ = hash_ngrams([word], len(mark), len(mark), 2**31 - 1)
        assert hash_words([mark])[0] % (1 << 32) % (2**31 - 1) == grams[0]
    assert hash_words(words).tolist() == [int(hash_words([word])[0]) for word in words]
    assert hash_words([]).tolist() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"min": 4, "max": 2}, "n-grams of 4 to 2 characters"),
        ({"kept": "k"}, "not ascending numbers below 50"),
        ({"words": "twice"}, "a word occurs twice"),
        ({"words": "latin"}, "not described rightly"),
        ({"composed": True, "kept": "few"}, "every bucket has a row"),
    ],
)
def test_rules_that_are_not_sound(changes: dict[str, object], said: str) -> None:
    spec = FastText(["a"], 1, 2, 3, 50).spec() | changes
    files = {"words.txt": b"a\n", "k": b"\xff\xff\x01", "few": b"\1", "twice": b"a\na\n", "latin": b"\xe4\n"}
    with pytest.raises(TextkitError, match=said):
        rule_from_spec(spec, files.__getitem__)


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


# Damaged files.


def refusal(folder: Path, content: bytes) -> str:
    path = file(folder, content)
    with pytest.raises(TextkitError) as caught:
        read_as(None, path, Room("fp32"))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(path, "FILE")


def test_damaged_classifiers_are_one_line(tmp_path: Path) -> None:
    two = labelled("x", "y")
    good = supervised(two, np.eye(2))
    assert classifier(tmp_path, good).labels == ["x", "y"]
    for cut in range(64, len(good)):  # a shorter file does not even say that it is supervised
        assert refusal(tmp_path, good[:cut]).startswith(("FILE: ends inside", "FILE: promises")), cut
    assert refusal(tmp_path, good[:-1]) == "FILE: promises 2 rows of 2 numbers, which is more than the file holds"
    for output in (np.ones((3, 2)), np.ones((1, 2)), np.ones((2, 3))):
        said = refusal(tmp_path, supervised(two, output))
        rows, columns = output.shape
        assert said == f"FILE: an output matrix of {rows} rows of {columns} does not fit 2 labels and dim=2: damaged"
    assert refusal(tmp_path, supervised([], np.ones((0, 2)))) == "FILE: has no labels: damaged"
    assert "unknown loss 5" in refusal(tmp_path, supervised(two, np.eye(2), loss=5))
    assert "unknown loss 0" in refusal(tmp_path, supervised(two, np.eye(2), loss=0))
    twice = [(b"__label__x", 3), (b"__label__x", 2)]
    assert refusal(tmp_path, supervised(twice, np.eye(2))) == "FILE: two of its labels are the same text: damaged"
    nan = np.array([[1, 2], [np.nan, 1]])
    assert refusal(tmp_path, supervised(two, nan)) == "FILE: row 1 of its output matrix holds NaN or infinity"
    assert "holds what is no word" in refusal(tmp_path, good.replace(b"__label__y\0\x08", b"__label__\n\0\x08"))
    kinds = good.replace(b"__label__y\0" + struct.pack("<qb", 8, 1), b"__label__y\0" + struct.pack("<qb", 8, 0))
    assert "holds what is no word" in refusal(tmp_path, kinds)
    wide = supervised(
        two, np.eye(2), buckets=1 << 25, grams=(2, 3), pruned={1: 0}, rows=quantised(np.ones((4, 2)), None), dim=3
    )
    assert "n-grams in 33,554,432 buckets; at most 16,777,216 are read" in refusal(tmp_path, wide)


def test_counts_that_make_no_tree_are_one_line(tmp_path: Path) -> None:
    three = [(b"__label__x", 1 << 60), (b"__label__y", 1 << 59), (b"__label__z", 1)]
    said = refusal(tmp_path, supervised(three, np.ones((3, 2)), HS))
    assert said == "FILE: no tree of labels has such counts: damaged"
    # Other losses need no tree. Counts out of order make another tree, in fastText too.
    assert len(classifier(tmp_path, supervised(three, np.ones((3, 2)), OVA)).labels) == 3
    mixed = supervised([(b"__label__x", 0), (b"__label__y", 7), (b"__label__z", 0)], np.ones((3, 2)), HS)
    np.testing.assert_allclose(Served(tmp_path, mixed).probabilities(["a"]).sum(), 1, atol=1e-6)


def test_damaged_quantised_classifiers_are_one_line(tmp_path: Path) -> None:
    two = labelled("x", "y")
    rows, output = quantised(np.ones((3, 2)), np.ones(3)), quantised(np.ones((2, 2)), None)
    good = supervised(two, output, rows=rows, dim=3)
    assert classifier(tmp_path, good).labels == ["x", "y"]
    begin = len(good) - len(output)
    for cut in [*range(begin, begin + 60), *range(begin + 60, len(good), 151)]:
        assert refusal(tmp_path, good[:cut]).startswith(("FILE: ends inside", "FILE: promises")), cut
    three = supervised(two, quantised(np.ones((3, 2)), None), rows=rows, dim=3)
    assert refusal(tmp_path, three) == "FILE: an output matrix of 3 rows of 3 does not fit 2 labels and dim=3: damaged"
    # A quantised output beside an input that is not is no model of fastText's.
    refusal(tmp_path, supervised(two, output, rows=np.ones((3, 3)), dim=3))


def test_numbers_that_overflow_are_refused(tmp_path: Path) -> None:
    content = supervised(labelled("x", "y"), np.full((2, 2), 3e38), rows=np.full((3, 2), 3e38))
    with pytest.raises(TextkitError, match="differs from the model by inf"):
        make_bundle(classifier(tmp_path, content), tmp_path / "m", source="x")
    assert not (tmp_path / "m").exists()


def test_rows_that_overflow_are_refused_when_they_are_read(tmp_path: Path) -> None:
    two = labelled("x", "y")
    dense = supervised(two, np.eye(2), rows=np.full((4, 2), 3e38), buckets=1, grams=(1, 2))
    assert refusal(tmp_path, dense) == "FILE: the rows of a word and its n-grams add up to no finite number: damaged"
    rows = quantised(np.ones((3, 2)), np.ones(3))
    wide = rows[:-4] + struct.pack("<f", 3e38)  # the last of the norms
    assert refusal(tmp_path, supervised(two, np.ones((2, 3)), rows=wide, dim=3)) == (
        "FILE: its centroids times its norms are no finite numbers: damaged"
    )


def test_vectors_of_a_classifier_are_read_as_before(tmp_path: Path) -> None:
    found = read(file(tmp_path, golden(SUPERVISED)))
    assert (found.words, found.classifier) == (["the", "</s>", "cat", "sat", "dog", "ate"], True)
