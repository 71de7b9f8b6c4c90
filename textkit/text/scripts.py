"""Scripts as character classes for regular expressions, and languages that are not written in Latin. Imports nothing."""

# Ideographs and kana: each character is a word by itself, as in BERT's pre-tokenizer.
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
FIRST_IDEOGRAPH = 0x3040
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\uaa60-\uaa7f"  # Thai, Lao, Burmese, Khmer

# Letters of scripts other than Latin, and their marks.
NOT_LATIN = (
    "\u0370-\u03ff\u0400-\u058f\u0591-\u1cff\u1f00-\u1fff\u2c00-\u2c5f\u2c80-\u2ddf\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3041-\ua71f"
    "\ua800-\uab2f\uab70-\ud7ff\uf900-\ufaff\ufb13-\ufdff\ufe70-\ufefe\uff66-\uffdc\U00010000-\U0001cfff\U0001e000-\U0001efff"
    "\U00020000-\U0003ffff"
)
_OTHERS = (
    "ab am apc ar ars ary arz as av ba be bg bho bn bo ce ckb cv dv dz el fa gu he hi hy ja ka kk km kn ko ks ky lo mai mk ml"
    " mn mni mr my ne or os pa pnb prs ps ru sa sat sd shn si skr sr syr ta te tg th ti tt tyv udm ug uk ur wuu yi yue zh"
)
_NOT_IN_LATIN = frozenset(_OTHERS.split())


def latin(language: str) -> bool:
    """Whether a language, by its ISO 639 code, is known to be written in Latin letters; "" is not known."""
    return bool(language) and language.replace("_", "-").split("-")[0].lower() not in _NOT_IN_LATIN
