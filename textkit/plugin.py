"""The contract between textkit and a family of models; task.py has the graphs of a task, learning.py the ways of learning
without the gradient of a loss. Knows no model, imports no torch.

A plugin says how text becomes ids, how its network looks, how text becomes batches, what the loss is and which graphs it
exports. The training loop, checkpoints, export with its parity check, the command line and streaming are provided.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from textkit.errors import UsageError
from textkit.learning import Fit as Fit  # for plugins that name their types
from textkit.learning import Update as Update

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
    `outputs`, a `step` module its `memory` and `state`. `constants`: arrays that the task's wrapper needs (embed: `probability`
    f32[id], the unigram probability of each id, for SIF weights a / (a + p)). `limit`: the most tokens of a line that the
    module takes, 0 for any number. `facts`: the task's own keys of the manifest, if the module cannot say them (labels).

    A module that only looks rows up is best given as a torch.nn.Embedding: its graph is made without torch's exporter,
    in milliseconds, and int8 gives each row its own scale.
    """

    module: torch.nn.Module
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    limit: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoder:
    """What a network that was trained for something else makes of the tokens of a line, as a model of the task `embed`.

    `rule`: how a line becomes the ids that the network reads. `graph`: a module as for `embed`. `texts`: the texts in records
    of the training's data, such as the sources of pairs; None: each record is one. `defaults`: serving options of `embed`.
    """

    rule: TextRule
    graph: Graph
    texts: Callable[[Sequence[str]], Sequence[str]] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """The engine's own options. A plugin's class attribute `training` holds its defaults; --set and --config override."""

    epochs: int = 10  # passes over the training data
    max_steps: int = 0  # stop after this many updates; 0: epochs decide
    batch_size: int = 32  # examples per batch; 1: single-example descent; 0: full-batch descent
    accumulate: int = 1  # batches summed into one update
    optimizer: Literal["sgd", "nt-asgd", "adagrad", "adam", "adamw"] = "adam"  # sgd | nt-asgd | adagrad | adam | adamw
    learning_rate: float = 1e-3  # the peak of the schedule
    momentum: float = 0.0  # sgd, nt-asgd
    nonmono: int = 5  # nt-asgd: averaging starts once a dev score is worse than the best from before the last so many
    betas: tuple[float, float] = (0.9, 0.999)  # adam, adamw
    epsilon: float = 1e-8  # adagrad, adam, adamw
    schedule: Literal["constant", "linear", "inverse-sqrt", "cosine"] = "constant"  # of the rate
    warmup: int = 0  # updates during which the rate rises linearly from 0
    cooldown: int = 0  # last updates, during which the rate falls linearly to min_learning_rate under any schedule
    min_learning_rate: float = 0.0  # where linear, cosine and a cooldown end
    clip: float = 0.0  # largest gradient norm; 0: no clipping
    l1: float = 0.0  # penalty on the sum of |weight|
    l2: float = 0.0  # penalty on half the sum of weight^2
    weight_decay: float = 0.0  # adamw's decoupled decay
    ema: float = 0.0  # decay of a moving average of the weights, which is scored and kept; 0: none
    patience: int = 0  # stop after this many dev scores without a better one; 0: never
    eval_steps: int = 0  # updates between dev scores; 0: once an epoch
    checkpoint_seconds: float = 60.0  # at most this much work is lost to kill -9
    checkpoint_steps: int = 0  # a further checkpoint after this many updates; 0: time alone decides
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"  # tf32: products on a GPU; bf16, fp16: autocast
    compile: bool = False  # the loss by torch.compile: quicker batches on a GPU, after a slow first one
    log_seconds: float = 1.0  # at most one line of metrics.jsonl in this many seconds

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
    examples: tuple[str, ...] = ()  # lines to show during training: "source ||| output ||| reference"


