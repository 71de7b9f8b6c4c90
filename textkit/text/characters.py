"""Characters of a text as an array of code points, and what is known of each. numpy only; knows no words and no ids."""

from __future__ import annotations

from collections.abc import Callable

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


class Folding:
    """What each character becomes: code points -> u32 of the same shape, DEPENDS where that depends on those beside it.

    `fold`: a character -> the one that it becomes, or None. It is asked once for each character that occurs.
    """

    DEPENDS = 0xFFFFFFFF

    def __init__(self, fold: Callable[[str], str | None]) -> None:
        self._fold = fold
        self._of = np.zeros(ALL, np.uint32)  # 0: not asked yet; NUL, which would be 0, counts as one that depends

    def __getstate__(self) -> dict[str, object]:
        return {"_fold": self._fold}

    def __setstate__(self, state: dict[str, Callable[[str], str | None]]) -> None:
        self.__init__(state["_fold"])  # type: ignore[misc]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        found = self._of.take(points)
        if len(found) and not found.min():
            for point in distinct(points[found == 0]):
                becomes = self._fold(chr(point))
                self._of[point] = (ord(becomes) if becomes else 0) or self.DEPENDS
            found = self._of.take(points)
        return found


class Kinds:
    """What each character is: code points -> u8 of the same shape. `kind`: a character -> 1 to 255.

    It is asked once for each character that occurs, because asking for all of them would take a second.
    """

    def __init__(self, kind: Callable[[str], int]) -> None:
        self._kind = kind
        self._of = np.zeros(ALL, np.uint8)  # 0: not asked yet. The memory of what does not occur is never touched.

    def __getstate__(self) -> dict[str, object]:
        return {"_kind": self._kind}

    def __setstate__(self, state: dict[str, Callable[[str], int]]) -> None:
        self.__init__(state["_kind"])  # type: ignore[misc]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        found = self._of.take(points)
        if len(found) and not found.min():
            for point in distinct(points[found == 0]):
                self._of[point] = self._kind(chr(point))
            found = self._of.take(points)
        return found

    def lines_of(self, text: str, kind: int) -> list[int]:
        """The numbers of the lines of a text that hold a character of that kind, ascending."""
        points = points_of(text)
        at = np.flatnonzero(self(points) == kind)
        if not len(at):
            return []
        return distinct(np.searchsorted(np.flatnonzero(points == ord("\n")), at))
