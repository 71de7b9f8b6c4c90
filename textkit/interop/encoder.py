"""Makes an `embed` or a `classify` model of a Hugging Face or sentence-transformers folder with an encoder like BERT, or with a
table of tokens' vectors (StaticEmbedding).

Reads config.json, tokenizer.json and the tensors; where there is a modules.json, what that names. The networks are those of the
plugins `sentence-encoder` and `classifier` (encoder_network.py). Knows no graph.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.exporting.exported import TOKEN_LIMIT
from textkit.interop import sentence_modules
from textkit.interop.checkpoint import Checkpoint
from textkit.interop.encoder_network import BUFFERS, encoder_state, head_state, options_of, read_shape, split_heads
from textkit.interop.encoder_sample import LINES
from textkit.interop.encoder_text import longest, read_rule, without_special
from textkit.registry import registry
from textkit.tasks.classify.corpus import Labelled, written
from textkit.text.tokenizer import Pretokenized
from textkit.version import __version__

if TYPE_CHECKING:
    import torch

    from textkit.interop.encoder_network import Shape

EMBEDS, CLASSIFIES = "sentence-encoder", "classifier"  # the plugins
_LEARNT_BY = {"Unigram": "unigram", "WordLevel": "word"}  # tokenizer.json's type of model -> the plugins' option `text`


@dataclass(frozen=True)
class Encoder:
    """A folder that was read. `plugin`: the family; `options`: those of its Config; `state`: its network's parameters by name;
    `limit`: the most tokens of a line; `defaults`: of serving."""

    plugin: str
    kind: str  # what the folder is, for people
    rule: Pretokenized
    options: Mapping[str, Any]
    state: Mapping[str, torch.Tensor]
    limit: int
    defaults: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()  # what is done in another way than by sentence-transformers, one line each


def is_encoder(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is not a MarianMT checkpoint, which also has a config.json."""
    checkpoint = Checkpoint(folder)
    if checkpoint.has(sentence_modules.FILE):
        return True
    return checkpoint.has("config.json") and checkpoint.json("config.json").get("model_type") != "marian"


def read(folder: str | Path) -> Encoder:
    """What is in `folder`. Raises TextkitError in one line, which names the file, for anything that is not sound."""
    root = Checkpoint(folder)
    sentences = root.has(sentence_modules.FILE)
    first, checkpoint = sentence_modules.module_folders(root)[0] if sentences else ("Transformer", root)
    if first == sentence_modules.STATIC:
        return _static(root, checkpoint)
    path = str(checkpoint.folder / "config.json")
    config = checkpoint.json("config.json")
    shape = read_shape(config, path)
    rule = read_rule(checkpoint, sentences)
    if len(rule) > shape.rows:
        raise TextkitError(
            f"{checkpoint.folder}: tokenizer.json has {len(rule):,} ids, config.json a table of {shape.rows:,}"
        )
    limit = longest(checkpoint, shape.positions, sentences)
    where = str(checkpoint.folder / checkpoint.weights_file())
    own, heads = split_heads(checkpoint.tensors(BUFFERS), shape, where)
    state = {f"encoder.tokens.{name}": tensor for name, tensor in encoder_state(own, shape, len(rule), where).items()}
    options = options_of(shape) | {"text": _LEARNT_BY.get(_model(rule), "bpe")}
    if shape.classifies and not sentences:
        labels, several = _labels(config, path)
        state |= {
            f"heads.0.{name}": part for name, part in head_state(heads, shape, len(labels), several, where).items()
        }
        rule.learnt = {"labels": labels, "counts": [1] * len(labels)}
        options |= {
            "pooling": "cls", "units": shape.dim, "units_activation": shape.family.head[1], "several": several,
            "longest": limit,
        }  # fmt: skip
        return Encoder(CLASSIFIES, f"Hugging Face checkpoint ({shape.family.name})", rule, options, state, limit)
    return _sentences(root, sentences, shape, rule, options, state, limit)


