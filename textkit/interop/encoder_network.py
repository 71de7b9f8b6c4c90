"""Turns the config.json and the tensors of an encoder like BERT into options and parameters of the families of encoders.

BERT (Devlin et al. 2019), DistilBERT (Sanh et al. 2019), MiniLM (Wang et al. 2020, in BERT's architecture), RoBERTa (Liu et al.
2019), XLM-R (Conneau et al. 2020), MPNet (Song et al. 2020). Only this module and the plugins' networks know what parameters
are called. The plugins are reached by name. Knows no text and no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.interop.checkpoint import Settings, check_tensors

if TYPE_CHECKING:
    import torch

READ = "BERT, DistilBERT, MiniLM, RoBERTa, XLM-R and MPNet"
BUFFERS = ("position_ids", "token_type_ids")  # whole numbers that old checkpoints keep beside the parameters
CLASSIFIES = "ForSequenceClassification"
_PURPOSES = ("Model", "ForMaskedLM", "ForPreTraining", CLASSIFIES)
# The beginnings of what heads are called. A line's vector needs none of them.
_HEADS = ("pooler.", "classifier.", "pre_classifier.", "cls.", "lm_head.", "vocab_transform.", "vocab_layer_norm.",
          "vocab_projector.", "qa_outputs.")  # fmt: skip
BUCKETS, FURTHEST = 32, 128  # MPNet's: transformers takes no others, whatever config.json says
PADDING = 1  # MPNet's id of padding, for positions


@dataclass(frozen=True)
class Family:
    """How one family names things. `parts`: our module in a layer -> theirs."""

    name: str
    classes: str  # what the names of its classes in transformers begin with
    prefix: str  # of the encoder's tensors in a checkpoint with a head
    layers: str
    parts: Mapping[str, str]
    keys: Mapping[str, str]  # of config.json
    head: tuple[str, str, str]  # of a classifier: its hidden layer, the activation of that, its last layer
    types: bool = True  # whether it has token types
    shifted: bool = False  # whether positions begin behind the id of padding
    relative: str = ""  # its table of relative positions


_KEYS = MappingProxyType({
    "dim": "hidden_size", "heads": "num_attention_heads", "layers": "num_hidden_layers",
    "feedforward": "intermediate_size", "activation": "hidden_act", "dropout": "hidden_dropout_prob",
})  # fmt: skip
_PARTS = MappingProxyType({
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm", "inner": "intermediate.dense",
    "outer": "output.dense", "feedforward_norm": "output.LayerNorm",
})  # fmt: skip
_DENSE = ("classifier.dense", "tanh", "classifier.out_proj")
FAMILIES: Mapping[str, Family] = MappingProxyType({  # by config.json's model_type
    "bert": Family("BERT", "Bert", "bert", "encoder.layer", _PARTS, _KEYS, ("pooler.dense", "tanh", "classifier")),
    "distilbert": Family(
        "DistilBERT", "DistilBert", "distilbert", "transformer.layer",
        MappingProxyType({
            "query": "attention.q_lin", "key": "attention.k_lin", "value": "attention.v_lin", "output": "attention.out_lin",
            "attention_norm": "sa_layer_norm", "inner": "ffn.lin1", "outer": "ffn.lin2",
            "feedforward_norm": "output_layer_norm",
        }),
        MappingProxyType({
            "dim": "dim", "heads": "n_heads", "layers": "n_layers", "feedforward": "hidden_dim",
            "activation": "activation", "dropout": "dropout",
        }),
        ("pre_classifier", "relu", "classifier"), types=False,
    ),
    "roberta": Family("RoBERTa", "Roberta", "roberta", "encoder.layer", _PARTS, _KEYS, _DENSE, shifted=True),
    "xlm-roberta": Family("XLM-R", "XLMRoberta", "roberta", "encoder.layer", _PARTS, _KEYS, _DENSE, shifted=True),
    "mpnet": Family(
        "MPNet", "MPNet", "mpnet", "encoder.layer",
        MappingProxyType({
            **_PARTS, "query": "attention.attn.q", "key": "attention.attn.k", "value": "attention.attn.v",
            "output": "attention.attn.o", "attention_norm": "attention.LayerNorm",
        }),
        _KEYS, _DENSE, types=False, shifted=True, relative="encoder.relative_attention_bias.weight",
    ),
})  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What config.json says about the network, checked."""

    family: Family
    classifies: bool
    layers: int
    dim: int
    heads: int
    feedforward: int
    activation: str
    epsilon: float
    dropout: float
    rows: int  # of the table of tokens
    places: int  # rows of the table of positions
    first: int  # the row of the first position
    types: int  # rows of the table of token types

    @property
    def positions(self) -> int:
        """The most tokens of a line."""
        return self.places - self.first


