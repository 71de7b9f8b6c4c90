"""Turns a MarianMT checkpoint's config.json and tensors into options and parameters of the plugin `transformer`.

Only this module and the plugin's network know which options make the network a Marian, and what its parameters are called.
The plugin is reached by name. Knows no text and no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.checkpoint import Settings, check_tensors

if TYPE_CHECKING:
    import torch

_ACTIVATIONS = {"swish": "swish", "silu": "swish", "relu": "relu", "gelu": "gelu"}
_LOWEST = -6e4  # stands for -infinity in a bias: the graph stays finite, even in fp16, and exp of it is 0
_TABLES = ("model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
_HEAD, _BIAS = "lm_head.weight", "final_logits_bias"
_POSITIONS = tuple(f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder"))


@dataclass(frozen=True)
class Shape:
    """What config.json says about the network, checked."""

    encoder_layers: int
    decoder_layers: int
    dim: int
    heads: int
    feedforward: int
    activation: str
    scale_embedding: bool
    positions: int
    source_size: int
    target_size: int
    shared: bool  # one table of embeddings for both sides
    tied: bool  # the output's table is the target's
    eos: int
    pad: int
    start: int


class _Reader(Settings):
    """Reads config.json, one checked value at a time."""

    def check_architecture(self) -> None:
        """Raises TextkitError for another architecture, and for one that textkit has no network for."""
        config, path = self.entries, self.path
        model, architecture = config.get("model_type"), config.get("architectures")
        if model != "marian":
            named = f" ({architecture[0]})" if isinstance(architecture, list) and architecture else ""
            raise TextkitError(
                f"{path}: a checkpoint of {str(model)[:50]!r}{named[:100]}; MarianMT's ('marian') are read"
            )
        if architecture not in (None, [], ["MarianMTModel"]):
            raise TextkitError(f"{path}: architectures is {str(architecture)[:100]}; MarianMTModel is read")
        for key in ("normalize_before", "normalize_embedding", "add_final_layer_norm"):
            if config.get(key):
                raise TextkitError(f"{path}: {key} is set, which transformers' MarianMT does not have either")
        for encoder, decoder in (
            ("encoder_attention_heads", "decoder_attention_heads"),
            ("encoder_ffn_dim", "decoder_ffn_dim"),
        ):
            if config.get(encoder) != config.get(decoder):
                raise TextkitError(f"{path}: {encoder} and {decoder} differ, which is not read")


def read_shape(config: Mapping[str, Any], path: str) -> Shape:
    """What config.json says. Raises TextkitError for another architecture, and for one that textkit has no network for."""
    reader = _Reader(config, path)
    reader.check_architecture()
    number, flag = reader.number, reader.flag
    activation = _ACTIVATIONS.get(str(config.get("activation_function", "gelu")))
    if activation is None:
        raise TextkitError(
            f"{path}: activation_function is {str(config['activation_function'])[:50]!r}; read are {', '.join(_ACTIVATIONS)}"
        )
    source = number("vocab_size", 1, 1 << 24)
    target = number("decoder_vocab_size", 1, 1 << 24, source)
    shared = flag("share_encoder_decoder_embeddings", True)
    if shared and target != source:
        raise TextkitError(
            f"{path}: share_encoder_decoder_embeddings, but vocab_size {source} and decoder_vocab_size {target}"
        )
    dim, heads = number("d_model", 2, 1 << 14), number("encoder_attention_heads", 1, 1 << 10)
    if dim % heads or dim % 2:
        raise TextkitError(f"{path}: d_model {dim} is not even, or no multiple of encoder_attention_heads {heads}")
    last = min(source, target) - 1
    pad = number("pad_token_id", 0, last)
    return Shape(
        encoder_layers=number("encoder_layers", 1, 256), decoder_layers=number("decoder_layers", 1, 256),
        dim=dim, heads=heads, feedforward=number("encoder_ffn_dim", 1, 1 << 16), activation=activation,
        scale_embedding=flag("scale_embedding", False), positions=number("max_position_embeddings", 2, 1 << 16, 1024),
        source_size=source, target_size=target, shared=shared, tied=flag("tie_word_embeddings", True),
        eos=number("eos_token_id", 0, last, 0), pad=pad, start=number("decoder_start_token_id", 0, target - 1, pad),
    )  # fmt: skip


def options_of(shape: Shape, state: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the plugin's Config that make its network this Marian."""
    tie = "none" if "output.weight" in state else "decoder" if "target_embedding.weight" in state else "all"
    return {
        "encoder_layers": shape.encoder_layers, "decoder_layers": shape.decoder_layers, "dim": shape.dim,
        "heads": shape.heads, "feedforward": shape.feedforward, "activation": shape.activation,
        "positions": "sinusoidal", "norm": "post", "norm_epsilon": 1e-5, "tie": tie, "joint": tie == "all",
        "scale_embedding": shape.scale_embedding, "output_bias": "output_bias" in state,
        "max_tokens": shape.positions, "batch_tokens": max(4096, shape.positions),
    }  # fmt: skip


