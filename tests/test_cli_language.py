"""`textkit score` and `textkit generate` as people call them: formats, inputs, pauses, closed pipes; what is refused."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from language_toys import LINES, WORDS, bag, graphs, logprobs, rule

import textkit.cli
from textkit.cli.options import Messages
from textkit.exporting import export

NETWORK = bag(dim=16, seed=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "toy"
    return str(export.export_graphs(folder, task="language", rule=rule(), graphs=graphs(NETWORK), sample=LINES))


@pytest.fixture
def ran(model: str, capfd: Any) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process with the model; (exit code, stdout, stderr)."""

    def run(verb: str, *args: object, model: str | None = model) -> tuple[int, str, str]:
        named = [] if model is None else ["-m", model]
        code = textkit.cli.run([verb, *named, *map(str, args)], Messages())
        sys.stdout.flush()
        return code, *capfd.readouterr()

    return run


def process(*args: object, given: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "textkit", *map(str, args)]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr.decode()
    return done


def wanted(line: str) -> list[float]:
    return logprobs(NETWORK, [WORDS.index(word) if word in WORDS else 1 for word in line.split()] + [0]).tolist()


# --- score ------------------------------------------------------------------------------------------------------------


def test_scores_as_text(ran, tmp_path):
    lines = ["the man", "", "a xylophone b"]
    (tmp_path / "in").write_text("\n".join(lines))
    code, out, err = ran("score", tmp_path / "in")
    assert (code, err) == (0, "")
    for line, row in zip(lines, out.splitlines(), strict=True):
        logprob, tokens, perplexity = row.split("\t")
        assert float(logprob) == pytest.approx(sum(wanted(line)), abs=1e-3)
        assert int(tokens) == len(line.split()) + 1
        assert float(perplexity) == pytest.approx(math.exp(-sum(wanted(line)) / int(tokens)), rel=1e-3)


def test_scores_of_each_token_and_word(ran, tmp_path):
    (tmp_path / "in").write_text("the man\n")
    for option in ("--per-token", "--per-word"):
        _, out, _ = ran("score", option, tmp_path / "in")
        named = [column.rsplit(" ", 1) for column in out.rstrip("\n").split("\t")[3:]]
        assert [name for name, _ in named] == ["the", "man", "<eos>"]
        assert [float(logprob) for _, logprob in named] == pytest.approx(wanted("the man"), abs=1e-3)


def test_scores_as_jsonl(ran, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"id": 7, "text": "a zzz", "logprob": 1}\n{"id": 8}\n')
    code, out, err = ran(
        "score", "--input", "jsonl", "--format", "jsonl", "--on-error", "skip", "--per-token", tmp_path / "in.jsonl"
    )
    first, wrong = map(json.loads, out.splitlines())
    assert list(first) == ["id", "text", "source_logprob", "logprob", "tokens", "perplexity", "unknown", "per_token"]
    assert (first["id"], first["source_logprob"], first["tokens"], first["unknown"]) == (7, 1, 3, 1)
    assert first["logprob"] == pytest.approx(sum(wanted("a zzz")), abs=1e-3)
    assert [name for name, _ in first["per_token"]] == ["a", "<unk>", "<eos>"]
    assert wrong["logprob"] is None
    assert "1 record was skipped" in err
    assert code == 0


def test_a_record_that_cannot_be_scored_keeps_its_line(ran, tmp_path):
    (tmp_path / "in.tsv").write_text("1\ta\n2\n3\tb\n")
    _, out, _ = ran("score", "--input", "tsv", "--column", 2, "--on-error", "skip", tmp_path / "in.tsv")
    assert [row.split("\t")[1:] != ["0", "nan"] for row in out.splitlines()] == [True, False, True]


def test_unknown_words_are_counted(ran, tmp_path):
    (tmp_path / "in").write_text("zzz a\nyyy\n")
    _, _, err = ran("score", "-v", tmp_path / "in")
    assert "2 of 5 tokens are words that the model does not know" in err


