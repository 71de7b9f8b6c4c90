"""Pairs of texts for sentence encoders: with scores, with hard negatives, in the files that users have; what is refused."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest
from data_file import data_file

from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError, UsageError
from textkit.tasks.embed.evaluation import data as evaluation
from textkit.tasks.embed.pairs import PairOptions, TextPairs, pair, texts_of

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Options(PairOptions):
    objective: str = "contrast"


def corpus(*paths: Path, **given) -> TextPairs:
    found = TextPairs(paths)
    found.options = Options(**given)
    return found


def read(*paths: Path, **given) -> list[tuple[str, str, str]]:
    return list(map(pair, corpus(*paths, **given).lines()))


def refusal(*paths: Path, **given) -> str:
    with pytest.raises(TextkitError) as caught:
        corpus(*paths, **given).check()
    said = str(caught.value)
    assert "\n" not in said
    return said


# ---- contrast

PAIRS = [("go home", "walk, home", ""), ('he said "no"', "he refused", ""), ("1", "one", "")]
FILES = {
    "lines.txt": 'go home\twalk, home\nhe said "no"\the refused\n1\tone\n',
    "returns.tsv.gz": '\ufeffgo home\twalk, home\r\n\r\nhe said "no"\the refused\r\n1\tone',
    "header": 'Anchor\tid\tPositive\ngo home\t1\twalk, home\nhe said "no"\t2\the refused\n1\t3\tone\n',
    "comma.csv": 'go home,"walk, home"\n"he said ""no""",he refused\n1,one\n',
    "named": 'sentence_A,sentence_B\r\n"go home","walk, home"\r\n"he said ""no""",he refused\r\n1,one\r\n',
    "objects.jsonl.zst": "".join(json.dumps({"query": a, "n": 1, "answer": b}) + "\n" for a, b, _ in PAIRS),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same_pairs(tmp_path, name):
    path = data_file(tmp_path, FILES[name], name)
    assert read(path) == PAIRS
    corpus(path).check()


def test_several_files_may_be_of_different_kinds(tmp_path):
    assert read(*(data_file(tmp_path, text, name) for name, text in FILES.items())) == PAIRS * len(FILES)


@pytest.mark.parametrize(
    ("name", "text", "given"),
    [
        ("x", "a b\tc d\te f\ng\th\t\n", {}),
        ("x", "anchor\tpositive\tnegative\na b\tc d\te f\ng\th\t \n", {}),
        ("x.csv", "hard_negative,question,n,answer\ne f,a b,1,c d\n,g,2,h\n", {}),
        ("x", "x\ty\tz\na b\tc d\te f\ng\th\t\n", {"text1_column": "x", "text2_column": "y", "negative_column": "z"}),
        ("x", "e f\ta b\tc d\n\tg\th\n", {"text1_column": "2", "text2_column": "3", "negative_column": "1"}),
        ("x", "e f\ta b\tc d\n\tg\th\n", {"negative_column": "1"}),
        ("x.jsonl", '{"query": "a b", "positive": "c d", "neg": "e f"}\n{"positive": "h", "query": "g"}\n', {}),
        ("x.jsonl", '{"query": "a b", "answer": "c d", "neg": "e f"}\n{"query": "g", "answer": "h", "neg": null}', {}),
        (
            "x.jsonl",
            '{"q": {"text": "a b"}, "d": ["c d", "e f"]}\n{"q": {"text": "g"}, "d": ["h"]}\n',
            {"text1_column": "q.text", "text2_column": "d.0", "negative_column": "d.1"},
        ),
    ],
)
def test_hard_negatives(tmp_path, name, text, given):
    assert read(data_file(tmp_path, text, name), **given) == [("a b", "c d", "e f"), ("g", "h", "")]


def test_a_negative_that_is_spelled_as_a_number_stays_a_text(tmp_path):
    path = data_file(tmp_path, "a\tb\tc\nd\te\t4.5\nf\tg\t1984\nh\ti\tnan\nj\tk\tl\n")
    assert [texts_of(record) for record in corpus(path).lines()] == [
        ["a", "b", "c"], ["d", "e", "4.5 "], ["f", "g", "1984"], ["h", "i", "nan"], ["j", "k", "l"],
    ]  # fmt: skip


def test_pairs_with_a_blank_text_are_left_out_and_tabs_and_line_ends_become_spaces(tmp_path):
    path = data_file(tmp_path, "\n \t \na\tb\n\tc\nd\t \ne\tf\n")
    assert read(path) == [("a", "b", ""), ("e", "f", "")]
    lines = json.dumps({"text1": "a\tb\nc\r\0", "text2": "\ud800d", "negative": "e\nf"})
    assert read(data_file(tmp_path, f"{lines}\n")) == [("a b c  ", "\ufffdd", "e f")]
    assert read(data_file(tmp_path, 'text1,text2\n"a\r\nb",c\n')) == [("a  b", "c", "")]


def test_short_words_are_no_header_where_there_is_no_score(tmp_path):
    assert read(data_file(tmp_path, "a\tb\nfirst\tsecond\n")) == [("a", "b", ""), ("first", "second", "")]


