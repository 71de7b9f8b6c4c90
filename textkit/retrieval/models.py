"""The model of an index, found again: by its folder or its name, and known by the hash of its manifest."""

from __future__ import annotations

from collections.abc import Sequence
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

    @property
    def device(self) -> str:
        """Where the graph really runs. Loads it."""
        return str(self._embedder.session.device)

    def encode(self, texts: Sequence[str]) -> Any:
        """The texts as ids, the first half of the work."""
        return self._embedder.encode(texts)

    def vectors(self, encoded: Any) -> np.ndarray:
        """f32[text, dim], the second half."""
        found: np.ndarray = self._embedder.vectors(encoded)
        return found

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """f32[text, dim]; a text of which the model knows nothing has zeros."""
        return self.vectors(self.encode(texts))


def found_again(facts: ModelFacts, index: Path) -> Any:
    """The model that an index was made with, as a Bundle. Raises TextkitError where it is not here, or is another one now."""
    from textkit.bundle.bundle import installed, read

    other = False
    places = [Path(facts.folder), *(place for _, place in installed() if place.name == facts.name)]
    for place in dict.fromkeys(places):
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
