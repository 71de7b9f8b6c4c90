"""Odd words in other tools' files: with white space, empty, cut, or in another encoding; and headers that miscount.

What gensim 4.4.0 reads was taken from its load_word2vec_format and is written out here.
"""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from test_interop import binary, file, refusal

from textkit.errors import TextkitError, UsageError
from textkit.interop import text_format
from textkit.interop.foreign import describe, make_bundle, read
from textkit.interop.table import Foreign, Room
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.text.rules import rule_from_spec
from textkit.text.spaces import Cutter, ascii_words
from textkit.text.words import Words

SPACED = {
    "10\u00a0000": [1, 0], "10": [0, 1], "000": [0, 2], "new york": [3, 0], "cat\u2009dog": [0.75, 1], "cat": [4, 0],
    "a\tb": [5, 1], "a b": [7, 8], "\t": [3, 4], "\u00a0": [2, 2], "\u3000x": [1, 5], "x\x85y\x1cz": [6, 1],
}  # fmt: skip


def content(words: dict[str, list[float]], header: bool = True, end: str = "\n", tab: str = " ") -> bytes:
    lines = [tab.join([word, *map(str, vector)]) for word, vector in words.items()]
    return "".join(f"{line}{end}" for line in [f"{len(words)} 2"] * header + lines).encode()


def skipping(path: str, **more: object) -> Foreign:
    return read(path, Room(skip=True, **more))


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", " \r\n"])
def test_white_space_but_the_space_is_part_of_a_word(tmp_path: Path, header: bool, end: str) -> None:
    found = read(file(tmp_path, content(SPACED, header, end)))
    assert found.words == list(SPACED)
    assert found.table.tolist() == list(SPACED.values())
    assert (found.duplicates, found.invalid, found.skipped, found.notes) == (0, 0, 0, [])


def test_a_file_without_spaces_has_tabs_between_its_fields(tmp_path: Path) -> None:
    words = {"new york": [1.5, 2], "10 000": [3, 4], "cat": [5, 6], "a\u00a0b": [7, 8]}
    for header in (True, False):
        assert read(file(tmp_path, content(words, header, tab="\t"))).words == list(words)
    assert read(file(tmp_path, b"cat\t1 2\ndog\t3 4\n")).table.tolist() == [[1, 2], [3, 4]]
    assert read(file(tmp_path, b"2 2\ncat\t1 2\ndog\t3 4\n")).words == ["cat", "dog"]
    assert read(file(tmp_path, b"cat  1   2\n dog 3  4\n")).words == ["cat", "dog"]


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spaced")
    path = folder / "vectors"
    path.write_bytes(content(SPACED))
    return make_bundle(read(path), folder / "model", source=str(path))


@pytest.mark.parametrize(
    ("line", "vector"),
    [
        ("10\u00a0000", [1, 0]),
        ("10 000", [0, 1.5]),
        ("new york", [3, 0]),
        ("new  york", [0, 0]),
        ("cat\u2009dog", [0.75, 1]),
        ("a\tb", [5, 1]),
        ("a b", [7, 8]),
        ("\t", [3, 4]),
        ("\u00a0", [2, 2]),
        ("  \u00a0 ", [2, 2]),
        ("\u3000x", [1, 5]),
        ("x\x85y\x1cz", [6, 1]),
        ("  ", [0, 0]),
        ("cat \t new york", [10 / 3, 4 / 3]),
        ("cat new york a\tb", [4, 1 / 3]),
        ("cats new yorker", [0, 0]),
        ("cat\tcat", [4, 0]),
    ],
)
def test_embed_finds_words_by_the_files_own_rule(spaced: Path, line: str, vector: list[float]) -> None:
    embedder = Embedder(spaced)
    np.testing.assert_allclose(embedder([line])[0], vector, rtol=1e-6)
    np.testing.assert_allclose(embedder(["cat", line, "10"])[1], vector, rtol=1e-6)


