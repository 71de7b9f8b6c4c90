"""Models in other file systems: copied once by the hash of their manifest, checked as any other, errors in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

fsspec = pytest.importorskip("fsspec")
SHIPPED = Path(__file__).resolve().parent.parent / "exported_models"


@pytest.fixture
def store(monkeypatch, tmp_path):
    """The address of a copy of en-words in fsspec's file system in memory; the cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    files.store.clear()
    for path in (SHIPPED / "en-words").iterdir():
        files.pipe_file(f"/bucket/en-words/{path.name}", path.read_bytes())
    yield files
    files.store.clear()


def embed(call, model):
    return call("embed", "-m", model, "--threads", "1", stdin="the house\n")


def test_a_model_is_copied_once(call, store, tmp_path):
    here = embed(call, "en-words")
    assert here[0] == 0
    assert embed(call, "memory://bucket/en-words") == here
    (copy,) = (tmp_path / "cache").rglob("manifest.json")
    assert copy.parent.name == "en-words"
    store.rm_file("/bucket/en-words/embed.onnx")
    assert embed(call, "memory://bucket/en-words") == here
    assert embed(call, f"file://{SHIPPED}/en-words") == here


def test_damage_on_the_way_is_found(call, store):
    data = bytearray(store.cat_file("/bucket/en-words/embed.onnx"))
    data[5000] ^= 1
    store.pipe_file("/bucket/en-words/embed.onnx", bytes(data))
    code, out, error = embed(call, "memory://bucket/en-words")
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert "embed.onnx" in error


def test_what_is_no_model_is_one_line(call, store, tmp_path, monkeypatch):
    for model, message in (
        ("memory://bucket/nix", "memory://bucket/nix: no model there"),
        ("nothing://bucket/nix", "nothing://bucket/nix: cannot be read: "),
        (f"file://{tmp_path}/nix", "no model there"),
    ):
        code, out, error = embed(call, model)
        assert (code, out, error.count("\n")) == (1, "", 1)
        assert message in error
    store.pipe_file("/bucket/bad/manifest.json", b'{"name": "../x", "files": {"../y": {"bytes": 1}}}')
    assert "its manifest.json is no model's" in embed(call, "memory://bucket/bad")[2]
    store.pipe_file("/bucket/bad/manifest.json", b"[" * 100_000)
    assert "its manifest.json is no model's" in embed(call, "memory://bucket/bad")[2]
    store.rm_file("/bucket/en-words/words.txt")
    assert "cannot be copied to" in embed(call, "memory://bucket/en-words")[2]
    assert not list((tmp_path / "cache").rglob("manifest.json"))
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert "needs fsspec, which is not installed: pip install" in embed(call, "memory://bucket/en-words")[2]
