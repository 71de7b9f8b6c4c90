"""The options of the plugin `seq2seq`, and the probability that its decoder is taught. Light: no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from textkit.tasks.translate.family import TranslationOptions

Bridge = Literal["linear", "copy", "none"]
Scores = Literal["none", "uniform", "position", "dot", "general", "additive"]
Teacher = Literal["constant", "linear", "exponential", "inverse-sigmoid"]


@dataclass(frozen=True)
class Seq2SeqConfig(TranslationOptions):
    """The options of a model after Sutskever et al. 2014, with the attention of Bahdanau et al. 2015 and Luong et al. 2015.

    arXiv 1409.3215, 1409.0473 and 1508.04025. The defaults fit 10,000 to 500,000 pairs of lines.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"  # rnn (Elman 1990) | gru (Cho et al. 2014) | lstm (Gers et al. 2000)
    layers: int = 1  # in the encoder, and in the decoder
    dim: int = 256  # numbers per word
    hidden: int = 256  # units per decoder layer
    bidirectional: bool = True  # the encoder reads a line from both ends
    encoder_hidden: int = 0  # units per encoder layer and direction; 0: both directions add up to the decoder's
    bridge: Bridge = "linear"  # encoder's last state h to decoder's first. linear: tanh(W h + b) | copy: h | none: 0
    attention: Scores = (
        "general"  # none | uniform: every state s alike | position: a table of target and source positions
        # | dot: h s | general: h W s (Luong et al. 2015) | additive: v tanh(W h + U s) (Bahdanau et al. 2015)
    )
    attention_dim: int = 0  # length of v, with attention=additive; 0: as hidden
    normalize: Literal["softmax", "none"] = "softmax"  # how scores become weights; none: they are the weights
    input_feeding: bool = True  # the decoder also reads its previous readout (Luong et al. 2015, section 3.3)
    tie: Literal["none", "decoder", "all"] = (
        "decoder"  # what shares a table. all: source, target, output (joint text only) | decoder: target, output | none
    )
    dropout: float = (
        0.3  # on embeddings, between layers, on the encoder's outputs and before the output (Zaremba et al. 2014)
    )
    initial: Literal["orthogonal", "uniform"] = (
        "orthogonal"  # orthogonal: recurrent matrices (Saxe et al. 2014), others by Glorot and Bengio 2010
        # | uniform: everything in +-initial_range (Sutskever et al. 2014)
    )
    initial_range: float = 0.08  # with initial=uniform
    forget_bias: float = 1.0  # added to the bias of lstm's forget gate (Jozefowicz et al. 2015)
    teacher: Teacher = (
        "constant"  # probability that training reads the reference's word, not the decoder's own, after i batches
        # (Bengio et al. 2015). constant: k | linear: k - slope i | exponential: k^i | inverse-sigmoid: k / (k + e^(i/k))
    )
    teacher_k: float = 1.0  # k of teacher
    teacher_slope: float = 0.0  # slope of teacher=linear
    teacher_least: float = 0.0  # the probability of teacher never falls below this

    renamed: ClassVar[Mapping[str, str]] = {"embedding": "dim"}
    needs: ClassVar[Mapping[str, str]] = {
        "attention_dim": "attention=additive",
        "normalize": "attention!=none",
        "initial_range": "initial=uniform",
        "forget_bias": "cell=lstm",
        "teacher_slope": "teacher=linear",
        "teacher_least": "teacher!=constant",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("layers", "dim", "hidden"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")
        for key in ("encoder_hidden", "attention_dim", "initial_range", "teacher_slope"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: must be at least 0 and below 1")
        if self.bidirectional and not self.encoder_hidden and self.hidden % 2:
            raise ValueError(
                f"hidden={self.hidden}: an odd number cannot be split between two directions; set encoder_hidden"
            )
        for key, value in (("bridge", "copy"), ("attention", "dot")):
            if getattr(self, key) == value and self.encoder_width != self.hidden:
                raise ValueError(
                    f"{key}={value}: the encoder's states have {self.encoder_width} numbers, the decoder's {self.hidden};"
                    " set encoder_hidden=0"
                )
        if self.tie == "all" and not self.joint:
            raise ValueError("tie=all: one table for both sides needs joint=true; or set tie=decoder")
        self._check_teacher()

    def _check_teacher(self) -> None:
        k = self.teacher_k
        fits = {"constant": 0 <= k <= 1, "linear": 0 < k <= 1, "exponential": 0 < k < 1, "inverse-sigmoid": k >= 1}
        bounds = {"constant": "0 to 1", "linear": "above 0, at most 1", "exponential": "above 0, below 1"}
        if not fits[self.teacher]:
            raise ValueError(f"teacher_k={k}: {bounds.get(self.teacher, 'at least 1')} with teacher={self.teacher}")
        if not 0 <= self.teacher_least <= 1:
            raise ValueError(f"teacher_least={self.teacher_least}: must be at least 0 and at most 1")

    @property
    def encoder_width(self) -> int:
        """The width of the encoder's states, all directions together."""
        directions = 2 if self.bidirectional else 1
        return (self.encoder_hidden or self.hidden // directions) * directions

    @property
    def always_taught(self) -> bool:
        """Whether training always reads the reference's words and never the decoder's own."""
        return self.teacher_least == 1 or (self.teacher == "constant" and self.teacher_k == 1)


def teacher_probability(config: Seq2SeqConfig, batches: int) -> float:
    """The probability that the decoder reads the reference's word after `batches` batches: Bengio et al. 2015, section 2.4."""
    k = config.teacher_k
    if config.teacher == "linear":
        k -= config.teacher_slope * batches
    elif config.teacher == "exponential":
        k **= batches
    elif config.teacher == "inverse-sigmoid":
        shrunk = k * math.exp(-batches / k)  # for k / (k + e^x), because e^x may be beyond any float
        k = shrunk / (shrunk + 1)
    return max(k, config.teacher_least)
