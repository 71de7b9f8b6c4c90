"""What a newcomer to textkit types: each answer is one line, and says how to go on."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from small_bundle import write_small
from small_translator import write_translator
from vector_files import FASTTEXT, PEOPLE, glove, golden

import textkit.cli
from textkit.bundle import places
from textkit.cli import command_line, own_verbs
from textkit.cli.options import Messages

TEXTKIT = str(Path(sys.executable).with_name("textkit"))


@pytest.fixture
def ran(capfd, tmp_path, monkeypatch):
    """Runs a command line in this process, in an empty folder; (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> tuple[int, str, str]:
        code = textkit.cli.run([*map(str, args)], Messages())
        sys.stdout.flush()
        return code, *capfd.readouterr()

    return run


# --- the frame: what there is ----------------------------------------------------------------------------------------


def test_a_bare_textkit_shows_the_verbs(ran):
    code, out, err = ran()
    assert (code, err) == (0, "")
    assert all(f"\n  {verb} " in out for verb in own_verbs())
    assert ran("--help") == ran("help") == (0, out, "")


@pytest.mark.parametrize("verb", own_verbs())
def test_help_of_a_verb_is_its_own(ran, verb):
    code, out, err = ran("help", verb)
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: textkit {verb} ")
    assert ran(verb, "--help") == ran(verb, "-h") == (0, out, "")


def test_help_of_what_is_no_verb(ran):
    assert ran("help", "embd") == (
        2,
        "",
        "textkit: unknown command 'embd'; did you mean 'embed'? (see 'textkit --help')\n",
    )


def test_the_version_by_its_short_name(ran):
    assert ran("-V") == ran("--version") == (0, f"textkit {textkit.version.__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["hello"], "unknown command 'hello'; did you mean 'help'? (see 'textkit --help')"),
        (["summarise"], "unknown command 'summarise' (see 'textkit --help')"),
        (["--hlep"], "no such option --hlep; did you mean '--help'? (see 'textkit --help')"),
        (["embed", "--hlep"], "no such option --hlep; did you mean '--help'? (see 'textkit embed --help')"),
        (
            ["score", "--no-normalize"],
            "score has no --no-normalize: it is an option of embed (see 'textkit score --help')",
        ),
    ],
    ids=str,
)
def test_a_slip_is_answered_in_one_line(ran, args, line):
    assert ran(*args) == (2, "", f"textkit: {line}\n")


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (
            [],
            2,
            "missing argument PLUGIN: the name of the model to train, as in: textkit train fasttext text.txt -o run",
        ),
        (["foo"], 2, "unknown plugin 'foo'; there is classifier, "),
        (["fastext", "text.txt"], 2, "unknown plugin 'fastext'; did you mean 'fasttext'?"),
        (
            ["fasttext"],
            2,
            "missing argument DATA: the files to train on, as in: textkit train fasttext text.txt -o run",
        ),
        (["fasttext", "nofile"], 1, "nofile: no such file"),
        (
            ["fasttext", "text.txt"],
            2,
            "missing option '-o': the folder of the run, as in: -o run (see 'textkit train --help')",
        ),
        (["--resume"], 2, "missing option '-o': the folder of the run, as in: -o run (see 'textkit train --help')"),
    ],
    ids=str,
)
def test_train_says_what_is_missing_first(ran, tmp_path, args, code, line):
    (tmp_path / "text.txt").write_text("x\n")
    found, out, err = ran("train", *args)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert err.startswith(f"textkit: {line}")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ["export-onnx", "nofolder"],
            "missing option '-o' / '--output', as in: textkit export-onnx run -o exported_models/mine ",
        ),
        (
            ["evaluate"],
            "missing argument 'DATA...', as in: textkit evaluate -m mine wordsim353.tsv (see 'textkit evaluate --help')",
        ),
        (["convert", "mine"], "missing argument 'OUT', as in: textkit convert en-words words.vec (see "),
        (["inspect"], "missing argument 'RUN...', as in: textkit inspect run weights (see "),
        (["translate", "-b", "x"], "invalid value for '-b' / '--beam-size': 'x' is no whole number (see "),
        (["generate", "--top-p", "x"], "invalid value for '--top-p': 'x' is no number (see "),
    ],
    ids=str,
)
def test_what_is_missing_is_shown_in_its_place(ran, args, line):
    code, out, err = ran(*args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"textkit: {line}")


