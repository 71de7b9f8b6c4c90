"""Reads fastText's supervised models (.bin and .ftz) as classifiers, and makes bundles of the task `classify` of them.

Labels are fastText's, in its order, without `__label__`. Probabilities are those that fastText computes; those that it prints
are higher by 1e-5, which it adds inside every logarithm (loss.cc, std_log), with hierarchical softmax once for each turn.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError, UsageError
from textkit.interop.fasttext.bin import (
    Arguments,
    Dictionary,
    dense_rows,
    input_matrix,
    output_matrix,
    read_arguments,
    read_dictionary,
    rows_of_ngrams,
    spell,
)
from textkit.interop.fasttext.graph import Matrix, Parts, classifier_graph
from textkit.interop.fasttext.parity import deviation, proven
from textkit.interop.fasttext.quantised import Quantised
from textkit.interop.fasttext.tree import huffman
from textkit.interop.source import Source
from textkit.interop.table import Room
from textkit.text.bounds import MOST_ROWS
from textkit.text.fasttext import LABEL, FastText
from textkit.text.subwords import NGrams

_HIERARCHICAL, _NEGATIVE, _SOFTMAX, _ONE_VS_ALL = 1, 2, 3, 4  # args.h, loss_name
_LOSSES = {
    _HIERARCHICAL: "hierarchical softmax",
    _NEGATIVE: "negative sampling",
    _SOFTMAX: "softmax",
    _ONE_VS_ALL: "one-vs-all",
}


@dataclass
class Classifier:
    """What was read. `several`: each label has a probability of its own, and they do not add up to 1."""

    format: str
    rule: FastText
    parts: Parts
    labels: list[str]
    loss: str
    notes: list[str] = field(default_factory=list)

    @property
    def several(self) -> bool:
        return self.parts.sigmoids


def read_classifier(source: Source, room: Room) -> Classifier:
    """Reads a supervised model whole. Raises TextkitError, which names the file, for any other and for a damaged file.

    A quantised matrix stays as it is. Rows that no text leads to (the buckets of a model without n-grams) are left out.
    """
    if room.max_vocab is not None or room.encoding != "utf-8" or room.skip:
        raise UsageError(
            f"{source.name}: a classifier is read whole, without --max-vocab, --encoding and --on-error; "
            f"--task embed makes word vectors of it"
        )
    arguments = read_arguments(source)
    if not arguments.supervised:
        raise TextkitError(f"{source.name}: holds word vectors and no labels, so it cannot become a classifier")
    dictionary = read_dictionary(source, room)
    if arguments.loss not in _LOSSES:
        raise TextkitError(f"{source.name}: was trained with the unknown loss {arguments.loss}: damaged")
    labels = _label_names(source.name, dictionary)
    matrix = input_matrix(source, arguments, dictionary)
    rule, places = _rule(source.name, arguments, dictionary, composed=matrix is None)
    grams = len(rule) - len(rule.words)
    if matrix is None:
        room.check(source.name, len(rule.words), grams, arguments.dim)
        table = dense_rows(source, dictionary, grams, arguments.dim)
        source.skip((arguments.buckets - grams) * arguments.dim * 4, "its input matrix")
        if len(table) > len(rule):
            table = table[places]
        if rule.composed:
            names = [word.encode() for word in rule.words]
            spell(table[: len(names)], table[len(names) :], names, NGrams(rule.minimum, rule.maximum, rule.buckets, 0))
            if not np.isfinite(table[: len(names)]).all():
                raise TextkitError(
                    f"{source.name}: the rows of a word and its n-grams add up to no finite number: damaged"
                )
    rows: Matrix = table if matrix is None else matrix.only(places)
    output = output_matrix(source, arguments, dictionary, matrix is not None)
    tree = None
    if arguments.loss == _HIERARCHICAL and len(labels) > 1:
        try:
            tree = huffman(dictionary.label_counts.tolist())
        except ValueError as error:
            raise TextkitError(f"{source.name}: {error}: damaged") from None
    parts = Parts(rows, output, tree, arguments.loss in (_NEGATIVE, _ONE_VS_ALL))
    kind = "fastText .ftz" if matrix is not None else "fastText .bin"
    found = Classifier(kind, rule, parts, labels, _LOSSES[arguments.loss])
    if left_out := len(dictionary.words) - len(rule.words):
        found.notes.append(f"{left_out:,} words left out that are no UTF-8: no text holds them")
    return found


def _rule(name: str, arguments: Arguments, dictionary: Dictionary, composed: bool) -> tuple[FastText, np.ndarray]:
    """How text becomes ids, and the row of the input matrix for each id. `composed`: whether each word has one row of its own,
    if it has n-grams at all."""
    words: dict[str, int] = {}
    for row, word in enumerate(dictionary.words):
        try:
            words.setdefault(word.decode("utf-8"), row)
        except UnicodeDecodeError:
            continue
    places = np.fromiter(words.values(), np.int64, len(words))
    kept = dictionary.kept(name, arguments.buckets)
    if not (arguments.maximum or arguments.word_ngrams > 1) or (kept is not None and not len(kept)):
        return FastText(list(words)), places
    if arguments.buckets > MOST_ROWS:
        raise TextkitError(f"{name}: n-grams in {arguments.buckets:,} buckets; at most {MOST_ROWS:,} are read")
    rule = FastText(
        list(words), arguments.word_ngrams, arguments.minimum, arguments.maximum, arguments.buckets,
        None if kept is None else kept.astype(np.int64), composed and arguments.maximum > 0,
    )  # fmt: skip
    return rule, np.concatenate([places, rows_of_ngrams(dictionary, arguments.buckets, kept)])


def _label_names(name: str, dictionary: Dictionary) -> list[str]:
    """The labels as text, without what begins all of them in fastText's data; one that is nothing else stays as it is."""
    whole = [label.decode("utf-8", "replace") for label in dictionary.labels]
    if not whole:
        raise TextkitError(f"{name}: has no labels: damaged")
    short = [label.removeprefix(LABEL) or label for label in whole]
    labels = short if len(set(short)) == len(short) else whole
    if len(set(labels)) < len(labels):
        raise TextkitError(f"{name}: two of its labels are the same text: damaged")
    return labels


