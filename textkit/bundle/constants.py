"""Bounds the sizes of an ONNX graph's constants, and of what is computed from constants alone, before anything allocates them.

A few bytes can claim any size: a tensor by its axes, a shape by its numbers, and a chain of nodes by doubling a constant at
each step, which onnxruntime computes while it loads the graph. Knows no ports, and no operator's meaning (operators.py does).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textkit.bundle import operators
from textkit.bundle.protobuf import MAX_FIELDS, Damaged, Message, signed

_FOLDED = 1 << 25  # numbers computed from constants while a graph loads, besides a multiple of the file's bytes
_SMALL = operators.MOST_AXES  # the most numbers of a constant that may be a shape
_EXTERNAL = "keeps its weights outside the file (external data)"
_WHOLE = {6: 4, 7: 8}  # int32 and int64, whose division may end the process: the bytes of a number
_UNKNOWN = 1 << 62
_HEEDED = operators.SIZED.keys() | {b"Div", b"If", b"Mod", b"Shape", b"Size"}  # checked whatever their first input is


@dataclass
class Tensor:
    """A constant: how many numbers it has, and the numbers themselves where they may be a shape.

    `sure`: whether onnxruntime certainly has the value while it loads the graph. It has a value made from the shape of a
    computed tensor only where it can tell that shape. `rank`: the most axes it has. `negates`: whether it holds an integer -1.
    """

    count: int = 0
    values: tuple[int, ...] | None = None
    sure: bool = True
    rank: int = operators.MOST_AXES
    negates: bool = False


Scopes = tuple[dict[bytes, Tensor], ...]  # a graph's constants by name, then those of the graphs around it
Branches = list[tuple[Scopes, list[bytes]]]  # for each graph inside a node: its constants and its outputs' names


def most_folded(size: int) -> int:
    """The most bytes that a node may compute from constants while a graph of `size` bytes loads.

    onnxruntime (from 1.27 on) leaves anything larger until the graph runs. 8-bit weights have room to become floats.
    """
    return (1 << 20) + 4 * size


class Constants(Message):
    """A walk through messages that contain tensors."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, MAX_FIELDS)
        self.rows = 0  # the most rows that all tables have together
        self._folds = 0  # the most numbers that onnxruntime computes while it loads the graph
        self._may_fold = 0  # the most that it computes if it can tell the shapes they are made from

    @property
    def folded(self) -> bool:
        """Whether what is computed from constants alone is small enough to be computed while the graph loads."""
        return self._folds <= _FOLDED + 2 * len(self.data) and self._may_fold <= _FOLDED + 16 * len(self.data)

    def define(self, name: bytes, tensor: Tensor, scope: dict[bytes, Tensor]) -> None:
        """Notes a constant that the file holds."""
        if name in scope:  # readers differ in which of the two they use
            raise Damaged("has two constants of one name")
        scope[name] = tensor

    def derive(
        self,
        operator: bytes,
        takes: list[bytes],
        makes: list[bytes],
        scopes: Scopes,
        inner: Branches,
    ) -> None:
        """Notes what a node computes from constants. `inner`: the branches of an If.

        Refuses a node whose constants claim a size that no network has, and counts what onnxruntime computes while it loads
        the graph.
        """
        if operator not in _HEEDED and (not takes or (takes[0] and _found(takes[0], scopes) is None)):
            return  # nearly all nodes: their first input is computed
        given = [_found(name, scopes) for name in takes]
        if operator in (b"Div", b"Mod") and len(given) == 2 and given[1] and given[1].negates:
            # The lowest integer has no negative, so the processor traps. Computed divisors cannot be checked here.
            raise Damaged(f"{operator.decode()} has a constant divisor of -1; Neg does the same")
        asked, told = self._asked(operator, given)
        if operator == b"OneHot" and (len(given) != 3 or given[2] is None or given[2].count != 2):
            # onnxruntime reads two numbers without checking that they are there
            raise Damaged("OneHot lacks its two constants, off and on")
        if operator == b"If":
            if given and given[0]:  # onnxruntime replaces the If by its branch
                _put_in_place(makes, scopes[0], inner, given[0].sure)
            return
        known = [each for name, each in zip(takes, given, strict=True) if name]
        constants = [each for each in known if each]
        if operator in (b"Shape", b"Size") and not constants:
            scopes[0].update(dict.fromkeys(makes, Tensor(_SMALL, sure=False, rank=1)))
        elif constants and len(constants) == len(known):
            sure = all(each.sure for each in constants)
            counts, ranks = [each.count for each in constants], [each.rank for each in constants]
            count = _UNKNOWN
            if told and operator not in operators.UNBOUNDED:
                count = operators.made(operator, [asked, *counts], max(ranks) <= 1)
            if sure:
                self._folds += count * len(makes)
            else:
                count = min(count, most_folded(len(self.data)) // 4)
                self._may_fold += count * len(makes)
            values = _carried(operator, constants)
            negates = -1 in values if values else operator in operators.SAME and constants[0].negates
            made = Tensor(count, values, sure, operators.ranked(operator, ranks, counts), negates)
            scopes[0].update(dict.fromkeys(makes, made))

    def _asked(self, operator: bytes, given: list[Tensor | None]) -> tuple[int, bool]:
        """How many numbers a node's constants ask it to make, and whether they determine that."""
        places = operators.SIZED.get(operator)
        if places is None or places[-1] >= len(given):
            return 1, places is None
        values: list[int] = []
        for place in places:
            size = given[place]
            if size is None or size.values is None:
                return 1, False
            values += size.values
        asked = operators.claimed(operator, tuple(values))
        if not 0 <= asked <= operators.MOST_CLAIMED:
            claims = f"asks for {_clamped(asked)} numbers" if asked >= 0 else "asks for less than nothing"
            raise Damaged(f"{operator.decode()} {claims} by a constant; at most {operators.MOST_CLAIMED} are made")
        return asked, True

    def sparse(self, start: int, stop: int) -> None:
        for number, value, end in self.fields(start, stop, {1, 2}):
            if number in (1, 2):
                self.tensor(value, end)
        raise Damaged("has sparse tensors, which claim any size")

    def tensor(self, start: int, stop: int) -> tuple[bytes, Tensor]:
        """A tensor's name and size. Refuses one that claims more numbers than its bytes could hold."""
        name, kind, held = b"", 0, 0
        axes: list[int] = []
        raw: tuple[int, int] | None = None
        typed: list[tuple[int, int]] = []  # the numbers: as raw bytes, or in typed fields, single or packed
        for number, value, end in self.fields(start, stop, {8, 9, 13}):
            if number == 1:
                axes += self.packed(value, end, _SMALL) if end else [value]
                if len(axes) > _SMALL:
                    raise Damaged(f"damaged: a tensor of more than {_SMALL} axes")
            elif number == 2 and not end:
                kind = value
            elif number == 8:
                name = self.data[value:end]
            elif number == 13 or (number == 14 and (end or value != 0)):
                raise Damaged(_EXTERNAL)
            elif number == 9:
                held += end - value if end else 1
                raw = value, end
            elif number in (4, 5, 7, 10, 11):
                held += end - value if end else 1
                if number in (5, 7):
                    typed.append((value, end))
        if kind == 8:
            raise Damaged("has a tensor of text")
        count = 0 if 0 in axes else 1
        for size in axes:
            count *= size
            if count > 4 * held:  # numbers of 2 bits are the smallest
                raise Damaged(f"damaged: a tensor of {held} bytes claims {_clamped(count)} numbers")
        self.rows += max(axes, default=0)
        if kind not in _WHOLE:
            return name, Tensor(count, rank=len(axes))
        if raw and typed:
            raise Damaged("damaged: a tensor has its numbers twice")
        values = None
        if kind == 7 and count <= _SMALL and (not raw or raw[1] - raw[0] <= 8 * _SMALL):
            whole = list(self.sixty_fours(*raw)) if raw else []
            for value, end in typed[: _SMALL + 1]:
                whole += self.packed(value, end, _SMALL) if end else [value]
            values = tuple(map(signed, whole)) if len(whole) == count else None
        negates = -1 in values if values else self._negates(kind, raw, typed)
        return name, Tensor(count, values, rank=len(axes), negates=negates)

    def _negates(self, kind: int, raw: tuple[int, int] | None, typed: list[tuple[int, int]]) -> bool:
        """Whether -1 is among a tensor's integers, in any of the forms that hold them."""
        if raw:
            return self._has_minus_one(*raw, _WHOLE[kind])
        forms = [b"\xff" * 9 + b"\x01"] + [b"\xff" * 4 + b"\x0f"] * (kind == 6)
        for value, end in typed:
            if not end:
                if value & 0xFFFFFFFF == 0xFFFFFFFF:
                    return True
            elif any(self.data.find(form, value, end) >= 0 for form in forms):
                return True
        return False

    def _has_minus_one(self, start: int, stop: int, width: int) -> bool:
        at = self.data.find(b"\xff" * width, start, stop)
        while at >= 0 and (at - start) % width:
            at = self.data.find(b"\xff" * width, at + 1, stop)
        return at >= 0

    def sixty_fours(self, start: int, stop: int) -> Iterator[int]:
        for at in range(start, stop - 7, 8):
            yield int.from_bytes(self.data[at : at + 8], "little")


def _put_in_place(makes: list[bytes], scope: dict[bytes, Tensor], inner: Branches, sure: bool) -> None:
    """Notes the constants among the outputs of an If whose condition is a constant: those that a branch gives."""
    for place, name in enumerate(makes):
        given = [_found(names[place], scopes) for scopes, names in inner if place < len(names)]
        if constants := [each for each in given if each]:
            count = max(each.count for each in constants)
            scope[name] = Tensor(count, sure=sure and any(each.sure for each in constants))


def _carried(operator: bytes, constants: list[Tensor]) -> tuple[int, ...] | None:
    """The numbers of an output that only rearranges its constant inputs, as shapes are put together; otherwise None."""
    values = constants[0].values
    if values is None or operator in operators.SAME:
        return values
    if operator == b"Cast":
        return values if all(0 <= value < 128 for value in values) else None
    if operator == b"Concat" and len(constants) <= _SMALL:
        whole = [each.values or () for each in constants if each.values or each.count == 0]
        return tuple(value for each in whole for value in each)[: _SMALL + 1] if len(whole) == len(constants) else None
    return None


def _clamped(count: int) -> str:
    return str(count) if abs(count) < 1 << 64 else "more than 2^64"


def _found(name: bytes, scopes: Scopes) -> Tensor | None:
    for scope in scopes:
        if name in scope:
            return scope[name]
    return None
