"""Lines -> labels, with an exported model of the task `classify`, or without one: by the nearness of labels' descriptions.

Knows no file format and no torch. Logits come from sources.py, heads.py makes probabilities of them, answers.py decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit.arguments import of_arguments
from textkit.errors import UsageError, quoted
from textkit.serving.opened import OpenModel
from textkit.tasks.classify.serving.answers import Classification, Classified
from textkit.tasks.classify.serving.heads import chosen, heads_of
from textkit.tasks.classify.serving.sources import Graph, Nearness, Source
from textkit.tasks.classify.task import TASK

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.serving.session import Session
    from textkit.tasks.classify.serving.explaining import Explained

MOST_NUMBERS = 1 << 22  # logits of the lines that are answered at once: a model may have 10,000 labels


class Classifier(OpenModel[Classification]):
    """list[str] -> a Classification for each line; a whitespace-only line has no label. Can be pickled; loads when first used.

    `labels` are the names of what may be answered, in the order of each line's probabilities. `long_lines` counts the lines so
    far that had more tokens than the model takes (`limit`), and `unknown_lines` those that are not blank, but of
    which the model sees nothing.
    """

    task = "classify"

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        head: str | None = None,
        abstain: float | None = None,
        threshold: float | None = None,
        fine: bool = False,
        labels: Sequence[str] | Mapping[str, str] | None = None,
        batch_tokens: int | None = None,
        outliers: float | None = None,
    ) -> None:
        """`model`: a name, a folder or a Bundle; None: the default. `head`: which of the model's questions to answer; None: the
        first. `abstain`: no label for a line whose likeliest label is less likely; `threshold`: where several labels may hold,
        those at least as likely hold; None: as the model states. `fine`: answer finer labels (dialects) themselves. `outliers`:
        no label for a line that is stranger than all but this share of the lines on which the model was calibrated.

        `labels`: choose among these instead, by how near the line's vector is to that of each label's description, with `model`
        a model for `embed`. A mapping has label -> description; a label without one describes itself.

        Raises UsageError for an unknown model, head or option, TextkitError for a model that is damaged or of another task.
        """
        if batch_tokens is not None and batch_tokens < 1:
            raise UsageError(f"batch_tokens={batch_tokens}: must be at least 1")
        own: dict[str, Any] = dict(TASK.defaults)
        asked = {"abstain": abstain, "threshold": threshold, "outliers": outliers}
        with of_arguments():
            asked = {
                name: TASK.settings[name].checked(value, name) for name, value in asked.items() if value is not None
            }
            if labels is not None:
                given = {"head": head, "threshold": threshold, "fine": fine or None, "outliers": outliers}
                for name, value in given.items():
                    if value is not None:
                        raise UsageError(f"--{name}: has no effect with --labels of your own")
                nearness = Nearness(model, device, threads, batch_tokens, described(labels))
                self.source: Source = nearness
                self.head, self.attends = nearness.head, False
                self.bundle = self.source.bundle
            else:
                self.open(model)
                facts = self.bundle.manifest.facts
                heads = heads_of(facts["heads"], fine, self.bundle.folder)
                self.head, self.attends = chosen(heads, head), bool(facts["attends"])
                if threshold is not None and not self.head.several:
                    raise UsageError(f"--threshold {threshold:g}: the model gives each line one label; use --abstain")
                if fine and not facts["heads"][heads.index(self.head)].get("coarse"):
                    raise UsageError("--fine: the model has no labels that belong to coarser ones")
                own |= self.bundle.manifest.defaults
                if outliers and self.head.typical is None:
                    raise UsageError(
                        f"--outliers {outliers:g}: the model does not state what lines it is used to; one that is trained "
                        f"with dev lines does"
                    )
                self.source = Graph(self.bundle, device, threads, batch_tokens, self.head, heads[-1].columns.stop)
            own |= asked
            self.abstain, self.threshold, self.outliers = map(own.get, ("abstain", "threshold", "outliers"))
        self.labels: tuple[str, ...] = self.head.labels

    @property
    def session(self) -> Session:
        """The graph, loaded. `session.device` is where it really runs."""
        return self.source.session

    @property
    def limit(self) -> int:
        """The most tokens of a line that the model takes."""
        return self.source.limit

    @property
    def long_lines(self) -> int:
        return self.source.counts[0]

    @property
    def unknown_lines(self) -> int:
        return self.source.counts[1]

    @property
    def lines_at_once(self) -> int:
        """How many lines should be answered at once, so that their logits take little memory."""
        return max(1, MOST_NUMBERS // len(self.labels))

    def answer(self, lines: Sequence[str], first: int = 0) -> Classified:
        """What is answered about each line: a sequence of Classification, which are made when they are asked for."""
        return self.decide(self.source.encode(lines))

    def decide(self, read: Any) -> Classified:
        """The answers to lines that `source.encode` has read."""
        logits, seen, blank = self.source.logits(read)
        return Classified(self.head, logits, seen, blank, self.abstain or 0.0, self.threshold, self.outliers or 0.0)

    def explain(self, lines: Sequence[str]) -> Explained:
        """What is answered about each line, with the weight of each of its words in the likeliest label: a sequence of
        Explanation.

        If the model attends, a word's weight is its share of the attention. Otherwise it is the drop of the label's
        log-probability where the word is left out: below 0 for a word that speaks against the label.
        """
        from textkit.tasks.classify.serving.explaining import explained

        return explained(self, lines)


def described(labels: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """label -> description. A label without one describes itself; its underscores are spaces. Raises UsageError for a label
    that is blank or occurs twice."""
    if isinstance(labels, str):
        raise UsageError("labels is one str: give a list of them")
    pairs = list(labels.items()) if isinstance(labels, Mapping) else [(label, "") for label in labels]
    found: dict[str, str] = {}
    for label, text in pairs:
        if not label.strip():
            raise UsageError("--labels: a label is blank")
        if label in found:
            raise UsageError(f"--labels: {quoted(label)} occurs twice")
        found[label] = text if text.strip() else label.replace("_", " ")
    return found
