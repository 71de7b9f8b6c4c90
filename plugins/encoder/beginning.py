"""How an encoder begins with another model: with its text rule and weights, or with vectors of words. Light: no torch."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from textkit.corpora.pruning import pruned
from textkit.errors import TextkitWarning
from textkit.plugin import Source, Training
from textkit.text.hashed import Hashed
from textkit.text.rule import TextRule
from textkit.text.tokenizer import Pretokenized
from textkit_plugins.encoder.ngrams import learnt_ngrams, most_features, order_of
from textkit_plugins.encoder.options import EncoderOptions
from textkit_plugins.encoder.reducing import with_layers, with_units
from textkit_plugins.encoder.vocabulary import frequencies, learnt_rule

if TYPE_CHECKING:
    from textkit.corpora.corpus import Corpus
    from textkit_plugins.encoder.vocabulary import Chunks

# A transformer that knows something forgets it at the rates that suit tables of random numbers. BERT's authors take 2e-5 to
# 5e-5 for 12 layers of 768 (Devlin et al. 2019, A.3); smaller ones need more: two of 384 learn banking77 to .930 with 3e-4.
_FINE_TUNING: dict[str, Any] = {"learning_rate": 3e-4, "warmup": 100, "epochs": 10}
_TABLE = "encoder.tokens.embedding.weight"
_POSITIONS = "encoder.tokens.positions.weight"
_IMPORTANCE = "encoder.pooling.importance.weight"
# Biases of a transformer's layer: an exported one has the last two in the first (transformer.py, _LayerOperators).
_OUTPUT, _FOLDED = ".output.bias", (".key.bias", ".value.bias")
# The modules that are exported (`Served`) hold the network, and the encoder's layers as operators beside it.
_SERVED = (("network.", ""), ("tokens.", "encoder.tokens."))


class BeginsWithEncoder(ABC):
    """A mixin of families that may begin with another model's encoder. `texts` and `facts` say what a family learns from."""

    training: ClassVar[Training]
    inherited: ClassVar[Sequence[str]] = tuple(field.name for field in fields(EncoderOptions))

    @abstractmethod
    def texts(self, corpus: Corpus, config: Any) -> Chunks:
        """The texts of the corpus, from which the text rule is learnt."""

    def facts(self, corpus: Corpus, config: Any) -> dict[str, Any]:
        """What the rule keeps of the corpus beside the texts, such as labels. TextkitError for a corpus with too little."""
        return {}

    def vocabulary(self, corpus: Corpus, config: Any) -> TextRule:
        facts = self.facts(corpus, config)  # first: it is quick, and says so if there is too little
        chunks = self.texts(corpus, config)
        return _with(learnt_rule(config, chunks, corpus.paths[0]), facts, config, chunks, begun=False)

    def adopt(self, corpus: Corpus, config: Any, source: Source) -> TextRule:
        if source.rule is None:  # word vectors
            return self.vocabulary(corpus, config)
        facts, chunks = self.facts(corpus, config), self.texts(corpus, config)
        return _with(adopted(source, config, chunks), facts, config, chunks, begun=True)

    def fine_tuning(self, config: Any) -> Training:
        learnt_at_once = getattr(self, "fit", None) is not None
        transformer = config.encoder == "transformer" and not learnt_at_once
        return replace(self.training, **_FINE_TUNING) if transformer else self.training

    def begin(self, network: Any, config: Any, vocabulary: TextRule, source: Source) -> Sequence[str]:
        taken = set_weights(network, vocabulary, source)
        left = _left_out(network, taken)
        if left and source.rule is not None:  # word vectors have a table alone
            self.tell_lacking(f"--init {source.name}: lacks {len(left)} of the encoder's weights, such as {left[0]}")
        return taken

    def tell_lacking(self, text: str) -> None:
        """Says that the source lacks some weights. `text` says which, and is to be continued."""
        warnings.warn(TextkitWarning(f"{text}; what it lacks begins with random numbers"), stacklevel=3)


