"""Labelled lines: the files that users have, what is refused, the records of the corpus, and which test data they are."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from data_file import data_file

from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.evaluation.measuring import LIKELY, NOT, SURE
from textkit.tasks.classify.cells import labels_of
from textkit.tasks.classify.corpus import (
    HeadedCorpus,
    HeadOptions,
    Labelled,
    LabelledCorpus,
    LabelOptions,
    claims,
    head_of,
    label_sets_of,
    labelled,
    labelled_lines,
    texts,
    written,
)
from textkit.tasks.classify.label_sets import listed
from textkit.tasks.embed.evaluation import data as embed_data
from textkit.tasks.translate import evaluation as translate_evaluation

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def corpus(*paths: Path, **given) -> LabelledCorpus:
    found = LabelledCorpus(paths)
    found.options = LabelOptions(**given)
    return found


def read(*paths: Path, **given) -> list[Labelled]:
    return [line for block in labelled_lines(paths, LabelOptions(**given)) for line in block]


def pairs(*paths: Path, **given) -> list[tuple[str, str]]:
    """(labels with a bar between them, text)"""
    return [("|".join(line.labels), line.text) for line in read(*paths, **given)]


def refusal(*paths: Path, **given) -> str:
    with pytest.raises(TextkitError) as caught:
        read(*paths, **given)
    said = str(caught.value)
    assert "\n" not in said
    return said


# ---- kinds of files

WANTED = [("a", "go home, now"), ("b c", 'he said "no"'), ("a", "ja")]
FILES = {
    "lines.txt": 'a\tgo home, now\nb c\the said "no"\na\tja\n',
    "returns.txt": 'a\tgo home, now\r\nb c\the said "no"\r\na\tja\r\n',
    "no_end.txt": '\ufeffa\tgo home, now\n\n \nb c\the said "no"\na\tja',
    "header.tsv": 'text\tLabel\ngo home, now\ta\nhe said "no"\tb c\nja\ta\n',
    "packed.tsv.gz": 'id\tReview\tSENTIMENT\n1\tgo home, now\ta\n2\the said "no"\tb c\n3\tja\ta\n',
    "packed.csv.zst": 'category,text\na,"go home, now"\nb c,"he said ""no"""\na,ja\n',
    "quoted": '"intent","utterance","n"\r\n"a","go home, now",1\r\n"b c","he said ""no""",2\r\na,ja,3\r\n',
    "objects": "".join(json.dumps({"n": 1, "body": text, "lang": label}) + "\n\n" for label, text in WANTED),
    "objects.jsonl.gz": "".join(json.dumps({"topic": label, "title": text}) + "\n" for label, text in WANTED),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same_lines(tmp_path, name):
    path = data_file(tmp_path, FILES[name], name)
    assert pairs(path) == WANTED
    assert list(map(labelled, corpus(path).lines())) == read(path)
    corpus(path).check()


def test_several_files_may_be_of_different_kinds(tmp_path):
    paths = [data_file(tmp_path, text, name) for name, text in FILES.items()]
    assert pairs(*paths) == WANTED * len(FILES)
    with open(paths[0]) as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        assert pairs(Path("-"), paths[1]) == WANTED * 2


def test_blank_lines_and_lines_whose_text_is_blank_are_left_out_and_counted_nowhere(tmp_path):
    path = data_file(tmp_path, "\n \t \n\t\na\tx\n\nb\t\nb\t \u2003\nc\ty\n")
    assert pairs(path) == [("a", "x"), ("c", "y")]
    assert pairs(data_file(tmp_path, "\n\nlabel,text\n\n , \na,x\nb,\n", "x.csv")) == [("a", "x")]
    assert pairs(data_file(tmp_path, '\n{"label": null, "text": " "}\n{"label": 1, "text": "x"}\n')) == [("1", "x")]
    assert pairs(data_file(tmp_path, "__label__a x\n__label__b\n", "x.ft")) == [("a", "x")]


MARKED = [
    ("__label__a go home", "a", "go home"),
    ("__label__a __label__b go", "a|b", "go"),
    ("go __label__a home\t__label__b", "a|b", "go home"),  # anywhere
    ("__label__a\tgo  home ", "a", "go  home"),
    ("__label__a __label__b __label__a x", "a|b", "x"),  # each once
    ("__label__a,b-c__label__d x", "a,b-c__label__d", "x"),  # one word, one label
    ("__label__a x__label__b", "a", "x__label__b"),
    ("__label__a \u00a0__label__c", "a", "__label__c"),  # a no-break space is part of a word
    ("no label", "", "no label"),
    ("\v__label__a\f__label__b\0x", "a|b", "x"),  # all that separates fastText's words
]


