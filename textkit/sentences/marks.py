"""The patterns of splitting.py: what may end a sentence, and what shows that it goes on. Knows no language's abbreviations.

Possessive quantifiers, bounds and lookbehinds keep the time linear: a run of 100,000 dots is read only once.
"""

from __future__ import annotations

import re
from functools import cache

_CLOSERS = "\"'”’»«)\\]}›“"
OPENERS = "\\-\"'“‘„«»(\\[{¿¡‹–—•·*‣◦▪"
# Marks of other scripts, which need neither a capital nor white space after them: danda, Arabic question mark, Urdu,
# Armenian, Ethiopic, Burmese, Khmer, Tibetan, Mongolian and others, ideographic and full-width ones.
_WIDE = (
    "\u0589\u061d-\u061f\u06d4\u0700-\u0702\u07f9\u0964\u0965\u104a\u104b\u1362\u1367\u1368\u166e\u1803\u1809\u17d4\u17d5"
    "\u0f0d\u0f0e\u1c7e\u1c7f\ua4ff\ua876\ua877\uaa5d-\uaa5f\uabeb\u3002\uff01\uff0e\uff1f\uff61"
)
_ASKS = "?⁇⁈⁉"  # in Chinese, Japanese and Korean as well, where no white space follows
_CALLS = "!‼"
_EAST = "\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003134f"
_WIDE_CLOSERS = "」』）”’》〉】〕\"'»)"
HEARTS = (
    "\u2665\u2764\U0001f493-\U0001f49f\U0001f90d\U0001f90e\U0001f5a4\U0001f1e6-\U0001f1ff"  # and flags: often a word
)
# Unicode's emoji without those that stand between two words: arrows, plus and minus, suits, male and female.
_FACES = (
    "\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa\u2600-\u2604\u2611\u2614\u2615\u2618\u261d\u2620\u2622\u2623\u2626\u262a"
    "\u262e\u262f\u2638-\u263a\u2648-\u2653\u265f\u2668\u267b\u267e\u267f\u2692-\u2697\u2699\u269b\u269c\u26a0\u26a1\u26aa"
    "\u26ab\u26b0\u26b1\u26bd\u26be\u26c4\u26c5\u26c8\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd"
    "\u2702\u2705\u2708-\u270d\u270f\u2712\u2714\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u27b0"
    "\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f300-\U0001faff"
)
# All of them, and the signs that end nothing by themselves but may stand after a mark.
_SIGNS = "\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff"
_MODIFIERS = "[\ufe0f\u200d\u2640\u2642\U0001f3fb-\U0001f3ff]*+"
_EMOJI = rf"(?:[{HEARTS}{_FACES}]{_MODIFIERS})"
_SIGN = rf"(?:[{_SIGNS}]{_MODIFIERS})"
# A smiley has white space around it.
_SMILEY = r"(?:[:;=][-'^o]?[)(\]\[DPp3/\\|*O]++|\([-o]?[:;=]|<3|\^_?\^|[xX]D+|-_+-|T_T|[oO]_[oO])(?!\S)"
_MOST = 50  # smileys in a row
_SMILEYS = rf"(?:(?:{_EMOJI}++|{_SMILEY})\s++)"
_BEHIND_MARKS = rf"(?:(?:(?:{_SIGN}++|{_SMILEY})\s++){{0,{_MOST}}}+)"
_CYRILLIC = "\u0400-\u042f\u0490"  # capitals


# "Yahoo!ニュース" is a name.
_EAST_MARK = (
    rf"(?:(?<=\w[{_ASKS}])|(?<=[{_EAST}][{_CALLS}]))"
    rf"(?=[{_WIDE}.!?…‼⁇⁈⁉]{{0,20}}[{_WIDE_CLOSERS}]{{0,4}}\s?[「『（《〈【“]{{0,4}}[{_EAST}])"
)


@cache
def ends(special: bool) -> re.Pattern[str]:
    """What may end a sentence.

    In this order: marks with the closing quotes and brackets after them, and white space; a stop without a space ("He ran.She
    sat."). In `special` lines also: other scripts' marks; line ends; brackets that are a smiley in Russian ("Привет) Как
    дела?"); smileys without a mark; the Greek question mark. Compiled when needed: the `special` pattern takes 20 ms.
    """
    smileys = _BEHIND_MARKS if special else ""
    some = rf"(?:{_SMILEYS}{{1,{_MOST}}}+)"
    latin = (
        rf"(?<![.!?…‼⁇⁈⁉])(?P<marks>[.!?…‼⁇⁈⁉]++)\ufe0f?+(?P<closers>(?:\[\d+\])*+[{_CLOSERS}]*+(?:[ \u00a0\u202f]»(?!\S))?+)"
        rf"(?P<space>\s++{smileys})(?=[{OPENERS}]*+\s?[^\W_])"
        r"|(?<=[^\W\d_A-Z][^\W\d_A-Z])\.(?P<none>)(?=[^\W\d_a-z][^\W\d_A-Z]+(?![\w./@:]))"
    )
    others = (
        rf"|[{_WIDE}{_ASKS}{_CALLS}](?:(?<=[{_WIDE}])(?<![{_WIDE}].)|{_EAST_MARK})[{_WIDE}.!?…‼⁇⁈⁉]*+"
        rf"(?P<brackets>[{_WIDE_CLOSERS}]*+)(?P<wide>\s*+{smileys})(?=\S)"
        r"|(?P<lines>(?<![^\S\n\r])[^\S\n\r]*+[\n\r]\s*+)(?=\S)"
        rf"|(?<=\w)(?P<smile>\)++\s++{smileys})(?=[{OPENERS}]*+[{_CYRILLIC}])"
        rf"|(?<![\s{HEARTS}{_FACES}])(?P<smileys>\s*+{_EMOJI}++\s++{smileys}|\s++{some})(?=[{OPENERS}]*+[^\W\d_])"
        r"|(?<=[\u0370-\u03ff\u1f00-\u1fff])[;\u037e][\"'”’»)]*+(?P<greek>\s++)(?=[\"'«“(]*+[\u0386-\u03ab\u1f00-\u1fff])"
    )
    return re.compile(latin + others if special else latin)