@dataclass(frozen=True)
class Epoch:
    """A pass over the data, and the batch at which to begin it.

    `batch_size`: how many examples a batch should have; full-batch descent asks for pieces of this size and sums them into
    one update. `scratch`: a folder for encoded data, which stays until the training is complete; None: keep it in memory.
    `processes`: how many train together; `turn`: which of their batches this process learns from (None: from all), for `owns`.
    `facts`: what a plugin puts here is kept in run.json.
    """

    number: int
    seed: int
    start: int = 0  # batches already done
    batch_size: int = 32
    scratch: Path | None = None
    processes: int = 1
    turn: int | None = None
    facts: MutableMapping[str, Any] = field(default_factory=dict, compare=False)

    def owns(self, number: int) -> bool:
        """Whether this process learns from batch `number` of the epoch. In place of another, `batches` may yield None, which
        spares the work of making it."""
        return self.turn is None or (number - self.start) % self.processes == self.turn


@dataclass(frozen=True)
class Source:
    """A model that a training begins with, instead of with chance.

    `options`: those of the family that made it, by name. `rule`: how its text becomes ids. `weights`: f32 arrays by the names
    that its network, or the module that was exported, gives them. A file of word vectors has none of these, but `vectors`:
    f32[dim] by word.
    """

    name: str
    options: Mapping[str, Any]
    rule: TextRule | None
    weights: Mapping[str, np.ndarray]
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """What a search over options tries (textkit train --budget). Both kinds of options may be named, the engine's too.

    `points`: options that have proved good together; they are tried in their order, after the defaults. `scales`: the values
    that an option may take. Numbers stand in rising order, and the search moves along them from the best trials; words have
    no order. `smaller`: the options whose lower values make the model smaller, beginning with the one to lower first. Each
    has a scale of numbers, whose first value is the least.

    A point or a move that the Config refuses is left out, and an option that would have no effect (`needs`) stays as it is.
    """

    points: Sequence[Mapping[str, Any]] = ()
    scales: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    smaller: Sequence[str] = ()


class Steps(Protocol):
    """How many batches an epoch has."""

    def __call__(self, corpus: Corpus, vocabulary: Any, config: Any, epoch: Epoch, /) -> int: ...


