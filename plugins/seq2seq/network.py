"""Recurrent encoder and decoder with attention, and the modules behind their graphs encode, step and embed.

After Sutskever et al. 2014 (arXiv 1409.3215), Bahdanau et al. 2015 (1409.0473) and Luong et al. 2015 (1508.04025). The order
of computation is Luong's: h_t from the word and h_{t-1}, weights and context c_t from h_t, then the readout
tanh(W_c [c_t; h_t]) (equation 5). Padding is at the end of a line. Knows no text, no loss and no search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from textkit.families.recurrent import Recurrent, RecurrentOperator, State
from textkit_plugins.seq2seq.attention import Attention, Memory
from textkit_plugins.seq2seq.options import teacher_probability

if TYPE_CHECKING:
    from textkit_plugins.seq2seq.options import Seq2SeqConfig


class Going(NamedTuple):
    """The state of the decoder. The first axis counts what is decoded in parallel: lines, or lines times beams."""

    layers: tuple[State, ...]  # each f32[line, hidden]
    feed: Tensor | None  # f32[line, readout]: the last readout, with input feeding
    position: Tensor | None  # i64[line]: words decoded so far, with attention by position


class Seq2Seq(nn.Module):
    """An encoder and a decoder with the same kind of cell. Tied tables are one parameter with one name."""

    def __init__(self, config: Seq2SeqConfig, source_size: int, target_size: int) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.encoder_width, config.hidden
        directions = 2 if config.bidirectional else 1
        self.readout = hidden if config.tie == "none" else config.dim  # the width that the output projection reads
        self.source_embedding = nn.Embedding(source_size, config.dim)
        self.target_embedding = None if config.tie == "all" else nn.Embedding(target_size, config.dim)
        self.output = nn.Embedding(target_size, self.readout) if config.tie == "none" else None  # never looked up
        self.project_bias = nn.Parameter(torch.zeros(target_size))
        self.encoder_layers = nn.ModuleList(
            Recurrent(config.cell, width if layer else config.dim, width // directions, config.bidirectional)
            for layer in range(config.layers)
        )
        read = config.dim + (self.readout if config.input_feeding else 0)
        self.decoder_layers = nn.ModuleList(
            Recurrent(config.cell, hidden if layer else read, hidden) for layer in range(config.layers)
        )
        self.states = self.decoder_layers[0].states
        bridges = config.layers * self.states if config.bridge == "linear" else 0
        self.bridge = nn.ModuleList(nn.Linear(width, hidden) for _ in range(bridges))
        self.attention = None if config.attention == "none" else Attention(config)
        self.combine = None  # W_c
        if self.attention is not None or self.readout != hidden:
            self.combine = nn.Linear(hidden + (0 if self.attention is None else width), self.readout, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        if not config.always_taught:
            self.register_buffer("batches", torch.zeros((), dtype=torch.int64))  # batches learnt from, for `teacher`
        self._initialise()

    def _initialise(self) -> None:
        """Initialises the parameters as the option `initial` says. Each gate of a stacked matrix counts as its own matrix."""
        if self.config.initial == "uniform":
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -self.config.initial_range, self.config.initial_range)
        else:
            for name, parameter in self.named_parameters():
                if parameter.dim() == 1 or name == "attention.table":
                    nn.init.zeros_(parameter)
                elif "embedding" in name or name.startswith("output"):
                    nn.init.normal_(parameter, 0, parameter.shape[1] ** -0.5)
                elif ".layer." not in name:
                    nn.init.xavier_uniform_(parameter)
        for layer in (*self.encoder_layers, *self.decoder_layers):
            for name, parameter in layer.named_parameters():
                gates = parameter.data.split(layer.hidden)
                if self.config.initial == "orthogonal" and parameter.dim() == 2:
                    for gate in gates:
                        (nn.init.orthogonal_ if "_hh_" in name else nn.init.xavier_uniform_)(gate)
                if self.config.cell == "lstm" and "bias_ih" in name:
                    gates[1].add_(self.config.forget_bias)  # torch's gates: input, forget, cell, output

    @property
    def target_table(self) -> nn.Embedding:
        return self.target_embedding or self.source_embedding

    @property
    def project_weight(self) -> Tensor:
        return (self.output or self.target_table).weight

    def encoder(self) -> Encode:
        return Encode(self)

    def stepper(self) -> Step:
        return Step(self)

    def embedder(self) -> Embed:
        return Embed(self)

    def project(self, readout: Tensor) -> Tensor:
        """[..., readout] -> logits [..., vocab]"""
        return functional.linear(readout, self.project_weight, self.project_bias)

    def encode(self, source: Tensor, source_mask: Tensor, layers: nn.ModuleList | None = None) -> tuple[Memory, Going]:
        """Ids and mask [line, source] -> the decoder's memory and first state. `layers` may replace the encoder's own."""
        x, last = self.read(source, source_mask, layers)
        if self.config.bridge == "linear":
            last = [torch.tanh(bridge(state)) for bridge, state in zip(self.bridge, last, strict=True)]
        elif self.config.bridge == "none":
            last = [state.new_zeros(source.shape[0], self.config.hidden) for state in last]
        feed = x.new_zeros(source.shape[0], self.readout) if self.config.input_feeding else None
        position = source.new_zeros(source.shape[0]) if self.config.attention == "position" else None
        last = [state.float() for state in last]  # states are always f32, under autocast too
        states = tuple(tuple(last[at : at + self.states]) for at in range(0, len(last), self.states))
        keys, values = (None, None) if self.attention is None else (self.attention.keys(x), x)
        return Memory(keys, values, source_mask), Going(states, feed, position)

    def read(
        self, source: Tensor, source_mask: Tensor, layers: nn.ModuleList | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Ids and mask [line, source] -> the top layer's states f32[line, source, encoder width], each layer's last states."""
        x = self.source_embedding(source)  # [line, source, embedding]
        lengths = source_mask.sum(1).clamp(min=1)
        last: list[Tensor] = []
        for layer in layers or self.encoder_layers:
            x, state = layer(self.dropout(x), lengths)  # [line, source, encoder width]
            last += state
        return self.dropout(x), last

    def look(self, hidden: Tensor, memory: Memory, position: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Decoder states f32[line, query, hidden] -> readouts f32[line, query, readout], weights f32[line, query, source]."""
        weights = None
        if self.attention is not None:
            context, weights = self.attention(hidden, *memory, position)
            hidden = torch.cat([context.to(hidden.dtype), hidden], 2)  # [line, query, encoder width + hidden]
        if self.combine is not None:
            hidden = torch.tanh(self.combine(hidden))  # [line, query, readout]
        return self.dropout(hidden), weights

    def climb(self, inputs: Tensor, layers: tuple[State, ...]) -> tuple[State, ...]:
        """One step of all decoder layers: inputs f32[line, gates] to the lowest, each layer's states before -> after."""
        after: list[State] = []
        for at, (layer, state) in enumerate(zip(self.decoder_layers, layers, strict=True)):
            after.append(layer.advance(layer.inputs(self.dropout(after[-1][0])) if at else inputs, state))
        return tuple(after)

    def hidden(self, source: Tensor, source_mask: Tensor, target_in: Tensor) -> Tensor:
        """Ids and mask [line, source], ids [line, target] -> readouts f32[line, target, readout], each from the words up to it.

        In training, the decoder reads some of its own words instead of the reference's, as the option `teacher` schedules it.
        """
        memory, going = self.encode(source, source_mask)
        taught = None  # bool[line, target]: where the decoder reads the reference's word; None: everywhere
        if self.training and not self.config.always_taught:
            probability = teacher_probability(self.config, int(self.batches))
            taught = torch.rand(target_in.shape, device=target_in.device) < probability
            self.batches += 1
        if taught is not None or self.config.input_feeding:
            return self._word_by_word(memory, going, target_in, taught)
        x = self.target_table(target_in)  # [line, target, embedding]
        for layer, state in zip(self.decoder_layers, going.layers, strict=True):
            x, _ = layer(self.dropout(x), None, state)  # [line, target, hidden]
        steps = None if going.position is None else torch.arange(target_in.shape[1], device=target_in.device)[None]
        return self.look(x, memory, steps)[0]

    def _word_by_word(self, memory: Memory, going: Going, target_in: Tensor, taught: Tensor | None) -> Tensor:
        """The result of `hidden` where each step depends on the result of the one before."""
        first = self.decoder_layers[0]
        given = first.inputs(self.dropout(self.target_table(target_in)))  # [line, target, gates]
        fed = first.columns(self.config.dim)  # [gates, readout], or empty
        layers = going.layers
        readouts: list[Tensor] = []
        for step, inputs in enumerate(given.unbind(1)):  # [line, gates]
            if taught is not None and step:
                with torch.no_grad():
                    own = self.project(readouts[-1]).argmax(-1)  # [line]
                told = first.inputs(self.dropout(self.target_table(own)))  # [line, gates]
                inputs = torch.where(taught[:, step, None], inputs, told)
            if going.feed is not None:
                inputs = inputs + functional.linear(readouts[-1] if step else going.feed, fed)
            layers = self.climb(inputs, layers)
            query = layers[-1][0][:, None]  # [line, 1, hidden]
            place = None if going.position is None else target_in.new_full((1, 1), step)
            readouts.append(self.look(query, memory, place)[0][:, 0])  # [line, readout]
        return torch.stack(readouts, 1)  # [line, target, readout]


def ports_of(network: Seq2Seq) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the memory and state that the network has, in the order of Memory and Going."""
    config = network.config
    seen = config.attention != "none"
    keys = config.attention in ("general", "additive")
    memory = (("memory.keys", keys), ("memory.values", seen), ("memory.mask", True))
    kinds = ("hidden", "cell")[: network.states]
    layers = ((f"state.{kind}{layer}", True) for layer in range(config.layers) for kind in kinds)
    state = (*layers, ("state.feed", config.input_feeding), ("state.position", config.attention == "position"))
    return tuple(name for name, has in memory if has), tuple(name for name, has in state if has)


class Encode(nn.Module):
    """The graph encode: the memory and the first state.

    The state: state.hidden0, state.cell0 and so on f32[line, hidden], state.feed f32[line, readout], state.position i64[line].
    The recurrent layers are exported as ONNX operators.
    """

    def __init__(self, network: Seq2Seq) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleList(RecurrentOperator(layer) for layer in network.encoder_layers)
        memory, state = ports_of(network)
        self.outputs = (*memory, *state)

    def forward(self, source: Tensor, source_mask: Tensor) -> tuple[Tensor, ...]:
        (keys, values, _), going = self.network.encode(source, source_mask, self.layers)
        parts = (keys, values, source_mask.clone(), *sum(going.layers, ()), going.feed, going.position)
        return tuple(part for part in parts if part is not None)


class Embed(nn.Module):
    """The encoder's states alone: ids i64 and mask bool [line, source] -> f32[line, source, encoder width]."""

    def __init__(self, network: Seq2Seq) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleList(RecurrentOperator(layer) for layer in network.encoder_layers)

    def forward(self, source: Tensor, source_mask: Tensor) -> Tensor:
        return self.network.read(source, source_mask, self.layers)[0]


class Step(nn.Module):
    """The graph step: one more word of every beam. The beams of a line are the queries of one attention."""

    def __init__(self, network: Seq2Seq) -> None:
        super().__init__()
        self.network = network
        self.memory, self.state = ports_of(network)

    def forward(self, token: Tensor, *ports: Tensor) -> tuple[Tensor, ...]:
        """The logits f32[line, beam, vocab], the attention f32[line, beam, source] and the new state.

        token i64[line, beam]; `ports` are the memory [line, ...] and the state [line, beam, ...].
        """
        network, given = self.network, dict(zip((*self.memory, *self.state), ports, strict=True))
        memory = Memory(given.get("memory.keys"), given.get("memory.values"), given["memory.mask"])
        feed, position = given.get("state.feed"), given.get("state.position")  # [line, beam, readout], [line, beam]
        states = network.states * network.config.layers
        flat = [part.flatten(0, 1) for part in ports[len(self.memory) :][:states]]  # [line * beam, hidden]
        layers = tuple(tuple(flat[at : at + network.states]) for at in range(0, states, network.states))
        x = network.dropout(network.target_table(token.flatten()))  # [line * beam, embedding]
        x = x if feed is None else torch.cat([x, feed.flatten(0, 1)], 1)
        layers = network.climb(network.decoder_layers[0].inputs(x), layers)
        hidden = layers[-1][0].view(*token.shape, -1)  # [line, beam, hidden]
        readout, weights = network.look(hidden, memory, position)
        if weights is None:
            weights = torch.zeros_like(hidden[:, :, :1]) * memory.mask[:, None]  # [line, beam, source]
        logits = network.project(readout.flatten(0, 1)).view(*token.shape, -1)
        new = [part.view(*token.shape, -1) for part in sum(layers, ())]
        new += [readout] if feed is not None else []
        new += [position + 1] if position is not None else []
        return logits, weights, *new
