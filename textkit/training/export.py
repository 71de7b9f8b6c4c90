"""A trained model as a bundle: the graph, the proof that it computes what the model computes, the manifest's facts.

Nothing is written unless parity holds. Knows plugins by their contract alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textkit.errors import TextkitError
from textkit.text import TextRule
from textkit.training import parity, quantize
from textkit.training.embedding_graph import table_graph

TOKEN_LIMIT = 1 << 16  # of a model without one of its own: a line of more tokens is split or cut when served


def export_embedding_table(
    folder: Path,
    *,
    rule: TextRule,
    table: np.ndarray,
    probability: np.ndarray | None = None,
    sample: Sequence[str] = (),
    name: str | None = None,
    precision: str = "fp32",
    plugin: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    data: Sequence[Any] = (),
    licence: str = "",
    scores: Sequence[Mapping[str, Any]] = (),
    made: Mapping[str, Any] | None = None,
    limit: int = TOKEN_LIMIT,
    overwrite: bool = False,
) -> Path:
    """Writes the bundle of a table of vectors f32[id, dim], row i for id i of `rule`, and returns its folder. No torch.

    `probability` f32[id]: the unigram probability of each id, for SIF weights; None: all alike. `sample`: lines of
    real text from which SIF's common component is taken and on which lower precision is measured; without them no
    component is removed. The other arguments are the manifest's. Raises TextkitError for a table that does not fit
    `rule`, holds NaN or infinity, or is over 2 GB, where parity fails, and where lower precision costs too much.
    """
    _check_table(rule, table, probability)
    sample = [line for line in sample if line.strip()]

    def full(ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return table[ids].astype(np.float32, copy=False)

    stored = quantize.store(table, precision)
    component = parity.first_component(full, rule, sample, probability)
    graph = table_graph(stored, probability, component)
    batches = list(parity.cases(rule, sample, limit))
    figures = {"against": "numpy"} | parity.check(
        graph, lambda ids, weight: quantize.rows(stored, ids), batches, probability, component
    )
    if precision != "fp32":
        figures["deviation"] = parity.deviation(graph, full, batches)
        quantize.refuse_deviation(precision, figures["deviation"])
    from textkit import bundle

    return bundle.write(
        Path(folder),
        name=name or Path(folder).name,
        task="embed",
        rule=rule,
        graphs={"embed": graph},
        plugin=dict(plugin or {}),
        limits={"tokens": limit},
        defaults={"pooling": "mean", "normalize": False} | dict(defaults or {}),
        dim=int(table.shape[1]),
        data=list(data),
        licence=licence,
        scores=list(scores),
        parity=figures,
        precision=precision,
        made=dict(made or {}),
        overwrite=overwrite,
    )


def _check_table(rule: TextRule, table: np.ndarray, probability: np.ndarray | None) -> None:
    if table.ndim != 2 or len(table) != len(rule) or not table.size:
        raise TextkitError(f"a table of shape {table.shape} does not fit a vocabulary of {len(rule)} ids")
    if probability is not None and probability.shape != (len(rule),):
        raise TextkitError(f"probabilities of shape {probability.shape} do not fit a vocabulary of {len(rule)} ids")
    for start in range(0, len(table), 1 << 16):  # a mask of the whole table would take a quarter of its size
        sound = np.isfinite(table[start : start + (1 << 16)]).all(axis=1)
        if not sound.all():
            raise TextkitError(
                f"the vector of id {start + int(np.argmin(sound))} holds NaN or infinity: the model is of no use"
            )
