"""Other tools' formats, in and out: golden bytes of the real tools, layouts written by hand, and files with false claims."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import zstandard
from vector_files import FASTTEXT, SUPERVISED, VECTORS, WORDS, golden

from textkit.errors import TextkitError, UsageError
from textkit.interop.foreign import read
from textkit.interop.table import Growing, Room
from textkit.interop.word2vec_write import format_of, write_word2vec

TEXT = b"3 2\ncat 1 2\ndog -0.5 1e-3\nfish 5 6.25\n"
TABLE = np.array([[1, 2], [-0.5, 1e-3], [5, 6.25]], np.float32)


def file(folder: Path, content: bytes, name: str = "vectors") -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def refusal(folder: Path, content: bytes, room: Room | None = None) -> str:
    """The one line with which reading `content` fails, without the folder."""
    path = file(folder, content)
    with pytest.raises(TextkitError) as caught:
        read(path, room)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(path, "FILE")


def binary(words: list[bytes], table: np.ndarray, end: bytes = b"\n") -> bytes:
    rows = b"".join(word + b" " + row.astype("<f4").tobytes() + end for word, row in zip(words, table, strict=True))
    return b"%d %d\n" % table.shape + rows


def fasttext(
    words: list[tuple[bytes, int]],
    table: np.ndarray,
    bucket: int,
    grams: tuple[int, int] = (3, 6),
    version: int = 12,
    model: int = 2,
    labels: int = 0,
    pruned: int = -1,
    quantised: bool = False,
) -> bytes:
    """The bytes of a fastText .bin: signature, Args::save, Dictionary::save, DenseMatrix::save; no output matrix."""
    dim = table.shape[1]
    head = struct.pack("<ii", 793712314, version)
    head += struct.pack("<12id", dim, 5, 5, 1, 5, 1, 2, model, bucket, *grams, 100, 1e-4)
    head += struct.pack("<iiiqq", len(words), len(words) - labels, labels, sum(count for _, count in words), pruned)
    for at, (word, count) in enumerate(words):
        head += word + b"\0" + struct.pack("<qb", count, at >= len(words) - labels)
    head += b"".join(struct.pack("<ii", at, at) for at in range(max(0, pruned)))
    return head + struct.pack("<?qq", quantised, *table.shape) + table.astype("<f4").tobytes()


# Reading what the tools write.


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (TEXT, "word2vec text"),
        (TEXT.replace(b"\n", b" \n").replace(b"3 2 ", b"3 2"), "word2vec text"),  # fastText's .vec: a space at the end
        (TEXT.replace(b"\n", b"\r\n"), "word2vec text"),
        (TEXT.replace(b"t 1 2", b"t\t1\t2"), "word2vec text"),
        (b"\xef\xbb\xbf" + TEXT, "word2vec text"),
        (TEXT.rstrip(b"\n"), "word2vec text"),
        (TEXT + b"\n\n", "word2vec text"),
        (TEXT[4:], "GloVe text"),
        (binary([b"cat", b"dog", b"fish"], TABLE), "word2vec binary"),  # the original tool
        (binary([b"cat", b"dog", b"fish"], TABLE, b""), "word2vec binary"),  # gensim
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_formats_are_told_by_content(tmp_path, content, kind, pack):
    found = read(file(tmp_path, pack(content)))
    assert (found.format, found.words) == (kind, ["cat", "dog", "fish"])
    np.testing.assert_array_equal(found.table, TABLE)
    assert found.table.dtype == np.float32
    assert (found.duplicates, found.invalid, found.ngrams) == (0, 0, None)


def test_words_are_the_files_own(tmp_path):
    text = "5 1\n. . 1\nNew\u00a0York 2\nat name@domain.com 3\n\u2028 4\n７ 5\n"
    assert read(file(tmp_path, text.encode())).words == [". .", "New\u00a0York", "at name@domain.com", "\u2028", "７"]


def test_first_of_a_repeated_word_wins_and_invalid_utf8_is_replaced_and_counted(tmp_path):
    for content in (
        b"5 1\ncat 1\ndog 2\ncat 3\nb\xffd 4\nb\xffd 5\n",
        binary([b"cat", b"dog", b"cat", b"b\xffd", b"b\xffd"], np.array([[1], [2], [3], [4], [5]], np.float32)),
    ):
        found = read(file(tmp_path, content))
        assert found.words == ["cat", "dog", "b\ufffdd"]
        assert found.table.tolist() == [[1], [2], [4]]
        assert (found.duplicates, found.invalid) == (2, 2)


def test_max_vocab_keeps_the_first_words_and_stops_reading(tmp_path):
    for content in (TEXT + b"broken line", binary([b"cat", b"dog", b"fish"], TABLE)[:-3], TEXT[4:] + b"broken line"):
        found = read(file(tmp_path, content), Room(max_vocab=2))
        assert found.words == ["cat", "dog"]
        np.testing.assert_array_equal(found.table, TABLE[:2])


def test_more_than_one_block(tmp_path, monkeypatch):
    from textkit.interop import source, text_format, word2vec_binary

    for module, name in ((source, "BLOCK"), (text_format, "BLOCK"), (word2vec_binary, "_BLOCK")):
        monkeypatch.setattr(module, name, 64)
    table = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    words = [f"w{at}" for at in range(500)]
    text = b"500 3\n" + b"".join(
        b"%b %r %r %r\n" % (w.encode(), *row) for w, row in zip(words, table.tolist(), strict=True)
    )
    for content in (text, text[6:], binary([w.encode() for w in words], table)):
        for pack in (bytes, gzip.compress):
            found = read(file(tmp_path, pack(content)))
            assert found.words == words
            np.testing.assert_array_equal(found.table, table)


def test_fasttext_gives_what_fasttext_gives(tmp_path):
    found = read(file(tmp_path, golden(FASTTEXT)))
    assert (found.format, found.words) == ("fastText .bin", WORDS)
    assert found.counts.tolist() == [9, 6, 3, 3, 3, 3, 3, 3, 3, 3]
    assert found.tokens == 39
    for word, vector in VECTORS.items():
        rows = [WORDS.index(word)] if word in WORDS else found.ngrams.rows([word])[0]
        np.testing.assert_allclose(found.table[rows].mean(axis=0), vector, atol=1e-6, rtol=0)


def test_fasttext_with_fewer_words_spells_the_others(tmp_path):
    whole = read(file(tmp_path, golden(FASTTEXT)))
    found = read(file(tmp_path, golden(FASTTEXT)), Room(max_vocab=3))
    assert found.words == ["the", "</s>", "cat"]
    assert found.ngrams.first == 3
    np.testing.assert_array_equal(found.table, np.concatenate([whole.table[:3], whole.table[10:]]))


def test_supervised_model_leaves_labels_and_word_ngrams_out(tmp_path):
    found = read(file(tmp_path, golden(SUPERVISED)))
    assert found.words == ["the", "</s>", "cat", "sat", "dog", "ate"]
    assert found.ngrams is None
    assert found.table.shape == (6, 2)
    np.testing.assert_allclose(found.table[0], [-0.414545625, 0], atol=1e-6, rtol=0)
    assert found.notes == ["3 buckets of word n-grams left out: a classifier uses them, a word's vector does not"]


def test_fasttext_by_hand(tmp_path):
    # Words with one n-gram of length 3: <a> in bucket 0 (the only bucket); </s> has none; one word is not UTF-8.
    table = np.array([[2, 4], [8, 6], [5, 7], [4, 8]], np.float32)
    found = read(file(tmp_path, fasttext([(b"a", 5), (b"</s>", 3), (b"\xff", 1)], table, 1, (3, 3))))
    assert found.words == ["a", "</s>", "\ufffd"]
    assert found.table.tolist() == [[3, 6], [8, 6], [4.5, 7.5], [4, 8]]
    assert found.invalid == 1
    # A word too short for any n-gram keeps its own row.
    found = read(file(tmp_path, fasttext([(b"a", 5), (b"</s>", 3), (b"\xff", 1)], table, 1, (4, 6))))
    assert found.table.tolist() == table.tolist()
    # In format 11 classifiers were trained without character n-grams, whatever the arguments say.
    old = read(
        file(
            tmp_path, fasttext([(b"a", 5), (b"b", 3), (b"__label__c", 1)], table[:3], 1, version=11, model=3, labels=1)
        )
    )
    assert (old.words, old.ngrams, old.table.tolist()) == (["a", "b"], None, table[:2].tolist())


# Files with false claims, and files that are something else.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "FILE: is empty"),
        (b"2 2\ncat 1.000000 2.000\n", "FILE: the header promises 2 vectors, the file has 1: truncated?"),
        (b"2 2\ncat 1 2\ndog 3\n", "FILE: line 3: 2 columns, a word and 2 numbers are expected"),
        (b"2 2\ncat 1 2\ndog 3 4 5\n", "FILE: line 3: 4 columns, a word and 2 numbers are expected"),
        (b"2 2\ncat 1 2\n\xffdog 3 x\xfe\n", "FILE: line 3: 'x\ufffd' is not a number"),
        (b"2 2\ncat 1 1_0\n", "FILE: promises 2 vectors of 2 numbers, which is more than the file holds"),
        (b"1 2\ncat 1 1_0\n", "FILE: line 2: '1_0' is not a number"),
        (b"1 2\ncat 1.2.3 1\n", "FILE: line 2: '1.2.3' is not a number"),
        (b"2 2\ncat 1 2\ndog nan 4\n", "FILE: line 3: nan is no finite number"),
        (b"2 2\ncat 1 2\ndog 4 1e39\n", "FILE: line 3: 1e39 is no finite number"),
        (b"cat 1 2\n\ndog 3 4\n", "FILE: line 2: is blank"),
        (b"cat 1 2\ndog 3 4 5\n", "FILE: line 2: 4 columns, a word and 2 numbers are expected"),
        (b"cat 1 2\n 3 4\n", "FILE: line 2: 2 columns, a word and 2 numbers are expected"),
        (b"0 5\n", "FILE: line 1: 0 vectors of 5 numbers"),
        (b"3 999999999\ncat 1\n", "FILE: line 1: 3 vectors of 999999999 numbers"),
        (b"999999999 300\ncat 1 2\n", "FILE: promises 999,999,999 vectors of 300 numbers, which is more than the file holds"),
        (
            b"\x80\x04\x95",
            "FILE: is a Python pickle (gensim's own format?), which is never loaded: save it with save_word2vec_format",
        ),
        (b"PK\x03\x04", "FILE: is a zip archive: unpack it first"),
        (b"only words here\n", None),
        (bytes(range(255, 191, -1)) + b"\0\n", None),
        (binary([b"cat", b"dog"], TABLE[:2])[:-6], None),
        (binary([b"cat"], TABLE[:1]) + b"more", "FILE: goes on behind the 1 vectors that its header promises"),
        (binary([b"cat", b"dog"], np.array([[1, 2], [np.inf, 1]])), "FILE: vector 2 ('dog') holds NaN or infinity"),
        (binary([b"cat", b""], TABLE[:2]), "FILE: vector 2 has no word: damaged, or not word2vec's binary format"),
        (gzip.compress(TEXT, mtime=0)[:-12], "FILE: truncated gzip data"),
        (gzip.compress(b"2 2\ncat 1 2\ndog 3\n", mtime=0), "FILE: line 3: 2 columns, a word and 2 numbers are expected"),
    ],
)  # fmt: skip
def test_one_line_names_file_and_place(tmp_path, content, said):
    found = refusal(tmp_path, content)
    if said is None:
        assert found.startswith("FILE: ")
    else:
        assert found == said


def test_truncated_binary_says_where(tmp_path):
    content = b"3 2\n" + b"".join(binary([word], TABLE[:1])[4:] for word in (b"cat", b"dog", b"fishes"))
    assert refusal(tmp_path, gzip.compress(content[:-4])) == (
        "FILE: ends inside vector 3 of the 3 that its header promises: truncated?"
    )
    assert refusal(tmp_path, content[:20]) == "FILE: promises 3 vectors of 2 numbers, which is more than the file holds"


def test_damaged_fasttext(tmp_path):
    words = [(b"a", 5), (b"b", 3)]
    table = np.ones((3, 2), np.float32)
    good = fasttext(words, table, 1)
    assert read(file(tmp_path, good)).words == ["a", "b"]
    for cut in range(4, len(good)):
        said = refusal(tmp_path, good[:cut])
        assert said.startswith(("FILE: ends inside", "FILE: promises"))
    assert "damaged" in refusal(tmp_path, fasttext(words, table, 1, quantised=True))
    assert "pruned but not quantised" in refusal(tmp_path, fasttext(words, table, 1, pruned=1))
    assert "file format 13 is not known" in refusal(tmp_path, fasttext(words, table, 1, version=13))
    assert "does not fit 2 words, 2 buckets" in refusal(tmp_path, fasttext(words, table, 2))
    assert "bucket=-1" in refusal(tmp_path, fasttext(words, table, -1))
    assert "no word" in refusal(tmp_path, fasttext([(b"a", 5), (b"b\n", 3)], table, 1))
    assert "no word" in refusal(tmp_path, fasttext([(b"a", -1), (b"b", 3)], table, 1))
    assert refusal(tmp_path, fasttext(words, np.array([[1, 1], [1, np.nan], [1, 1]]), 1)) == (
        "FILE: row 1 of its input matrix holds NaN or infinity"
    )
    lying = bytearray(good)
    struct.pack_into("<i", lying, 8 + 56, 1 << 30)
    struct.pack_into("<i", lying, 8 + 60, 1 << 30)
    assert refusal(tmp_path, bytes(lying)) == "FILE: promises 1,073,741,824 words, which is more than the file holds"
    lying = bytearray(good)
    struct.pack_into("<q", lying, 8 + 56 + 20, 1 << 40)
    said = refusal(tmp_path, bytes(lying))
    assert said == "FILE: promises 1,099,511,627,776 pruned n-grams, which is more than the file holds"


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(TextkitError, match="nowhere: no such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(TextkitError, match="is a directory"):
        read(tmp_path)


def test_too_large_for_onnx_says_what_fits():
    Room("fp32").check("FILE", 1_788_000, 0, 300)
    with pytest.raises(TextkitError) as caught:
        Room("fp32").check("FILE", 3_000_000, 0, 300)
    assert str(caught.value) == (
        "FILE: 3,000,000 vectors of 300 numbers take 3.6 GB at fp32, an ONNX file holds 2 GB: "
        "use --max-vocab 1788695 or --precision fp16 or --precision int8"
    )
    Room("fp32").check("FILE", 1_788_695, 0, 300)
    with pytest.raises(TextkitError, match=r"2,000,000 words and 2,000,000 n-grams .* use --precision int8$"):
        Room("fp32").check(
            "FILE", 2_000_000, 2_000_000, 300
        )  # crawl-300d-2M-subword.bin: its n-grams alone are too many
    with pytest.raises(TextkitError, match=r"use a smaller --max-vocab with --precision int8$"):
        Room("fp32").check("FILE", 9_000_000, 2_000_000, 300)
    Room().check("FILE", 10**9, 0, 300)  # convert writes no ONNX


def test_too_large_is_refused_before_the_table_is_read(tmp_path, monkeypatch):
    from textkit.interop import table

    monkeypatch.setattr(table, "LARGEST", 20)
    for content in (TEXT, TEXT[4:], binary([b"cat", b"dog", b"fish"], TABLE)):
        assert "use --max-vocab 2" in refusal(tmp_path, content, Room("fp32"))
        assert read(file(tmp_path, content), Room("fp32", 2)).words == ["cat", "dog"]


def test_growing_table_keeps_what_came():
    growing = Growing(2, None)
    for at in range(100):
        growing.append(np.full((at, 2), at, np.float32))
    assert growing.done()[:, 0].tolist() == [at for at in range(100) for _ in range(at)]


# Writing.


@pytest.mark.parametrize("as_binary", [False, True])
def test_what_is_written_is_read_back_exactly(tmp_path, as_binary):
    table = (np.random.default_rng(1).standard_normal((300, 7)) * 1e-3).astype(np.float32)
    words = [f"wörd{at}" for at in range(300)]
    with open(tmp_path / "out", "wb") as out:
        assert write_word2vec(out, words, table, as_binary) == 0
    found = read(tmp_path / "out")
    assert found.format == ("word2vec binary" if as_binary else "word2vec text")
    assert found.words == words
    np.testing.assert_array_equal(found.table, table)


def test_bytes_as_the_original_tool_writes_them(tmp_path):
    for as_binary, expected in (
        (False, b"2 2\ncat 1 2\nfish 5 6.25\n"),
        (True, binary([b"cat", b"fish"], TABLE[[0, 2]])),
    ):
        with open(tmp_path / "out", "wb") as out:
            assert (
                write_word2vec(out, ["cat", "two words", "fish", "", "tab\t"], TABLE[[0, 1, 2, 1, 1]], as_binary) == 3
            )
        assert (tmp_path / "out").read_bytes() == expected


def test_format_by_name():
    assert format_of("x.bin", None) == "word2vec-binary"
    assert format_of("x.VEC", None) == format_of("x.txt", None) == format_of("-", None) == "word2vec"
    assert format_of("x.vec", "word2vec-binary") == "word2vec-binary"
    with pytest.raises(UsageError, match=r"x\.npy: ends in none of"):
        format_of("x.npy", None)