def test_lines_of_fasttext_have_labels_anywhere_as_fasttext_reads_them(tmp_path):
    padding = "__label__a x\n" * 1000  # a NUL near the beginning would make the file binary
    path = data_file(tmp_path, padding + "".join(f"{line}\n" for line, _, _ in MARKED))
    assert pairs(path, several=True)[1000:] == [(labels, text) for _, labels, text in MARKED]
    one = data_file(tmp_path, "__label__a __label__a x\nx __label__b\n")
    assert pairs(one) == [("a", "x"), ("b", "x")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__label__a x\n__label__a __label__b y\n", "line 2: has 2 labels: several=true learns several labels"),
        ("__label__a x\n\ny z\n__label__a x\n", "line 3: has no label, a word that begins with __label__"),
        ("__label__ x\n", "line 1: the label is empty"),
        ("__label__a x\n__label__" + "b" * 1001 + " y\n", "line 2: the label has 1001 characters"),
    ],
)
def test_lines_of_fasttext_that_are_refused(tmp_path, text, said):
    path = data_file(tmp_path, text)
    assert refusal(path).startswith(f"{path}, {said}")


def test_a_table_may_speak_of_fasttext(tmp_path):
    named = data_file(tmp_path, "label\ttext\na\t__label__b x\n", "a.tsv")
    assert pairs(named) == [("a", "__label__b x")]
    assert pairs(data_file(tmp_path, "label,text\na,__label__b x\n")) == [("a", "__label__b x")]
    given = data_file(tmp_path, "a\t__label__b x\n")
    assert pairs(given, label_column="1", text_column="2") == [("a", "__label__b x")]


# ---- which columns

TABLE = "id\tstars\tTitle\tReview Text\tw\n1\tfive\tgood\tgo home\t2\n2\tone\tbad\tstay\t0.5\n"


@pytest.mark.parametrize(
    ("name", "text", "given", "wanted"),
    [
        ("x.tsv", TABLE, {"label_column": "stars", "text_column": "Review Text"}, [("five", "go home"), ("one", "stay")]),
        ("x.tsv", TABLE, {"label_column": " STARS", "text_column": "title"}, [("five", "good"), ("one", "bad")]),
        ("x.tsv", TABLE, {"label_column": "stars"}, [("five", "good"), ("one", "bad")]),  # "Title" is a known name
        ("x.tsv", TABLE, {"label_column": "2", "text_column": "Title"}, [("five", "good"), ("one", "bad")]),
        ("x.tsv", TABLE, {"label_column": "Title", "text_column": "4"}, [("good", "go home"), ("bad", "stay")]),
        ("x", "stars\tbody copy\n5\tgood\n", {"label_column": "stars"}, [("5", "good")]),  # the other of two
        ("x", "title\ttext\tlabel\na\tb\tc\n", {"text_column": "title"}, [("c", "a")]),
        ("x", "title\ttext\na\tb\n", {"label_column": "title"}, [("a", "b")]),
        ("x", "a\tb c\n", {"label_column": "2"}, [("b c", "a")]),
        ("x", "text\tlabel\nb\ta\n", {"label_column": "2", "text_column": "1"}, [("a", "b")]),  # the usual names: a header
        ("x", "1\tgood\n2\tbad\n", {"label_column": "1", "text_column": "2"}, [("1", "good"), ("2", "bad")]),
        ("x", "2\t1\n1\t2\n", {"label_column": "1", "text_column": "2"}, [("2", "1"), ("1", "2")]),  # numbers, not names
        ("x", "9\tb c\ta\n8\td\ta\n", {"label_column": "3", "text_column": "2"}, [("a", "b c"), ("a", "d")]),
        ("x.csv", 'b c,a\n"d, e",a\n', {"label_column": "2", "text_column": "1"}, [("a", "b c"), ("a", "d, e")]),
        ("x", 'b c,a\n"d, e",a\n', {"label_column": "2"}, [("a", "b c"), ("a", "d, e")]),
        ("x", "label\ttext\na\tb\n", {"label_column": "label"}, [("a", "b")]),
        ("x.jsonl", '{"x": {"y": [7, "a"]}, "z": "b"}\n', {"label_column": "x.y.1", "text_column": "z"}, [("a", "b")]),
        ("x.jsonl", '{"x.y": "a", "text": "b"}\n{"text": "c", "x.y": 2}', {"label_column": "x.y"}, [("a", "b"), ("2", "c")]),
        ("x.jsonl", '{"text": "b"}\n{"text": "c", "X": 2}', {"label_column": "text", "text_column": "text"}, None),
    ],
)  # fmt: skip
def test_options_decide_which_columns_are_read(tmp_path, name, text, given, wanted):
    path = data_file(tmp_path, text, name)
    if wanted is None:
        assert "label_column and text_column are the same column" in refusal(path, **given)
    else:
        assert pairs(path, **given) == wanted