@pytest.mark.parametrize("verb", ["score", "generate"])
def test_invalid_bytes_and_strange_text_stay_aligned(model, verb):
    given = b"\xff\xfe the\n\x00\n\xe6\x97\xa5\xe6\x9c\xac\n\r\n\xf0\x9f\x98\x80\n" + b"a " * 20_000 + b"\n"
    done = process(verb, "-m", model, given=given)
    assert done.stdout.count(b"\n") == 6
    assert b"1 line held bytes that are no UTF-8" in done.stderr


def test_nothing_in_nothing_out(model):
    for verb in ("score", "generate"):
        assert process(verb, "-m", model).stdout == b""


@pytest.mark.parametrize(("verb", "extra"), [("score", ()), ("generate", ("--max-tokens", "5"))])
def test_an_answer_to_each_line_while_the_input_is_open(model, verb, extra):
    command = [sys.executable, "-m", "textkit", verb, "-m", model, *extra]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as talk:
        for line in ("the man", "a b"):
            talk.stdin.write(f"{line}\n")
            talk.stdin.flush()
            assert talk.stdout.readline().strip()
        talk.stdin.close()
    assert talk.returncode == 0


@pytest.mark.parametrize("verb", ["score", "generate"])
def test_a_closed_pipe_ends_quietly(model, verb):
    command = f"yes 'the man' | {sys.executable} -m textkit {verb} -m {model} | head -1; echo ${{PIPESTATUS[1]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120)
    assert done.stdout.splitlines()[1:] == [b"0"]
    assert done.stderr == b""


def test_ctrl_c_while_it_waits(model):
    command = [sys.executable, "-m", "textkit", "score", "-m", model]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        waiting.stdin.write(b"the\n")
        waiting.stdin.flush()
        assert waiting.stdout.readline()
        os.kill(waiting.pid, signal.SIGINT)
        assert waiting.wait(30) == 130
        assert b"Traceback" not in waiting.stderr.read()


# --- generate ---------------------------------------------------------------------------------------------------------


def test_a_prompt_is_continued_as_its_line_would_be(ran, tmp_path):
    _, alone, _ = ran("generate", "the man", "--seed", 4, "--max-tokens", 9)
    assert alone.startswith("the man")
    (tmp_path / "in").write_text("the man\n\na b\n")
    code, out, _ = ran("generate", "--file", tmp_path / "in", "--seed", 4, "--max-tokens", 9)
    first, blank, last = out.splitlines()
    assert (code, first + "\n", blank) == (0, alone, "")
    assert last.startswith("a b")
    _, out, _ = ran("generate", "--file", tmp_path / "in", "--seed", 4, "--max-tokens", 9, "--without-prompt")
    assert out.splitlines()[0] == first.removeprefix("the man").strip()
    _, out, _ = ran("generate", "the man", "--seed", 4, "--max-tokens", 9, "--without-prompt")
    assert out.strip() == first.removeprefix("the man").strip()


def test_samples_and_jsonl(ran, tmp_path):
    _, out, _ = ran("generate", "a", "-n", 3, "--seed", 1)
    assert len(out.splitlines()) == 3
    _, record, _ = ran("generate", "a", "-n", 3, "--seed", 1, "--format", "jsonl")
    value = json.loads(record)
    assert list(value) == ["text", "continuation", "logprob", "tokens", "ended", "samples"]
    assert [f"a {one['continuation']}".strip() for one in value["samples"]] == out.splitlines()
    assert ran("generate", "a", "-n", 3, "--seed", 2)[1] != out


def test_greedy_and_stop(ran):
    _, greedy, _ = ran("generate", "b c", "--temperature", 0, "--max-tokens", 6)
    assert ran("generate", "b c", "--temperature", 0, "--max-tokens", 6, "--seed", 9)[1] == greedy
    for seed in range(11, 40):
        _, free, _ = ran("generate", "the", "--seed", seed, "--max-tokens", 30)
        if len(free.split()) > 3:
            break
    word = free.split()[3]
    _, cut, _ = ran("generate", "the", "--seed", seed, "--max-tokens", 30, "--stop", word)
    assert cut.rstrip("\n").rstrip() == free[: free.index(word, 3)].rstrip()


