"""Options: a TOML file overrides defaults, and --set overrides both; an error names what does not fit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from textkit import config
from textkit.errors import TextkitError, UsageError
from textkit.plugin import Plugin, Training


@dataclass(frozen=True)
class Options:
    dim: int = 100
    sample: float = 1e-3
    shared: bool = False
    mode: str = "skipgram"
    lengths: tuple[int, ...] = (3, 6)
    seed: int | None = None
    side: Literal["left", "right"] = "left"

    def __post_init__(self) -> None:
        if self.dim > 10_000:
            raise ValueError("dim is at most 10000")


class Family(Plugin):
    name, task, summary, Config = "family", "embed", "for these tests", Options
    training = Training(epochs=5, learning_rate=0.025)
    vocabulary = network = batches = graphs = None


PLUGIN = Family()


def toml(folder: Path, text: str) -> Path:
    file = folder / "options.toml"
    file.write_text(text)
    return file


def test_defaults_are_the_plugins():
    options, training = config.resolve(PLUGIN)
    assert options == Options()
    assert (training.epochs, training.learning_rate, training.batch_size) == (5, 0.025, 32)


def test_set_beats_file_beats_defaults(tmp_path):
    file = toml(
        tmp_path, "dim = 50\n[training]\nepochs = 7\nlearning_rate = 1\n[model]\nshared = true\nlengths = [2]\n"
    )
    options, training = config.resolve(PLUGIN, file, ["epochs=9", "mode = cbow"])
    assert options == Options(dim=50, shared=True, lengths=(2,), mode="cbow")
    assert (training.epochs, training.learning_rate) == (9, 1.0)
    assert type(training.learning_rate) is float


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("dim=7", "dim", 7),
        ("sample=1e-5", "sample", 1e-5),
        ("sample=2", "sample", 2.0),
        ("shared=yes", "shared", True),
        ("shared=0", "shared", False),
        ("lengths=1, 2,3", "lengths", (1, 2, 3)),
        ("seed=4", "seed", 4),
        ("seed=none", "seed", None),
        ("side=right", "side", "right"),
        ("mode=a=b", "mode", "a=b"),
    ],
)
def test_values_from_the_command_line(assignment, key, value):
    got = getattr(config.resolve(PLUGIN, assignments=[assignment])[0], key)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("dimm=7", "--set dimm=7: unknown option 'dimm'; did you mean 'dim'?"),
        ("learning_rat=1", "--set learning_rat=1: unknown option 'learning_rat'; did you mean 'learning_rate'?"),
        ("dim", "--set dim: not of the form key=value"),
        ("dim=many", "--set dim=many: dim takes a whole number, not 'many'"),
        ("dim=1.5", "--set dim=1.5: dim takes a whole number, not '1.5'"),
        ("sample=nan", "--set sample=nan: sample takes a number, not 'nan'"),
        ("sample=inf", "--set sample=inf: sample takes a number, not 'inf'"),
        ("shared=maybe", "--set shared=maybe: shared takes true or false, not 'maybe'"),
        ("lengths=1,x", "--set lengths=1,x: lengths takes whole numbers separated by commas, not '1,x'"),
        ("betas=0.9", "--set betas=0.9: betas takes 2 numbers separated by commas, not '0.9'"),
        ("seed=x", "--set seed=x: seed takes a whole number or none, not 'x'"),
        ("side=up", "--set side=up: side takes one of left, right, not 'up'"),
        ("dim=10001", "options of family: dim is at most 10000"),
        (
            "optimizer=adan",
            "--set optimizer=adan: optimizer takes one of sgd, nt-asgd, adagrad, adam, adamw, not 'adan'",
        ),
        (
            "schedule=cosin",
            "--set schedule=cosin: schedule takes one of constant, linear, inverse-sqrt, cosine, not 'cosin'",
        ),
        ("precision=x", "--set precision=x: precision takes one of fp32, tf32, bf16, fp16, not 'x'"),
        ("epochs=0", "epochs=0: must be at least 1"),
        ("accumulate=0", "accumulate=0: must be at least 1"),
        ("batch_size=-1", "batch_size=-1: must be at least 0"),
        ("warmup=-1", "warmup=-1: must be at least 0"),
        ("l2=-0.5", "l2=-0.5: must be at least 0"),
        ("betas=0.9,1.0", "betas=1.0: must be below 1"),
        ("momentum=1", "momentum=1.0: must be below 1"),
    ],
)
def test_what_does_not_fit_is_named(assignment, line):
    with pytest.raises(UsageError) as caught:
        config.resolve(PLUGIN, assignments=[assignment])
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dimm = 1", "unknown option 'dimm'; did you mean 'dim'?"),
        ("dim = true", "dim takes a whole number, not True"),
        ("dim = 1.5", "dim takes a whole number, not 1.5"),
        ("mode = 3", "mode takes a word, not 3"),
        ("lengths = 3", "lengths takes whole numbers separated by commas, not 3"),
        ("[a]\ndim = 1\n[b]\ndim = 2", "'dim' is given twice, in two tables"),
        ("dim = ", "not TOML: "),
        ("[a.b]\ndim = 1", "unknown option 'b'"),
    ],
)
def test_a_file_that_does_not_fit_is_named_and_is_no_usage_error(tmp_path, text, line):
    file = toml(tmp_path, text)
    with pytest.raises(TextkitError) as caught:
        config.resolve(PLUGIN, file)
    assert str(caught.value).startswith(f"{file}: {line}")
    assert caught.value.exit_code == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TextkitError, match=r"none\.toml: No such file or directory"):
        config.resolve(PLUGIN, tmp_path / "none.toml")


def test_a_file_that_is_no_text(tmp_path):
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TextkitError, match="not TOML"):
        config.read_toml(file)


def test_what_is_stored_comes_back():
    options = Options(dim=3, lengths=(1, 2), seed=None, side="right")
    stored = config.as_dict(options)
    assert stored["lengths"] == [1, 2]
    assert config.from_dict(Options, stored) == options
    training = Training(betas=(0.5, 0.75))
    assert config.from_dict(Training, config.as_dict(training)) == training
    with pytest.raises(TextkitError, match="unknown option 'width'"):
        config.from_dict(Options, {"width": 3})
    with pytest.raises(TextkitError, match="dim is at most"):
        config.from_dict(Options, {"dim": 20_000})
