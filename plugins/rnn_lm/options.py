"""The options of the plugins `rnn-lm` and `nnlm`. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from textkit.errors import TextkitError
from textkit.tasks.language.family import LanguageOptions


@dataclass(frozen=True)
class RnnLmConfig(LanguageOptions):
    """The options of `rnn-lm`, after Mikolov et al. 2010 (rnn), Zaremba et al. 2014 (lstm) and Merity et al. 2018 (AWD-LSTM).

    The papers: arXiv 1409.2329 (Zaremba) and 1708.02182 (Merity). The section numbers in the comments are of Merity et al.
    The defaults fit one to ten million words.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"  # rnn (Elman 1990) | gru (Cho et al. 2014) | lstm (Gers et al. 2000)
    layers: int = 2  # recurrent layers, each of which reads the one below
    dim: int = 256  # numbers per word
    hidden: int = 512  # units per layer; with tie the last layer has dim units instead
    bidirectional: bool = False  # refused: a model that has read the words to come cannot say which word comes next
    tie: bool = True  # one table for input and output (Inan et al. 2017; Press and Wolf 2017)
    softmax: Literal["full", "sampled", "adaptive"] = "full"  # sampled: Jean et al. 2015 | adaptive: Grave et al. 2017
    frequent: int = 0  # sampled: how many of the most frequent words are always included; 0: 1/8 of all
    samples: int = 2048  # sampled: words drawn per chunk of training, besides the frequent ones and the chunk's own
    cutoffs: tuple[int, ...] = ()  # adaptive: rank of the first word of each cluster; none given: 1/15 and 1/3 of all
    div_value: float = 4.0  # adaptive: from each cluster to the next, words have this many times fewer numbers
    variational: bool = (
        True  # dropout uses one mask for all tokens of a chunk (Gal and Ghahramani 2016); false: one per token
    )
    dropout_embedding: float = 0.05  # whole words (Merity et al. 2018, section 4.3)
    dropout_input: float = 0.2  # on embeddings (4.2)
    dropout_hidden: float = 0.2  # between layers (4.2)
    dropout_output: float = 0.3  # on the last layer's outputs (4.2)
    weight_drop: float = 0.2  # on the recurrent weights, by DropConnect (section 2)
    activation_regularization: float = 2.0  # alpha, times the mean square of the outputs after dropout (4.5)
    temporal_activation_regularization: float = 1.0  # beta, times the mean square of the outputs' change per step (4.5)
    initial_range: float = 0.1  # embeddings begin within +- this, layers within +- 1 / sqrt(their units) (section 5)

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
            raise ValueError("softmax=adaptive: rare words have narrower vectors than the input table; set tie=false")

    @property
    def widths(self) -> tuple[int, ...]:
        """The input width of each layer, and the output width of the last one."""
        last = self.dim if self.tie else self.hidden
        return (self.dim, *[self.hidden] * (self.layers - 1), last)

    def clusters(self, words: int) -> tuple[int, ...]:
        """Where each cluster of an adaptive softmax over `words` words begins, and where the last one ends."""
        cutoffs = self.cutoffs or tuple(dict.fromkeys((max(1, words // 15), max(2, words // 3))))
        if cutoffs[-1] >= words:
            raise TextkitError(f"cutoffs: {cutoffs[-1]} must be below the vocabulary size, {words}")
        return (*cutoffs, words)

    def always(self, words: int) -> int:
        """How many of `words` words a sampled softmax always includes."""
        return min(self.frequent or max(1, words // 8), words)


@dataclass(frozen=True)
class NnlmConfig(LanguageOptions):
    """The options of `nnlm`, after Bengio et al. 2003 (JMLR 3, 1137-1155), with the paper's letters in the comments.

    The default sizes are among those that the paper tried.
    """

    order: int = 5  # n: the next word is predicted from the n - 1 words before it
    dim: int = 30  # m: numbers per word
    hidden: int = 100  # h: hidden units
    direct: bool = False  # W: connections from the words to the output past the hidden layer
    dropout: float = 0.0  # on the hidden units and on the direct connections

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
