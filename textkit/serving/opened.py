"""The base of all callables of textkit: an exported model that is open. Knows no task and no graph.

It answers a list with a list, and an iterator with an iterator, lazily and in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from textkit.arguments import of_arguments
from textkit.bundle import bundle as bundles

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

Answer = TypeVar("Answer")
AHEAD = 256  # lines of an iterator that are read before the first of them is answered


class OpenModel(ABC, Generic[Answer]):
    """A callable that answers lines, one answer per line, in order.

    `model([line, ...])` returns a list (for the task `embed`, an array) at once. `model(iterator)`, with a generator or an open
    file, returns an iterator that reads AHEAD lines at a time, so that memory does not grow with the input. The line feed at
    the end of an iterator's line is not part of the line.

    It can be pickled. Where the model's folder is another one, such as on another machine, the model is found again by its name
    and the hash of its manifest.
    """

    task: ClassVar[str]
    # Attributes that are loaded on first use, and that no pickle holds.
    loaded: ClassVar[Sequence[str]] = ()
    bundle: Bundle

    def open(self, model: str | Path | Bundle | None) -> None:
        """Opens `model`: a name, a folder or a Bundle; None: the default of the task.

        Raises UsageError for an unknown model, and TextkitError for one that is damaged or of another task.
        """
        with of_arguments():
            if not isinstance(model, bundles.Bundle):
                model = bundles.located(None if model is None else str(model), self.task)
        self.bundle = model

    @abstractmethod
    def answer(self, lines: Sequence[str], first: int = 0) -> Sequence[Answer]:
        """The answer to each line of a list; `first` is the number of the first line, on which random numbers may depend."""

    @overload
    def __call__(self, lines: Iterator[str]) -> Iterator[Answer]: ...
    @overload
    def __call__(self, lines: Sequence[str]) -> Sequence[Answer]: ...
    @overload
    def __call__(self, lines: Iterable[str]) -> Sequence[Answer] | Iterator[Answer]: ...
    def __call__(self, lines: Iterable[str]) -> Sequence[Answer] | Iterator[Answer]:
        """The answers, in the order of the lines. Raises TypeError for a str, whose characters would count as lines."""
        if isinstance(lines, str):
            raise TypeError("lines is one str: give a list of them")
        if isinstance(lines, Iterator):
            return self._one_by_one(lines)
        return self.answer(list(lines))

    def _one_by_one(self, lines: Iterator[str]) -> Iterator[Answer]:
        first = 0
        while some := [line.removesuffix("\n") for line in islice(lines, AHEAD)]:
            yield from self.answer(some, first)
            first += len(some)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | dict.fromkeys(self.loaded)
