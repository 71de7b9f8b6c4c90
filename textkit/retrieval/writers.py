"""Writes what a search found: as grep does, as a table, as JSON lines. Knows no index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textkit.retrieval.hits import Hit
from textkit.streams.escaping import escaped
from textkit.streams.records import json_bytes, rounded

Around = tuple[list[tuple[int, str]], list[tuple[int, str]]]  # (line, text) before and behind a hit

# grep's colours: a match bold red, a file's name magenta, a line's number green, a mark between them cyan.
_MATCH, _FILE, _LINE, _MARK = "01;31", "35", "32", "36"


@dataclass(frozen=True)
class Form:
    """How hits look. `many`: there may be several queries, and each record says which. `explain`: what each side gave.

    `colored`: for a terminal that has colours; `safe`: for any terminal, which must not obey what a text holds.
    """

    format: str = "text"
    many: bool = False
    explain: bool = False
    colored: bool = False
    safe: bool = False
    context: bool = False

    def record(self, query: str, hits: Sequence[Hit], around: Callable[[Hit], Around]) -> bytes:
        """The hits of one query."""
        if self.format == "jsonl":
            return self._jsonl(query, hits, around)
        if self.format == "tsv":
            return self._tsv(query, hits)
        return _bytes("".join(self._text(query, hits, around)))

    def files(self, files: Sequence[str], hits: Sequence[Hit], count: bool) -> bytes:
        """The names of the files that have hits, or with `count` of all files and how many of their lines are hits."""
        found = {file: number for file, number in _counts(files, hits).items() if number or count}
        if self.format == "jsonl":
            return b"".join(json_bytes({"file": file, "count": number}) + b"\n" for file, number in found.items())
        mark = self._in(_MARK, ":")
        lines = [
            f"{self._in(_FILE, self._safe(escaped(file)))}{f'{mark}{number}' if count else ''}\n"
            for file, number in found.items()
        ]
        return _bytes("".join(lines))

    def _jsonl(self, query: str, hits: Sequence[Hit], around: Callable[[Hit], Around]) -> bytes:
        return json_bytes({"query": query, "hits": [self._object(hit, around) for hit in hits]}) + b"\n"

    def _object(self, hit: Hit, around: Callable[[Hit], Around]) -> dict[str, Any]:
        found: dict[str, Any] = {"file": hit.file, "line": hit.line, "score": rounded(hit.score), "text": hit.text}
        if hit.fields is not None:
            found["fields"] = hit.fields
        if self.context:
            before, behind = around(hit)
            found |= {
                name: [{"line": line, "text": text} for line, text in lines]
                for name, lines in (("before", before), ("after", behind))
            }
        if self.explain:
            found["explain"] = {
                "cosine": None if hit.cosine is None else rounded(hit.cosine),
                "bm25": None if hit.bm25 is None else rounded(hit.bm25),
                "ranks": hit.ranks,
                "words": hit.words,
            }
        return found

    def _tsv(self, query: str, hits: Sequence[Hit]) -> bytes:
        rows: list[list[str]] = []
        for hit in hits:
            row = [query, hit.file, str(hit.line), f"{hit.score:.6g}", hit.text]
            if self.explain:
                row += [_number(hit.cosine), _number(hit.bm25), " ".join(hit.words)]
            rows.append(row)
        if not rows and self.many:  # the query keeps its place
            rows.append([query, *[""] * (7 if self.explain else 4)])
        return _bytes("".join("\t".join(escaped(cell, tabs=True) for cell in row) + "\n" for row in rows))

    def _text(self, query: str, hits: Sequence[Hit], around: Callable[[Hit], Around]) -> list[str]:
        head = f"{self._safe(escaped(query, tabs=True))}\t" if self.many else ""
        if not hits and self.many:
            return [f"{head}\n"]
        lines: list[str] = []
        for at, hit in enumerate(hits):
            before, behind = around(hit) if self.context else ([], [])
            if self.context and at:
                lines.append(f"{self._in(_MARK, '--')}\n")
            lines += [head + self._line(hit.file, line, "-", self._safe(escaped(text))) for line, text in before]
            lines.append(head + self._line(hit.file, hit.line, ":", self._marked(hit)))
            if self.explain:
                lines.append(f"{head}    {self._why(hit)}\n")
            lines += [head + self._line(hit.file, line, "-", self._safe(escaped(text))) for line, text in behind]
        return lines

    def _line(self, file: str, line: int, mark: str, text: str) -> str:
        between = self._in(_MARK, mark)
        return f"{self._in(_FILE, self._safe(escaped(file)))}{between}{self._in(_LINE, str(line))}{between}{text}\n"

    def _marked(self, hit: Hit) -> str:
        """The text of a hit, the words that match in colour."""
        if not self.colored or not hit.spans:
            return self._safe(escaped(hit.text))
        parts: list[str] = []
        last = 0
        for start, end in hit.spans:
            parts += [self._safe(escaped(hit.text[last:start])), self._in(_MATCH, self._safe(hit.text[start:end]))]
            last = end
        return "".join(parts) + self._safe(escaped(hit.text[last:]))

    def _why(self, hit: Hit) -> str:
        said = []
        if hit.cosine is not None:
            far = "not near by meaning" if hit.ranks else "by feedback: said as the best hits say it"
            rank = f"{hit.ranks['meaning']}. by meaning" if "meaning" in hit.ranks else far
            said.append(f"{rank} (cosine {hit.cosine:.3f})")
        if hit.bm25 is not None:
            said.append(f"{hit.ranks['words']}. by words (BM25 {hit.bm25:.2f})")
        if "names" in hit.ranks:
            said.append(f"{hit.ranks['names']}. by names and codes")
        words = f": {', '.join(map(self._safe, hit.words))}" if hit.words else ""
        return "; ".join(said) + words

    def _in(self, color: str, text: str) -> str:
        return f"\x1b[{color}m{text}\x1b[m" if self.colored else text

    def _safe(self, text: str) -> str:
        """`text` without what a terminal would obey."""
        if not self.safe or text.isprintable():
            return text
        return "".join(character if character.isprintable() or character == "\t" else "?" for character in text)


def _counts(files: Sequence[str], hits: Sequence[Hit]) -> dict[str, int]:
    """file -> how many of its lines are hits, 0 for files without any."""
    found: dict[str, set[int]] = {file: set() for file in files}
    for hit in hits:
        found.setdefault(hit.file, set()).add(hit.line)
    return {file: len(lines) for file, lines in found.items()}


def _bytes(text: str) -> bytes:
    """UTF-8, and the bytes of a file's name as they are."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