def test_a_line_begun_freely(ran):
    code, out, _ = ran("generate", "", "--seed", 1, "--max-tokens", 4)
    assert code == 0
    assert out.endswith("\n")
    assert not out.startswith(" ")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("generate", "x", "--temperature", "-1"), 2, "'--temperature'"),
        (("generate", "x", "--temperature", "nan"), 2, "--temperature"),
        (("generate", "x", "--top-p", "0"), 2, "'--top-p'"),
        (("generate", "x", "--top-p", "1.5"), 2, "'--top-p'"),
        (("generate", "x", "--stop", ""), 2, "an empty string is everywhere"),
        (("generate", "x", "--file", "y"), 2, "are for prompts that are read"),
        (("generate", "--file", "not-there"), 1, "not-there"),
        (("score", "not-there"), 1, "not-there"),
        (("score", "--per-token", "--per-word"), 2, "one of them at a time"),
        (("score", "--column", "2"), 2, "lines have no columns"),
    ],
)
def test_what_is_refused_in_one_line(ran, args, code, message):
    found, out, err = ran(*args)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_models_of_other_tasks_are_refused(ran, model):
    for verb, args in (("score", ()), ("generate", ("x",))):
        code, _, err = ran(verb, *args, model="en-words")
        assert code == 1
        assert "a model for 'embed', not for 'language'" in err
    assert ran("translate", model=model)[0] == 1


# --- evaluate ---------------------------------------------------------------------------------------------------------


def test_the_perplexity_of_a_file_by_hand(ran, tmp_path):
    """Every token is scored given all of the text before it; the end of a line is a word."""
    (tmp_path / "text").write_text("the man\n\nzzz b\n")
    ids = [5, 6, 0, 0, 1, 3, 0]
    scores = logprobs(NETWORK, ids)
    code, out, _ = ran("evaluate", tmp_path / "text")
    metric, value, used, total, outside, path = out.rstrip("\n").split("\t")
    assert (code, metric, used, total, outside) == (0, "perplexity per word", "7", "7", "1")
    assert float(value) == pytest.approx(math.exp(-scores.mean()), rel=1e-4)
    _, out, _ = ran("evaluate", tmp_path / "text", "--format", "jsonl", "--metric", "perplexity")
    record = json.loads(out)
    assert (record["lines"], record["words"], record["tokens"]) == (3, 4, 7)
    assert (record["metric"], record["per"]) == ("perplexity", "word")
    known = [score for token, score in zip(ids, scores, strict=True) if token != 1]
    assert record["perplexity_per_known_token"] == pytest.approx(math.exp(-sum(known) / 6), rel=1e-4)
    (tmp_path / "empty").write_text("")
    assert ran("evaluate", tmp_path / "empty")[1].split("\t")[:2] == ["perplexity per word", ""]
    code, _, err = ran("evaluate", tmp_path / "text", "--metric", "bleu")
    assert (code, "which has perplexity" in err) == (2, True)


def test_pieces_make_words_again():
    """Byte pairs: a word's score is the sum over its pieces, and the space before a word is its beginning."""
    import numpy as np
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from textkit.tasks.language.serving.scorer import Scored
    from textkit.tasks.language.serving.writers import per_word
    from textkit.text.language import LanguageText

    alphabet = {character: at + 1 for at, character in enumerate("abĠ")}
    tokenizer = Tokenizer(models.BPE(alphabet | {"Ġa": 4, "ab": 5}, [("Ġ", "a"), ("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = LanguageText(tokenizer.to_str().encode(), eos=0, unk=None, words=False)
    ids = text.encode(["abb ab"]).ids
    assert [text.token(token) for token in ids] == ["ab", "b", " a", "b", "<eos>"]
    scored = Scored(-15, 5, 0, 0, ids, np.array([-1, -2, -3, -4, -5], np.float32))
    assert per_word(text, scored) == [("abb", -3), ("ab", -7), ("<eos>", -5)]
