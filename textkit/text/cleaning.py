"""Removes invisible characters from text, and spells ligatures and full-width forms as Unicode's NFKC does.

A soft hyphen, a byte order mark at the start of a line, a direction mark or a terminal's colour code changes no word for a
reader, but makes another word for a model. Characters that a script needs stay: the joiners of Indic scripts, of Arabic and
Persian, and between emoji. Imported models have their own rules, so the rule in the manifest switches this on (`clean`).
Knows no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from textkit.text.characters import Kinds, others
from textkit.text.compiled import compiled
from textkit.text.scripts import UNSPACED

_SHORT = 4096  # characters; numpy searches a longer text first, which costs a tenth of a pattern

# The controls that are not white space; tab, line feed, vertical tab, form feed, carriage return and U+0085 are.
_CONTROLS = "\x00-\x08\x0e-\x1b\x7f"
_SEPARATORS = "\x1c-\x1f"  # of files, groups, records, units: white space, replaced by a space
_ASCII = bytes((*range(0x09), *range(0x0E, 0x20), 0x7F))
# Control sequences for a terminal: colours and the cursor (CSI), titles and links (OSC) and other strings, character
# sets. An escape before a letter may also be a stray one, so the letter stays.
_ESCAPES = (
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b(?:[ -/]++[0-~]|[0-?@\\^_`=>])"
)
# Format characters, variation selectors, fillers and all else that Unicode lets a font leave out. Not among them are
# the visible marks around numbers in Arabic (from U+0600 on), and the controls that lay out hieroglyphs.
_UNSEEN = (
    "\x80-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_JOINERS = "\u200c\u200d"  # ZWNJ, ZWJ
# Ligatures, digraphs, presentation forms, full-width and half-width forms.
_FORMS = (
    "\u0132\u0133\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufdff\ufe10-\ufe1f\ufe30-\ufe6f\ufe70-\ufefc"
    "\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff61-\uff9f\uffa1-\uffef"
)
_WIDE_MARKS = "\u3000\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff60"
_UNSEEN_RUN = f"[{_CONTROLS}{_UNSEEN}{_JOINERS}]+|(?P<separator>[{_SEPARATORS}])"
_FORMS_RUN = f"[{_FORMS}]+|(?P<marks>[{_WIDE_MARKS}]+)"
_ANY = f"[{_CONTROLS}{_UNSEEN}{_SEPARATORS}{_JOINERS}{_FORMS}{_WIDE_MARKS}]"

# The scripts in which the joiners or the zero-width space have a meaning.
_INDIC = (
    "[\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\u1a20-\u1aaf\u1b00-\u1c4f\ua880-\ua8ff\ua980-\ua9ff\uaa00-\uaadf\uabc0-\uabff"
    "\U00011000-\U00011fff]"
)
_CURSIVE = (
    "[\u0600-\u07ff\u0840-\u08ff\u1800-\u18af\ua840-\ua87f\ufb50-\ufdff\ufe70-\ufefc\U00010ac0-\U00010aff"
    "\U00010d00-\U00010d3f\U00010f30-\U00010f6f\U0001e900-\U0001e95f]"
)
_EMOJI = "[\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\ufe0f]"
# Behind a picture or a digit that becomes a key: how it looks. Behind a black flag: whose it is.
_LOOK = (
    rf"(?:(?<={_EMOJI})|(?<=[\xa9\xae\u203c\u2049\u2122\u2139\u3030\u303d\u3297\u3299])|(?<=[0-9#*])(?=.\u20e3))\ufe0f"
    r"|(?<=\U0001f3f4)[\U000e0020-\U000e007f]+"
)
_UNSPACED = f"[{UNSPACED}]"
_IDEOGRAPHIC = (
    ("\u3001", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uac00", "\ud7a3"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003134f"),
)

_SUSPECT = Kinds(lambda character: 2 if compiled(_ANY).match(character) else 1)  # 2: one that may need cleaning


def may_need_cleaning(character: str) -> bool:
    """Whether `cleaned` may change the character. What it leaves alone it leaves alone wherever it stands."""
    return not (character.isascii() and character.isprintable()) and compiled(_ANY).match(character) is not None


def cleaned(text: str, apart: bool = False) -> str:
    """`text` (any number of lines) without invisible characters, ligatures and full-width forms spelled out; lines stay lines.

    Marks next to ideographs stay full-width: Chinese and Japanese are written so, and a model must learn to write them so.
    `apart`: each mark is a separate word, so these marks do not stay, nor does the joiner that makes one emoji of two.
    """
    found = _suspects(text)
    if not found:
        return text
    if len(text) > _SHORT and "\n" in text:  # no pattern reaches across a line end
        lines = text.split("\n")
        for at in _SUSPECT.lines_of(text, 2):
            lines[at] = cleaned(lines[at], apart)
        return "\n".join(lines)
    return _folded(visible(text, not apart), apart)


def cleaned_lines(lines: Sequence[str]) -> Sequence[str]:
    """Each line `cleaned`. Clean lines, as nearly all are, cost next to nothing."""
    found = _suspects("\n".join(lines))
    return _cleaned_of(lines, found) if found else lines


def visible_lines(lines: Sequence[str]) -> Sequence[str]:
    """Each line `visible`, as quick as `cleaned_lines`; pictures keep what chooses their look, as `visible` can."""
    return [visible(line, pictures=True) for line in lines] if _suspects("\n".join(lines)) else lines


def _cleaned_of(lines: Sequence[str], found: str) -> list[str]:
    """The lines; those that hold one of the characters `found` are `cleaned`."""
    return [cleaned(line) if any(character in line for character in found) else line for line in lines]


def visible(text: str, emoji: bool = True, pictures: bool = False) -> str:
    """`text` without invisible characters. In Thai, Lao, Burmese and Khmer a zero-width space becomes a space. `pictures`:
    emoji keep their variation selectors, and flags their regions."""
    if not _suspects(text):
        return text
    if any(character in text for character in "\x1b\x90\x98\x9b\x9d\x9e\x9f"):
        text = compiled(_ESCAPES).sub("", text)

    def kept(found: re.Match[str]) -> str:
        if found["separator"]:
            return " "
        look = compiled(_LOOK).match(text, found.start()) if pictures else None
        between = [character for character in found[0] if character in _BETWEEN]
        shown = look[0] if look else ""
        if not between:
            return shown
        # The neighbours of the whole run: if two joiners stand side by side, each has only the other as its neighbour.
        before, behind = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        if "\u200b" in between and compiled(_UNSPACED).match(before) and compiled(_UNSPACED).match(behind):
            return " "
        if compiled(_INDIC).match(before):
            kinds = _JOINERS
        elif compiled(_CURSIVE).match(before):
            kinds = _JOINERS if compiled(_CURSIVE).match(behind) else "\u200d"
        else:
            joins = emoji and compiled(_EMOJI).match(before) and compiled(_EMOJI).match(behind)
            kinds = "\u200d" if joins else ""
        return shown + next((character for character in between if character in kinds), "")

    return compiled(_UNSEEN_RUN).sub(kept, text)


_BETWEEN = "\u200b\u200c\u200d"


def _folded(text: str, apart: bool) -> str:
    def spelled(found: re.Match[str]) -> str:
        if found["marks"] and not apart:
            near = text[max(found.start() - 1, 0) : found.start()] + text[found.end() : found.end() + 1]
            if any(first <= character <= last for character in near for first, last in _IDEOGRAPHIC):
                return found[0]
        return unicodedata.normalize("NFKC", found[0])

    return compiled(_FORMS_RUN).sub(spelled, text)


def _suspects(text: str) -> str:
    """The characters of a text that may need cleaning; found quickly if there are none."""
    controls = "" if text.isprintable() else _controls_of(text)
    if text.isascii():
        return controls
    if len(text) <= _SHORT:
        return "".join(set(compiled(_ANY).findall(text)))  # controls are among them
    return controls + "".join(compiled(_ANY).findall("".join(others(text))))


def _controls_of(text: str) -> str:
    """The ASCII control characters of a text that are not white space, and the separators. One quick pass if there are none."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data.translate(None, _ASCII)) == len(data):
        return ""
    return "".join(character for character in _ASCII.decode() if character in text)
