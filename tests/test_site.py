"""The documentation as a site: links lead to pages, and no page loads anything from another host."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = {"README.md": "index.md", "docs/cli.md": "cli.md", "docs/attention.png": "attention.png"}


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages_of_the_root", ROOT / "docs" / "pages_of_the_root.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        ("index.md", "[all](docs/cli.md#textkit-embed), ![a picture](docs/attention.png)",
         "[all](cli.md#textkit-embed), ![a picture](attention.png)"),
        ("cli.md", "[what](../README.md), [here](cli.md), [there](#a)", "[what](index.md), [here](cli.md), [there](#a)"),
        ("cli.md", "[its code](../textkit/version.py)", "its code"),
        ("cli.md", "[typo](../textkit/verson.py)", "[typo](../textkit/verson.py)"),
        ("cli.md", "[elsewhere](https://example.org/a)", "[elsewhere](https://example.org/a)"),
        ("cli.md", "[out of the house](../../x)", "[out of the house](../../x)"),
    ],
)  # fmt: skip
def test_links(hook: ModuleType, page: str, written: str, shown: str) -> None:
    assert hook.led(written, page, PAGES) == shown


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", source / "mkdocs.yml", "--site-dir", target]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow  # needs the extra `docs`, which `make` installs
def test_the_site_asks_no_other_host_and_refuses_a_broken_link(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs", source / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SITE:
        shutil.copy(ROOT / name, source)
    done = build(source, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text("utf-8") for path in (tmp_path / "site").glob("*.html")}
    assert {"index.html", "contributing.html", "changelog.html", "cli.html"} <= pages.keys()
    assert 'href="cli.html' in pages["index.html"]
    for name, page in pages.items():
        fetched = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?((?:https?:)?//[^\s\"'>]+)", page)
        assert fetched == [], name
    with open(source / "docs" / "cli.md", "a") as page:
        page.write("\n[nothing](nowhere.md)\n")
    done = build(source, tmp_path / "other")
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr
