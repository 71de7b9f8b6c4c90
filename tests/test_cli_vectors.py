"""The verbs for word vectors, end to end: import, convert, nearest, analogy, evaluate."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from vector_files import FASTTEXT, PEOPLE, VECTORS, WORDS, glove, golden

from textkit.cli import run
from textkit.cli.options import Messages
from textkit.interop.foreign import read
from textkit.streams.escaping import unescaped
from textkit.tasks.embed.serving.embedder import Embedder

TEXTKIT = str(Path(sys.executable).with_name("textkit"))


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with the models `people` and `fasttext` and the files that they were made from."""
    folder = tmp_path_factory.mktemp("models")
    for name, content in (("people", glove(PEOPLE)), ("fasttext", golden(FASTTEXT))):
        (folder / f"{name}.file").write_bytes(content)
        assert run(["import", str(folder / f"{name}.file"), "-o", str(folder / name)], Messages(quiet=True)) == 0
    return folder


# import


def test_imported_vectors_are_served(models):
    assert Embedder(models / "people")(["king", "king apple", "", "King"]).tolist() == [
        [1, 1, 0, 0, 0], [0.5, 0.5, 0, 0.5, 0], [0] * 5, [0] * 5,
    ]  # fmt: skip
    manifest = json.loads((models / "people" / "manifest.json").read_text())
    assert manifest["text"]["normalizer"] == {"lowercase": False, "unicode": "none", "punctuation": "keep"}
    assert manifest["data"] == [{"file": "people.file", "format": "GloVe text"}]
    assert manifest["made"]["command"] == f"textkit import {models / 'people.file'} -o {models / 'people'}"


def test_fasttext_vectors_are_fasttexts_own(models):
    embedder = Embedder(models / "fasttext")
    found = embedder(list(VECTORS))
    np.testing.assert_allclose(found, list(VECTORS.values()), atol=1e-6, rtol=0)
    # A line's vector is the plain mean; fastText's print-sentence-vectors takes the mean of unit vectors instead.
    line = embedder(["cat cats 日本"])[0]
    np.testing.assert_allclose(line, np.mean([VECTORS[word] for word in ("cat", "cats", "日本")], axis=0), atol=1e-6)


def test_sif_weights_come_from_counts_or_zipf(models):
    found = Embedder(models / "fasttext", pooling="sif")(["the cat"])[0]
    table = np.array([VECTORS["the"], VECTORS["cat"]])
    weight = 1e-3 / (1e-3 + np.array([9, 3]) / 39)  # 39 words in the corpus
    np.testing.assert_allclose(found, weight @ table / weight.sum(), atol=1e-6)
    found = Embedder(models / "people", pooling="sif")(["king apple"])[0]
    ranks = 1 / np.arange(1, 7)
    weight = 1e-3 / (1e-3 + (ranks / ranks.sum())[[0, 4]])
    expected = weight @ np.array([PEOPLE["king"], PEOPLE["apple"]]) / weight.sum()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sample_gives_sif_its_component(call, tmp_path, models):
    (tmp_path / "sample").write_text("king queen\n\nman woman\nking apple\n")
    code, _, error = call("import", models / "people.file", "-o", tmp_path / "m", "--text", tmp_path / "sample")
    assert (code, error) == (0, "")
    plain = Embedder(models / "people", pooling="sif")(["king", "queen man"])
    found = Embedder(tmp_path / "m", pooling="sif")(["king", "queen man"])
    assert np.abs(found - plain).max() > 0.1
    # What is left lies in a hyperplane: the component is removed from both.
    removed = plain - found
    assert np.linalg.matrix_rank(removed, tol=1e-5) == 1
    np.testing.assert_allclose(np.einsum("ld,ld->l", found, removed), 0, atol=1e-6)


