"""CSV: lines to rows, as the lines come. A quoted field may hold line ends. Knows no columns and no header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from textkit.errors import TextkitError
from textkit.streams.lines import Lines

LONGEST_FIELD = 1 << 28  # characters in one CSV field; an unclosed quote ends here, before it fills the memory
_SHORT_RECORD = 1000  # lines
# The csv module ends a line at a carriage return. It sees these instead, which no text holds: for one, and before \n.
_RETURN, _RETURN_AT_END = "\udc0d", "\udc0a"


class _MoreLines(Exception):
    """The CSV parser has come to the end of the lines at hand, not of the file."""


def csv_rows(reader: Lines, delimiter: str, before: int = 0) -> Iterator[tuple[list[list[str]], Sequence[int]]]:
    """Rows, and the line on which each ends. A record whose closing quote is still to come waits for more lines.

    `before`: how many lines of the file precede those of `reader`.

    Only the csv module knows whether a record is complete, and it has no way to say so. It is therefore given the lines
    at hand, and an exception where they end. A record begun by then is parsed again with the lines that follow.
    """
    import csv  # not for --help

    csv.field_size_limit(LONGEST_FIELD)
    reader.keeps_returns = True
    held: list[str] = []  # the lines of a record that is not complete
    tried = 0  # how many of them were there when it was last found incomplete
    done = before  # lines of the file in complete records
    for lines in reader:
        held += lines
        # A long record is tried again when twice as long, because otherwise it would cost the square of its length.
        # A short one is tried at once when the input pauses.
        if len(held) >= 2 * tried or (not lines and tried < len(held) < _SHORT_RECORD):
            rows, numbers = _parsed(_lines_then_exception(held), reader.name, done, delimiter)
            rows = _with_returns(rows, numbers, held, done)
            taken = numbers[-1] - done if numbers else 0
            held, done = held[taken:], done + taken
            tried = len(held)
            if rows:
                yield rows, numbers
        if not lines:
            yield [], ()
    if held:
        rows, numbers = _parsed(_lines_then_exception(held), reader.name, done, delimiter)
        rows = _with_returns(rows, numbers, held, done)
        if rows:
            yield rows, numbers
        last = numbers[-1] if numbers else done
        if last < done + len(held):  # or one stray quote would silently take all lines after it into one record
            raise TextkitError(f"{reader.name}:{last + 1}: malformed CSV: the quote of this record is never closed")


def whole_csv(lines: Sequence[tuple[int, str]], name: str, delimiter: str = ",") -> list[tuple[int, list[str]]]:
    """The records of numbered lines, each with the number of its last line. TextkitError for a quote that is never closed."""
    import csv  # not for --help

    csv.field_size_limit(LONGEST_FIELD)
    rows, ends = _parsed(_lines_then_exception([line for _, line in lines]), name, 0, delimiter)
    last = ends[-1] if ends else 0
    if last < len(lines):
        raise TextkitError(f"{name}:{lines[last][0]}: malformed CSV: the quote of this record is never closed")
    if any("\r" in line for _, line in lines):
        rows = [[cell.replace(_RETURN, " ").replace(_RETURN_AT_END, " ") for cell in row] for row in rows]
    return [(lines[end - 1][0], row) for row, end in zip(rows, ends, strict=True)]


def _csv_line(line: str) -> str:
    if "\r" not in line:
        return line + "\n"
    whole = line.removesuffix("\r")
    return whole.replace("\r", _RETURN) + (_RETURN_AT_END if len(whole) < len(line) else "") + "\n"


def _with_returns(rows: list[list[str]], numbers: Sequence[int], lines: Sequence[str], before: int) -> list[list[str]]:
    """`rows` with their carriage returns restored; one at the end of a record belongs to its line end."""
    if not any("\r" in line for line in lines):
        return rows
    found = []
    for row, number in zip(rows, numbers, strict=True):
        if lines[number - before - 1] == "\r":  # a blank line: it cannot close a quote
            row = []
        elif row:
            row = [*row[:-1], row[-1].removesuffix(_RETURN_AT_END)]
            row = [cell.replace(_RETURN, "\r").replace(_RETURN_AT_END, "\r") for cell in row]
        found.append(row)
    return found


def spaced(cell: str) -> str:
    """A cell as a text: `\\r\\n` becomes `\\n`, any other carriage return a space."""
    return cell.replace("\r\n", "\n").replace("\r", " ") if "\r" in cell else cell


def _lines_then_exception(lines: list[str]) -> Iterator[str]:
    yield from map(_csv_line, lines)
    raise _MoreLines


def _parsed(lines: Iterable[str], name: str, before: int, delimiter: str) -> tuple[list[list[str]], list[int]]:
    import csv  # not for --help

    parser = csv.reader(lines, delimiter=delimiter)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        for row in parser:
            rows.append(row)
            numbers.append(before + parser.line_num)
    except _MoreLines:
        pass
    except csv.Error as error:
        raise TextkitError(f"{name}:{before + parser.line_num}: malformed CSV: {error}") from error
    return rows, numbers