class Plugin(ABC, Generic[Options, Rule]):
    """A family of models. One instance lives in the registry; it holds no training state.

    A subclass may name its Config and its text rule for type checkers, as in Plugin[MyConfig, Words].
    """

    name: ClassVar[str]  # what users type; the entry point has the same name
    task: ClassVar[str]  # a name of textkit/task_registry.py
    summary: ClassVar[str]  # one line for `textkit plugins`
    # A frozen dataclass of hyperparameters, with the papers' names and one comment per field. Two mappings may stand
    # beside the fields; each is added to those of the base classes. `needs` says with which other options an option has
    # an effect ("optimizer=sgd|nt-asgd", "cooldown!=0", "hidden=@dim", joined by " or "); where it has none, it is
    # refused. `renamed` maps the former name of an option to its present one.
    Config: ClassVar[type]
    corpus: ClassVar[str] = ""  # what reads DATA, named as in textkit.task.Task.corpus; "": the corpus of the task
    training: ClassVar[Training] = Training()  # this family's defaults of the engine's options
    # Where a training must begin with another model: the task whose default model that is, if --init names none.
    begins_with: ClassVar[str] = ""
    inherited: ClassVar[Sequence[str]] = ()  # options that a training takes from the model that it begins with (--init)
    unheeded: ClassVar[Mapping[str, str]] = {}  # engine options that it does not read -> what decides instead
    api: ClassVar[int] = API_VERSION

    @abstractmethod
    def vocabulary(self, corpus: Corpus, config: Options) -> Rule:
        """How text becomes ids: trained on `corpus` or given. Raises TextkitError if the corpus is too small."""

    def fine_tuning(self, config: Options) -> Training:
        """The engine's defaults for a training that begins with another model, whose options `config` has (--init)."""
        return self.training

    @abstractmethod
    def network(self, config: Options, vocabulary: Rule) -> torch.nn.Module:
        """An untrained network on the CPU. torch's generator is seeded before the call."""

    @abstractmethod
    def batches(self, corpus: Corpus, vocabulary: Rule, config: Options, epoch: Epoch) -> Iterator[Any]:
        """The batches of one epoch, the same for the same (epoch.seed, epoch.number), beginning with batch `epoch.start`.

        A batch is a tensor, or any tuple, list or dict of tensors and plain values; the engine moves it to the device. For a
        GPU it is made on a thread, ahead of time, so what it draws must come from a generator of its own. It may be None where
        `epoch.owns` says that another process learns from it.
        """

    def loss(self, network: torch.nn.Module, batch: Any) -> tuple[torch.Tensor, Mapping[str, float]]:
        """The objective as a scalar with a gradient (a mean over the batch), and what to log.

        Logged `examples` and `words` are counts, for the speed. `weight` is the number of items that the loss is a mean over,
        where these are not the examples (but tokens, for instance), so that accumulated batches add up to one larger batch.
        The rest is shown.
        """
        raise TypeError(f"plugin {self.name!r} defines none of loss, update, fit")

    def score(self, network: torch.nn.Module, dev: Corpus, vocabulary: Rule, config: Options) -> Score | None:
        """The dev score. A plugin without one trains on everything and never stops early.

        What a score fits beside the weights (a temperature, thresholds), it puts into buffers of the network, which are kept
        with the weights. At the end the test lines are scored by it too: where `dev.held_out` is true, nothing may be fitted.
        """
        return None

    @abstractmethod
    def graphs(self, network: torch.nn.Module, vocabulary: Rule, config: Options) -> Mapping[str, Graph]:
        """The modules behind the graphs of `task`."""

    def encoder(self, network: torch.nn.Module, vocabulary: Rule, config: Options) -> Encoder | None:
        """The network's states as vectors of tokens in their context, for `export-onnx --as embed`; None if it has none."""
        return None

    # Two ways of learning without the gradient of a loss; None where the plugin does not use it.
    update: ClassVar[Update | None] = None
    fit: ClassVar[Fit | None] = None

    # Where it can train, of "cpu" and "cuda"; None: on both by gradient descent, on the CPU alone by `update` or `fit`.
    devices: ClassVar[tuple[str, ...] | None] = None

    # Whether its first update, or its fit, compiles kernels, which takes a few seconds the first time on a machine.
    compiles: ClassVar[bool] = False

    # None: the batches of an epoch are counted for what needs their number (linear, cosine, a cooldown).
    steps: ClassVar[Steps | None] = None

    def adopt(self, corpus: Corpus, config: Options, source: Source) -> Rule:
        """Instead of `vocabulary`, where a training begins with `source`: its rule, with what else the corpus teaches."""
        raise UsageError(f"--init: {self.name} cannot begin with another model")

    def begin(self, network: torch.nn.Module, config: Options, vocabulary: Rule, source: Source) -> Sequence[str]:
        """Puts the weights of `source` into an untrained network; returns the names of those that it set."""
        raise UsageError(f"--init: {self.name} cannot begin with another model")

    def prepare(
        self, network: torch.nn.Module, corpus: Corpus, vocabulary: Rule, config: Options, seed: int
    ) -> Sequence[str]:
        """Learns what a network that has begun with a source still lacks, before its first update; returns the names of the
        weights that it set. Where there are any, the network is scored as it begins, and may remain the best.

        It runs on the CPU, in one process, and is not repeated where a training goes on.
        """
        return ()

    def space(self, lines: int) -> Space | None:
        """What a search over the options tries, for training data of so many lines; None: there is no search.

        A plugin that has one also has a `score`, by which the trials are compared.
        """
        return None

    def unit(self, vocabulary: Rule) -> str:
        """The unit of a logged perplexity: "word", "token" or "byte"."""
        return "token"

    def defaults(self) -> dict[str, Any]:
        """Serving defaults written into the manifest: some of the task's `settings`."""
        return {}

    def decided(self, config: Options, sample: Sequence[str]) -> dict[str, Any]:
        """More serving defaults, which depend on the training's options or on a sample of its lines."""
        return {}
