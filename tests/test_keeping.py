"""What comes through a translation as it is: found, hidden behind sentinels, and put back."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_translator

from textkit.errors import UsageError
from textkit.searching.options import Search
from textkit.tasks.translate.serving.doubts import (
    copied,
    doubled_numbers,
    loops,
    lost_names,
    lost_numbers,
    short,
    without_echoes,
)
from textkit.tasks.translate.serving.guarding import Guard
from textkit.tasks.translate.serving.keeping import Keeper, glossary_of, patterns_of, put_back, quiet, shouts
from textkit.tasks.translate.serving.segments import Segment, SegmentMaker
from textkit.tasks.translate.serving.translations import Translation
from textkit.tasks.translate.serving.translator import Translator
from textkit.text.cleaning import visible_lines
from textkit.text.compiled import compiled
from textkit.text.preserved.framing import cells
from textkit.text.preserved.keeping import kept, reads_latin_alone, words_with
from textkit.text.preserved.numerals import in_digits, numbers, on_24_hours, with_colons, written
from textkit.text.preserved.patterns import SIGNS
from textkit.text.preserved.sentinels import apart, as_close, renumbered, replaced, restored, sentinel
from textkit.text.preserved.sentinels import numbers as sentinels_of
from textkit.text.translation import SPACE, TranslationText

S0, S1, S2 = map(sentinel, range(3))
UUID = "550e8400-e29b-41d4-a716-446655440000"
PHONES = ["030/123456", "(030) 12 34 56", "+49 (0)30 123", "0171 1234567", "(555) 123-4567"]
FLAG, FAMILY = "\U0001f1e9\U0001f1ea", "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See https://example.org/a?b=c&d, now.", ["https://example.org/a?b=c&d"]),
        ("(http://example.org/x_(y)).", ["http://example.org/x_(y)"]),
        ("Mail joe.doe+x@mail.example.com.", ["joe.doe+x@mail.example.com"]),
        ("Open README.md, /etc/passwd or ~/notes.txt!", ["README.md", "/etc/passwd", "~/notes.txt"]),
        ("<b>Hello</b> {0}, %s and $NAME, ${HOME}.", ["<b>", "</b>", "{0}", "%s", "$NAME", "${HOME}"]),
        ("50% off, 5 % sure, $5 and 3 < 4 > 2", []),
        ("I love it \U0001f600\U0001f44d\U0001f3fd #winning @joe", ["\U0001f600", "\U0001f44d\U0001f3fd", "#winning", "@joe"]),
        (f"{FLAG} und {FAMILY}", [FLAG, FAMILY]),
        ("^_^ Hi, I love you <3 :-)", ["^_^", ":-)"]),
        ("a -> b --- c | d", ["->", "---"]),
        ("|---|---|", ["|---|---|"]),
        ('He is "well"... (really?!) and "left".', []),
        ("2 \u00bd cups, \u215b mile", ["\u00bd", "\u215b"]),
        ("Version 1.2.3 of AB-1234", ["1.2.3", "AB-1234"]),
        ("I typed <s0>.", ["<s0>"]),
        ("well-known e.g. this and/or that, i.e. 3:30 p.m. a.m. U.S. Ph.D. 9/11 O'Neill's", []),
        ("my_var and print() and `a b`", ["my_var", "print()", "`a b`"]),
        ("C:\\Users\\me\\a.txt; done.", ["C:\\Users\\me\\a.txt"]),
        ("Call +49 30 123456 or 555-123-4567", ["+49 30 123456", "555-123-4567"]),
        (f"a {S2} b", [S2]),
        ("", []),
        ("Run ``a ` b`` or `c`; ```python", ["``a ` b``", "`c`", "```python"]),
        ("$E=mc^2$, $x$ and \\frac{a}{b}, but $5 and $6", ["$E=mc^2$", "$x$", "\\frac{a}{b}"]),
        ("HTTP://EXAMPLE.COM, s3://b/k. tel:+49301", ["HTTP://EXAMPLE.COM", "s3://b/k", "tel:+49301"]),
        ("**https://a.example/x**", ["**", "https://a.example/x", "**"]),
        ("joe@localhost, git@github.com:a/b.git.", ["joe@localhost", "git@github.com:a/b.git"]),
        ("Example.com, example.com:80 or t.me/x.", ["Example.com", "example.com:80", "t.me/x"]),
        ("He left.Then Mr.Smith came.", []),
        ("<%= x %> <?php y ?> <!-- a b --> &#x20AC; AT&T", ["<%= x %>", "<?php y ?>", "<!-- a b -->", "&#x20AC;", "AT&T"]),
        ("[a b](http://x.y/z_(w)) ![c](d.png) [1] [sic]", ["[", "](http://x.y/z_(w))", "![", "](d.png)", "[1]"]),
        ("**b** and *i i* ~~s~~, 2 * 3, 2*3*4 and x*", ["**", "**", "*", "*", "~~", "~~", "*"]),
        ("{% if x %} {0:>5} {a[0]!r} %{n} #{n} {{ y }}", ["{% if x %}", "{0:>5}", "{a[0]!r}", "%{n}", "#{n}", "{{ y }}"]),
        ("{n, plural, one {# a} other {# b}} left", ["{n, plural, one {# a} other {# b}}"]),
        ("%zu %5.2f %(a.b)d %-10s %dx%d %dms %@ 50%off 5 % a", ["%zu", "%5.2f", "%(a.b)d", "%-10s", "%d", "%d", "%d", "%@"]),
        ("hi :smile: at 10:30:45 :+1:", [":smile:", ":+1:"]),
        ("--a=b/c.txt /usr/bin. src/x.py, ../y.", ["--a=b/c.txt", "/usr/bin", "src/x.py", "../y"]),
        ("C:\\Program Files\\x.txt, \\\\srv\\d e CORP\\joe", ["C:\\Program Files\\x.txt", "\\\\srv\\d", "CORP\\joe"]),
        ("Hello\\nWorld \\\"x\\\" \\alpha", ["\\n", '\\"', '\\"', "\\alpha"]),
        ("PHOTO.JPG and .gitignore", ["PHOTO.JPG", ".gitignore"]),
        ("#a-b #42 @a.b @u@m.social.", ["#a-b", "#42", "@a.b", "@u@m.social"]),
        ("a.b(c) X::y f() iPhone 5 and the item(s)", ["a.b(c)", "X::y", "f()", "iPhone"]),
        ("Ctrl+C in C++ or C#, iOS 17.2, k=v", ["Ctrl+C", "C++", "C#", "17.2", "k=v"]),
        ("2024-03-01T12:30:00Z 2024-03-01, 3-5, 1990-1995", ["2024-03-01T12:30:00Z", "2024-03-01"]),
        (f"{UUID} 00:1A:2B:3C:4D:5E", [UUID, "00:1A:2B:3C:4D:5E"]),
        ("10.0.0.1:80 10.0.0.0/8 ::1 2001:db8::1 12:30:45", ["10.0.0.1:80", "10.0.0.0/8", "::1", "2001:db8::1"]),
        ("1.2.3-rc1 v2.0, 1.000.000, 83.000.000,5 and 3.5", ["1.2.3-rc1", "v2.0"]),
        ("DE89 3704 0044 0532 0130 00. 1e-3 0xFF 10x20", ["DE89 3704 0044 0532 0130 00", "1e-3", "0xFF", "10x20"]),
        ("BA2490 a3f5c9e hunter2 1990s 100prozentig 20kg 2.20kg B12", ["BA2490", "a3f5c9e", "hunter2"]),
        (", ".join(PHONES), PHONES),
        ("978-3-16-148410-0 2\u00bd 5,- :) ;-)", ["978-3-16-148410-0", "2\u00bd", "5,-", ":)", ";-)"]),
        ("$ make x     # that makes x", ["$ make x"]),
        (">>> print(1)", [">>> print(1)"]),
        ("$ 5 or $ x", []),
        ("a(2).docx, DOI:10.1000/182, Ctrl-C and F-16", ["a(2).docx", "DOI:10.1000/182", "Ctrl-C", "F-16"]),
        ("if (x > 5) { return 1; }", ["if (x > 5) { return 1; }"]),
        ("x = a + b;", ["x = a + b;"]),
        ('print("Hi", 5)', ['print("Hi", 5)']),
        ("SELECT a FROM b WHERE c = 5", ["SELECT a FROM b WHERE c = 5"]),
        ("He came (late); a = b and if (x) so", []),
        ("Section 2.1, Python 3.11, Fig. 3.2, Table 4", ["2.1", "3.11", "3.2"]),
        ("Tom 1.75 m, section 2.1%", []),
        ("USD 5 or 5 EUR, I/O, and/or AND/OR, 5' 11\", \u20ac5,-", ["USD", "EUR", "I/O", "5' 11\"", "\u20ac5,-"]),
        ("h\u0337e\u0337y re\u0301sume\u0301", ["h\u0337e\u0337y"]),
        ("5/6/2024 US$5 C$10 $5", ["5/6/2024", "US$", "C$"]),
        ("<code>a b</code> <b>c</b> Hello%20World 1 234 567,89", ["<code>a b</code>", "<b>", "</b>", "Hello%20World"]),
        ("%d%% left", ["%d", "%%"]),
        ("(as below:) and 24/7, 08.45 and 0.5", []),
    ],
)  # fmt: skip
def test_what_is_kept(text: str, found: list[str]):
    assert [text[begin:end] for begin, end in kept(text)] == found


ABRAHAM, TEL_AVIV = "\u05d0\u05d1\u05e8\u05d4\u05dd", "\u05ea\u05dc \u05d0\u05d1\u05d9\u05d1"
RUSSIAN = "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430"
CHINESE, KOREAN = "\u4f60\u597d,\u4e16\u754c", "\uc138\uacc4"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Ask {ABRAHAM} in {TEL_AVIV} now", [ABRAHAM, TEL_AVIV]),
        (f"{RUSSIAN}? Hi.", [RUSSIAN]),
        (f"{CHINESE} and {KOREAN}", [CHINESE, KOREAN]),
        ("na\u00efve \u0110\u00e0 N\u1eb5ng, \u0130stanbul, \ufb01ne, 5 \u00b5m", []),
        (
            f"a \u03b2-test of {RUSSIAN[:6]}-{RUSSIAN[:3]} at www.example.com",
            ["\u03b2", f"{RUSSIAN[:6]}-{RUSSIAN[:3]}", "www.example.com"],
        ),
    ],
)
def test_other_scripts_are_kept(text: str, found: list[str]):
    assert [text[begin:end] for begin, end in kept(text, (), reads_latin_alone("en", "de"))] == found


def test_a_script_is_other_only_where_both_languages_are_known_to_be_written_in_latin():
    assert not any((reads_latin_alone("en", "sr-Latn"), reads_latin_alone("en", "ru"), reads_latin_alone("", "de")))
    assert not reads_latin_alone()
    assert reads_latin_alone("tr", "vi")


@pytest.mark.parametrize(
    "text",
    [
        "0" * 5000 + "x", "a" * 20_000 + "@", "a-" * 10_000 + "\u00bd", "`a" * 5000, "{" * 5000, "<!--" * 1000, "$a " * 3000,
        "%(" * 5000, "/a" * 8000 + "!", "a." * 8000, "1-" * 8000, "[a](" * 3000, "\\a" * 5000, ":" * 10_000, "*a" * 5000,
        "C:\\a b " * 2000,
        "{a, plural, " * 1000, "a=" * 5000, "[" * 10_000, "12 " * 5000, "+1 (" * 4000, "#" * 10_000, "A&" * 8000,
        "f:" * 9000, "1." * 9000, "1" * 20_000 + "\u00bd",
        "01-" * 6000 + "!", "1--" * 20_000,
    ],
    ids=lambda text: ascii(text[:6]),
)  # fmt: skip
def test_what_is_kept_is_found_in_linear_time(text: str):
    """Each takes some milliseconds; steps that grew with the square would take minutes."""
    begun = time.process_time()
    kept(text)
    list(numbers(text, "en"))
    assert time.process_time() - begun < 3


def test_a_line_of_sentinels_is_cut_in_linear_time():
    rule = SimpleNamespace(sentinels=2, source_language="de", target_language="en")
    maker = SegmentMaker(rule, 12, False, True, True)
    begun = time.process_time()
    pieces = [*maker._parts(f"{S0} a{S0}{S1} " * 20_000, True)]
    assert [part.text for part, _ in pieces[:3]] == [S0, f"a{S0}{S1}", S0]
    assert "".join(part.text + part.space for part, _ in pieces).count(" ") == 40_000 - 1
    assert time.process_time() - begun < 3


def test_marks_between_many_cells_are_found_in_linear_time():
    begun = time.process_time()
    text, spans = Keeper().hidden("| joe@a.example " * 8000)
    assert (text, spans) == ("".join(f"| {sentinel(at)} " for at in range(8000)), ["joe@a.example"] * 8000)
    assert time.process_time() - begun < 3


# What text has that may have to be kept. SIGNS says the same, but begins with one set of characters.
SIGN = re.compile(
    r"[@#/\\<{$%&_`*\[=\ufe0f\u20e3\u00a9\u00ae\u00bc-\u00be\u203c-\u3299\U0001f000-\U0001faff\U000f0000-\U000fffff]"
    r"|\.\w|\(\)|\d[ -]\(?\d|\w-\w*\d|\d-\w|[A-Za-z]\d|\d[A-Za-z]|\d[,.][\u2013\u2014]|(?<!\w)-[-A-Za-z]|\d['\u2032]"
    r"|[A-Z]{3}[ \u00a0]\d|\d[ \u00a0][A-Z]{3}|\w\([^)]|[\u0334-\u0338]|[\u0300-\u036f]{3}"
    r"|:[^\s\w]|:\w+:|\w\+\w|[a-z][A-Z]|[!-/:-@\[-`{-~][~^*=|+>\\-]|[~^*=|+>\\-][!-/:-@\[-`{-~]"
)


def test_what_may_have_to_be_kept_is_seen_quickly():
    random = np.random.default_rng(5)
    ordinary = [*"aZbY1 .-(:)~^|>+\n,'\u2013\u00a0\"]\u00e9\u0300\u0335\u0663"]
    rare = [*"@\\{*_\ufe0f\u00bd\u2192\U0001f600\U000f0000"]
    made = ["".join(random.choice(ordinary, random.integers(8))) for _ in range(20_000)]
    texts = [*made, *(text + sign for text in made[:50] for sign in rare)]
    seen = [SIGN.search(text) is not None for text in texts]
    assert [SIGNS.search(text) is not None for text in texts] == seen
    assert 0.2 < np.mean(seen) < 0.8


def test_a_plain_line_compiles_no_pattern():
    compiled.cache_clear()
    line, found = "The cat sees a dog.", "Die Katze sieht einen Hund."
    assert (Keeper().hidden(line), cells(line), apart(line), as_close(found, line)) == (
        (line, []),
        [(line, "")],
        line,
        found,
    )
    assert [*lost_numbers(found, line, "de", "en"), *lost_names(found, line, "en")] == []
    assert compiled.cache_info().currsize == 0
    assert [one.value for one in lost_numbers(found, f"{line} 17", "de", "en")] == ["17"]
    assert compiled.cache_info().currsize > 0


def test_a_users_pattern_is_one_with_what_it_overlaps():
    text = "Order 12 of README.md"
    own = [re.compile(r"Order \d+"), re.compile(r"of README")]
    assert [text[begin:end] for begin, end in kept(text, own)] == ["Order 12", "of README.md"]
    text = "https://cat.example/cat and a black cat"
    own = [re.compile("cat"), re.compile("black c"), re.compile("k cat")]
    assert [text[begin:end] for begin, end in kept(text, own)] == ["https://cat.example/cat", "black cat"]
    assert kept("abc", [re.compile("x*")]) == []  # an empty match is no span
    assert kept("abc", [re.compile(".*")]) == [(0, 3)]


def test_sentinels_stand_for_spans():
    assert replaced("see A and B", [(4, 5), (10, 11)]) == f"see {S0} and {S1}"
    assert restored(f"{S1} und {S0}", ["A", "B"]) == "B und A"
    assert restored(f"{S0}{S0}{S2}", ["A"]) == "A"
    assert renumbered(f"{S2} {S0}") == (f"{S0} {S1}", [2, 0])
    assert sentinels_of(f"x{S1}y{S0}") == [1, 0]
    with pytest.raises(ValueError, match="no sentinel"):
        sentinel(-1)


def test_sentinels_stand_apart_from_words_for_the_model_and_as_close_as_before_for_people():
    source = f"You must {S0}not{S1} eat, {S2}"
    assert apart(source) == f"You must {S0} not {S1} eat, {S2}"
    assert as_close(f"Du darfst {S0} nicht {S1} essen , {S2}", source) == f"Du darfst {S0}nicht{S1} essen, {S2}"
    assert apart(f"the {S0}st, {S1}s, ({S2}).") == f"the {S0}st, {S1}s, ({S2})."  # 21st and 1990s are read as they are
    assert apart("none") == "none"
    assert as_close(f"die Datei{S0}und", f"the {S0} and") == f"die Datei {S0} und"
    assert as_close(f"Hallo{S0}.", f"Hi,{S0}.") == f"Hallo{S0}."
    assert as_close(f"a  {S0} .", f"a  {S0} .") == f"a  {S0} ."
    assert as_close("nothing  here", "nothing") == "nothing  here"
    assert as_close(f"{S0}{S1}({S2}", f"{S0} (so); {S1}, ({S2})") == f"{S0} {S1}({S2}"
    assert as_close(f"({S1}{S0})", f"({S0}/{S1})") == f"({S1} {S0})"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("- cat", [("", "- "), ("cat", "")]),
        ("> - [x] # b) cat", [("", "> - [x] # b) "), ("cat", "")]),
        ("(iv) cat | dog", [("", "(iv) "), ("cat", " | "), ("dog", "")]),
        ("| a b || c |", [("", "| "), ("a b", " || "), ("c", " |"), ("", "")]),
        ("a\t\tb   c  d", [("a", "\t\t"), ("b", "   "), ("c  d", "")]),
        ("1. Mai, -5 and a|b", [("1. Mai, -5 and a|b", "")]),
        ("-", [("-", "")]),
        ("", [("", "")]),
        ("#tag --flag", [("#tag --flag", "")]),
    ],
)
def test_what_frames_a_line(line: str, found: list[tuple[str, str]]):
    assert cells(line) == found
    assert "".join(text + behind for text, behind in found) == line


@pytest.mark.parametrize(
    ("line", "language", "head"),
    [
        ("1. Wash the cup", "en", "1. "),
        ("- 12.  Wash the cup", "en", "- 12.  "),
        ("3. May I come in?", "en", "3. "),
        ("1. Wash the cup", "", ""),
        ("1. 2 cups", "en", ""),
        ("1.5 litres", "en", ""),
        ("2019. A year", "en", ""),
        ("2. Tassen spülen", "de", "2. "),
        ("2. tassen spülen", "de", "2. "),
        ("3. Die Tasse", "de", "3. "),
        ("3. Mai", "de", ""),
        ("3. Maikäfer fangen", "de", "3. "),
        ("2. Weltkrieg", "de", ""),
        ("1. Platz für Ana", "de", ""),
        ("20. JAHRHUNDERT", "de", ""),
        ("2. mand", "da", ""),
        ("2. Lavez la tasse", "fr", "2. "),
    ],
)
def test_numbers_that_mark_a_list(line: str, language: str, head: str):
    """A number with a point may be an ordinal in German, and is one before what is counted."""
    assert cells(line, language) == ([("", head), (line[len(head) :], "")] if head else [(line, "")])


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("at 8 p.m. on Monday, at 8 p.m.", "at 20:00 on Monday, at 20:00."),
        ("8-9 pm, 9-5 pm, from 3:30 to 4.15 PM", "20:00-21:00, 9:00-17:00, from 15:30 to 16:15"),
        ("11 am to 1 pm, 12 am and 12pm, 9am-5pm", "11:00 to 13:00, 0:00 and 12:00, 9:00-17:00"),
        ("I am, 8 pms, 18 pm, $8 pm, 3.8 pm, 8 pm's", "I am, 8 pms, 18 pm, $8 pm, 3.8 pm, 8 pm's"),
    ],
)
def test_times_of_twelve_hours_become_times_of_24(text: str, right: str):
    assert on_24_hours(text) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Der Zug fährt um halb acht ab.", "Der Zug fährt um 7:30 Uhr ab."),
        ("Es ist halb eins, nicht halb 2.", "Es ist 12:30 Uhr, nicht 1:30 Uhr."),
        ("HALB ZWÖLF UHR", "11:30 Uhr"),
        ("Fünf vor halb drei, zehn Minuten nach halb zehn", "2:25 Uhr, 9:40 Uhr"),
        ("um viertel acht, gegen dreiviertel acht, ab drei viertel eins", "um 7:15 Uhr, gegen 7:45 Uhr, ab 12:45 Uhr"),
        ("Viertel vor sechs, halb achtzig, halb so viel", "Viertel vor sechs, halb achtzig, halb so viel"),
        ("halb 8,5 und halb 1.000; halb eins mit sich", "halb 8,5 und halb 1.000; halb eins mit sich"),
        (
            "deshalb acht, weshalb 2, im Viertel 12, drei viertel 3",
            "deshalb acht, weshalb 2, im Viertel 12, drei viertel 3",
        ),
    ],
)
def test_german_times_that_name_the_next_hour_get_digits(text: str, right: str):
    assert in_digits(text, "de") == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Meet me at half eight.", "Meet me at 8:30."),
        ("from half one until Half Twelve tomorrow", "from 1:30 until 12:30 tomorrow"),
        ("at half past eight, about half one percent", "at 8:30, about half one percent"),
        ("Half past nine is too late.", "9:30 is too late."),
        ("half-past 12, half past 7 p.m.", "12:30, 7:30 p.m."),
        ("half past eleven o'clock today", "11:30 today"),
        ("half past the hour, half past seventy", "half past the hour, half past seventy"),
        ("half past 7th Street, half past 7.5", "half past 7th Street, half past 7.5"),
        ("by half two and half three people, half nine", "by half two and half three people, half nine"),
    ],
)
def test_english_times_of_a_half_alone_get_digits(text: str, right: str):
    assert in_digits(text, "en") == right
    assert in_digits(text, "fr") == text
    begun = time.process_time()
    in_digits("at half " * 20_000 + " " * 20_000 + "half past " * 20_000 + "half" + " " * 20_000, "en")
    in_digits("um drei viertel fünf Minuten vor halb " * 5_000 + " " * 20_000, "de")
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    ("source", "target", "lost"),
    [
        ("It is -5 outside", "Es ist 5 draussen", ["-5"]),
        ("It is \u22125 outside", "Es sind minus 5", []),
        ("5 minus 3 is 2", "5 - 3 ist 2", []),
        ("pages 3-15", "Seiten 3\u201315", []),
        ("pages 3-15", "Seiten 3 bis 15", []),
        ("at 20:00", "um 20 Uhr", []),
        ("from 2 to 3", "von zwei bis drei", []),
        ("from 2 to 3", "von 2 bis 30", ["3"]),  # it has another number instead
        ("half past 3", "halb 4", []),
        ("U.S. $5", "U.S. $", ["5"]),
        ("5,99 \u20ac", "5,99 \u20ac", []),  # as in German already
        ("1.234 m", "1.234 m", ["1.234"]),  # in German that is a thousand times as much
    ],
)
def test_which_numbers_are_lost(source: str, target: str, lost: list[str]):
    assert [one.value for one in lost_numbers(target, source, "de", "en")] == lost


@pytest.mark.parametrize(
    ("source", "target", "doubled"),
    [
        ("Between 1914 and 1918, 17 died", "Zwischen 1914 und 1918 starb 1918, 17", ["1918"]),
        ("350 of 350", "350 von 350", []),
        ("3 of 20", "3 von 3 und 20", []),  # "von drei" would be no better
        ("two", "2 2", []),
    ],
)
def test_which_numbers_are_there_too_often(source: str, target: str, doubled: list[str]):
    assert [one.value for one in doubled_numbers(target, source, "de", "en")] == doubled


def test_short_codes_are_lost_like_foreign_names():
    assert [one.value for one in lost_names("K\u00f6nig", "CO2 of Louis XIV, B12, 21st, I", "en")] == [
        "CO2",
        "XIV",
        "B12",
    ]
    assert [one.value for one in lost_names("H1N1N", "H1N1", "en")] == ["H1N1"]
    assert lost_names("CO2 von Ludwig XIV.", "CO2 of Louis XIV", "en") == []


@pytest.mark.parametrize(
    ("text", "language", "values"),
    [
        ("19.99 or 1,234.5 in 2019", "en", ["19.99", "1234.5", "2019"]),
        ("19,99 oder 1.234,5 in 2019", "de", ["19.99", "1234.5", "2019"]),
        ("1 000 000 and 10\u00a0000", "fr", ["1", "000", "000", "10000"]),
        ("at 15:30 on 24.12.2019", "de", ["15:30", "24:12:2019"]),
        ("15.30 Uhr", "de", ["15:30"]),
        ("-5 and +3 and \u22122 or minus 7", "en", ["-5", "3", "-2", "-7"]),
        ("5 - 3, 3-5, 3\u20135 and 1990-1995", "en", ["5", "3", "3", "5", "3", "5", "1990", "1995"]),
        ("2024-03-01, F-16, Nr.5", "en", ["2024:03:01", "16", "5"]),
        ("$.50, .5 and 3 1/2", "en", ["0.50", "0.5", "3:1:2"]),
        ("8.45 pm, 8 p.m., 12am, 13 pm", "en", ["20:45", "20", "0", "13"]),
        ("CHF 1'000.50 und 1'000", "de", ["1000.50", "1000"]),
        ("1,00 is odd", "en", ["1,00"]),
        ("\u0663\u0664", "ar", ["34"]),
        ("B2B, x3, v2", "en", []),
        ("no numbers", "en", []),
    ],
)
def test_what_numbers_are_worth(text: str, language: str, values: list[str]):
    assert [number.value for number in numbers(text, language)] == values


def test_how_numbers_are_written():
    assert written("1234.5", "de", True) == "1.234,5"
    assert written("1234.5", "en", True) == "1,234.5"
    assert written("1234567", "en", True) == "1,234,567"
    assert written("123", "de", True) == "123"
    assert written("1999", "de", False) == "1999"


def test_doubts():
    assert loops("Hallo Hallo Hallo.", "hello")
    assert loops("Hallo, Hallo!", "hello")
    assert not loops("Tschüss, tschüss!", "bye bye")
    assert loops("SMS-AOOOOOOOOO", "I LOVE THIS SONG")
    assert loops("ich bin ein Mann ich bin ein Mann", "I am a man")
    assert not loops("Ja ja, ja ja.", "Yes yes, yes yes.")
    assert not loops("sehr sehr sehr gut", "very very very good")
    assert not loops("Schifffahrt 1000000000 !!!!!!!!!!", "navigation")
    assert not loops("", "")
    assert short("Ja.", "one two three four five six seven eight nine ten")
    assert not short("Ja.", "Yes.")
    assert copied("this is it", "this is it")
    assert not copied("Barack Obama", "Barack Obama")
    assert [one.value for one in lost_numbers("1999 und 3,5", "19.99, 3.5 and 2 more in 40", "de", "en")] == [
        "19.99",
        "40",
    ]
    assert lost_numbers("Um 15.30 Uhr", "At 15:30", "de", "en") == []


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("STOP IT!", "Stop it!"),
        ("HELLO", "Hello"),
        ("\u00bfD\u00d3NDE EST\u00c1?", "\u00bfD\u00f3nde est\u00e1?"),
        ("19 \u0414\u0410 \u041d\u0415\u0422", "19 \u0414\u0430 \u043d\u0435\u0442"),
    ],
)
def test_capitals_are_read_as_small_letters(text: str, read: str):
    assert shouts(text)
    assert quiet(text) == read


@pytest.mark.parametrize(
    "text", ["USA", "Stop IT", "stop", "19.99", "", "A B", "\u4f60\u597d\u4f60\u597d\u4f60", "NATO 4"]
)
def test_what_is_not_in_capitals(text: str):
    assert not shouts(text)


def test_what_is_lost_is_put_back():
    def back(text: str, source: str) -> tuple[str, tuple[str, ...]]:
        found = put_back(Translation(text), source, ["A", "B"])
        return found.text, found.doubts

    assert back(f"sieh {S1} und {S0}", f"see {S0} and {S1}") == ("sieh B und A", ())
    assert back("sieh hier.", f"look here {S0}.") == ("sieh hier A.", ("kept",))
    assert back("sieh hier", f"{S0} look here") == ("A sieh hier", ("kept",))
    assert back("ein zwei drei vier", f"one {S0} two three four") == ("ein A zwei drei vier", ("kept",))
    assert back("", f"a {S0}") == (" A", ("kept",))


def test_patterns_and_glossaries():
    assert patterns_of(["a+"])[0].pattern == "a+"
    with pytest.raises(UsageError, match=r"^--keep '\(': is no regular expression"):
        patterns_of(["("])
    assert glossary_of(["# note", "", "cat\tMieze", "cat\tMieze"], "g") == {"cat": "Mieze"}
    with pytest.raises(UsageError, match="^g, line 1: is not term<tab>translation"):
        glossary_of(["cat"], "g")
    with pytest.raises(UsageError, match="^g, line 2: 'cat' has another translation already"):
        glossary_of(["cat\tMieze", "cat\tKater"], "g")
    with pytest.raises(UsageError, match="^--keep '': is empty"):
        patterns_of([""])
    streets = Keeper(glossary={"Straße": "street", "black  cat": "X", "COVID-19": "Y"})
    of_streets = "eine STRASSE, die strasse, Straßen, black cat, Black\u00a0Cat, covid-19"
    assert streets.hidden(of_streets)[1] == ["street", "street", "X", "X", "Y"]
    assert Keeper(glossary={"cat": "Mieze"}).hidden("https://cat.example #cat the cat")[1] == [
        "https://cat.example",
        "#cat",
        "Mieze",
    ]
    keeper = Keeper(glossary={"cat": "Mieze", "black cat": "Rappe"})
    assert keeper.hidden("A Black Cat and a cat, no cats") == (f"A {S0} and a {S1}, no cats", ["Rappe", "Mieze"])


@pytest.mark.parametrize(
    ("characters", "text", "found"),
    [
        ("\u0160", "\u0160koda's new car", ["\u0160koda's"]),
        ("\u0159", "Antonín-Dvo\u0159ák-Platz, 'Dvo\u0159ák'", ["Antonín-Dvo\u0159ák-Platz", "Dvo\u0159ák"]),
        ("[]*", "[sic] and **never**", ["[", "]", "**", "**"]),
        ("\u00b5*", "5 \u00b5g*\u00b5", ["\u00b5g", "*", "\u00b5"]),
        ("\ufffd", "\ufffd\ufffdbroken", ["\ufffd\ufffd"]),
        ("\u2022", "\u2022 first", ["\u2022"]),
        ("^-]", "a]b^c-d", ["]", "^", "-"]),
    ],
)
def test_words_with_characters_that_a_model_cannot_read(characters: str, text: str, found: list[str]):
    assert [text[begin:end] for begin, end in words_with(characters, text)] == found
    assert [text[begin:end] for begin, end in kept(text, unread=characters)] == found


@pytest.mark.parametrize(
    ("text", "count"),
    [("\u0161-a'" * 20_000, 1), ("a-" * 50_000 + "\u0161", 1), ("\u0161*" * 50_000, 100_000), ("a" * 100_000, 0)],
    ids=["chain", "end", "many", "none"],
)
def test_long_words_are_walked_through_once(text: str, count: int):
    """Steps that grew with the square of a word's length would take an hour here."""
    assert len(words_with("\u0161*", text)) == count


