"""What comes through a translation as it is, as patterns: kinds of text that no language changes. keeping.py uses them.

Each is linear in the length of a line: what repeats is bounded, is possessive, or begins only where a word does.
"""

from __future__ import annotations

import re
from functools import cache

from textkit.text.preserved.sentinels import SENTINEL

_FILES = (
    "7z|avi|bak|bat|bin|bmp|bz2|c|cc|cfg|conf|cpp|css|csv|dat|db|dll|doc|docx|dot|eml|epub|exe|gif|go|gz|h|hpp|htm|html|ico|ini|"
    "ipynb|iso|jar|java|jpeg|jpg|js|json|jsonl|log|lua|m4a|md|mkv|mov|mp3|mp4|mpg|npy|odp|ods|odt|ogg|onnx|otf|parquet|pdf|php|pl|"
    "png|ppt|pptx|ps1|psd|py|pyc|rar|rb|rs|rst|rtf|sh|sql|sqlite|svg|tar|tex|tgz|tif|tiff|toml|ts|tsv|tsx|ttf|txt|vcf|wav|webm|webp|"
    "whl|wma|woff|xls|xlsx|xml|xz|yaml|yml|zip|zst"
)
_LOUD_FILES = "|".join(name for name in _FILES.upper().split("|") if len(name) > 2)
_HOSTS = (
    "com|org|net|edu|gov|int|mil|info|biz|io|ai|app|dev|de|at|ch|eu|uk|us|ca|au|fr|es|it|nl|be|pl|cz|dk|se|no|fi|ru|ua|jp|cn|"
    "in|br|xyz|COM|ORG|NET|EDU|GOV"
)
_MARK = r"[!-/:-@\[-`{-~]"
_DRAWN = r"[~^*=|+>\\-]"
_NOT_LAST = r"\s<>\"'\u201c\u201d\u2018\u2019.,;:!?)\]}*`|\u2026"  # what a URL does not end with
_PATH = rf"/(?:[^\s<>\"']*[^{_NOT_LAST}])?"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_FIELD = r"[^\s\\:*?\"<>|]"  # of a path on Windows
_PLACED = r"(?:[-+0#]*(?:\d+|\*)?(?:\.(?:\d+|\*))?)"  # of a conversion of printf: flags, width, precision

