"""Test data in other people's layouts: which columns are read, what is refused, and which task's models it is for."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from vector_files import glove

from textkit.errors import TextkitError
from textkit.tasks.embed.evaluation import analogies, data
from textkit.tasks.embed.evaluation.neighbours import unit
from textkit.verbs import evaluate

GLUE = (
    "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    '0\tmain-captions\tMSRvid\t2012test\t0004\tnone\tnone\tA "man plays.\tA man is playing.\t4.500\n'
    "1\tmain-captions\tMSRvid\t2012test\t0030\tnews\tpress\t#1 cat sleeps\tThe market fell\t0.200\n"
)
GLUE_PAIRS = [('A "man plays.', "A man is playing.", 4.5), ("#1 cat sleeps", "The market fell", 0.2)]


def file(folder: Path, text: str, name: str = "data") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "metric", "pairs"),
    [
        ("x.tsv", GLUE, "sts", GLUE_PAIRS),
        ("x.tsv.gz", GLUE, "sts", GLUE_PAIRS),
        ("x", "id\ta\tb\tscore\n1\tcat\tdog\t9\n2\tsea\tking\t2\n", "similarity", [("cat", "dog", 9), ("sea", "king", 2)]),
        ("x", "score,b,id,a\n9,dog,1,cat\n2,king,2,sea\n", "similarity", [("cat", "dog", 9), ("sea", "king", 2)]),
        (
            "x.csv",
            'split,sentence1,sentence2,score\ntest,"A man, they say,\n""plays"".",A man.,4\ntest,One,Two,1\n',
            "sts",
            [('A man, they say,\n"plays".', "A man.", 4), ("One", "Two", 1)],
        ),
        (
            "SICK.txt",
            "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\n1\tA b c\tA d\tNEUTRAL\t4.5\n",
            "sts",
            [("A b c", "A d", 4.5)],
        ),
        ("x.csv", "Word 1,Word 2,Human (mean)\nlove,sex,6.77\n", "similarity", [("love", "sex", 6.77)]),
        ("x", "text1\ttext2\tlabel\nnew york\tparis\t3\n", "sts", [("new york", "paris", 3)]),
        ("x.tsv", "new york\tparis\t3\n", "sts", [("new york", "paris", 3)]),
        (
            "x.jsonl",
            '{"sentence1": "A b.", "score": 4.5, "sentence2": "A c."}\n{"score": 1, "sentence2": "d", "sentence1": "e"}\n',
            "sts",
            [("A b.", "A c.", 4.5), ("e", "d", 1)],
        ),
        (
            "sts-test.csv",  # the STS benchmark's own name for a TSV file
            "main-news\theadlines\t2015\t0001\t5.000\tA b, c.\tA \"d.\tlicence\nmain-news\theadlines\t2015\t2\t0\te\tf\n",
            "sts",
            [("A b, c.", 'A "d.', 5), ("e", "f", 0)],
        ),
        ("x", "take\tremove\tV\t6.8\tSYN\ngo\tcome\tV\t2\tNONE\n", "similarity", [("take", "remove", 6.8), ("go", "come", 2)]),
        ("rw.txt", "a\tb\t5.9\t6\t7\nc\td\t1\t2\t1\n", "similarity", [("a", "b", 5.9), ("c", "d", 1)]),
        ("x", "10\u00a0000 new\u2009york 5\n", "similarity", [("10\u00a0000", "new\u2009york", 5)]),
        ("x", "old new A 1.58\nsmart bright A 9.2\n", "similarity", [("old", "new", 1.58), ("smart", "bright", 9.2)]),
        (
            "set1.tab",  # of WordSim-353, whose header numbers the judges
            "Word 1\tWord 2\tHuman (mean)\t1\t2\t3\nlove\tsex\t6.77\t9\t6\t8\n",
            "similarity",
            [("love", "sex", 6.77)],
        ),
        ("set1.csv", "Word 1,Word 2,Human (mean),1,2\nlove,sex,6.77,9,6\n", "similarity", [("love", "sex", 6.77)]),
        (
            "SimLex-999.txt",
            "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\tAssoc(USF)\tSimAssoc333\tSD(SimLex)\n"
            "old\tnew\tA\t1.58\t2.72\t2.81\t2\t7.25\t1\t0.41\n",
            "similarity",
            [("old", "new", 1.58)],
        ),
        ("x", "x1\tx2\tsimilarity (0-10)\ncat\tdog\t9\n", "similarity", [("cat", "dog", 9)]),
        ("x", "One word Another Human (mean)\ncat dog 9\n", "similarity", [("cat", "dog", 9)]),
        ("x", "meanRating\tone\tother\n4\ta b\tc d\n", "sts", [("a b", "c d", 4)]),
        ("x", "sentence1\tsentence2\tlabel\tscore\na b\tc d\tNEUTRAL\t4\n", "sts", [("a b", "c d", 4)]),
        ("x", "cat dog 5.\nsea king 6.\na b 6.5\n", "similarity", [("cat", "dog", 5), ("sea", "king", 6), ("a", "b", 6.5)]),
        ("x", "word1 word2 score\ncat dog 5.\nsea king 6.\n", "similarity", [("cat", "dog", 5), ("sea", "king", 6)]),
    ],
)  # fmt: skip
def test_pairs_are_read_by_their_columns_names_or_a_layout_that_is_known(
    tmp_path: Path, name: str, text: str, metric: str, pairs: list[tuple[str, str, float]]
) -> None:
    found, read = data.read(file(tmp_path, text, name))
    assert found == metric
    assert list(zip(read.first, read.second, read.scores.tolist(), strict=True)) == pairs


@pytest.mark.parametrize(
    "text",
    [
        GLUE.split("\n", 1)[1],  # without its header: columns 5 to 7 are an index and the sentences' sources
        "1\tcat\tdog\t9\n2\tking\tsea\t1\n",  # a number in front is no word
        "1 cat dog 9\n2 king sea 1\n",
        "cat\t9\tdog\nking\t1\tsea\n",
        "id\tsentence\tlabel\n1\tA b c\t0\n2\tD e\t1\n",
        "x1\tx2\tfoo\tbar\na b\tc d\t5\t1\n",
        "cat\tdog\tsynonym\t9\nking\tsea\tnone\t1\n",
        "g\tf\t2017\t1\t50\ta b\tc d\ng\tf\t2017\t1\t70\ta b\tc d\n",  # 50 and 70 are no scores of the STS benchmark
        "id\ten\tde\n1\tGo home now.\tGeh heim.\n2\tHe left.\tEr ging.\n",  # the header says that it is not a score
        "word1\tword2\tyear\ncat\tdog\t1999\nsea\tking\t2001\n",
        "word1\tword2\tn_ratings\ncat\tdog\t9\nsea\tking\t2\n",
        "word1 word2 score_std\ncat dog 9\nsea king 2\n",
        "sentence1\tsentence2\tyear\na b\tc d\t2012\n",
    ],
)
def test_an_unknown_layout_is_refused_and_never_guessed(tmp_path: Path, text: str) -> None:
    path = file(tmp_path, text)
    for metric in (None, "similarity", "sts") if "\t" in text else (None, "similarity"):
        with pytest.raises(TextkitError) as caught:
            data.read(path, metric)
        said = str(caught.value)
        assert said.startswith(f"{path}: line 1: ")
        assert "unknown layout" in said
        assert "--columns A,B,SCORE" in said
        assert "sentence1, sentence2, score" in said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "x",
            "word1\tword2\tsimilarity\trelatedness\ncat\tdog\t9\t1\n",
            "'similarity' or 'relatedness' may be the score",
        ),
        ("x.csv", "sentence1,sentence2,gold_score,score\na b,c d,1,2\n", "'gold_score' or 'score' may be the score"),
        ("x", "word1\tword2\tscore\tscore\ncat\tdog\t9\t1\n", "'score' or 'score' may be the score"),
        (
            "x.jsonl",
            '{"sentence1": "a", "sentence2": "b", "text1": "c", "text2": "d", "score": 1}\n',
            "'sentence1' and 'sentence2', or 'text1' and 'text2', may be the texts",
        ),
    ],
)
def test_a_header_that_may_mean_two_things_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = file(tmp_path, text, name)
    for metric in (None, "similarity", "sts"):
        with pytest.raises(TextkitError) as caught:
            data.read(path, metric)
        assert str(caught.value).startswith(f"{path}: line 1: {said}: say which columns ")
        assert "--columns A,B,SCORE" in str(caught.value)


def test_columns_say_which_they_are(tmp_path: Path) -> None:
    path = file(tmp_path, "1\tcat\tdog\t9\n2\tking\tsea\t1\n")
    read = data.read(path, columns=("2", "3", "4"))[1]
    assert (read.first, read.second, read.scores.tolist()) == (["cat", "king"], ["dog", "sea"], [9, 1])
    path = file(tmp_path, "id;One;Other;How much\n1;cat;dog;9\n")
    assert data.read(path, columns=("one", "Other", "How much"), delimiter=";")[1].scores.tolist() == [9]
    assert data.read(path, columns=("2", "3", "4"), delimiter=";")[1].first == ["cat"]
    with pytest.raises(TextkitError, match="no column 'othr'; did you mean 'Other'"):
        data.read(path, columns=("one", "othr", "How much"), delimiter=";")
    with pytest.raises(TextkitError, match="line 2: not a score and two sentences"):
        data.read(file(tmp_path, "sentence1\tsentence2\tscore\na b\tc\tx\n"))
    with pytest.raises(TextkitError, match="line 1: not two words and a score"):
        data.read(file(tmp_path, "cat dog 9\n"), columns=("1", "2", "7"))


def test_a_quote_that_is_never_closed_names_its_line(tmp_path: Path) -> None:
    path = file(tmp_path, 'sentence1,sentence2,score\na,b,1\n"c,d,2\ne,f,3\n', "x.csv")
    with pytest.raises(TextkitError, match="x.csv:3: malformed CSV: the quote of this record is never closed"):
        data.read(path)


# Analogies as gensim answers them. Unit vectors on a circle: the answer to a, b, c is the word nearest to b - a + c.

CIRCLE = ["Athens", "Greece", "Oslo", "Norway", "norway", "NORWAY", "oslo"]


def evaluated(questions: str, vectors: list[list[float]], restrict: int = 300_000) -> tuple[int, int]:
    upper = [word.upper() for word in CIRCLE]

    def find(word: str) -> int:
        return upper[:restrict].index(word.upper()) if word.upper() in upper[:restrict] else -1

    sections = analogies.parse("FILE", list(enumerate(questions.splitlines(), 1)))
    result = analogies.evaluate(sections, unit(vectors), find, restrict, folded=upper)
    return result.detail["right"], result.used


def test_case_is_folded_after_the_vocabulary_is_restricted_as_gensim_does() -> None:
    # Counted by hand, and by gensim 4.4.0's evaluate_word_analogies.
    vectors = [
        [1, 0, 0, 0.1],
        [0.71, 0.71, 0, 0.07],
        [0, 0, 1, 0.1],
        [-0.1, 0.7, 1, 0],
        [-0.3, 0.7, 1, 0],
        [0, 0, 0, 1],
        [0, 0.1, 1, 0.1],
    ]
    for question in ("Athens Greece Oslo Norway", "athens greece oslo norway", "ATHENS GREECE OSLO NORWAY"):
        assert evaluated(question, vectors) == (1, 1)
    # A row of the same word in another case is no answer: oslo is nearest, and Norway comes after it.
    assert evaluated("Athens Greece Oslo Norway", [*vectors[:6], [-0.3, 0.72, 1, 0.03]]) == (1, 1)
    # The second Norway is nearest: though in another case, it is the same answer.
    assert evaluated("Athens Greece Oslo Norway", [*vectors[:3], vectors[5], vectors[4], vectors[3], vectors[6]]) == (
        1,
        1,
    )
    assert evaluated("Athens Greece Oslo Norway", vectors, restrict=4) == (1, 1)
    with pytest.raises(TextkitError, match="none of its 1 analogies"):
        evaluated("Athens Greece Oslo Norway", vectors, restrict=3)


def test_evaluate_folds_case_and_restricts(call, tmp_path: Path) -> None:
    words = {
        "Athens": [0.995, 0, 0, 0.0995], "Greece": [0.7, 0.7, 0, 0.07], "Oslo": [0, 0, 0.995, 0.0995],
        "norway": [-0.29, 0.7, 0.995, 0.07], "Norway": [-0.07, 0.5, 0.7, -0.09], "tree": [0, -0.3, -0.3, 0.9],
    }  # fmt: skip
    (tmp_path / "v").write_bytes(glove(words))
    assert call("import", tmp_path / "v", "-o", tmp_path / "m")[0] == 0
    for question in (": c\nAthens Greece Oslo Norway\n", ": c\nathens greece oslo norway\n"):
        path = file(tmp_path, question)
        assert call("evaluate", "-m", tmp_path / "m", path)[1] == f"analogies\t1.0000\t1\t1\t0\t{path}\n"
        assert call("evaluate", "-m", tmp_path / "m", "--restrict-vocab", 4, path)[1].startswith(
            "analogies\t1.0000\t1\t1\t0"
        )
        assert call("evaluate", "-m", tmp_path / "m", "--restrict-vocab", 3, path)[0] == 1


# Which task's models the data is for.


@pytest.mark.parametrize(
    ("texts", "task"),
    [
        (["cat dog 9\n"], "embed"),
        (["Oslo\ttree\tfour\ntree\tOslo\tfive\n"], "embed"),  # which refuses it: a table is no running text
        (['{"a": 1}\n'], "embed"),
        (["sentence1\tsentence2\tscore\na b\tc\tx\n"], "embed"),
        ([GLUE], "embed"),
        (["Athens Greece Oslo Norway\nBern Switzerland Rome Italy\n"], "embed"),
        (["A man goes home.\tEin Mann geht heim.\nYes.\tJa.\n"], "translate"),
        (["A man goes home.\nI am going home.\n", "Ein Mann geht heim.\nIch gehe heim.\n"], "translate"),
        (["A man goes home.\nI am going home.\nAll is well.\n"], "language"),
        (["On 5 May 2012 it rained.\nNobody came, and 7 left, as 3 said.\n"], "language"),
        (["It was good. He left.\nThey came here at 5.\n"], "language"),  # all lines have the same number of words
        (["Come at 5.\nLeave by 6.\n"], "language"),
        (['"We left at 5."\n"They came at 6."\n'], "language"),
        (["In 1999 he was born\nHe lived to be 90\n"], "language"),
        (["There were only about 3 people left\n"], "language"),
        (["Go.\tGeh.\tCC-BY 2.0\nRun home!\tLauf heim!\tCC-BY 2.0\n"], "translate"),
        (["Go.\tGeh.\tCC-BY 2.0\nRun home!\tLauf heim!\n"], "translate"),
        (["Go\tGeh\tCC-BY France\nRun\tLauf\tCC-BY France\n"], "translate"),  # four words, but no analogy
    ],
)
def test_data_decides_the_task(tmp_path: Path, texts: list[str], task: str) -> None:
    paths = [str(file(tmp_path, text, f"x{at}")) for at, text in enumerate(texts)]
    assert evaluate._claimant(paths) == task


def test_data_chooses_the_default_model_or_names_the_models_that_would_do(call, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "v").write_bytes(b"cat 1 0\ndog 1 1\nsea 0 1\n")
    assert call("import", tmp_path / "v", "-o", tmp_path / "m")[0] == 0
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", str(tmp_path / "m"))
    path = file(tmp_path, "cat dog 9\ncat sea 1\n")
    assert call("evaluate", path)[:2] == (0, f"similarity\t1.0000\t2\t2\t0\t{path}\n")
    for task in ("LANGUAGE", "TRANSLATE"):
        monkeypatch.setenv(f"TEXTKIT_MODEL_{task}", str(tmp_path / f"none-{task}"))
    path = file(tmp_path, "A man goes home.\nAll of us are well.\n")
    assert "none-LANGUAGE: no such model folder" in call("evaluate", path)[2]
    path = file(tmp_path, "A man goes home.\tEin Mann geht heim.\n")
    assert "none-TRANSLATE: no such model folder" in call("evaluate", path)[2]
    code, _, error = call("evaluate", "-m", tmp_path / "m", path)
    assert (code, error.count("\n")) == (1, 1)
    assert "models for 'translate' would do: " in error
    assert "en-de" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--columns", "a,b"], "--columns a,b: three are needed"),
        (["--columns", "a,,b"], "three are needed"),
        (["--delimiter", ""], "--delimiter: is empty"),
        (["-m", "en-lm", "--columns", "1,2,3"], "has no effect"),
        (["--metric", "sts", "--restrict-vocab", "5"], "--restrict-vocab: has no effect on sts"),
        (["--metric", "similarity", "--restrict-vocab", "300000"], "--restrict-vocab: has no effect on similarity"),
        (["--metric", "similarity", "--pooling", "max"], "--pooling: has no effect on similarity"),
        (["--metric", "analogies", "--known-only"], "--known-only: has no effect on analogies"),
        (["--metric", "analogies", "--columns", "1,2,3"], "--columns: has no effect on analogies"),
    ],
)
def test_columns_that_cannot_work_are_refused(call, tmp_path: Path, options: list[str], said: str) -> None:
    code, out, error = call("evaluate", *options, file(tmp_path, "cat dog 9\n"))
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error