# --- a translator that has learnt to copy ------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The translator of small_translator.py with three sentinels, and with numbers that it gets wrong."""
    words = {**small_translator.WORDS, SPACE: (SPACE, "."), f"{SPACE}19": (f"{SPACE}91", f"{SPACE}20")}
    words |= {one: (one, ".") for one in (S0, S1, S2)}

    def pieces(each: list[str], special: list[str]) -> list[str]:
        return [*special, *dict.fromkeys(word if not word.isalpha() else SPACE + word for word in each)]

    monkeypatch.setattr(small_translator, "WORDS", words | {word: words[word] for word in words})
    monkeypatch.setattr(small_translator, "SOURCE", pieces(list(words), small_translator.SPECIAL))
    both = [word for pair in words.values() for word in pair]
    monkeypatch.setattr(small_translator, "TARGET", pieces(both, small_translator.SPECIAL))
    rule = TranslationText(
        small_translator.tokenizer(small_translator.SOURCE, True), small_translator.tokenizer(small_translator.TARGET, False),
        start=1, eos=2, pad=0, unk=3, source_language="en", target_language="de", sentinels=3,
    )  # fmt: skip
    table = small_translator.table()
    for at, piece in enumerate(small_translator.SOURCE):
        if piece in words and piece.startswith(SPACE):  # `table` looks up words without their space
            for value, word in zip((3, 2), words[piece], strict=True):
                table[at, small_translator.TARGET.index(word)] = value
    monkeypatch.setattr(small_translator, "table", lambda: table)
    return small_translator.write_translator(tmp_path / "keeping", rule=rule)


