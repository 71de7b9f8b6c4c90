"""Teachers that translate: which of their translations is taken, pairs that grow and go on, the student's size, the verb."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_translator import write_translator

from textkit.errors import TextkitError, UsageError
from textkit.tasks.translate import choosing, distilling, student
from textkit.tasks.translate.choosing import best
from textkit.tasks.translate.distilling import Distillation, Done, Teaching, opened
from textkit.tasks.translate.serving.translations import Translation
from textkit.verbs.distill_translations import translates

LINES = ["the dog sees a cat.", "", "a man runs home.", "the cat runs", "a dog", "the man sees the dog!", "a cat"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    return write_translator(tmp_path_factory.mktemp("teacher") / "model")


def test_the_candidate_like_the_reference_or_like_the_others():
    found = ["Er geht heim.", "Er geht nach Hause.", "Sie geht nach Hause.", "Die Toilette."]
    assert best(found, "Er geht heim!") == 0
    assert best(found, "Sie gehen nach Hause.") == 2
    assert best(found) == 1  # the likest to all others
    assert best([*found, *found[3:], *found[3:]]) == 3  # three say the same
    assert best(["x", "x"]) == best(["x"]) == best(["x", "y"], "z") == 0


def pairs_of(distillation: Distillation) -> list[str]:
    return distillation.pairs.read_text().splitlines()


def test_each_line_with_its_translation(teacher, tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("".join(f"{line}\n" for line in LINES))
    made = Distillation(tmp_path / "made", Teaching((str(teacher),), (str(text),)), "cpu", 1)
    made.begin({})
    assert list(made.run())[-1] == Done(6, 6, 0, made.pairs.stat().st_size, 6)
    assert pairs_of(made)[:2] == [
        "the dog sees a cat.\tder Hund sieht ein Katze.",
        "a man runs home.\tein Mann läuft heim.",
    ]
    assert list(made.run()) == []  # nothing is left to do


def test_of_several_the_one_like_the_reference(teacher, tmp_path):
    text = tmp_path / "pairs.tsv"
    text.write_text("the dog sees.\tdie Hund sieht.\tx\na cat\teine Mieze\nthe man\n")
    options = Teaching((str(teacher),), (str(text),), n_best=8, beam_size=8)
    made = Distillation(tmp_path / "made", options, "cpu", 1)
    made.begin({})
    list(made.run())
    # The teacher prefers "der" and "ein"; it finds the reference's words among its other translations.
    assert pairs_of(made)[0] == "the dog sees.\tdie Hund sieht."
    assert pairs_of(made)[1] == "a cat\teine Mieze"
    both = Distillation(tmp_path / "both", Teaching((str(teacher),), (str(text),), references=True), "cpu", 1)
    both.begin({})
    list(both.run())
    assert pairs_of(both)[:2] == ["the dog sees.\tder Hund sieht.", "the dog sees.\tdie Hund sieht."]
    assert len(pairs_of(both)) == 5


def test_it_goes_on_behind_the_last_lines_that_are_done(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(distilling, "AT_ONCE", 2)
    text = tmp_path / "lines.txt"
    text.write_text("".join(f"{line}\n" for line in LINES))
    teaching = Teaching((str(teacher), str(teacher)), (str(text),))
    whole = Distillation(tmp_path / "whole", teaching, "cpu", 1)
    whole.begin({})
    list(whole.run())
    broken = Distillation(tmp_path / "broken", teaching, "cpu", 1)
    broken.begin({"seed": 3})
    assert next(broken.run()).lines == 2
    with broken.pairs.open("a") as file:
        file.write("half a pair, written as the power went")
    again, recipe = opened(tmp_path / "broken", "cpu", 1)
    assert recipe == {"seed": 3}
    again.unchanged()
    asked = []
    for one in again.teachers:
        monkeypatch.setattr(one, "translate", lambda lines, run=one.translate: asked.append(list(lines)) or run(lines))
    assert [done.lines for done in again.run()] == [4, 6]
    assert [lines[0] for lines in asked] == ["the cat runs"] * 2 + ["the man sees the dog!"] * 2
    assert again.pairs.read_bytes() == whole.pairs.read_bytes()
    text.write_text("another text\n")
    with pytest.raises(TextkitError, match=r"lines\.txt: is not what the run began with"):
        again.unchanged()
    (tmp_path / "broken" / "plan.json").write_text('{"teaching": {"teachers": 1}, "recipe": {}}')
    with pytest.raises(TextkitError, match="damaged"):
        opened(tmp_path / "broken", "cpu", 1)


def test_doubtful_translations_are_left_out(teacher, tmp_path, monkeypatch):
    text = tmp_path / "lines.txt"
    text.write_text("the dog\na cat sees a cat sees a cat sees\n")
    made = Distillation(tmp_path / "made", Teaching((str(teacher),), (str(text),)), "cpu", 1)
    monkeypatch.setattr(distilling, "loops", lambda text, source: text.startswith("der"))
    made.begin({})
    assert list(made.run())[-1].doubtful == 1
    assert [pair.split("\t")[0] for pair in pairs_of(made)] == ["a cat sees a cat sees a cat sees"]
    monkeypatch.setattr(distilling, "loops", lambda text, source: True)
    none = Distillation(tmp_path / "none", made.teaching, "cpu", 1)
    none.begin({})
    with pytest.raises(TextkitError, match="no line has a translation that is beyond doubt"):
        list(none.run())


def test_words_said_twice_at_once_are_not_taught():
    source = "He is coming on Friday."
    assert distilling._sound(Translation("Er kommt am Freitag."), source) == "Er kommt am Freitag."
    assert distilling._sound(Translation("Er kommt am Freitag am Freitag."), source) == ""


def test_what_cannot_work_is_said_at_once(teacher, tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("the dog\n")
    with pytest.raises(UsageError, match="n_best=3: is more than beam_size=2 finds"):
        Distillation(tmp_path / "x", Teaching((str(teacher),), (str(text),), n_best=3), "cpu", 1)
    with pytest.raises(TextkitError, match=r"none\.txt"):
        Distillation(tmp_path / "x", Teaching((str(teacher),), (str(tmp_path / "none.txt"),)), "cpu", 1)
    with pytest.raises(TextkitError, match="'embed', not for 'translate'"):
        Distillation(tmp_path / "x", Teaching(("en-words",), (str(text),)), "cpu", 1)
    assert translates(str(teacher))
    assert not translates("en-words")


def test_a_student_fills_its_size():
    """Measured: 6 and 1 layers take 10.35 MB, 6 and 2 take 11.3, with 256 channels and 8,000 pieces in int8."""
    for decoder, measured in ((1, 10_350_391), (2, 11_304_847)):
        options = {"encoder_layers": 6, "decoder_layers": decoder, "decoder_autoreg": "ssru", "vocab_size": 8000}
        assert student.size(256, options) == pytest.approx(measured, rel=0.03)
    assert student.plan(12)["dim"] == 256
    assert student.plan(12) == {
        "encoder_layers": 6, "decoder_layers": 2, "decoder_autoreg": "ssru", "vocab_size": 8000, "heads": 4, "dim": 256,
        "feedforward": 1024,
    }  # fmt: skip
    assert student.plan(12, layers=12)["dim"] < student.plan(12)["dim"] < student.plan(30)["dim"]
    assert student.plan(12, given={"vocab_size": "1000"})["dim"] > 256
    assert "dim" not in student.plan(12, given={"dim": "96"})
    kept = student.plan(
        12, teacher={"source_language": "en", "sentinels": 16, "augment": "keep", "dropout": 0.3, "lowercase": False}
    )
    assert (kept["source_language"], kept["sentinels"], kept["augment"]) == ("en", 16, "keep")
    assert not {"dropout", "lowercase"} & kept.keys()
    assert "sentinels" not in student.plan(12, given={"augment": ""}, teacher={"sentinels": 16, "augment": "keep"})
    with pytest.raises(UsageError, match=r"--max-mb 1: the smallest student takes"):
        student.plan(1)


TINY = ["--set", "max_steps=2", "--set", "dim=8", "--set", "heads=2", "--set", "feedforward=8", "--set", "encoder_layers=1",
        "--set", "decoder_layers=1", "--set", "tokenizer=word", "--set", "min_count=1", "--set", "score=loss"]  # fmt: skip


def test_the_verb_translates_and_trains(teacher, tmp_path, call, monkeypatch):
    text, run = tmp_path / "lines.txt", tmp_path / "run"
    text.write_text("".join(f"{line}\n" for line in LINES * 8))
    monkeypatch.setattr(distilling, "AT_ONCE", 8)
    made = Distillation._made

    def stops(self, lines):
        if self.done.lines >= 16:
            raise KeyboardInterrupt
        return made(self, lines)

    monkeypatch.setattr(Distillation, "_made", stops)
    command = ["distill", teacher, text, "-o", run, "--threads", 1, *TINY]
    code, _, err = call(*command)
    assert code == 130
    assert f"16 lines are translated; go on with: textkit distill -o {run} --resume" in err
    assert sorted(path.name for path in run.iterdir()) == ["distilled"]
    code, _, err = call(*command)
    assert (code, "exists; give another folder, or --resume" in err) == (2, True)
    monkeypatch.setattr(Distillation, "_made", made)
    code, _, err = call("distill", "-o", run, "--resume", "--threads", 1)
    assert code == 0, err
    assert "48 pairs of 48 lines" in err
    assert "trained in" in err
    record = json.loads((run / "run.json").read_text())
    assert record["plugin"] == "transformer"
    assert record["complete"]
    assert record["config"]["decoder_autoreg"] == "ssru"
    assert record["data"][0]["file"] == str(run / "distilled" / "pairs.tsv")
    assert record["command"][1] == "distill"
    code, _, err = call("distill", "-o", run, "--resume")
    assert (code, "complete already" in err) == (0, True)
    second = tmp_path / "second"
    code, _, err = call("distill", teacher, text, "-o", second, "--init", run, "--layers", 2, "--set", "max_steps=2")
    assert code == 0, err
    record = json.loads((second / "run.json").read_text())
    options = {key: record["config"][key] for key in ("dim", "encoder_layers", "decoder_layers", "decoder_autoreg")}
    assert options == {"dim": 8, "encoder_layers": 2, "decoder_layers": 1, "decoder_autoreg": "ssru"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["TEACHER"], "missing argument TEXT"),
        (["TEACHER", "TEXT", "--static"], "--static: is for models that embed"),
        (["TEACHER", "TEXT", "--config", "x.toml", "--layers", "3"], "--layers: has no effect with --config"),
        (["TEACHER", "TEXT", "--set", "dim=7"], "dim=7"),
        (["en-sentences", "TEXT", "--n-best", "2"], "--n-best: is for teachers that translate"),
        (["en-sentences", "TEXT", "--init", "en-de"], "--init: is for teachers that translate"),
        (["TEACHER", "TEXT", "--init", "en-words"], "--init en-words: is no model that translates"),
        (["TEACHER", "TEXT", "--init", "en-de", "--max-mb", "5"], "--max-mb: has no effect with --init"),
        (["TEACHER", "TEXT", "--init", "en-de", "--set", "dim=64"], "with these options it would be [8000, 64]"),
        (["TEACHER", "TEXT", "--encoding", "cp1252"], "--encoding: is for models that embed"),
        (["--teacher", "TEACHER", "--teacher", "en-words", "TEXT"], "not for 'translate'"),
    ],
)
def test_the_verb_refuses(words, said, teacher, tmp_path, call):
    text = tmp_path / "lines.txt"
    text.write_text("the dog\n")
    words = [{"TEACHER": teacher, "TEXT": text}.get(word, word) for word in words]
    code, out, err = call("distill", *words, "-o", tmp_path / "run")
    assert (code in (1, 2), out, len(err.splitlines())) == (True, "", 1), err
    assert said in err
    assert not (tmp_path / "run").exists()


def test_choosing_imports_nothing_heavy():
    imports = f"import sys, {choosing.__name__}, {student.__name__}"
    code = f"{imports}; print({{'torch', 'sacrebleu', 'onnxruntime'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
