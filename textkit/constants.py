"""The constants of an ONNX graph, and what is made of them alone: sizes are bounded before anything has them.

A few bytes can claim any size: a tensor by its axes, a shape by its numbers, and a chain of nodes by doubling what a constant
holds, which onnxruntime computes while it loads the graph. Knows no ports and no operator by its meaning (operators.py does).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textkit import operators
from textkit.protobuf import MAX_FIELDS, Damaged, Message

_FOLDED = 1 << 25  # numbers that may be computed from constants while a graph is loaded, besides twice the file's bytes
_SMALL = 64  # numbers of a constant that may be a shape
_EXTERNAL = "keeps its weights outside the file (external data)"


@dataclass
class Tensor:
    """A constant: how many numbers it has, and the numbers themselves where they may be a shape."""

    count: int = 0
    values: tuple[int, ...] | None = None


Scopes = tuple[dict[bytes, Tensor], ...]  # the constants of a graph by name, then those of the graphs around it


class Constants(Message):
    """A walk through messages that have tensors."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, MAX_FIELDS)
        self.rows = 0  # of all tables together, at most
        self._folds = 0  # numbers that onnxruntime will compute as it loads the graph, at most

    @property
    def folded(self) -> bool:
        """Whether what is computed from constants alone is small enough to be computed when the graph is loaded."""
        return self._folds <= _FOLDED + 2 * len(self.data)

    def derive(
        self,
        operator: bytes,
        takes: list[bytes],
        makes: list[bytes],
        constant: Tensor | None,
        scopes: Scopes,
    ) -> None:
        """What a node makes of constants: refused where they claim a size that no network has, counted where onnxruntime will
        compute it as it loads the graph."""
        if operator == b"Constant":
            if constant and makes:
                scopes[0][makes[0]] = constant
            return
        asked = 1
        if operator in operators.SIZED and len(takes) > operators.SIZED[operator]:
            shape = _found(takes[operators.SIZED[operator]], scopes)
            if shape is not None:
                asked = _FOLDED if shape.values is None else operators.claimed(operator, shape.values)
                if not 0 <= asked <= max(operators.MOST_CLAIMED, _FOLDED if shape.values is None else 0):
                    claims = f"asks for {asked} numbers" if asked >= 0 else "asks for less than nothing"
                    raise Damaged(
                        f"{operator.decode()} {claims} by a constant; at most {operators.MOST_CLAIMED} are made"
                    )
        if operator == b"OneHot":  # onnxruntime takes two without looking whether they are there
            values = _found(takes[2], scopes) if len(takes) == 3 else None
            if values is None or values.count != 2:
                raise Damaged("OneHot has no two constants for off and on")
        given = [_found(name, scopes) for name in takes if name]
        if given and None not in given and operator != b"If":
            count = operators.made(operator, [asked, *(each.count for each in given if each)])
            self._folds += count * len(makes)
            scopes[0].update(dict.fromkeys(makes, Tensor(count)))

    def sparse(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {1, 2}):
            if number in (1, 2):
                self.tensor(value, end)
        raise Damaged("has sparse tensors, which claim any size")

    def tensor(self, start: int, stop: int) -> tuple[bytes, Tensor]:
        """A tensor's name and size. Refused where it says that it has more numbers than its bytes could hold."""
        name, kind, count, held, whole, largest = b"", 0, 1, 0, [], 0
        for number, value, end in self.fields(start, stop, {8, 9, 13}):
            if number == 1:
                for size in [value] if end is None else self.packed(value, end):
                    largest = max(largest, size)
                    count *= size
            elif number == 2 and end is None:
                kind = value
            elif number == 8:
                name = self.data[value:end]
            elif number == 13 or (number == 14 and (end is not None or value != 0)):
                raise Damaged(_EXTERNAL)
            elif number in (4, 5, 7, 9, 10, 11):  # the numbers, in one of several forms
                held += 1 if end is None else end - value
                if number in (7, 9) and end is not None and kind == 7 and end - value <= 8 * _SMALL:
                    whole = self.packed(value, end) if number == 7 else list(self.sixty_fours(value, end))
                elif number == 7 and end is None and len(whole) < _SMALL:
                    whole.append(value)
        if kind == 8:
            raise Damaged("has a tensor of text")
        if not 0 <= count <= 4 * held:  # numbers of 2 bits are the smallest
            raise Damaged(f"damaged: a tensor of {held} bytes claims {count} numbers")
        self.rows += largest
        values = tuple(map(signed, whole)) if len(whole) == count else None
        return name, Tensor(count, values)

    def sixty_fours(self, start: int, stop: int) -> Iterator[int]:
        for at in range(start, stop - 7, 8):
            yield int.from_bytes(self.data[at : at + 8], "little")

    def packed(self, start: int, stop: int) -> list[int]:
        """Numbers that stand one behind the other."""
        numbers = []
        while start < stop:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise Damaged(f"has more than {self.most} fields")
            value, start = self.varint(start, stop, 10)
            numbers.append(value)
        return numbers


def _found(name: bytes, scopes: Scopes) -> Tensor | None:
    for scope in scopes:
        if name in scope:
            return scope[name]
    return None


def signed(value: int) -> int:
    """A whole number of 64 bits as protobuf and memory hold it."""
    return value - (1 << 64) if value >= 1 << 63 else value