@pytest.mark.parametrize(
    "names", [("Label", "Text"), ("lang_", "SENTENCE"), ("Class", "question"), ("topics", "tweet")]
)
def test_names_of_columns_are_known_without_case_and_signs(tmp_path, names):
    for text in (f"{names[0]}\tx\t{names[1]}\na\t1\tb\n", f"{names[1]},{names[0]}\nb,a\n"):
        assert pairs(data_file(tmp_path, text)) == [("a", "b")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x", "title\ttext\tlabel\na\tb\tc\n", "'title' or 'text' may be the text: say which with text_column"),
        ("x", "label,lang,text\na,b,c\n", "'label' or 'lang' may be the label: say which with label_column"),
        ("x", '{"label": 1, "intent": 2, "text": "a"}\n', "'label' or 'intent' may be the label"),
        ("x", '{"x": 1, "text": "a"}\n', "no field is named like the label (x, text): say which with label_column"),
        ("x", "1\ta\tb c\n2\ta\td\n", "has 3 columns and no header that names label and text: say which with label_column and"),
        ("x.csv", "a,b c\nd,e\n", "has 2 columns and no header that names label and text"),  # in which order?
        ("x", "review\tstars\ngood\t5\n", "'review' may be a column's name or a record's: say which with label_column and"),
        ("x", "stars\tText\n5\tgood film\n", "'Text' may be a column's name"),
        ("x", "a b c\ty\nd e f\ty\ng h\tz\ni j k\tz\n", "column 2 looks like the label, and column 1 like the text"),
        ("x", "just text\nand more\n", "has no tab: a line is label<tab>text, or begins with __label__"),
        ("x.csv", "just text\n", "has 1 column and no header that names label and text"),
    ],
)  # fmt: skip
def test_what_may_be_read_in_two_ways_is_refused_with_the_option_that_says_how(tmp_path, name, text, said):
    path = data_file(tmp_path, text, name)
    message = refusal(path)
    assert message.startswith(f"{path}, line 1: ")
    assert said in message
    with pytest.raises(TextkitError, match=message[-30:].replace("(", r"\(").replace(")", r"\)")):
        corpus(path).check()


def test_data_that_begins_with_a_columns_name_is_data(tmp_path):
    """`text` is a label of clinc150."""
    assert pairs(data_file(tmp_path, "text\tsend a message to mom\n")) == [("text", "send a message to mom")]
    assert pairs(data_file(tmp_path, "text\tcall mom\ntext\twrite\n")) == [("text", "call mom"), ("text", "write")]
    path = data_file(tmp_path, "text\tcall mom\nsay\twrite\n")
    assert "'text' may be" in refusal(path)
    assert pairs(path, label_column="1", text_column="2") == [("text", "call mom"), ("say", "write")]


@pytest.mark.parametrize(
    ("name", "text", "given", "said"),
    [
        ("x", "a\tb\n", {"label_column": "3"}, "has no column 3, which label_column names, but 2"),
        ("x", "label\ttext\na\tb\n", {"text_column": "txt"}, "no column 'txt', which text_column names; did you mean 'text'"),
        ("x", "label\ttext\na\tb\n", {"label_column": "1", "text_column": "label"}, "text_column are the same column"),
        ("x.jsonl", '{"label": 1, "text": "a"}\n', {"label_column": "2"}, "has no field '2', which label_column names"),
    ],
)  # fmt: skip
def test_options_that_name_no_column_are_refused(tmp_path, name, text, given, said):
    assert said in refusal(data_file(tmp_path, text, name), **given)


def test_columns_are_counted_from_1(tmp_path):
    with pytest.raises(UsageError, match="label_column=0: columns are counted from 1"):
        read(data_file(tmp_path, "a\tb\n"), label_column="0")


# ---- labels


def test_one_label_is_all_of_a_cell(tmp_path):
    path = data_file(tmp_path, 'a, b\tx\n[1, 2]\ty\n c  d \tz\n"e"\tw\n')
    assert pairs(path) == [("a, b", "x"), ("[1, 2]", "y"), ("c  d", "z"), ('"e"', "w")]
    assert pairs(data_file(tmp_path, 'label,text\n"a\r\nb",x\n')) == [("a  b", "x")]  # a record is one line


