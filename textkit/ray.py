"""Models over Ray datasets: `textkit.ray.embed(dataset, model="en-sentences")` adds a column of answers. Needs ray.

Each worker loads the model once, by its name or folder, so that every machine must have it: a shared folder, or the package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textkit.errors import TextkitError, UsageError, bounded, listed

_BATCH = 4096  # rows; a model cuts them further


class Answers:
    """What Ray Data runs: a table in, the same with one more column out. A null stays null."""

    def __init__(self, model: str | None, task: str, column: str, output: str, options: dict[str, Any]) -> None:
        from textkit.serving import open_model

        self.model: Any = open_model(model, task=task, **options)
        self.task, self.column, self.output = task, column, output

    def __call__(self, table: Any) -> Any:
        """`table`: a pyarrow Table with strings in the column `column`. Raises TextkitError for another column."""
        from textkit.streams.arrow import is_text, pyarrow

        pa = pyarrow()
        if self.column not in table.column_names:
            raise TextkitError(f"no column {self.column!r}; there is {listed(table.column_names)}")
        kind = table.schema.field(self.column).type
        if not is_text(kind):
            raise TextkitError(f"column {self.column!r} is of type {bounded(str(kind))}, not string")
        texts = table.column(self.column).to_pylist()
        answers = self.model([text or "" for text in texts])
        nulls = [text is None for text in texts]
        return table.append_column(self.output, _COLUMNS[self.task](pa, answers, nulls))


def _vectors(pa: Any, answers: Any, nulls: list[bool]) -> Any:
    from textkit.streams.arrow import vectors

    return vectors(answers, [at for at, null in enumerate(nulls) if null])


def _plain(value: Callable[[Any], Any], kind: str) -> Callable[[Any, Any, list[bool]], Any]:
    def column(pa: Any, answers: Any, nulls: list[bool]) -> Any:
        found = [None if null else value(answer) for answer, null in zip(answers, nulls, strict=True)]
        return pa.array(found, pa.type_for_alias(kind))

    return column


_COLUMNS: dict[str, Callable[[Any, Any, list[bool]], Any]] = {
    "embed": _vectors,
    "translate": _plain(str, "string"),
    "classify": _plain(lambda answer: answer.label, "string"),
    "language": _plain(lambda answer: answer.logprob, "double"),
}


def embed(
    dataset: Any, model: str | None = None, *, column: str = "text", output: str = "embedding", **options: Any
) -> Any:
    """`dataset` (a ray.data.Dataset) with the vector of each row's text in the new column `output`: f32 lists of fixed size.

    `model`: a name or a folder that every machine has. `options`: `workers` (a number, or (least, most)), `gpus_per_worker`,
    `threads`, `batch_size` in rows; all others are the Embedder's. Lazy, as Ray's datasets are: errors of a worker come when
    the result is read. Raises UsageError for an unknown model, TextkitError where Ray is missing or too old.
    """
    return _answered("embed", dataset, model, column, output, options)


def translate(
    dataset: Any, model: str | None = None, *, column: str = "text", output: str = "translation", **options: Any
) -> Any:
    """The same with each text's translation; other `options` are the Translator's."""
    return _answered("translate", dataset, model, column, output, options)


def classify(
    dataset: Any, model: str | None = None, *, column: str = "text", output: str = "label", **options: Any
) -> Any:
    """The same with each text's label; other `options` are the Classifier's."""
    return _answered("classify", dataset, model, column, output, options)


def score(
    dataset: Any, model: str | None = None, *, column: str = "text", output: str = "logprob", **options: Any
) -> Any:
    """The same with each text's log-probability, a natural logarithm; other `options` are the LanguageModel's."""
    return _answered("language", dataset, model, column, output, options)


def _answered(task: str, dataset: Any, model: str | None, column: str, output: str, options: dict[str, Any]) -> Any:
    from textkit.arguments import of_arguments
    from textkit.cli.ray_cluster import installed, pool
    from textkit.serving import open_model

    ray = installed()
    workers, gpus = options.pop("workers", None), options.pop("gpus_per_worker", 0)
    batch_size = options.pop("batch_size", _BATCH)
    options = {"threads": 1, **options}
    if output == column:
        raise UsageError(f"output={output!r}: is the column of the texts")
    with of_arguments():
        open_model(model, task=task, **options)  # a wrong name or option is said here, not by a worker
    return dataset.map_batches(
        Answers,
        fn_constructor_args=(model, task, column, output, options),
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=pool(ray, workers or (1, 1 << 10)),
        num_cpus=options["threads"],
        num_gpus=gpus,
    )