# --- a text where a file is meant ------------------------------------------------------------------------------------

TEXTS = {
    "hello": "echo hello",
    "The cat sat.": "echo 'The cat sat.'",
    "costs $3.50": "echo 'costs $3.50'",
    "it's late": 'echo "it\'s late"',
    "it's $5": "echo 'it'\"'\"'s $5'",
    "ALL CAPS!": "echo 'ALL CAPS!'",
    "a\\nb": "printf '%s\\n' 'a\\nb'",
    "* ? [x] ~ #": "echo '* ? [x] ~ #'",
    "Grüße 😀": "echo 'Grüße 😀'",
    "and/or": "echo and/or",
}


@pytest.mark.parametrize("verb", ["translate", "embed", "score", "classify"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_answered_with_the_line_that_works(ran, verb, text):
    said = f"textkit: {text}: no such file; for the text itself: {TEXTS[text]} | textkit {verb}\n"
    assert ran(verb, text) == (1, "", said)


@pytest.mark.parametrize("text", [*TEXTS, "-n", "-e x"])
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_line_that_works_writes_the_text(ran, text, shell):
    """The command before the pipe, run by a shell, prints the text and a newline."""
    command = ran("embed", "--", text)[2].partition("for the text itself: ")[2].rpartition(" | ")[0]
    assert subprocess.run([shell, "-c", command], capture_output=True).stdout.decode() == text + "\n"


@pytest.mark.parametrize("model", ["en-words", "en-dee", "./nowhere"])
def test_the_line_that_works_leaves_out_a_model_that_would_not(ran, model):
    assert ran("translate", "-m", model, "hello")[2].endswith("for the text itself: echo hello | textkit translate\n")
    assert ran("embed", "-m", "en-words", "hello")[2].endswith("echo hello | textkit embed -m en-words\n")


@pytest.mark.parametrize("columns", [24, 40, 80, 100])
def test_help_keeps_its_options_whole_and_its_width(ran, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for verb in own_verbs():
        out = ran(verb, "--help")[1]
        assert columns < 80 or not re.search(r"^ *(input|format|processes) ", out, re.MULTILINE), verb  # begins with --
        if columns >= 40:
            examples = out.index("Examples")
            # An option and its choices are one word.
            words = [re.sub(r"^ +--[a-z]+ (?=\[\S+\]$)", "", line) for line in out[:examples].splitlines()]
            wide = [line for line in words if len(line) > columns and " " in line.strip()]
            assert not wide, (verb, wide)


def test_the_line_that_works_keeps_the_options(ran):
    args = ["translate", "--format", "nbest", "-n", "3", "--no-sentences", "--length-penalty", "0.6", "go home", "now"]
    way = ran(*args)[2].partition("for the text itself: ")[2].strip()
    before, _, after = way.partition(" | ")
    assert before == "echo 'go home now'"
    words = shlex.split(after)
    assert words[:2] == ["textkit", "translate"]
    assert set(words[2:]) == {"--format", "nbest", "-n", "3", "--no-sentences", "--length-penalty", "0.6"}


def test_lines_and_what_cannot_be_shown(ran):
    assert ran("embed", "a\nb")[2].endswith("for the text itself: printf '%s\\n' a b | textkit embed\n")
    for text in ("x" * 300, "a\x1b[31mb", "a\u202eb", "a\tb"):
        said = ran("embed", text)[2]
        assert said.endswith("for the text itself: echo TEXT | textkit embed\n")
        assert len(said) < 200
        assert said.rstrip("\n").isprintable()
    assert ran("embed", "")[2] == "textkit: '': no such file\n"


def test_a_slip_in_a_file_s_name_is_no_text(ran, tmp_path):
    (tmp_path / "lines.txt").write_text("x\n")
    assert ran("embed", "line.txt") == (1, "", "textkit: line.txt: no such file; did you mean 'lines.txt'?\n")
    assert ran("embed", tmp_path / "lins.txt")[2].endswith(f"; did you mean '{tmp_path}/lines.txt'?\n")
    (tmp_path / "away").symlink_to("nowhere")  # nobody means a link to nothing
    assert ran("embed", tmp_path / "away") == (1, "", f"textkit: {tmp_path}/away: no such file\n")


# --- a terminal that waits ------------------------------------------------------------------------------------------

HINT = b"textkit: reading from the terminal; Ctrl-D ends\n"


def at_a_terminal(*args: str, typed: bytes = b"") -> tuple[bytes, bytes]:
    """stdout and stderr of a filter whose stdin is a terminal where `typed` and then Ctrl-D are typed."""
    ours, theirs = pty.openpty()
    os.write(ours, typed + b"\x04")
    done = subprocess.run([TEXTKIT, *args], stdin=theirs, capture_output=True, timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("verb", ["embed", "nearest"])
def test_a_filter_at_a_terminal_says_that_it_waits(tmp_path, verb):
    write_small(tmp_path / "m")
    out, err = at_a_terminal(verb, "-m", str(tmp_path / "m"), typed=b"cat\n")
    assert err == HINT
    assert out
    assert at_a_terminal(verb, "-q", "-m", str(tmp_path / "m"), typed=b"cat\n") == (out, b"")


def test_evaluate_and_import_at_a_terminal_say_that_they_wait(tmp_path):
    write_small(tmp_path / "m")
    pairs = b"cat dog 9\ncat fish 1\n"
    out, err = at_a_terminal("evaluate", "-m", str(tmp_path / "m"), "-", typed=pairs)
    assert err == HINT
    assert out.startswith(b"similarity\t")
    assert at_a_terminal("evaluate", "-q", "-m", str(tmp_path / "m"), "-", typed=pairs) == (out, b"")
    args = ("import", "-", "-o", str(tmp_path / "made"), "--overwrite")
    assert at_a_terminal(*args, typed=b"cat 1 2\ndog 3 4\n") == (b"", HINT)
    assert at_a_terminal(*args, "-q", typed=b"cat 1 2\ndog 3 4\n") == (b"", b"")


def test_nothing_is_said_where_no_terminal_is_read(tmp_path):
    write_small(tmp_path / "m")
    (tmp_path / "in").write_text("cat\n")
    assert at_a_terminal("embed", "-m", str(tmp_path / "m"), str(tmp_path / "in"))[1] == b""
    assert at_a_terminal("nearest", "-m", str(tmp_path / "m"), "cat")[1] == b""
    piped = subprocess.run([TEXTKIT, "embed", "-m", tmp_path / "m"], input=b"cat\n", capture_output=True)
    assert piped.stderr == b""


# --- the output's name ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["translate", "embed", "score", "generate", "classify"])
@pytest.mark.parametrize("name", ["out.feather", "out.csv", "OUT.JSON", "a.b.xlsx", "out.jsonl.gz"])
def test_a_suffix_that_nothing_here_writes_is_refused(ran, tmp_path, verb, name):
    code, out, err = ran(verb, "-o", name)
    suffix = Path(name).suffix.lower()
    assert (code, out) == (2, "")
    assert err.startswith(f"textkit: -o {name}: {suffix} is no format that this writes; it knows .txt, .jsonl, .ndjson")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("verb", "name", "form"),
    [
        ("embed", "x.npy", "jsonl"),
        ("embed", "x.npy", "f32"),
        ("embed", "x.txt", "npy"),
        ("embed", "x.jsonl", "text"),
        ("embed", "x.parquet", "f32"),
        ("translate", "x.nbest", "text"),
        ("score", "x.tsv", "jsonl"),
        ("classify", "x.tsv", "text"),
        ("generate", "x.NDJSON", "text"),
    ],
)
def test_a_suffix_and_a_format_that_contradict_are_refused(ran, tmp_path, verb, name, form):
    said = f"textkit: -o {name}: {Path(name).suffix.lower()} is not --format {form}; say one or the other\n"
    assert ran(verb, "-o", name, "--format", form) == (2, "", said)
    assert not list(tmp_path.iterdir())


def test_names_that_are_written(ran, tmp_path):
    write_small(tmp_path / "m")
    write_translator(tmp_path / "t")
    (tmp_path / "in").write_text("")
    for args in (
        ["x"],
        ["x.txt"],
        ["x.jsonl"],
        ["x.npy"],
        ["x.bin", "--format", "f32"],
        ["x.txt", "--format", "jsonl"],
    ):
        assert ran("embed", "-m", tmp_path / "m", "in", "-o", *args)[0] == 0, args
    for args in (["x.de"], ["x.de", "--format", "jsonl"], ["x.nbest"], ["x.txt", "-n", "2"]):
        assert ran("translate", "-m", tmp_path / "t", "in", "-o", *args)[0] == 0, args


# --- models of another task ------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two models for embed and one for translate in ./exported_models, none elsewhere; and folders that are no models."""
    shelf = tmp_path / "exported_models"
    write_small(shelf / "en-words")
    write_small(shelf / "news")
    write_translator(shelf / "en-wards")
    for name, text in (("broken", "{"), ("deep", "[" * 100_000), ("list", "[]"), ("number", '{"task": 3}')):
        (shelf / name).mkdir()
        (shelf / name / "manifest.json").write_text(text)
    (shelf / "pipe").mkdir()
    os.mkfifo(shelf / "pipe" / "manifest.json")
    monkeypatch.setattr(places, "user_folder", lambda: tmp_path / "nowhere")
    monkeypatch.setattr(places, "package_folder", lambda: tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["embed", "-m", "en-waords"], "-m en-waords: unknown model; did you mean 'en-words'?"),
        (["embed", "-m", "en-ward"], "-m en-ward: unknown model; did you mean 'en-words'?"),
        (["translate", "-m", "en-word"], "-m en-word: unknown model; did you mean 'en-wards'?"),
        (["embed", "-m", "zzzz"], "-m zzzz: unknown model; there is en-words, news"),
        (["score", "-m", "en-words2"], "-m en-words2: unknown model; 'textkit models' lists what there is"),
    ],
    ids=str,
)
def test_did_you_mean_is_asked_of_models_of_the_task_alone(ran, models, args, line):
    assert ran(*args) == (2, "", f"textkit: {line}\n")


def test_a_model_of_another_task_is_answered_with_those_that_would_do(ran, models):
    told = (
        "textkit: exported_models/en-wards: a model for 'translate', not for 'embed'; models for it: en-words, news\n"
    )
    for verb in (["embed"], ["nearest", "cat"]):
        assert ran(*verb, "-m", "en-wards") == (1, "", told)
    told = "textkit: exported_models/news: a model for 'embed', not for 'translate'; models for it: en-wards\n"
    assert ran("translate", "-m", "news") == (1, "", told)
    assert ran("score", "-m", "news")[2] == "textkit: exported_models/news: a model for 'embed', not for 'language'\n"


# --- words that a model has never seen -------------------------------------------------------------------------------


@pytest.fixture
def words(ran, tmp_path):
    """A fastText model (it has words such as `cat` and `the`, and n-grams for others) and a model of whole words only."""
    (tmp_path / "f.bin").write_bytes(golden(FASTTEXT))
    (tmp_path / "g.txt").write_bytes(glove(PEOPLE))
    assert ran("import", "f.bin", "-o", "f")[0] == ran("import", "g.txt", "-o", "g")[0] == 0


def test_an_unseen_word_is_said_to_be_one(ran, words, tmp_path):
    assert ran("nearest", "-m", "./f", "cat")[2] == ""
    code, out, err = ran("nearest", "-m", "./f", "catz", "-k", 1)
    assert (code, out.count("\n")) == (0, 1)
    assert err == "textkit: 'catz' is not in the vocabulary of f: its vector is made of its n-grams\n"
    assert ran("nearest", "-m", "./f", "catz", "-k", 1, "-q") == (0, out, "")
    assert ran("analogy", "-m", "./f", "cat", "the", "catz")[2] == err
    many = [f"{letter}cats" for letter in "abcdefgh"]
    told = "8 words are not in the vocabulary of f: their vectors are made of their n-grams ('acats', 'bcats', 'ccats', ...)"
    assert ran("nearest", "-m", "./f", "cat", *many)[2] == f"textkit: {told}\n"
    assert "is not in the vocabulary of g" in ran("nearest", "-m", "./g", "zebra")[2]


def test_lines_of_no_known_word_are_said_once(ran, words, tmp_path):
    lines = ["king", "", "zebra", "king zebra", "  ", "a b c", "xyz"]
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in lines))
    for args in ([], ["--format", "jsonl"], ["--tokens"], ["--line-buffered"], ["-o", "x.npy"]):
        code, out, err = ran("embed", "-m", "./g", "in", *args)
        assert (code, err) == (0, "textkit: warning: 3 lines held no word that the model knows, and are zero vectors\n")
    assert ran("embed", "-m", "./g", "in", "-q")[2] == ""
    (tmp_path / "in").write_text("\nzebra\nking\n")
    said = "textkit: warning: 1 line held no word that the model knows, and is the zero vector\n"
    assert ran("embed", "-m", "./g", "in")[2] == said
    (tmp_path / "in").write_text("\nking zebra\n")
    assert ran("embed", "-m", "./g", "in")[2] == ""


