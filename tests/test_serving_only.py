"""Serving needs the exported folder and no training library: every default model serves where those cannot be imported.

CI runs this file a second time in an environment that `pip install .` alone has made.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from textkit.bundle import places
from textkit.task_registry import tasks

BARRED = (
    "torch", "onnx", "onnxscript", "transformers", "scipy", "numba", "safetensors", "zstandard", "sacrebleu", "matplotlib",
    "sentencepiece",
)  # fmt: skip
# A finder before all others refuses the barred modules; then the command runs as the console script runs it.
RUN = f"""
import sys

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BARRED!r}:
            raise ModuleNotFoundError(f"{{name}} is barred in this test", name=name)

sys.meta_path.insert(0, Barred())
from textkit.cli import main
main()
"""


def textkit(*arguments: str, text: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], input=text.encode(), capture_output=True, timeout=120
    )


def test_the_bar_holds() -> None:
    code = RUN.replace("from textkit.cli import main\nmain()", "import torch")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"barred in this test" in done.stderr


TEXT = "A cat.\n\nпривет, 世界 🙂\n"


def test_search_needs_no_training_library(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("We give your money back.\nError E1042 was shown.\n")
    index = str(tmp_path / "index")
    done = textkit("index", str(tmp_path / "lines.txt"), "-o", index)
    assert (done.returncode, done.stderr) == (0, b"")
    for query, line in (("get a refund", b":1:"), ("e1042", b":2:")):
        done = textkit("search", query, index, "-k", "1")
        assert (done.returncode, done.stderr) == (0, b"")
        assert line in done.stdout


@pytest.mark.parametrize("verb", ["classify", "generate"])
def test_a_first_answer_does_not_wait_for_numpy_ma(verb: str) -> None:
    """It takes 40 ms, and functions such as numpy.unique import it. Old versions of numpy always do."""
    code = f"import sys, numpy; before = 'numpy.ma' in sys.modules\n{RUN}"
    code = code.replace(
        "main()", "try: main()\nfinally: print('numpy.ma' in sys.modules and not before, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, verb], input=b"A cat.\n", capture_output=True, timeout=120)
    assert done.stdout
    assert done.stderr == b"False\n"


@pytest.mark.parametrize("verb", ["classify", "embed", "generate", "score", "translate"])
def test_default_models_serve(verb: str) -> None:
    done = textkit(verb, text=TEXT)
    assert done.returncode == 0, done.stderr
    doubted = verb == "translate" and b"1 line is doubtful" in done.stderr  # en-de knows no Russian
    assert done.stderr == b"" or doubted
    assert len(done.stdout.decode().split("\n")) == 4


def test_the_default_translator_knows_a_simple_sentence() -> None:
    done = textkit("translate", text="I am going home.\n\nThank you!\n")
    first, blank, last, end = done.stdout.decode().split("\n")
    assert "Haus" in first
    assert (blank, end) == ("", "")
    assert "dank" in last.lower()


def test_every_task_has_a_default_model() -> None:
    for task in tasks.own():
        assert (places.package_folder() / str(task.default_model)).is_dir(), task.name


def test_the_default_language_model_tells_english_from_a_heap_of_words() -> None:
    done = textkit("score", text="I am going home.\nHome going am I.\n\n")
    english, heap, blank = (line.split("\t") for line in done.stdout.decode().splitlines())
    assert float(english[2]) < float(heap[2]) / 3, "perplexity"
    assert int(blank[1]) == 1, "a blank line is its end alone"
    more = textkit("generate", "--temperature", "0", "--max-tokens", "8", text="He is a good\n")
    (line,) = more.stdout.decode().splitlines()
    assert len(line.split()) > 4
    assert line.startswith("He is a good")


def test_the_default_vectors_are_what_they_are() -> None:
    done = textkit("embed", text=TEXT)
    vectors = np.array([line.split() for line in done.stdout.decode().splitlines()], np.float32)
    assert vectors.shape == (3, 384)
    assert np.abs(vectors[0]).max() > 0.01
    assert not vectors[1].any()


def test_the_vector_verbs_need_no_training_library() -> None:
    near = textkit("nearest", "-k", "2", "music")
    assert near.returncode == 0, near.stderr
    assert [line.split("\t")[0] for line in near.stdout.decode().splitlines()] == ["music", "music"]
    assert textkit("analogy", "walk", "walked", "jump").stdout.split(b"\t")[3] == b"jumped"


def test_the_verbs_that_look_around_need_none_either(tmp_path: Path) -> None:
    models = json.loads(textkit("models", "--format", "json").stdout)["models"]
    assert any(model["name"] == "en-words" for model in models)
    plugins = json.loads(textkit("plugins", "--format", "json").stdout)["plugins"]
    assert {"word2vec", "glove", "fasttext", "ppmi-svd"} <= {plugin["name"] for plugin in plugins}


def test_training_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    corpus = tmp_path / "text"
    corpus.write_text("a b a b a b a b a b\n" * 20)
    done = textkit("train", "word2vec", str(corpus), "-o", str(tmp_path / "run"))
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"textkit: ")
    assert b"textkit-onnx[train]" in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_environment_made_for_serving_has_no_training_library() -> None:
    """This is tested in CI's second run; in the first one torch is installed."""
    try:
        importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        for library in BARRED:
            with pytest.raises(importlib.metadata.PackageNotFoundError):
                importlib.metadata.version(library)
    else:
        pytest.skip("torch is installed here")