def test_nearest_analogy_and_evaluate_find_them_too(call, spaced: Path, tmp_path: Path) -> None:
    for word in SPACED:
        code, out, error = call("nearest", "-m", spaced, "-k", 1, stdin=f"{word}\n")
        assert (code, error) == (0, "")
        assert out.startswith(word.replace("\t", "\\t") + "\t")
    assert call("nearest", "-m", spaced, "-k", 1, "new york")[1] == "new york\t10\u00a0000\t1.000000\n"
    for line in ("10\u00a0000 10 new york\n", "10\u00a0000\t10\tnew york\n"):
        code, out, error = call("analogy", "-m", spaced, stdin=line)
        assert (code, out.split("\t")[:3]) == (0, ["10\u00a0000", "10", "new york"])
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("10\u00a0000\tnew york\t9\ncat\u2009dog\tcat\t5\n000\tcat\t1\n")
    code, out, _ = call("evaluate", "-m", spaced, "--metric", "similarity", pairs)
    assert (code, out.split("\t")[:5]) == (0, ["similarity", "1.0000", "3", "3", "0"])


def test_the_rule_is_in_the_manifest_and_other_files_keep_all_white_space(tmp_path: Path, spaced: Path) -> None:
    rule = Embedder(spaced).bundle.rule
    assert rule.spec()["spaces"] == "ascii"
    again = rule_from_spec(rule.spec(), rule.files().__getitem__)
    assert again.words_of(["new york\u00a0x"]) == [["new", "york\u00a0x"]]
    assert "spaces" not in Words(["a"]).spec()
    with pytest.raises(ValueError, match="unicode or ascii"):
        Words(["a"], spaces="none")
    path = file(tmp_path, b"cat 1 2\ndog 3 4\n")
    plain = Embedder(make_bundle(read(path), tmp_path / "m", source=path))
    assert plain(["cat\u00a0dog"]).tolist() == [[2, 3]]


def test_the_longest_word_that_stands_in_a_text_is_taken() -> None:
    cut = Cutter(["new", "new york", "new york city", " x", "\t", "york"])
    assert cut("new york city hall") == ["new york city", "hall"]
    assert cut("new york cityhall new york") == ["new york", "cityhall", "new york"]
    assert cut("new  york\tnew") == ["new", "york", "new"]
    assert cut("  x") == [" x"]
    assert cut("a \t b") == ["a", "\t", "b"]
    assert cut("") == cut(" \n ") == []
    assert ascii_words("a\u00a0b\x1cc d\u2028\x0be") == ["a\u00a0b\x1cc", "d\u2028", "e"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_does_not_count_unk_is_said_and_all_is_read(tmp_path: Path, pack) -> None:
    found = read(file(tmp_path, pack(b"3 2\ncat 1 2\ndog 3 4\nowl 5 6\n<unk> 7 8\n")))
    assert found.words == ["cat", "dog", "owl", "<unk>"]
    assert describe(found) == ["the header promises 3 vectors, the file has 4: all are read"]
    assert read(file(tmp_path, b"0 2\ncat 1 2\n")).words == ["cat"]
    assert read(file(tmp_path, b"1 2\ncat 1 2\n<unk> 3 4\n"), Room(max_vocab=1)).words == ["cat"]


def test_a_header_that_promises_more_is_refused_and_with_skip_counted(tmp_path: Path) -> None:
    # gensim: EOFError("unexpected end of input; is count incorrect or file otherwise damaged?")
    path = file(tmp_path, b"9 2\ncat 1 2\ndog 3 4\n")
    for text in (b"9 2\ncat 1 2\ndog 3 4\n", b"3 2\ncat 1.0000 2.00000\ndog 3 4\n"):
        assert refusal(tmp_path, text).startswith("FILE: ")
    path = file(tmp_path, b"9 2\ncat 1 2\ndog 3 4\n")
    assert describe(skipping(path)) == ["the header promises 9 vectors, the file has 2: all are read"]
    assert skipping(file(tmp_path, b"2 2\n\ncat 1 2\ndog 3 4\n")).notes == []  # a blank line is no vector


@pytest.mark.parametrize(
    ("text", "words", "table"),
    [
        (b"5 2\n6 3\n7 4\n", ["5", "6", "7"], [[2], [3], [4]]),  # a word and its one number, not a header
        (b"5 0\n6 3\n", ["5", "6"], [[0], [3]]),
        (b"1 2\n3 4 5\n", ["3"], [[4, 5]]),
        (b"5 1 2\n6 3 4\n", ["5", "6"], [[1, 2], [3, 4]]),  # words that are numbers
        (b"-1 2\n6 3\n", ["-1", "6"], [[2], [3]]),
        (b" 2   2 \ncat -1 2e0\ndog +.5 -1E-2\n", ["cat", "dog"], [[-1, 2], [0.5, -0.01]]),
        (b"at 5 pm 1 2\ncat 3 4\nat 6 pm 5 6\n", ["at 5 pm", "cat", "at 6 pm"], [[1, 2], [3, 4], [5, 6]]),
        (b"\xef\xbb\xbf2 1\r\ncat 1\r\ndog 2\r\n", ["cat", "dog"], [[1], [2]]),
    ],
)
def test_first_lines_are_told_apart(tmp_path: Path, text: bytes, words: list[str], table: list[list[float]]) -> None:
    found = read(file(tmp_path, text))
    assert (found.words, found.table.tolist()) == (words, [pytest.approx(row) for row in table])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"3 2\ncat 1 2\n 3 4\ndog 7 8\n", "FILE: line 3: 2 columns, a word and 2 numbers are expected"),
        (b"cat 1 2\ndog 3 nan\n", "FILE: line 2: nan is no finite number"),
        (b"cat 1 2\ndog 3 inf\n", "FILE: line 2: inf is no finite number"),
        (b"cat 1 2\ndog 3 1e400\n", "FILE: line 2: 1e400 is no finite number"),
        (b"cat 1 2\ndog 3 4 5\n", "FILE: line 2: 4 columns, a word and 2 numbers are expected"),
        (b"cat 1 2\ndog 3\n", "FILE: line 2: 2 columns, a word and 2 numbers are expected"),
        (b"cat 1 2\ndog 3 x\n", "FILE: line 2: 'x' is not a number"),
        (b"cat 1 2\n10 000 3 4\n", "FILE: line 2: 4 columns, a word and 2 numbers are expected"),
        (b"cat 1 2\n\nowl 3 4\n", "FILE: line 2: is blank"),
        (b"3 2\ncat 1\ndog 2\nowl 3\n", "FILE: line 2: 2 columns, a word and 2 numbers are expected"),
        (b"4 2\n", None),
        ("cat 1 2\n".encode("utf-16"), "FILE: is UTF-16: say so with --encoding utf-16"),
        ("cat 1 2\n".encode("utf-32"), "FILE: is UTF-32: say so with --encoding utf-32"),
        ("\ufeffcat 1 2\n".encode("utf-32-be"), "FILE: is UTF-32: say so with --encoding utf-32"),
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_named_and_skipped_where_that_is_asked_for(
    tmp_path: Path, text: bytes, said: str | None
) -> None:
    found = refusal(tmp_path, text)
    assert found == said if said else found.startswith("FILE: ")
    if said and "line" in said and b"1 2\n" in text:
        path = file(tmp_path, text)
        skipped = skipping(path)
        assert (skipped.skipped, skipped.first_problem) == (1, said.replace("FILE", path))
        assert skipped.words[0] == "cat"
        assert len(skipped.words) == len(skipped.table) == text.count(b"\n") - 1 - text.startswith(b"3 2")