def test_several_labels_have_commas_between_them_or_are_json_lists(tmp_path):
    text = 'b,a\tx\n\ty\n a , b,a\tz\n["c, d", 2, true]\tw\n[x\tv\n[]\tu\n'
    wanted = [("b|a", "x"), ("", "y"), ("a|b", "z"), ("c, d|2|true", "w"), ("[x", "v"), ("", "u")]
    assert pairs(data_file(tmp_path, text), several=True) == wanted
    values = ["b,a", "", ["a", "b", "a"], ["c, d", 2, True], None, [], 7, 1.5, False]
    lines = "".join(json.dumps({"labels": value, "text": "x"}) + "\n" for value in values)
    found = [line.labels for line in read(data_file(tmp_path, lines), several=True)]
    assert found == [("b", "a"), (), ("a", "b"), ("c, d", "2", "true"), (), (), ("7",), ("1.5",), ("false",)]


@pytest.mark.parametrize("cell", ["a,,b", "a,", ",", '["a", ""]', "[[]]", "[null]", '[{"a": 1}]'])
def test_an_empty_label_among_several_is_refused(tmp_path, cell):
    path = data_file(tmp_path, f"a\tx\n{cell}\ty\n")
    assert refusal(path, several=True).startswith(f"{path}, line 2: the label is ")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ('"a"', "a"), ("3", "3"), ("-0.5", "-0.5"), ("true", "true"), ("false", "false"), ('" a "', "a"), ('"a\\tb"', "a b"),
        ('"\\ud800x"', "\ufffdx"), ("9" * 5000, "the label has 5000 characters, and 1000 are the most: is it the text?"),
        ("null", "the label is null: neither a text nor a number"), ("{}", "the label is {}: neither"),
        ("1e999", "the label is Infinity: neither"), ("NaN", "the label is NaN: neither"), ('" "', "the label is empty"),
        ('["a"]', "has a list of labels: several=true learns several labels of a line"),
    ],
)  # fmt: skip
def test_labels_of_json_lines_are_texts_numbers_and_truth_values(tmp_path, value, wanted):
    path = data_file(tmp_path, f'{{"label": 1, "text": "x"}}\n{{"label": {value}, "text": "y"}}\n', "x.jsonl")
    if len(wanted) < 10:
        assert pairs(path)[1] == (wanted, "y")
    else:
        assert refusal(path).startswith(f"{path}, line 2: {wanted}")


def test_a_whole_number_that_no_float_holds_is_a_label(tmp_path):
    path = data_file(tmp_path, f'{{"label": {"9" * 400}, "text": "y"}}\n', "x.jsonl")
    assert pairs(path) == [("9" * 400, "y")]


def test_what_a_cell_means_by_itself():
    assert labels_of("a, b", False) == ("a, b",)
    assert labels_of("a, b", True) == ("a", "b")
    with pytest.raises(ValueError, match="several=true"):
        labels_of(["a"], False)


# ---- weights


@pytest.mark.parametrize(
    ("name", "text", "given", "wanted"),
    [
        ("x", "label\ttext\tw\na\tx\t2\na\ty\t0\n", "w", [2.0, 0.0]),
        ("x", "a\tx\t2\na\ty\t.5\n", "3", [2.0, 0.5]),  # the columns that are left are label and text
        ("x", "2\ta\tx\n1\ta\ty\n", "1", [2.0, 1.0]),
        ("x.csv", "text,w,label\nx, 1e-3 ,a\n", "W", [0.001]),
        ("x.jsonl", '{"label": 1, "text": "x", "w": 3}\n{"label": 1, "text": "x", "w": "4"}\n', "w", [3.0, 4.0]),
    ],
)
def test_weights(tmp_path, name, text, given, wanted):
    path = data_file(tmp_path, text, name)
    assert [line.weight for line in read(path, weight_column=given)] == wanted
    assert [labelled(record).weight for record in corpus(path, weight_column=given).lines()] == wanted
    assert {line.labels for line in read(path, weight_column=given)} <= {("a",), ("1",)}


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much", "", "1_0", "True"])
def test_a_weight_that_is_no_number_from_0_is_refused(tmp_path, value):
    path = data_file(tmp_path, f"label\ttext\tw\na\tx\t1\na\ty\t{value}\n")
    assert refusal(path, weight_column="w") == f"{path}, line 3: the weight is {value!r}: no number from 0"
    value = json.dumps(value == "True" or None)
    path = data_file(tmp_path, f'{{"label": 1, "text": "x", "w": {value}}}\n')
    assert f"the weight is {value}: no number from 0" in refusal(path, weight_column="w")


