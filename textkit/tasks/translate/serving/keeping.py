"""What of a line comes through its translation as it is: it is hidden behind sentinels first, and put back last.

Knows no graph. sentinels.py says what a sentinel is, textkit/text/preserved/keeping.py what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from textkit.errors import UsageError, quoted
from textkit.tasks.translate.serving.translations import Translation
from textkit.text.preserved.framing import frames
from textkit.text.preserved.keeping import kept
from textkit.text.preserved.sentinels import SENTINEL, as_close, numbers, replaced, restored
from textkit.text.translation import TranslationText

LOST = "kept"  # the doubt about a translation into which something kept had to be put back by force
_MOST = 10_000  # spans of a line that are hidden
_END = re.compile(r"[\s.!?\u2026\"'\u201c\u201d\u201e\u00bb]*\Z")


@dataclass(frozen=True)
class Keeper:
    """Hides spans and puts them back. `own`: a user's patterns; `glossary`: term -> what stands in the translation;
    `latin_alone`: whether the model reads no other script than Latin."""

    own: Sequence[re.Pattern[str]] = ()
    glossary: Mapping[str, str] = field(default_factory=dict)
    latin_alone: bool = False
    _terms: re.Pattern[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.glossary:
            given = {_single(term): text for term, text in self.glossary.items()}
            forms = {form for term in given for form in (term, term.upper())}  # STRASSE is Straße in capitals
            longest = sorted(forms, key=lambda term: (-len(term), term))
            terms = "|".join(re.escape(term).replace("\\ ", r"\s+") for term in longest)
            object.__setattr__(self, "_terms", re.compile(rf"(?<!\w)(?:{terms})(?!\w)", re.IGNORECASE))
            folded = {term.casefold(): text for term, text in given.items()}
            object.__setattr__(self, "glossary", {**folded, **given})

    def hidden(self, line: str, unread: str = "") -> tuple[str, list[str]]:
        """The line with sentinels, numbered from 0, and the text that each stands for in the translation. `unread`: characters
        that the model cannot read; words with them are kept.

        Spans without anything between them have one sentinel. What frames the words, as a list's mark does, has none.
        """
        patterns = (*self.own, self._terms) if self._terms else self.own
        spans = kept(line, patterns, self.latin_alone, unread)[:_MOST]
        if not spans:
            return line, []
        if framing := {*frames(line, spans)}:
            framing -= {match.span() for pattern in patterns for match in pattern.finditer(line)}
            spans = [span for span in spans if span not in framing]
        places: list[tuple[int, int]] = []
        texts: list[str] = []
        for begin, end in spans:
            if places and places[-1][1] == begin:
                places[-1] = places[-1][0], end
                texts[-1] += self._translated(line[begin:end])
            else:
                places.append((begin, end))
                texts.append(self._translated(line[begin:end]))
        return replaced(line, places), texts

    def all_hidden(
        self, lines: Sequence[str], rule: TranslationText, truecase: bool
    ) -> tuple[list[str], list[Sequence[str]], list[bool]]:
        """The lines with sentinels, if the model has any; what those of each line stand for; and which lines are in capitals.
        These are then given in small letters (`truecase`)."""
        hidden: list[tuple[str, Sequence[str]]] = [(line, ()) for line in lines]
        if rule.sentinels:
            if not rule.unread("".join(lines)):  # of most windows all is read
                hidden = [*map(self.hidden, lines)]
            else:  # marks that the model cannot read become like ones, but not within what is kept
                found = [self.hidden(line, rule.unread(rule.readable(line))) for line in lines]
                hidden = [(rule.readable(text), spans) for text, spans in found]
        loud = [truecase and shouts(text) for text, _ in hidden]
        texts = [quiet(text) if shouting else text for (text, _), shouting in zip(hidden, loud, strict=True)]
        return texts, [spans for _, spans in hidden], loud

    def _translated(self, text: str) -> str:
        if not self.glossary or any(pattern.fullmatch(text) for pattern in self.own):
            return text
        term = _single(text)
        return self.glossary.get(term, self.glossary.get(term.casefold(), text))


def _single(term: str) -> str:
    """A term with single spaces between its words."""
    return " ".join(term.split())


def shouts(text: str) -> bool:
    """Whether `text` is in capitals: two words of two letters or more, or one of five; fewer may be an abbreviation."""
    if text != text.upper() or text == text.lower():
        return False
    words = re.findall(r"[^\W\d_]{2,}", text)
    return len(words) > 1 or any(len(word) > 4 for word in words)


def quiet(text: str) -> str:
    """A text in capitals as a sentence is written: in small letters, but for the first."""
    small = text.lower()
    first = next((at for at, character in enumerate(small) if character.isalpha()), 0)
    return small[:first] + small[first : first + 1].upper() + small[first + 1 :]


def put_back(found: Translation, source: str, spans: Sequence[str], loud: bool = False) -> Translation:
    """The translation of `source` with its sentinels' spans.

    One that the translation lacks is put where it stood in the source, by its share of the text; the translation is doubted.
    `loud`: the translation gets capitals, and the spans do not.
    """
    text = found.text.upper() if loud else found.text
    return inserted(replace(found, text=text) if loud else found, source, numbers(source), spans)


def inserted(found: Translation, source: str, wanted: Iterable[int], spans: Sequence[str]) -> Translation:
    """The translation of `source` with spans in place of sentinels; of those `wanted` each that it lacks is put in by force."""
    there = set(numbers(found.text))
    lacking = [number for number in wanted if number not in there]
    if not lacking:
        return with_spans(found, spans)
    text = found.text
    for number in lacking:
        text = as_close(_inserted(text, source, number), source)
    doubts = tuple(dict.fromkeys((*found.doubts, LOST)))
    return with_spans(replace(found, text=text, doubts=doubts), spans)


def with_spans(found: Translation, spans: Sequence[str]) -> Translation:
    """The translation with what each of its sentinels stands for."""
    text = restored(found.text, spans)
    if text == found.text and not found.tokens and not found.source_tokens:
        return found  # most lines have no sentinel, and replace() takes longer than all else here
    tokens, sources = (tuple(restored(token, spans) for token in side) for side in (found.tokens, found.source_tokens))
    if text == found.text and tokens == found.tokens and sources == found.source_tokens:
        return found
    return replace(found, text=text, tokens=tokens, source_tokens=sources)


def _inserted(text: str, source: str, number: int) -> str:
    """`text` with the sentinel `number` of `source` between two words, or at its beginning or end if it stands there."""
    mark = next(found for found in SENTINEL.finditer(source) if numbers(found[0]) == [number])
    before, behind = source[: mark.start()].strip(), source[mark.end() :].strip()
    if not before:
        return f"{mark[0]} {text}"
    end = _END.search(text)
    if not _END.sub("", behind):
        at = end.start() if end and behind else len(text)
        return f"{text[:at]} {mark[0]}{text[at:]}"
    aim = len(text) * mark.start() // len(source)
    at = min(
        (found.start() for found in re.finditer(r"\s", text)), key=lambda place: abs(place - aim), default=len(text)
    )
    return f"{text[:at]} {mark[0]}{text[at:]}"


def patterns_of(regexes: Iterable[str]) -> list[re.Pattern[str]]:
    """The patterns of --keep. Raises UsageError for one that is empty or no regular expression."""
    found = []
    for regex in regexes:
        if not regex:
            raise UsageError("--keep '': is empty, and would keep nothing")
        try:
            found.append(re.compile(regex))
        except re.error as error:
            raise UsageError(f"--keep {quoted(regex)}: is no regular expression: {error}") from error
    return found


def glossary_of(lines: Iterable[str], where: str) -> dict[str, str]:
    """term -> translation, of lines `term<tab>translation`; blank lines and lines that begin with # are left out.

    Raises UsageError, which names `where` and the line, for a line of another form, and for a term with two translations.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        term, _, text = (part.strip() for part in line.partition("\t"))
        if not term or not text or "\t" in text:
            raise UsageError(f"{where}, line {number}: is not term<tab>translation")
        if found.setdefault(term, text) != text:
            raise UsageError(f"{where}, line {number}: {quoted(term)} has another translation already")
    return found