def test_import_says_what_was_not_taken_and_does_not_overwrite(call, tmp_path):
    source = tmp_path / "v.gz"
    source.write_bytes(gzip.compress(b"cat 1 2\ncat 3 4\n\xff\xfe 5 6\n"))
    code, out, error = call("import", source, "-o", tmp_path / "m", "-v")
    assert (code, out) == (0, "")
    assert error.splitlines() == [
        "textkit: warning: 1 words occur again further down: the first vector of each is kept",
        "textkit: warning: 1 words hold bytes that are not UTF-8: replaced by U+FFFD",
        f"textkit: read 2 words of 2 numbers (GloVe text), wrote {tmp_path / 'm'}",
    ]
    code, _, error = call("import", source, "-o", tmp_path / "m")
    assert (code, error.count("\n")) == (1, 1)
    assert "--overwrite" in error
    assert call("import", source, "-o", tmp_path / "m", "--overwrite", "-q", "--precision", "fp16")[::2] == (0, "")
    assert Embedder(tmp_path / "m").bundle.manifest.precision == "fp16"


def test_import_of_what_is_none_writes_nothing(call, tmp_path):
    (tmp_path / "v").write_text("2 3\ncat 1 2 3\ndog 1 2\n")
    code, out, error = call("import", tmp_path / "v", "-o", tmp_path / "m")
    assert (code, out) == (1, "")
    assert error == f"textkit: {tmp_path / 'v'}: line 3: 3 columns, a word and 3 numbers are expected\n"
    assert not (tmp_path / "m").exists()
    code, _, error = call("import", tmp_path / "nowhere", "-o", tmp_path / "m")
    assert (code, error) == (1, f"textkit: {tmp_path / 'nowhere'}: no such file\n")
    assert call("import", tmp_path / "v")[0] == call("import", tmp_path / "v", "-o", "m", "--max-vocab", 0)[0] == 2


@pytest.mark.slow
def test_import_of_a_line_of_too_many_numbers_is_refused_at_once(call, tmp_path):
    wide = tmp_path / "wide"
    wide.write_text("a" + " 1" * 1_000_000)
    code, _, error = call("import", wide, "-o", tmp_path / "model")
    assert (code, "is none of word2vec text" in error) == (1, True)


def test_import_reads_stdin(call, tmp_path):
    code, _, error = call("import", "-", "-o", tmp_path / "m", "--max-vocab", 4, stdin=glove(PEOPLE))
    assert (code, error) == (0, "")
    assert Embedder(tmp_path / "m").words() == ["king", "man", "queen", "woman"]


# convert


@pytest.mark.parametrize("ending", ["vec", "bin"])
def test_convert_gives_back_what_was_imported(call, tmp_path, models, ending):
    for model, words in (("fasttext", WORDS), ("people", list(PEOPLE))):
        original = read(models / f"{model}.file")
        for source in (models / model, models / f"{model}.file"):  # a model, and another tool's file
            out = tmp_path / f"out.{ending}"
            assert call("convert", source, out) == (0, "", "")
            found = read(out)
            assert found.format == ("word2vec text" if ending == "vec" else "word2vec binary")
            assert found.words == words
            np.testing.assert_allclose(found.table, original.table[: len(words)], atol=1e-7)


def test_convert_to_stdout(call, tmp_path, models):
    code, out, error = call("convert", models / "people", "-")
    assert (code, error) == (0, "")
    assert out.splitlines()[:3] == ["6 5", "king 1 1 0 0 0", "man 0 1 0 0 0"]
    assert call("convert", models / "people", "/dev/stdout")[:2] == (0, out)
    assert call("convert", models / "people", "-", "--format", "word2vec-binary")[1].startswith("6 5\nking \0\0\udc80?")


def test_convert_leaves_out_what_the_format_cannot_hold(call, tmp_path):
    code, out, error = call("convert", "-", "-", stdin=b"a 1.5\n. . 2\nat home 3\nb 4\n")
    assert (code, out) == (0, "2 1\na 1.5\nb 4\n")
    assert error == (
        "textkit: warning: 2 words left out: they are empty or hold white space, and the format cannot say so\n"
    )