def test_a_weight_that_f32_does_not_hold_is_refused(tmp_path):
    path = data_file(tmp_path, "label\ttext\tw\na\tx\t1e30\na\ty\t1e39\n")
    assert refusal(path, weight_column="w") == f"{path}, line 3: the weight is '1e39': no number from 0 to 1e+30"


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x", "a\tx\nb y\n", ", line 2: has no tab: a line is label<tab>text"),
        ("x", "a\tx\n\n\nb\ty\tz\n", ", line 4: has 3 columns, the first line has 2"),
        ("x", "a\tx\n \ty\n", ", line 2: the label is empty"),
        ("x", "a\tx\n" + "b" * 1001 + "\ty\n", ", line 2: the label has 1001 characters, and 1000 are the most"),
        ("x.tsv", "text\tlabel\nx\ta\ny\n", ", line 3: has no tab, and 2 columns are named"),
        ("x.csv", "text,label\nx,a\ny\n", ", line 3: has 1 column, the header has 2"),
        ("x.csv", 'text,label\n"x\n\ny",a\nz,b,\n', ", line 5: has 3 columns, the header has 2"),
        ("x.csv", 'text,label\nx,a\n"y,a\nz,b\n', ":3: malformed CSV: the quote of this record is never closed"),
        ("x.jsonl", '{"text": "x", "label": 1}\n{"text": "x"}\n', ", line 2: no field 'label'; there is text"),
        ("x.jsonl", '{"text": "x", "label": 1}\n{"text": 5, "label": 1}\n', ", line 2: field 'text' is a number, not a string"),
        ("x.jsonl", '{"text": "x", "label": 1}\n["x"]\n', ", line 2: not a JSON object but an array"),
        ("x.jsonl", '{"text": "x", "label": 1}\n{"text"\n', ", line 2: malformed JSON: "),
        ("x", '{"text"\n', ", line 1: malformed JSON: "),
        ("x", "a\tx\0\n", ": is binary, not text"),
        ("x", "", ": is empty"),
    ],
)  # fmt: skip
def test_errors_name_file_and_line_before_a_training_starts(tmp_path, name, text, said):
    path = data_file(tmp_path, text, name)
    assert refusal(path).startswith(f"{path}{said}")
    with pytest.raises(TextkitError) as caught:
        corpus(path).check()
    assert str(caught.value).startswith(f"{path}{said}")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("\n \n", {}),
        ("a\t \nb\t\n", {}),
        ("label,text\n", {}),
        ("__label__a\n", {}),
        ("a\tx\t0\n", {"weight_column": "3"}),
    ],
)
def test_a_file_without_a_line_to_learn_from_is_refused(tmp_path, text, given):
    path = data_file(tmp_path, text)
    with pytest.raises(TextkitError, match=rf"{path}: has no line with a text"):
        corpus(path, **given).check()


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(TextkitError, match="no such file"):
        corpus(tmp_path / "none").check()
    with pytest.raises(TextkitError, match="is a directory"):
        corpus(tmp_path).check()
    assert "no such file" in refusal(tmp_path / "none")


def test_an_error_behind_many_blocks_names_its_line(tmp_path):
    lines = [f"label {n % 7}\t{'word ' * (n % 50)}end\n" for n in range(20_000)]  # 2.6 MB
    plain = data_file(tmp_path, "".join(lines) + "oops\n", "a.txt")
    assert refusal(plain) == f"{plain}, line 20001: has no tab: a line is label<tab>text"
    late = data_file(tmp_path, "\n" * 600_000 + "oops\n", "late.txt")  # the first line with text is in the third block
    assert refusal(late).startswith(f"{late}, line 600001: has no tab: a line is label<tab>text")
    table = "".join(f'"{text.strip()}\n",{label}\n' for label, text in (line.split("\t") for line in lines))
    quoted = data_file(tmp_path, f"text,label\n{table}oops\n", "a.csv")
    assert refusal(quoted) == f"{quoted}, line 40002: has 1 column, the header has 2"
    wanted = [(label, text.strip()) for label, text in (line.split("\t") for line in lines)]
    good = data_file(tmp_path, f"text,label\n{table}", "b.csv")
    assert [(label, text.strip()) for label, text in pairs(good)] == wanted
    returns = data_file(tmp_path, "".join(lines).replace("\n", "\r\n"), "b.txt")
    assert pairs(returns) == [tuple(line.removesuffix("\n").split("\t")) for line in lines]


# ---- records