def make_bundle(
    read: Classifier,
    folder: Path,
    *,
    source: str,
    sample: Sequence[str] = (),
    name: str | None = None,
    precision: str = "fp32",
    licence: str = "",
    overwrite: bool = False,
    made: dict[str, Any] | None = None,
) -> Path:
    """Writes what was read as a `classify` bundle and returns its folder. `sample`: lines of text to try the graph on.

    Raises TextkitError where the graph computes something else than the model.
    """
    from textkit.exporting.exported import TOKEN_LIMIT, Exported, checked_name, write
    from textkit.exporting.parity import load
    from textkit.tasks.classify.task import TASK

    name = checked_name(Path(folder), name, precision, overwrite)
    if precision != "fp32" and isinstance(read.parts.rows, Quantised):
        raise UsageError(f"--precision {precision}: {source} is quantised already, in fewer bytes")
    graph = classifier_graph(read.parts, "fp32")
    figures: dict[str, Any] = {"against": "numpy"} | proven(load(graph), read.parts, read.rule, sample)
    if precision != "fp32":
        graph = classifier_graph(read.parts, precision)
        figures["deviation"] = deviation(load(graph), read.parts, read.rule, sample)
    head = {"name": "", "labels": read.labels, "several": read.several, "temperature": 1.0}
    found = Exported({"classify": graph}, {"tokens": TOKEN_LIMIT}, figures, {"heads": [head], "attends": False})
    return write(
        Path(folder), found, task="classify", rule=read.rule, name=name, precision=precision, defaults=TASK.defaults,
        overwrite=overwrite, licence=licence, data=[{"file": os.path.basename(source), "format": read.format}],
        made={"imported": read.format, "loss": read.loss} | (made or {}),
    )  # fmt: skip
