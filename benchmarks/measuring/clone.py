"""Makes a clone that is not installed importable and runnable as textkit, for machines without pip.

Knows the packages and entry points that pyproject.toml declares, and nothing about their contents.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def reach() -> None:
    """Makes `import textkit` work here and in processes started from here. An installed textkit takes precedence."""
    try:
        version("textkit-onnx")
    except PackageNotFoundError:
        shelf = tempfile.TemporaryDirectory(prefix="textkit-clone-")
        atexit.register(shelf.cleanup)
        _lay_out(Path(shelf.name))
        sys.path.insert(0, shelf.name)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [shelf.name, os.environ.get("PYTHONPATH")]))


def _lay_out(shelf: Path) -> None:
    """Writes links to the packages, and the metadata on name, version and entry points that pip would have written."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package, folder in declared["tool"]["setuptools"]["package-dir"].items():
        (shelf / package).symlink_to(ROOT / folder)
    number = re.search(r'__version__ = "(.+)"', (ROOT / "textkit" / "version.py").read_text())
    told = shelf / f"textkit_onnx-{number[1]}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: textkit-onnx\nVersion: {number[1]}\n")
    groups = declared["project"]["entry-points"].items()
    (told / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in names.items()) for group, names in groups
        )
    )
