"""The callable of the task `classify`: probabilities worked out by hand, what holds of a line, labels of one's own, words that
are explained."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_classifier import LABELS, LOOKS, TABLE, WORDS, head, softmax, tokens_rule, write_classifier
from small_embedder import write_words

import textkit
from textkit.bundle import bundle
from textkit.errors import TextkitError, UsageError
from textkit.tasks.classify.serving.answers import Classified
from textkit.tasks.classify.serving.classifier import Classifier
from textkit.tasks.classify.serving.heads import heads_of
from textkit.tasks.classify.serving.words import owners, words_of

PLAIN: dict[str, Any] = {"device": "cpu", "threads": 1}


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_classifier(folder / "plain")
    write_classifier(folder / "warm", head(temperature=2.0), defaults={"abstain": 0.5})
    write_classifier(folder / "several", head(several=True, thresholds=[0.6, 0.6, 0.7]))
    write_classifier(folder / "kinds", head(coarse={"neg": "any", "none": "any"}, nothing="und"))
    write_classifier(folder / "attends", looks=LOOKS, rule=tokens_rule(clean=True))
    two = head(("a", "b"), "letters"), head(("one", "two", "three"), "numbers", nothing="one")
    write_classifier(folder / "two", *two, table=np.hstack([TABLE[:, :2], TABLE]))
    write_classifier(folder / "words", looks=LOOKS)
    write_classifier(folder / "short", looks=LOOKS, rule=tokens_rule(around=True), limits={"tokens": 4})
    # A line looks so much like a label: "good" (3, 0, 0) by 2, "good film" (1.5, 0, .5) by .83, "film" (0, 0, 1) by .67.
    write_classifier(folder / "used", head(typical=np.linspace(0, 2, 201).tolist(), nothing="und"))
    write_classifier(folder / "used-several", head(typical=np.linspace(0, 2, 201).tolist(), several=True))
    write_words(folder / "vectors")
    return folder


@pytest.fixture
def classifier(models: Path) -> Any:
    return lambda name, **options: Classifier(models / name, **PLAIN | options)


def test_probabilities_by_hand(classifier):
    found = classifier("plain")(["good film", "Bad, bad", "film good film"])
    # The mean of (3, 0, 0) and (0, 0, 1); of (0, 3, 0), (0, 0, 0) and (0, 3, 0); of (0, 0, 1), (3, 0, 0) and (0, 0, 1).
    wanted = [softmax(1.5, 0, 0.5), softmax(0, 2, 0), softmax(1, 0, 2 / 3)]
    assert [one.label for one in found] == ["pos", "neg", "pos"]
    for one, line in zip(found, wanted, strict=True):
        assert one.probabilities.tolist() == pytest.approx(line)
        assert one.probability == pytest.approx(max(line))
        assert one.labels == (one.label,)
        assert one.probabilities.dtype == np.float32


def test_the_temperature_divides_logits_and_an_unsure_line_has_no_label(classifier):
    sure, unsure = classifier("warm")(["good", "good film"])
    assert (sure.label, unsure.label, unsure.labels) == ("pos", "", ())
    assert sure.probability == pytest.approx(softmax(1.5, 0, 0)[0])
    assert unsure.probability == pytest.approx(softmax(0.75, 0, 0.25)[0])  # .474 is less than the model's own .5
    assert [one.label for one in classifier("warm", abstain=0)(["good film"])] == ["pos"]


def test_a_probability_of_just_the_bound_is_enough(models):
    (least,) = Classifier(models / "plain", **PLAIN)(["good film"])
    assert Classifier(models / "plain", **PLAIN, abstain=least.probability)(["good film"])[0].label == "pos"


def test_a_line_that_is_stranger_than_others_has_no_label(classifier):
    lines = ["good", "good film", "film", "xyz", ""]
    found = classifier("used", outliers=0.4)(lines)
    assert [one.label for one in found] == ["pos", "pos", "", "und", ""]
    assert found[2].top(1)[0][0] == "none"
    assert [one.label for one in classifier("used", outliers=0.5)(lines)] == ["pos", "", "", "und", ""]
    assert [one.label for one in classifier("used", outliers=0.4, abstain=0.9)(lines)] == ["pos", "", "", "und", ""]
    assert [one.label for one in classifier("used", outliers=0)(lines)] == ["pos", "pos", "none", "und", ""]
    several = classifier("used-several", outliers=0.6)(lines)  # the highest logits are 3, 1.5 and 1
    assert [one.label for one in several] == ["pos", "pos", "", "", ""]
    restored = pickle.loads(pickle.dumps(classifier("used", outliers=0.4)))
    assert [one.label for one in restored(lines)] == [one.label for one in found]


def test_any_number_of_labels_may_hold(classifier):
    lines = ["good", "good bad", "film", "very good bad", ""]
    found = classifier("several")(lines)
    # Thresholds are .6, .6 and .7. "good bad" has logits 1.5, 1.5, 0, whose sigmoids are .82, .82, .5; "film" 0, 0, 1: .73.
    assert [one.labels for one in found] == [("pos",), ("pos", "neg"), ("none",), ("pos", "neg"), ()]
    assert [one.label for one in found] == ["pos", "pos", "none", "pos", ""]
    assert found[1].probabilities.tolist() == pytest.approx([sigmoid(1.5), sigmoid(1.5), 0.5])
    every = classifier("several", threshold=0.5)(lines)
    assert [one.labels for one in every] == [
        ("pos", "neg", "none"), ("pos", "neg", "none"), ("none", "pos", "neg"), ("pos", "neg", "none"), (),
    ]  # fmt: skip


def test_finer_labels_add_up_to_the_label_they_belong_to(classifier):
    model, fine = classifier("kinds"), classifier("kinds", fine=True)
    assert (model.labels, fine.labels) == (("pos", "any", "und"), (*LABELS, "und"))
    # The mean of good, film and bad is (1, 1, 1/3).
    (one,) = model(["good film bad"])
    first, second, third = softmax(1, 1, 1 / 3)
    assert one.probabilities.tolist() == pytest.approx([first, second + third, 0])
    assert one.label == "any"
    assert one.probability == pytest.approx(second + third)
    (one,) = fine(["good film bad"])
    assert one.label == "pos"
    assert one.probabilities.tolist() == pytest.approx([first, second, third, 0])


def test_a_line_of_which_the_model_sees_nothing(classifier):
    lines = ["", "  ", "123 xyz", "good"]
    found = classifier("kinds")(lines)
    assert [one.label for one in found] == ["", "", "und", "pos"]
    assert [one.probability for one in found][:3] == [0, 0, 1]
    assert found[2].probabilities.tolist() == [0, 0, 1]
    assert found[2].top(2)[0] == ("und", 1)
    assert found[0].top(2) == []
    model = classifier("plain")
    assert [one.label for one in model(lines)] == ["", "", "", "pos"]
    assert model.unknown_lines == 1
    assert not model(lines)[2].probabilities.any()
    assert [one.label for one in classifier("two", head="numbers")(lines)] == ["", "", "one", "one"]


def test_heads_by_name(classifier):
    letters, numbers = classifier("two"), classifier("two", head="numbers")
    assert (letters.labels, numbers.labels) == (("a", "b"), ("one", "two", "three"))
    assert letters(["bad"])[0].probabilities.tolist() == pytest.approx(softmax(0, 3))
    assert numbers(["bad"])[0].probabilities.tolist() == pytest.approx(softmax(0, 3, 0))


def test_the_likeliest_labels(classifier):
    (one,) = classifier("plain")(["good film"])
    first, last, second = softmax(1.5, 0, 0.5)
    assert one.top(2) == [("pos", pytest.approx(first)), ("none", pytest.approx(second))]
    assert one.top(9)[2] == ("neg", pytest.approx(last))


@pytest.mark.parametrize("labels", [3, 200])
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_ranks_equal_a_full_sort(labels, n):
    (one,) = heads_of([head([f"label {at}" for at in range(labels)])], False, "model")
    logits = np.random.default_rng(labels + n).standard_normal((40, labels)).astype(np.float32)
    found = Classified(one, logits, np.ones(40, bool), np.zeros(40, bool)).listed(n)
    for line, of_line in zip(logits, found, strict=True):
        assert [at for at, _ in of_line] == np.argsort(-line, kind="stable")[:n].tolist()
        assert [share for _, share in of_line] == sorted((share for _, share in of_line), reverse=True)


def test_a_line_does_not_depend_on_its_batch(classifier):
    model = classifier("plain", batch_tokens=8)
    random = np.random.default_rng(1)
    lines = [" ".join(random.choice(WORDS, random.integers(0, 12))) for _ in range(200)]
    together = model(lines)
    for line, one in zip(lines, together, strict=True):
        assert np.array_equal(model([line])[0].probabilities, one.probabilities)
    assert len(together) == len(together[:]) == 200
    assert together[-1].label == together[199].label


def test_lists_iterators_and_pickles(classifier):
    model = classifier("plain")
    assert [one.label for one in model(iter(["good\n", "bad"]))] == ["pos", "neg"]
    assert list(model([])) == []
    again = pickle.loads(pickle.dumps(model))
    assert [one.label for one in again(["good", ""])] == ["pos", ""]
    with pytest.raises(TypeError, match="give a list"):
        model("good")


def test_a_long_line_is_cut_and_counted(tmp_path):
    model = Classifier(write_classifier(tmp_path / "short", limits={"tokens": 2}), **PLAIN)
    assert [one.label for one in model(["bad bad good good good", "good"])] == ["neg", "pos"]
    assert model.long_lines == 1


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("two", {"head": "leters"}, "head=leters: unknown; did you mean 'letters'"),
        ("plain", {"head": "x"}, "head=x: unknown; the model has one head, which has no name"),
        ("plain", {"threshold": 0.5}, "threshold=0.5: the model gives each line one label"),
        ("plain", {"fine": True}, "fine: the model has no labels that belong to coarser ones"),
        ("plain", {"abstain": 2}, "abstain=2: must be a number from 0 to 1"),
        ("used", {"outliers": float("nan")}, "outliers=nan: must be a number from 0 to 1"),
        ("plain", {"outliers": "0.1"}, "outliers=0.1: must be a number from 0 to 1"),
        ("plain", {"threshold": "high"}, "threshold=high: must be a number from 0 to 1"),
        ("plain", {"outliers": 0.1}, "outliers=0.1: the model does not state what lines it is used to"),
        ("vectors", {"labels": ["cat", "dog"], "outliers": 0.1}, "outliers: has no effect with labels of your own"),
        ("plain", {"batch_tokens": 0}, "batch_tokens=0: must be at least 1"),
        ("vectors", {"labels": ["cat"]}, "labels: one label leaves nothing to choose"),
        ("vectors", {"labels": ["cat", "cat"]}, "labels: 'cat' occurs twice"),
        ("vectors", {"labels": ["cat", " "]}, "labels: a label is blank"),
        ("vectors", {"labels": "cat"}, "labels is one str"),
        ("vectors", {"labels": ["cat", "dog"], "head": "x"}, "head: has no effect with labels of your own"),
    ],
)
def test_an_option_that_cannot_be(classifier, name, options, said):
    with pytest.raises(UsageError) as caught:
        classifier(name, **options)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ([], "states no head"),
        ([head(())], "has no label"),
        ([head(("a", "a", "b"))], "a label occurs twice"),
        ([head(several=True, thresholds=[0.5])], "states 1 thresholds for 3 labels"),
        ([head(typical=[0.0, 1.0])], "'typical' is not 201 ascending numbers"),
        ([head(typical=[0.0] * 200 + [-1.0])], "'typical' is not 201 ascending numbers"),
        ([head(several=True, coarse={"pos": "neg"})], "'coarse' is for a head of which exactly one label holds"),
        ([head(("a", "b"))], "its graph gives 3 logits, its heads have 2 labels"),
    ],
)
def test_a_model_whose_heads_do_not_fit(tmp_path, changed, said):
    folder = write_classifier(tmp_path / "wrong", facts={"heads": changed, "attends": False})
    with pytest.raises(TextkitError, match=said):
        Classifier(folder, **PLAIN)


def test_a_model_of_another_task(models):
    with pytest.raises(TextkitError, match="a model for 'embed', not for 'classify'"):
        Classifier(models / "vectors")
    with pytest.raises(TextkitError, match="a model for 'classify', not for 'embed'"):
        Classifier(models / "plain", labels=["a", "b"])


def test_numbers_of_a_stranger_s_model_that_mean_nothing(tmp_path):
    table = TABLE.copy()
    table[1], table[2] = 0, np.nan
    folder = write_classifier(tmp_path / "odd", head(temperature=1e-300), table=table)
    found = Classifier(folder, **PLAIN)(["bad", "good"])
    assert [one.label for one in found] == ["pos", "pos"]
    assert math.isnan(found[0].probability)
    assert found[1].probability == pytest.approx(1 / 3)


def test_ten_thousand_labels(tmp_path):
    names = [f"label {at}, of many" for at in range(10_000)]
    table = np.zeros((len(WORDS), len(names)), np.float32)
    table[1, 7], table[2, 9_999] = 20, 20
    model = Classifier(write_classifier(tmp_path / "many", head(names), table=table), **PLAIN)
    assert [one.label for one in model(["good", "bad"] * 3)] == [names[7], names[9_999]] * 3
    assert 1 <= model.lines_at_once < 1000
    assert model(["good"])[0].probability == pytest.approx(math.exp(20) / (math.exp(20) + 9_999))


# --- labels of one's own ----------------------------------------------------------------------------------------------


def test_the_nearest_description(models):
    # cat is (4, -4, 0), dog (0, 8, 1), sat (2, 2, 2); a description is the mean of its words.
    model = Classifier(models / "vectors", labels={"feline": "cat", "dog": "", "resting": "sat cat"}, **PLAIN)
    found = model(["the cat", "dog dog", "", "xyz"])
    assert [one.label for one in found] == ["feline", "dog", "", ""]
    unit = [np.array(vector) / np.linalg.norm(vector) for vector in ((4, -4, 0), (0, 8, 1), (3, -1, 1))]
    line = np.array([2.5, -2, 0]) / np.linalg.norm([2.5, -2, 0])
    assert found[0].probabilities.tolist() == pytest.approx(
        softmax(*(20 * (line @ vector) for vector in unit)), rel=1e-4
    )
    assert model.unknown_lines == 1
    again = pickle.loads(pickle.dumps(model))
    assert [one.label for one in again(["the cat"])] == ["feline"]


def test_underscores_of_a_label_are_spaces(models):
    found = Classifier(models / "vectors", labels=["sat_cat", "dog"], **PLAIN)(["cat sat"])
    assert found[0].label == "sat_cat"
    assert found[0].probability == pytest.approx(1, abs=1e-3)


def test_a_description_of_unknown_words(models):
    model = Classifier(models / "vectors", labels=["cat", "xyz"], **PLAIN)
    with pytest.raises(UsageError, match="labels: the model knows no word of 'xyz'"):
        model(["cat"])


def test_loaded_by_the_front_door(models, monkeypatch):
    assert isinstance(textkit.load(models / "plain", device="cpu"), textkit.Classifier)
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", str(models / "vectors"))
    model = textkit.load(task="classify", labels=["cat", "dog"], abstain=0.9, threads=1)
    found = model(["cat", "cat dog the"])
    assert isinstance(found[0], textkit.Classification)
    assert [one.label for one in found] == ["cat", "dog"]
    assert bundle.read(models / "vectors").digest == model.bundle.digest


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a good film", "a|good|film"),
        (" (Really?!)  don't ", "(|Really|?!)|don't"),
        ("C++ $5 :) ...", "C++|$5|:)|..."),
        ("我爱 ab猫cd", "我|爱|ab|猫|cd"),
        ("ดีมาก", "ดี|ม|า|ก"),
        ("हिन्दी नहीं", "हिन्दी|नहीं"),
        ("", ""),
    ],
)
def test_words_of_a_line(line, expected):
    assert "|".join(line[start:stop] for start, stop in words_of(line)) == expected


def test_the_word_that_a_token_is_part_of():
    words = [(0, 4), (5, 6), (8, 12)]
    assert owners(words, [(0, 0), (0, 2), (2, 4), (3, 6), (4, 5), (6, 8), (7, 10), (1, 2)]) == [
        -1,
        0,
        0,
        0,
        -1,
        -1,
        2,
        0,
    ]
    assert owners([], [(0, 1)]) == [-1]


# --- what words do ----------------------------------------------------------------------------------------------------


def test_attention_is_the_weight_of_a_word(classifier):
    model = classifier("attends")
    line = "Very good film, xyz"
    (found,) = model.explain([line])
    shares = {"Very": 2, "good": 4, "film": 1, ",": 1, "xyz": 1}
    assert {line[word.start : word.stop]: word.weight for word in found.words} == {
        word: pytest.approx(share / 9) for word, share in shares.items()
    }
    logits = (np.array([2, 4, 1, 1, 1]) / 9) @ TABLE[[6, 1, 3, 5, 0]]
    assert found.answer.probabilities.tolist() == pytest.approx(softmax(*logits.tolist()))


def test_attention_finds_words_in_a_line_that_was_cleaned(classifier):
    line = "very go\u00adod, \ufb01lm"  # a soft hyphen, a ligature
    (found,) = classifier("attends").explain([line])
    assert [(line[word.start : word.stop], word.weight) for word in found.words] == [
        ("very", 2 / 8), ("go\u00adod", 4 / 8), (",", 1 / 8), ("\ufb01lm", 1 / 8),
    ]  # fmt: skip


def test_what_ends_a_line_that_is_cut_has_no_share_in_a_word(classifier):
    """<unk> good film very, with the looks 1, 4, 1 and 2: the last, which is part of no word, stands in the place of "bad"."""
    line = "good film bad not"
    (found,) = classifier("short").explain([line])
    assert {line[word.start : word.stop]: word.weight for word in found.words} == {
        word: pytest.approx(share / 8) for word, share in {"good": 4, "film": 1, "bad": 0, "not": 0}.items()
    }


def test_lines_are_cut_into_tokens_once_and_attention_is_asked_for_only_where_it_helps(classifier, monkeypatch):
    for name, encoded, asked in (("attends", 1, 1), ("words", 2, 0)):  # the second: the line, and it without each word
        model, calls = classifier(name), {"encode": 0, "importance": 0}

        def counted(method: str, real: Any, calls: dict[str, int] = calls) -> Any:
            def call(*args: Any) -> Any:
                calls[method] += 1
                return real(*args)

            return call

        for method in calls:
            monkeypatch.setattr(model.source, method, counted(method, getattr(model.source, method)))
        model.explain(["good film"])
        assert calls == {"encode": encoded, "importance": asked}


def test_words_are_left_out_where_nobody_knows_the_place_of_a_token(classifier):
    model = classifier("words")
    (found,) = model.explain(["good film"])
    assert model.attends
    whole, without = softmax(3 * 4 / 5, 0, 1 / 5)[0], softmax(0, 0, 1)[0]
    assert found.words[0].weight == pytest.approx(math.log(whole / without), rel=1e-4)


def test_a_word_that_is_left_out(classifier):
    model = classifier("plain")
    (found,) = model.explain(["good film"])
    whole, alone, without = softmax(1.5, 0, 0.5)[0], softmax(3, 0, 0)[0], softmax(0, 0, 1)[0]
    assert [(word.start, word.stop) for word in found.words] == [(0, 4), (5, 9)]
    assert found.words[0].weight == pytest.approx(math.log(whole / without), rel=1e-4)
    assert found.words[1].weight == pytest.approx(math.log(whole / alone), rel=1e-4)
    assert found.words[1].weight < 0
    assert found.answer.label == "pos"


def test_a_line_of_one_word_and_lines_of_none(classifier):
    model = classifier("plain")
    found = model.explain(["good", "", "xyz", "good xyz"])
    assert len(found) == 4
    (word,) = found[0].words
    assert word.weight == pytest.approx(math.log(softmax(3, 0, 0)[0] * 3), rel=1e-4)  # without it all are as likely
    assert [len(one.words) for one in found[1:]] == [0, 0, 2]
    assert found[3].words[1].weight == 0
    assert model.unknown_lines == 1  # those with a word left out are not the user's


def test_only_so_many_words_are_left_out(classifier):
    found = classifier("plain").explain([" ".join(["film"] * 150), "good"])
    assert found.cut == 1
    assert [len(one.words) for one in found] == [100, 1]


def test_words_of_the_likeliest_label_of_several(classifier):
    (found,) = classifier("several").explain(["good bad"])
    assert found.words[0].weight == pytest.approx(math.log(sigmoid(1.5) / 0.5), rel=1e-4)
    assert found.words[1].weight == pytest.approx(math.log(sigmoid(1.5) / sigmoid(3)), rel=1e-4)


def test_words_of_labels_of_ones_own(models):
    model = Classifier(models / "vectors", labels=["cat", "dog"], **PLAIN)
    (found,) = model.explain(["cat dog dog"])
    assert found.answer.label == "dog"
    assert [word.weight > 0 for word in found.words] == [False, True, True]


def test_the_likeliest_label_is_that_of_the_probabilities_where_labels_add_up():
    """Logits alone decide where they can; a label of several columns wins by their sum."""
    facts = [head(("a", "b", "c", "d", "e", "f", "g"), coarse={"d": "a", "e": "b", "c": "a"}, temperature=1.7)]
    (one,) = heads_of(facts, False, "model")
    drawn = np.random.default_rng(8)
    logits = drawn.standard_normal((3000, 7)) * drawn.choice([0.1, 1, 9], (3000, 1))
    logits[0] = [1, -9, 1, 1, -9, 1.9, -9]  # three columns of "a" against one of "f"
    logits = logits.astype(np.float32)
    seen = np.ones(len(logits), bool)
    answers = Classified(one, logits, seen, ~seen)
    found = answers.likeliest
    assert "probabilities" not in answers.__dict__
    assert found[0] == 0
    assert found.tolist() == answers.probabilities.argmax(1).tolist()
    assert 0 < len(one.likeliest(logits)[1]) < len(logits)