def read_shape(config: Mapping[str, Any], path: str) -> Shape:
    """What config.json says. Raises TextkitError for another architecture, and for one that textkit has no network for."""
    family, purpose = _family(config, path)
    settings = Settings(config, path)
    keys = family.keys
    for key, allowed in (
        ("is_decoder", (False,)),
        ("position_embedding_type", ("absolute",)),
        ("add_cross_attention", (False,)),
    ):
        if config.get(key) is not None and config[key] not in allowed:
            raise TextkitError(f"{path}: {key} is {str(config[key])[:50]!r}, which is not read")
    activation = config.get(keys["activation"], "gelu")
    if activation not in ("gelu", "relu"):
        raise TextkitError(f"{path}: {keys['activation']} is {str(activation)[:50]!r}; read are gelu and relu")
    dim, heads = settings.number(keys["dim"], 1, 1 << 14), settings.number(keys["heads"], 1, 1 << 10)
    if dim % heads:
        raise TextkitError(f"{path}: {keys['dim']} {dim} is no multiple of {keys['heads']} {heads}")
    if family.relative and settings.number("relative_attention_num_buckets", 1, 1 << 10, BUCKETS) != BUCKETS:
        raise TextkitError(f"{path}: relative_attention_num_buckets is not {BUCKETS}, which transformers always takes")
    first = 0
    if family.shifted:
        first = 1 + (PADDING if family.relative else settings.number("pad_token_id", 0, 1 << 24, PADDING))
    return Shape(
        family, purpose == CLASSIFIES, settings.number(keys["layers"], 1, 256), dim, heads,
        settings.number(keys["feedforward"], 1, 1 << 16), str(activation),
        settings.real("layer_norm_eps", 1e-12) if family.classes != "DistilBert" else 1e-12,
        min(settings.real(keys["dropout"], 0.1), 0.9), settings.number("vocab_size", 1, 1 << 24),
        settings.number("max_position_embeddings", first + 1, 1 << 20), first,
        settings.number("type_vocab_size", 1, 1 << 16, 2) if family.types else 0,
    )  # fmt: skip


def _family(config: Mapping[str, Any], path: str) -> tuple[Family, str]:
    """The family, and what the checkpoint is for (a name without the family's, such as `Model`)."""
    model, stated = config.get("model_type"), config.get("architectures")
    name = str(stated[0]) if isinstance(stated, list) and stated else ""
    family = FAMILIES.get(model) if isinstance(model, str) else None
    if model is None:  # configurations before 2020
        family = next((each for each in FAMILIES.values() if name.startswith(each.classes)), None)
    if family is None:
        known = f" ({name[:100]})" if name else ""
        raise TextkitError(
            f"{path}: a checkpoint of {str(model)[:50]!r}{known}; {READ} are read, and MarianMT for translation"
        )
    purpose = name.removeprefix(family.classes) or "Model"
    if not name.startswith(family.classes) and name or purpose not in _PURPOSES:
        wanted = ", ".join(f"{family.classes}{each}" for each in _PURPOSES)
        raise TextkitError(f"{path}: architectures is {name[:100]}; of {family.name}, {wanted} are read")
    return family, purpose


def options_of(shape: Shape) -> dict[str, Any]:
    """The options of a family's Config that make its encoder this one."""
    relative = {"relative_buckets": BUCKETS, "relative_distance": FURTHEST} if shape.family.relative else {}
    return {
        "encoder": "transformer", "dim": shape.dim, "layers": shape.layers, "heads": shape.heads,
        "feedforward": shape.feedforward, "activation": shape.activation, "positions": shape.positions,
        "norm_epsilon": shape.epsilon, "dropout": shape.dropout, **relative,
    }  # fmt: skip


