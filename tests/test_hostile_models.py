"""`models` and `doctor` among strangers' models: a broken one is a row with its reason, and the others are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_bundle import write_small
from small_language import write_language

from textkit.bundle import bundle
from textkit.bundle.manifest import FILE
from textkit.cli import run
from textkit.cli.options import Messages
from textkit.errors import TextkitError


class PanicException(BaseException):
    """The exception that an extension module written in Rust raises."""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models in ./exported_models, one of which fails in an unusual way; there are no other models."""
    (tmp_path / "package").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("textkit.bundle.places.package_folder", lambda: tmp_path / "package")
    monkeypatch.setattr("textkit.bundle.places.user_folder", lambda: tmp_path / "home")
    write_small(tmp_path / "exported_models" / "first", name="first")
    write_small(tmp_path / "exported_models" / "odd", name="odd")
    write_language(tmp_path / "exported_models" / "second", name="second")
    return tmp_path / "exported_models"


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    real = bundle.Bundle.verify

    def verify(self: bundle.Bundle) -> None:
        if self.folder.name == "odd":
            raise error
        real(self)

    monkeypatch.setattr(bundle.Bundle, "verify", verify)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PanicException("index\nout of bounds"), "PanicException: index out of bounds"),
        (MemoryError(), "MemoryError"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (ValueError("a" * 10_000), "ValueError: " + "a" * 388 + "…"),
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error"),
        (TextkitError("m: damaged"), "m: damaged"),
    ],
)  # fmt: skip
def test_whatever_a_model_raises_is_one_row(shelf, monkeypatch, capfd, error, said):
    failing(monkeypatch, error)
    assert run(["models", "--format", "json"], Messages()) == 0
    found = {model["name"]: model for model in json.loads(capfd.readouterr().out)["models"]}
    assert {name: model["problem"] for name, model in found.items()} == {"first": None, "odd": said, "second": None}
    assert run(["doctor", "--format", "json"], Messages()) == 1
    findings = {each["about"]: each for each in json.loads(capfd.readouterr().out)["findings"]}
    assert findings["model odd"] == {"about": "model odd", "state": "broken", "what": said}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)])
def test_who_ends_the_list_ends_it(shelf, monkeypatch, error):
    failing(monkeypatch, error)
    assert run(["models"], Messages()) in (130, 143)


def test_what_a_manifest_says_of_its_scores_is_cut(shelf, capfd):
    values = json.loads((shelf / "odd" / FILE).read_bytes())
    values["scores"] = [{"metric": "m" * 100_000, "value": [["x"] * 1000]}, 3, {}]
    (shelf / "odd" / FILE).write_text(json.dumps(values))
    assert run(["models"], Messages()) == 0
    out = capfd.readouterr().out
    assert len(out) < 4000
    assert "first" in out
    assert "second" in out
