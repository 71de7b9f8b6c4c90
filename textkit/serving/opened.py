"""An exported model that is open: what every callable of textkit has in common. Knows no task and no graph.

A list in gives a list; an iterator in gives an iterator, lazily and in order.
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
    """A callable that answers lines, one answer a line, in order.

    `model([line, ...])` gives a list (of the task `embed` an array) at once. `model(iterator)`, of a generator or an open file,
    gives an iterator that reads AHEAD lines at a time: memory does not grow with the input. The line feed at the end of a line
    that comes from a file is no part of it.

    It can be pickled, and is found again by the model's name and the hash of its manifest where its folder is another one, on
    another machine say.
    """

    task: ClassVar[str]
    # Attributes that hold what is loaded when it is used: no part of a pickle.
    loaded: ClassVar[Sequence[str]] = ()
    bundle: Bundle

    def open(self, model: str | Path | Bundle | None) -> None:
        """Finds the model that is meant: a name, a folder, a Bundle, None: the default of the task.

        Raises UsageError for an unknown model, TextkitError for one that is damaged or of another task.
        """
        with of_arguments():
            if not isinstance(model, bundles.Bundle):
                model = bundles.read(bundles.find(None if model is None else str(model), self.task), self.task)
        self.bundle = model

    @abstractmethod
    def answer(self, lines: Sequence[str], first: int = 0) -> Sequence[Answer]:
        """The answer to each line of a list; `first` is the number of the first one, where random numbers depend on it."""

    @overload
    def __call__(self, lines: Iterator[str]) -> Iterator[Answer]: ...
    @overload
    def __call__(self, lines: Iterable[str]) -> Sequence[Answer]: ...
    def __call__(self, lines: Iterable[str]) -> Sequence[Answer] | Iterator[Answer]:
        """The answers, in the order of the lines. TypeError for one str, which is an iterable of its characters else."""
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
