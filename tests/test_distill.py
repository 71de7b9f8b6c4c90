"""What `textkit distill` plans: a student that is as large as it may be, by the size of a model that is there."""

from __future__ import annotations

import pytest

from textkit.bundle import bundle
from textkit.training import initial
from textkit.verbs.distill import plan


@pytest.fixture(scope="module")
def teacher():
    """A transformer in int8."""
    return bundle.located("en-sentences", "embed")


@pytest.fixture
def planned(teacher, monkeypatch):
    source = initial.source_of(str(teacher.folder))
    monkeypatch.setattr(initial, "source_of", lambda *_: source)
    return lambda *given: plan("en-sentences", *given)


def test_a_transformer_fills_the_room_that_there_is(teacher, planned):
    size = sum(file.stat().st_size for file in teacher.folder.iterdir()) / 1e6
    options = teacher.manifest.made["options"]
    each = (
        options["dim"] + 4 + (teacher.folder / "tokenizer.json").stat().st_size / len(teacher.rule)
    )  # bytes of a token
    for less in (1, 2):  # MB
        room = len(teacher.rule) - less * 1e6 / each
        assert room - 100 < planned(size - less, options["layers"], 0)["vocab_size"] <= room
    assert planned(size + 1, options["layers"], 0)["vocab_size"] == len(teacher.rule)


def test_narrower_layers_leave_room_for_tokens(teacher, planned):
    options = teacher.manifest.made["options"]
    size = sum(file.stat().st_size for file in teacher.folder.iterdir()) / 1e6
    units, layers, dim = options["feedforward"], options["layers"], options["dim"]
    wide, narrow = (planned(size - 3, layers, 0, given)["vocab_size"] for given in (None, str(units - 200)))
    saved = layers * 200 * (2 * dim + 8)  # weights of a byte; a scale and a bias for each unit
    assert narrow - wide == pytest.approx(
        saved / (dim + 4 + (teacher.folder / "tokenizer.json").stat().st_size / len(teacher.rule)), rel=0.02
    )
    assert planned(size - 3, layers, 0, str(units + 1))["vocab_size"] == wide  # a student has no more than the teacher
    assert planned(size - 3, layers, 0, "wide")["vocab_size"] == wide  # refused with the other options


def test_a_table_has_no_more_numbers_than_the_teacher(teacher, planned):
    width = teacher.manifest.made["options"]["dim"]
    found = planned(2, None, width + 1000)
    assert found["dim"] == width
    assert "projected" not in found
    assert found == planned(2, None, width)
    small = planned(100, None, 32)
    assert (small["dim"], small["projected"], small["vocab_size"]) == (32, width, len(teacher.rule))
