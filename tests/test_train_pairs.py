"""`textkit train` on pairs, from files to weights: two files or TSV, the split, resume, refusal of what does not match."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from textkit.cli import run as run_command
from textkit.cli.options import Messages
from textkit.config import resolve
from textkit.corpora.pairs import PairCorpus
from textkit.plugin import Epoch
from textkit.registry import registry
from textkit.training.recipe import Recipe, begin
from textkit.training.run import Run
from textkit.training.trainer import train

TINY = (
    "dim=8", "heads=2", "encoder_layers=1", "decoder_layers=1", "feedforward=8", "tokenizer=word",
    "batch_tokens=256", "epochs=2", "score=loss", "warmup=1",
)  # fmt: skip
THINGS, DINGE = ("bikes", "cars", "dogs"), ("Räder", "Autos", "Hunde")


@pytest.fixture
def textkit(tmp_path, monkeypatch, capfd):
    """textkit train(word...) -> exit code, stderr; runs in this process, in a folder with files of 60 pairs."""
    monkeypatch.chdir(tmp_path)
    english = [f"a man sees {n % 7} red {THINGS[n % 3]} ." for n in range(60)]
    german = [f"ein Mann sieht {n % 7} rote {DINGE[n % 3]} ." for n in range(60)]
    Path("a.en").write_text("\n".join(english))
    Path("a.de.gz").write_bytes(gzip.compress(("\n".join(german) + "\n").encode()))
    pairs = [f"{source}\t{target}\tCC-BY" for source, target in zip(english, german, strict=True)]
    Path("a.tsv").write_text("\n".join(pairs[:30]) + "\n")
    Path("b.tsv").write_text("\n".join(pairs[30:]) + "\n")

    def textkit(*words, after=()):
        capfd.readouterr()
        settings = (word for setting in TINY for word in ("--set", setting))
        code = run_command(["train", *words, *settings, *after, "--threads", "1", "--device", "cpu"], Messages())
        return code, capfd.readouterr().err

    return textkit


def weights(folder):
    return Path(folder, "weights.safetensors").read_bytes()


def test_two_files_and_tsv_teach_the_same(textkit):
    assert textkit("transformer", "a.en", "a.de.gz", "-o", "two")[0] == 0
    assert textkit("transformer", "a.tsv", "b.tsv", "-o", "tsv")[0] == 0
    assert weights("two") == weights("tsv")
    run = Run.open(Path("two"))
    assert isinstance(run.corpus, PairCorpus)
    assert run.dev_corpus is None
    lines = list(run.corpus.lines())
    assert len(lines) == 60
    parts = [PairCorpus(["two/dev.txt"]), PairCorpus(["two/test.txt"]), run.corpus.with_part("train", run.seed)]
    assert sorted(line for part in parts for line in part.lines()) == sorted(lines)
    counts = run.split["lines"]
    assert run.facts["pairs"] == {"kept": counts["train"], "empty": 0, "long": 0, "lopsided": 0}
    assert set(run.sample()) <= set(lines)
    assert run.facts["words"] == 2 * sum(len(line.split("\t")[1].split()) + 1 for line in parts[2].lines())


def test_dev_pairs_of_two_files(textkit):
    code, error = textkit("transformer", "a.tsv", "b.tsv", "--dev", "a.en", "--dev", "a.de.gz", "-o", "run")
    assert (code, "dev loss" in error) == (0, True)
    run = Run.open(Path("run"))
    assert run.split is None
    assert [pair.count("\t") for pair in run.dev_corpus.lines()] == [1] * 60
    assert run.facts["pairs"]["kept"] == 60


SPELT = ("tokenizer=bpe", "vocab_size=340", "bpe_dropout=0.3")


@pytest.mark.parametrize("settings", [(), SPELT], ids=["words", "bpe_dropout"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(settings, textkit):
    words = [word for setting in settings for word in ("--set", setting)]
    assert textkit("transformer", "a.tsv", "b.tsv", "-o", "whole", after=words)[0] == 0
    steps = Run.open(Path("whole")).facts["steps"]
    assert steps > 3
    begin(Path("begun"), Recipe("transformer", [Path("a.tsv"), Path("b.tsv")], [], None, (*TINY, *settings), None))
    for _ in range(steps):  # stopped after every batch
        run = Run.open(Path("begun"))
        list(train(run, run.corpus, run.dev_corpus, "cpu", 1, resume=True, stop=lambda: True))
    assert textkit("-o", "begun", "--resume", after=words)[0] == 0
    assert weights("begun") == weights("whole")
    assert Run.open(Path("begun")).facts["pairs"] == Run.open(Path("whole")).facts["pairs"]
    assert not Path("begun/scratch").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.en", "b.tsv"], "a.en has 60 lines, b.tsv 30: line by line they must belong together"),
        (["a.en"], "a.en: has no tab in its first line: pairs are TSV files, or two files of lines"),
        (["a.tsv", "--dev", "a.en"], "a.en: has no tab in its first line"),
        (["a.tsv", "--set", "vocab_size=3"], "vocab_size=3: too small: 4 special tokens and a word need 5"),
        (["a.tsv", "--dev", "b.tsv", "--set", "max_tokens=3"], "a.tsv: no pair is left to learn from: 30 long"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_line_and_no_folder(textkit, words, message):
    code, error = textkit("transformer", "-o", "run", *words)
    assert code == 1
    assert message in error.splitlines()[-1]
    assert error.splitlines()[-1].startswith("textkit: ")
    assert not Path("run").exists()


@pytest.mark.parametrize("family", ["transformer", "seq2seq"])
def test_r_drop_begins_at_its_epoch_and_asks_two_passes_to_agree(family, textkit):
    plugin = registry.get(family)
    sizes = {"transformer": TINY[:5], "seq2seq": ("dim=8", "hidden=8")}[family]
    words = (*sizes, "tokenizer=word", "batch_tokens=256", "dropout=0.5", "rdrop=3", "rdrop_epoch=1")
    config, _ = resolve(plugin, None, words)
    corpus = PairCorpus([Path("a.tsv")])
    rule = plugin.vocabulary(corpus, config)
    before, after = (next(plugin.batches(corpus, rule, config, Epoch(number, 1, 0, 32, None))) for number in (0, 1))
    assert (before.agreement, after.agreement) == (0.0, 3.0)
    torch.manual_seed(0)
    network = plugin.network(config, rule)

    def loss(agreement):
        torch.manual_seed(1)
        found, log = plugin.loss(network, after._replace(agreement=agreement))
        assert log["words"] == log["weight"] == after.words
        assert log["examples"] == len(after.source)
        return found.item()

    network.train()
    one, two, three = loss(1.0), loss(2.0), loss(3.0)
    assert two > one
    assert three - two == pytest.approx(two - one, rel=1e-3), "in proportion to the weight"
    network.eval()
    assert loss(3.0) == pytest.approx(loss(0.0), rel=1e-5), "without dropout there is nothing to agree on"


def told(sources: int, targets: int) -> str:
    return "\t".join(
        " ".join(f"The {word} runs away." for word in ("dog", "cat", "man")[:n]) for n in (sources, targets)
    )


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ([told(3, 1)] * 20, False),  # summaries
        ([told(3, 1)] * 10 + [told(1, 1)] * 10, False),
        ([told(3, 3)] * 20, True),
        ([told(1, 1)] * 20, True),
        ([told(2, 2)] * 19 + [told(2, 1)], True),
        ([told(1, 1)] * 99 + [told(3, 1)], True),  # one in a hundred means nothing
        (["a\t"] * 5, True),
        ([], True),
    ],
)
def test_whether_lines_are_cut_into_sentences_is_guessed_from_the_pairs(pairs, wanted):
    plugin = registry.get("transformer")
    assert plugin.decided(plugin.Config(), pairs) == {"sentences": wanted}
    for said in (True, False):
        assert plugin.decided(plugin.Config(sentences=said), pairs) == {"sentences": said}


def test_what_training_decides_of_sentences_is_a_default_of_the_model(tmp_path):
    from types import SimpleNamespace

    from textkit.exporting.export import _defaults_of

    plugin = registry.get("seq2seq")
    for said, wanted in ((None, False), (True, True)):
        run = SimpleNamespace(config=plugin.Config(sentences=said), sample=lambda: [told(3, 1)] * 9)
        assert _defaults_of(plugin, run)["sentences"] is wanted