# --- help ------------------------------------------------------------------------------------------------------------


def shown_examples(verb: str) -> list[str]:
    command = command_line.get_command(click.Context(command_line), verb)
    return (command.epilog or "").splitlines()


@pytest.mark.parametrize("verb", own_verbs())
def test_every_verb_s_help_ends_with_examples_that_fit(ran, monkeypatch, verb):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = ran(verb, "--help")
    assert out.partition("\nExamples:\n")[2].splitlines() == [f"  {line}" for line in shown_examples(verb)]
    assert shown_examples(verb)
    assert all(len(line) <= 80 for line in out.splitlines()), verb


@pytest.mark.parametrize(("verb", "line"), [(verb, line) for verb in own_verbs() for line in shown_examples(verb)])
def test_examples_are_command_lines_that_parse(verb, line):
    """Every `textkit ...` of an example names an existing verb and existing options; this verb is among them."""
    words = shlex.split(line.replace('"$(', "").replace(')"', ""), comments=True)
    calls, at = [], 0
    while "textkit" in words[at:]:
        at = words.index("textkit", at) + 1
        ends = [end for end in range(at, len(words)) if words[end] in ("|", "<", ">")]
        calls.append(words[at : min(ends, default=len(words))])
    for name, *args in calls:
        command = command_line.get_command(click.Context(command_line), name)
        with command.make_context(name, [arg for arg in args if arg != "my_plugin.py" and arg != "--plugin"]):
            pass
    others = (
        ("export-onnx", "embed"),
        ("distill", "export-onnx"),
        ("calibrate", "evaluate"),
        ("shortlist", "evaluate"),
        ("parts", "embed"),
    )  # the step that comes next, or before
    assert verb in [call[0] for call in calls] or (verb, calls[0][0]) in others


