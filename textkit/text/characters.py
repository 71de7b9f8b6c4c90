"""Characters of a text as an array of code points, and what is known of each. numpy only; knows no words and no ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

ALL = 0x110000  # code points


def points_of(text: str) -> np.ndarray:
    """The code points of a text, u32[character]; half a surrogate pair is one, too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def distinct(numbers: np.ndarray) -> list[int]:
    """The distinct numbers, none of them negative, ascending. numpy.unique imports numpy.ma, which takes 40 ms of a start."""
    if not len(numbers):
        return []
    there = np.zeros(int(numbers.max()) + 1, bool)
    there[numbers] = True
    found: list[int] = np.flatnonzero(there).tolist()
    return found


def others(text: str) -> list[str]:
    """The distinct characters of a text beyond ASCII, in ascending order."""
    if text.isascii():
        return []
    return [chr(point) for point in distinct(points_of(text)) if point >= 128]


Asked = TypeVar("Asked", bound=Callable[[str], Any])


class _Known(ABC, Generic[Asked]):
    """What is known of each character: code points -> numbers of the same shape, none of them 0.

    `ask` is asked once for each character that occurs, because asking for all of them would take a second.
    """

    kind: ClassVar[type[np.unsignedinteger[Any]]]  # of the numbers

    def __init__(self, ask: Asked) -> None:
        self._ask = ask
        self._of = np.zeros(ALL, self.kind)  # 0: not asked yet. The memory of what does not occur is never touched.

    def __getstate__(self) -> dict[str, Any]:
        return {"_ask": self._ask}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_ask"])  # type: ignore[misc]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        found = self._of.take(points)
        if len(found) and not found.min():
            for point in distinct(points[found == 0]):
                self._of[point] = self.number(chr(point))
            found = self._of.take(points)
        return found

    @abstractmethod
    def number(self, character: str) -> int:
        """What is kept of a character, from what `ask` says of it; never 0."""


class Folding(_Known[Callable[[str], "str | None"]]):
    """What each character becomes, a code point u32; DEPENDS where that depends on those beside it. NUL counts as such a one.

    `ask`: a character -> the one that it becomes, or None.
    """

    kind = np.uint32
    DEPENDS = 0xFFFFFFFF

    def number(self, character: str) -> int:
        becomes = self._ask(character)
        return (ord(becomes) if becomes else 0) or self.DEPENDS


class Kinds(_Known[Callable[[str], int]]):
    """What each character is, u8. `ask`: a character -> 1 to 255."""

    kind = np.uint8

    def number(self, character: str) -> int:
        return self._ask(character)

    def lines_of(self, text: str, kind: int) -> list[int]:
        """The numbers of the lines of a text that hold a character of that kind, ascending."""
        points = points_of(text)
        at = np.flatnonzero(self(points) == kind)
        if not len(at):
            return []
        return distinct(np.searchsorted(np.flatnonzero(points == ord("\n")), at))
