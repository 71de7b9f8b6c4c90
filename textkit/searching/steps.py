"""The graphs of an exported model as the StepModel that decoding.py searches over: `encode` or `score`, and then `step`.

On the CPU, arrays go into and out of onnxruntime, or stay in place where a step only draws (double_buffer.py). On a GPU,
memory and state stay there (on_device.py, stepping_on_device.py), and only tokens, parents and what was chosen are copied.
Knows ports by the prefixes of the task's signature. Knows no text and no search.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.bundle.onnxfile import shares_scales
from textkit.searching.double_buffer import DoubleBuffer
from textkit.searching.drawing import Draw
from textkit.searching.on_device import Fresh, OnDevice
from textkit.searching.ports import TRAVELS
from textkit.searching.shortlisting import Shortlisting, of_rows
from textkit.searching.stepping_on_device import DeviceSteps
from textkit.serving.session import Session, of_model
from textkit.task import NEXT

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.searching.beams import Pick
    from textkit.searching.options import Search

_CHOICES, _DRAWN = ("top_id", "top_logprob"), ("drawn_id", "drawn_logprob")
_SHORT = ("short_id", "short_logprob")  # _CHOICES among the words of a shortlist
_AS_CHOICES = dict(zip(_SHORT, _CHOICES, strict=True))
READ = 4096  # the most tokens of a prompt that are read at once


class Steps(ABC):
    """A model's graphs, loaded. Several threads may use them at once, because nothing of a search is kept here.

    The step graph is loaded when a search needs it, with only the outputs that the search needs, because onnxruntime computes
    every output of a session: the likeliest tokens, the whole distribution, or drawn tokens. `attention`: whether a step
    returns attention too. `draws`: whether the graph can draw; graphs of earlier versions of textkit cannot.
    """

    def __init__(
        self, bundle: Bundle, device: str = "auto", threads: int | None = None, attention: bool = False
    ) -> None:
        """Raises TextkitError where the first graph does not load, or the device is not available."""
        self._bundle, self._threads = bundle, threads
        self._first = self._load_first(device)
        self.device, self.where = self._first.device, self._first.where
        inputs, outputs = (tuple(port.name for port in side) for side in bundle.manifest.ports("step"))
        self._short = False  # whether a step chooses by a shortlist
        self._memory = [name for name in inputs if name.startswith("memory.")]
        self._state = [name for name in inputs if name.startswith(TRAVELS)]
        self.draws = _DRAWN[0] in outputs
        ports = [port for port in bundle.manifest.ports("step")[0] if port.name in self._state]
        self._same_shape = all(isinstance(size, int) for port in ports for size in port.axes[2:]) and not any(
            name.startswith("cache.") for name in self._state
        )
        self._attention = attention
        self._more = [name for name in outputs if name.startswith(TRAVELS)] + ["attention"] * attention
        self._sessions: dict[tuple[bool, bool, bool], tuple[Session, list[str]]] = {}
        self._loading = threading.Lock()
        self._on_device = None if self.device == "cpu" else OnDevice(self.device)
        self._device_steps = (
            None if self._on_device is None else DeviceSteps(bundle, self.where, self._on_device, attention)
        )

    @property
    def ranks(self) -> bool:
        """Whether a step that is given the beams' scores looks for the best continuations of a line among all its beams."""
        return self._device_steps is not None

    @property
    def cuts(self) -> bool:
        """Whether a step draws from a share of the distribution (top-p), or from the likeliest (top-k), by itself."""
        return self._device_steps is not None and self.draws and self._device_steps.cuts

    def ahead(self, choice: Draw | Pick) -> int:
        """How many steps are taken at a time where the graph chooses by `choice`; 1 on a CPU."""
        return 1 if self._device_steps is None else self._device_steps.ahead(choice)

    @abstractmethod
    def _load_first(self, device: str) -> Session:
        """Loads the graph that runs before the first step."""

    @abstractmethod
    def encode(self, source: np.ndarray, source_mask: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
        """source i64[line, source], source_mask bool[line, source] -> memory and state by port, state.* [line, 1, ...]."""

    def _run_first(self, feeds: Mapping[str, np.ndarray], bound: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of the first graph, on the device."""
        with of_model(self._bundle.folder):
            if self._on_device is None:
                return self._first.run({**feeds, **bound})
            return self._on_device.run(self._first, feeds, bound, ())

    def _with_beam(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The state of lines as the state of one beam each: state.* gets a beam axis."""
        beam = Fresh if self._on_device is not None else lambda value: value[:, None]
        return {name: beam(found[name]) if name.startswith("state.") else found[name] for name in self._state}

    def step(
        self,
        token: np.ndarray,
        parent: np.ndarray,
        k: int,
        memory: dict[str, Any],
        state: Mapping[str, Any],
        full: bool,
        choice: Draw | Pick | None = None,
        score: np.ndarray | None = None,
    ) -> Mapping[str, Any]:
        """Runs a step and returns its outputs, with state and cache under the names of the ports that take them."""
        with of_model(self._bundle.folder):
            if self._device_steps is not None:
                return self._device_steps.step(token, parent, k, memory, state, full, choice, score)
            draw = choice if isinstance(choice, Draw) else None
            if draw is not None and isinstance(state, DoubleBuffer):
                return state.step(token, parent, draw)
            session, names = self._giving(k > 0, full, draw is not None)
            feeds: dict[str, Any] = {"token": token, "parent": parent, "k": np.array(k)}
            if draw is not None:
                feeds |= {"uniform": draw.uniform, "temperature": draw.temperature, "bias": draw.bias}
            feeds |= memory
            for name in self._state:
                feeds[name] = state[name]
            in_place = self._same_shape and not self._attention
            if draw is not None and in_place and all(state[name].shape[:2] == token.shape for name in self._state):
                return DoubleBuffer(session, feeds, self._state).step(token, parent, draw)
            return dict(zip(names, session.run(feeds).values(), strict=True))

    def steps(
        self, count: int, token: np.ndarray, parent: np.ndarray, memory: dict[str, Any], state: Mapping[str, Any],
        choice: Draw | Pick,
    ) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]:  # fmt: skip
        """Runs several steps at once on a GPU: what each chose, and the state behind them."""
        assert self._device_steps is not None
        with of_model(self._bundle.folder):
            return self._device_steps.steps(count, token, parent, memory, state, choice)

    def keep(
        self, memory: dict[str, Any], state: Mapping[str, Any], rows: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Memory and state of the lines `rows` alone."""
        parts = {name: memory[name] for name in self._memory}, {name: state[name] for name in self._state}
        if self._on_device is None:
            return tuple({name: value[rows] for name, value in part.items()} for part in parts)  # type: ignore[return-value]
        kept = self._on_device.take(parts[0] | parts[1], rows)
        return {name: kept[name] for name in self._memory}, {name: kept[name] for name in self._state}

    def load(self, options: Search) -> None:
        """Loads the step graph that a search with these options will use. Raises TextkitError where it does not load."""
        if self._device_steps is not None:
            self._device_steps.load(options, self.draws)
            return
        drawn = self.draws and options.draws_plainly
        self._giving(not options.draws_from_all, options.draws_from_all and not drawn, drawn)

    def _giving(self, choices: bool, whole: bool, drawn: bool) -> tuple[Session, list[str]]:
        """The step graph with these outputs, and the names of its outputs as those of the ports that take them.

        `choices`: the likeliest tokens; `whole`: the whole distribution; `drawn`: drawn tokens.
        """
        key = choices, whole, drawn
        if key not in self._sessions:
            with self._loading:
                if key not in self._sessions:
                    best = _SHORT if self._short else _CHOICES
                    outputs = [*best] * choices + ["logprob"] * whole + [*_DRAWN] * drawn + self._more
                    session = Session(self._bundle.graph("step"), self.device, self._threads, outputs=outputs)
                    names = [_AS_CHOICES.get(name, name.removesuffix(NEXT)) for name in session.outputs]
                    self._sessions[key] = session, names
        return self._sessions[key]


class TranslationSteps(Steps):
    """The graphs `encode` and `step`, and on a CPU perhaps `shortlist`, so that a step looks at fewer words.

    A GPU takes no longer for all of them.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        threads: int | None = None,
        attention: bool = False,
        shortlist: bool = False,
    ) -> None:
        """`shortlist`: whether tokens are chosen by the model's shortlist, if it has one."""
        super().__init__(bundle, device, threads, attention)
        self._short = shortlist and "shortlist" in bundle.manifest.graphs and self.device == "cpu"
        self._shortlisting = Shortlisting(bundle, threads) if self._short else None

    def _load_first(self, device: str) -> Session:
        return Session(self._bundle.graph("encode"), device, self._threads)

    def encode(self, source: np.ndarray, source_mask: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
        """As in Steps. A batch is encoded in parts that a CPU's caches hold: 160 lines of 12 tokens by en-de in int8 take 56 ms
        on one core, and 107 ms all at once. No bit of the result depends on it."""
        lines, tokens = source.shape
        size = max(1, self._first.most_tokens // max(1, tokens))
        parts = [slice(at, at + size) for at in range(0, lines, size)]
        each = [self._run_first({"source": source[part], "source_mask": source_mask[part]}, {}) for part in parts]
        found = each[0] if len(each) == 1 else {name: np.concatenate([one[name] for one in each]) for name in each[0]}
        memory = {name: found[name] for name in self._memory}
        if self._shortlisting is not None:
            memory |= self._shortlisting.of_batch(source, source_mask)
        return memory, self._with_beam(found)

    def keep(
        self, memory: dict[str, Any], state: Mapping[str, Any], rows: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        kept, going = super().keep(memory, state, rows)
        return kept | of_rows({name: memory[name] for name in memory.keys() - kept.keys()}, rows), going


class LanguageSteps(Steps):
    """The graphs `score` and `step`.

    The `source` of a search is the prompt. `score` reads it all but its last token, which the first step reads. Lines without a
    token are in a batch of such lines only; a line of more than READ tokens is alone in its batch.
    """

    def _load_first(self, device: str) -> Session:
        # Without the log-probabilities, which take the longest to compute.
        outputs = [port.name for port in self._bundle.manifest.ports("score")[1] if port.name.startswith(TRAVELS)]
        return Session(self._bundle.graph("score"), device, self._threads, outputs=outputs)

    def encode(self, source: np.ndarray, source_mask: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
        lines, tokens = source.shape
        if tokens == 0:
            state = beginning(self._bundle, lines)
            if self._on_device is None:
                return {}, self._with_beam(state)
            return {}, {name: value[:, None] if name.startswith("state.") else value for name, value in state.items()}
        if not self.reads_alone or lines == 1:
            return {}, self._with_beam(self._read(source, source_mask))
        every = [self._read(source[at : at + 1], source_mask[at : at + 1]) for at in range(lines)]
        return {}, self._with_beam({name: np.concatenate([state[name] for state in every]) for name in self._state})

    @cached_property
    def reads_alone(self) -> bool:
        """Whether lines are read one by one.

        In int8 models of earlier versions all lines of a `score` run share one scale, and a line's state would depend on the
        others. A GPU never computes with such scales.
        """
        old = self._on_device is None and self._bundle.manifest.precision == "int8"
        return old and shares_scales(self._bundle.graph("score"))

    @property
    def counts_padding(self) -> bool:
        """Whether lines of a batch must have one length, so that a line's text does not depend on the others.

        Padding would shift the places of later tokens in a cache, and with them the order in which sums are added.
        """
        return self.reads_alone or any(name.startswith("cache.") for name in self._state)

    def _read(self, source: np.ndarray, source_mask: np.ndarray) -> Mapping[str, Any]:
        """The state after all tokens of the prompt but the last."""
        lines, tokens = source.shape
        state: Mapping[str, Any] = beginning(self._bundle, lines)
        previous = np.full(lines, self._bundle.rule.eos)  # type: ignore[attr-defined]  # LanguageText's
        weight = source_mask.astype(np.float32)
        for at in range(0, tokens, READ):
            feeds = {"previous": previous, "ids": source[:, at : at + READ], "weight": weight[:, at : at + READ]}
            arrays, bound = ({**feeds, **state}, {}) if at == 0 else (feeds, state)
            found = self._run_first(arrays, bound)
            state = {name.removesuffix(NEXT): value for name, value in found.items()}
            previous = feeds["ids"][:, -1]
        return state


def beginning(bundle: Bundle, lines: int) -> dict[str, np.ndarray]:
    """The state of lines before anything is read: zeros; axes that grow have size 0."""
    ports = [port for port in bundle.manifest.ports("score")[0] if port.name.startswith(TRAVELS)]
    sizes = ((port, [0 if isinstance(axis, str) else axis for axis in port.axes[1:]]) for port in ports)
    return {port.name: np.zeros((lines, *size), port.dtype) for port, size in sizes}