def test_empty_words_of_both_formats_are_left_out_and_counted(call, tmp_path: Path) -> None:
    # gensim reads both: ['cat', '', 'dog'].
    text = file(tmp_path, b"3 2\ncat 1 2\n 3 4\ndog 7 8\n", "text")
    table = np.array([[1, 2], [3, 4], [7, 8]], np.float32)
    both = [
        text,
        *(file(tmp_path, binary([b"cat", b"", b"dog"], table, end), f"bin{len(end)}") for end in (b"", b"\n")),
    ]
    for path in both:
        code, _, error = call("import", path, "-o", tmp_path / "m", "--overwrite")
        assert (code, error.count("\n")) == (1, 1)
        code, _, error = call("import", path, "-o", tmp_path / "m", "--overwrite", "--on-error", "skip")
        assert (code, "1 record left out" in error, error.count("\n")) == (0, True, 1)
        assert Embedder(tmp_path / "m")(["cat", "dog"]).tolist() == [[1, 2], [7, 8]]


def test_a_word_with_a_space_in_a_binary_file_is_told(tmp_path: Path) -> None:
    # gensim makes a word of the first half and numbers of the second; all later vectors are wrong.
    said = refusal(tmp_path, binary([b"new york", b"dog"], np.array([[1, 2], [3, 4]], np.float32), b""))
    assert said.startswith("FILE: the word of vector 2 holds control characters: a word before it has a space")
    words = ["a\tb", "c\u00a0d"]
    assert read(file(tmp_path, binary([word.encode() for word in words], np.ones((2, 2), np.float32)))).words == words