def test_characters_that_no_piece_holds_are_kept_with_their_words(model: Path):
    rule = Translator(model).rule
    assert rule.unread("the dog sees the DOG.") == ""  # a piece holds them in small letters
    assert rule.unread("the \u0160og* \u0160\ufffd") == "*\u0160\ufffd"
    assert rule.unread("a\u0300 \u3000\t") == ""  # no words of their own: a combining accent, blanks
    assert (
        rule.readable("the \u2019\u201d\u2212dog") == "the \u2019\u201d\u2212dog"
    )  # it cannot read what they are like, either
    translate = Translator(model)
    assert translate(["the dog sees \u0160koda."]) == ["der Hund sieht \u0160koda."]


def test_lines_are_hidden_together_as_one_by_one(model: Path):
    rule, keeper = TranslationText.__new__(TranslationText), Keeper()
    rule.__dict__ |= Translator(model).rule.__dict__ | {"source_language": "de"}
    of_numbers = "the dog um 8:45 Uhr"  # characters that the source does not hold
    lines = [
        "the dog sees.",
        of_numbers,
        "the \u0160koda sees",
        "the \u2019dog\u201d",
        "<b>dog</b> \U0001f600",
        "",
        "THE DOG",
    ]
    for some in (lines, lines[:2], lines[3:], lines[:1]):
        alone = [keeper.all_hidden([line], rule, True) for line in some]
        assert keeper.all_hidden(some, rule, True) == tuple(
            [part[0] for part in parts] for parts in zip(*alone, strict=True)
        )
    hidden, spans, _ = keeper.all_hidden([of_numbers], rule, True)
    assert (hidden, spans) == ([f"the dog um {S0} Uhr"], [["8:45"]])


