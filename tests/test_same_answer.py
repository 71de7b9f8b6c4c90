"""A line has the same answer to the last bit: alone, among any other lines, in any order, with any number of threads."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from textkit.tasks.embed.serving.embedder import Embedder
from textkit.tasks.embed.task import POOLING
from textkit.tasks.language.serving.generator import Generator
from textkit.tasks.language.serving.scorer import LanguageModel, Scored
from textkit.tasks.translate.serving.translator import Translator

TEXT = """the a my some three old green tiny cat dog house river teacher idea runs sees likes forgets never often slowly and
or because when under behind 1984 Berlin, Anna naïve"""


def lines_of(count: int, longest: int = 24) -> list[str]:
    """Made-up lines of mixed lengths, the same each time: one in eight may be four times as long, the first is blank, and one
    occurs twice."""
    drawn = random.Random(12)
    lines = [
        " ".join(drawn.choices(TEXT.split(), k=drawn.randint(1, longest) * (1 if number % 8 else 4)))
        + drawn.choice(".?!")
        for number in range(count)
    ]
    return ["", *lines[1:-1], lines[1]]


SEARCHES = {
    "beam": {},
    "greedy": {"beam_size": 1},
    "n-best": {"n_best": 4, "word_scores": True},
    "sampled": {"sample": True, "seed": 7, "temperature": 0.8},
    "of the likeliest": {"sample": True, "seed": 3, "top_p": 0.9, "n_best": 2},
}


@pytest.mark.parametrize(
    "search", [pytest.param(name, marks=[] if name == "beam" else pytest.mark.slow) for name in SEARCHES]
)
def test_a_line_is_translated_alike_alone_and_together(search):
    options, lines = SEARCHES[search], lines_of(14)
    one = Translator("en-de", "cpu", threads=1, **options)
    together = one.translate(lines)
    assert [one.translate([line], first=number)[0] for number, line in enumerate(lines)] == together
    two = Translator("en-de", "cpu", threads=2, **options)
    assert two.translate(lines) == together
    assert [found for at in range(0, 14, 5) for found in two.translate(lines[at : at + 5], first=at)] == together
    if "sample" not in options:
        assert two.translate(lines[::-1]) == together[::-1]


def test_a_batch_is_encoded_in_parts_to_the_same_bits(monkeypatch):
    steps = Translator("en-de", "cpu", threads=1).steps
    first = steps._first
    assert first.most_tokens == 256
    source = np.random.default_rng(1).integers(4, 7000, (9, 11))
    mask = np.arange(11) < np.array([11, 3, 1, 11, 7, 8, 2, 10, 5])[:, None]
    memory, state = steps.encode(source, mask)
    runs = []
    monkeypatch.setattr(first, "run", lambda feeds, run=first.run: runs.append(feeds["source"].shape) or run(feeds))
    for most, wanted in ((44, [(4, 11), (4, 11), (1, 11)]), (5, [(1, 11)] * 9)):
        monkeypatch.setattr(first, "most_tokens", most)
        parts = steps.encode(source, mask)
        assert runs == wanted
        for whole, part in zip((memory, state), parts, strict=True):
            assert all(np.array_equal(array, part[name]) for name, array in whole.items())
        runs.clear()


def test_a_line_is_scored_alike_alone_and_together():
    lines = lines_of(24)

    def exact(found: list[Scored]) -> list[tuple[object, ...]]:
        return [(one.logprob, one.perplexity, one.ids.tobytes(), one.logprobs.tobytes()) for one in found]

    one, two = (LanguageModel("en-lm", "cpu", threads) for threads in (1, 2))
    together = exact(one(lines))
    assert [exact(one([line]))[0] for line in lines] == together
    assert exact(two(lines)) == together
    assert exact(two(lines[::-1]))[::-1] == together


@pytest.mark.parametrize(
    "options",
    [{}, {"samples": 2, "top_p": 0.9}, pytest.param({"temperature": 0.5, "top_k": 20}, marks=pytest.mark.slow)],
)
def test_a_prompt_is_continued_alike_alone_and_together(options):
    lines, numbers = lines_of(12), list(range(12))
    one, two = (Generator("en-lm", "cpu", threads, max_tokens=12, seed=7, **options) for threads in (1, 2))
    together = one(lines)
    assert [one.generate([line], [number])[0] for number, line in enumerate(lines)] == together
    assert two(lines) == together
    assert two.generate(lines[::-1], numbers[::-1])[::-1] == together


@pytest.mark.parametrize("pooling", POOLING)
def test_a_line_is_embedded_alike_alone_and_together(pooling):
    lines = lines_of(24)
    one, two = (Embedder("en-words", "cpu", threads, pooling=pooling) for threads in (1, 2))
    together = one(lines)
    assert np.array_equal(np.concatenate([one([line]) for line in lines]), together)
    assert np.array_equal(two(lines[::-1])[::-1], together)


VERBS = {
    "embed": [["--format", "jsonl"], ["--pooling", "max"], ["--format", "f32"]],
    "translate": [[], ["--format", "jsonl", "--word-scores"], ["--n-best", "3", "--format", "nbest"],
                  ["--sample", "--temperature", "0.8", "--seed", "7"], ["--beam-size", "1", "--format", "jsonl"]],
    "score": [[], ["--per-word"], ["--format", "jsonl", "--per-token"]],
    "generate": [["--seed", "7", "--max-tokens", "12"], ["--seed", "7", "--max-tokens", "8", "--format", "jsonl"]],
}  # fmt: skip


def said(arguments: list[str], parts: list[bytes]) -> bytes:
    """What a filter prints for its input `parts`, with a pause of two seconds between them."""
    with subprocess.Popen(
        [sys.executable, "-m", "textkit", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(process.stdout.read()))
        reader.start()
        for at, part in enumerate(parts):
            if at:
                time.sleep(2)
            process.stdin.write(part)
            process.stdin.flush()
        process.stdin.close()
        reader.join()
    assert process.returncode == 0
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "at"), [(verb, at) for verb, every in VERBS.items() for at in range(len(every))])
def test_300_lines_are_the_same_bytes_from_a_file_and_a_pausing_pipe_and_by_any_threads(verb, at):
    options, text = VERBS[verb][at], [f"{line}\n".encode() for line in lines_of(300, 16)]
    whole = b"".join(text)
    wanted = said([verb, *options, "--threads", "1"], [whole])
    assert wanted.count(b"\n") >= 300
    assert said([verb, *options, "--threads", "2"], [whole]) == wanted
    pausing = [b"".join(text[:20]), b"".join(text[20:37]), b"".join(text[37:])]
    assert said([verb, *options, "--threads", "2"], pausing) == wanted
    numbered = {"--sample", "nbest", "generate", "f32"}  # these depend on a record's number, or give no line per record
    if not numbered & {verb, *options}:
        backwards = said([verb, *options], [b"".join(text[::-1])]).splitlines(keepends=True)
        assert b"".join(backwards[::-1]) == wanted