def _sentences(
    root: Checkpoint,
    sentences: bool,
    shape: Shape,
    rule: Pretokenized,
    options: dict[str, Any],
    state: dict[str, torch.Tensor],
    limit: int,
) -> Encoder:
    """The model that makes vectors. A folder without modules pools by the mean, as sentence-transformers does with it."""
    kind, notes = (
        f"Hugging Face checkpoint ({shape.family.name})",
        ["no modules.json: a line's vector is the mean of its tokens'"],
    )
    if sentences:
        modules = sentence_modules.read_modules(root, shape.dim)
        kind, notes = f"sentence-transformers folder ({shape.family.name})", list(modules.notes)
        options |= modules.options
        state |= modules.state
    else:
        options |= {"pooling": "mean", "normalize": False}
    options |= {"longest": limit}
    return Encoder(EMBEDS, kind, rule, options, state, limit, {"long": "cut"}, notes)


def _static(root: Checkpoint, folder: Checkpoint) -> Encoder:
    """The model that is a table: a line's vector is the mean of its tokens' rows, without the tokenizer's special ones."""
    rule = without_special(read_rule(folder, sentences=False))
    table = sentence_modules.read_table(folder)
    if len(rule) > len(table):
        raise TextkitError(f"{folder.folder}: tokenizer.json has {len(rule):,} ids, the table {len(table):,} rows")
    modules = sentence_modules.read_modules(root, table.shape[1])
    options = {"encoder": "bag", "dim": table.shape[1], "text": _LEARNT_BY.get(_model(rule), "bpe")} | modules.options
    state = {"encoder.tokens.embedding.weight": table[: len(rule)]} | modules.state
    kind = f"sentence-transformers folder ({sentence_modules.STATIC})"
    return Encoder(EMBEDS, kind, rule, options, state, TOKEN_LIMIT, {}, list(modules.notes))


def make_bundle(
    read: Encoder,
    folder: Path,
    *,
    source: str,
    sample: Sequence[str] = (),
    made: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Writes what was read as a bundle.

    `sample`: lines of text that the graph is tried on, and by which int8 is made; `options`: for export_graphs.
    """
    from textkit.exporting.export import export_graphs

    plugin = registry.get(read.plugin)
    config = plugin.Config(**read.options)
    network = plugin.network(config, read.rule)
    network.load_state_dict({**network.state_dict(), **read.state})
    graphs = {
        name: dataclasses.replace(graph, limit=min(read.limit, graph.limit or read.limit))
        for name, graph in plugin.graphs(network.eval(), read.rule, config).items()
    }
    sample = sample or LINES
    if read.plugin == CLASSIFIES:
        sample = [written(Labelled(line, ())) for line in sample]
    return export_graphs(
        folder,
        task=plugin.task,
        rule=read.rule,
        graphs=graphs,
        sample=sample,
        plugin={"name": plugin.name, "version": __version__},
        defaults={**plugin.defaults(), **plugin.decided(config, sample), **read.defaults},
        data=[{"file": os.path.basename(os.path.abspath(source)), "format": read.kind}],
        made={"imported": read.kind, "options": dict(read.options), "notes": list(read.notes)} | (made or {}),
        **options,
    )


def _model(rule: Pretokenized) -> str:
    """The type of a tokenizer's model."""
    return type(rule.tokenizer.model).__name__


def _labels(config: Mapping[str, Any], path: str) -> tuple[list[str], bool]:
    """The labels in the order of the logits, and whether several may hold."""
    stated = config.get("id2label")
    if not isinstance(stated, dict) or set(stated) != {str(at) for at in range(len(stated))}:
        raise TextkitError(f"{path}: id2label is {str(stated)[:100]}, not a label for each number from 0 on")
    labels = [stated[str(at)] for at in range(len(stated))]
    if not all(isinstance(label, str) and label for label in labels) or len(set(labels)) < len(labels):
        raise TextkitError(f"{path}: id2label has labels that are no text, empty or alike")
    kind = config.get("problem_type")
    if kind not in (None, "single_label_classification", "multi_label_classification"):
        raise TextkitError(f"{path}: problem_type is {str(kind)[:50]!r}, which is not read: a number is no label")
    several = kind == "multi_label_classification"
    if len(labels) < 2 and not several:
        raise TextkitError(
            f"{path}: a single label: a score of a text or of a pair of texts (cross-encoder) is not read"
        )
    return labels, several
