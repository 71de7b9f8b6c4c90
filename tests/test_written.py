"""The pairs written for textkit: their form, and that nothing that is measured is learnt."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(ROOT.glob("recipes/written/*.tsv"))
KEPT_BACK = ROOT / "tests/data/domains.en-de.tsv"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\ufeff\ufffd]")


def pairs(file: Path) -> list[list[str]]:
    return [line.split("\t") for line in file.read_text("utf-8").split("\n")[:-1]]


@pytest.mark.parametrize("file", [*FILES, KEPT_BACK], ids=lambda file: file.stem)
def test_a_line_is_a_pair(file: Path):
    found = pairs(file)
    assert len(found) > 200
    for pair in found:
        assert len(pair) == 2
        assert all(side and side == side.strip() and "  " not in side and not CONTROL.search(side) for side in pair)
        english, german = map(len, pair)
        assert 1 / 3 < (german + 8) / (english + 8) < 3, pair


def test_no_pair_is_there_twice_and_none_that_is_kept_back_is_taught():
    taught = [tuple(pair) for file in FILES for pair in pairs(file)]
    assert len(taught) == len(set(taught)) > 20_000
    for side in (0, 1):
        assert not {pair[side] for pair in pairs(KEPT_BACK)} & {pair[side] for pair in taught}


def test_what_is_typed_carelessly_is_a_source_and_no_target(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    written = importlib.import_module("translators").written
    typed = {
        direction: {tuple(pair) for file in FILES if file.stem.endswith(direction) for pair in pairs(file)}
        for direction in ("en-de", "de-en")
    }
    assert all(typed.values())
    taught = {direction: set(written(direction)) for direction in typed}
    for direction, other in (("en-de", "de-en"), ("de-en", "en-de")):
        assert typed[direction] <= taught[direction]
        assert not typed[direction] & taught[other]
