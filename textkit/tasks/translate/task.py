"""The record of the task `translate`."""

from __future__ import annotations

from textkit.kinds import Flag, Maybe, Real, Record, Since, Whole
from textkit.searching.ports import AFTER, BEFORE, CHOICE, OF_LINES, WORD
from textkit.searching.settings import SEARCH
from textkit.task import PAIRS, Port, Setting, Signature, Task
from textkit.task_registry import verbs_of
from textkit.text.bounds import MOST_ROWS

# The JSON fields that a verb writes, the result itself first. A record's own field of the same name is renamed.
TRANSLATED = (
    "translation",
    "score",
    "logprob",
    "source_tokens",
    "tokens",
    "alignment",
    "word_scores",
    "nbest",
    "confidence",
    "doubts",
)

# The coefficients of serving/confidence.py; a model that learnt none has null.
CONFIDENCE = Record(bias=Real(-100, 100), likelihood=Real(0, 100), shortness=Real(0, 100), ratio=Real(-10, 10))

_SOURCE = (Port("source", "int64", ("line", "source")), Port("source_mask", "bool", ("line", "source")))
_MEMORY = Port("memory.*", "", ("line",))
# Of a model with a shortlist: the best of the words that a line may hold. `shared.*` belongs to all lines of a batch.
_SHORTLIST = "a shortlist"
_SHORT_IN = (
    Port("shortlist", "int64", ("word",), _SHORTLIST),
    Port("allowed", "int64", ("line", "choice"), _SHORTLIST),
    Port("outside", "float32", ("line", "choice"), _SHORTLIST),
    Port("shared.*", ""),
)
_SHORT_OUT = (
    Port("shared.*", ""),
    Port("short_id", "int64", ("line", "beam", "short_k"), _SHORTLIST),
    Port("short_logprob", "float32", ("line", "beam", "short_k"), _SHORTLIST),
)

TASK = Task(
    name="translate",
    summary="lines to lines in another language",
    graphs={
        "encode": Signature(inputs=_SOURCE, outputs=(_MEMORY, *OF_LINES)),
        "step": Signature(
            inputs=(*WORD, _MEMORY, *BEFORE, *_SHORT_IN),
            outputs=(*CHOICE, Port("attention", "float32", ("line", "beam", "source")), *AFTER, *_SHORT_OUT),
        ),
        "shortlist": Signature(inputs=_SOURCE, outputs=(Port("allowed", "bool", ("line", "vocab")),)),
        "explain": Signature(
            inputs=(*_SOURCE, Port("target", "int64", ("line", "target"))),
            outputs=(
                Port("encoder", "float32", ("line", "layer", "head", "source", "source")),
                Port("decoder", "float32", ("line", "layer", "head", "target", "target")),
                Port("cross", "float32", ("line", "layer", "head", "target", "source")),
            ),
        ),
    },
    optional=frozenset({"explain", "shortlist"}),  # for pictures of attention; for speed
    serving="textkit.tasks.translate.serving.translator:Translator",
    exporter="textkit.tasks.translate.exporting.export:exported",
    settings={
        **{
            name: SEARCH[name]
            for name in (
                "beam_size",
                "length_penalty",
                "min_length",
                "max_length",
                "no_repeat_ngram_size",
                "allow_unk",
                "early_stopping",
            )
        },
        "max_length_factor": SEARCH["max_length_factor"].with_default(3.0),
        "sentences": Setting(Flag(), True, "Translate each sentence of a line by itself."),
        "clauses": Setting(Whole(0, 10_000), 0, "Cut a sentence of more words than this where clauses end; 0: never."),
        "truecase": Setting(Flag(), False, "Read a line in capitals as if it had small letters; capitals come back."),
        "shortlist": Setting(Flag(), True, "Choose among the words that a line's own allow, if the model lists them."),
        "guard": Setting(Flag(), True, "Search again where a translation repeats itself or lacks a number."),
    },
    facts={"confidence": Since(Maybe(CONFIDENCE), None)},
    limits={"target": Whole(1, MOST_ROWS)},  # tokens of the longest translation
    default_model="en-de",
    verbs=verbs_of("translate"),
    metrics={
        "bleu": "lines and their translations: a file of lines and files of references that match it line by line, or "
        "TSV files (source, reference; lines with the same source are several references for it)",
        "chrf": "the same; --metric bleu,chrf gives both",
        "confidence": "the same: how well confidence in a line agrees with its chrF (Pearson's r), after textkit calibrate",
    },
    evaluation="textkit.tasks.translate.verbs.evaluate:EVALUATION",
    attention="textkit.tasks.translate.serving.attention:Attention",
    corpus=PAIRS,
)
