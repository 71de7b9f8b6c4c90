"""Steps as on a GPU: forms of the step graph, bound arrays, Gathers. They run on the CPU, where results can be compared."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from cuda_on_cpu import Rewritten, on_device, rewritten

from textkit.searching.on_device import OnDevice
from textkit.searching.stepping_on_device import DeviceSteps, Form
from textkit.tasks.language.serving import scorer
from textkit.tasks.language.serving.generator import Generator
from textkit.tasks.language.serving.scorer import LanguageModel
from textkit.tasks.translate.serving.translator import Translator

LINES = [
    "I am going home now.",
    "The dog.",
    "",
    "What a day it was, and how we laughed about it all the way home!",
    "Yes.",
]


def answers(patch: pytest.MonkeyPatch, make, device: bool):
    with patch.context() as context:
        (on_device if device else rewritten)(context)
        return make()


def both(patch, make):
    """What steps give when they are run as on a GPU, and in the CPU's way with the same graphs."""
    return answers(patch, make, True), answers(patch, make, False)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"beam_size": 1}, {"n_best": 3, "beam_size": 5, "word_scores": True},
        {"no_repeat_ngram_size": 2, "min_length": 8, "max_length": 12}, {"allow_unk": True, "alignment": True},
        {"min_length": 6, "max_length": 7}, {"beam_size": 1, "min_length": 30}, {"beam_size": 2, "max_length": 3},
    ],
    ids=str,
)  # fmt: skip
def test_translations_are_those_of_the_cpu_s_search(monkeypatch, options):
    def make():
        translator = Translator("en-de", device="cpu", threads=1, guard=False, **options)
        found = translator.translate(LINES)
        return [[(one.text, one.alignment) for one in line] for line in found], [
            [one.score for one in line] for line in found
        ]

    (texts, scores), (plain, plain_scores) = both(monkeypatch, make)
    assert texts == plain
    for one, other in zip(scores, plain_scores, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_prefix_is_kept(monkeypatch):
    def make():
        translator = Translator("en-de", device="cpu", threads=1, guard=False)
        return [line[0].text for line in translator.translate(LINES[:3], prefixes=["Ich", "", "Was für"])]

    found, plain = both(monkeypatch, make)
    assert found == plain
    assert found[0].startswith("Ich")


@pytest.mark.parametrize(
    "options",
    [
        {}, {"top_p": 0.9}, {"top_p": 0.3}, {"top_k": 10}, {"temperature": 0.0}, {"top_p": 0.95, "temperature": 2.0},
        {"top_k": 3, "temperature": 1.5}, {"top_k": 20, "top_p": 0.6}, {"top_k": 400}, {"top_k": 300, "top_p": 0.8},
        {"top_k": 10**6}, {"max_tokens": 3}, {"top_k": 1}, {"top_k": 5, "temperature": 0.01, "allow_unk": True},
    ],
    ids=str,
)  # fmt: skip
def test_samples_are_those_of_the_cpu(monkeypatch, options):
    prompts = ["The game", "In 1995 , the", "", "She was the fir"]

    def make():
        generator = Generator("en-lm", device="cpu", threads=1, samples=3, **{"max_tokens": 12} | options)
        return [[one.whole for one in line] for line in generator.generate(prompts)]

    found, plain = both(monkeypatch, make)
    assert found == plain


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, "picked 4"),
        ({"beam_size": 1}, "picked 4"),
        ({"alignment": True}, "picked 1"),
        ({"no_repeat_ngram_size": 3}, "ranked 1"),
    ],
)
def test_the_host_looks_every_four_steps_where_the_graph_knows_all_that_counts(monkeypatch, options, runs):
    forms = []
    before = DeviceSteps._run

    def run(self, form, *given):
        forms.append(f"{form.kind} {form.steps}")
        return before(self, form, *given)

    monkeypatch.setattr(DeviceSteps, "_run", run)
    answers(
        monkeypatch, lambda: Translator("en-de", device="cpu", threads=1, guard=False, **options).translate(LINES), True
    )
    assert set(forms) == {runs}


def test_no_step_is_taken_beyond_the_longest_target(monkeypatch):
    """A model's table of places ends there."""
    taken = []
    before = DeviceSteps._run

    def run(self, form, *given):
        taken.append(form.steps)
        return before(self, form, *given)

    def make():
        translator = Translator("en-de", device="cpu", threads=1, guard=False, min_length=10)
        translator.most = 10
        return translator.translate(["The dog runs home with the man, and the woman sees a house."])[0][0]

    monkeypatch.setattr(DeviceSteps, "_run", run)
    found, plain = both(monkeypatch, make)
    assert found.text == plain.text
    assert taken == [4, 4, 1, 1]


def test_a_vocabulary_smaller_than_what_is_asked_for():
    """Forms that need more tokens than there are give way to those that do not."""
    few = SimpleNamespace(_vocab=9)
    assert DeviceSteps._picking(few, 4, 2) is None
    many = SimpleNamespace(_vocab=1 << 22)
    assert DeviceSteps._picking(many, 5, 2) is None  # more places than fp32 holds whole numbers
    assert DeviceSteps._picking(few, 1, 2) == Form("picked", 1, 1, 2)
    assert DeviceSteps._drawing(few, 20, False) == Form("among", 9)
    assert DeviceSteps._drawing(few, 1000, True) == Form("cut")


def test_a_share_of_many_tokens_is_drawn_on_the_host(monkeypatch):
    """A hot distribution over 8,000 tokens: the 1,024 likeliest do not make up 99 %."""

    def make():
        generator = Generator("en-lm", device="cpu", threads=1, samples=2, max_tokens=5, top_p=0.99, temperature=20.0)
        return [[one.whole for one in line] for line in generator.generate(["The game"])]

    found, plain = both(monkeypatch, make)
    assert found == plain


def test_fp16_translates_as_fp32_does(monkeypatch):
    """Tolerance: a sentence's log-probability differs by less than 0.05 from that of the same weights in fp32."""

    def make():
        found = Translator("en-de", device="cpu", threads=1, guard=False).translate(LINES)
        return [line[0].text for line in found], [line[0].logprob for line in found]

    with monkeypatch.context() as context:
        on_device(context, "fp16")
        half, half_logprobs = make()
    whole, logprobs = answers(monkeypatch, make, False)
    assert half == whole
    np.testing.assert_allclose(half_logprobs, logprobs, atol=0.05)
    assert half_logprobs != logprobs


def test_scores_in_fp16_and_with_a_state_that_stays(monkeypatch):
    """Tolerance: a token's log-probability differs by less than 0.03 from that of the same weights in fp32, in pieces, too."""
    lines = [
        "The game was released in 1995 .",
        "",
        "He",
        "It was the first time that the team had won the match at home .",
    ]
    found = {}
    for precision in ("fp32", "fp16"):
        with monkeypatch.context() as context:
            context.setattr(Rewritten, "wanted", precision)
            context.setattr(scorer, "Session", Rewritten)
            model = LanguageModel("en-lm", device="cpu", threads=1)
            assert model.session.device == "cpu"
            model._on_device = OnDevice("cpu")
            whole = model(lines)
            context.setattr(LanguageModel, "tokens_at_once", 16)
            found[precision] = whole, model(lines)
    for one, other in zip(*found["fp32"], strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)
    for one, other in zip(found["fp16"][1], found["fp32"][0], strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=0.03)
        assert np.abs(one.logprobs - other.logprobs).max() > 0