HARD = [
    Labelled("plain", ("a",)),
    Labelled("two", ("b", "a, c"), 0.5),
    Labelled("none", ()),
    Labelled('quotes " and \\ and [', ('"', "\\", "[]")),
    Labelled("Unicode \u2028 \u00a0 \ufeff 😀", ("ярлык", "\u2028", "标签")),
    Labelled("of a head", ("x",), 1.0, 'he\t"ad'),
    Labelled("of a head, and heavy", ("x",), 1e-300, "h"),
]


def test_a_record_holds_everything_in_one_line_and_gives_it_back():
    records = [written(line) for line in HARD]
    assert [labelled(record) for record in records] == HARD
    assert texts(records) == [line.text for line in HARD]
    assert written(HARD[0]) == '["a"]\tplain'
    assert written(HARD[1]) == '["b", "a, c"]\ttwo\t0.5'
    assert all("\n" not in record and "\r" not in record for record in records)
    assert labelled(written(Labelled("a\tb\nc\r\nd\0e", ("x\ty\nz",)))) == Labelled("a b c  d e", ("x\ty\nz",))


def test_the_split_is_read_back_as_records(tmp_path):
    values = [{"text": f"text\t{n}\u2028\r\n", "labels": [f"a,{n % 3}", "b"][: n % 3]} for n in range(500)]
    text = "".join(json.dumps(value) + "\n" for value in values)
    whole = corpus(data_file(tmp_path, text), several=True)
    counts = whole.split(3, tmp_path / "dev.txt", tmp_path / "test.txt")
    parts = [whole.with_part("train", 3), *(whole.with_paths([tmp_path / name]) for name in ("dev.txt", "test.txt"))]
    found = [list(part.lines()) for part in parts]
    assert [len(part) for part in found] == list(counts.values())
    assert sorted(sum(found, [])) == sorted(whole.lines())
    assert all(part.options is whole.options for part in parts)
    assert isinstance(parts[0], LabelledCorpus)
    assert type(parts[1]) is Corpus
    assert {labelled(record).labels for record in found[1]} == {(), ("a,1",), ("a,2", "b")}
    assert whole.sampled(50, 1).with_paths([tmp_path / "dev.txt"]).options is whole.options


