"""Turns an `embed` model with a transformer encoder into the files of a Hugging Face checkpoint, with modules of
sentence-transformers around it and a graph for optimum and fastembed beside it.

Every such encoder becomes a BertModel, whatever it was imported from: learnt positions and post-norm layers are all that BERT,
DistilBERT, RoBERTa and XLM-R differ in by name alone. One with relative positions becomes an MPNetModel. encoder.py reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.bundle.weights import weights_of
from textkit.corpora.batching import padded
from textkit.errors import TextkitError
from textkit.exporting.parity import load
from textkit.interop.checkpoint import Settings
from textkit.interop.encoder_network import BUCKETS, FAMILIES, FURTHEST, PADDING, Shape, layer_names
from textkit.interop.encoder_onnx import encoder_graph
from textkit.interop.sentence_folder import POOLINGS, Dense, Folder, json_file, module_files, tensors_file
from textkit.text.rule import TOKENIZER_FILE
from textkit.text.tokenizer import Pretokenized

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder

CLEANING = (
    "textkit first leaves out invisible characters and spells out ligatures and full-width forms; readers of the folder do "
    "not"
)
_TYPES = 2  # token types that tools may ask for, all with a vector of zeros
_PADDINGS = ("[PAD]", "<pad>")
_MASKS = ("[MASK]", "<mask>")
# What comes before the names of the encoder's parameters in a graph: the modules that are exported hold them in two places.
_PREFIXES = ("network.encoder.tokens.", "tokens.")


def made(embedder: Embedder, options: Mapping[str, Any], where: str) -> Folder:
    """The folder of a model whose options say that its encoder is a transformer. `where`: the model, for messages.

    Raises TextkitError, in one line, for what no such folder can hold, and for a model that lacks what its options promise.
    """
    rule = embedder.bundle.rule
    if not isinstance(rule, Pretokenized):
        raise TextkitError(f"{where}: its text rule is {rule.kind!r}; a transformer's folder needs a tokenizer.json")
    weights = _weights(embedder)
    shape = _shape(Settings(options, where), len(rule), where)
    pooling, dense = _pooling(embedder, options, weights, where)
    state = _state(weights, shape, where)
    special = _special(rule, shape, where)
    limit = min(embedder.limit, shape.positions)
    graph = encoder_graph(state, shape, bucket_of_distance(shape.positions) if shape.family.relative else None)
    files = {
        "config.json": json_file(_config(shape, options, special["pad_token"], rule)),
        "model.safetensors": tensors_file(_tensors(state, shape)),
        "onnx/model.onnx": graph,
        "sentence_bert_config.json": json_file({"max_seq_length": limit, "do_lower_case": False}),
        **_tokenizer_files(rule, special, limit, shape),
        **module_files("Transformer", "", shape.dim, pooling, dense, embedder.normalize),
    }
    session = load(graph)

    def vectors(lines: Sequence[str]) -> np.ndarray:
        found = [_vector(session, rule, line, limit, shape, pooling, dense) for line in lines]
        vectors = np.concatenate(found)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if embedder.normalize else vectors

    kind = f"sentence-transformers folder ({shape.family.classes}Model, {shape.layers} layers)"
    return Folder(kind, files, vectors, _notes(embedder, rule, limit))


def _weights(embedder: Embedder) -> dict[str, np.ndarray]:
    """The parameters of the model's network by name."""
    plain = {}
    for name, array in weights_of(embedder.bundle.graph("embed")).items():
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "network.")
        plain[name.removeprefix(prefix)] = array
    return plain


def _shape(options: Settings, rows: int, where: str) -> Shape:
    """The network's sizes. Raises TextkitError for what neither BertModel nor MPNetModel computes."""
    relative = options.number("relative_buckets", 0, 1 << 10, 0)
    if relative and (relative, options.number("relative_distance", 1, 1 << 20, FURTHEST)) != (BUCKETS, FURTHEST):
        raise TextkitError(
            f"{where}: has {relative} buckets of relative positions; MPNet in transformers has {BUCKETS}, up to {FURTHEST}"
        )
    activation = options.entries.get("activation", "gelu")
    if activation not in ("gelu", "relu"):
        raise TextkitError(f"{where}: activation is {str(activation)[:50]!r}, not gelu or relu")
    family = FAMILIES["mpnet" if relative else "bert"]
    first = 1 + PADDING if family.shifted else 0
    dim, heads = options.number("dim", 1, 1 << 14), options.number("heads", 1, 1 << 10)
    if dim % heads:
        raise TextkitError(f"{where}: dim {dim} is no multiple of heads {heads}")
    return Shape(
        family, False, options.number("layers", 1, 256), dim, heads, options.number("feedforward", 1, 1 << 16), activation,
        options.real("norm_epsilon", 1e-12), options.real("dropout", 0.1), rows,
        options.number("positions", 1, 1 << 20) + first, first, _TYPES if family.types else 0,
    )  # fmt: skip


