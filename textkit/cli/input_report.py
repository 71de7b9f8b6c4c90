"""What was unusual about the input of a filter, said on stderr at its end. Knows no verb; light to import."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textkit.cli.options import Messages

if TYPE_CHECKING:
    from textkit.streams.lines import Reader

_NAMED = 10  # the most renamed fields to show


@dataclass
class InputReport:
    """What was unusual about the input, which is reported on stderr at the end."""

    records: int = 0
    skipped: int = 0
    first_problem: str = ""
    renamed: dict[str, str] = dataclasses.field(default_factory=dict)  # input field -> its new name
    # file -> the number of lines with bytes that are invalid in its encoding, and the encoding
    invalid: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)

    def read(self, reader: Reader, name: str) -> None:
        """Takes note of the file `name` when its reading ends, at its end or before."""
        if reader.invalid:
            before = self.invalid.get(name, (0, ""))[0]
            self.invalid[name] = before + reader.invalid, reader.encoding

    def add(self, other: InputReport) -> None:
        """Adds what was unusual about one part of the input."""
        self.records += other.records
        self.skipped += other.skipped
        self.first_problem = self.first_problem or other.first_problem
        self.renamed |= other.renamed
        for name, (count, encoding) in other.invalid.items():
            self.invalid[name] = self.invalid.get(name, (0, ""))[0] + count, encoding

    def say(self, messages: Messages) -> None:
        if self.renamed:
            names = ", ".join(f"{old!r} is {new!r}" for old, new in list(self.renamed.items())[:_NAMED])
            ours = any(new.startswith("source_") for new in self.renamed.values())
            hint = "; --field NAME names the result instead" if ours else ""
            messages.warn(f"fields of the input whose name is taken are renamed: {names}{hint}")
        for name, (count, encoding) in self.invalid.items():
            say_invalid(messages, name, count, encoding)
        if self.skipped:
            what = "record was" if self.skipped == 1 else "records were"
            messages.warn(
                f"{self.skipped:,} {what} skipped, a null record in the place of each; the first: {self.first_problem}"
            )


def say_invalid(messages: Messages, name: str, count: int, encoding: str) -> None:
    messages.warn(f"{name}: {count_of_lines(count)} held bytes that are no {encoding}; they became U+FFFD")


def count_of_lines(count: int) -> str:
    return f"{count:,} line" if count == 1 else f"{count:,} lines"