def network_state(tensors: Mapping[str, torch.Tensor], shape: Shape, path: str) -> dict[str, torch.Tensor]:
    """The parameters of the plugin's network. Raises TextkitError for missing, surplus, misshapen and non-finite tensors."""
    import torch

    found = dict(tensors)
    for name in _POSITIONS:
        if name in found:
            _check_positions(found.pop(name), shape, f"{path}: {name}")
    source, target, output = _tables(found, shape, path)
    bias = found.pop(_BIAS, torch.zeros(1, shape.target_size))
    wanted = {name: size for name, (_, size) in _layers(shape).items()}
    check_tensors(path, found | {_BIAS: bias}, wanted | {_BIAS: (1, shape.target_size)})
    for name, tensor in [
        *found.items(),
        *((name, table) for name, table in zip(_TABLES, (source, target, output), strict=True)),
    ]:
        if not torch.isfinite(tensor).all():
            raise TextkitError(f"{path}: {name} holds NaN or infinity: the model is of no use")
    if torch.isnan(bias).any() or torch.isposinf(bias).any():
        raise TextkitError(f"{path}: {_BIAS} holds NaN or infinity: the model is of no use")
    state = {"source_embedding.weight": source}
    if not (shape.shared and shape.tied):
        state["target_embedding.weight"] = target
    if output is not target and not torch.equal(output, target):
        state |= {"target_embedding.weight": target, "output.weight": output}
    if bias.any():
        state["output_bias"] = bias[0].clamp(min=_LOWEST)
    parts: dict[str, list[torch.Tensor]] = {}
    for name, (ours, _) in _layers(shape).items():
        parts.setdefault(ours, []).append(found[name])
    return state | {name: torch.cat(tensors) for name, tensors in parts.items()}


def forbid(state: dict[str, torch.Tensor], ids: Sequence[int], shape: Shape) -> None:
    """Makes the probability of `ids` 0 in the network itself, so that those of the other ids add up to 1."""
    import torch

    bias = state.setdefault("output_bias", torch.zeros(shape.target_size))
    bias[list(ids)] = _LOWEST


def _tables(found: dict[str, torch.Tensor], shape: Shape, path: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The embedding tables [id, dim] of source, target and output, taken out of `found`; they may be one tensor."""
    import torch

    shared, source, target = (found.pop(name, None) for name in _TABLES)
    output = found.pop(_HEAD, None)
    if shape.shared:
        if source is None:
            source = shared
        if source is None:
            source = target if target is not None else output if shape.tied else None
        target = source if target is None else target
        shared = source if shared is None else shared
    if output is None and shape.tied:
        output = target
    if target is None and shape.tied:
        target = output
    size = {_TABLES[1]: (shape.source_size, shape.dim), _TABLES[2]: (shape.target_size, shape.dim)}
    size[_HEAD] = size[_TABLES[2]]
    tables = dict(zip((_TABLES[1], _TABLES[2], _HEAD), (source, target, output), strict=True))
    check_tensors(path, {name: table for name, table in tables.items() if table is not None}, size)
    ties = [(shared, source, _TABLES[1]), (source, target, _TABLES[2])] if shape.shared else []
    ties += [(target, output, _HEAD)] if shape.tied else []
    for one, other, name in ties:
        if one is not other and not torch.equal(one, other):
            raise TextkitError(f"{path}: {name} is not the table that config.json ties it to")
    return source, target, target if shape.tied else output


def _layers(shape: Shape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The checkpoint's name of each parameter in the layers -> our name, and its shape.

    Parameters that have one name of ours are parts of it, end to end.
    """
    dim, inner = shape.dim, shape.feedforward
    names: dict[str, tuple[str, tuple[int, ...]]] = {}

    def linear(theirs: str, ours: str, rows: int, columns: int) -> None:
        names[f"{theirs}.weight"] = f"{ours}.weight", (rows, columns)
        names[f"{theirs}.bias"] = f"{ours}.bias", (rows,)

    def norm(theirs: str, ours: str) -> None:
        names[f"{theirs}.weight"], names[f"{theirs}.bias"] = (f"{ours}.weight", (dim,)), (f"{ours}.bias", (dim,))

    for side, count in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        for at in range(count):
            theirs, ours = f"model.{side}.layers.{at}", f"{side}_layers.{at}"
            for part in "qkv":
                linear(f"{theirs}.self_attn.{part}_proj", f"{ours}.attention.qkv", dim, dim)
            linear(f"{theirs}.self_attn.out_proj", f"{ours}.attention.output", dim, dim)
            norm(f"{theirs}.self_attn_layer_norm", f"{ours}.attention_norm")
            if side == "decoder":
                linear(f"{theirs}.encoder_attn.q_proj", f"{ours}.cross.query", dim, dim)
                for part in "kv":
                    linear(f"{theirs}.encoder_attn.{part}_proj", f"{ours}.cross.memory", dim, dim)
                linear(f"{theirs}.encoder_attn.out_proj", f"{ours}.cross.output", dim, dim)
                norm(f"{theirs}.encoder_attn_layer_norm", f"{ours}.cross_norm")
            linear(f"{theirs}.fc1", f"{ours}.feedforward.inner", inner, dim)
            linear(f"{theirs}.fc2", f"{ours}.feedforward.outer", dim, inner)
            norm(f"{theirs}.final_layer_norm", f"{ours}.feedforward_norm")
    return names


def _check_positions(table: torch.Tensor, shape: Shape, what: str) -> None:
    """Checks that a table of positions holds the sinusoids that the network computes: sines, then cosines."""
    if tuple(table.shape) != (shape.positions, shape.dim):
        raise TextkitError(f"{what} is {list(table.shape)}, config.json makes it {[shape.positions, shape.dim]}")
    rate = 10000.0 ** (-np.arange(0, shape.dim, 2) / shape.dim)
    angle = np.arange(shape.positions)[:, None] * rate  # [position, dim / 2]
    wanted = np.concatenate([np.sin(angle), np.cos(angle)], 1)
    if not np.abs(table.numpy() - wanted).max() < 2e-3:  # some are written as fp16; NaN is refused too
        raise TextkitError(f"{what} holds no sinusoids: not a MarianMT model")
