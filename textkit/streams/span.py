"""A piece of a file that can be read by itself: where its lines begin and end. Knows no model and no output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """The lines of a file that lie in its bytes from `start` to `stop`.

    `whole`: the span is the file, as any Reader reads it. Otherwise it begins at the beginning of a line and ends behind a
    line. Where the file is compressed (`packed`), `start` and `stop` are borders of gzip members or zstandard frames instead.
    Such a span has the lines that begin behind `start` (at the file's beginning: from it on) and up to `stop`.
    `lines`: how many lines (of Parquet: rows) of the file precede it; None: nobody has counted. `groups`: the row groups of a
    Parquet file, from the first to the one behind the last.
    """

    path: str
    start: int = 0
    stop: int = 0
    whole: bool = True
    packed: bool = False
    lines: int | None = 0
    groups: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """What messages call it. Lines are counted from where the span begins if nobody has counted those before it."""
        return self.path if self.lines is not None else f"{self.path} (from byte {self.start})"