# ---- similarity

SCORED = [("a b", "c d", "4.5"), ("e", "f", "0.0")]


@pytest.mark.parametrize(
    ("name", "text", "given"),
    [
        ("x", "a b\tc d\t4.50\ne\tf\t0\n", {}),
        ("x.gz", "4.5\ta b\tc d\n0\te\tf\n", {}),
        ("x", "sentence1\tsentence2\tscore\na b\tc d\t4.5\ne\tf\t0\n", {}),
        ("x.csv", "id,label,text_b,text_a\n1,4.5,c d,a b\n2,0,f,e\n", {}),
        ("sts.csv", "g\tf\t2015\t0001\t4.500\ta b\tc d\tlicence\ng\tf\t2015\t2\t0\te\tf\n", {}),
        ("x.jsonl", '{"score": 4.5, "text1": "a b", "text2": "c d"}\n{"text1": "e", "text2": "f", "score": "0"}\n', {}),
        ("x", "p\tq\tr\na b\tc d\t4.5\ne\tf\t0\n", {"text1_column": "p", "text2_column": "q", "score_column": "r"}),
        ("x", "4.5\tx\ta b\tc d\n0\tx\te\tf\n", {"text1_column": "3", "text2_column": "4", "score_column": "1"}),
        ("x", "r\tx\tp\tq\n4.5\tx\ta b\tc d\n0\tx\te\tf\n", {"text1_column": "3", "text2_column": "4", "score_column": "1"}),
        ("x", "score\tmean\ttext1\ttext2\n4.5\t3\ta b\tc d\n0\t4\te\tf\n", {"score_column": "score"}),
        ("x.jsonl", '{"p": ["a b", "c d"], "s": 4.5}\n{"p": ["e", "f"], "s": 0}\n',
         {"text1_column": "p.0", "text2_column": "p.1", "score_column": "s"}),
    ],
)  # fmt: skip
def test_pairs_with_scores(tmp_path, name, text, given):
    found = list(corpus(data_file(tmp_path, text, name), objective="similarity", **given).lines())
    assert list(map(pair, found)) == SCORED
    assert list(map(texts_of, found)) == [["a b", "c d"], ["e", "f"]]


def test_the_split_of_scored_pairs_is_test_data_too(tmp_path):
    text = "".join(f"one {n}\tother {n}\t{n % 50 / 10}\n" for n in range(300))
    whole = corpus(data_file(tmp_path, text), objective="similarity")
    counts = whole.split(3, tmp_path / "dev.txt", tmp_path / "test.txt")
    parts = [whole.with_part("train", 3), *(whole.with_paths([tmp_path / name]) for name in ("dev.txt", "test.txt"))]
    found = [list(part.lines()) for part in parts]
    assert [len(part) for part in found] == list(counts.values())
    assert sorted(sum(found, [])) == sorted(whole.lines())
    assert type(parts[1]) is Corpus
    assert parts[1].options is whole.options
    metric, read_again = evaluation.read(tmp_path / "test.txt")
    assert metric == "sts"
    assert [*zip(read_again.first, read_again.second, strict=True)] == [pair(record)[:2] for record in found[2]]
    assert read_again.scores.tolist() == [float(pair(record)[2]) for record in found[2]]


# ---- a teacher's lines