def test_kept_spans_come_through(model: Path):
    translate = Translator(model)
    assert translate(["the dog sees https://a.example/x."]) == ["der Hund sieht https://a.example/x."]
    assert translate(["the \U0001f600 dog \U0001f44d"]) == ["der \U0001f600 Hund \U0001f44d"]
    assert translate(["https://a.example/x \U0001f600!"]) == ["https://a.example/x \U0001f600!"]  # nothing to translate
    assert translate.doubtful == 0
    assert translate([f"the {S2}"]) == [f"der {S2}"]  # a person's own sentinel is kept like anything else
    many = " ".join(f"<b{number}>" for number in range(500))
    assert translate([f"the dog {many}"]) == [f"der Hund {many}"]


def test_tags_within_words_and_what_frames_them(model: Path):
    translate = Translator(model)
    assert translate(["the <b>dog</b> sees **the** cat"]) == ["der <b>Hund</b> sieht **der** Katze"]
    assert translate(["{0}{1} the"]) == ["{0}{1} der"]
    assert translate(["# the dog", "- the cat | the dog", "> the\tthe"]) == [
        "# der Hund",
        "- der Katze | der Hund",
        "> der\tder",
    ]
    assert translate(["?!", "...", "- -", "*"]) == ["?!", "...", "- -", "*"]


