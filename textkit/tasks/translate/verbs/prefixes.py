"""The lines of `textkit translate --prefix FILE`. Light to import."""

from __future__ import annotations

from textkit.cli.input_report import InputReport, count_of_lines
from textkit.errors import TextkitError


class Prefixes:
    """The lines of --prefix FILE, taken in step with those of the input."""

    def __init__(self, file: str, report: InputReport) -> None:
        from textkit.streams.lines import Reader

        self.file, self._report = file, report
        self._reader = Reader(None if file == "-" else file)
        self._blocks = iter(self._reader)
        self._held: list[str] = []
        self._taken = 0

    def __enter__(self) -> Prefixes:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.close()
        self._report.read(self._reader, self._reader.path)

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
