"""Errors name arguments if textkit is called from Python, and options if it is called from a command line."""

from __future__ import annotations

import pytest

import textkit
from textkit.arguments import in_arguments, of_a_command_line


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("-m en-du: unknown model; did you mean 'en-de'?", "model=en-du: unknown model; did you mean 'en-de'?"),
        ("--precision fp4: unknown; did you mean 'fp16'?", "precision=fp4: unknown; did you mean 'fp16'?"),
        ("-o a/b: exists; give another folder, or --resume to go on with this run",
         "output=a/b: exists; give another folder, or resume=True to go on with this run"),
        ("x: holds a model already; --overwrite replaces it", "x: holds a model already; overwrite=True replaces it"),
        ("--set epochs=x: is no whole number", "options: epochs=x: is no whole number"),
        ("name one with -m or TEXTKIT_MODEL_TAG", "name one with model or TEXTKIT_MODEL_TAG"),
        ("leave rare words out with --max-vocab, or choose a lower --precision",
         "leave rare words out with max_vocab, or choose a lower precision"),
        ("a - b, well--known, x -m", "a - b, well--known, x -m"),
        ("nothing to say", "nothing to say"),
    ],
)  # fmt: skip
def test_what_a_message_becomes(options, arguments):
    assert in_arguments(options) == arguments


@pytest.mark.parametrize(
    "call", [textkit.load, textkit.Embedder, textkit.Translator, textkit.LanguageModel, textkit.Generator]
)
def test_an_unknown_model(call):
    with pytest.raises(textkit.UsageError, match="^model=en-du: unknown model") as caught:
        call("en-du")
    assert "-m" not in str(caught.value)
    with of_a_command_line(), pytest.raises(textkit.UsageError, match="^-m en-du: unknown model"):
        call("en-du")


def test_train_and_export(tmp_path):
    with pytest.raises(textkit.UsageError, match="^unknown plugin 'fastext'; did you mean 'fasttext'"):
        textkit.train("fastext", "x.txt", tmp_path / "run")
    with pytest.raises(textkit.UsageError, match="^options: dimm=3: unknown"):
        textkit.train("fasttext", "x.txt", tmp_path / "run", options={"dimm": 3})
    (tmp_path / "run").mkdir()
    with pytest.raises(textkit.TextkitError, match="no training run|no run"):
        textkit.export(tmp_path / "run", tmp_path / "model")
