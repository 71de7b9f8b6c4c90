"""Files of training data as users have them: plain, gzip or zstandard."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest


def data_file(folder: Path, text: str | bytes, name: str = "data.txt") -> Path:
    """Writes a file in `folder`; the end of its name says how it is compressed."""
    path = folder / name
    content = text if isinstance(text, bytes) else text.encode()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    if path.suffix == ".zst":
        content = pytest.importorskip("zstandard").compress(content)
    path.write_bytes(content)
    return path
