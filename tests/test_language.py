"""The probability of lines, and the continuation of prompts: exported toys against loops over words in float64."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from language_toys import LINES, WORDS, bag, graphs, logprobs, rule

import textkit
from textkit.bundle import bundle
from textkit.errors import TextkitError, UsageError
from textkit.exporting import export
from textkit.plugin import Graph
from textkit.tasks.language.serving import scorer as language
from textkit.tasks.language.serving.generator import Generator
from textkit.tasks.language.serving.scorer import LanguageModel, encode, pieces

NETWORK = bag(dim=16, seed=3)


def ids_of(line: str) -> list[int]:
    return [WORDS.index(word) if word in WORDS else 1 for word in line.split()] + [0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export.export_graphs(
        tmp_path_factory.mktemp("language") / "toy", task="language", rule=rule(), graphs=graphs(NETWORK), sample=LINES
    )


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return LanguageModel(folder, "cpu", 1)


def test_scores_by_the_definition(model):
    lines = ["the man rides a bike .", "", "b", "xylophone a", "   ", "c " * 300]
    for line, found in zip(lines, model(lines), strict=True):
        wanted = logprobs(NETWORK, ids_of(line))
        assert found.tokens == len(wanted)
        assert found.logprobs == pytest.approx(wanted, abs=1e-4)
        assert found.logprob == pytest.approx(wanted.sum(), abs=1e-4 * len(wanted))
        assert found.perplexity == pytest.approx(math.exp(-wanted.mean()), rel=1e-4)
    unknown = model(["xylophone a"])[0]
    assert unknown.unknown == 1
    assert unknown.unknown_logprob == pytest.approx(logprobs(NETWORK, [1, 2, 0])[0], abs=1e-5)


def test_a_perplexity_by_hand():
    assert language.perplexity(math.log(1 / 2) + math.log(1 / 8), 2) == pytest.approx(4)
    assert language.perplexity(-1e9, 1) == math.inf
    assert language.perplexity(0.0, 0) == math.inf


def test_what_shares_a_batch_with_a_line_changes_nothing(model):
    random = np.random.default_rng(0)
    lines = [" ".join(random.choice(WORDS[2:], size)) for size in random.integers(0, 40, 150)]
    together = model(lines)
    for at in range(0, 150, 13):
        assert model([lines[at]])[0].logprob == pytest.approx(together[at].logprob, abs=1e-4)


def test_pieces_carry_the_state(model, monkeypatch):
    lines = ["the man rides a bike . " * 20, "a b c", "the bike"]
    at_once = [found.logprobs for found in model(lines)]
    monkeypatch.setattr(language, "_LOGITS", 3 * 7 * len(WORDS))  # seven tokens at a time
    for found, wanted in zip(model(lines), at_once, strict=True):
        assert found.logprobs == pytest.approx(wanted, abs=1e-5)


def test_a_text_read_on_and_on(model, monkeypatch):
    """The state is carried from line to line, in whatever pieces the text comes."""
    lines = ["the man", "", "rides a bike .", "c"]
    ids = [token for line in lines for token in ids_of(line)]
    wanted = logprobs(NETWORK, ids)
    stream = model.stream()
    parts = [stream(lines[:1]), stream(lines[1:])]
    assert np.concatenate([part[0] for part in parts]).tolist() == ids
    assert np.concatenate([part[1] for part in parts]) == pytest.approx(wanted, abs=1e-5)
    monkeypatch.setattr(language, "_LOGITS", 2 * len(WORDS))
    assert model.stream()(lines)[1] == pytest.approx(wanted, abs=1e-5)


def test_pieces_by_hand():
    assert list(pieces(10, 4, None)) == [(0, 4, 0), (4, 4, 0), (8, 2, 0)]
    # The model remembers 6 tokens: after six it begins anew with the last three of them.
    assert list(pieces(12, 4, 6)) == [(0, 4, 0), (4, 2, 0), (6, 3, 3), (9, 3, 3)]
    assert list(pieces(4, 9, 6, held=5)) == [(0, 1, 0), (1, 3, 3)]
    assert list(pieces(0, 4, 6)) == []


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """The same model, declared to remember only twelve tokens."""
    folder = tmp_path_factory.mktemp("forgetful") / "toy"
    made = {name: Graph(graph.module, limit=12) for name, graph in graphs(NETWORK).items()}
    return LanguageModel(export.export_graphs(folder, task="language", rule=rule(), graphs=made), "cpu", 1)


def in_windows(ids: list[int]) -> list[float]:
    """log p of each id in windows: the first twelve tokens, then six at a time, given the seven tokens before them."""
    found = logprobs(NETWORK, ids[:12]).tolist()
    for at in range(12, len(ids), 6):
        with torch.no_grad():
            read = torch.tensor([ids[at - 7], *ids[at - 6 : at + 5]])
            means = NETWORK.table(read).double().cumsum(0) / torch.arange(1, len(read) + 1)[:, None]
            logits = torch.tanh(means) @ NETWORK.output.weight.double().T + NETWORK.output.bias.double()
            new = ids[at : at + 6]
            found += logits.log_softmax(1)[torch.arange(6, 6 + len(new)), torch.tensor(new)].tolist()
    return found


def test_beyond_what_a_model_remembers(forgetful):
    lines = ["the man rides a bike . a b c the man c c b a . the", "a b", "b " * 12]
    for line, found in zip(lines, forgetful(lines), strict=True):
        assert found.logprobs == pytest.approx(in_windows(ids_of(line)), abs=1e-4)
    stream = forgetful.stream()
    told = np.concatenate([stream([line])[1] for line in lines])
    assert told == pytest.approx(in_windows([token for line in lines for token in ids_of(line)]), abs=1e-4)


def test_a_long_line_becomes_the_same_ids_part_by_part(monkeypatch):
    lines = ["the man  rides\ta bike . " * 4, "a", "", "the" * 90, " a b c the man rides a bike . xylophone b b"]
    whole = rule().encode(lines)
    monkeypatch.setattr(language, "_PART", 10)
    cut = encode(rule(), lines)
    assert cut.ids.tolist() == whole.ids.tolist()
    assert cut.lengths.tolist() == whole.lengths.tolist()


def test_loaded_by_name_pickled_and_refused(folder, model, tmp_path):
    assert textkit.load(str(folder))(["a b"])[0].logprob == pytest.approx(model(["a b"])[0].logprob)
    again = pickle.loads(pickle.dumps(model))
    assert again(["a b"])[0].logprob == pytest.approx(model(["a b"])[0].logprob)
    with pytest.raises(TypeError, match="one str"):
        model("a b")
    with pytest.raises(TextkitError, match="embed"):
        LanguageModel("en-words")
    assert model([]) == []


# Generation.


def likeliest(ids: list[int], count: int) -> list[int]:
    """The likeliest word at each step, by the definition, up to the end of a line. <unk> is never chosen."""
    made: list[int] = []
    while len(made) < count and (not made or made[-1] != 0):
        scores = [logprobs(NETWORK, [*ids, *made, word])[-1] if word != 1 else -math.inf for word in range(len(WORDS))]
        made.append(int(np.argmax(scores)))
    return made


@pytest.mark.parametrize("prompt", ["the man", "a", "", "b c the the man rides"])
def test_the_likeliest_words_one_by_one(folder, prompt):
    generator = Generator(folder, "cpu", 1, temperature=0, max_tokens=6)
    wanted = likeliest(ids_of(prompt)[:-1], 6)
    (found,) = generator([prompt])[0]
    assert found.text == " ".join(WORDS[word] for word in wanted if word)
    assert found.whole == " ".join(filter(None, [prompt, found.text]))
    assert found.tokens == len(wanted)
    assert found.ended == (wanted[-1] == 0)
    every = logprobs(NETWORK, ids_of(prompt)[:-1] + wanted)
    assert found.logprob == pytest.approx(every[-len(wanted) :].sum(), abs=1e-4)


def test_the_same_whatever_the_batch(folder):
    prompts = ["the man", "", "a b c", "rides", "", "the man rides a bike"]
    generator = Generator(folder, "cpu", 1, seed=5, samples=3, max_tokens=12)
    together = generator.generate(prompts, range(10, 16))
    assert [len(found) for found in together] == [3] * 6
    assert len({found.text for found in together[0]}) > 1
    for at, prompt in enumerate(prompts):
        assert [one.text for one in generator.generate([prompt], [10 + at])[0]] == [one.text for one in together[at]]
    assert Generator(folder, "cpu", 1, seed=6, max_tokens=12)(prompts)[0] != together[0][:1]


def test_the_shipped_model_writes_the_same_whatever_the_batch():
    """In int8, where one scale for everything that is multiplied at once would let lines change each other."""
    generator = Generator("en-lm", "cpu", 1, seed=3, samples=2, max_tokens=16)
    assert generator.bundle.manifest.precision == "int8"
    prompts = ["the", "", "the cat sat on", "He said that", "", "the dog", "In 1914 ,"]
    together = generator(prompts)
    for at, prompt in enumerate(prompts):
        for one, other in zip(generator.generate([prompt], [at])[0], together[at], strict=True):
            assert one.text == other.text
            assert one.logprob == pytest.approx(other.logprob, rel=1e-6)


def test_words_are_drawn_as_often_as_they_are_likely(folder):
    generator = Generator(folder, "cpu", 1, samples=4000, max_tokens=1)
    found = [one.text for one in generator(["the man"])[0]]
    of_words = np.array([logprobs(NETWORK, [*ids_of("the man")[:-1], word])[-1] for word in range(len(WORDS))])
    of_words[1] = -np.inf
    wanted = np.exp(of_words) / np.exp(of_words).sum()
    for word in range(2, len(WORDS)):
        assert found.count(WORDS[word]) / 4000 == pytest.approx(wanted[word], abs=0.03)


def test_a_string_that_stops(folder):
    free = Generator(folder, "cpu", 1, seed=2, max_tokens=40)(["the man"])[0][0]
    words = free.text.split()
    stop = " ".join(words[3:5])  # it spans two tokens
    cut = Generator(folder, "cpu", 1, seed=2, max_tokens=40, stop=[stop])(["the man"])[0][0]
    assert cut.text == free.text[: free.text.index(stop)]
    assert cut.ended
    assert cut.tokens < free.tokens


def test_what_is_told_as_it_comes(folder):
    told: list[str] = []
    generator = Generator(folder, "cpu", 1, seed=2, max_tokens=20)
    found = generator.stream("the man", told.append)
    assert "the man" + "".join(told) == found.whole
    assert len(told) > 3
    told.clear()
    stop = found.text.split()[4]
    cut = Generator(folder, "cpu", 1, seed=2, max_tokens=20, stop=[stop, "xyz"]).stream("the man", told.append)
    assert "the man" + "".join(told) == cut.whole
    assert stop not in "".join(told)


def test_a_prompt_longer_than_the_model_remembers(forgetful):
    generator = Generator(forgetful.bundle, "cpu", 1, temperature=0, max_tokens=4)
    # Four of the twelve tokens are kept for the continuation.
    (found,) = generator(["c c c c c the man rides a bike . b"])[0]
    assert generator.cut_prompts == 1
    assert found.text == generator(["c the man rides a bike . b"])[0][0].text
    assert generator.cut_prompts == 1
    with pytest.raises(UsageError, match="max_tokens=12: must be from 1 to 11"):
        Generator(forgetful.bundle, max_tokens=12)
    assert Generator(forgetful.bundle).max_tokens == 11


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -1),
        ("top_p", 0),
        ("top_p", 1.5),
        ("top_k", -1),
        ("max_tokens", 0),
        ("samples", 0),
        ("workers", 0),
        ("stop", [""]),
    ],
)
def test_options_that_are_refused(folder, option, value):
    with pytest.raises(UsageError, match=f"^{option}"):
        Generator(folder, **{option: value})


def test_a_bundle_without_the_text_of_a_language_model(tmp_path):
    found = bundle.read(bundle.find("en-words", "embed"))
    with pytest.raises(TextkitError, match="does not say"):
        LanguageModel(found)
