"""The options that all families of encoders share: how text becomes ids, and the blocks between ids and a line's vector.

Light: no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from textkit.text.normalizer import Normalizer


@dataclass(frozen=True)
class TextOptions:
    """How a line becomes ids."""

    # hashed: words, word n-grams and character n-grams in buckets, for a bag | bpe | unigram | word: tokens in order
    text: Literal["hashed", "bpe", "unigram", "word"] = "hashed"
    lowercase: bool = True  # "The" and "the" are one word
    unicode: Literal["NFC", "NFKC", "none"] = "NFC"  # NFC | NFKC | none: the Unicode form that text is brought to
    punctuation: Literal["split", "keep"] = "split"  # split: each mark is a word | keep: part of its word
    clean: bool = True  # leave out what nobody sees (soft hyphens, controls), spell out ligatures and full-width forms
    word_ngrams: int = 2  # hashed: words in the longest word n-gram; 0: no words
    minn: int = 2  # hashed: characters in the shortest character n-gram
    maxn: int = 5  # hashed: characters in the longest character n-gram; 0: none
    across: bool = False  # hashed: character n-grams reach from one word into the next
    digits: bool = True  # hashed: false: digits are left out
    letterless: bool = True  # hashed: false: nothing is read of a line without a letter, such as one of marks alone
    bucket: int = 1 << 21  # hashed: n-grams are hashed into this many buckets; only buckets that are kept get a row
    features: int = 100_000  # hashed: most rows; those of the words and n-grams in the most lines are kept
    min_count: int = 2  # hashed, word: how many lines, or how often in all, a word or n-gram must occur in
    vocab_size: int = 8000  # bpe, unigram, word: most entries

    needs: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("word_ngrams", "minn", "maxn", "across", "digits", "letterless", "bucket", "features"), "text=hashed"
        ),
        "min_count": "text=hashed|word",
        "vocab_size": "text=bpe|unigram|word",
    }

    def __post_init__(self) -> None:
        for key, least in (
            ("word_ngrams", 0),
            ("minn", 1),
            ("maxn", 0),
            ("bucket", 1),
            ("features", 1),
            ("min_count", 1),
        ):
            if getattr(self, key) < least:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least {least}")
        if self.vocab_size < 1:
            raise ValueError(f"vocab_size={self.vocab_size}: must be at least 1")
        if self.text == "hashed" and not (self.word_ngrams or self.maxn):
            raise ValueError("word_ngrams=0, maxn=0: a line would have no features")
        if self.maxn and self.minn > self.maxn:
            raise ValueError(f"minn={self.minn}, maxn={self.maxn}: must be minn <= maxn")
        self.normalizer()  # checks the other options

    def normalizer(self) -> Normalizer:
        """What is done to a line before it is cut."""
        return Normalizer(self.lowercase, self.unicode, self.punctuation, self.clean)


@dataclass(frozen=True)
class EncoderOptions(TextOptions):
    """The blocks of an encoder, under the papers' names."""

    # bag: the tokens' own vectors | cnn: Kim 2014 | rnn: recurrent layers | transformer: Vaswani et al. 2017
    encoder: Literal["bag", "cnn", "rnn", "transformer"] = "bag"
    dim: int = 64  # numbers per token
    weighting: Literal["none", "idf"] = "none"  # bag: idf: each token has a weight, at first its inverse line frequency
    widths: tuple[int, ...] = (3, 4, 5)  # cnn: tokens that a filter sees
    filters: int = 100  # cnn: filters of each width
    cell: Literal["rnn", "gru", "lstm"] = "lstm"  # rnn: rnn | gru | lstm
    hidden: int = 128  # rnn: units per layer and direction
    bidirectional: bool = True  # rnn: read lines in both directions
    layers: int = 1  # cnn, rnn, transformer
    heads: int = 4  # transformer: h
    feedforward: int = 256  # transformer: d_ff
    activation: Literal["relu", "gelu"] = "gelu"  # transformer
    positions: int = 512  # transformer: the most tokens of a line; each position has a vector
    relative_buckets: int = (
        0  # transformer: distances between tokens fall into as many, each with a bias per head; 0: none
    )
    relative_distance: int = 128  # transformer: from this distance on, all share a bucket
    norm_epsilon: float = 1e-12  # transformer: added to the variance
    pooling: Literal["mean", "max", "cls", "attention"] = "mean"  # how the tokens' vectors make that of a line
    attention_width: int = 5  # pooling=attention: tokens that the convolution sees around each word
    attention_dim: int = 32  # pooling=attention: its channels
    dropout: float = 0.1  # on tokens' vectors and on the line's vector
    word_dropout: float = 0.0  # whole tokens left out in training

    needs: ClassVar[Mapping[str, str]] = {
        "weighting": "encoder=bag",
        "widths": "encoder=cnn",
        "filters": "encoder=cnn",
        "cell": "encoder=rnn",
        "hidden": "encoder=rnn",
        "bidirectional": "encoder=rnn",
        "layers": "encoder=cnn|rnn|transformer",
        "heads": "encoder=transformer",
        "feedforward": "encoder=transformer",
        "activation": "encoder=transformer",
        "positions": "encoder=transformer",
        "relative_buckets": "encoder=transformer",
        "relative_distance": "relative_buckets!=0",
        "norm_epsilon": "encoder=transformer",
        "attention_width": "pooling=attention",
        "attention_dim": "pooling=attention",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = ("dim", "filters", "hidden", "layers", "heads", "feedforward", "positions", "attention_dim")
        for key in (*sizes, "attention_width"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")
        for key in ("dropout", "word_dropout"):
            if not 0 <= getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0 and below 1")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths={','.join(map(str, self.widths))}: at least one, each at least 1")
        if not self.attention_width % 2:
            raise ValueError(f"attention_width={self.attention_width}: must be odd, as many words on either side")
        if self.encoder == "transformer" and self.dim % self.heads:
            raise ValueError(f"dim={self.dim}, heads={self.heads}: dim must be a multiple of heads")
        if self.norm_epsilon <= 0:
            raise ValueError(f"norm_epsilon={self.norm_epsilon}: must be above 0")
        if self.relative_buckets and (self.relative_buckets < 4 or self.relative_buckets % 2):
            raise ValueError(f"relative_buckets={self.relative_buckets}: must be 0, or even and at least 4")
        if self.relative_buckets and self.relative_distance <= self.relative_buckets // 4:
            raise ValueError(
                f"relative_distance={self.relative_distance}: must be above a quarter of relative_buckets="
                f"{self.relative_buckets}"
            )
        if self.text == "hashed" and self.encoder != "bag":
            raise ValueError(f"encoder={self.encoder}: needs tokens in order; set text=bpe, unigram or word")
        if self.text == "hashed" and self.pooling in ("cls", "attention"):
            raise ValueError(f"pooling={self.pooling}: needs tokens in order; set text=bpe, unigram or word")
        if self.weighting == "idf" and self.pooling != "mean":
            raise ValueError("weighting=idf: is for pooling=mean")
        if self.pooling == "cls" and self.encoder == "bag":
            raise ValueError("pooling=cls: the first token of a bag knows of no other; take another encoder or pooling")

    @property
    def width(self) -> int:
        """The numbers of the encoder's output for a token."""
        if self.encoder == "cnn":
            return self.filters * len(self.widths)
        if self.encoder == "rnn":
            return self.hidden * (2 if self.bidirectional else 1)
        return self.dim


@dataclass(frozen=True)
class FreezingOptions:
    """Which part of an encoder stays as it began. A mixin; it must precede the other options among the base classes."""

    frozen: int = 0  # the lowest blocks stay as they began: 1: embeddings, 2: with the first layer, ...; -1: all blocks
    thaw: int = 0  # after each so many epochs, one more block is trained, the highest first; 0: none

    needs: ClassVar[Mapping[str, str]] = {"thaw": "frozen!=0"}

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # of the class that this is mixed into
        if self.frozen < -1 or self.thaw < 0:
            raise ValueError(f"frozen={self.frozen}, thaw={self.thaw}: must be at least -1 and 0")

    def still_frozen(self, blocks: int, epoch: int) -> int:
        """How many of an encoder's blocks stay as they are in this epoch (from 0)."""
        count = blocks if self.frozen < 0 else min(self.frozen, blocks)
        return max(0, count - (epoch // self.thaw if self.thaw else 0))
