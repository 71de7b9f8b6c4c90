"""The options of the plugins `rnn-lm` and `nnlm`. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from textkit.errors import TextkitError
from textkit.tasks.language.family import LanguageOptions


@dataclass(frozen=True)
class RnnLmConfig(LanguageOptions):
    """Mikolov et al. 2010 (rnn), Zaremba et al. 2014 (lstm, arXiv 1409.2329), and the AWD-LSTM of Merity et al. 2018
    (1708.02182), section by section. The defaults fit one to ten million words.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"  # rnn (Elman 1990) | gru (Cho et al. 2014) | lstm (Gers et al. 2000)
    layers: int = 2
    dim: int = 256  # numbers a word
    hidden: int = 512  # states of a layer; with tie the last one has as many as a word
    bidirectional: bool = False  # refused: what has read the words to come cannot say which comes next
    tie: bool = True  # one table for input and output (Inan et al. 2017; Press and Wolf 2017)
    softmax: Literal["full", "sampled", "adaptive"] = "full"  # sampled: Jean et al. 2015 | adaptive: Grave et al. 2017
    frequent: int = 0  # sampled: words that are always looked at, by frequency; 0: an 8th of all
    samples: int = 2048  # sampled: words drawn for a chunk of training beside those and its own
    cutoffs: tuple[int, ...] = ()  # adaptive: first word of each cluster, by frequency; none: a 15th, a 3rd of all
    div_value: float = 4.0  # adaptive: each cluster's words have so many times fewer numbers than the one's before
    variational: bool = (
        True  # a chunk has one mask of dropout for all its tokens (Gal and Ghahramani 2016), or each its own
    )
    dropout_embedding: float = 0.05  # whole words (Merity et al. 2018, section 4.3)
    dropout_input: float = 0.2  # on embeddings (4.2)
    dropout_hidden: float = 0.2  # between layers (4.2)
    dropout_output: float = 0.3  # on the last layer's outputs (4.2)
    weight_drop: float = 0.2  # on the weights from state to state, by DropConnect (section 2)
    activation_regularization: float = 2.0  # alpha, times the mean square of the outputs after dropout (4.5)
    temporal_activation_regularization: float = 1.0  # beta, times that of the step from an output to the next one (4.5)
    initial_range: float = 0.1  # embeddings begin in +- this, the layers in +- 1 / sqrt(their states) (section 5)

    renamed: ClassVar[Mapping[str, str]] = {"embedding": "dim"}
    needs: ClassVar[Mapping[str, str]] = {
        "hidden": "tie=false or layers!=1 or hidden=@dim",
        "frequent": "softmax=sampled",
        "samples": "softmax=sampled",
        "cutoffs": "softmax=adaptive",
        "div_value": "softmax=adaptive",
        "variational": "dropout_input!=0 or dropout_hidden!=0 or dropout_output!=0",
        "dropout_hidden": "layers!=1",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bidirectional:
            raise ValueError(
                "bidirectional=true: a model that has read the words to come cannot say which word comes next"
            )
        _check_sizes(self, ("layers", "dim", "hidden", "samples"))
        _check_shares(self, [f"dropout_{place}" for place in ("embedding", "input", "hidden", "output")])
        _check_shares(self, ["weight_drop"])
        for key in ("activation_regularization", "temporal_activation_regularization", "initial_range"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0")
        if self.frequent < 0:
            raise ValueError(f"frequent={self.frequent}: must be at least 0")
        if self.div_value < 1:
            raise ValueError(f"div_value={self.div_value}: must be at least 1")
        if list(self.cutoffs) != sorted({cutoff for cutoff in self.cutoffs if cutoff > 0}):
            raise ValueError(f"cutoffs={','.join(map(str, self.cutoffs))}: must be above 0 and ascending")
        if self.softmax == "adaptive" and self.tie:
            raise ValueError("softmax=adaptive: its rare words have fewer numbers than the input's; set tie=false")

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers that go into each layer, and out of the last one."""
        last = self.dim if self.tie else self.hidden
        return (self.dim, *[self.hidden] * (self.layers - 1), last)

    def clusters(self, words: int) -> tuple[int, ...]:
        """Where the clusters of an adaptive softmax over so many words begin, and the end of the last one."""
        cutoffs = self.cutoffs or tuple(dict.fromkeys((max(1, words // 15), max(2, words // 3))))
        if cutoffs[-1] >= words:
            raise TextkitError(f"cutoffs: {cutoffs[-1]} is beyond a vocabulary of {words}")
        return (*cutoffs, words)

    def always(self, words: int) -> int:
        """How many words, of so many, a sampled softmax always looks at."""
        return min(self.frequent or max(1, words // 8), words)


@dataclass(frozen=True)
class NnlmConfig(LanguageOptions):
    """Bengio et al. 2003 (JMLR 3, 1137-1155); in the comments the paper's letters. The defaults are of the sizes it tried."""

    order: int = 5  # n: the next word from the n - 1 before it
    dim: int = 30  # m: numbers a word
    hidden: int = 100  # h: hidden units
    direct: bool = False  # W: connections from the words to the output past the hidden layer
    dropout: float = 0.0  # on the hidden units, and on what goes past them

    renamed: ClassVar[Mapping[str, str]] = {"embedding": "dim"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order < 2:
            raise ValueError(f"order={self.order}: must be at least 2")
        _check_sizes(self, ("dim", "hidden"))
        _check_shares(self, ["dropout"])


def _check_sizes(config: LanguageOptions, keys: tuple[str, ...]) -> None:
    for key in keys:
        if getattr(config, key) < 1:
            raise ValueError(f"{key}={getattr(config, key)}: must be at least 1")


def _check_shares(config: LanguageOptions, keys: list[str]) -> None:
    for key in keys:
        if not 0 <= getattr(config, key) < 1:
            raise ValueError(f"{key}={getattr(config, key)}: must be at least 0 and below 1")
