"""BLEU and chrF: by hand, as sacrebleu computes them, of files in each layout; and `textkit evaluate` with a whole model."""

from __future__ import annotations

import gzip
import json
import math
import sys

import pytest
import sacrebleu
from small_translator import write_translator

from textkit.errors import TextkitError, UsageError
from textkit.tasks.translate.evaluation import Scorer, read_tests

FOUND = ["the cat sat on the mat", "a dog"]
REFERENCES = [["the cat sat on a mat", "the cat is on the mat"], ["a dog"]]


def test_what_is_right_is_100_and_what_is_wrong_0():
    right = Scorer(["bleu", "chrf"])(
        ["der Hund sieht die Katze .", "ein Mann"], [["der Hund sieht die Katze ."], ["ein Mann"]]
    )
    assert [figure.value for figure in right] == pytest.approx([100, 100])
    assert [(figure.metric, figure.lines, figure.references) for figure in right] == [("bleu", 2, 2), ("chrf", 2, 2)]
    wrong = Scorer(["bleu", "chrf"])(["xxx yyy zzz xyz"], [["der Hund bellt laut"]])
    assert [figure.value for figure in wrong] == [0, 0]


def test_bleu_by_hand():
    # The reference has all of 6 words, 4 of 5 pairs, 3 of 4 triples, 2 of 3 quadruples. Equal length: no penalty.
    (figure,) = Scorer()(["a b c d e f"], [["a b c d e x f"]])
    precisions = [6 / 6, 4 / 5, 3 / 4, 2 / 3]
    penalty = math.exp(1 - 7 / 6)
    assert figure.value == pytest.approx(100 * penalty * math.prod(precisions) ** 0.25)
    assert figure.detail["precisions"] == pytest.approx([100 * precision for precision in precisions])
    assert (figure.detail["length"], figure.detail["reference_length"]) == (6, 7)
    assert figure.detail["brevity_penalty"] == pytest.approx(penalty)


def test_as_sacrebleu_itself_with_references_of_unequal_number():
    bleu, chrf = Scorer(["bleu", "chrf"])(FOUND, REFERENCES)
    streams = [["the cat sat on a mat", "a dog"], ["the cat is on the mat", None]]
    assert bleu.value == sacrebleu.metrics.BLEU().corpus_score(FOUND, streams).score
    assert chrf.value == sacrebleu.corpus_chrf(FOUND, streams).score
    assert bleu.references == 3
    assert bleu.signature == f"nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert chrf.signature.startswith("nrefs:var|case:mixed|eff:yes|nc:6|nw:0")


def test_the_dev_score_of_a_training_is_the_same_figure():
    from textkit.tasks.translate.family import TranslationOptions
    from textkit.tasks.translate.scoring import bleu

    pairs = [("eins", REFERENCES[0][0]), ("zwei", REFERENCES[1][0]), ("eins", REFERENCES[0][1])]
    found = [FOUND[0], FOUND[1], "of a source that occurs again"]
    assert bleu(pairs, found, TranslationOptions()) == Scorer()(FOUND, REFERENCES)[0].value
    shouted = [text.upper() for text in found]
    assert bleu(pairs, shouted, TranslationOptions()) < 1
    assert bleu(pairs, shouted, TranslationOptions(lowercase=True)) == Scorer()(FOUND, REFERENCES)[0].value


def test_case_and_tokenizer():
    assert Scorer()(["THE CAT sat on"], [["the cat sat on"]])[0].value < 50
    lower = Scorer(["bleu", "chrf"], "char", True)(["THE CAT sat on"], [["the cat sat on"]])
    assert [figure.value for figure in lower] == pytest.approx([100, 100])
    assert "case:lc" in lower[0].signature
    assert "tok:char" in lower[0].signature


def test_what_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="--tokenize 13b: unknown; did you mean '13a'"):
        Scorer(tokenize="13b")
    with pytest.raises(UsageError, match="unknown metric 'blue'; did you mean 'bleu'"):
        Scorer(["blue"])
    with pytest.raises(UsageError, match="--tokenize: has no effect on chrf"):
        Scorer(["chrf"], "13a")
    with pytest.raises(TextkitError, match="1 translations and references for 2 lines"):
        Scorer()(["a"], [["a"], ["b"]])
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(TextkitError, match=r"need sacrebleu: pip install 'textkit-onnx\[train\]'"):
        Scorer()


def test_a_tsv_file_with_several_references(tmp_path):
    path = tmp_path / "test.tsv"
    path.write_text("go\tgeh\tCC-BY\n\nrun\tlauf\ngo\tgehe\nrun!\trenn\n")
    (test,) = read_tests([path])
    assert (test.sources, test.references) == (["go", "run", "run!"], [["geh", "gehe"], ["lauf"], ["renn"]])
    other = tmp_path / "other.tsv.gz"
    other.write_bytes(gzip.compress(b"a\tb\n"))
    assert [test.name for test in read_tests([path, other])] == [str(path), str(other)]


