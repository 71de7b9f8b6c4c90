"""What all families that translate have in common: text, batches of pairs, loss, dev score, graphs. Light to import: no torch.

Knows no architecture. A subclass gives a Config that derives from TranslationOptions, and `network`. Its networks have

    config                                       the options, for the label smoothing
    hidden(source, source_mask, target_in)       -> f32[line, target, dim]: teacher forcing, in one pass
    project(f32[token, dim])                     -> logits f32[token, vocab]
    project_weight, project_bias (optional)      for a faster loss where the projection is one matrix, and a bias or None
    encoder(), stepper()                         -> the modules behind the graphs, which share the weights
                                                 (docs/architecture.md)
    explainer() (optional)                       -> the module behind the graph explain: every head and layer, for pictures
    embedder() (optional)                        -> the module (source, source_mask) -> the encoder's states f32[line, source,
                                                 dim] alone, for models of the task embed
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textkit.corpora.augmenting import Augmented, Augmenter, rates
from textkit.corpora.tokenizing import TokenizerOptions
from textkit.plugin import Encoder, Epoch, Graph, Plugin, Score
from textkit.tasks.translate.beginning import BeginsWithTranslator

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit.corpora.pair_batches import EncodedPairs, PairBatch
    from textkit.text.translation import TranslationText

_AS_MANY = 0.75  # targets that translate sentence by sentence have at least this share of their sources' sentences


@dataclass(frozen=True)
class TranslationOptions(TokenizerOptions):
    """Options of text, batches, loss and score."""

    label_smoothing: float = 0.1  # share of the probability spread evenly over all words (Szegedy et al. 2016)
    rdrop: float = 0.0  # R-Drop (Liang et al. 2021): how much two passes with other dropout must agree; 0: one pass
    rdrop_epoch: int = 0  # epochs before R-Drop begins: an update takes twice the time with it
    batch_tokens: int = 4096  # padded tokens per batch, at most, on each side
    max_tokens: int = 256  # longest side of a pair; longer pairs are left out, and no longer line is translated whole
    max_ratio: float = 9.0  # pairs with one side this many times longer than the other are left out; 0: none is
    # whether served lines are split into sentences, each translated by itself; none: guessed from the pairs
    sentences: bool | None = None
    # changes of the pairs, as "case,numbers:0.3" (textkit/corpora/augmenting.py has all and their rates)
    augment: str = ""
    score: Literal["bleu", "loss"] = "bleu"  # what early stopping watches on the dev pairs: bleu (greedy search) | loss
    # sacrebleu's tokenizer: 13a | none (the text is tokenised already) | char | intl
    bleu_tokenize: Literal["13a", "none", "char", "intl"] = "13a"
    score_lines: int = 1000  # dev lines translated for a BLEU score, evenly spread; 0: all

    needs: ClassVar[Mapping[str, str]] = {
        "rdrop_epoch": "rdrop!=0",
        "bleu_tokenize": "score=bleu",
        "score_lines": "score=bleu",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        changes = rates(self.augment)
        if bool(changes.get("keep")) != bool(self.sentinels):
            raise ValueError(
                f"sentinels={self.sentinels}, augment={self.augment}: sentinels are learnt by augment=keep"
            )
        if changes.get("numbers") and not (self.source_language and self.target_language):
            raise ValueError("augment=numbers: needs source_language and target_language, whose numbers look different")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing={self.label_smoothing}: must be at least 0 and below 1")
        for key, least in (
            ("batch_tokens", 1),
            ("max_tokens", 2),
            ("max_ratio", 0),
            ("score_lines", 0),
            ("rdrop", 0),
            ("rdrop_epoch", 0),
        ):
            if getattr(self, key) < least:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least {least}")
        if self.batch_tokens < self.max_tokens:
            raise ValueError(f"batch_tokens={self.batch_tokens}: no pair of max_tokens={self.max_tokens} would fit")


class TranslationPlugin(BeginsWithTranslator, Plugin[Any, "TranslationText"]):
    """A family that translates, complete but for `network`."""

    task = "translate"
    Config = TranslationOptions
    unheeded: ClassVar[Mapping[str, str]] = {"batch_size": "batch_tokens decides (0, full-batch descent, has one)"}

    def vocabulary(self, corpus: Corpus, config: Any) -> TranslationText:
        from textkit.corpora.tokenizing import learn

        augmenter = _augmenter(config)
        return learn(corpus if augmenter is None else Augmented(corpus, augmenter, (0,)), config)

    def batches(
        self, corpus: Corpus, vocabulary: TranslationText, config: Any, epoch: Epoch
    ) -> Iterator[PairBatch | None]:
        from textkit.corpora.pair_batches import token_batches

        pairs = self._pairs(corpus, vocabulary, config, epoch)
        agreement = config.rdrop if epoch.number >= config.rdrop_epoch else 0.0
        for batch in token_batches(pairs, epoch, config.batch_tokens):
            yield batch and batch._replace(agreement=agreement)

    def steps(self, corpus: Corpus, vocabulary: TranslationText, config: Any, epoch: Epoch) -> int:
        """Batches per epoch; with bpe_dropout or augment, which change the lengths in each epoch, those of the first."""
        from textkit.corpora.pair_batches import count_batches

        pairs = self._pairs(corpus, vocabulary, config, replace(epoch, number=0))
        return count_batches(pairs, epoch, config.batch_tokens)

    @staticmethod
    def _pairs(corpus: Corpus, vocabulary: TranslationText, config: Any, epoch: Epoch) -> EncodedPairs:
        """The pairs worth learning from, as the epoch spells them."""
        from textkit.corpora.bpe_dropout import respelt
        from textkit.corpora.pair_batches import encoded_pairs

        augmenter = _augmenter(config)
        pairs = encoded_pairs(corpus, vocabulary, epoch, config.max_tokens, config.max_ratio, augmenter)
        if not config.bpe_dropout:
            return pairs
        return respelt(pairs, vocabulary, config.bpe_dropout, config.max_tokens, epoch, augmenter is not None)

    def loss(self, network: torch.nn.Module, batch: PairBatch) -> tuple[torch.Tensor, Mapping[str, Any]]:
        """The mean label-smoothed cross-entropy of the target tokens plus R-Drop's part; `perplexity` is that of the tokens."""
        from textkit.families.chunked_loss import smoothed_cross_entropy

        count = batch.words
        read = batch.twice() if batch.agreement else batch  # the second time with other dropout
        hidden = network.hidden(read.source, read.source_mask, read.target_in)[read.target_mask]  # [token, dim]
        wanted, smoothing = read.target_out[read.target_mask], network.config.label_smoothing
        loss, exact = smoothed_cross_entropy(network, hidden, wanted, smoothing, agreement=batch.agreement)
        log = {"weight": count, "examples": len(batch.source), "words": count, "perplexity": exact.exp()}
        return loss, log

    def score(self, network: torch.nn.Module, dev: Corpus, vocabulary: TranslationText, config: Any) -> Score:
        """BLEU of greedy translations with the loss beside it, or the loss (per token, without label smoothing)."""
        from textkit.tasks.translate.scoring import dev_score

        return dev_score(network, dev, vocabulary, config)

    def decided(self, config: Any, sample: Sequence[str]) -> dict[str, Any]:
        return {"sentences": line_by_line(sample) if config.sentences is None else config.sentences}

    def graphs(self, network: torch.nn.Module, vocabulary: TranslationText, config: Any) -> Mapping[str, Graph]:
        graphs = {
            "encode": Graph(network.encoder(), limit=config.max_tokens),
            "step": Graph(network.stepper(), limit=config.max_tokens),
        }
        if hasattr(network, "explainer"):
            graphs["explain"] = Graph(network.explainer(), limit=config.max_tokens)
        return graphs

    def encoder(self, network: torch.nn.Module, vocabulary: TranslationText, config: Any) -> Encoder | None:
        """The encoder's states, in the order of the source's words; the token that ends a line has one as well."""
        from textkit.corpora.pairs import sides
        from textkit.families.in_context import OfSource
        from textkit.text.one_side import one_side

        if not hasattr(network, "embedder"):
            return None
        rule = one_side(vocabulary.source, vocabulary.clean, vocabulary.source_eos)
        module = OfSource(network.embedder(), vocabulary.source_eos, vocabulary.reverse)
        return Encoder(rule, Graph(module, limit=config.max_tokens), lambda records: sides(records)[0])


def _augmenter(config: Any) -> Augmenter | None:
    if not (changes := rates(config.augment)):
        return None
    return Augmenter(changes, config.source_language, config.target_language, config.sentinels)


def line_by_line(sample: Sequence[str]) -> bool:
    """Whether a line may be split into sentences: the targets of these pairs have about as many as their sources, as
    translations do and summaries do not.

    Sources of several sentences decide this, if they are at least a twentieth of all; otherwise a line may be split.
    """
    from textkit.corpora.pairs import pair
    from textkit.sentences.splitting import sentences

    counted = [[len(sentences(side)) for side in pair(line)] for line in sample]
    several = [(source, target) for source, target in counted if source > 1 and target]
    if len(several) < max(1, len(counted) / 20):
        return True
    sources, targets = (sum(counts) for counts in zip(*several, strict=True))
    return targets > _AS_MANY * sources
