"""What README, Makefile and pyproject.toml say of installing textkit agrees; every printed command names the distribution."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from textkit.errors import pip_install
from textkit.version import DISTRIBUTION

ROOT = Path(__file__).resolve().parent.parent
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bare(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~(;]", requirement, maxsplit=1)[0]


def test_the_distribution_is_not_the_other_project() -> None:
    assert DECLARED["name"] == DISTRIBUTION != "textkit"
    assert list(DECLARED["scripts"]) == ["textkit"]
    assert pip_install("train") == f"pip install '{DISTRIBUTION}[train]'"
    assert pip_install() == f"pip install {DISTRIBUTION}"


def test_no_command_that_is_printed_installs_the_other_project() -> None:
    places = [*ROOT.glob("textkit/**/*.py"), *ROOT.glob("plugins/**/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    assert len(places) > 100
    found = [f"{path}: {line}" for path in places for line in re.findall(r"pip install[^\n`]*", path.read_text())]
    assert [line for line in found if re.search(r"""['"\s]textkit(?![-\w/])""", line.partition("pip install")[2])] == []


def test_the_lines_for_cpus_alone_name_what_serving_needs() -> None:
    wanted = {bare(line) for line in DECLARED["dependencies"]} - {"onnxruntime-gpu"}
    for page in ("README.md", "Makefile"):
        text = (ROOT / page).read_text()
        [line] = re.findall(r"(?:pip install|PIP\)) (click [^\n#]*)", text)
        assert set(line.split()) == wanted, page
        assert re.search(r"(?:pip install|PIP\)) --no-deps \.", text), page