# The order decides where two begin at the same place.
_CODE = (
    r"\A[^\S\n]*(?:\$ (?=[a-z./~])|>>> )(?:(?!\s#\s)[^\n])*(?<!\s)",  # a command, and what follows a prompt, up to a comment
    # Lines of a program: calls and assignments, statements, blocks, queries.
    r"\A\s*[A-Za-z_][\w.]*\((?=\)|[^\n]*[\"',=\d])(?:[^()\"'\n]|\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\))*\)\s*[;{]?\s*\Z"
    r"|\A\s*[\w.\[\]]+ [-+*/|&]?= [^\s;][^\n]*;\s*\Z",
    r"\A\s*(?:\} ?)?(?:if|else if|for|foreach|while|switch|catch) \([^\n]*[;{}]\s*\Z",
    r"\A\s*(?:return|throw|import|using|package) [^\n]*;\s*\Z",
    r"\A\s*(?:def \w+\([^\n]*:|class \w+(?:\([^\n]*\))?:|from [\w.]+ import [\w, *]+|#include [<\"][^\n]*)\s*\Z",
    r"\A\s*(?:SELECT [^\n]* FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|(?:CREATE|DROP|ALTER) TABLE) [^\n]*\Z",
    r"(?<!`)(?P<ticks>`{1,3}+)(?!`)[^\n]*?[^`\n](?P=ticks)(?!`)",
    r"(?<!\S)(?:`{3,}|~{3,})\w*(?!\S)",
    r"\$\$[^$\n]{1,500}\$\$",
    r"\$(?=[^$\n]{0,200}[\\^_={])[^\s$](?:[^$\n]{0,200}[^\s$])?\$(?!\w)|\$[A-Za-z]\$(?!\w)",
    r"\\\([^\n]{1,500}?\\\)|\\\[[^\n]{1,500}?\\\]",
)
_ADDRESSES = (
    rf"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{{1,20}}://[^\s<>\"'\u201c\u201d\u2018\u2019]*[^{_NOT_LAST}]",
    rf"(?<!\w)(?:tel|sms|urn|doi|DOI|magnet|data|geo|sip|xmpp|ar[xX]iv):(?=\S*\d)[^\s<>\"']*[^{_NOT_LAST}]",
    r"(?:mailto:)?(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*(?::[\w./~-]*[\w/])?",
    rf"(?i:www)\.[\w-]+(?:\.[\w-]+)+(?::\d{{1,5}})?(?:{_PATH})?",
    rf"(?<![\w@.-])(?:[^\W_][\w-]*\.)+(?:(?:{_HOSTS})(?::\d{{1,5}}(?!\w))?(?:{_PATH})?(?![\w@.-]*\w)|[A-Za-z]{{2,24}}(?::\d{{1,5}})?/[\w~%#?&=./+-]*\w)",
)
_MARKUP = (
    r"<[%?][^\n]{0,500}?[%?]>|<!--[^\n]{0,2000}?-->|<![A-Z\[][^<>\n]{0,500}>",
    r"<(?P<raw>script|style|code|pre|kbd|samp|var|math)\b[^<>\n]{0,200}>[^\n]{0,1000}?</(?P=raw)>",
    r"</?[A-Za-z][^<>\n]{0,500}>",
    r"&(?:[A-Za-z]{2,10}\d{0,2}|#\d{1,7}|#[xX][0-9A-Fa-f]{1,6});",
    r"(?<!\w)[A-Z]+&(?:amp;)?[A-Z]+(?!\w)",
    r"!?\[(?=[^\[\]\n]{1,300}\](?:\(|\[[^\[\]\n]{0,50}\]))",  # a link begins; its words are translated
    r"(?<=\S)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?: \"[^\"\n]{0,200}\")?\)|\[[^\[\]\n]{0,50}\])",
    r"(?<![\w*])\*{1,3}(?=[^\s*][^*\n]{0,300}\*)|(?<=[^\s*])\*{1,3}(?![\w*])|(?<!\w)~~(?=\S)|(?<=\S)~~(?!\w)",
    r"\[\[[^\[\]\n]{1,100}\]\]|\[[A-Z][A-Z0-9_]+\]|\[\^?\d+(?:[-,\u2013] ?\d+)*\]",
)
_PLACEHOLDERS = (
    r"\{%[^\n]{0,500}?%\}|\{#[^\n]{0,500}?#\}|[$#%@]?\{\{[^{}\n]{0,100}\}\}",
    r"\{\w+, ?(?:plural|select|selectordinal|number|date|time|choice)\b(?:[^{}\n]|\{[^{}\n]{0,200}\}){0,500}\}",
    r"[$#%@]\{[^{}\n]{1,100}\}|\{[\w.:!?\[\]<>=^+#,%*'\"-]{0,100}\}|\{ [\w.]{1,50} \}|\$\([^()\n]{1,100}\)",
    rf"(?<!\d)%(?:\([\w.-]+\)|\d+\$)?{_PLACED}(?:(?:hh?|ll?|[zjtLq])?[dixXufFeEgGosScp])(?![A-WYZa-wyz\d_]|x(?!%))"
    r"|(?<!\d)%[ds](?=(?:ms|s|px|th|KB|MB|GB)(?!\w))",
    r"(?<![\d%])(?<!\d )%(?:[A-Za-z@]|\w+%)(?!\w)|%%",
    r"\$[A-Za-z_]\w*",
    r"(?<![\w:]):(?:[+-]1|[a-z][a-z0-9_+-]{1,40}):(?![\w:])",
)
_SHELL = (
    r"(?<!\w)--[A-Za-z][\w-]*(?:=[^\s,;]*[\w/])?|(?<!\w)-[A-Za-z](?![\w-])",
    r"(?<![\w/])(?:~|\.{1,2})?(?:/[\w.@+-]*[\w@+-]){2,}/?|(?<![\w/])(?:~|\.{1,2})/[\w.@+-]*[\w@+-]"
    r"|(?<!\w)/(?:etc|usr|var|tmp|home|bin|opt|dev)(?!\w)",
    rf"(?<!\w)[A-Za-z]:(?:\\(?:{_FIELD}+(?: {_FIELD}+){{0,3}}\\)*+(?:{_FIELD}*[^\s\\:*?\"<>|.,;!?)])?|(?:/[\w.-]*\w)+)",
    r"\\\\[\w.$-]+(?:\\[\w.$-]*\w)+",
    r"(?<![\w\\.-])[\w.-]+(?:\\(?![nrt](?:[A-Z]|\W|\Z))[\w.-]*\w)+",
    r"\\[nrt](?![a-z])|\\[\"'\\]|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}",
    r"(?<![A-Za-z])\\[A-Za-z]+\*?(?:\[[^\[\]\n]{0,60}\]|\{[^{}\n]{0,200}\}){0,5}",
    rf"(?<![\w./-])(?:[\w.-]+/)*[\w-]+(?:\(\d{{1,3}}\))?(?:\.[\w-]+)*\.(?:{_FILES}|{_LOUD_FILES})(?!\w)",
    r"(?<![\w.])\.(?:git\w*|bash\w*|env|vimrc|zshrc|npmrc|profile|ssh|config|htaccess|editorconfig|NET)(?!\w)",
)
_CODES = (
    r"(?<![\w-])\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-]*\w)",
    r"(?<![\w-])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![\w-])",
    r"(?<![\w:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])",
    rf"(?<![\w.])(?:{_BYTE}\.){{3}}{_BYTE}(?:[:/]\d{{1,5}})?(?![\w.]*\w)",
    r"(?<![\w:.])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|(?=[0-9A-Fa-f:]{2,39}+(?!\w))(?=[0-9A-Fa-f:]*::)(?=[A-Fa-f:]*\d)"
    r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?:%\w+|/\d{1,3})?(?![\w:])",
    r"(?<![\w.,])(?:v\d+\.\d+(?:\.\d+)*|(?!\d{1,3}(?:\.\d{3})+(?![\w.]*\w))\d+\.\d+\.\d+(?:\.\d+)*)(?:[-+][\w.+-]*\w)?(?!\w)",
    r"(?<![\w./-])\d{1,2}/\d{1,2}/\d{2,4}(?![\w/])|(?<!\w)(?:US|CA?|AU?|NZ|HK|R|S|MX)\$(?=[ \u00a0]?\d)",
    r"(?<![\w.%/-])[\w./-]{0,200}[A-Za-z](?:%[0-9A-F]{2}[\w./-]*)+(?<=\w)",
    r"(?<!\w)[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?(?!\w)",
    r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)+(?!\w)",
    r"(?<!\w)0[xX][0-9A-Fa-f]+(?!\w)|(?<![\w.,])\d+(?:[.,]\d+)?[eE][-+]?\d+(?!\w)",
    # Letters among digits, five and more of both: BA2490, hunter2, a3f5c9e; but 1990s and 100km are numbers with words.
    r"(?<![\w.,])(?!\d+(?:[A-Z]?[a-z]+|[A-Z]{1,2})(?!\w))(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{5,}(?!\w)",
    r"(?<![\w.,])\d{1,4}x\d{1,4}(?:x\d{1,4})?(?!\w|[.,]\d)",
    # Telephone numbers, and what looks like them.
    r"(?<![\w.,(/-])(?=[+(]?\d(?:[ /().-]{0,3}\d){5})"
    r"(?:\+\d{1,3}|\(0\d{1,5}\)|0\d{1,5})(?:[ /.-]?\(0\))?(?:[ /.-]{0,2}+\d{2,}+)++(?!\w)"
    r"|(?<!\w)\(\d{3}\) \d{3}-\d{4}(?!\w)",
    r"(?<![\w/-])\+?\d{1,4}(?:[ -]\(?\d{2,}+\)?+){2,}+(?![\w-]*\w|[.,]\d)",
    r"(?<![\w-])\d++(?:-\d++){3,}+(?![\w-]*\w)|(?<!\w)10\.\d{4,9}/[^\s<>\"']*\w",
    r"(?<![\w.,])[$\u00a3\u20ac]?\d+[.,][-\u2013\u2014](?![\w-])",  # 5,- euros
    r"(?<!\w)(?:USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|HUF|RUB|BRL|ZAR|KRW|HKD|SGD|NZD|MXN)(?!\w)",
    r"(?<!\w)\d{1,2}['\u2032] ?\d{1,2}(?:[\"\u2033]|'')",  # feet and inches
    r"(?:(?<!\d)\d{1,6})?[\u00bc-\u00be\u2150-\u215f]",
)
_NAMES = (
    r"(?<![\w&])#\w+(?:-\w+)*|(?<![\w&.])@[^\W\d_]\w*(?:[.-]\w+)*(?:@\w[\w-]*(?:\.[\w-]+)+)?",
    r"(?<!\w)\w+_\w+(?!\w)",
    r"(?<![\w.])\w+(?:(?:\.|::|->)\w+)*\(\)|(?<![\w.])\w+(?:(?:\.|::|->)\w+)+\([^()\n]{0,60}\)|(?<![\w.])\w+(?:(?:::|->)\w+)+",
    r"(?<!\w)[a-z]+(?:[A-Z][a-z0-9]+)+(?:[ \u00a0]\d+(?:\.\d+)+)?(?!\w)",  # iPhone, camelCase, macOs 10.15
    r"(?<!\w)(?:Ctrl|ctrl|CTRL|Strg|STRG|Alt|ALT|Shift|Umschalt|Cmd|CMD|Win)(?:(?:\+\w+)+|-\w)(?!\w)",
    r"(?<!\w)[A-Z](?:\+\+|#)(?!\w)|(?<![\w/])(?!AND/OR|HE/SHE|HIS/HER|YES/NO|ON/OFF|JA/NEIN)[A-Z]{1,4}/[A-Z]{1,4}(?![\w/])",
    r"(?<![\w.=+-])[A-Za-z_][\w.-]*=(?:[\w./:^*+-]*[\w/]|\"[^\"\n]{0,200}\"|'[^'\n]{0,200}')(?!\w)",
)
# Numbers of sections and versions, which are no decimals.
_LABELS = (
    r"(?<!\w)(?:[Ss]ections?|[Cc]hapters?|Ch\.|[Ff]igures?|Figs?\.|[Tt]ables?|[Ee]quation|Eq\.|[Aa]ppendix|[Aa]rticle|[Ll]esson|[Ee]xercise|"
    r"[Vv]ersions?|[Rr]eleases?|Kapitel|Abschnitt|Abbildung|Abb\.|Tabelle|Tab\.|Ziffer|\u00dcbung|Anhang|Artikel|\u00a7|"
    r"iOS|macOS|Python|Ubuntu|Debian|Fedora|Windows|Android|Java|PHP|CUDA|Bluetooth|USB|HTTP|TLS|Linux|Kernel)[ \u00a0]"
    r"(?P<label>\d{1,3}(?:\.\d{1,3})+)(?![\w.,]*\w|[ \u00a0]?%)",
)
_SMILEYS = (
    r"\w(?:[\u0334-\u0338]|[\u0300-\u036f]{3,})(?:\w|[\u0300-\u036f])*",  # letters struck through, or under many marks
    # Words of marks alone: smileys, arrows of two characters, the rules and borders of plain text.
    rf"(?<!\S)(?={_MARK}*{_DRAWN}){_MARK}{{2,}}(?!\S)",
    r"(?<![\w:;=])[:;=][-'^o]?[)(DPpO/|\]\[](?![\w/])",
)
_PICTURE = (
    r"(?:[\U0001f1e6-\U0001f1ff]{2}|[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u25aa-\u27bf\u2934\u2935"
    r"\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f004-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff\u20e3]*|[0-9#*]\ufe0f?\u20e3)"
)
_EMOJI = rf"{_PICTURE}(?:\u200d{_PICTURE}|[\U000e0020-\U000e007f])*"