def test_pictures_keep_their_look(model: Path):
    text = "\u2764\ufe0f 5\ufe0f\u20e3 \U0001f3f4\U000e0067\U000e0062\U000e007f \u2764\ufe0f\u200d\U0001f525"
    assert visible_lines([text, "a\ufe0fb\u200b"]) == [text, "ab"]
    with_rule = Translator(model)
    with_rule.rule.clean = True
    assert with_rule([f"the dog {text}"]) == [f"der Hund {text}"]


def test_what_has_no_letter_needs_no_model(model: Path):
    translate = Translator(model)
    assert translate(["?", "\u2014", "?!..."]) == ["?", "\u2014", "?!..."]
    assert translate.translate(["?"])[0][0].doubts == ()
    maker = SegmentMaker(translate.rule, 12, False, True, True)
    lines = ["1,234.5", "-3.5 > .5", "12345", "1/2 (3.5)", "$5", "a"]
    known = [segment.known for segment in maker.make(lines, [""] * len(lines), 0)[0]]
    assert known == ["1.234,5", "-3,5 > 0,5", "12345", "1/2 (3,5)", None, None]
    assert maker.make(["5"], ["x"], 0)[0][0].known is None  # its translation has to begin in a certain way
    assert maker.make(["5$ dog\u2014cat at 8.45 pm"], [""], 0)[0][0].text == "5 $ dog \u2014 cat at 20:45"


