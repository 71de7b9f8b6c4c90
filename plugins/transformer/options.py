"""The options that both transformer families share, under the names of Vaswani et al. 2017. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class AttentionOptions:
    """A mixin for a family's Config. It must precede the options of text and training among the base classes."""

    renamed: ClassVar[Mapping[str, str]] = {"embedding": "dim"}  # its former name in the other families

    dim: int = 256  # d_model
    heads: int = 4  # h
    feedforward: int = 1024  # d_ff
    dropout: float = 0.1  # P_drop, on each sub-layer's output and on embedding + position
    attention_dropout: float = 0.0  # on the attention weights
    activation_dropout: float = 0.0  # inside the feed-forward network
    activation: Literal["relu", "gelu", "swish"] = "relu"  # relu | gelu | swish
    positions: Literal["sinusoidal", "learned", "rotary"] = (
        "sinusoidal"  # sinusoidal | learned | rotary (Su et al. 2021)
    )
    norm: Literal["pre", "post"] = (
        "pre"  # pre: norm before each sub-layer and at the end | post: after each residual, as in the paper
    )
    norm_epsilon: float = 1e-5  # added to the variance
    scale_embedding: bool = True  # embeddings times sqrt(dim)
    output_bias: bool = False  # one number per word, added to its logit

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # of the class that this is mixed into
        for key in ("dim", "heads", "feedforward"):
            check_size(self, key)
        for key in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0 <= getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0 and below 1")
        if self.norm_epsilon <= 0:
            raise ValueError(f"norm_epsilon={self.norm_epsilon}: must be above 0")
        if self.dim % self.heads:
            raise ValueError(f"dim={self.dim}, heads={self.heads}: dim must be a multiple of heads")
        even = {"sinusoidal": self.dim, "rotary": self.dim // self.heads, "learned": 2}[self.positions]
        if even % 2:
            raise ValueError(f"positions={self.positions}: sine and cosine need an even width, {even} is odd")


def check_size(options: object, key: str) -> None:
    if getattr(options, key) < 1:
        raise ValueError(f"{key}={getattr(options, key)}: must be at least 1")
