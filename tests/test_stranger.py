"""A stranger's plugins: the code of docs/plugins.md, installed by pip as a separate distribution or named as a file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "plugins.md"
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with the page's files."""
    folder = tmp_path_factory.mktemp("source")
    # The paragraph before a file's code begins with its name.
    blocks = re.findall(
        r"^`([\w./]+)` [^`]*(?:`[^`\n]+`[^`]*)*\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert [name for name, _ in blocks] == [
        "pyproject.toml", "textkit_neighbours/__init__.py", "textkit_neighbours/network.py", "textkit_reader.py",
    ]  # fmt: skip
    for name, code in blocks:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    return folder


@pytest.fixture(scope="module")
def installed(written, tmp_path_factory) -> Path:
    """A folder for PYTHONPATH into which pip installed the page's first three files. Needs no network."""
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", target, written], check=True)
    return target


def textkit(installed: Path, *arguments: object, text: str | None = None, code: int = 0) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-m", "textkit", *map(str, arguments)],
        env=environment, input=text, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def model(installed, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    random = np.random.default_rng(5)
    corpus = folder / "corpus.txt"
    starts = random.integers(0, 10, 400)  # lines count upwards, so that its neighbours determine a word
    corpus.write_text("".join(f"{' '.join(WORDS[(start + at) % 10] for at in range(6))}\n" for start in starts))
    textkit(
        installed, "train", "neighbours", corpus, "-o", folder / "run", "--set", "dim=16", "--set", "batch_size=8", "-q"
    )
    textkit(installed, "export-onnx", folder / "run", "-o", folder / "model", "--license", "CC0-1.0")
    return folder / "model"


def test_is_discovered_beside_the_built_in_ones(installed):
    listed = {
        plugin["name"]: plugin for plugin in json.loads(textkit(installed, "plugins", "--format", "json"))["plugins"]
    }
    assert {"neighbours", "word2vec", "glove", "fasttext", "ppmi-svd"} <= listed.keys()
    assert listed["neighbours"]["source"] == "textkit-neighbours 0.3"
    assert listed["neighbours"]["task"] == "embed"
    assert listed["neighbours"]["problem"] is None


def test_listing_it_imports_no_torch(installed):
    program = (
        "import sys; from textkit.registry import registry; list(registry.describe()); "
        "print('neighbours' in registry.names(), 'torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, text=True, capture_output=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.slow  # test_stranger_task.py trains and exports a family of a stranger, too
def test_learnt_something(model):
    run = json.loads((model.parent / "run" / "run.json").read_text())
    assert run["complete"]
    # Of ten equally likely words a model that knows nothing has a loss of ln 10 = 2.30; the neighbours determine each.
    assert run["facts"]["dev_score"]["value"] < 1


@pytest.mark.slow
def test_model_names_its_plugin_and_licence(model):
    manifest = json.loads((model / "manifest.json").read_text())
    assert manifest["plugin"] == {"name": "neighbours", "version": "textkit-neighbours 0.3"}
    assert manifest["licence"] == "CC0-1.0"
    assert manifest["parity"]["against"] == "torch"
    assert manifest["parity"]["max_relative"] <= manifest["parity"]["tolerance"]
    assert manifest["data"][0]["file"] == "corpus.txt"
    assert [score["data"] for score in manifest["scores"]] == ["dev lines", "test lines"]
    assert str(model.parent) not in json.dumps(manifest["data"])


@pytest.mark.slow
def test_is_served_without_the_plugin(model, tmp_path):
    """Only textkit is on the path, not the plugin; and a line in is a line out."""
    lines = "one two three\n\nfour\nunheard-of\n"
    vectors = [
        list(map(float, line.split())) for line in textkit(tmp_path, "embed", "-m", model, text=lines).splitlines()
    ]
    assert [len(vector) for vector in vectors] == [16] * 4
    assert [np.linalg.norm(vector) for vector in vectors] == pytest.approx([1, 0, 1, 0], abs=1e-5)


def test_unknown_where_it_is_not_installed(tmp_path):
    textkit(tmp_path, "train", "neighbours", "x.txt", "-o", tmp_path / "run", code=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # 40 s: separate commands train, export and serve
def test_one_file_that_translates(written, tmp_path):
    """Trained and exported with --plugin, served without it: the model has learnt each word's translation."""
    german = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"]
    random = np.random.default_rng(5)
    picked = [random.integers(0, 10, random.integers(1, 5)) for _ in range(600)]
    pairs = [" ".join(WORDS[at] for at in line) + "\t" + " ".join(german[at] for at in line) for line in picked]
    (tmp_path / "pairs.tsv").write_text("\n".join(pairs) + "\n")
    plugin = ("--plugin", written / "textkit_reader.py")
    options = [f"--set={option}" for option in ("tokenizer=word", "dim=32", "batch_tokens=256", "max_tokens=16")]
    textkit(tmp_path, "train", "reader", tmp_path / "pairs.tsv", "-o", tmp_path / "run", *plugin, *options, "-q")
    textkit(tmp_path, "export-onnx", tmp_path / "run", "-o", tmp_path / "model", *plugin, "-q")
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["plugin"]["name"] == "reader"
    assert [score["metric"] for score in manifest["scores"]] == ["bleu", "bleu"]
    text = "three\n\nfive eight\nten one seven\n"
    found = textkit(tmp_path, "translate", "-m", tmp_path / "model", text=text).split("\n")
    assert found == ["drei", "", "fünf acht", "zehn eins sieben", ""]
