"""The lines of `textkit translate --prefix FILE`. Light to import."""

from __future__ import annotations

from textkit.cli.input_report import count_of_lines, say_invalid
from textkit.cli.options import Messages
from textkit.errors import TextkitError


class Prefixes:
    """The lines of --prefix FILE, taken in step with those of the input: of all of it, or of one part after the other."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._open()

    def _open(self) -> None:
        from textkit.streams.lines import Reader

        self._reader = Reader(None if self.file == "-" else self.file)
        self._blocks = iter(self._reader)
        self._held: list[str] = []
        self._taken = 0

    def close(self) -> None:
        self._reader.close()

    def begin(self, first: int) -> None:
        """Goes to the line of record `first`, which is seldom behind what was taken: parts are made in their order."""
        if first < self._taken:
            self.close()
            self._open()
        while self._taken + len(self._held) < first and (block := next(self._blocks, None)) is not None:
            self._taken, self._held = self._taken + len(self._held), block
        skipped = min(first - self._taken, len(self._held))
        self._taken, self._held = self._taken + skipped, self._held[skipped:]

    def take(self, count: int) -> list[str]:
        while len(self._held) < count:
            block = next(self._blocks, None)
            if block is None:
                lines = self._taken + len(self._held)
                raise TextkitError(f"--prefix {self.file}: has {count_of_lines(lines)}, the input has more")
            self._held += block
        taken, self._held = self._held[:count], self._held[count:]
        self._taken += count
        return taken

    def finish(self, count: int) -> None:
        """Raise TextkitError if the file has more lines than the input."""
        left = len(self._held) + sum(map(len, self._blocks))
        if left:
            raise TextkitError(f"--prefix {self.file}: has {count_of_lines(count + left)}, the input {count:,}")

    def say(self, messages: Messages) -> None:
        """Reports lines that are no UTF-8."""
        if self._reader.invalid:
            say_invalid(messages, self._reader.path, self._reader.invalid, self._reader.encoding)


def check_lines(file: str, count: int) -> None:
    """Raises TextkitError unless --prefix FILE has as many lines as the input has records."""
    from textkit.streams.lines import Reader

    with Reader(file) as reader:
        lines = sum(map(len, reader))
    if lines != count:
        more = f"{count:,}" if lines > count else "has more"
        raise TextkitError(f"--prefix {file}: has {count_of_lines(lines)}, the input {more}")
