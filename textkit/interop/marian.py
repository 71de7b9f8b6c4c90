"""Makes a `translate` model of a MarianMT checkpoint: Junczys-Dowmunt et al. 2018, as Hugging Face's transformers keeps it.

Reads config.json, generation_config.json, the tensors, source.spm, target.spm and vocab.json (and target_vocab.json, if each
side has its own). The network is that of the plugin `transformer` (marian_network.py). Knows no graph.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.interop.checkpoint import Checkpoint
from textkit.interop.marian_network import Shape, forbid, network_state, options_of, read_shape
from textkit.interop.sentencepiece_model import CONTROL, MAX_BYTES, NORMAL, SentencePieceModel, read_model
from textkit.registry import registry
from textkit.tasks.translate.task import TASK
from textkit.text.sentencepiece import SentencePieceText
from textkit.version import __version__

if TYPE_CHECKING:
    import torch

    from textkit.text.segmenter import Segmenter

PLUGIN = "transformer"
FORMAT = "MarianMT checkpoint"
_SPECIALS = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}


@dataclass(frozen=True)
class Marian:
    """A checkpoint that was read. `options`: those of the plugin's Config; `state`: its network's parameters by name."""

    rule: SentencePieceText
    shape: Shape
    options: Mapping[str, Any]
    state: Mapping[str, torch.Tensor]
    defaults: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)  # what is served in another way than by transformers, one line each


def read(folder: str | Path) -> Marian:
    """The checkpoint in `folder`. Raises TextkitError in one line, which names the file, for anything that is not sound."""
    checkpoint = Checkpoint(folder)
    config = checkpoint.json("config.json")
    path = str(checkpoint.folder / "config.json")
    shape = read_shape(config, path)
    rule = _rule(checkpoint, shape)
    tensors = checkpoint.tensors()
    state = network_state(tensors, shape, str(checkpoint.folder / checkpoint.weights_file()))
    # Old checkpoints have all of it in config.json; the 0 is transformers' own default for them.
    name, generation = "config.json", {"forced_eos_token_id": 0} | config
    if checkpoint.has("generation_config.json"):
        name = "generation_config.json"
        generation = checkpoint.json(name)
    defaults, never, notes = _defaults(generation, shape, rule.unk, str(checkpoint.folder / name))
    if never:
        forbid(state, never, shape)
    return Marian(rule, shape, options_of(shape, state), state, defaults, notes)


def make_bundle(
    read: Marian,
    folder: Path,
    *,
    source: str,
    explain: bool = False,
    made: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Writes what was read as a `translate` bundle. `explain`: with the optional graph too; `options`: for export_graphs."""
    from textkit.exporting.export import export_graphs

    plugin = registry.get(PLUGIN)
    config = plugin.Config(**read.options)
    network = plugin.network(config, read.rule)
    network.load_state_dict(read.state)
    graphs = plugin.graphs(network.eval(), read.rule, config)
    return export_graphs(
        folder,
        task=plugin.task,
        rule=read.rule,
        graphs={name: graph for name, graph in graphs.items() if explain or name not in TASK.optional},
        plugin={"name": plugin.name, "version": __version__},
        defaults=read.defaults,
        data=[{"file": os.path.basename(os.path.abspath(source)), "format": FORMAT}],
        made={"imported": FORMAT, "notes": read.notes} | (made or {}),
        **options,
    )


def _rule(checkpoint: Checkpoint, shape: Shape) -> SentencePieceText:
    folder = checkpoint.folder
    own = checkpoint.has("target_vocab.json")
    tokenizer = checkpoint.json("tokenizer_config.json") if checkpoint.has("tokenizer_config.json") else {}
    if tokenizer.get("separate_vocabs") and not own:
        raise TextkitError(f"{folder}: tokenizer_config.json says separate_vocabs, but there is no target_vocab.json")
    own = own and bool(tokenizer.get("separate_vocabs", True))
    if own and shape.shared:
        raise TextkitError(f"{folder}: a vocabulary for each side, but config.json has one table for both")
    vocabulary = _vocabulary(checkpoint, "vocab.json", shape.source_size, shape)
    target_vocabulary = _vocabulary(checkpoint, "target_vocab.json", shape.target_size, shape) if own else None
    segmenters: list[Segmenter] = []
    silent: set[str] = set()
    for name, known in (("source.spm", vocabulary), ("target.spm", target_vocabulary or vocabulary)):
        model = read_model(checkpoint.read(name, MAX_BYTES), str(folder / name))
        segmenter = model.segmenter(str(folder / name))
        _check_belongs(model, known, str(folder / name))
        silent |= {piece for piece, kind in zip(model.pieces, model.types, strict=True) if kind == CONTROL}
        segmenters.append(segmenter)
    if not own and shape.target_size < shape.source_size and max(vocabulary.values()) >= shape.target_size:
        raise TextkitError(f"{folder}: vocab.json has ids beyond decoder_vocab_size {shape.target_size}")
    unk = (target_vocabulary or vocabulary)[_SPECIALS["unk"]]
    code = tokenizer.get("source_lang")
    return SentencePieceText(
        segmenters[0], segmenters[1], vocabulary, target_vocabulary,
        start=shape.start, eos=shape.eos, pad=shape.pad, unk=unk,
        source_eos=vocabulary[_SPECIALS["eos"]], source_pad=shape.pad, source_unk=vocabulary[_SPECIALS["unk"]],
        source_size=shape.source_size, target_size=shape.target_size,
        specials=tuple(_SPECIALS.values()), silent=sorted(silent - set(_SPECIALS.values())),
        source_language=code if isinstance(code, str) and len(code) in (2, 3) else "",
    )  # fmt: skip


