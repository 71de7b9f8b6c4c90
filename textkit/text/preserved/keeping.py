"""Finds what must come through a translation as it is: URLs, e-mail addresses, file names, tags, placeholders, hashtags,
emoji, words of marks, words in a script that the languages do not use, and what a user's own patterns match. Knows no model;
sentinels.py says what stands in their place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from textkit.text.preserved.sentinels import SENTINEL
from textkit.text.scripts import NOT_LATIN, latin

_FILES = (
    "7z|avi|bak|bat|bin|bmp|bz2|c|cc|cfg|conf|cpp|css|csv|dat|db|dll|doc|docx|dot|eml|epub|exe|gif|go|gz|h|hpp|htm|html|ico|ini|"
    "ipynb|iso|jar|java|jpeg|jpg|js|json|jsonl|log|lua|m4a|md|mkv|mov|mp3|mp4|mpg|npy|odp|ods|odt|ogg|onnx|otf|parquet|pdf|php|pl|"
    "png|ppt|pptx|ps1|psd|py|pyc|rar|rb|rs|rst|rtf|sh|sql|sqlite|svg|tar|tex|tgz|tif|tiff|toml|ts|tsv|tsx|ttf|txt|vcf|wav|webm|webp|"
    "whl|wma|woff|xls|xlsx|xml|xz|yaml|yml|zip|zst"
)
_HOSTS = (
    "com|org|net|edu|gov|int|mil|info|biz|io|ai|app|dev|de|at|ch|eu|uk|us|ca|au|fr|es|it|nl|be|pl|cz|dk|se|no|fi|ru|ua|jp|cn|"
    "in|br"
)
_MARK = r"[!-/:-@\[-`{-~]"
_DRAWN = r"[~^*=|+>\\-]"
# The order decides where two begin at the same place.
_PATTERNS = (
    r"`[^`\n]+`",
    r"(?:https?|ftp|file|ssh|git)://[^\s<>\"'\u201c\u201d\u2018\u2019]*[^\s<>\"'\u201c\u201d\u2018\u2019.,;:!?)\]}]",
    r"(?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}",
    r"www\.[\w-]+(?:\.[\w-]+)+(?:/[^\s<>\"']*[^\s<>\"'.,;:!?)\]}])?",
    rf"(?:[a-z0-9-]+\.)+(?:{_HOSTS})(?:/[^\s<>\"']*[^\s<>\"'.,;:!?)\]}}]|/)?(?![\w@.-]*\w)",
    r"</?[A-Za-z][^<>\n]{0,500}>",
    r"<!--.*?-->",
    r"&(?:[A-Za-z]{2,10}|#\d{1,7});",
    r"\{\{[^{}\n]{0,100}\}\}|\$\{[^{}\n]{1,100}\}|\{[\w.:!-]{0,100}\}",
    r"%(?:\(\w+\)|\d+\$)?[-+0#]*\d*(?:\.\d+)?(?:l{0,2}[dixfu]|[sdigxfcr])(?!\w)|%\w+%",
    r"\$[A-Za-z_]\w*",
    r"(?<!\w)--[A-Za-z][\w-]+|(?<!\w)-[A-Za-z](?![\w-])",
    r"(?<![\w/])(?:~|\.{1,2})?(?:/[\w.@+-]+){2,}/?|(?<![\w/])(?:~|\.{1,2})/[\w.@+-]+|(?<!\w)/(?:etc|usr|var|tmp|home|bin|opt|dev)(?!\w)",
    r"(?<!\w)[A-Za-z]:\\[^\s:*?\"<>|]*[^\s:*?\"<>|.,;!?]",
    rf"(?<![\w.])[\w-]+(?:\.[\w-]+)*\.(?:{_FILES})(?!\w)",
    r"(?<![\w&])[#@][^\W\d_]\w*",
    r"(?<!\w)\w+_\w+(?!\w)|(?<!\w)\w+\(\)",
    r"(?<!\w)v?\d+\.\d+\.\d+(?:\.\d+)*(?:-[\w.]+)?(?!\w)",
    r"(?<!\w)(?=[\w-]*\d)(?=[\w-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)+(?!\w)",
    r"(?<!\w)\+?\d{1,4}(?:[ -]\(?\d{2,}\)?){2,}(?!\w)",
    r"[\u00bc-\u00be\u2150-\u215f]",
    # Words of marks alone: smileys, arrows of two characters, the rules and borders of plain text.
    rf"(?<!\S)(?={_MARK}*{_DRAWN}){_MARK}{{2,}}(?!\S)",
)
_PICTURE = (
    r"(?:[\U0001f1e6-\U0001f1ff]{2}|[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u25aa-\u27bf\u2934\u2935"
    r"\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f004-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff\u20e3]*|[0-9#*]\ufe0f?\u20e3)"
)
_EMOJI = rf"{_PICTURE}(?:\u200d{_PICTURE}|[\U000e0020-\U000e007f])*"
# What every pattern needs: most lines have none of it, and looking for it is quick.
_SIGNS = re.compile(
    r"[@#/\\<{$%&_`\ufe0f\u20e3\u00a9\u00ae\u00bc-\u00be\u203c-\u3299\U0001f000-\U0001faff\U000f0000-\U000fffff]"
    rf"|\.\w|\(\)|\d[ -]\(?\d|\w-\w*\d|\d-\w|-[-A-Za-z]|{_MARK}{_DRAWN}|{_DRAWN}{_MARK}"
)


def _whole(text: str, begin: int, end: int) -> tuple[int, int]:
    """A span with a bracket at its end that closes one inside of it, as links to Wikipedia have."""
    while text[end : end + 1] == ")" and text.count("(", begin, end) > text.count(")", begin, end):
        end += 1
    return begin, end


@cache
def _all() -> re.Pattern[str]:
    return re.compile("|".join((SENTINEL.pattern, *_PATTERNS, _EMOJI)))


@cache
def _foreign() -> re.Pattern[str]:
    """Words in other scripts than Latin, and what joins them to a name or a sentence."""
    return re.compile(rf"[{NOT_LATIN}](?:[{NOT_LATIN}\u200c\u200d]|[ ,'\u2019\u3000-\u3003-]{{1,2}}(?=[{NOT_LATIN}]))*")


@cache
def reads_latin_alone(*languages: str) -> bool:
    """Whether a translator between `languages` (ISO 639 codes) cannot read words in other scripts than Latin: all of the
    languages are written in Latin letters."""
    return bool(languages) and all(map(latin, languages))


def words_with(characters: str, text: str) -> list[tuple[int, int]]:
    """Where words with one of `characters` are in `text`, as "Škoda" and "Jean-Noël's"; a mark is a word of its own, or with
    its like beside it."""
    found: list[tuple[int, int]] = []
    for match in _runs(characters).finditer(text):
        begin, end = match.span()
        done = found[-1][1] if found else 0
        if begin < done:
            continue
        if match["letters"]:
            while begin > done and _joined(text, begin - 1):
                begin -= 1
            while end < len(text) and _joined(text, end):
                end += 1
        found.append((begin, end))
    return found


@lru_cache(256)
def _runs(characters: str) -> re.Pattern[str]:
    letters, marks = ("".join(filter(is_word, characters)) for is_word in (str.isalnum, _is_mark))
    groups = [f"(?P<{name}>[{re.escape(some)}]+)" for name, some in (("letters", letters), ("marks", marks)) if some]
    return re.compile("|".join(groups) if letters else "|".join(["(?P<letters>(?!))", *groups]))


def _is_mark(character: str) -> bool:
    return not character.isalnum()


def _joined(text: str, at: int) -> bool:
    """Whether the character at `at` is inside of a word: a letter, a digit, or what joins two."""
    if text[at] in "'\u2019-":
        return text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()
    return text[at].isalnum()


def kept(
    text: str, own: Sequence[re.Pattern[str]] = (), latin_alone: bool = False, unread: str = ""
) -> list[tuple[int, int]]:
    """Where the spans of `text` to be kept are, (begin, end) in order; none overlaps another. What `own` patterns match goes
    first; words in other scripts than Latin (`latin_alone`) and words with one of the characters `unread` last. An empty match
    is no span."""
    found = [match.span() for pattern in own for match in pattern.finditer(text) if match.end() > match.start()]
    first_own = len(found)
    if _SIGNS.search(text):
        found += [_whole(text, *match.span()) for match in _all().finditer(text)]
    if latin_alone and not text.isascii():
        found += [match.span() for match in _foreign().finditer(text)]
    if unread:
        found += words_with(unread, text)
    if not found:
        return []
    spans: list[tuple[int, int]] = []
    taken = sorted(range(len(found)), key=lambda at: (found[at][0], at))
    if first_own:  # a user's own span wins over one that overlaps it
        mine = sorted(found[:first_own])
        taken = [
            at for at in taken if at < first_own or not any(a < found[at][1] and found[at][0] < b for a, b in mine)
        ]
    for at in taken:
        if not spans or found[at][0] >= spans[-1][1]:
            spans.append(found[at])
    return spans
