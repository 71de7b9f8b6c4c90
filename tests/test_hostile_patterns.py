"""Regular expressions of strangers' tokenizers: those that may take for ever are refused, and usual ones are accepted."""

from __future__ import annotations

import time

import pytest

from textkit.text import pattern

_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
USED = [  # by cl100k (in three forms), Qwen 2, Qwen 3.5, o200k, Tekken, DeepSeek V3 and its coder
    *pattern.KNOWN,
    rf"{_CONTRACTED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    rf"{_CONTRACTED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}",
    rf"{_CONTRACTED}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_TAIL}",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTED}?|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTED}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_TAIL}",
    r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥぀-ゟ゠-ヿ]+",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        r"[\s▁]+",
        r"▁?[\p{P}\p{S}&&[^▁]]|▁?[\p{Han}\p{Hiragana}\p{Katakana}]",
        r"▁?<(?=0x[0-9A-F]{2}>|/?s>|pad>)",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r" {2,}", r"[^\w\s▁]", r"\d", "", "a|", r"(?i:'s|'t)?x", r"[[:alpha:]]+", *USED, "a*a*", "x*a+",
    ],
)  # fmt: skip
def test_patterns_that_tokenizers_have(text):
    assert pattern.judged(text).wrong == ""


@pytest.mark.parametrize(
    "text",
    [
        "(x+x+)+y", "(a|a)*b", "(a*)*", "(a?){40}", "a*a*b", r"\s*\s*x", "(a{1,64}){1,64}", "a{0,64}a{0,64}a{0,64}b",
        "a?" * 13 + "b", "(a|b)" * 13, "a?" * 5 + "a+b", "[a-z. ]?" * 12 + "[a-z. ]+[12]", "a*a+$", r"a*a+\b", "a*a+(?!b)",
        "a*a*a+", "(a*a*)c", "(a+)(a*)b?c", "(a*a+(?=b))?", "a+(?=a+b)", "a+a{2,}b", "(a+|b)(a+|c)x",
        "x*x*y{,}", "x*x*y{}", "x*x*y{,3}",
        "a{0,64}+", "a{1000}", r"(a)\1", r"(?<=a+)b", "(?>a)", r"\k<x>", "(?<n>a)", "(?<n>a\\g<n>)",
        "(", ")", "[", "a**", "*", "((((((a))))))", "[[[[[[a]]]]]]", "(?x: a)", "(?#", "\\", "\\p{", "a{2",
    ],
)  # fmt: skip
def test_patterns_that_may_take_for_ever_or_are_none(text):
    assert pattern.judged(text).wrong


def test_every_pattern_that_is_taken_comes_to_an_end():
    """The slowest kind that is accepted, on a line of 20,000 spaces."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    found = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    for text in (r"\s+x", r"a?a?a?a?\s+x", r"(\s?)\s?\s+[xy]", *USED):
        assert pattern.judged(text).wrong == ""
        found.pre_tokenizer = pre_tokenizers.Split(Regex(text), "isolated")
        start = time.perf_counter()
        found.encode("a" + " " * 20_000)
        assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("text", "thin"),
    [
        ("", True), ("a", False), ("a?", True), ("a*", True), ("a+", False), ("a{0,2}", True), ("a{,2}", True),
        ("a{1,2}", False), ("^", True), ("$", True), (r"\b", True), ("(?=a)", True), ("(?!a)a", False), ("a|", True),
        ("(a|b?)", True), ("^a", False), (r"\s+(?!\S)|\s+", False), ("[^a]", False), (r"\^", False),
    ],
)  # fmt: skip
def test_what_may_match_between_two_characters(text, thin):
    assert pattern.judged(text).thin is thin
