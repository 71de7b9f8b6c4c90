"""README, Makefile and pyproject.toml agree on how textkit is installed; every printed command names the distribution.

The wheel holds every module, and when it is installed as a tool it translates.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from textkit.errors import pip_install
from textkit.version import DISTRIBUTION

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = PYPROJECT["project"]
# What the wheel calls each.
FOLDERS = {"textkit": "textkit", "plugins": "textkit_plugins", "exported_models": "textkit_models"}


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


def test_every_folder_of_modules_is_a_declared_package() -> None:
    """A checkout finds a package that pyproject.toml forgets; an installation lacks it."""
    found = {".".join(file.relative_to(ROOT).parent.parts) for top in FOLDERS for file in ROOT.glob(f"{top}/**/*.py")}
    packages = {name.replace(top, FOLDERS[top], 1) for name in found for top in FOLDERS if name.split(".")[0] == top}
    assert sorted(PYPROJECT["tool"]["setuptools"]["packages"]) == sorted(packages)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that is removed afterwards: a tool with its libraries takes half a gigabyte, and pytest keeps three runs."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    """A wheel built from a copy, because setuptools puts into a wheel what an older build has left in build/."""
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", place, source], check=True)
    (built,) = place.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_model(wheel: Path) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix().replace(folder, name, 1)
        for folder, name in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(wanted) > 150
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == wanted


@pytest.mark.slow  # half a minute; pip downloads what it does not have in its cache
def test_the_wheel_is_a_tool_that_translates(place: Path, wheel: Path) -> None:
    """pipx installs it into a separate home; then it is run from elsewhere, as by a shell."""
    home = place / "home"
    home.mkdir()
    places = {f"PIPX_{name}": str(place / name.lower()) for name in ("HOME", "BIN_DIR", "MAN_DIR", "COMPLETION_DIR")}
    pipx = [sys.executable, "-m", "pipx", "install", "--quiet", f"--pip-args=-c {ROOT / 'constraints.txt'}", wheel]
    done = subprocess.run(pipx, env=os.environ | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tool = shutil.which("textkit", path=places["PIPX_BIN_DIR"])
    assert tool is not None
    environment = {"HOME": str(home), "PATH": os.defpath} if os.name == "posix" else None
    told = subprocess.run(
        [tool, "translate"], input="I am going home.\n", env=environment, cwd=home,
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert (told.returncode, told.stdout, told.stderr) == (0, "Ich gehe nach Hause.\n", "")
