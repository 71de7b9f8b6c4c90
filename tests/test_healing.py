"""A prompt that ends inside a word, or in white space, is continued from the last token boundary."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from language_toys import rule as toy_rule

from textkit.tasks.language.serving.generator import Generator
from textkit.tasks.language.serving.healing import Healer

INSIDE = ["I want to ", "I want to", "The weath", "I want to go ho", "I want   ", "Once upon a ti", "He said:", "x"]


@pytest.fixture(scope="module")
def healer() -> Healer:
    return Healer(Generator("en-lm").rule, False)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"samples": 3}, {"top_k": 5}, {"top_p": 0.8, "samples": 2}])
def test_what_follows_begins_inside_the_word(options: dict) -> None:
    generator = Generator("en-lm", "cpu", 1, max_tokens=6, seed=4, **options)
    together = generator(INSIDE)
    for number, (prompt, found) in enumerate(zip(INSIDE, together, strict=True)):
        assert [one.whole for one in found] == [prompt + one.text for one in found]
        assert all(1 <= one.tokens <= 6 for one in found)
        assert all(not one.text[:1].isspace() for one in found if prompt[-1].isspace())
        if number % 3 == 0:
            assert generator.generate([prompt], [number])[0] == found  # whatever else is in the batch
        assert all(one.logprob < 0 for one in found)
    words = {one.whole.split()[1] for one in together[INSIDE.index("The weath")]}
    assert all(word.startswith("weath") for word in words)
    assert any(word.startswith("weather") for word in words)


@pytest.mark.slow
def test_a_stream_tells_what_the_whole_has() -> None:
    for prompt, stop in itertools.product(INSIDE[:3], [(), (" ",), ("e",)]):
        generator = Generator("en-lm", "cpu", 1, max_tokens=5, seed=2, stop=stop)
        told: list[str] = []
        streamed = generator.stream(prompt, told.append)
        assert "".join(told) == streamed.text
        assert streamed == generator([prompt])[0][0]
        assert not any(string in streamed.text for string in stop)
    assert pickle.loads(pickle.dumps(generator))(["I wa"]) == generator(["I wa"])


def test_as_many_tokens_are_left_out_as_one_can_stand_for(healer: Healer) -> None:
    rule = healer._rule
    for prompt in ("The weath", "I want to", "I want to "):
        ids = rule.encode([prompt]).ids[:-1]
        healed = healer.healed(prompt, ids)
        assert healed.first is not None
        assert all(rule.spelling(row).startswith(healed.left.encode()) for row in healed.first.tolist())
        assert rule.decode([healed.ids.tolist()])[0] + healed.left == prompt
        assert rule.eos not in healed.first
    assert healer.healed("The weath", rule.encode(["The weath"]).ids[:-1]).left == " weath"


def test_where_nothing_else_can_come_nothing_is_left_out(healer: Healer) -> None:
    nothing = np.zeros(0, np.int64)
    assert healer.healed("", nothing).first is None
    words = Healer(toy_rule(), False)
    ids = toy_rule().encode(["the man"]).ids[:-1]
    assert words.healed("the man", ids).first is None
    assert words.healed("the man", ids).ids.tolist() == ids.tolist()
    assert words.healed("the man ", ids).first is None
    xylophone = toy_rule().encode(["the xyl"]).ids[:-1]
    assert words.healed("the xyl", xylophone).first is None  # no word begins like that: <unk>, as before


def test_words_go_on_inside_the_word() -> None:
    rule = toy_rule(("<eos>", "<unk>", "<unknown", "bike", "biker", "b", "the"))
    healed = Healer(rule, False).healed("the bi", rule.encode(["the bi"]).ids[:-1])
    assert (healed.left, healed.first.tolist(), healed.ids.tolist()) == ("bi", [3, 4], [6])
    assert Healer(rule, False).healed("<un", rule.encode(["<un"]).ids[:-1]).first.tolist() == [2]  # but not <unk>
    assert Healer(rule, True).healed("<un", rule.encode(["<un"]).ids[:-1]).first.tolist() == [1, 2]


def test_the_most_tokens_may_end_inside_a_character() -> None:
    rule = Generator("en-lm").rule
    ids = rule.encode(["a 日本 🙂"]).ids[:-1].tolist()
    whole, cut = rule.decode([ids, ids[:-1]])
    assert whole == "a 日本 🙂"
    assert cut.endswith("\ufffd")
    assert rule.ends_inside(ids[:-1])
    assert not rule.ends_inside(ids)
    assert not rule.ends_inside(rule.encode(["\ufffd"]).ids[:-1].tolist())


def test_no_text_ends_with_half_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Generator("en-lm", "cpu", 1, max_tokens=1)
    rule = generator.rule
    half = next(row for row in range(len(rule)) if rule.spelling(row) == b"\xe6")
    from textkit.searching.history import Hypothesis
    from textkit.tasks.language.serving import generator as module

    def found(*_: object, **more: object) -> list[list[Hypothesis]]:
        return [[Hypothesis([half], 0.0, -1.0, False, np.full(1, -1, np.float32))]]

    monkeypatch.setattr(module, "search", found)
    for prompt in ("", "Hello", "a "):
        told: list[str] = []
        assert generator([prompt])[0][0].whole == prompt + ""
        assert generator.stream(prompt, told.append).text == "".join(told) == ""