def test_line_aligned_files(tmp_path):
    for name, text in (
        ("en", "go\n\ngo\n"),
        ("de", "geh\n\tx\ngehe\n"),
        ("de2", "a\nb\nc\n"),
        ("short", "a\n"),
        ("no", "\n"),
    ):
        (tmp_path / name).write_text(text)
    (test,) = read_tests([tmp_path / "en", tmp_path / "de", tmp_path / "de2"])
    assert test.sources == ["go", "", "go"]
    assert test.references == [["geh", "a"], ["\tx", "b"], ["gehe", "c"]]
    with pytest.raises(TextkitError, match="en has 3 lines, .*short has 1: they do not belong together"):
        list(read_tests([tmp_path / "en", tmp_path / "short"]))
    with pytest.raises(UsageError, match="en: has no tab in its first line: give the file of its translations"):
        list(read_tests([tmp_path / "en"]))
    with pytest.raises(TextkitError, match="no: holds no data"):
        list(read_tests([tmp_path / "en", tmp_path / "no"]))


@pytest.mark.parametrize(
    ("line", "message"), [("x", "no tab"), ("\ty", "no text before"), ("x\t \tz", "no text after")]
)
def test_a_damaged_line_is_named(tmp_path, line, message):
    path = tmp_path / "test.tsv"
    path.write_text(f"a\tb\n{line}\n")
    with pytest.raises(TextkitError, match=f"test.tsv: line 2 has {message}"):
        list(read_tests([path]))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_translator(tmp_path_factory.mktemp("models") / "words")


def test_evaluate(call, model, tmp_path):
    source, target, pairs = tmp_path / "x.en", tmp_path / "x.de", tmp_path / "x.tsv"
    source.write_text("the dog sees a cat\nthe man runs home\n")
    target.write_text("der Hund sieht ein Katze\nder Mann läuft heim\n")
    code, out, error = call("evaluate", "-m", model, source, target)
    signature = f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert (code, error) == (0, "")
    assert out == f"bleu\t100.00\t2\t2\t{signature}\t{source} {target}\n"
    pairs.write_text("the dog runs\tdas Tier rennt\nthe dog runs\tder Köter läuft\nthe man\tder Kerl\n")
    code, out, _ = call(
        "evaluate",
        "-m",
        model,
        pairs,
        "--metric",
        "bleu,chrf",
        "--format",
        "jsonl",
        "--lowercase",
        "--tokenize",
        "none",
    )
    bleu, chrf = map(json.loads, out.splitlines())
    streams = [["das Tier rennt", "der Kerl"], ["der Köter läuft", None]]
    found = ["der Hund läuft", "der Mann"]
    expected = sacrebleu.metrics.BLEU(lowercase=True, tokenize="none").corpus_score(found, streams)
    assert (bleu["metric"], bleu["value"], bleu["lines"], bleu["references"]) == ("bleu", expected.score, 2, 3)
    assert bleu["data"] == str(pairs)
    assert "tok:none" in bleu["signature"]
    assert chrf["value"] == sacrebleu.metrics.CHRF(lowercase=True).corpus_score(found, streams).score
    code, _, error = call("evaluate", "-m", model, source, target, "--beam-size", 1, "-v", "--threads", 1)
    assert code == 0
    assert "2 lines in" in error


def test_evaluate_reads_stdin(call, model):
    code, out, _ = call("evaluate", "-m", model, "-", stdin="the dog\tder Hund\n")
    assert (code, out.split("\t")[2], out.split("\t")[-1]) == (0, "1", "-\n")


def test_evaluate_tells_of_what_was_cut(call, model):
    code, _, error = call("evaluate", "-m", model, "-", stdin="the dog " * 9 + "\tder Hund\n")
    assert code == 0
    assert "warning: 1 line held a sentence longer than the model takes; it was split" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "sts"), "is a model for 'translate', which has bleu, chrf, confidence; models for 'embed': "),
        (("--metric", "blue"), "did you mean 'bleu'"),
        (("--metric", "bleu,sts"), "several at a time are bleu,chrf"),
        (("--known-only",), "--known-only: has no effect on"),
        (("--restrict-vocab", "9"), "--restrict-vocab: has no effect on"),
        (("--tokenize", "x"), "--tokenize x: unknown"),
    ],
)
def test_evaluate_refuses(call, model, words, message):
    code, out, error = call("evaluate", "-m", model, "-", *words, stdin="a\tb\n")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error
