"""fastText's quantised models, and lines pooled as fastText pools them: against the real tool and matrices by hand."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from test_interop import fasttext, file, refusal
from vector_files import FASTTEXT, QUANTISED, QUANTISED_LINES, QUANTISED_VECTORS, SUPERVISED, glove, golden

from textkit.errors import TextkitError
from textkit.interop.foreign import make_bundle, read
from textkit.interop.table import Room
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.text.rules import rule_from_spec
from textkit.text.subwords import hash_ngrams

# What fastText's get_sentence_vector gives with the model FASTTEXT.
LINES = {
    "the cat": [-0.627742171, 0.473613769, -0.530933499],
    "cats  naïve\t日本 q": [-0.531913102, 0.688922942, -0.300849557],
    "</s> dog": [-0.523005247, 0.672840357, -0.298217386],
    "q": [-0.367732942, 0.929543734, 0.0268488824],
    "fish\u00a0dog fish": [-0.572037339, -0.0795194507, -0.748560429],
}


def served(folder: Path, content: bytes, name: str = "m", **options: object) -> Embedder:
    path = file(folder, content, f"{name}.file")
    return Embedder(make_bundle(read(path), folder / name, source=path), **options)


# .ftz

CENTROIDS = (np.arange(512, dtype=np.float32).reshape(256, 2) / 64, -np.arange(256, dtype=np.float32)[:, None] / 8)
NORMS = 1 + np.arange(256, dtype=np.float32) / 256


def quantised(codes: np.ndarray, norms: np.ndarray | None) -> bytes:
    """The bytes of a QuantMatrix: rows of three numbers, coded in parts of two and one, u8[row, 2], and norms u8[row]."""
    data = struct.pack("<??qqi", True, norms is not None, len(codes), 3, codes.size) + codes.astype(np.uint8).tobytes()
    data += struct.pack("<4i", 3, 2, 2, 1) + b"".join(part.astype("<f4").tobytes() for part in CENTROIDS)
    if norms is not None:
        data += norms.astype(np.uint8).tobytes() + struct.pack("<4i", 1, 1, 1, 1) + NORMS.astype("<f4").tobytes()
    return data


def ftz(
    words: list[bytes], codes: np.ndarray, norms: np.ndarray | None = None, pruned: dict[int, int] | None = None,
    buckets: int = 50, grams: tuple[int, int] = (3, 3),
) -> bytes:  # fmt: skip
    pairs = b"".join(struct.pack("<ii", *pair) for pair in (pruned or {}).items())
    size = -1 if pruned is None else len(pruned)
    start = fasttext([(word, 9) for word in words], np.zeros((1, 3), np.float32), buckets, grams, model=3, pruned=size)
    return start[: -17 - 12 - 8 * max(0, size)] + pairs + quantised(codes, norms)


def row(codes: np.ndarray, norm: int | None = None) -> np.ndarray:
    whole = np.concatenate([CENTROIDS[0][codes[0]], CENTROIDS[1][codes[1]]])
    return whole if norm is None else whole * NORMS[norm]


@pytest.mark.parametrize("norms", [None, np.array([0, 128, 255])])
def test_rows_of_a_quantised_matrix_by_hand(tmp_path: Path, norms: np.ndarray | None) -> None:
    codes = np.array([[0, 1], [255, 2], [7, 255]])
    content = ftz([b"a", b"b", b"c"], codes, norms, buckets=0, grams=(0, 0))
    found = read(file(tmp_path, content))
    assert (found.format, found.words, found.ngrams, found.classifier) == ("fastText .ftz", ["a", "b", "c"], None, True)
    wanted = [row(code, None if norms is None else int(norms[at])) for at, code in enumerate(codes)]
    np.testing.assert_array_equal(found.table, wanted)
    np.testing.assert_array_equal(read(file(tmp_path, content), Room(max_vocab=2)).table, wanted[:2])


@pytest.mark.parametrize("whole", [False, True])
def test_pruned_ngrams_are_found_by_their_index(tmp_path: Path, whole: bool) -> None:
    buckets = 50
    of = {gram: int(hash_ngrams([gram[1:-1]], 3, 3, buckets)[0][0]) for gram in ("<a>", "<z>", "<q>")}
    assert len(set(of.values())) == 3
    # The index is unordered, and only the whole matrix keeps the bucket of <q>.
    pruned = None if whole else {of["<z>"]: 1, of["<a>"]: 0, max(set(range(buckets)) - set(of.values())): 2}
    codes = np.arange(2 * (2 + (buckets if whole else 3))).reshape(-1, 2)
    found = read(file(tmp_path, ftz([b"a", b"</s>"], codes, None, pruned, buckets)))
    place = {gram: 2 + (of[gram] if whole else pruned.get(of[gram], -9)) for gram in of}
    np.testing.assert_allclose(found.table[0], (row(codes[0]) + row(codes[place["<a>"]])) / 2)
    np.testing.assert_array_equal(found.table[1], row(codes[1]))
    rows, counts = found.ngrams.rows(["z", "q"])
    np.testing.assert_array_equal(found.table[rows[0]], row(codes[place["<z>"]]))
    assert counts.tolist() == [1, int(whole)]
    few = read(file(tmp_path, ftz([b"a", b"</s>"], codes, None, pruned, buckets)), Room(max_vocab=1))
    np.testing.assert_array_equal(few.table[few.ngrams.rows(["z"])[0][0]], row(codes[place["<z>"]]))


def test_a_model_that_kept_no_ngram_has_words_alone(tmp_path: Path) -> None:
    found = read(file(tmp_path, ftz([b"a", b"b"], np.array([[1, 2], [3, 4]]), None, {})))
    assert found.ngrams is None
    np.testing.assert_array_equal(found.table, [row([1, 2]), row([3, 4])])


def test_damaged_quantised_models_are_one_line(tmp_path: Path) -> None:
    good = ftz([b"a", b"b"], np.array([[1, 2], [3, 4], [5, 6]]), np.array([1, 2, 3]), {7: 0})
    assert len(read(file(tmp_path, good)).words) == 2
    head = len(good) - len(quantised(np.zeros((3, 2)), np.zeros(3)))
    for cut in [*range(4, head + 60), *range(head + 60, len(good), 97)]:
        assert refusal(tmp_path, good[:cut]).startswith(("FILE: ends inside", "FILE: promises"))
    for at in range(head + 1, head + 28):  # every byte of the sizes
        broken = bytearray(good)
        broken[at] ^= 0x81
        with suppress(TextkitError):
            read(file(tmp_path, bytes(broken)))
    assert "centroids hold NaN" in refusal(tmp_path, good[:-4] + struct.pack("<f", np.nan))
    lying = ftz([b"a", b"b"], np.array([[1, 2], [3, 4], [5, 6]]), None, {7: 1})
    assert "index of its pruned n-grams" in refusal(tmp_path, lying)
    lying = ftz([b"a", b"b"], np.array([[1, 2], [3, 4], [5, 6]]), None, {700: 0})
    assert "index of its pruned n-grams" in refusal(tmp_path, lying)


def test_a_quantised_model_gives_what_fasttext_gives(tmp_path: Path) -> None:
    embedder = served(tmp_path, golden(QUANTISED))
    np.testing.assert_allclose(
        embedder(list(QUANTISED_VECTORS)), list(QUANTISED_VECTORS.values()), rtol=1e-5, atol=1e-7
    )


# --pooling fasttext


def test_lines_of_words_are_pooled_as_fasttext_pools_them(tmp_path: Path) -> None:
    embedder = served(tmp_path, golden(FASTTEXT), pooling="fasttext")
    np.testing.assert_allclose(embedder(list(LINES)), list(LINES.values()), rtol=1e-5, atol=1e-6)
    alone = np.concatenate([embedder([line]) for line in LINES])
    np.testing.assert_array_equal(embedder(list(LINES)), alone)
    np.testing.assert_array_equal(embedder(list(LINES)[::-1])[::-1], alone)
    assert embedder(["", "  "]).tolist() == [[0] * 3] * 2
    small = Embedder(embedder.bundle, pooling="fasttext", batch_tokens=1)
    np.testing.assert_array_equal(small(list(LINES)), alone)


def test_lines_of_a_classifier_are_the_mean_of_rows_and_of_the_lines_end(tmp_path: Path) -> None:
    embedder = served(tmp_path, golden(QUANTISED), pooling="fasttext")
    np.testing.assert_allclose(embedder(list(QUANTISED_LINES)), list(QUANTISED_LINES.values()), rtol=1e-5, atol=1e-7)
    assert embedder([""]).tolist() == [[0, 0]]  # a blank line is blank, though fastText gives its end a vector
    told = embedder.bundle.rule.spec()
    assert told["classifier"] is True
    assert rule_from_spec(told, embedder.bundle.file).classifier
    # The vectors of words do not change.
    tokens = embedder.tokens(["dog cats"])[0]
    np.testing.assert_allclose(tokens[0][1], QUANTISED_VECTORS["dog"], rtol=1e-5)
    assert [word for word, _ in tokens] == ["dog", "cats"]


def test_a_classifier_of_word_ngrams_says_that_they_are_not_there(tmp_path: Path) -> None:
    embedder = served(tmp_path, golden(SUPERVISED), pooling="fasttext")
    with pytest.raises(TextkitError, match="--pooling fasttext: .* import it with --word-ngrams"):
        embedder(["a b"])


def test_a_classifier_keeps_its_word_ngrams_where_that_is_asked_for(call, tmp_path: Path) -> None:
    path = file(tmp_path, golden(SUPERVISED))
    assert call("import", path, "-o", tmp_path / "m", "--word-ngrams") == (0, "", "")
    # By get_sentence_vector. The last line has only n-grams of words that are not in the table, and the line's end.
    lines = {
        "the cat sat": -0.0590422787,
        "dog zzz ate the": -0.0513412729,
        "cat": 0.000281223853,
        "b a zzz a": 0.000424362923,
    }
    found = Embedder(tmp_path / "m", pooling="fasttext")(list(lines))
    np.testing.assert_allclose(found, [[value, 0] for value in lines.values()], rtol=1e-5)
    # Words do not change: no n-gram of characters spells one.
    plain = served(tmp_path, golden(SUPERVISED), "plain")
    again = Embedder(tmp_path / "m")
    np.testing.assert_array_equal(again(["the cat", "zzz", "dog zzz"]), plain(["the cat", "zzz", "dog zzz"]))
    assert again(["zzz"]).tolist() == [[0, 0]]
    assert call("nearest", "-m", tmp_path / "m", "zzz")[0] == 1
    int8 = call("import", path, "-o", tmp_path / "i8", "--word-ngrams", "--precision", "int8", "-q")
    assert int8[0] == 0


def test_words_of_length_zero_do_not_count_and_long_lines_are_whole(tmp_path: Path) -> None:
    path = file(tmp_path, glove({"a": [3, 0], "b": [0, 0.5], "z": [0, 0]}))
    folder = make_bundle(read(path), tmp_path / "m", source=path, limit=4)
    embedder = Embedder(folder, pooling="fasttext")
    lines = ["a", "a b", "a z b z", "z", "x", "a a a b b a a b b b b", "a b" + " z" * 50]
    wanted = [[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 0], [0, 0], [5 / 11, 6 / 11], [0.5, 0.5]]
    np.testing.assert_allclose(embedder(lines), wanted, rtol=1e-6)
    assert embedder.long_lines == 2
    cut = Embedder(folder, pooling="fasttext", long="cut", normalize=True)
    np.testing.assert_allclose(cut(lines[5:6]), [[3 / 10**0.5, 1 / 10**0.5]], rtol=1e-6)
    assert embedder([]).shape == (0, 2)


def test_embed_and_evaluate_take_the_option(call, tmp_path: Path) -> None:
    path = file(tmp_path, glove({"a": [3, 0], "b": [0, 0.5]}))
    make_bundle(read(path), tmp_path / "m", source=path)
    assert call("embed", "-m", tmp_path / "m", "--pooling", "fasttext", stdin="a b\n\nb\n")[1] == "0.5 0.5\n0 0\n0 1\n"
    pairs = tmp_path / "x.tsv"
    pairs.write_text("a b\ta\t2\na\tb\t1\nb b\tb\t3\n")
    code, out, _ = call("evaluate", "-m", tmp_path / "m", "--pooling", "fasttext", "--metric", "sts", pairs)
    assert (code, out.split("\t")[1]) == (0, "1.0000")