def test_what_is_kept_keeps_marks_that_the_model_cannot_read(model: Path):
    assert Translator(model)(["the `a\u2019\u201d` dog"]) == ["der `a\u2019\u201d` Hund"]
    assert Translator(model, keep=[re.compile("\u2019x")])(["the \u2019x dog"]) == ["der \u2019x Hund"]


def test_a_number_that_was_lost_is_kept_by_force_of_a_sentinel(model: Path):
    lines = ["the 19 dog runs .", "the dog"]
    assert Translator(model, guard=False)(lines) == ["der 91 Hund läuft .", "der Hund"]
    found = Translator(model)
    assert found(lines) == ["der 19 Hund läuft .", "der Hund"]
    assert found.doubtful == 0
    assert [Translator(model)([line])[0] for line in lines] == found(lines)  # whatever stands beside it


@pytest.mark.parametrize(
    ("language", "text", "right"),
    [
        ("de", "Um 8.45 Uhr und um 17.05\u00a0Uhr.", "Um 8:45 Uhr und um 17:05\u00a0Uhr."),
        (
            "de",
            "8.45 Euro, 8.75 Uhr, 25.10 Uhr, 1.8.45 Uhr, Version 8.45",
            "8.45 Euro, 8.75 Uhr, 25.10 Uhr, 1.8.45 Uhr, Version 8.45",
        ),
        ("de", "18.45 Uhren", "18.45 Uhren"),
        ("en", "at 8.45 pm or 9.05AM or 7.30 a.m.", "at 8:45 pm or 9:05AM or 7:30 a.m."),
        ("en", "8.45 amps, 8.45 Uhr, 8.450 pm", "8.45 amps, 8.45 Uhr, 8.450 pm"),
        ("", "8.45 Uhr", "8.45 Uhr"),
    ],
)
def test_times_with_a_point_get_a_colon(language: str, text: str, right: str):
    assert with_colons(text, language) == right