MARK = re.compile("[.!?…‼⁇⁈⁉]")
# A line that holds none of these is cut at its Latin marks alone, which are found at memory speed. The pattern begins
# with one set of characters, which is searched fast. It matches too often, because an exact one compiles too slowly.
SPECIAL = re.compile(
    rf"[\s{_WIDE}{_SIGNS}\u0370-\u03ff\u1f00-\u1fff‼⁇⁈⁉?!)](?:(?<=[^\t\f\v \u00a0\u202f\u3000?!)])|(?<=\s){_SMILEY}"
    r"|(?<=\))\s++[^\w)]{0,9}[\u0400-\u0490]|(?<=[?!])\W{0,8}+[\u3005-\U0003134f])"
)
NEXT = re.compile(rf"[{OPENERS}\s]*+([^\W_](?:\w|['’](?=\w))*+)?")
CAMEL = re.compile(r"[a-z]{1,2}[A-Z]")  # iPhone, eBay: may begin a sentence as they are
QUOTES = re.compile("[\"'”’»“]")
SPEECH = re.compile(  # "Stop!" Tom shouted.
    r"(?:I|(?!(?:He|She|It|We|You|They|Who|Nobody|Somebody|Everybody|Everyone|Someone)\b)[A-Z]\w+)"
    r"\s(?:asked|said|cried|replied|answered|shouted|whispered|yelled|added|exclaimed)\b"
)
DOTTED = re.compile(r"[^\W\d_]{1,2}(?:\.-?[^\W\d_])+")  # e.g, z.B, U.S, J.-C, Ph.D
# The number of a section or of a list's item.
NUMBERED = re.compile(r"(?:\d{1,3}|[A-Z])(?:\.\d{1,3})+[a-z]?|\d{1,3}[a-z]|[A-Z]\d{1,2}|(?=..)X{0,3}(?:IX|IV|V?I{0,3})")
ROMAN = re.compile(r"[IVXLCDM]{1,6}")


@cache
def days() -> re.Pattern[str]:
    """What continues a sentence after an hour: 5 p.m. Monday."""
    return re.compile(
        r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May|June|July|August|September|October|November"
        r"|December|Eastern|Central|Mountain|Pacific|[ECMP][SD]?T|GMT|UTC|CET|BST)\b"
    )


@cache
def trailing_smileys() -> re.Pattern[str]:
    return re.compile(rf"(?<![\s{HEARTS}{_FACES}])(?:\s*+{_EMOJI}|\s++{_SMILEY}){{1,{_MOST}}}+\Z")


_ASIDE = "[^\\s。！？!?.,、，；：「」“”]"
_SAID = (
    "言っ|言い|言う|言わ|聞い|聞く|尋ね|たずね|答え|こたえ|叫ん|叫び|つぶや|呟い"
    "|ささや|囁い|問い|問う|返事|告げ|怒鳴|いった|いって|きいた"
)


@cache
def goes_on() -> re.Pattern[str]:
    """What continues a sentence after a quotation in Japanese and Chinese: a particle that begins no other word, the person who
    said it, or a mark, which ends no sentence by itself."""
    return re.compile(
        rf"[{_WIDE}.!?…‼⁇⁈⁉、，,；;：:]"
        r"|と(?!ても|ころ|にかく|もか|もだち|きど|りあえ|んで|なり|つぜ|うとう|ま)|って|など|を|は(?!い(?!い)|[はやじるっ])|が(?![んっ])"
        r"|に(?!んじ|っこ|ほん|わか)|の(?![どんちぼ])|も(?![うしちっのと])|へ(?![えぇーやん])|で(?![もはき])"
        r"|だ(?!から|が|って|め|れ|けど|い|まっ|んだ)|や(?![あぁーはっめだるさ])|か(?![つれなわのえけ])"
        rf"|[\u30a0-\u30ff\u4e00-\u9fff々]{{1,12}}(?:さん|くん|ちゃん|たち)?[はがも]{_ASIDE}{{0,8}}?(?:{_SAID})"
        r"|(?:[他她我你它]们?)?(?:回答|回|笑|大声)?[说說道問问答喊叫]"
        r"|[\u4e00-\u9fff·]{1,10}?(?<![知难難味街报報频頻管通小听聽据傳传学學])[说說道问問答喊叫嚷](?=[道着著：:，,。.！!]|\Z)"
    )


@cache
def quoted() -> re.Pattern[str]:
    """What continues a sentence after a question that stands in it without quotation marks: 本当？と聞いた。"""
    return re.compile(r"と(?:[聞言思答叫尋問考書]|いう|いっ|おも|きい)|って(?:[言聞思]|いう|いっ)")


@cache
def said() -> re.Pattern[str]:
    """The person who said it, after a quotation and white space, in scripts without capitals: "हाँ।" उसने कहा।"""
    return re.compile(
        r"(?:[^\s।॥۔؟.!?,]{1,20}\s){1,4}(?:कहा|पूछा|बोला|बोली|बोले|चिल्लाया|चिल्लाई|बताया|বলল|বললেন|বলেছিল|کہا|پوچھا|بولا|بولی)(?![^\s।॥۔,])"
        r"|(?:قال|قالت|سأل|سألت|أجاب|أجابت|صاح|صاحت|صرخ|صرخت)(?!\w)"
    )
