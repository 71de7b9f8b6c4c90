"""What all families of language models have in common: text, chunks, loss, dev perplexity, graphs. Light to import: no torch.

Knows no architecture. A subclass gives a Config that derives from LanguageOptions, and `network`. Its networks have

    begin(lines)                        -> the state before anything is read: a tuple, maybe empty, of zeros [line, ...]
    hidden(token, state)                -> the hidden vectors f32[line, token, dim] of i64[line, token], and the state after
    regularised(token, state)           (optional) -> the same two, and a penalty that is added to the training loss
    project(f32[token, dim])            -> logits f32[token, vocab]
    project_weight, project_bias        (optional) for a faster loss where the projection is one matrix, and a bias or None
    cross_entropy(hidden, target)       (optional) -> the mean of -log p(target), by the network's own softmax
    carried                             a textkit.families.carried.Carried for `streams` lines, where there is a state
    scorer(), stepper()                 -> the modules behind the graphs, which share the weights (docs/architecture.md); each
                                        has the attribute `state`, the names of its ports, and `begin(lines)`
    embedder()                          (optional) -> the module (token, mask bool[line, token]) -> what `hidden` gives after a
                                        line's beginning, for models of the task embed; none: `hidden` itself is exported
    limit                               (optional) the most tokens that it reads at once; 0 or none: any number
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textkit.corpora.language_tokenizing import LanguageTokenizerOptions
from textkit.errors import TextkitError, UsageError
from textkit.plugin import Encoder, Epoch, Graph, Plugin, Score

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit.corpora.text_stream import Chunk
    from textkit.text.language import LanguageText


@dataclass(frozen=True)
class LanguageOptions(LanguageTokenizerOptions):
    """Options of text, chunks and score."""

    streams: int = 20  # parts of the text that are read side by side as a batch
    bptt: int = 70  # tokens of each part that are read at once, and that gradients go back through
    random_bptt: bool = True  # chunks of random lengths around bptt (Merity et al. 2018, section 5)
    score_streams: int = 10  # parts of the dev text that are read side by side, each with a fresh state; 1: as one text

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("streams", "bptt", "score_streams"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")


class LanguagePlugin(Plugin[Any, "LanguageText"]):
    """A family of language models, complete but for `network`.

    A network with `carried` is trained by one process alone: its buffers hold its state after the chunk before, and each of
    several processes would have read other chunks.
    """

    task = "language"
    Config = LanguageOptions
    unheeded: ClassVar[Mapping[str, str]] = {"batch_size": "streams and bptt decide (0, full-batch descent, has one)"}
    carries = True  # whether its networks have `carried`

    def vocabulary(self, corpus: Corpus, config: Any) -> LanguageText:
        from textkit.corpora.language_tokenizing import learn

        return learn(corpus, config)

    def batches(self, corpus: Corpus, vocabulary: LanguageText, config: Any, epoch: Epoch) -> Iterator[Chunk]:
        from textkit.corpora.text_stream import encoded_text, text_chunks

        if self.carries and epoch.processes > 1:
            raise UsageError(
                f"{self.name}: goes on where the chunk before it ended, so one process trains it, not several"
            )
        ids = encoded_text(corpus, vocabulary, epoch.scratch)
        _check_enough(corpus, len(ids), config)
        yield from text_chunks(ids, epoch, config.streams, config.bptt, config.random_bptt)

    def steps(self, corpus: Corpus, vocabulary: LanguageText, config: Any, epoch: Epoch) -> int:
        """Chunks per epoch; with random lengths, those of this epoch: others have a few more or less."""
        from textkit.corpora.text_stream import count_chunks, encoded_text

        ids = encoded_text(corpus, vocabulary, epoch.scratch)
        _check_enough(corpus, len(ids), config)
        return count_chunks(ids, epoch, config.streams, config.bptt, config.random_bptt)

    def loss(self, network: torch.nn.Module, batch: Chunk) -> tuple[torch.Tensor, Mapping[str, Any]]:
        """The mean of -log p(token) plus penalties; `perplexity` is that of the tokens alone.

        A chunk of random length changes the weights in proportion to its length. Merity et al. 2018 scale the learning rate
        for this; here the gradient is scaled, but not the value that is logged. For sgd that is the same, and very nearly so
        for adam, which divides a gradient by its usual size.
        """
        from textkit.families.chunked_loss import cross_entropy

        carried = getattr(network, "carried", None)
        state = () if carried is None else carried.read(batch.fresh)
        token, wanted = batch.ids[:, :-1], batch.ids[:, 1:]  # [stream, token]
        penalty: torch.Tensor | float = 0.0
        if hasattr(network, "regularised"):
            hidden, after, penalty = network.regularised(token, state)
        else:
            hidden, after = network.hidden(token, state)
        if carried is not None:
            carried.write(after)
        entropy = cross_entropy(network, hidden.flatten(0, 1), wanted.flatten())
        loss = entropy + penalty
        if batch.share != 1:
            loss = batch.share * loss + (1 - batch.share) * loss.detach()
        log = {"weight": batch.words, "examples": batch.examples, "words": batch.words}
        return loss, log | {"perplexity": entropy.detach().exp()}

    def score(self, network: torch.nn.Module, dev: Corpus, vocabulary: LanguageText, config: Any) -> Score:
        """The perplexity per token of the dev text, ends of lines included, which is read as `score_streams` texts.

        The detail has the mean of -log p in nats and, where tokens are pieces, the perplexity per word: the same sum divided by
        words and ends of lines, so that it can be compared between tokenizers.
        """
        total, count = dev_loss(network, dev, vocabulary, config)
        detail = {"loss": total / count}
        if not vocabulary.words:
            words = sum(vocabulary.count_words(lines) + len(lines) for lines in dev.chunks(10_000))
            detail["word_perplexity"] = _exp(total / words)
        return Score("perplexity", _exp(total / count), False, detail)

    def unit(self, vocabulary: LanguageText) -> str:
        return "word" if vocabulary.words else "token"

    def graphs(self, network: torch.nn.Module, vocabulary: LanguageText, config: Any) -> Mapping[str, Graph]:
        limit = getattr(network, "limit", 0)
        return {"score": Graph(network.scorer(), limit=limit), "step": Graph(network.stepper(), limit=limit)}

    def encoder(self, network: torch.nn.Module, vocabulary: LanguageText, config: Any) -> Encoder:
        """The state after each token, which knows that token and those before it."""
        from textkit.families.in_context import AfterEach, Hidden
        from textkit.text.one_side import one_side

        read = network.embedder() if hasattr(network, "embedder") else Hidden(network)
        limit = getattr(network, "limit", 0)
        # The end of the line before, which is read first, is one of the tokens that the network takes.
        graph = Graph(AfterEach(read, vocabulary.eos), limit=limit - 1 if limit else 0)
        return Encoder(one_side(vocabulary.side, vocabulary.clean), graph)


def dev_loss(network: torch.nn.Module, dev: Corpus, vocabulary: LanguageText, config: Any) -> tuple[float, int]:
    """The sum of -log p(token) over the whole text, and its number of tokens."""
    import torch

    from textkit.corpora.text_stream import encoded_text, side_by_side
    from textkit.families.chunked_loss import cross_entropy

    ids = encoded_text(dev, vocabulary)
    if not len(ids):
        raise TextkitError(f"{dev.paths[0]}: the dev part has no lines")
    device = next(network.parameters()).device
    total, state = 0.0, None
    for chunk, real in side_by_side(ids, config.score_streams, vocabulary.eos, config.bptt):
        if state is None:
            state = tuple(part.to(device) for part in network.begin(len(chunk)))
        given, mask = torch.from_numpy(chunk).to(device), torch.from_numpy(real).to(device)
        with torch.no_grad():
            hidden, state = network.hidden(given[:, :-1], state)
            count = int(real.sum())
            if count:
                total += float(cross_entropy(network, hidden[mask], given[:, 1:][mask])) * count
    return total, len(ids)


def _exp(entropy: float) -> float:
    """The perplexity of a mean -log p: infinite beyond what a float holds, which ends the training."""
    return math.exp(entropy) if entropy < 700 or math.isnan(entropy) else math.inf


def _check_enough(corpus: Corpus, tokens: int, config: Any) -> None:
    if tokens < config.streams:
        names = ", ".join(map(str, corpus.paths))
        raise TextkitError(f"{names}: the corpus is too small: {tokens} tokens for streams={config.streams}")
