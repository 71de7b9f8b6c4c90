"""Every recipe's options are options of its family, and every recipe in recipes/ is listed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from textkit.config import resolve
from textkit.registry import registry

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
FAMILIES = {
    "translators": "transformer", "en_lm": "rnn-lm", "en_words": "fasttext", "multi30k-seq2seq": "seq2seq",
    "languages": "classifier", "en_sentences": "sentence-encoder", "multi30k-transformer": "transformer",
    "multi30k-transformer-raw": "transformer",
    "sutskever": "seq2seq", "wikitext2-awd-lstm": "rnn-lm", "wikitext2-lstm-200": "rnn-lm", "wikitext2-lstm-650": "rnn-lm",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_recipe_is_read(name):
    config, training = resolve(registry.get(FAMILIES[name]), RECIPES / f"{name}.toml", [])
    stated = [line.split("=")[0].strip() for line in (RECIPES / f"{name}.toml").read_text().splitlines() if "=" in line]
    stated = [key for key in stated if key.isidentifier()]
    assert stated
    assert all(hasattr(config, key) or hasattr(training, key) for key in stated)


def test_none_is_forgotten():
    assert {file.stem for file in RECIPES.glob("*.toml")} == set(FAMILIES)
