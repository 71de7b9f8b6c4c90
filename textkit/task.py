"""What a task is: one record of all that the rest of textkit needs of it. Knows no task, no architecture and no training.

A task is the signatures of its graphs, with the code that serves, exports and measures models with those graphs, and the verbs
that use them. Heavy parts are named as "package.module:name" and imported when they are used.
docs/tasks.md is a complete task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from textkit.errors import UsageError, quoted
from textkit.kinds import Wrong
from textkit.reference import Verb as Verb
from textkit.reference import load as load

if TYPE_CHECKING:
    from textkit.kinds import Kind

# No output has the name of an input: a step's output `state.x.next` is the next step's input `state.x`.
NEXT = ".next"
LINES = "textkit.corpora.corpus:Corpus"  # DATA is lines of text
PAIRS = "textkit.corpora.pairs:PairCorpus"  # DATA is pairs of lines: "source<tab>target", or two line-aligned files


class Port(NamedTuple):
    """One input or output of a graph: its name, element type (numpy's name) and axes (a str is free, an int is fixed).

    A name that ends in `*` stands for any number of ports with that prefix, of any type, whose first axes are these. Such
    ports travel: the output of one graph is the input of the same name of another. A graph that has such a port on both sides
    calls the output `name.next`. Of the ports with the same word in `optional`, a graph has either all or none.
    """

    name: str
    dtype: str
    axes: tuple[str | int, ...] = ()
    optional: str = ""  # what the ports are for that may be missing together


class Signature(NamedTuple):
    """The ports of one graph of a task, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Setting:
    """One option of serving, described once for --help, for Python and for the manifest of a model that states its own default.

    `kind`: its type and bounds. `default`: its value where neither the user nor the model says one; None: it is not set.
    `help`: one sentence for `textkit VERB --help`. `metavar`: what stands for the value there.
    """

    def __init__(self, kind: Kind, default: Any = None, help: str = "", metavar: str = "N") -> None:
        self.kind, self.default, self.help, self.metavar = kind, default, help, metavar

    def with_default(self, default: Any) -> Setting:
        """The same setting with another default."""
        return Setting(self.kind, default, self.help, self.metavar)

    def checked(self, value: Any, name: str) -> Any:
        """`value`, as a Python number if it is one of numpy's. Raises UsageError, naming `name`, if it is not of this kind."""
        plain = value.item() if hasattr(value, "item") else value
        try:
            self.kind.check(plain, name)
        except Wrong as error:
            raise UsageError(f"{name}={value}: must be {error.wanted}") from None
        return plain


@dataclass(frozen=True, eq=False, repr=False)  # both would cost `textkit --help` half a millisecond
class Task:
    """A task, as an entry point of the group `textkit.tasks` names it; the entry point has the task's name."""

    name: str
    summary: str  # one line
    graphs: Mapping[str, Signature]
    # A class: Class(model, device="auto", threads=None, **settings) opens a model, given as a Bundle, a name or a
    # folder. Called with list[str], it returns one result per line. It imports no torch.
    serving: str
    # A function (graphs, rule, sample, precision) -> textkit.exporting.exported.Exported. It proves its graphs right.
    exporter: str
    optional: frozenset[str] = frozenset()  # graphs that a model may lack; they are made on request
    extra: frozenset[str] = frozenset()  # graphs that only some families have; all of their models have them
    settings: Mapping[str, Setting] = field(default_factory=dict)  # serving options that a model may state defaults of
    facts: Mapping[str, Kind] = field(default_factory=dict)  # keys of the manifest that are this task's own
    limits: Mapping[str, Kind] = field(default_factory=dict)  # what the manifest's `limits` may hold besides "tokens"
    default_model: str | None = None  # the model that came with the task's distribution
    verbs: Mapping[str, Verb] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)  # what `textkit evaluate` measures -> one line about it
    evaluation: str = ""  # a textkit.evaluation.evaluation.Evaluation; "": nothing is measured
    # A class for `textkit attention`: Class(model, device, threads, kind, layer, head, every, pieces)(line, target or None)
    # gives textkit.drawing.weights.Weights. "": the task's models have no attention.
    attention: str = ""
    corpus: str = LINES  # what DATA holds: a textkit.corpora.corpus.Corpus of paths

    @property
    def defaults(self) -> dict[str, Any]:
        """The settings of a model whose plugin states none."""
        return {name: setting.default for name, setting in self.settings.items() if setting.default is not None}

    def wrong_default(self, defaults: Mapping[str, Any]) -> str:
        """The first wrong one of a model's serving defaults, as key=value; empty where none is wrong."""
        for key, value in defaults.items():
            try:
                if key in self.settings:
                    self.settings[key].kind.check(value, key)
                    continue
            except Wrong:
                pass
            return f"{quoted(key)[1:-1]}={quoted(value)}"
        return ""
