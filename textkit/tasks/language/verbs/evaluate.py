"""What `textkit evaluate` measures of models of the task `language`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textkit.evaluation.measuring import PERHAPS, Evaluation, Figures, Question


def measure(question: Question) -> Iterator[Figures]:
    from textkit.tasks.language.evaluation import evaluate
    from textkit.tasks.language.serving.scorer import LanguageModel

    model = LanguageModel(question.model, question.device, question.threads)
    question.note(f"{question.model.folder} on {model.session.where}")
    for path in question.data:
        yield evaluate(model, path).figures(path)


def claims(paths: Sequence[str]) -> int:
    """Any text may be for a language model."""
    return PERHAPS


EVALUATION = Evaluation(measure, claims=claims)