def _pooling(
    embedder: Embedder, options: Mapping[str, Any], weights: Mapping[str, np.ndarray], where: str
) -> tuple[str, Dense | None]:
    """How the folder pools, and the layer behind that."""
    pooling = str(options.get("pooling")) if embedder.pooling == "model" else embedder.pooling
    dense = None
    if options.get("output") and (embedder.pooling == "model" or "dense.weight" in weights):
        activation = str(options.get("output_activation", "none"))
        if embedder.pooling != "model" or not {"dense.weight", "dense.bias"} <= weights.keys():
            raise TextkitError(
                f"{where}: pools its output by {pooling}; a folder's linear layer comes behind its pooling"
            )
        dense = Dense(weights["dense.weight"], weights["dense.bias"], activation)
    if pooling not in POOLINGS:
        raise TextkitError(f"{where}: pools by {pooling[:50]!r}; a folder can pool by {', '.join(POOLINGS)}")
    return pooling, dense


def _state(weights: Mapping[str, np.ndarray], shape: Shape, where: str) -> dict[str, np.ndarray]:
    """The encoder's parameters, all that there must be. A graph leaves out biases that change nothing: those of keys, and those
    of values, which are part of the output's bias there."""
    sizes = dict(layer_names(shape).values())
    sizes |= {
        "embedding.weight": (shape.rows, shape.dim), "positions.weight": (shape.positions, shape.dim),
        "norm.weight": (shape.dim,), "norm.bias": (shape.dim,),
    }  # fmt: skip
    if shape.family.relative:
        sizes["relative.weight"] = (BUCKETS, shape.heads)
    state = {}
    for name, size in sizes.items():
        array = weights.get(name)
        if array is None and name.endswith((".key.bias", ".value.bias")):
            array = np.zeros(size, np.float32)
        if array is None or array.shape != size:
            found = "lacks it" if array is None else f"has {list(array.shape)}"
            raise TextkitError(f"{where}: its options promise {name} of {list(size)}, and its graph {found}")
        state[name] = array
    return state


def _tensors(state: Mapping[str, np.ndarray], shape: Shape) -> dict[str, np.ndarray]:
    """The parameters under the names of transformers. Token types are part of the positions already."""
    tensors = {
        "embeddings.word_embeddings.weight": state["embedding.weight"],
        "embeddings.position_embeddings.weight": np.pad(state["positions.weight"], ((shape.first, 0), (0, 0))),
        "embeddings.LayerNorm.weight": state["norm.weight"],
        "embeddings.LayerNorm.bias": state["norm.bias"],
    }
    if shape.types:
        tensors["embeddings.token_type_embeddings.weight"] = np.zeros((shape.types, shape.dim), np.float32)
    if shape.family.relative:
        tensors[shape.family.relative] = state["relative.weight"]
    # Nothing reads the pooler; without one, transformers makes a random one and warns.
    tensors |= {"pooler.dense.weight": np.zeros((shape.dim, shape.dim)), "pooler.dense.bias": np.zeros(shape.dim)}
    return tensors | {theirs: state[ours] for theirs, (ours, _) in layer_names(shape).items()}


def _config(shape: Shape, options: Mapping[str, Any], padding: str, rule: Pretokenized) -> dict[str, Any]:
    config = {
        "architectures": [f"{shape.family.classes}Model"],
        "model_type": "mpnet" if shape.family.relative else "bert",
        **{theirs: getattr(shape, ours) for ours, theirs in shape.family.keys.items()},
        "attention_probs_dropout_prob": shape.dropout, "initializer_range": 0.02, "layer_norm_eps": shape.epsilon,
        "max_position_embeddings": shape.places, "vocab_size": shape.rows, "torch_dtype": "float32",
        "pad_token_id": rule.tokenizer.token_to_id(padding),
    }  # fmt: skip
    if shape.family.relative:
        return config | {"relative_attention_num_buckets": BUCKETS}
    return config | {"type_vocab_size": shape.types, "position_embedding_type": "absolute"}