def test_a_corpus_without_options_has_one_label_a_line(tmp_path):
    assert list(LabelledCorpus([data_file(tmp_path, "a,b\tx\n")]).lines()) == ['["a,b"]\tx']


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    path = tmp_path / "lines"
    words = "words that make a long line " * 20
    with path.open("w") as stream:
        stream.writelines(f"label {n % 50}\t{words}{n}\n" for n in range(8000))
    whole = corpus(path)
    tracemalloc.start()
    whole.check()
    lines = sum(len(block) for block in whole.blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == 8000  # 4.6 MB
    assert peak < 4e6


def test_labels_that_never_recur_are_all_read(tmp_path):
    path = data_file(tmp_path, "".join(f"{n}\tx{n}\n" for n in range(70_000)))  # more than are remembered
    assert [int(line.labels[0]) for line in read(path)] == list(range(70_000))


# ---- heads


def headed(*paths: Path, **given) -> HeadedCorpus:
    found = HeadedCorpus(paths)
    found.options = HeadOptions(**given)
    return found


def test_a_file_has_the_lines_of_one_head(tmp_path):
    (tmp_path / "mood").mkdir()
    paths = [
        data_file(tmp_path, "a,b\tx\n", "topics-train.tsv.gz"),
        data_file(tmp_path / "mood", "c,d\ty\n\tz\n", "Train.tsv"),
        data_file(tmp_path, "e\tw\n", "v1.2_train_more.txt"),
    ]
    corpus = headed(*paths, several_heads=("mood",))
    corpus.check()
    records = list(corpus.lines())
    assert list(map(labelled, records)) == [
        Labelled("x", ("a,b",), 1.0, "topics"),
        Labelled("y", ("c", "d"), 1.0, "mood"),
        Labelled("z", (), 1.0, "mood"),
        Labelled("w", ("e",), 1.0, "v1.2_train_more"),
    ]
    assert list(map(head_of, records)) == ["topics", "mood", "mood", "v1.2_train_more"]
    assert head_of(written(Labelled("x", ("a",)))) == ""
    assert corpus.options.may_be_several("mood")
    assert not corpus.options.may_be_several("topics")
    assert HeadOptions(several=True).may_be_several("topics")
    named = headed(*paths, several=True, head_names=("one", "two", "one"))
    assert list(map(head_of, named.lines())) == ["one", "two", "two", "one"]
    assert labelled(next(named.lines())).labels == ("a", "b")


def test_heads_that_are_refused(tmp_path):
    paths = [data_file(tmp_path, "a\tx\n", "one.tsv"), data_file(tmp_path, "a\t \n", "two.tsv")]
    with pytest.raises(TextkitError, match=r"two\.tsv: has no line with a text"):
        headed(*paths).check()
    with pytest.raises(UsageError, match="head_names: names 1 heads, one for each file, and there are 2"):
        headed(*paths, head_names=("one",)).check()
    with pytest.raises(
        UsageError, match=r"one\.tsv: the head's name has 0 characters: give another one with head_names"
    ):
        headed(*paths, head_names=("", "b")).check()
    with pytest.raises(TextkitError, match=r"two\.tsv, line 1: has no tab"):
        headed(paths[0], data_file(tmp_path, "x\n", "two.tsv")).check()


# ---- the labels of dev data, and of what is left to learn from


def checked(*corpora: LabelledCorpus) -> None:
    for one in corpora:
        one.check()
    corpora[0].check_dev(corpora[1])


def test_dev_data_without_a_label_to_learn_is_refused_before_a_training(tmp_path):
    learnt = corpus(data_file(tmp_path, "a\tx\nb\ty\n"))
    with pytest.raises(
        TextkitError, match=r"dev: none of its labels is in the data to learn from: 'c'; that has 'a', 'b'"
    ):
        checked(learnt, corpus(data_file(tmp_path, "c\tx\n", "dev")))
    with pytest.raises(TextkitError, match="dev: no line has a label"):
        checked(learnt, corpus(data_file(tmp_path, "\tx\n", "dev"), several=True))
    checked(learnt, corpus(data_file(tmp_path, "a\tx\n", "dev")))  # an empty class


def test_labels_of_dev_data_that_are_not_learnt_are_told(tmp_path):
    learnt = corpus(data_file(tmp_path, "a\tx\nb\ty\n"))
    dev = data_file(tmp_path, "a\tx\n" + "".join(f"{n}\tx\n" for n in range(7)), "dev")
    said = "7 of 8 labels are not in the data to learn from, so their lines count as wrong: '0', '1', '2', '3', '4' and 2 more"
    with pytest.warns(TextkitWarning, match=said):
        checked(learnt, corpus(dev))


def test_dev_data_of_heads(tmp_path):
    learnt = headed(data_file(tmp_path, "a\tx\nb\ty\n", "one.tsv"), data_file(tmp_path, "c\tx\nd\ty\n", "two.tsv"))
    dev = data_file(tmp_path, "a\tx\n", "dev.tsv")
    with pytest.raises(TextkitError, match=r"dev\.tsv: has no line of a head to learn: 'x', not 'one', 'two'"):
        checked(learnt, headed(dev, head_names=("x",)))
    with pytest.raises(
        TextkitError, match=r"none of its labels of 'two' is in the data to learn from: 'a'; that has 'c', 'd'"
    ):
        checked(learnt, headed(dev, head_names=("two",)))
    with pytest.warns(TextkitWarning, match="heads that are not in the data to learn from are left out: 'x'"):
        checked(learnt, headed(dev, dev, head_names=("x", "one")))


def test_labels_that_the_split_takes_are_told(tmp_path):
    whole = corpus(data_file(tmp_path, "".join(f"{n}\twords of {n} here\n" for n in range(30))))
    assert len(label_sets_of(whole)[""]) == 30
    part = whole.with_part("train", 1)
    left = sorted({str(n) for n in range(30)} - {labelled(record).labels[0] for record in part.lines()})
    with pytest.warns(TextkitWarning, match="the split 70/20/10 left no line to learn from of") as told:
        found = label_sets_of(part.sampled(5, 1))
    assert len(found[""]) == 30 - len(left)
    assert f"of {listed(left)}; give --dev FILE" in str(told[0].message)


# ---- which test data it is

LINES = "a\tgood film\nb?\tbad from the start\na\tI liked all of it\nb?\tnever again, said she\na\tbetter than that\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x", LINES),
        ("x.tsv", LINES),
        ("x.tsv.gz", LINES),
        ("x", "__label__a go\n__label__b home\n"),
        ("x", "sentence\tlabel\ngood film\t1\n"),
        ("x.csv", "id,text,intent\n1,go home,a\n"),
        ("x.jsonl", '{"text": "go home", "label": 1}\n'),
        ("x", '{"text": "go home", "label": 1}\n'),
        ("x", "id\tsentence\tlabel\n1\tA b c\t0\n2\tD e\t1\n"),
    ],
)
def test_labelled_lines_are_claimed_and_other_tasks_leave_them(tmp_path, name, text):
    path = str(data_file(tmp_path, text, name))
    assert claims([path]) == claims([path, path]) == SURE
    assert embed_data.claims([path]) == NOT
    assert translate_evaluation.claims([path]) <= LIKELY
    assert claims([path, str(data_file(tmp_path, "running text\nand more\n", "other"))]) == NOT