def test_with_a_teacher_the_records_are_lines(tmp_path):
    text = "".join(f"any text\t{n}, {{\n" if n % 3 else "\n" for n in range(300))
    whole = corpus(data_file(tmp_path, text), objective="teacher")
    whole.check()
    assert list(whole.lines()) == text.split("\n")[:-1]
    counts = whole.split(3, tmp_path / "dev.txt", tmp_path / "test.txt")
    assert sum(counts.values()) == 300
    assert len(list(whole.with_paths([tmp_path / "dev.txt"]).lines())) == counts["dev"]


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "text", "given", "said"),
    [
        ("x", "a b\tc d\t4.5\ne\tf\t0\n", {}, ", line 1: column 3 looks like a score, which sentence-encoder learns"),
        ("x", "text1\ttext2\tlabel\na\tb\t1\n", {}, ", line 1: 'label' looks like a score, which sentence-encoder learns"),
        ("x.jsonl", '{"text1": "a", "text2": "b", "score": 1}\n', {}, ", line 1: 'score' looks like a score"),
        ("x", "g\tf\t2015\t1\t5\ta b\tc\n", {}, ", line 1: has 7 columns and no header that names text1 and text2: say which"),
        ("x", "anchor\tfoo\na\tb\n", {}, ", line 1: 'anchor' may be a column's name or a record's: say which with text1_"),
        ("x", "query\tpositive\tanswer\na\tb\tc\n", {}, ", line 1: 'positive' or 'answer' may be the text2: say which with"),
        ("x", "plain text\n", {}, ", line 1: has no tab: a line is text1<tab>text2"),
        ("x", "a\tb\nc\n", {}, ", line 2: has no tab: a line is text1<tab>text2"),
        ("x", "a\tb\nc\td\te\tf\n", {}, ", line 2: has 4 columns, the first line has 2"),
        ("x", "\n\n", {}, ": has no pair of two texts"),
        ("x", "a\t\n\tb\n", {}, ": has no pair of two texts"),
        ("x", "text1\ttext2\n", {}, ": has no pair of two texts"),
        ("x", "a\tb\n", {"text1_column": "2", "text2_column": "2"}, ", line 1: text1_column and text2_column are the same"),
        ("x.jsonl", '{"text1": "a", "text2": "b"}\n{"text1": "a"}\n', {}, ", line 2: no field 'text2'; did you mean 'text1'?"),
        ("x.jsonl", '{"text1": "a", "text2": "b"}\n{"text1": "a", "text2": 1}\n', {}, ", line 2: field 'text2' is a number"),
        ("x", "a\tb\nc\td\n", {"objective": "similarity"}, ", line 1: has no score: a line is text1<tab>text2<tab>score"),
        ("x", "a b\tc\tx\nd\te\ty\n", {"objective": "similarity"}, ", line 1: has no score"),
        ("x", "text1\ttext2\tscore\na\tb\t5\nc\td\tx\n", {"objective": "similarity"}, ", line 3: the score is 'x': no number"),
        ("x", "text1\ttext2\tscore\na\tb\tnan\n", {"objective": "similarity"}, ", line 2: the score is 'nan': no number"),
        ("x", '{"text1": "a", "text2": "b", "score": true}\n', {"objective": "similarity"}, ", line 1: the score is True"),
        ("x", "text1\ttext2\tscore\tmean\na\tb\t5\t3\n", {"objective": "similarity"}, ": line 1: 'score' or 'mean' may be the"),
        ("x", "g\tf\t2015\t1\t5\ta b\tc\ng\t5\n", {"objective": "similarity"}, ", line 2: has 2 columns, the first line has 7"),
    ],
)  # fmt: skip
def test_errors_name_file_line_and_option(tmp_path, name, text, given, said):
    path = data_file(tmp_path, text, name)
    message = refusal(path, **given)
    assert message.startswith(f"{path}{said}")
    assert "--columns" not in message


def test_pairs_of_a_table_with_scores_are_contrasted_where_the_columns_are_given(tmp_path):
    path = data_file(tmp_path, "a b\tc d\t4.5\ne\tf\t0\n")
    assert read(path, text1_column="1", text2_column="2") == [("a b", "c d", ""), ("e", "f", "")]
    path = data_file(tmp_path, "text1\ttext2\tlabel\na\tb\t1\n")
    assert read(path, text1_column="text1", text2_column="text2") == [("a", "b", "")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"score_column": "3"}, "score_column: has an effect with objective=similarity alone"),
        ({"objective": "similarity", "negative_column": "3"}, "negative_column: has an effect with objective=contrast"),
        ({"text1_column": "0"}, "text1_column=0: columns are counted from 1"),
    ],
)
def test_options_without_an_effect_are_refused(tmp_path, given, said):
    with pytest.raises(UsageError, match=said):
        corpus(data_file(tmp_path, "a\tb\tc\n"), **given).check()


def test_a_corpus_without_options_contrasts(tmp_path):
    assert list(TextPairs([data_file(tmp_path, "a\tb\nc\td\n")]).lines()) == ["a\tb", "c\td"]


def test_records():
    assert pair("a\tb") == ("a", "b", "")
    assert pair("a\tb\tc") == ("a", "b", "c")
    assert texts_of("a\tb") == ["a", "b"]
    assert texts_of("a\tb\tc") == ["a", "b", "c"]
    assert texts_of("a\tb\t5.0") == ["a", "b"]


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    path = tmp_path / "lines"
    words = "words that make a long line " * 20
    with path.open("w") as stream:
        stream.writelines(f"{words}{n}\ttheir partner {n}\n" for n in range(8000))
    whole = corpus(path)
    tracemalloc.start()
    whole.check()
    lines = sum(len(block) for block in whole.blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == 8000  # 4.7 MB
    assert peak < 4e6


# ---- real files


def real(*path: str) -> Path:
    found = DATA.joinpath(*path)
    if not found.exists():
        pytest.skip(f"no {found}: the data sets of the workplace are not here")
    return found


@pytest.mark.parametrize(("name", "count"), [("train.csv", 5749), ("dev.csv", 1500)])
def test_the_sts_benchmark(name, count):
    path = real("sts", name)
    found = read(path, objective="similarity")
    metric, wanted = evaluation.read(path)
    assert metric == "sts"
    assert len(found) == count
    assert [(first, second) for first, second, _ in found] == list(zip(wanted.first, wanted.second, strict=True))
    assert [float(score) for _, _, score in found] == wanted.scores.tolist()
    assert "has 7 columns and no header" in refusal(path)


def test_parallel_text_is_pairs():
    found = read(real("tatoeba", "dev.en-de.tsv"))
    assert len(found) == 1749
    assert all(first and second and not third for first, second, third in found)