def _vocabulary(checkpoint: Checkpoint, name: str, size: int, shape: Shape) -> dict[str, int]:
    """piece -> id. Each id must be one of the model's and occur once, and special tokens must have config.json's ids."""
    path = checkpoint.folder / name
    found = checkpoint.json(name)
    for piece, at in found.items():
        if type(at) is not int or not 0 <= at < size:
            raise TextkitError(
                f"{path}: {piece[:50]!r} has the id {str(at)[:50]}, config.json has ids from 0 to {size - 1}"
            )
    if len(set(found.values())) < len(found):
        raise TextkitError(f"{path}: two pieces have one id")
    for key, wanted in (("eos", shape.eos), ("pad", shape.pad), ("unk", None)):
        piece = _SPECIALS[key]
        if piece not in found and key != "pad":
            raise TextkitError(f"{path}: has no {piece}")
        if wanted is not None and found.get(piece, wanted) != wanted:
            raise TextkitError(f"{path}: {piece} has the id {found[piece]}, in config.json {key}_token_id is {wanted}")
    return found


def _check_belongs(model: SentencePieceModel, known: Mapping[str, int], path: str) -> None:
    """Checks that the files are a pair: some pieces may have no id (they become <unk>, as in transformers), but not most."""
    pieces = [piece for piece, kind in zip(model.pieces, model.types, strict=True) if kind == NORMAL]
    missing = sum(piece not in known for piece in pieces)
    if 2 * missing > len(pieces):
        raise TextkitError(
            f"{path}: {missing:,} of its {len(pieces):,} pieces are not in the vocabulary: not one model's files"
        )


# Other entries of a generation_config.json, and the values at which they change nothing.
_NEUTRAL = {
    "do_sample": (False,), "num_beam_groups": (1,), "diversity_penalty": (0, 0.0), "repetition_penalty": (1, 1.0),
    "encoder_no_repeat_ngram_size": (0,), "min_length": (0,), "temperature": (1, 1.0),
    "remove_invalid_values": (False,), "penalty_alpha": (), "force_words_ids": (),
    "suppress_tokens": (), "begin_suppress_tokens": (), "sequence_bias": (), "forced_bos_token_id": (),
}  # fmt: skip


def _defaults(
    generation: Mapping[str, Any], shape: Shape, unk: int, path: str
) -> tuple[dict[str, Any], list[int], list[str]]:
    """How a model of this checkpoint translates by default; the ids that have no probability at all; and notes on what of
    `generation` is left out."""

    def get(key: str, kinds: tuple[type, ...], default: Any, least: float, most: float) -> Any:
        value = generation.get(key)
        value = default if value is None else value
        if type(value) not in kinds or not least <= value <= most:
            raise TextkitError(f"{path}: {key} is {str(value)[:50]}, not a number from {least} to {most}")
        return value

    # transformers counts the start token and the end that it forces; textkit counts neither.
    longest = get("max_length", (int,), shape.positions, 3, 1 << 20) - 2
    if generation.get("max_new_tokens") is not None:
        longest = get("max_new_tokens", (int,), 0, 2, 1 << 20) - 1
    banned = generation.get("bad_words_ids") or []
    if not isinstance(banned, list) or not all(
        isinstance(ids, list) and ids and all(type(at) is int and 0 <= at < shape.target_size for at in ids)
        for ids in banned
    ):
        raise TextkitError(f"{path}: bad_words_ids is {str(banned)[:50]}, no list of lists of ids")
    alone = {ids[0] for ids in banned if len(ids) == 1} - {shape.eos}  # transformers never bans eos
    # With renormalize_logits the other tokens share the probability of banned ids; otherwise that probability is lost.
    never = sorted(alone) if generation.get("renormalize_logits") is True else []
    defaults = {
        "beam_size": get("num_beams", (int,), 1, 1, 1 << 10),
        "length_penalty": float(get("length_penalty", (int, float), 1.0, -100, 100)),
        "max_length": min(longest, shape.positions - 1),
        "max_length_factor": 0.0,  # transformers knows no limit that depends on the source
        "no_repeat_ngram_size": get("no_repeat_ngram_size", (int,), 0, 0, 1000),
        "allow_unk": unk not in alone,
        "early_stopping": generation.get("early_stopping") is True,
        "guard": False,  # token for token what transformers gives
    }
    notes = []
    if "max_length" not in generation and "max_new_tokens" not in generation:
        notes.append(
            f"no max_length: a translation has {defaults['max_length']} tokens at most, where transformers has 20"
        )
    if shape.pad not in alone:
        notes.append("<pad> is never produced, though bad_words_ids does not forbid it")
    if any(len(ids) > 1 for ids in banned) or (not never and alone - {unk, shape.pad, shape.start}):
        notes.append("bad_words_ids of other tokens than <unk> and <pad> are left out")
    if generation.get("forced_eos_token_id") != shape.eos:
        notes.append(
            "forced_eos_token_id is not eos: a translation that is cut at max_length counts as ended all the same"
        )
    if generation.get("early_stopping") not in (None, False, True):
        notes.append(
            "early_stopping is left out: the search ends when the likeliest beam, as long as it is, is no better"
        )
    notes += [
        f"{key}={generation[key]} is left out"
        for key, neutral in _NEUTRAL.items()
        if generation.get(key) is not None and generation[key] not in neutral
    ]
    return defaults, never, notes