def test_the_defaults_that_help_names_are_the_shipped_models():
    from textkit.cli.verb import SHIPPED
    from textkit.tasks.embed.serving.embedder import Embedder
    from textkit.tasks.language.serving.generator import Generator
    from textkit.tasks.translate.serving.translator import Translator

    translator, generator, embedder = Translator("en-de"), Generator("en-lm"), Embedder("en-sentences")
    search = translator.options
    wanted = {
        "en-de": {
            "--beam-size": search.beam_size,
            "--length-penalty": search.length_penalty,
            "--min-length": search.min_length,
            "--max-length": search.max_length or translator.most,
            "--max-length-factor": search.max_length_factor,
            "--no-repeat-ngram-size": search.no_repeat_ngram_size,
            "--sentences": translator.sentences,
            "--guard": translator.guard,
            "--truecase": translator.truecase,
            "--shortlist": translator.shortlist,
        },
        "en-lm": {
            "--max-tokens": generator.max_tokens,
            "--temperature": generator.options.temperature,
            "--top-k": generator.options.top_k,
            "--top-p": generator.options.top_p,
        },
        "en-sentences": {"--pooling": embedder.pooling, "--normalize": embedder.normalize},
    }

    def shown(value: object) -> str:
        return (
            {True: "yes", False: "no"}[value]
            if isinstance(value, bool)
            else f"{value:g}"
            if value != str(value)
            else value
        )

    assert {model: {name: shown(value) for name, value in each.items()} for model, each in wanted.items()} == SHIPPED


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("translate", "(en-de: 4)"),
        ("generate", "(en-lm: 100)"),
        ("embed", "(en-sentences: mean)"),
        ("evaluate", "(en-de: 1)"),
    ],
)
def test_a_model_s_defaults_are_shown_as_values(ran, monkeypatch, verb, told):
    monkeypatch.setenv("COLUMNS", "80")  # wide enough that no name is broken at the end of a line
    out = " ".join(ran(verb, "--help")[1].split())
    assert f"Default: the model's own {told}" in out
    assert "Default: the model's." not in out
    assert "Default: the model's own." not in out


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_options_of_a_plugin_break_no_word_on_a_terminal(ran, monkeypatch, width):
    from textkit.cli import tables

    whole = ran("train", "rnn-lm", "--show-options")[1]
    monkeypatch.setattr(tables, "width_of", lambda stream: width)
    shown = ran("train", "rnn-lm", "--show-options")[1]
    assert shown.split() == whole.split()
    assert all(len(line) <= width for line in shown.splitlines() if not line.startswith("# "))
    assert len(shown.splitlines()) > len(whole.splitlines())


