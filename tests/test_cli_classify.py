"""`textkit classify` and `textkit attention` of a classifier as people call them: formats, inputs, pauses, closed pipes;
what is refused."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_classifier import LOOKS, WORDS, head, softmax, tokens_rule, write_classifier
from small_embedder import write_words

from textkit.bundle.writing import amend
from textkit.drawing.heatmap import Screen
from textkit.drawing.words import colored
from textkit.tasks.classify.serving import attention
from textkit.tasks.classify.serving.attention import Attention
from textkit.tasks.classify.serving.classifier import Classifier
from textkit.text.normalizer import Normalizer
from textkit.text.subwords import NGrams
from textkit.text.words import Words

ODD = ("a, b", "c\\d", "tab\there", "日本 語")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_classifier(folder / "plain")
    write_classifier(folder / "several", head(several=True, thresholds=[0.6, 0.6, 0.7]))
    write_classifier(folder / "kinds", head(coarse={"neg": "any", "none": "any"}, nothing="und"))
    write_classifier(folder / "attends", looks=LOOKS, rule=tokens_rule(clean=True))
    write_classifier(folder / "words", looks=LOOKS)
    spelled = Words(
        WORDS, Normalizer(), NGrams(6, 6, 2, len(WORDS))
    )  # "badly": <badly and badly>, with the share of one
    table = np.zeros((len(WORDS) + 2, 3), np.float32)
    write_classifier(
        folder / "spelled", looks=np.log([1, 4, 4, 1, 2, 1, 2, 2, 2], dtype=np.float32), rule=spelled, table=table
    )
    write_classifier(folder / "short", looks=LOOKS, rule=tokens_rule(around=True), limits={"tokens": 4})
    table = np.zeros((len(WORDS), len(ODD)), np.float32)
    table[1, :2], table[2, 2], table[3, 3] = 3, 3, 3
    write_classifier(folder / "odd", head(ODD, several=True), table=table)
    write_classifier(folder / "odd-one", head(ODD), table=table)
    write_words(folder / "vectors")
    return folder


@pytest.fixture
def ran(models: Path, call: Any) -> Any:
    """ran(model, *args, stdin) -> (exit code, stdout, stderr) of `textkit classify`."""
    return lambda model, *args, stdin="": call("classify", "-m", models / model, "--device", "cpu", *args, stdin=stdin)


def process(*args: object, given: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "textkit", *map(str, args)]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr.decode()
    return done


SURE, UNSURE = softmax(3, 0, 0)[0], softmax(1.5, 0, 0.5)  # of "good" and of "good film"


def cells(line: str) -> list[object]:
    """The cells of a line; numbers are compared to five digits, because the sixth may be rounded either way."""
    found = [re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", cell) for cell in line.split("\t")]
    return [
        pytest.approx(float(one[0]), rel=1e-5) if one else cell
        for one, cell in zip(found, line.split("\t"), strict=True)
    ]


# --- formats ----------------------------------------------------------------------------------------------------------


def test_a_label_a_line(ran):
    assert ran("plain", stdin="good\n\nbad film\n  \nfilm") == (0, "pos\n\nneg\n\nnone\n", "")


def test_a_line_of_unknown_words_is_told(ran):
    code, out, err = ran("plain", stdin="xyz\ngood\n")
    assert (code, out) == (0, "\npos\n")
    assert err == "textkit: warning: 1 line held nothing that the model knows, and has no label\n"
    assert ran("kinds", stdin="xyz\n\n") == (0, "und\n\n", "")


def test_probabilities(ran):
    _, out, _ = ran("plain", "--probabilities", stdin="good\n\ngood film\n")
    assert [cells(line) for line in out.splitlines()] == [["pos", SURE], ["", ""], ["pos", UNSURE[0]]]
    assert re.search(r"^pos\t0\.\d{6}$", out, re.MULTILINE)


def test_the_likeliest_labels(ran):
    _, out, _ = ran("plain", "--top", 2, stdin="good film\n\n")
    assert [cells(line) for line in out.splitlines()] == [["pos", UNSURE[0], "none", UNSURE[2]], [""]]
    assert ran("plain", "--top", 99, stdin="good film\n")[1].count("\t") == 5


def test_an_unsure_line_has_no_label(ran):
    lines = "good\ngood film\n"
    assert ran("plain", "--abstain", 0.7, stdin=lines)[1] == "pos\n\n"
    assert cells(ran("plain", "--abstain", 0.7, "--probabilities", stdin=lines)[1].splitlines()[1]) == ["", UNSURE[0]]
    _, out, _ = ran("plain", "--abstain", 0.7, "--top", 1, "--format", "jsonl", stdin="good film\n")
    found = json.loads(out)
    assert (found["label"], found["labels"][0]["label"]) == ("", "pos")


def test_tsv(ran, tmp_path):
    code, out, err = ran("plain", "--format", "tsv", stdin="good\tfilm\n\nbad\n")
    assert (code, err) == (0, "")
    first, blank, last = map(cells, out.splitlines())
    assert first == ["pos", UNSURE[0], "good\\tfilm"]
    assert blank == ["", "", ""]
    assert last == ["neg", SURE, "bad"]
    _, out, _ = ran("plain", "--format", "tsv", "--top", 2, stdin="good film\n\n")
    assert [len(line.split("\t")) for line in out.splitlines()] == [5, 5]
    ran("plain", "-o", tmp_path / "out.tsv", stdin="good\n")
    assert cells((tmp_path / "out.tsv").read_text().rstrip("\n")) == ["pos", SURE, "good"]


def test_jsonl(ran):
    given = '{"id": 7, "text": "good film", "label": "old", "labels": 1}\n{"id": 8}\n{"text": ""}\n'
    code, out, err = ran("plain", "--input", "jsonl", "--format", "jsonl", "--on-error", "skip", stdin=given)
    first, wrong, blank = map(json.loads, out.splitlines())
    assert list(first) == ["id", "text", "source_label", "labels", "label", "probability"]
    assert (first["label"], first["probability"]) == ("pos", pytest.approx(UNSURE[0], rel=1e-5))
    assert (wrong["label"], "probability" in wrong) == (None, False)
    assert (blank["label"], blank["probability"]) == ("", None)
    assert "1 record was skipped" in err
    assert code == 0


def test_jsonl_with_all_labels(ran):
    _, out, _ = ran("plain", "--probabilities", "--format", "jsonl", "--field", "is", stdin="good film\n\n")
    first, blank = map(json.loads, out.splitlines())
    assert list(first) == ["text", "is", "probability", "labels"]
    assert [one["label"] for one in first["labels"]] == ["pos", "none", "neg"]
    assert sum(one["probability"] for one in first["labels"]) == pytest.approx(1, abs=1e-5)
    assert blank["labels"] == []


def test_labels_of_a_line_are_joined_by_commas(ran):
    lines = "good\ngood bad\n\n"
    assert ran("several", stdin=lines)[1] == "pos\npos,neg\n\n"
    assert ran("several", "--threshold", 0.9, stdin=lines)[1] == "pos\n\n\n"
    _, out, _ = ran("several", "--probabilities", stdin=lines)
    assert [line.split("\t")[::2] for line in out.splitlines()] == [["pos"], ["pos", "neg"], [""]]
    _, out, _ = ran("several", "--format", "tsv", stdin="good bad\n")
    label, likely, text = out.rstrip("\n").split("\t")
    assert (label, text) == ("pos,neg", "good bad")
    assert list(map(float, likely.split(","))) == pytest.approx([1 / (1 + math.exp(-1.5))] * 2, rel=1e-5)
    found = [json.loads(line) for line in ran("several", "--format", "jsonl", stdin=lines)[1].splitlines()]
    assert [one["label"] for one in found] == [["pos"], ["pos", "neg"], []]
    assert [len(one["probability"]) for one in found] == [1, 2, 0]


def test_labels_with_commas_backslashes_tabs_and_spaces(ran):
    lines = "good\nbad film\n"
    assert ran("odd", "--threshold", 0.8, stdin=lines)[1] == "a\\, b,c\\\\d\ntab\\there,日本 語\n"
    assert ran("odd-one", stdin="good\nbad\nfilm\n")[1] == "a, b\ntab\\there\n日本 語\n"
    found = json.loads(ran("odd", "--threshold", 0.8, "--format", "jsonl", stdin="bad film")[1])
    assert found["label"] == ["tab\there", "日本 語"]


def test_finer_labels(ran):
    assert ran("kinds", stdin="bad\nfilm\n")[1] == "any\nany\n"
    assert ran("kinds", "--fine", stdin="bad\nfilm\n")[1] == "neg\nnone\n"


# --- input ------------------------------------------------------------------------------------------------------------


def test_a_column_of_csv(ran):
    _, out, _ = ran(
        "plain", "--input", "csv", "--column", "said", "--format", "jsonl", stdin='id,said\n1,"good\nfilm"\n'
    )
    assert json.loads(out)["said"] == "good\nfilm"
    assert json.loads(out)["label"] == "pos"


def test_a_record_that_cannot_be_read_keeps_its_line(ran, tmp_path):
    (tmp_path / "in.tsv").write_text("1\tgood\n2\n3\tbad\n")
    options = ("--input", "tsv", "--column", 2, tmp_path / "in.tsv")
    assert ran("plain", "--on-error", "skip", *options)[1] == "pos\n\nneg\n"
    code, out, err = ran("plain", *options)
    assert (code, out) == (1, "pos\n")
    assert "in.tsv:2: no column 2" in err


def test_bytes_that_are_no_text_stay_aligned(ran):
    given = b"\xff\xfe good\n\x00\n\xe6\x97\xa5\n\r\n\xf0\x9f\x98\x80\n" + b"good " * 20_000 + b"\n"
    code, out, err = ran("plain", stdin=given)
    assert (code, out) == (0, "pos\n\n\n\n\npos\n")
    assert "1 line had more than the model's 512 tokens: cut" in err
    assert "1 line held bytes that are no UTF-8" in err


def test_nothing_in_nothing_out(ran):
    assert ran("plain") == (0, "", "")
    assert ran("plain", "--explain") == (0, "", "")


def test_an_answer_to_each_line_while_the_input_is_open(models):
    command = [sys.executable, "-m", "textkit", "classify", "-m", models / "plain"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as talk:
        for line, label in (("good", "pos"), ("bad", "neg")):
            talk.stdin.write(f"{line}\n")
            talk.stdin.flush()
            assert talk.stdout.readline() == f"{label}\n"
        talk.stdin.close()
    assert talk.returncode == 0


def test_a_closed_pipe_ends_quietly(models):
    command = (
        f"yes 'good' | {sys.executable} -m textkit classify -m {models / 'plain'} | head -1; echo ${{PIPESTATUS[1]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120)
    assert (done.stdout, done.stderr) == (b"pos\n0\n", b"")


def test_windows_are_small_where_labels_are_many(tmp_path, call, monkeypatch):
    from textkit.tasks.classify.serving import classifier

    write_classifier(tmp_path / "many")
    sizes = []
    answer = classifier.Classifier.decide
    monkeypatch.setattr(classifier, "MOST_NUMBERS", 30)  # of three labels: 10 lines
    monkeypatch.setattr(
        classifier.Classifier, "decide", lambda self, read: sizes.append(read.lines) or answer(self, read)
    )
    assert call("classify", "-m", tmp_path / "many", stdin="good\n" * 25)[1] == "pos\n" * 25
    assert sizes == [10, 10, 5]


# --- labels of one's own ----------------------------------------------------------------------------------------------


def test_labels_of_ones_own(ran, models, tmp_path, call, monkeypatch):
    assert ran("vectors", "--labels", "cat, dog", stdin="the cat\ndog\n\n") == (0, "cat\ndog\n\n", "")
    (tmp_path / "labels").write_text("feline, \\ odd\tcat\n\ndog\n")
    assert ran("vectors", "--labels", tmp_path / "labels", stdin="cat\n")[1] == "feline, \\ odd\n"
    assert ran("vectors", "--labels", "cat\\,sat,dog", stdin="cat\n")[1] == "cat,sat\n"
    assert ran("vectors", "--labels", "cat,the cat", "--abstain", 0.9, stdin="the cat cat\n")[1] == "\n"
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", str(models / "vectors"))
    assert call("classify", "--labels", "cat,dog", stdin="the cat\n") == (0, "cat\n", "")


@pytest.mark.parametrize(
    ("defaults", "done"), [({}, "split, and the parts averaged by length"), ({"long": "cut"}, "cut")]
)
def test_what_became_of_a_long_line_is_what_the_model_does(tmp_path, call, defaults, done):
    folder = amend(
        write_words(tmp_path / "x", limit=2), defaults={"pooling": "mean", "normalize": False} | defaults
    ).folder
    _, _, err = call("classify", "-m", folder, "--labels", "cat,dog", "--device", "cpu", stdin="the cat dog\n")
    assert err == f"textkit: warning: 1 line had more than the model's 2 tokens: {done}\n"


@pytest.mark.parametrize(
    ("model", "args", "code", "said"),
    [
        ("vectors", ["--labels", "cat"], 2, "--labels cat: no such file, and one label leaves nothing to choose"),
        ("vectors", ["--labels", "cat,dog,cat"], 2, "--labels cat,dog,cat: 'cat' occurs twice"),
        ("vectors", ["--labels", "cat,,dog"], 2, "--labels cat,,dog: a label is blank"),
        ("vectors", ["--labels", "cat,xyz"], 2, "--labels: the model knows no word of 'xyz'"),
        ("vectors", ["--labels", "a,b", "--head", "x"], 2, "--head: has no effect with --labels"),
        ("vectors", ["--labels", "a,b", "--fine"], 2, "--fine: has no effect with --labels"),
        ("plain", ["--labels", "a,b"], 1, "a model for 'classify', not for 'embed'"),
        ("vectors", [], 1, "a model for 'embed', not for 'classify'"),
        ("plain", ["--head", "x"], 2, "--head x: unknown; the model has one head, which has no name"),
        ("plain", ["--threshold", "0.5"], 2, "--threshold 0.5: the model gives each line one label; use --abstain"),
        ("plain", ["--threshold", "2"], 2, "--threshold': 2 is not a number from 0 to 1"),
        ("plain", ["--fine"], 2, "--fine: the model has no labels that belong to coarser ones"),
        ("plain", ["--top", "0"], 2, "0 is not in the range x>=1"),
        ("plain", ["--top", "2", "--explain"], 2, "--top 2: with --explain it is for --format jsonl"),
        ("plain", ["--field", "x"], 2, "--field x: only --format jsonl has fields"),
        ("plain", ["-o", "out.npy"], 2, "-o out.npy: .npy is no format that this writes"),
        ("plain", ["not-there"], 1, "not-there: no such file"),
        ("not-there", [], 1, "no such model folder"),
    ],
)
def test_mistakes_are_one_line(ran, model, args, code, said):
    found, out, err = ran(model, *args, stdin="good\n")
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


def test_the_default_model_tells_languages(call):
    code, out, err = call("classify", stdin="Where is the railway station?\nWo ist der Bahnhof?\n\n123\n")
    assert (code, out, err) == (0, "en\nde\n\nund\n", "")


def test_a_file_of_one_label(ran, tmp_path):
    (tmp_path / "labels").write_text("cat\n")
    code, _, err = ran("vectors", "--labels", tmp_path / "labels", stdin="cat\n")
    assert code == 2
    assert "labels: holds one label; two are the least" in err


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"cat\nthe cat\ta\tb\n", 2, "labels: line 2: has 3 columns, and label<tab>description are two"),
        (b"\x80\x04\x95\0\0\0\n\0\n", 1, "labels: is binary, not text"),
        (b"cat\r\n\r\ncat\n", 2, "labels: line 3: 'cat' occurs twice"),
        (b"cat\n\tdog\n", 2, "labels: line 2: a label is blank"),
        (b"", 1, "labels: is empty"),
    ],
)
def test_files_of_labels_that_are_refused(ran, tmp_path, content, code, said):
    (tmp_path / "labels").write_bytes(content)
    found, out, err = ran("vectors", "--labels", tmp_path / "labels", stdin="cat\n")
    assert (found, out) == (code, "")
    assert said in err


def test_a_file_of_labels_from_another_system(ran, tmp_path):
    (tmp_path / "labels").write_bytes(b"\xef\xbb\xbfcat\r\n\r\nhound\tdog\r\n")
    assert ran("vectors", "--labels", tmp_path / "labels", stdin="dog\ncat\n")[:2] == (0, "hound\ncat\n")


# --- what words do ----------------------------------------------------------------------------------------------------


def test_words_and_weights_in_a_pipe(ran):
    code, out, _ = ran("attends", "--explain", stdin="Very good\n\nfilm\n")
    assert code == 0
    assert [cells(line) for line in out.splitlines()] == [
        ["pos", "Very", 1 / 3, "good", 2 / 3],
        [""],
        ["none", "film", 1],
    ]
    _, out, _ = ran("plain", "--explain", "--probabilities", stdin="good film\n")
    label, probability, *words = out.rstrip("\n").split("\t")
    assert (label, words[::2]) == ("pos", ["good", "film"])
    assert float(probability) == pytest.approx(UNSURE[0], rel=1e-5)
    assert float(words[1]) == pytest.approx(math.log(UNSURE[0] / softmax(0, 0, 1)[0]), rel=1e-4)
    assert float(words[3]) == pytest.approx(math.log(UNSURE[0] / SURE), rel=1e-4)


def test_words_and_weights_in_tsv_and_jsonl(ran):
    _, out, _ = ran("attends", "--explain", "--format", "tsv", stdin="good\n")
    assert cells(out.rstrip("\n")) == ["pos", SURE, "good", "good", 1]
    _, out, _ = ran("attends", "--explain", "--format", "jsonl", "--top", 1, stdin="😀 good\n\n")
    first, blank = map(json.loads, out.splitlines())
    assert list(first) == ["text", "label", "probability", "labels", "spans"]
    assert first["spans"] == [{"start": 0, "end": 1, "weight": 0.2}, {"start": 2, "end": 6, "weight": 0.8}]
    assert (blank["label"], blank["spans"]) == ("", [])


def test_more_words_than_are_weighed(ran):
    _, out, err = ran("plain", "--explain", stdin="film " * 150)
    assert out.count("film") == 100
    assert err == "textkit: warning: 1 line had more than 100 words: only so many were weighed\n"


def test_colours_of_words():
    line = "good \x1b[31mbad"
    text = colored(line, [(0, 4, 1.0), (5, 13, -0.45), (4, 5, 0.01)], Screen(80, "color", "truecolor"))
    assert text == "\x1b[97;48;2;8;81;156mgood\x1b[0m \x1b[30;48;2;253;141;60m?[31mbad\x1b[0m"
    text = colored(line, [(0, 4, 1.0), (5, 13, -0.45)], Screen(80, "color", "256"))
    assert text == "\x1b[97;48;5;25mgood\x1b[0m \x1b[30;48;5;208m?[31mbad\x1b[0m"
    assert colored("a b", [(0, 1, 0.0), (2, 3, 0.0)], Screen(80, "color", "truecolor")) == "a b"
    long = "word " * 100
    assert colored(long, [], Screen(80, "color", "truecolor")) == long  # a line stays a line


# --- textkit attention ------------------------------------------------------------------------------------------------


def test_the_attention_of_a_classifier(models, call):
    code, out, err = call(
        "attention", "-m", models / "attends", "--format", "jsonl", "Very good, film", "--device", "cpu"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["source"], found["target"]) == (["Very", "good", ",", "film"], ["pos"])
    assert found["weights"][0] == pytest.approx([0.25, 0.5, 0.125, 0.125])
    out = call("attention", "-m", models / "attends", "--pieces", "Very good")[1]
    assert out.splitlines() == ["     very good", "pos    33   67", "share of the attention  in percent"]
    out = call("attention", "-m", models / "attends", "--format", "jsonl", stdin="\ngood\n")[1]
    assert [json.loads(line)["target"] for line in out.splitlines()] == [[], ["pos"]]


@pytest.mark.parametrize(
    ("model", "line", "wanted"),
    [
        (
            "words",
            "xyz good xyz film",
            {"xyz": 0, "good": 0.8, "film": 0.2},
        ),  # a word that is not in the table has no id
        ("spelled", "good badly film", {"good": 4 / 7, "badly": 2 / 7, "film": 1 / 7}),  # and this one has two
        (
            "short",
            "good film bad not",
            {"<unk>": 1 / 8, "good": 4 / 8, "film": 1 / 8, "very": 2 / 8},
        ),  # cut before "bad"
    ],
)
def test_pieces_have_their_own_shares(models, line, model, wanted):
    found = Attention(models / model, "cpu", 1, pieces=True)(line)
    assert dict(zip(found.source, found.weights[0].tolist(), strict=True)) == pytest.approx(wanted)


def test_a_model_is_loaded_where_python_leaves_out_assertions(models, monkeypatch):
    names: dict[str, Any] = {"__name__": attention.__name__}
    exec(compile(Path(attention.__file__).read_text(), attention.__file__, "exec", optimize=1), names)
    found = names["Attention"](models / "attends", "cpu", 1)
    asked = []
    monkeypatch.setattr(Classifier, "session", property(lambda own: asked.append(own) or SimpleNamespace(device="cpu")))
    found.load()
    assert asked == [found.classifier]


@pytest.mark.parametrize(
    ("model", "args", "code", "said"),
    [
        ("plain", [], 1, "the model has no attention; textkit classify --explain weighs words by leaving them out"),
        ("words", [], 1, "its rule does not say where tokens are; --pieces shows them"),
        ("attends", ["--head", "1"], 2, "labels lines, and has one weight for each word"),
        ("attends", ["--kind", "encoder"], 2, "labels lines, and has one weight for each word"),
        ("attends", ["--target", "x"], 2, "--target: is for a translation"),
        ("vectors", [], 1, "a model for 'embed', not for 'translate' or 'classify'"),
    ],
)
def test_attention_that_is_not_there(models, call, model, args, code, said):
    found, out, err = call("attention", "-m", models / model, "good", *args)
    assert (found, out) == (code, "")
    assert said in err
