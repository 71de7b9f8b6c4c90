"""`textkit export-onnx` as people type it: what it writes, and the one line that each mistake gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from textkit.bundle import bundle
from textkit.corpora.corpus import Corpus
from textkit.registry import registry
from textkit.training.run import Run
from textkit.training.trainer import train

TOYS = Path(__file__).parent / "training_toys.py"


@contextmanager
def registry_as_it_was() -> Iterator[None]:
    before = list(registry._files)
    try:
        yield
    finally:
        registry._files, registry._entries = before, None
        registry._instances.pop("toy-fit", None)


@pytest.fixture(autouse=True)
def no_toys_left(trained) -> Iterator[None]:
    with registry_as_it_was():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "lines.txt").write_text("a b c\nb c\n\nc a\n")
    files, command = [folder / "lines.txt"], ["textkit", "train", "x"]
    with registry_as_it_was():
        registry.add_file(TOYS)
        plugin = registry.get("toy-fit")
        run = Run.create(folder / "run", plugin, plugin.Config(), plugin.training, 1, files, command=command)
        list(train(run, Corpus(files), device="cpu", threads=1))
    return folder / "run"


@pytest.fixture
def textkit(call) -> Callable[..., tuple[int, str]]:
    def textkit(*words: object) -> tuple[int, str]:
        code, out, said = call(*words)
        assert out == ""
        return code, said

    return textkit


def test_writes_a_model_and_says_nothing(textkit, trained, tmp_path):
    words = ("export-onnx", trained, "-o", tmp_path / "m", "--plugin", TOYS, "--precision", "fp16", "--name", "letters")
    assert textkit(*words, "--license", "CC0-1.0", "--data-note", "made by hand") == (0, "")
    manifest = bundle.read(tmp_path / "m", "embed").manifest
    assert (manifest.name, manifest.precision, manifest.licence) == ("letters", "fp16", "CC0-1.0")
    assert manifest.data[0].keys() == {"file", "bytes", "sha256"}
    assert manifest.data[-1] == {"note": "made by hand"}
    assert manifest.made["command"] == "textkit train x"
    assert manifest.made["export"].startswith("textkit export-onnx ")
    assert manifest.plugin == {"name": "toy-fit", "version": "training_toys.py"}
    assert str(tmp_path) not in json.dumps(manifest.plugin)


def test_verbose_names_the_folder(textkit, trained, tmp_path):
    code, said = textkit("export-onnx", trained, "-o", tmp_path / "m", "--plugin", TOYS, "-v")
    assert (code, said) == (0, f"textkit: wrote {tmp_path / 'm'}\n")


def test_a_model_is_replaced_only_on_request(textkit, trained, tmp_path):
    words = ("export-onnx", trained, "-o", tmp_path / "m", "--plugin", TOYS)
    assert textkit(*words)[0] == 0
    before = (tmp_path / "m" / "manifest.json").read_bytes()
    code, said = textkit(*words, "--name", "other")
    assert code == 1
    assert said == f"textkit: {tmp_path / 'm'}: holds a model already; --overwrite replaces it\n"
    assert (tmp_path / "m" / "manifest.json").read_bytes() == before
    assert textkit(*words, "--name", "other", "--overwrite") == (0, "")
    assert bundle.read(tmp_path / "m").manifest.name == "other"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere", "-o", "m"], 1, "nowhere: no such training run"),
        ([".", "-o", "m"], 1, ".: is no training run (it has no run.json)"),
        (["RUN", "-o", "m"], 2, "plugin 'toy-fit' is not installed; name the file it is in with --plugin"),
        (["RUN", "-o", "m", "--plugin", "nowhere.py"], 2, "nowhere.py: no such file"),
        (
            ["RUN", "-o", "m", "--plugin", "TOYS", "--precision", "int4"],
            2,
            "'int4' is not one of 'fp32', 'fp16', 'int8'",
        ),
        (["RUN", "-o", "m", "--plugin", "TOYS", "--name", "a/b"], 2, "--name a/b: use letters"),
        (["RUN", "-o", "a b", "--plugin", "TOYS"], 2, "-o a b: its last part cannot name a model"),
        (["RUN", "-o", "full", "--plugin", "TOYS"], 1, "full: exists and is not a model's folder; it is left alone"),
        (["RUN", "-o", "file", "--plugin", "TOYS"], 1, "file: exists and is not a folder"),
        (["RUN", "--plugin", "TOYS"], 2, "Missing option '-o'"),
        (["file", "-o", "m"], 1, "file: is no training run (it has no run.json)"),
        ([], 2, "Missing argument 'RUN'"),
    ],
)
def test_mistakes_get_one_line(textkit, trained, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    words = [{"RUN": str(trained), "TOYS": str(TOYS)}.get(word, word) for word in words]
    got, said = textkit("export-onnx", *words)
    assert got == code
    assert message.lower() in said.lower()
    assert said.startswith("textkit: ")
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
