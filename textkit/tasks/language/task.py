"""The record of the task `language`."""

from __future__ import annotations

from textkit.kinds import Whole
from textkit.searching.ports import AFTER, BEFORE, CHOICE, OF_LINES, WORD
from textkit.searching.settings import SEARCH
from textkit.task import Port, Setting, Signature, Task
from textkit.task_registry import verbs_of
from textkit.text.bounds import MOST_ROWS

# The JSON fields that a verb writes, the result itself first. A record's own field of the same name is renamed.
SCORED = ("logprob", "tokens", "perplexity", "unknown", "per_token", "per_word")
GENERATED = ("continuation", "prompt", "logprob", "tokens", "ended", "samples")

TASK = Task(
    name="language",
    summary="how likely lines are, and what may follow a prompt",
    graphs={
        "score": Signature(
            inputs=(
                Port("previous", "int64", ("line",)),
                Port("ids", "int64", ("line", "token")),
                Port("weight", "float32", ("line", "token")),
                *OF_LINES,
            ),
            outputs=(Port("logprob", "float32", ("line", "token")), *OF_LINES),
        ),
        "step": Signature(inputs=(*WORD, *BEFORE), outputs=(*CHOICE, *AFTER)),
    },
    serving="textkit.tasks.language.serving.scorer:LanguageModel",
    exporter="textkit.tasks.language.exporting.export:exported",
    settings={
        "max_tokens": Setting(Whole(1, 1 << 20), 100, "The most tokens to generate."),
        **{name: SEARCH[name] for name in ("temperature", "top_k", "top_p")},
    },
    limits={"context": Whole(2, MOST_ROWS)},  # the most tokens that a model remembers
    default_model="en-lm",
    verbs=verbs_of("language"),
    metrics={"perplexity": "lines of text, each read with all the lines before it as context"},
    evaluation="textkit.tasks.language.verbs.evaluate:EVALUATION",
)
