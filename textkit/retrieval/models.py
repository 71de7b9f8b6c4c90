"""The model of an index, found again: by its folder or its name, and known by the hash of its manifest."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.retrieval.storing.manifest import ModelFacts


class Embedding:
    """Texts -> vectors of length 1, with any model of the task `embed`, which is reached by name."""

    def __init__(self, model: Any, device: str = "auto", threads: int | None = None, side: str = "document") -> None:
        """`model`: a name, a folder or a Bundle; None: the default. Raises what `textkit.load` raises."""
        from textkit.serving import open_model

        made: Any = open_model(model, task="embed", device=device, threads=threads, normalize=True, side=side)
        self._embedder = made
        bundle = self._embedder.bundle
        folder = str(Path(bundle.folder).absolute())
        self.facts = ModelFacts(bundle.manifest.name, bundle.digest, folder, self._embedder.dim)
        self.bundle = bundle
        self.threads: int = self._embedder.threads
        self.two_sided: bool = self._embedder.two_sided
        self._loading: threading.Thread | None = None

    def begin(self) -> None:
        """Loads the graph in a thread, if it is not loaded yet, while the caller does something else: onnxruntime does most of
        that without Python's lock."""
        if self._loading is None:
            self._loading = threading.Thread(target=self._load, name="textkit-graph")
            self._loading.start()

    def _load(self) -> None:
        with suppress(Exception):  # whoever asks for the graph meets the same error
            self._embedder.session  # noqa: B018  # a property that loads

    def _ready(self) -> None:
        if self._loading is not None:
            self._loading.join()

    @property
    def device(self) -> str:
        """Where the graph really runs. Loads it."""
        self._ready()
        return str(self._embedder.session.device)

    def encode(self, texts: Sequence[str]) -> Any:
        """The texts as ids, the first half of the work."""
        return self._embedder.encode(texts)

    def vectors(self, encoded: Any) -> np.ndarray:
        """f32[text, dim], the second half."""
        self._ready()
        found: np.ndarray = self._embedder.vectors(encoded)
        return found

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """f32[text, dim]; a text of which the model knows nothing has zeros."""
        return self.vectors(self.encode(texts))


def found_again(facts: ModelFacts, index: Path) -> Any:
    """The model that an index was made with, as a Bundle. Raises TextkitError where it is not here, or is another one now."""
    from textkit.bundle.bundle import read

    other = False
    for place in _places(facts):
        with suppress(TextkitError, OSError):
            bundle = read(place, "embed")
            if bundle.digest == facts.digest:
                return bundle
            other = True
    if other:
        raise TextkitError(
            f"{index}: was made with another model of the name {facts.name!r} (sha256 {facts.digest[:12]}); "
            "a new index is needed, or --words"
        )
    raise TextkitError(f"{index}: its model {facts.name!r} is not at {facts.folder}; --words searches without it")


def _places(facts: ModelFacts) -> Iterator[Path]:
    """Where the model of an index may be."""
    from textkit.bundle.bundle import installed

    yield Path(facts.folder)
    yield from (place for _, place in installed() if place.name == facts.name)  # looked at only if it is not there