def test_convert_that_fails_leaves_nothing(call, tmp_path, models):
    code, _, error = call("convert", models / "people", tmp_path / "out.npy")
    assert (code, error.split(":")[2]) == (2, " ends in none of .bin, .vec, .txt")
    code, _, error = call("convert", "no-such-model", tmp_path / "out.bin")
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("textkit: no-such-model: unknown model")
    code, _, error = call("convert", models / "people", "/dev/full", "--format", "word2vec")
    assert (code, error) == (1, "textkit: /dev/full: cannot be written: No space left on device\n")
    assert os.listdir(tmp_path) == []


# nearest


def test_nearest(call, models):
    code, out, error = call("nearest", "-m", models / "people", "queen", "king", "-k", 3)
    assert (code, error) == (0, "")
    assert out == (
        "queen\twoman\t0.707107\nqueen\tking\t0.500000\nqueen\tgirl\t0.500000\n"
        "king\tman\t0.707107\nking\tqueen\t0.500000\nking\twoman\t0.000000\n"
    )


def test_nearest_to_an_unseen_word_is_fasttexts(call, models):
    # What fastText's get_nearest_neighbors("cats", 4) gives.
    code, out, _ = call("nearest", "-m", models / "fasttext", "cats", "-k", 4, "--format", "jsonl")
    assert code == 0
    found = json.loads(out)
    assert found["word"] == "cats"
    assert [near["word"] for near in found["neighbours"]] == ["on", "</s>", "cat", "ate"]
    assert [near["cosine"] for near in found["neighbours"]] == pytest.approx(
        [0.9948396682739258, 0.9855861067771912, 0.9550151824951172, 0.9353698492050171], abs=2e-6
    )


def test_nearest_reads_lines_and_keeps_them_aligned(call, models):
    asked = "king\n\nzebra\nman woman\nKing\n"
    code, out, error = call("nearest", "-m", models / "people", "-k", 1, "--on-error", "skip", stdin=asked)
    assert code == 0
    # man + woman: king and queen are equally near, and the words themselves are no answers.
    assert out == "king\tman\t0.707107\n\t\t\nzebra\t\t\nman woman\tking\t0.500000\nKing\t\t\n"
    assert error == "textkit: warning: 2 questions could not be answered; each left a record without answers\n"
    code, out, _ = call(
        "nearest", "-m", models / "people", "-k", 1, "--format", "jsonl", "--on-error", "skip", stdin=asked
    )
    assert [json.loads(line)["neighbours"] for line in out.splitlines()][1:3] == [[], None]
    code, out, error = call("nearest", "-m", models / "people", "-k", 1, stdin="king\nKing\nman\n")
    assert (code, out) == (1, "king\tman\t0.707107\n")
    assert error == "textkit: line 2: 'King' is not in the vocabulary of people; 'king' is\n"
    code, _, error = call("nearest", "-m", models / "people", "zebra")
    assert (code, error) == (1, "textkit: 'zebra' is not in the vocabulary of people\n")


def test_nearest_finds_words_with_spaces_and_long_input(call, tmp_path):
    call("import", "-", "-o", tmp_path / "m", stdin=b"new york 1 0\nnew 0 1\nyork 1 1\nb\xc3\xa4r 0 1\n")
    code, out, _ = call("nearest", "-m", tmp_path / "m", "-k", 1, "new york")
    assert (code, out) == (0, "new york\tyork\t0.707107\n")
    code, out, _ = call("nearest", "-m", tmp_path / "m", "-k", 1, stdin="bär\r\n" * 1000)
    assert (code, out) == (0, "bär\tnew\t1.000000\n" * 1000)
    code, out, error = call("nearest", "-m", tmp_path / "m", "--on-error", "skip", stdin=b"\xff\nnew")
    assert (code, out.splitlines()[0]) == (0, "\ufffd\t\t")
    assert "stdin: 1 line held bytes that are no UTF-8" in error


