"""How a family of models may learn without the gradient of a loss: batch by batch, or all at once. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from textkit.corpora.corpus import Corpus
    from textkit.plugin import Epoch


class Update(Protocol):
    """Learns from one batch where autograd is too slow: replaces `loss` and the optimizer, and changes the network in place.

    Returns what to log, with `loss` and `examples`.
    """

    def __call__(
        self, network: Any, batch: Any, learning_rate: float, config: Any, threads: int, /
    ) -> Mapping[str, Any]: ...


class Fit(Protocol):
    """Trains a model without gradient steps: fills the network in place, and yields what to show while it works.

    Of `epoch` only `seed`, `scratch` and `facts` matter. An interrupted fit starts again from the beginning.
    """

    def __call__(
        self, network: Any, corpus: Corpus, vocabulary: Any, config: Any, epoch: Epoch, /
    ) -> Iterable[Mapping[str, Any]]: ...
