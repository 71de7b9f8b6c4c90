"""The record of the task `embed`."""

from __future__ import annotations

from typing import Literal

from textkit.kinds import Flag, Maybe, Since, Text, Whole
from textkit.serving import LONG
from textkit.task import Port, Setting, Signature, Task
from textkit.task_registry import verbs_of
from textkit.text.bounds import WIDEST

POOLING = ("mean", "max", "sif")  # the values 0, 1, 2 of the port `pool`
OWN = "model"  # its value 3, where the model has a vector of its own for a line (the fact `pools`)
PORT = (*POOLING, OWN)
POOLINGS = (*PORT, "fasttext")  # the last is computed outside the graph, from its output `tokens`
# What a line is, for a model that embeds queries and the documents that answer them by a network each. Its graph `embed` is the
# side of documents. A model with one side has no graph `query`.
Side = Literal["document", "query"]
SIDES: tuple[Side, ...] = ("document", "query")
QUERY: Side = "query"
RETRIEVAL = ("ndcg", "recall", "mrr")  # metrics of judged retrieval, which are measured together
WORDS = "en-words"  # the shipped model in whose vocabulary `nearest` and `analogy` look
# The JSON fields that a verb writes, the result itself first. A record's own field of the same name is renamed.
EMBEDDED = ("embedding",)
TOKENS = ("tokens",)

_LINES = Signature(
    inputs=(
        Port("ids", "int64", ("line", "token")),
        Port("weight", "float32", ("line", "token")),
        Port("pool", "int64"),
        Port("normalize", "bool"),
    ),
    outputs=(
        Port("vector", "float32", ("line", "dim")),
        Port("tokens", "float32", ("line", "token", "dim")),
    ),
)

TASK = Task(
    name="embed",
    summary="lines to vectors",
    graphs={"embed": _LINES, QUERY: _LINES},
    extra=frozenset({QUERY}),
    serving="textkit.tasks.embed.serving.embedder:Embedder",
    exporter="textkit.tasks.embed.exporting.export:exported",
    settings={
        "pooling": Setting(
            Text(choices=POOLINGS),
            "mean",
            "How the vectors of words make that of a line: mean, max, sif, model (the model's own) or fasttext.",
            "HOW",
        ),
        "normalize": Setting(Flag(), False, "Scale vectors to length 1."),
        # Not set: split. A model that was made to read only the beginning of a text says so.
        "long": Setting(Text(choices=LONG), None, "What becomes of a line too long for the model."),
    },
    facts={"dim": Maybe(Whole(1, WIDEST)), "pools": Since(Flag(), False)},
    default_model="en-sentences",
    verbs=verbs_of("embed"),
    metrics={
        "similarity": "word pairs with scores: Spearman's correlation with the cosines",
        "analogies": 'four words per line, ": name" begins a section: accuracy of 3CosAdd',
        "sts": "sentence pairs with scores, separated by tabs: Spearman's correlation. Pairs are TSV, CSV, JSON lines or "
        "separated by spaces. The columns are named by a header (sentence1, sentence2, score and the like), are two texts "
        "and a score, or follow the STS benchmark; otherwise --columns names them",
        "ndcg": "three files, corpus (id, text), queries (id, text) and qrels (query, document, grade), or pairs of a query "
        "and its document: nDCG@10 as trec_eval counts it",
        "recall": "the same data: the share of the relevant documents among the first 10, and the first 100",
        "mrr": "the same data: the mean of 1 / the rank of the first relevant document",
    },
    evaluation="textkit.tasks.embed.verbs.evaluate:EVALUATION",
)
