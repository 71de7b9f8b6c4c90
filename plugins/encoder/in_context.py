"""The encoder of a classifier as a model of the task `embed`: vectors of tokens in their context. Light: no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textkit.plugin import Encoder, Graph
from textkit.tasks.classify.corpus import texts
from textkit_plugins.encoder.batching import limit_of

if TYPE_CHECKING:
    from textkit.text.rule import TextRule
    from textkit_plugins.encoder.options import EncoderOptions


def encoder_of(network: Any, rule: TextRule, options: EncoderOptions) -> Encoder:
    """The tokens' vectors of a classifier's encoder. Those of a bag are a table: they are the same in any context.

    Lines are pooled as the classifier pools them if that is by their mean or maximum, and otherwise by the mean.
    """
    from textkit_plugins.encoder.network import States

    bag = options.encoder == "bag"
    module = network.encoder.tokens.embedding if bag else States(network.encoder)
    pooling = "max" if options.pooling == "max" else "mean"
    return Encoder(rule, Graph(module, limit=limit_of(options)), texts, {"pooling": pooling})
