"""The modules behind the transformer's graphs encode, step, explain and embed.

They get explicit masks over the full query axis. Knows no text, no loss and no search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from textkit_plugins.transformer.attention import Weights
    from textkit_plugins.transformer.network import Transformer


class Explain(nn.Module):
    """The graph explain: every attention weight of encoder, decoder and cross, each [line, layer, head, query, key]."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: Tensor, source_mask: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        found = self.network.explain(source, source_mask, target)
        return tuple(found[name].transpose(0, 1) for name in ("encoder", "decoder", "cross"))


class Encode(nn.Module):
    """The graph encode: what the decoder attends to, computed once per line, and the state before the first word.

    With self-attention the state is a cache that is still empty (Step); with SSRUs it is a zero for each channel of each layer
    and, where positions are added to embeddings, the number of the next one.
    """

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network
        config = network.config
        layers = range(len(network.decoder_layers))
        memory = (*(f"memory.{part}{layer}" for layer in layers for part in ("key", "value")), "memory.mask")
        if network.recurrent:
            self.placed = config.positions != "rotary"  # which turns what attends to itself, and nothing here does
            self.outputs = (*memory, *(f"state.ssru{layer}" for layer in layers), *["state.position"] * self.placed)
        else:
            caches = (f"cache.{part}{layer}" for layer in layers for part in ("key", "value"))
            self.outputs = (*memory, *caches, "state.own")

    def forward(self, source: Tensor, source_mask: Tensor) -> tuple[Tensor, ...]:
        network = self.network
        mask = source_mask[:, None, None, :].expand(-1, 1, source.shape[1], -1)  # [line, 1, source, source]
        encoded = network.encode(source, mask)
        memory = [part.contiguous() for layer in network.decoder_layers for part in network.memory_of(layer, encoded)]
        config, lines = network.config, source.shape[0]
        if network.recurrent:
            begin = encoded.new_zeros(lines, config.dim)
            position = [source.new_zeros(lines)] * self.placed
            return (*memory, source_mask.clone(), *(begin.clone() for _ in network.decoder_layers), *position)
        empty = encoded.new_zeros(lines, config.heads, 0, config.dim // config.heads)
        return (*memory, source_mask.clone(), *(empty.clone() for _ in memory), source_mask[:, :0])


class Embed(nn.Module):
    """The encoder's outputs alone: ids i64 and mask bool [line, source] -> f32[line, source, dim]."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: Tensor, source_mask: Tensor) -> Tensor:
        mask = source_mask[:, None, None, :].expand(-1, 1, source.shape[1], -1)  # [line, 1, source, source]
        return self.network.encode(source, mask)


class Step(nn.Module):
    """The graph step: one more token of every beam. The beams of a line are the queries of one attention.

    With self-attention, `cache.*` holds the keys and values of every token of every beam of a line. `state.own` bool[line,
    beam, past] says which of them belong to a beam. When beams are selected, only `state.own` is rearranged. With SSRUs,
    `state.ssru*` f32[line, beam, dim] is all that a layer remembers of a beam.
    """

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network
        self.recurrent = network.recurrent
        outputs = Encode(network).outputs
        self.memory = tuple(name for name in outputs if name.startswith("memory."))
        self.state = tuple(name for name in outputs if name.startswith(("cache.", "state.")))

    def forward(self, token: Tensor, *ports: Tensor) -> tuple[Tensor, ...]:
        """The logits f32[line, beam, vocab], the attention f32[line, beam, source] and the new state.

        token i64[line, beam]; `ports` are the memory [line, ...] and the state: caches [line, head, past, width] and own
        bool[line, beam, past], or of each SSRU f32[line, beam, dim] and perhaps the position i64[line, beam]. The attention is
        that of the last layer, the mean of its heads.
        """
        network, count = self.network, len(self.memory) - 1
        memory, source_mask, state = ports[:count], ports[count], ports[count + 1 :]
        mask = source_mask[:, None, None, :].expand(-1, 1, token.shape[1], -1)  # [line, 1, beam, source]
        own = None if self.recurrent else self._own(token, state[-1])
        add, turn, last = self._place(own, state)
        x = network.embed(token, network.target_table, add)  # [line, beam, dim]
        new: list[Tensor] = []
        seen: Weights = []
        parts = len(state[: len(state) - len(last)]) // len(network.decoder_layers)
        for at, layer in enumerate(network.decoder_layers):
            past = state[parts * at : parts * (at + 1)]
            shown = None if own is None else own[:, None]
            y, *grown = layer.attention.next(layer.before(x, layer.attention_norm), *past, shown, turn)
            x = layer.after(x, y, layer.attention_norm)
            top = at == len(network.decoder_layers) - 1
            x = layer.rest(x, memory[2 * at : 2 * at + 2], mask, seen if top else None)
            new += grown
        return (network.project(network.decoder_norm(x)), seen[0].mean(1), *new, *last)

    @staticmethod
    def _own(token: Tensor, past: Tensor) -> Tensor:
        """Which tokens belong to each beam, the one that it reads now included: bool[line, beam, past + beam]."""
        beams = torch.arange(token.shape[1], device=token.device)
        itself = (beams[:, None] == beams).expand(token.shape[0], -1, -1)  # [line, beam, beam]
        return torch.cat([past, itself], 2)

    def _place(
        self, own: Tensor | None, state: tuple[Tensor, ...]
    ) -> tuple[Tensor | None, Tensor | None, tuple[Tensor, ...]]:
        """What is added to embeddings, what turns queries and keys, and the part of the new state that belongs to no layer."""
        if own is not None:
            return *self.network.place(own.sum(2) - 1), (own,)
        if self.state[-1] != "state.position":
            return None, None, ()
        return *self.network.place(state[-1]), (state[-1] + 1,)
