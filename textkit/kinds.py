"""What a value from a file may be: its type and bounds, so that no number in a file can demand any amount of memory or time.

Each kind has `check(value, where)`, which raises Wrong. Knows no file and no field. The kinds are plain classes, because a
command that only shows its help imports them, and a dataclass takes half a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textkit.errors import quoted

if TYPE_CHECKING:
    from typing import Protocol

    class Kind(Protocol):
        def check(self, value: Any, where: str) -> None:
            """Raises Wrong, whose phrase contains `where`, for a value that is not of this kind."""


class Wrong(Exception):
    """A phrase that names a field and says what is wrong with it. `wanted`: what the value should be, where that is known."""

    def __init__(self, phrase: str, wanted: str = "another value") -> None:
        super().__init__(phrase)
        self.wanted = wanted


class Whole:
    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def check(self, value: Any, where: str) -> None:
        if type(value) is not int or not self.least <= value <= self.most:
            end = "on" if self.most >= 1 << 62 else f"to {self.most}"
            raise wrong(where, value, f"a whole number from {self.least} {end}")


class Real:
    """A number, whole or not. `above`: `least` itself is not allowed."""

    def __init__(self, least: float, most: float, above: bool = False) -> None:
        self.least, self.most, self.above = least, most, above

    def check(self, value: Any, where: str) -> None:
        inside = type(value) in (int, float) and self.least <= value <= self.most  # NaN is in no range
        if not inside or (self.above and value == self.least):
            above = f"above {self.least:g} and at most {self.most:g}"
            raise wrong(where, value, f"a number {above if self.above else f'from {self.least:g} to {self.most:g}'}")


class Text:
    """At most `most` characters, or one of `choices`."""

    def __init__(self, most: int = 100, choices: tuple[str, ...] = ()) -> None:
        self.most, self.choices = most, choices

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, str) or len(value) > self.most or (self.choices and value not in self.choices):
            known = f"one of {', '.join(self.choices)}"
            raise wrong(where, value, known if self.choices else f"text of at most {self.most} characters")


class Flag:
    def check(self, value: Any, where: str) -> None:
        if type(value) is not bool:
            raise wrong(where, value, "true or false")


class Anything:
    """Any value, because only people read it."""

    def check(self, value: Any, where: str) -> None:
        pass


class Maybe:
    """null, or a value of `kind`."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def check(self, value: Any, where: str) -> None:
        if value is not None:
            self.kind.check(value, where)


class Since:
    """A field that files of before lack: `default` stands for it there. Otherwise as `kind`."""

    def __init__(self, kind: Kind, default: Any) -> None:
        self.kind = kind
        self.default = default

    def check(self, value: Any, where: str) -> None:
        self.kind.check(value, where)


class Each:
    """An object or a list of at most `most` entries, each of `kind`."""

    def __init__(self, kind: Kind, most: int, holder: type[list[Any]] | type[dict[Any, Any]] = list) -> None:
        self.kind, self.most, self.holder = kind, most, holder

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, self.holder) or len(value) > self.most:
            raise wrong(where, value, f"{'a list' if self.holder is list else 'an object'} of at most {self.most}")
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            self.kind.check(entry, f"{where}.{quoted(key)[1:-1] if isinstance(key, str) else key}")


class Record:
    """An object with these fields; `optional` ones may be missing. Other fields are for people to read."""

    def __init__(self, optional: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        self.fields, self.optional = fields, dict(optional or {})

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise wrong(where, value, "an object")
        for key, kind in self.fields.items():
            if key not in value:
                raise Wrong(f"{where!r} has no {key!r}")
            kind.check(value[key], f"{where}.{key}")
        for key, kind in self.optional.items():
            if key in value:
                kind.check(value[key], f"{where}.{key}")


class Kinds:
    """An object whose field `kind` says which of these records it is."""

    def __init__(self, unknown: str, **records: Record) -> None:
        self.unknown, self.records = unknown, records

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise wrong(where, value, "an object")
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in self.records:
            raise Wrong(f"{self.unknown} {quoted(kind)}")
        self.records[kind].check(value, where)


def wrong(where: str, value: Any, wanted: str) -> Wrong:
    return Wrong(f"{where!r} is {quoted(value)}, not {wanted}", wanted)
