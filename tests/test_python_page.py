"""docs/python.md: every example does what the page says."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


@pytest.mark.slow
def test_every_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("exported_models").mkdir()
    found = doctest.testfile(
        str(PAGE), module_relative=False, encoding="utf-8", optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert found.attempted > 20
    assert not found.failed