@pytest.mark.parametrize(
    "text",
    [
        "cat dog 9\nsea king 2\n",
        "cat\tdog\t9\nsea\tking\t2\n",
        "Oslo\ttree\tfour\ntree\tOslo\tfive\n",
        '{"a": 1}\n',
        '{"sentence1": "A b.", "score": 4.5, "sentence2": "A c."}\n',
        '{"text1": "A b.", "label": 4.5, "text2": "A c."}\n',
        "sentence1\tsentence2\tlabel\na b\tc\t1\n",
        "index\tgenre\tsentence1\tsentence2\tscore\n0\tmain\tA man.\tA man is.\t4.5\n",
        "main-news\theadlines\t2015\t0001\t5.000\tA b, c.\tA d.\n" * 5,
        "Athens Greece Oslo Norway\nBern Switzerland Rome Italy\n",
        ": capitals\nAthens Greece Oslo Norway\n",
        "A man goes home.\tEin Mann geht heim.\nYes.\tJa.\n",
        "Hi.\tHallo.\nHi.\tServus.\nHi.\tGuten Tag.\nHi.\tGrüß Gott.\n",  # one source, several references
        "a man goes home\tein mann geht nach hause\n" * 3 + "a man goes home\tein mann kehrt heim\n",
        "Go.\tGeh.\tCC-BY 2.0\nRun home!\tLauf heim!\tCC-BY 2.0\n",
        "A man goes home.\nI am going home.\nAll is well.\n",
        "score\ttext\n1\ta b\n",
        "1\twhat is it\n2\twhat is that\n3\twho is it\n4\twho was it\n",  # queries and their numbers
        "a\0b",
        "\n\n",
    ],
)
def test_the_data_of_other_tasks_is_not_claimed(tmp_path, text):
    assert claims([str(data_file(tmp_path, text))]) == NOT


# ---- real files


def real(*path: str) -> Path:
    found = DATA.joinpath(*path)
    if not found.exists():
        pytest.skip(f"no {found}: the data sets of the workplace are not here")
    return found


@pytest.mark.parametrize(
    ("path", "several", "lines", "labels", "first"),
    [
        (("banking77", "train.tsv"), False, 9005, 77, None),
        (("banking77", "dev.tsv"), False, 998, 77, Labelled("I am still waiting on my card?", ("card_arrival",))),
        (("clinc150", "train.tsv"), False, 15000, 150, None),
        (("clinc150", "oos_dev.tsv"), False, 100, 1, None),
        (("goemotions", "dev.tsv"), True, 5426, 28, None),
        (("sst2", "dev.tsv"), False, 415, 2, Labelled("unflinchingly bleak and desperate ", ("0",))),
        (("sst2", "train.tsv.gz"), False, 67349, 2, None),
        (("lid", "test.tsv.gz"), False, 26238, 136, None),
    ],
)
def test_real_files(path, several, lines, labels, first):
    found = read(real(*path), several=several)
    assert len(found) == lines
    assert len({label for line in found for label in line.labels}) == labels
    assert {len(line.labels) for line in found} == {1} or several
    assert first in (None, found[0])
    assert claims([str(real(*path))]) == SURE or path[1] == "oos_dev.tsv"


def test_labels_of_goemotions_are_several():
    found = read(real("goemotions", "dev.tsv"), several=True)
    assert found[1].labels == ("approval", "neutral")
    assert max(len(line.labels) for line in found) > 2


@pytest.mark.parametrize(
    "path",
    [
        ("sts", "dev.csv"), ("wordvec", "wordsim353.tsv"), ("wordvec", "questions-words.txt"),
        ("tatoeba", "dev.en-de.tsv"), ("bible", "en-de.tsv.gz"),
        ("wordsim_ru", "russe_hj_ru.tsv"), ("wikitext2", "valid.txt"), ("multi30k", "val.en"),
        ("ir", "cranfield", "corpus.tsv"), ("ir", "cranfield", "queries.tsv"), ("ir", "cranfield", "qrels.tsv"),
    ],
)  # fmt: skip
def test_real_data_of_other_tasks_is_not_claimed(path):
    assert claims([str(real(*path))]) == NOT