# What every pattern needs. Most lines have none of it, and that is seen in a few microseconds: this pattern begins with one
# set of characters, which is searched fast. Those of them that ordinary text has are signs by what stands beside them.
_ORDINARY, _ACCENTS = r"\dA-Z.(:~^|>+-", r"\u0300-\u0333\u0339-\u036f"
SIGNS = re.compile(
    rf"[@#/\\<{{$%&_`*\[=\ufe0f\u20e3\u00a9\u00ae\u00bc-\u00be\u0300-\u036f\u203c-\u3299\U0001f000-\U0001faff"
    rf"\U000f0000-\U000fffff{_ORDINARY}](?:(?<![{_ORDINARY}])(?<![{_ACCENTS}])"
    r"|(?<=\d)(?:[ -]\(?\d|-\w|[A-Za-z]|[,.][\u2013\u2014]|['\u2032]|[ \u00a0][A-Z]{3})"
    r"|(?<=[A-Za-z]\d)|(?<=[A-Z]{3}[ \u00a0]\d)|(?<=[a-z][A-Z])|(?<=\.)\w"
    r"|(?<=\()\)|(?<=\w\()[^)]|(?<=:)(?:[^\s\w]|\w+:)|(?<=\w-)\w*\d|(?<=(?<!\w)-)[-A-Za-z]"
    rf"|(?<=\w\+)\w|(?<=[\u0300-\u036f])[\u0300-\u036f]{{2}}|(?<={_MARK}{_DRAWN})|(?<={_DRAWN}){_MARK})"
)


@cache
def preserved() -> re.Pattern[str]:
    """All of them. Compiled when needed: it takes 40 ms, and most texts need none."""
    kinds = _CODE, _ADDRESSES, _MARKUP, _PLACEHOLDERS, _SHELL, _LABELS, _CODES, _NAMES, _SMILEYS
    return re.compile("|".join((SENTINEL.pattern, *(pattern for kind in kinds for pattern in kind), _EMOJI)))