def test_a_line_in_capitals_comes_back_in_capitals(model: Path):
    line = "THE DOG RUNS https://a.example/x ."
    assert Translator(model, truecase=True)([line]) == ["DER HUND L\u00c4UFT https://a.example/x ."]


def test_patterns_and_terms_of_a_user(model: Path):
    assert Translator(model, keep=[re.compile("dog")])(["the dog runs"]) == ["der dog läuft"]
    assert Translator(model, glossary={"dog": "Dackel"})(["the dog runs"]) == ["der Dackel läuft"]


def test_a_model_without_sentinels_keeps_nothing(tmp_path: Path):
    plain = small_translator.write_translator(tmp_path / "plain")
    with pytest.raises(UsageError, match="^--keep: word-by-word has not learnt to keep anything"):
        Translator(plain, keep=[re.compile("x")])
    with pytest.raises(UsageError, match="^--glossary: "):
        Translator(plain, glossary={"dog": "Dackel"})


@pytest.mark.parametrize(
    ("target", "source", "text"),
    [
        ("Der Bericht bis Freitag bis Freitag.", "the report by Friday", "Der Bericht bis Freitag."),
        ("Bis Freitag bis Freitag!", "by Friday", "Bis Freitag!"),
        ("An der Küste an der Küste an der Küste entlang", "along the coast", "An der Küste entlang"),
        ("mit E-Mail mit E-Mail", "by e-mail", "mit E-Mail"),
        ("Er redete und redete und redete.", "He talked on.", None),
        ("von Zeit zu Zeit zu Mittag", "lunch from time to time", None),
        ("eine Bucht, in der in der Dämmerung Otter spielen", "an inlet where otters play at dusk", None),
        ("Ich weiß, was das ist, was das ist.", "I know what that is.", None),  # a mark between them
        ("weiter und weiter, immer weiter", "on and on", None),
        ("gute Nacht gute Nacht", "good night good night", None),
        ("der Hund der Hunde", "the dog of dogs", None),
        ("nach drei Jahre Jahre.", "after three years", "nach drei Jahre."),
        ("Er ist ein Stück Stück größer", "He is a bit taller.", "Er ist ein Stück größer"),
        ("wenn Fliegen fliegen", "when flies fly", None),
        ("was mich mich fragen lässt", "which makes me wonder", None),
        ("Sehr sehr gut", "very, very good", None),
        ("Hand in Hand in den Park", "hand in hand to the park", None),
        ("a friend of a friend of mine", "ein Freund eines Freundes von mir", None),
        ("10 20 10 20", "10 20", None),
        ("", "", None),
    ],
)
def test_words_said_twice_at_once_are_said_once(target: str, source: str, text: str | None):
    assert without_echoes(target, source) == (target if text is None else text)