def _left_out(network: Any, taken: Sequence[str]) -> list[str]:
    """The weights of an encoder that the source did not have, but for those that are counted in the texts, and for biases that
    an exported layer has in that of its output: these begin with zeros, as they should."""
    known = {*taken, *([_IMPORTANCE] if network.options.weighting == "idf" else [])}
    known |= {name.replace(_OUTPUT, folded) for name in taken if name.endswith(_OUTPUT) for folded in _FOLDED}
    return [name for name in network.state_dict() if name.startswith("encoder.") and name not in known]


def _with(rule: TextRule, facts: dict[str, Any], config: Any, chunks: Chunks, begun: bool) -> TextRule:
    """The rule, which remembers the facts and, for a wide branch, the `ngrams` of the texts that count."""
    order = order_of(config, begun)
    if order and not isinstance(rule, Hashed):
        facts = {**facts, "ngrams": learnt_ngrams(rule, chunks, order, most_features(config, facts))}
    rule.learnt = {**rule.learnt, **facts}
    return rule


def adopted(source: Source, config: EncoderOptions, chunks: Chunks) -> TextRule:
    """The source's rule; with a smaller vocab_size, only the tokens that the texts have most."""
    assert source.rule is not None
    rule = copy(source.rule)  # other trainings may begin with the same source
    learnt: dict[str, Any] = {}
    if isinstance(rule, Pretokenized):
        rule.clean = config.clean  # first: the tokens are those of the texts as they will be read
        if config.vocab_size < len(rule):
            rule, old = pruned(rule, chunks(), config.vocab_size)
            learnt["rows"] = old.tolist()
    if config.weighting == "idf":
        learnt |= frequencies(rule, chunks)
    rule.learnt = learnt
    return rule


def set_idf(encoder: Any, rule: TextRule) -> None:
    """Puts the inverse line frequency of each token into an encoder that weighs its tokens."""
    import torch

    importance = encoder.pooling.importance
    if importance is not None and "total" in rule.learnt:
        idf = np.log((1 + rule.learnt["total"]) / (1 + np.array(rule.learnt["lines"], np.float64))) + 1
        with torch.no_grad():  # as scikit-learn smooths it
            importance.weight.copy_(torch.from_numpy(idf[:, None]))


def set_weights(network: Any, rule: TextRule, source: Source) -> Sequence[str]:
    """Puts all weights of `source` that the network's encoder has too into it, and returns their names.

    TextkitError for one of another shape.
    """
    from textkit.families.weights import put

    weights = {_plain(name): value for name, value in source.weights.items()}
    options = network.options
    if "rows" in rule.learnt and _TABLE in weights:  # of the tokens that stayed
        weights[_TABLE] = weights[_TABLE][np.array(rule.learnt["rows"], np.int64)]
    weights = with_layers(weights, options.layers)
    if options.encoder == "transformer":
        weights = with_units(weights, options.feedforward)
        if _POSITIONS in weights:
            weights[_POSITIONS] = weights[_POSITIONS][: options.positions]
    if source.vectors:
        weights = _of_words(network, rule, source.vectors)
    taken = [name for name in network.state_dict() if name in weights and name.startswith(("encoder.", "dense."))]
    put(network, weights, taken, source.name)
    return taken


def _plain(name: str) -> str:
    for served, own in _SERVED:
        if name.startswith(served):
            return own + name.removeprefix(served)
    return name


def _of_words(network: Any, rule: TextRule, vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The embedding table, with the vector of each word that has one in the file; the others stay as they are."""
    table = network.state_dict()[_TABLE].numpy().copy()
    if len(next(iter(vectors.values()))) != table.shape[1]:
        return {}
    if isinstance(rule, Hashed):
        words = list(vectors)
        rows = rule.rows_of_words(words)
        known = rows >= 0
        table[rows[known]] = np.stack([vectors[word] for word in words])[known]
        return {_TABLE: table} if known.any() else {}
    found = False
    names, ids = rule.vocabulary()
    for name, at in zip(names, ids.tolist(), strict=True):
        vector = vectors.get(name.removeprefix("▁"))  # the mark that tokenizers put before a word
        if vector is not None:
            table[at] = vector
            found = True
    return {_TABLE: table} if found else {}
