"""Reads what a sentence-transformers folder (Reimers and Gurevych 2019) puts behind its encoder: modules.json and the folders
that it names. Knows no encoder, no text and no graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.interop.checkpoint import Checkpoint, Settings, check_tensors
from textkit.interop.encoder_network import check_finite
from textkit.interop.sentence_folder import ACTIVATIONS, POOLINGS

if TYPE_CHECKING:
    import torch

FILE = "modules.json"
STATIC = "StaticEmbedding"
_TABLES = (
    "embedding.weight",
    "embeddings",
)  # what sentence-transformers and Model2Vec call the table of a StaticEmbedding
_MODE = "pooling_mode_"
_POOLINGS = {theirs: ours for ours, theirs in POOLINGS.items()}
_ACTIVATIONS = {theirs.rpartition(".")[2].lower(): ours for ours, theirs in ACTIVATIONS.items()}
_PROMPTS = "config_sentence_transformers.json"


@dataclass(frozen=True)
class Modules:
    """`options`: those of the family `sentence-encoder` that make a line's vector. `state`: the parameters for it."""

    options: dict[str, Any]
    state: dict[str, torch.Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_modules(checkpoint: Checkpoint, dim: int) -> Modules:
    """What modules.json names. `dim`: the numbers of a token's vector.

    Raises TextkitError in one line, which names the file, for anything that is not sound and for a module that is not read.
    """
    path = str(checkpoint.folder / FILE)
    kinds = module_folders(checkpoint)
    options: dict[str, Any] = {"pooling": "mean", "normalize": False}
    state: dict[str, torch.Tensor] = {}
    done = [kind for kind, _ in kinds]
    first = [STATIC] if done[:1] == [STATIC] else ["Transformer", "Pooling"]
    if done != [*first, *(kind for kind in ("Dense", "Normalize") if kind in done)]:
        raise TextkitError(
            f"{path}: has the modules {', '.join(done)[:200]}; read are Transformer, Pooling, and behind them Dense and "
            f"Normalize, each once, and {STATIC} in place of the first two"
        )
    for kind, folder in kinds:
        if kind == "Pooling":
            options["pooling"] = _pooling(folder)
        elif kind == "Dense":
            more, state = _dense(folder, dim)
            options |= more
        elif kind == "Normalize":
            options["normalize"] = True
    notes = []
    prompts = checkpoint.json(_PROMPTS) if checkpoint.has(_PROMPTS) else {}
    if prompts.get("default_prompt_name") is not None:
        notes.append(
            f"sentence-transformers puts the prompt {str(prompts['default_prompt_name'])[:50]!r} before every text; here a "
            f"line is embedded as it is"
        )
    return Modules(options, state, tuple(notes))


def module_folders(checkpoint: Checkpoint) -> list[tuple[str, Checkpoint]]:
    """The kind and the folder of each module that does something, in order. The first is the encoder, or a table."""
    path = checkpoint.folder / FILE
    found = []
    for entry in checkpoint.json_list(FILE):
        kind, place = (entry.get(key) if isinstance(entry, dict) else None for key in ("type", "path"))
        if not isinstance(kind, str) or not isinstance(place, str):
            raise TextkitError(f"{path}: {str(entry)[:100]} names no module")
        if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
            raise TextkitError(f"{path}: {place[:100]!r} leaves the folder")
        name = kind.rpartition(".")[2][:100]
        if name != "Dropout":  # which does nothing outside of a training
            # Normalize has nothing to keep, and some copies of a folder leave empty folders out.
            found.append((name, checkpoint if name == "Normalize" else Checkpoint(checkpoint.folder / place)))
    if not found or found[0][0] not in ("Transformer", STATIC):
        raise TextkitError(f"{path}: does not begin with a module Transformer or {STATIC}")
    return found


def read_table(folder: Checkpoint) -> torch.Tensor:
    """The table f32[id, dim] of a StaticEmbedding."""
    path = str(folder.folder / folder.weights_file())
    tensors = folder.tensors()
    if len(tensors) != 1 or next(iter(tensors)) not in _TABLES or next(iter(tensors.values())).dim() != 2:
        names = ", ".join(tensors)[:200]
        raise TextkitError(f"{path}: holds {names or 'nothing'}; a table {' or '.join(_TABLES)} alone is read")
    check_finite(tensors, path)
    return next(iter(tensors.values()))


def _pooling(folder: Checkpoint) -> str:
    config = folder.json("config.json")
    path = folder.folder / "config.json"
    modes = [key.removeprefix(_MODE) for key, value in config.items() if key.startswith(_MODE) and value is True]
    stated = config.get("pooling_mode")
    if stated is not None:
        modes = [str(each) for each in (stated if isinstance(stated, list) else [stated])]
    names = [_POOLINGS.get(mode, mode if mode in _POOLINGS.values() else "") for mode in modes] or ["mean"]
    if len(names) != 1 or not names[0]:
        raise TextkitError(f"{path}: pools by {', '.join(modes)[:200]}; one of mean, max and cls is read")
    return names[0]


def _dense(folder: Checkpoint, dim: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Options and parameters of a linear layer behind the pooling."""
    import torch

    name = "config.json"
    config, path = folder.json(name), str(folder.folder / name)
    settings = Settings(config, path)
    given, made = settings.number("in_features", 1, 1 << 20), settings.number("out_features", 1, 1 << 20)
    stated = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = _ACTIVATIONS.get(stated.rpartition(".")[2].removesuffix("()").lower())
    if activation is None:
        raise TextkitError(f"{path}: activation_function is {stated[:100]!r}; read are Identity, Tanh, ReLU and GELU")
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            raise TextkitError(f"{path}: {key} is {str(config[key])[:50]!r}, which is not read")
    if config.get("use_residual") not in (None, False):
        raise TextkitError(f"{path}: use_residual is set, which is not read")
    if given != dim:
        raise TextkitError(f"{path}: in_features is {given}, and the encoder gives {dim} numbers")
    biased = settings.flag("bias", True)
    where = str(folder.folder / folder.weights_file())
    wanted: dict[str, tuple[int, ...]] = {"linear.weight": (made, given)} | ({"linear.bias": (made,)} if biased else {})
    found = folder.tensors()
    check_tensors(where, found, wanted)
    check_finite(found, where)
    state = {"dense.weight": found["linear.weight"], "dense.bias": found.get("linear.bias", torch.zeros(made))}
    return {"output": made, "output_activation": activation}, state
