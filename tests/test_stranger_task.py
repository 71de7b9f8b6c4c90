"""A stranger's task: the code of docs/tasks.md, installed by pip as a separate distribution."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "tasks.md"
FILES = ["pyproject.toml"] + [
    f"textkit_tag/{name}.py" for name in ("task", "serving", "verbs", "corpus", "exporting", "family", "network")
]
WORDS = {"DET": ("the", "a"), "NOUN": ("dog", "cat", "duck"), "VERB": ("barks", "sees", "duck")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder for PYTHONPATH into which pip installed the page's files. Needs no network."""
    folder, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    # The paragraph before a file's code begins with its name.
    blocks = re.findall(
        r"^`([\w./]+)` [^`]*(?:`[^`\n]+`[^`]*)*\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert [name for name, _ in blocks] == FILES
    for name, code in blocks:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    (folder / "textkit_tag/__init__.py").write_text("")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", target, folder], check=True)
    return target


def textkit(installed: Path, *arguments: object, text: str | None = None, code: int = 0) -> str:
    """A command's stdout; or its stderr if it must end with a code other than 0."""
    done = subprocess.run(
        [sys.executable, "-m", "textkit", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(installed)}, input=text, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def columns(count: int, seed: int) -> str:
    """Sentences like `the dog barks`, in which `duck` is a noun after an article, and a verb after a noun."""
    random = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        kinds = ["DET", "NOUN", "VERB", "DET", "NOUN"][: random.choice([3, 5])]
        sentences.append("".join(f"{random.choice(WORDS[kind])}\t{kind}\n" for kind in kinds))
    return "\n".join(sentences)


@pytest.fixture(scope="module")
def model(installed, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (folder / "words.conll").write_text(columns(300, 1))
    (folder / "test.conll").write_text("# a comment\n" + columns(20, 2))
    train = ("train", "window-tagger", folder / "words.conll", "-o", folder / "run", "--set", "epochs=4", "-q")
    # One process for both, because both import torch.
    both = [list(map(str, train)), ["export-onnx", str(folder / "run"), "-o", str(folder / "model"), "-q"]]
    code = (
        "import json, sys; from textkit.cli import run; from textkit.cli.options import Messages\n"
        "sys.exit(any(run(words, Messages()) for words in json.loads(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, json.dumps(both)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(installed)}, check=True)
    return folder / "model"


@pytest.mark.slow
def test_a_line_in_is_a_line_out(installed, model):
    """The network also looks at the neighbours, which decide what `duck` is."""
    text = "the duck barks\n\na dog duck the cat\n  \nwombats\n"
    found = textkit(installed, "tag", "-m", model, text=text).split("\n")
    assert found[:4] == ["DET NOUN VERB", "", "DET NOUN VERB DET NOUN", ""]
    assert found[4] in ("DET", "NOUN", "VERB")
    assert found[5:] == [""]


@pytest.mark.slow
def test_a_verb_has_what_every_filter_has(installed, model, tmp_path):
    """Columns, JSON lines, records that cannot be read, -o, --threads: none of this is in the stranger's code."""
    rows = 'id,text\n1,the dog barks\n2,"a cat"\n'
    found = textkit(installed, "tag", "-m", model, "--input", "csv", "--column", "text", "--format", "jsonl", text=rows)
    assert [json.loads(line) for line in found.splitlines()] == [
        {"id": "1", "text": "the dog barks", "tags": ["DET", "NOUN", "VERB"]},
        {"id": "2", "text": "a cat", "tags": ["DET", "NOUN"]},
    ]
    bad = '{"text": "a dog"}\n{"tags": 1, "text": "a cat"}\nno JSON\n'
    skipping = ("--input", "jsonl", "--on-error", "skip", "-o", tmp_path / "out.jsonl", "--threads", "1", "-q")
    textkit(installed, "tag", "-m", model, *skipping, text=bad)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [record["tags"] for record in found] == [["DET", "NOUN"], ["DET", "NOUN"], None]
    assert found[1]["source_tags"] == 1
    assert "-m" in textkit(installed, "tag", text="a dog\n", code=2), "it has no default model"
    assert "--column" in textkit(installed, "tag", "-m", model, "--column", "2", text="", code=2)


def test_is_listed_among_the_verbs_with_its_help(installed):
    listed = textkit(installed, "--help")
    assert "  tag " in listed
    assert listed.index("  translate ") < listed.index("  tag ")
    assert "Label each word" in textkit(installed, "tag", "--help")
    assert "Label each word" in textkit(installed, "help", "tag")
    assert "accuracy" in textkit(installed, "evaluate", "--help")
    assert "did you mean 'tag'" in textkit(installed, "tga", code=2)


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--metric", "accuracy"]], ids=["by the model", "by the metric"])
def test_is_evaluated(installed, model, more):
    found = textkit(installed, "evaluate", "-m", model, model.parent / "test.conll", *more)
    metric, value, words, path = found.rstrip("\n").split("\t")
    assert (metric, path) == ("accuracy", str(model.parent / "test.conll"))
    assert float(value) > 0.95
    assert int(words) > 60
    record = json.loads(textkit(installed, "evaluate", "-m", model, path, "--format", "jsonl", *more))
    assert record["value"] == pytest.approx(float(value), abs=1e-4)


@pytest.mark.slow
def test_an_option_of_another_task_has_no_effect_on_it(installed, model):
    said = textkit(installed, "evaluate", "-m", model, model.parent / "test.conll", "--beam-size", "2", code=2)
    assert "--beam-size: has no effect" in said
    assert "models for 'embed'" in textkit(
        installed, "evaluate", "-m", model, model.parent / "test.conll", "--metric", "sts", code=2
    )


@pytest.mark.slow
def test_the_model_says_what_serves_it(model):
    manifest = json.loads((model / "manifest.json").read_text())
    assert (manifest["task"], manifest["served_by"]) == ("tag", "textkit-tag")
    assert manifest["labels"] == ["DET", "NOUN", "VERB"]
    assert manifest["plugin"] == {"name": "window-tagger", "version": "textkit-tag 0.1"}
    assert manifest["parity"]["max_relative"] <= manifest["parity"]["tolerance"]
    assert {score["metric"] for score in manifest["scores"]} == {"accuracy"}


@pytest.mark.slow
def test_without_the_package_one_line_says_which_is_missing(model, tmp_path):
    for command in (["embed"], ["evaluate", model.parent / "test.conll"], ["convert", model, tmp_path / "x.vec"]):
        option = [] if command[0] == "convert" else ["-m", model]
        said = textkit(tmp_path, *command, *option, text="", code=1)
        assert "task 'tag' is unknown to this textkit" in said
        assert "textkit-tag" in said
        assert said.count("\n") == 1
    listed = json.loads(textkit(tmp_path, "plugins", "--format", "json"))["plugins"]
    assert "window-tagger" not in {plugin["name"] for plugin in listed}


@pytest.mark.slow
def test_is_served_without_torch(installed, model):
    """From Python, also after pickling."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"import pickle, textkit; tagger = textkit.load({str(model)!r})\n"
        "print(tagger(['the duck barks', '']), pickle.loads(pickle.dumps(tagger))(['a cat']))"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)
    assert done.stdout == "[['DET', 'NOUN', 'VERB'], []] [['DET', 'NOUN']]\n"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.slow
def test_lower_precisions(installed, model, precision, tmp_path):
    textkit(installed, "export-onnx", model.parent / "run", "-o", tmp_path / "m", "--precision", precision, "-q")
    assert textkit(installed, "tag", "-m", tmp_path / "m", text="the duck barks\n") == "DET NOUN VERB\n"
    deviation = json.loads((tmp_path / "m/manifest.json").read_text())["parity"]["deviation"]
    assert 0 <= deviation["max_relative"] < 0.1


@pytest.mark.slow
def test_data_without_a_label_names_its_line(installed, tmp_path):
    (tmp_path / "bad.conll").write_text("the\tDET\ndog\n")
    said = textkit(installed, "train", "window-tagger", tmp_path / "bad.conll", "-o", tmp_path / "run", code=1)
    assert "bad.conll, line 2: has no label" in said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('it needs a part')", "it needs a part"),
        pytest.param("TASK = 3", "is no textkit.task.Task", marks=pytest.mark.slow),
        pytest.param("import os; os._exit(7)", "broken", marks=pytest.mark.slow),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        pytest.param(
            "import dataclasses; from textkit.task_registry import tasks\n"
            "TASK = dataclasses.replace(tasks.get('embed'), name='tag', graphs=None)",
            "NoneType",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "import dataclasses; from textkit.task_registry import tasks\n"
            "TASK = dataclasses.replace(tasks.get('embed'), name='other')",
            "calls itself 'other'",
            marks=pytest.mark.slow,
        ),
        (
            "import dataclasses; from textkit.task_registry import tasks\n"
            "TASK = dataclasses.replace(tasks.get('embed'), name='tag', settings="
            "{'pooling': tasks.get('embed').settings['pooling'].with_default('sum')})",
            "pooling='sum'",
        ),
    ],
    ids=[
        "raises",
        "is no record",
        "ends the process",
        "crashes",
        "holds nothing",
        "has another name",
        "serves with what it may not state",
    ],
)
def test_one_that_is_broken_stops_nothing_else(installed, code, said, tmp_path):
    metadata = next(installed.glob("*.dist-info"))
    (tmp_path / metadata.name).mkdir()
    for file in ("METADATA", "entry_points.txt"):
        (tmp_path / metadata.name / file).write_bytes((metadata / file).read_bytes())
    (tmp_path / "textkit_tag").mkdir()
    (tmp_path / "textkit_tag/__init__.py").write_text("")
    (tmp_path / "textkit_tag/task.py").write_text(code + "\n")
    assert textkit(tmp_path, "classify", text="Guten Tag zusammen\n") == "de\n"
    assert "  translate " in textkit(tmp_path, "--help")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "textkit", "doctor", "--format", "json"]
    found = json.loads(subprocess.run(command, env=environment, capture_output=True, check=False).stdout)
    broken = [finding for finding in found["findings"] if finding["about"] == "task tag"]
    assert broken[0]["state"] == "broken"
    assert said in broken[0]["what"]