def test_a_record_says_which_word_it_was(call, tmp_path):
    words = ["a\tb", "a\\tb", "c\rd", "e\\f"]
    vectors = "".join(f"{word} {at} 1\n" for at, word in enumerate(words))
    assert call("import", "-", "-o", tmp_path / "m", stdin=vectors)[0] == 0
    code, out, _ = call("nearest", "-m", tmp_path / "m", "-k", 3, "a\tb")
    cells = [line.split("\t")[:2] for line in out.split("\n")[:-1]]
    assert (code, {cell[0] for cell in cells}) == (0, {"a\\tb"})
    assert {cell[1] for cell in cells} == {"a\\\\tb", "c\\rd", "e\\f"}
    assert {unescaped(cell, tabs=True) for row in cells for cell in row} == set(words)


def test_a_person_typing_gets_each_answer_at_once(models):
    command = [TEXTKIT, "nearest", "-m", str(models / "people"), "-k", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for word, answer in ((b"king", b"king\tman\t0.707107\n"), (b"queen", b"queen\twoman\t0.707107\n")):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == answer  # the pipe is still open
        process.stdin.close()
        assert process.wait() == 0


# analogy


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogy(call, models, method):
    code, out, error = call(
        "analogy", "-m", models / "people", "--method", method, "man", "king", "woman", "king", "man", "queen"
    )
    assert (code, error) == (0, "")
    assert [line.split("\t")[:4] for line in out.splitlines()] == [
        ["man", "king", "woman", "queen"], ["king", "man", "queen", "woman"],
    ]  # fmt: skip


def test_analogy_scores_by_hand(call, models):
    # king - man + woman of unit vectors: (1/sqrt2, 1/sqrt2 - 1, 1); with queen (1, 0, 1)/sqrt2.
    target = np.array([0.5**0.5, 0.5**0.5 - 1, 1])
    expected = target @ [0.5**0.5, 0, 0.5**0.5] / np.linalg.norm(target)
    out = call("analogy", "-m", models / "people", "--format", "jsonl", "man", "king", "woman")[1]
    assert json.loads(out) == {
        "a": "man", "b": "king", "c": "woman", "answers": [{"word": "queen", "score": round(float(expected), 6)}],
    }  # fmt: skip


def test_analogy_reads_lines(call, models):
    code, out, error = call(
        "analogy", "-m", models / "people", "--on-error", "skip", stdin="man king woman\n\nman king\nman\tking\tzebra\n"
    )
    assert code == 0
    assert out.splitlines()[0].startswith("man\tking\twoman\tqueen\t0.")
    assert out.splitlines()[1:] == ["\t\t\t\t", "man\tking\t\t\t", "man\tking\tzebra\t\t"]
    assert "2 questions" in error
    code, out, error = call("analogy", "-m", models / "people", stdin="man king\n")
    assert (code, out, error) == (1, "", "textkit: line 1: 2 words where an analogy has three\n")
    code, _, error = call("analogy", "-m", models / "people", "man", "king")
    assert (code, error) == (2, "textkit: 2 words: an analogy takes three, A B C\n")


# evaluate


def test_evaluate(call, tmp_path, models):
    pairs, questions, sentences = tmp_path / "pairs.tsv", tmp_path / "questions.txt", tmp_path / "sts.tsv"
    pairs.write_text("# word pairs\nKing\tqueen\t6\nking\tman\t8\nking\tapple\t1\nking\tzebra\t9\n")
    questions.write_text(": one\nMan king woman queen\nman king zebra queen\n: two\nwoman queen man king\n")
    sentences.write_text("5\tking queen\tking queen\n1\tking\tapple\n3\tking\tking queen\n")
    code, out, error = call("evaluate", "-m", models / "people", pairs, questions, sentences)
    assert (code, error) == (0, "")
    assert out == (
        f"similarity\t1.0000\t3\t4\t1\t{pairs}\n"
        f"analogies\t1.0000\t2\t3\t1\t{questions}\n"
        f"analogies/one\t1.0000\t1\t2\t1\t{questions}\n"
        f"analogies/two\t1.0000\t1\t1\t0\t{questions}\n"
        f"sts\t1.0000\t3\t3\t0\t{sentences}\n"
    )
    code, out, _ = call(
        "evaluate", "-m", models / "people", pairs, questions, "--format", "jsonl", "--restrict-vocab", 3
    )
    assert code == 1  # woman is the fourth word
    code, out, _ = call("evaluate", "-m", models / "people", pairs, questions, "--format", "jsonl")
    first, second = map(json.loads, out.splitlines())
    assert {key: first[key] for key in ("data", "metric", "value", "used", "total", "out_of_vocabulary")} == {
        "data": str(pairs), "metric": "similarity", "value": 1, "used": 3, "total": 4, "out_of_vocabulary": 1,
    }  # fmt: skip
    assert [part["metric"] for part in second["parts"]] == ["analogies/one", "analogies/two"]


def test_evaluate_gives_subwords_their_say(call, tmp_path, models):
    pairs = tmp_path / "pairs"
    pairs.write_text("cat cats 9\ncat dog 5\nthe fish 1\nnaïve naïves 8\n")
    code, out, _ = call("evaluate", "-m", models / "fasttext", pairs)
    assert (code, out.split("\t")[2:5]) == (0, ["4", "4", "2"])
    code, out, _ = call("evaluate", "-m", models / "fasttext", "--known-only", pairs)
    assert (code, out.split("\t")[2:5]) == (0, ["2", "4", "2"])


def test_evaluate_of_bad_data(call, tmp_path, models):
    bad = tmp_path / "bad"
    bad.write_text("king queen 5\nking man\n")
    code, out, error = call("evaluate", "-m", models / "people", bad)
    assert (code, out, error) == (1, "", f"textkit: {bad}: line 2: not two words and a score\n")
    bad.write_text("zebra lion 5\nzebra tiger 6\n")
    code, _, error = call("evaluate", "-m", models / "people", bad)
    assert code == 1
    assert error == (f"textkit: {bad}: 0 of 2 pairs have both words, from which no correlation can be computed\n")
    assert call("evaluate", "-m", models / "people", tmp_path / "nowhere")[0] == 1
    bad.write_text("a," + "b" * 200_000 + "\n")  # more than the csv module takes in a field
    code, _, error = call("evaluate", "-m", models / "people", bad)
    assert (code, error.count("\n"), "is no analogy" in error) == (1, 1, True)
    code, _, error = call("evaluate", "-m", models / "people", bad, "--metric", "bleu")
    assert (code, error.count("\n")) == (2, 1)


def test_evaluate_keeps_its_columns_whatever_names_hold(call, tmp_path, models):
    data = tmp_path / "a\tb"
    data.write_text(": c\td\nman king woman queen\n: e\nman king woman queen\n")
    code, out, _ = call("evaluate", "-m", models / "people", data)
    assert (code, [line.split("\t")[0] for line in out.splitlines()]) == (
        0,
        ["analogies", "analogies/c\\td", "analogies/e"],
    )
    assert {line.split("\t")[5] for line in out.splitlines()} == {str(data).replace("\t", "\\t")}


def test_a_model_with_a_tokenizer_has_neighbours_too(call, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    from textkit.tasks.embed.exporting.export import export_embedding_table
    from textkit.text.tokenizer import Pretokenized

    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate([*PEOPLE, "[UNK]"])}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    table = np.array([*PEOPLE.values(), [0, 0, 0, 0.5, 1]], np.float32)
    export_embedding_table(tmp_path / "m", rule=Pretokenized(tokenizer.to_str().encode()), table=table)
    code, out, error = call("nearest", "-m", tmp_path / "m", "-k", 1, "queen", "queen girl", "zebra")
    assert (code, error) == (0, "")
    # `zebra` is [UNK] to this tokenizer, whose own row is nearest to it.
    assert out == "queen\twoman\t0.707107\nqueen girl\twoman\t0.816497\nzebra\t[UNK]\t1.000000\n"