def test_a_prompt_that_is_a_file_s_name_is_said_to_be_the_prompt(ran, tmp_path):
    (tmp_path / "prompts.txt").write_text("x\n")
    code, out, err = ran("generate", "prompts.txt", "--max-tokens", 1)
    assert (code, out.startswith("prompts.txt")) == (0, True)
    assert err == "textkit: 'prompts.txt' is taken as the prompt; --file reads prompts from a file\n"
    assert ran("generate", "prompts.txt", "--max-tokens", 1, "-q")[2] == ""


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["nearest", "the words"], "a word; < 'the words' reads words from it"),
        (["nearest", "cat", "the words", "the words"], "a word; < 'the words' reads words from it"),
        (["analogy", "the words"], "a word; < 'the words' reads words from it"),
        (["attention", "the words"], "the sentence; < 'the words' reads sentences from it"),
    ],
    ids=str,
)
def test_a_word_that_is_a_file_s_name_is_said_to_be_a_word(ran, tmp_path, args, what):
    (tmp_path / "the words").write_text("x\n")
    said = f"textkit: 'the words' is taken as {what}\n"
    write_translator(tmp_path / "t") if args[0] == "attention" else write_small(tmp_path / "t")
    err = ran(*args, "-m", tmp_path / "t")[2]
    assert (err.startswith(said), err.count(said)) == (True, 1)
    assert "is taken as" not in ran(*args, "-m", tmp_path / "t", "-q")[2]
