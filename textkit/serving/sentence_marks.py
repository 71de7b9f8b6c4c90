"""The patterns that sentences.py looks for: what may end a sentence, and what says that it goes on. Knows no language's words.

Possessive quantifiers, bounds and the looks back keep the time linear: a run of 100,000 dots is looked at once.
"""

from __future__ import annotations

import re
from functools import cache

_CLOSERS = "\"'”’»«)\\]}›“"
OPENERS = "\\-\"'“‘„«»(\\[{¿¡‹–—•·*‣◦▪"
# Marks of other scripts, after which no capital is needed, nor white space: danda, Arabic question mark, Urdu, Armenian,
# Ethiopic, Burmese, Khmer, Tibetan, Mongolian and others, ideographic and full-width ones.
_WIDE = (
    "\u0589\u061d-\u061f\u06d4\u0700-\u0702\u07f9\u0964\u0965\u104a\u104b\u1362\u1367\u1368\u166e\u1803\u1809\u17d4\u17d5"
    "\u0f0d\u0f0e\u1c7e\u1c7f\ua4ff\ua876\ua877\uaa5d-\uaa5f\uabeb\u3002\uff01\uff0e\uff1f\uff61"
)
_WIDE_CLOSERS = "」』）”’》〉】〕\"'»)"
HEARTS = (
    "\u2665\u2764\U0001f493-\U0001f49f\U0001f90d\U0001f90e\U0001f5a4\U0001f1e6-\U0001f1ff"  # and flags: often a word
)
_FACES = "\u2639\u263a\u2728\u2b50\U0001f300-\U0001faff"
_EMOJI = rf"(?:[{HEARTS}{_FACES}][\ufe0f\u200d\u2640\u2642\U0001f3fb-\U0001f3ff]*+)"
# White space stands around one.
_SMILEY = r"(?:[:;=][-'^o]?[)(\]\[DPp3/\\|*O]++|\([-o]?[:;=]|<3|\^_?\^|[xX]D+|-_+-|T_T|[oO]_[oO])(?!\S)"
_MOST = 50  # smileys in a row
_SMILEYS = rf"(?:(?:{_EMOJI}++|{_SMILEY})\s++)"


@cache
def ends(special: bool) -> re.Pattern[str]:
    """What may end a sentence. In turn: marks with what closes behind them, and white space; a stop without a space ("He
    ran.She sat."); in lines with anything `special` other scripts' marks; line ends; smileys without a mark; the Greek
    question mark. Made when needed: the second takes 20 ms."""
    smileys = rf"(?:{_SMILEYS}{{0,{_MOST}}}+)" if special else ""
    some = rf"(?:{_SMILEYS}{{1,{_MOST}}}+)"
    latin = (
        rf"(?<![.!?…‼⁇⁈⁉])(?P<marks>[.!?…‼⁇⁈⁉]++)(?P<closers>(?:\[\d+\])*+[{_CLOSERS}]*+(?:[ \u00a0\u202f]»(?!\S))?+)"
        rf"(?P<space>\s++{smileys})(?=[{OPENERS}]*+\s?[^\W_])"
        r"|(?<=[^\W\d_A-Z][^\W\d_A-Z])\.(?P<none>)(?=[^\W\d_a-z][^\W\d_A-Z]+(?![\w./@:]))"
    )
    others = (
        rf"|(?<![{_WIDE}])[{_WIDE}]++(?P<brackets>[{_WIDE_CLOSERS}]*+)(?P<wide>\s*+{smileys})(?=\S)"
        r"|(?P<lines>(?<![^\S\n\r])[^\S\n\r]*+[\n\r]\s*+)(?=\S)"
        rf"|(?<![\s{HEARTS}{_FACES}])(?P<smileys>\s*+{_EMOJI}++\s++{smileys}|\s++{some})(?=[{OPENERS}]*+[^\W\d_])"
        r"|(?<=[\u0370-\u03ff\u1f00-\u1fff])[;\u037e][\"'”’»)]*+(?P<greek>\s++)(?=[\"'«“(]*+[\u0386-\u03ab\u1f00-\u1fff])"
    )
    return re.compile(latin + others if special else latin)


MARK = re.compile("[.!?…‼⁇⁈⁉]")
# Without any of these a line is cut at its marks alone, which are found at memory speed.
SPECIAL = re.compile(rf"[\n\r{_WIDE}{HEARTS}{_FACES}\u0370-\u03ff\u1f00-\u1fff]|\s{_SMILEY}")
NEXT = re.compile(rf"[{OPENERS}\s]*+([^\W_](?:\w|['’](?=\w))*+)?")
CAMEL = re.compile(r"[a-z]{1,2}[A-Z]")  # iPhone, eBay: begin a sentence as they are
QUOTES = re.compile("[\"'”’»“]")
SPEECH = re.compile(  # "Stop!" Tom shouted.
    r"(?:I|(?!(?:He|She|It|We|You|They|Who|Nobody|Somebody|Everybody|Everyone|Someone)\b)[A-Z]\w+)"
    r"\s(?:asked|said|cried|replied|answered|shouted|whispered|yelled|added|exclaimed)\b"
)
DOTTED = re.compile(r"[^\W\d_]{1,2}(?:\.-?[^\W\d_])+")  # e.g, z.B, U.S, J.-C, Ph.D
ROMAN = re.compile(r"[IVXLCDM]{1,6}")


@cache
def days() -> re.Pattern[str]:
    """What follows an hour in its sentence: 5 p.m. Monday."""
    return re.compile(
        r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May|June|July|August|September|October|November"
        r"|December|Eastern|Central|Mountain|Pacific|[ECMP][SD]?T|GMT|UTC|CET|BST)\b"
    )


@cache
def trailing_smileys() -> re.Pattern[str]:
    return re.compile(rf"(?<![\s{HEARTS}{_FACES}])(?:\s*+{_EMOJI}|\s++{_SMILEY}){{1,{_MOST}}}+\Z")


@cache
def goes_on() -> re.Pattern[str]:
    """What continues a sentence behind a quotation in Japanese and Chinese."""
    return re.compile(
        r"と(?!ても|ころ)|って|など|[はがをにのもへ]|で(?!も)|だ(?!から|が)|や|か(?!つ)|、|，"
        r"|(?:[他她我你它]们?)?(?:回答|回|笑|大声)?[说說道問问答喊叫]"
    )