def test_the_guard_takes_out_the_second_copy():
    rule = small_translator.rule()
    segment = Segment("the dog runs home", np.array([4, 6, 10, 11, 2]), (), (0, 0))
    found = [[Translation("Der Hund läuft nach Hause nach Hause.")]]
    Guard(rule, Search(), lambda segments, options: [[Translation("der Hund")]] * len(segments))([segment], found)
    assert (found[0][0].text, found[0][0].doubts) == ("Der Hund läuft nach Hause.", ())


def test_a_loop_is_searched_again_with_repeats_barred():
    rule = small_translator.rule()
    segment = Segment("the dog runs home", np.array([4, 6, 10, 11, 2]), (), (0, 0))
    asked: list[int] = []

    def search(segments: list[Segment], options: Search) -> list[list[Translation]]:
        asked.append(options.no_repeat_ngram_size)
        return [[Translation("der Hund")]] * len(segments)

    found = [[Translation("der der der der")], [Translation("der Hund")]]
    Guard(rule, Search(), search)([segment, segment], found)
    assert asked == [3]
    assert found == [[Translation("der Hund")], [Translation("der Hund")]]

    brief = Segment("dog", np.array([6, 2]), (), (0, 0))
    found = [[Translation("Hund Hund")]]
    Guard(rule, Search(), search)([brief], found)
    assert asked == [3, 1]
    assert found == [[Translation("der Hund")]]

    def worse(segments: list[Segment], options: Search) -> list[list[Translation]]:
        return [[Translation("ein ein ein ein ein")]]

    found = [[Translation("der der der der")]]
    Guard(rule, Search(), worse)([segment], found)
    assert found == [[Translation("der der der der", doubts=("loop",))]]
