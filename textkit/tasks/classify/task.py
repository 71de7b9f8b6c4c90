"""The record of the task `classify`."""

from __future__ import annotations

from textkit.kinds import Each, Flag, Maybe, Real, Record, Text
from textkit.task import Port, Setting, Signature, Task
from textkit.task_registry import verbs_of
from textkit.text.bounds import MOST_ROWS

# The JSON fields that a verb writes, the result itself first. A record's own field of the same name is renamed.
CLASSIFIED = ("label", "probability", "labels", "spans")
LONGEST_LABEL = 1000  # characters
LONGEST_HEAD = 100  # of its name
QUANTILES = 201  # of how familiar lines are: those of 0, .005, ..., 1

_LABEL = Text(LONGEST_LABEL)
_EACH = Each(Real(0, 1), MOST_ROWS)
# One question that a model answers about a line. `several`: any number of its labels may hold at once, each by itself;
# otherwise exactly one does. Logits are divided by `temperature`. `thresholds`: the probability from which each label of
# several holds. `typical`: quantiles of how familiar lines are (serving/familiarity.py). `coarse`: label -> the label that it
# is a kind of (a dialect's language), which is given unless the finer one is asked for. `nothing`: the label of a line of which
# the model sees nothing, such as one of digits alone.
HEAD = Record(
    {
        "thresholds": Maybe(_EACH),
        "typical": Each(Real(-1e30, 1e30), QUANTILES),
        "coarse": Each(_LABEL, MOST_ROWS, dict),
        "nothing": _LABEL,
    },
    name=Text(LONGEST_HEAD),
    labels=Each(_LABEL, MOST_ROWS),
    several=Flag(),
    temperature=Real(0, 1e6, above=True),
)

TASK = Task(
    name="classify",
    summary="lines to labels",
    graphs={
        "classify": Signature(
            inputs=(Port("ids", "int64", ("line", "token")), Port("weight", "float32", ("line", "token"))),
            outputs=(
                Port("logits", "float32", ("line", "label")),  # of all heads, one head after the other
                Port("importance", "float32", ("line", "token")),  # the share of each token in its line's vector
            ),
        )
    },
    serving="textkit.tasks.classify.serving.classifier:Classifier",
    exporter="textkit.tasks.classify.exporting.export:exported",
    settings={
        "abstain": Setting(Real(0, 1), 0.0, "No label for a line whose likeliest label is less likely than P.", "P"),
        "outliers": Setting(
            Real(0, 1), 0.0, "No label for a line that is stranger than all but the share P of the dev lines.", "P"
        ),
        "threshold": Setting(
            Real(0, 1), None, "Where several labels may hold: give those at least as likely as P.", "P"
        ),
    },
    # `attends`: whether `importance` says what the model looks at; otherwise words are left out to find that out.
    facts={"heads": Each(HEAD, 1000), "attends": Flag()},
    default_model="languages",
    verbs=verbs_of("classify"),
    metrics={
        "accuracy": "labelled lines (label<tab>text, fastText's __label__ lines, CSV or JSON lines): the share labelled "
        "right, with macro-F1, figures for each label, confusions and calibration",
        "macro-f1": "the same data, for models whose lines may have several labels",
    },
    evaluation="textkit.tasks.classify.verbs.evaluate:EVALUATION",
    attention="textkit.tasks.classify.serving.attention:Attention",
    corpus="textkit.tasks.classify.corpus:LabelledCorpus",
)