def split_heads(
    tensors: Mapping[str, torch.Tensor], shape: Shape, path: str
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The tensors of the encoder and those of heads, with the names that they have in the encoder alone."""
    prefix = f"{shape.family.prefix}."
    own: dict[str, torch.Tensor] = {}
    heads: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        name = name.removeprefix(prefix)
        for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
            name = name.removesuffix(old) + new if name.endswith(old) else name  # as TensorFlow called them
        kept = heads if name.startswith(_HEADS) else own
        if name in kept:
            raise TextkitError(f"{path}: has {name[:100]} twice, with and without {prefix!r} before it")
        kept[name] = tensor
    return own, heads


def encoder_state(found: Mapping[str, torch.Tensor], shape: Shape, rows: int, path: str) -> dict[str, torch.Tensor]:
    """The parameters of the plugins' encoder, for a vocabulary of `rows` ids.

    Raises TextkitError for missing, surplus, misshapen and non-finite tensors. The row of the first token type is part of every
    position, since a line has no other.
    """
    family, dim = shape.family, shape.dim
    words, places, types = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))
    wanted: dict[str, tuple[int, ...]] = {words: (shape.rows, dim), places: (shape.places, dim)}
    wanted |= {f"embeddings.LayerNorm.{part}": (dim,) for part in ("weight", "bias")}
    if family.types:
        wanted[types] = (shape.types, dim)
    if family.relative:
        wanted[family.relative] = (BUCKETS, shape.heads)
    names = layer_names(shape)
    check_tensors(path, found, wanted | {theirs: size for theirs, (_, size) in names.items()})
    check_finite(found, path)
    positions = found[places][shape.first :]
    state = {
        "embedding.weight": found[words][:rows],
        "positions.weight": positions + found[types][0] if family.types else positions,
        "norm.weight": found["embeddings.LayerNorm.weight"],
        "norm.bias": found["embeddings.LayerNorm.bias"],
    }
    if family.relative:
        state["relative.weight"] = found[family.relative]
    return state | {ours: found[theirs] for theirs, (ours, _) in names.items()}


def layer_names(shape: Shape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The checkpoint's name of each parameter in the layers -> our name, and its shape."""
    dim, inner = shape.dim, shape.feedforward
    sizes = {"inner": (inner, dim), "outer": (dim, inner)}
    names: dict[str, tuple[str, tuple[int, ...]]] = {}
    for at in range(shape.layers):
        for ours, theirs in shape.family.parts.items():
            size = (dim,) if ours.endswith("norm") else sizes.get(ours, (dim, dim))
            for kind, axes in (("weight", size), ("bias", size[:1])):
                names[f"{shape.family.layers}.{at}.{theirs}.{kind}"] = f"layers.{at}.{ours}.{kind}", axes
    return names


def head_state(
    heads: Mapping[str, torch.Tensor], shape: Shape, labels: int, several: bool, path: str
) -> dict[str, Any]:
    """The parameters of the plugin's head of a checkpoint that classifies.

    Where exactly one of two labels holds, the plugin has one logit, the difference of theirs: it gives the same probabilities.
    """
    hidden, _, last = shape.family.head
    wanted: dict[str, tuple[int, ...]] = {
        f"{hidden}.weight": (shape.dim, shape.dim), f"{hidden}.bias": (shape.dim,),
        f"{last}.weight": (labels, shape.dim), f"{last}.bias": (labels,),
    }  # fmt: skip
    found = {name: tensor for name, tensor in heads.items() if name in wanted or not name.startswith("pooler.")}
    check_tensors(path, found, wanted)
    check_finite(found, path)
    weight, bias = found[f"{last}.weight"], found[f"{last}.bias"]
    if labels == 2 and not several:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    return {
        "steps.1.weight": found[f"{hidden}.weight"], "steps.1.bias": found[f"{hidden}.bias"],
        "steps.4.weight": weight, "steps.4.bias": bias,
    }  # fmt: skip


def check_finite(tensors: Mapping[str, torch.Tensor], path: str) -> None:
    """Raises TextkitError for a tensor that holds NaN or infinity."""
    import torch

    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise TextkitError(f"{path}: {name[:100]} holds NaN or infinity: the model is of no use")