def _special(rule: Pretokenized, shape: Shape, where: str) -> dict[str, str]:
    """The tokens with a part to play. Only the one that pads is needed; others are named where the tokenizer knows them as
    special anyway, so that naming them changes no text."""
    known = {str(token.content) for token in rule.tokenizer.get_added_tokens_decoder().values() if token.special}
    found = {"cls_token": "", "sep_token": ""}
    around = rule.tokenizer.encode("").tokens
    if len(around) > 1:
        found = {"cls_token": around[0], "sep_token": around[-1]}
    found["mask_token"] = next((mask for mask in _MASKS if mask in known), "")
    found["unk_token"] = str(getattr(rule.tokenizer.model, "unk_token", None) or "")
    found = {role: token for role, token in found.items() if token in known}
    names = [*_PADDINGS, *sorted(known - set(around)), *sorted(known), *filter(None, [found.get("unk_token")])]
    padding = next((name for name in names if rule.tokenizer.token_to_id(name) is not None), None)
    if shape.family.relative:  # MPNet counts positions by what is no padding, and that has one id
        padding = str(rule.tokenizer.id_to_token(PADDING))
        if padding not in known - set(around):
            raise TextkitError(
                f"{where}: its token {PADDING} is {padding[:50]!r}, and MPNet in transformers pads with that"
            )
    if padding is None:
        raise TextkitError(f"{where}: no token of its tokenizer can stand for padding, which a folder needs")
    return {"pad_token": padding, **found}


def _tokenizer_files(rule: Pretokenized, special: Mapping[str, str], limit: int, shape: Shape) -> dict[str, bytes]:
    """tokenizer.json without padding and truncation, which textkit ignores, and what transformers wants beside it."""
    data = rule.files()[TOKENIZER_FILE]
    record = json.loads(data)
    if record.get("truncation") or record.get("padding"):
        record["truncation"] = record["padding"] = None
        data = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    inputs = ["input_ids", *(["token_type_ids"] if shape.types else []), "attention_mask"]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": limit, "model_input_names": inputs,
        "clean_up_tokenization_spaces": False, **special,
    }  # fmt: skip
    files = {
        TOKENIZER_FILE: data, "tokenizer_config.json": json_file(config), "special_tokens_map.json": json_file(special),
    }  # fmt: skip
    if type(rule.tokenizer.model).__name__ == "WordPiece":  # for tools that read no tokenizer.json
        entries = sorted(rule.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if [at for _, at in entries] == list(range(len(entries))) and not any("\n" in word for word, _ in entries):
            files["vocab.txt"] = "".join(f"{word}\n" for word, _ in entries).encode()
    return files


def bucket_of_distance(positions: int) -> np.ndarray:
    """The bucket of each distance key - query from 1 - positions to positions - 1, i64[2 * positions - 1], as MPNet and T5
    (Raffel et al. 2020, section 2.1) have them."""
    apart = np.arange(1 - positions, positions)
    half = BUCKETS // 2
    exact = half // 2
    size = np.abs(apart)
    grown = (
        np.log(np.maximum(size, 1).astype(np.float32) / exact) / np.float32(math.log(FURTHEST / exact)) * (half - exact)
    )
    far = np.minimum(exact + grown.astype(np.int64), half - 1)
    return np.where(size < exact, size, far) + half * (apart > 0)


def _vector(
    session: Any, rule: Pretokenized, line: str, limit: int, shape: Shape, pooling: str, dense: Dense | None
) -> np.ndarray:
    """What sentence-transformers makes of a line with the graph that is written, not normalised, f32[1, dim]."""
    ids, weight = padded(rule, [line], limit)
    feeds = {"input_ids": ids, "attention_mask": (weight > 0).astype(np.int64)}
    feeds |= {"token_type_ids": np.zeros_like(ids)} if shape.types else {}
    tokens = session.run(feeds, ["last_hidden_state"])["last_hidden_state"]  # [1, token, dim]
    found: np.ndarray = {"mean": tokens.mean(1), "max": tokens.max(1), "cls": tokens[:, 0]}[pooling]
    return found if dense is None else dense(found)


def _notes(embedder: Embedder, rule: Pretokenized, limit: int) -> list[str]:
    notes = [CLEANING] if rule.clean else []
    if embedder.long != "cut":
        notes.append(
            f"sentence-transformers cuts a line after {limit} tokens; textkit splits it, and averages the parts"
        )
    if embedder.bundle.manifest.precision == "int8":
        notes.append(
            "int8: the folder has the numbers that the integers stand for; textkit also computes with integers, so vectors "
            "differ a little"
        )
    return notes