def test_words_of_a_binary_file_may_hold_controls_as_those_of_a_text_file_do(call, tmp_path: Path) -> None:
    words = ["a\x7fb", "a\x1cb", "\x01", "caf\u00e9\x1f", "d"]
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    as_text = "".join(f"{word} {one:g} {other:g}\n" for word, (one, other) in zip(words, table, strict=True))
    for content in (binary([word.encode() for word in words], table), f"5 2\n{as_text}".encode()):
        found = read(file(tmp_path, content))
        assert (found.words, found.table.tolist()) == (words, table.tolist())
    # Numbers that are taken for a word contain NUL or are not UTF-8: such a record can be left out.
    for wrong in (b"\0\0@dog", b"\x01\xcd\xcc"):
        path = file(tmp_path, binary([b"cat", wrong, b"sea"], table[:3]))
        assert refusal(tmp_path, Path(path).read_bytes()).startswith(
            "FILE: the word of vector 2 holds control characters"
        )
        skipped = skipping(path)
        assert (skipped.words, skipped.table.tolist(), skipped.skipped) == (["cat", "sea"], [[0, 1], [4, 5]], 1)
        assert "the word of vector 2 holds control characters" in skipped.first_problem


def test_words_cut_inside_a_character_stay_apart(tmp_path: Path) -> None:
    words = [b"caf\xc3", b"caf\xe2\x80", b"caf\xc3", b"caf\xef\xbf\xbd", b"caf\xff"]
    for text in (
        b"5 1\n" + b"".join(b"%b %d\n" % (word, at) for at, word in enumerate(words)),
        binary(words, np.arange(5, dtype=np.float32)[:, None]),
    ):
        found = read(file(tmp_path, text))
        # The fourth word really contains U+FFFD; the others show their bytes, because that name is taken.
        assert found.words == ["caf\\xc3", "caf\\xe2\\x80", "caf\ufffd", "caf\\xff"]
        assert found.table.tolist() == [[0], [1], [3], [4]]
        assert (found.duplicates, found.invalid) == (1, 4)
        how = "replaced by U+FFFD, and by \\xNN where that name is taken"
        assert describe(found)[1] == f"4 words hold bytes that are not UTF-8: {how}"
    found = read(file(tmp_path, b"b\xc3 1\nc\xff 2\n"))
    assert found.words == ["b\ufffd", "c\ufffd"]
    assert describe(found) == ["2 words hold bytes that are not UTF-8: replaced by U+FFFD"]


def test_encoding_says_how_words_are_spelled(call, tmp_path: Path) -> None:
    for encoding in ("latin-1", "utf-16", "utf-16-le", "gb18030", "cp1252", "utf-32", "utf-8-sig", "cp500"):
        path = file(tmp_path, "2 2\ncafé 1 2\nüber 3 4\n".encode(encoding))
        assert read(path, Room(encoding=encoding)).words == ["café", "über"]
    vectors = binary(["猫".encode("gbk"), b"dog"], np.ones((2, 2), np.float32))
    assert read(file(tmp_path, vectors), Room(encoding="gbk")).words == ["猫", "dog"]
    found = read(file(tmp_path, "猫 1\n犬 2\n".encode("gbk")[:-4] + b" 2\n"), Room(encoding="gbk"))
    assert (found.words, found.invalid) == (["猫", "\ufffd"], 1)
    assert "not gbk" in describe(found)[0]
    path = file(tmp_path, b"cat 1\n")
    for wrong in ("utf-99", "rot13", "hex", "a\0b"):
        with pytest.raises(UsageError, match="no text encoding"):
            read(path, Room(encoding=wrong))
    code, _, error = call("import", path, "-o", tmp_path / "m", "--encoding", "klingon")
    assert (code, error) == (2, "textkit: --encoding klingon: is no text encoding that Python knows\n")


def test_a_line_without_end_takes_bounded_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(text_format, "LONGEST", 1 << 20)
    monkeypatch.setattr("textkit.interop.foreign.LONGEST", 1 << 20)
    monkeypatch.setattr("textkit.interop.table._UNKNOWN", 1 << 20)  # rows that are reserved but never written
    long = b"x" * (40 << 20)
    for text, said in ((b"3 2\ncat 1 2\n" + long, "line 3"), (b"cat 1 2\n" + long, "line 2"), (long, "is none of")):
        path = file(tmp_path, gzip.compress(text, 1))
        tracemalloc.start()
        with pytest.raises(TextkitError, match=said):
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 << 20
