"""The contract between textkit and a family of models; the graphs of a task are in tasks.py. Knows no model, imports no torch.

A plugin says how text becomes ids, how its network looks, how text becomes batches, what the loss is and which graphs it
exports. The training loop, checkpoints, export with its parity check, the command line and streaming are given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit.text.rule import TextRule

API_VERSION = 1

Options = TypeVar("Options")  # a plugin's Config
Rule = TypeVar("Rule", bound="TextRule")  # how its text becomes ids


@dataclass(frozen=True)
class Graph:
    """What a plugin gives the exporter for one graph of its task.

    `module`: for `embed`, a torch module (ids i64[line, token], weight f32[line, token]) -> f32[line, token, dim]; the
    exporter adds pooling and normalisation. For `translate`, see docs/architecture.md: an `encode` module names its
    `outputs`, a `step` module its `memory` and `state`. `constants`: arrays the wrapper of the task needs (embed: `probability`
    f32[id], the unigram probability of each id, for SIF weights a / (a + p)). `limit`: the most tokens of a line that the
    module takes, 0 for any number. `facts`: the task's own keys of the manifest, where the module cannot say them (labels).

    A module that only looks rows up is best given as a torch.nn.Embedding: its graph is made without torch's exporter,
    in milliseconds, and int8 gives each row its own scale.
    """

    module: torch.nn.Module
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    limit: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """The engine's own options. A plugin's class attribute `training` holds its defaults; --set and --config override."""

    epochs: int = 10  # passes over the training data
    max_steps: int = 0  # stop after this many updates; 0: epochs decide
    batch_size: int = 32  # examples a batch; 1: single-example descent; 0: full-batch descent
    accumulate: int = 1  # batches summed into one update
    optimizer: Literal["sgd", "nt-asgd", "adagrad", "adam", "adamw"] = "adam"  # sgd | nt-asgd | adagrad | adam | adamw
    learning_rate: float = 1e-3  # the peak of the schedule
    momentum: float = 0.0  # sgd, nt-asgd
    nonmono: int = 5  # nt-asgd: the mean of the weights is kept once the dev score is worse than so many scores before
    betas: tuple[float, float] = (0.9, 0.999)  # adam, adamw
    epsilon: float = 1e-8  # adagrad, adam, adamw
    schedule: Literal["constant", "linear", "inverse-sqrt", "cosine"] = (
        "constant"  # constant | linear | inverse-sqrt | cosine
    )
    warmup: int = 0  # updates in which the rate rises linearly from 0
    cooldown: int = 0  # updates at the end in which the rate falls linearly to min_learning_rate, whatever the schedule
    min_learning_rate: float = 0.0  # where linear, cosine and a cooldown end
    clip: float = 0.0  # largest gradient norm; 0: no clipping
    l1: float = 0.0  # penalty on the sum of |weight|
    l2: float = 0.0  # penalty on half the sum of weight^2
    weight_decay: float = 0.0  # adamw's decoupled decay
    ema: float = 0.0  # decay of a moving average of the weights, which is scored and kept; 0: none
    patience: int = 0  # stop after this many dev scores without a better one; 0: never
    eval_steps: int = 0  # updates between dev scores; 0: once an epoch
    checkpoint_seconds: float = 60.0  # at most this much work is lost to kill -9
    checkpoint_steps: int = 0  # a checkpoint every so many updates as well; 0: time alone decides
    precision: Literal["fp32", "bf16", "fp16"] = (
        "fp32"  # fp32 | bf16 | fp16: mixed precision by autocast; fp16 scales the loss
    )
    log_seconds: float = 1.0  # at most one line of metrics.jsonl in this time

    needs: ClassVar[Mapping[str, str]] = {  # see Plugin.Config
        "momentum": "optimizer=sgd|nt-asgd",
        "nonmono": "optimizer=nt-asgd",
        "betas": "optimizer=adam|adamw",
        "epsilon": "optimizer=adagrad|adam|adamw",
        "weight_decay": "optimizer=adamw",  # l2 is for the others
        "min_learning_rate": "schedule=linear|inverse-sqrt|cosine or cooldown!=0",
    }


@dataclass(frozen=True)
class Score:
    """The figure that early stopping watches. `detail` is logged beside it."""

    name: str
    value: float
    higher_is_better: bool
    detail: Mapping[str, float] = field(default_factory=dict)
    samples: tuple[str, ...] = ()  # lines to look at while it learns: "source ||| output ||| reference"


@dataclass(frozen=True)
class Epoch:
    """Which pass over the data, and where in it to begin.

    `batch_size`: how many examples a batch should have; full-batch descent asks for pieces of this size and sums them up to
    one update. `scratch`: a folder for encoded data, there until the training is complete; None: keep it in memory.
    `processes`: how many train together. `facts`: what a plugin puts in is kept in run.json.
    """

    number: int
    seed: int
    start: int = 0  # batches already done
    batch_size: int = 32
    scratch: Path | None = None
    processes: int = 1
    facts: MutableMapping[str, Any] = field(default_factory=dict, compare=False)


class Update(Protocol):
    """Learns from one batch where autograd is too slow: stands in for `loss` and the optimizer, changes the network in place.

    Returns what to log, with `loss` and `examples`.
    """

    def __call__(
        self, network: Any, batch: Any, learning_rate: float, config: Any, threads: int, /
    ) -> Mapping[str, Any]: ...


class Fit(Protocol):
    """Trains a model that no gradient steps train: fills the network in place, yields what to show while it works.

    Of `epoch` the seed, the folder `scratch` and `facts` count. A fit that is interrupted begins anew.
    """

    def __call__(
        self, network: Any, corpus: Corpus, vocabulary: Any, config: Any, epoch: Epoch, /
    ) -> Iterable[Mapping[str, Any]]: ...


class Steps(Protocol):
    """How many batches an epoch has."""

    def __call__(self, corpus: Corpus, vocabulary: Any, config: Any, epoch: Epoch, /) -> int: ...


class Plugin(ABC, Generic[Options, Rule]):
    """A family of models. One instance lives in the registry; it holds no state of a training.

    A subclass may say what its Config and its text rule are, as in Plugin[MyConfig, Words], for whoever checks types.
    """

    name: ClassVar[str]  # what users type; the entry point has the same name
    task: ClassVar[str]  # a name of textkit/task_registry.py
    summary: ClassVar[str]  # one line for `textkit plugins`
    # A frozen dataclass of hyperparameters, the papers' names, one comment a field. Two mappings beside the fields, each
    # added to those of the classes it derives from: `needs` says with which other options an option has an effect
    # ("optimizer=sgd|nt-asgd", "cooldown!=0", "hidden=@dim", put together by " or "), so that it is refused where it has none;
    # `renamed` leads from a name that an option once had to the one it has.
    Config: ClassVar[type]
    corpus: ClassVar[str] = ""  # who reads DATA, as textkit.task.Task.corpus says it; "": as all families of the task
    training: ClassVar[Training] = Training()  # this family's defaults of the engine's options
    unheeded: ClassVar[Mapping[str, str]] = {}  # engine options that it does not read, each with what decides instead
    api: ClassVar[int] = API_VERSION

    @abstractmethod
    def vocabulary(self, corpus: Corpus, config: Options) -> Rule:
        """How text becomes ids: trained on `corpus` or given. Raises TextkitError for a corpus too small."""

    @abstractmethod
    def network(self, config: Options, vocabulary: Rule) -> torch.nn.Module:
        """An untrained network on the CPU. torch's generator is seeded before the call."""

    @abstractmethod
    def batches(self, corpus: Corpus, vocabulary: Rule, config: Options, epoch: Epoch) -> Iterator[Any]:
        """The batches of one epoch, the same for the same (epoch.seed, epoch.number), beginning with batch `epoch.start`.

        A batch is a tensor, or any tuple, list or dict of tensors and plain values; the engine moves it to the device.
        """

    def loss(self, network: torch.nn.Module, batch: Any) -> tuple[torch.Tensor, Mapping[str, float]]:
        """The objective as a scalar with a gradient (a mean over the batch), and what to log.

        Logged `examples` and `words` are counts, for the speed; `weight` says what the loss is a mean of where that is
        not the examples (tokens, say), so that accumulated batches add up to the bigger batch. The rest is shown.
        """
        raise TypeError(f"plugin {self.name!r} defines none of loss, update, fit")

    def score(self, network: torch.nn.Module, dev: Corpus, vocabulary: Rule, config: Options) -> Score | None:
        """The dev score. A plugin without one trains on everything and never stops early."""
        return None

    @abstractmethod
    def graphs(self, network: torch.nn.Module, vocabulary: Rule, config: Options) -> Mapping[str, Graph]:
        """The modules behind the graphs of `task`."""

    # Two ways of learning without the gradient of a loss; None where the plugin does not go that way.
    update: ClassVar[Update | None] = None
    fit: ClassVar[Fit | None] = None

    # Where it can train, of "cpu" and "cuda"; None: on both down a gradient, on the CPU alone through either door.
    devices: ClassVar[tuple[str, ...] | None] = None

    # Whether its first update, or its fit, compiles kernels: a few seconds the first time on a machine.
    compiles: ClassVar[bool] = False

    # None: schedules that must know how many batches an epoch has (linear, cosine) have them counted.
    steps: ClassVar[Steps | None] = None

    def unit(self, vocabulary: Rule) -> str:
        """What a perplexity that it logs is of: one "word", "token", "byte"."""
        return "token"

    def defaults(self) -> dict[str, Any]:
        """Serving defaults written into the manifest: some of the task's `settings`."""
        return {}

    def decided(self, config: Options, sample: Sequence[str]) -> dict[str, Any]:
        """More of them, which the options of the training decide, or a sample of its lines."""
        return {}
