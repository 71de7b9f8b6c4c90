"""Steps on a GPU: which form of the step graph a step of the search needs, and what it brings down as the search expects it.

Forms are those of cuda/stepping.py. Each is loaded when a step needs it. Knows no text and no search.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.cuda.model import Model
from textkit.cuda.stepping import ROWS, StepEdit, can_cut
from textkit.searching.drawing import draw as drawn_place
from textkit.searching.on_device import BoundSteps, OnDevice, Stepped
from textkit.searching.ports import TRAVELS
from textkit.serving.session import Session

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.cuda.stepping import Kind
    from textkit.searching.drawing import Draw
    from textkit.searching.options import Search

# What is chosen by each form of the graph, as the graph in the bundle gives it.
_CHOSEN: dict[Kind, tuple[str, ...]] = {
    "ranked": ("top_id", "top_logprob"),
    "listed": ("top_id", "top_logprob"),
    "drawn": ("drawn_id", "drawn_logprob"),
    "cut": ("drawn_id", "drawn_logprob"),
    "whole": (),
}
_ROUND = 8  # a number of choices that depends on what was banned is rounded up to a multiple of this: fewer sessions


class DeviceSteps:
    """The step graph of a model on one GPU. Several threads may use it at once: what belongs to a batch is in its state."""

    def __init__(self, bundle: Bundle, where: str, device: OnDevice, attention: bool) -> None:
        self._bundle, self._where, self._device, self._attention = bundle, where, device, attention
        inputs, outputs = bundle.manifest.ports("step")
        width = next(port.axes[2] for port in outputs if port.name == "logprob")
        self._vocab = width if isinstance(width, int) else 0
        self._state = [port.name for port in inputs if port.name.startswith(TRAVELS)]
        self._returned = [port.name for port in outputs if port.name.startswith(TRAVELS)]
        self._fixed = {
            port.name
            for port in inputs
            if port.name.startswith("state.") and all(isinstance(size, int) for size in port.axes[2:])
        }
        self._sessions: dict[tuple[Kind, int, bool], Session] = {}
        self._loading = threading.Lock()

    @cached_property
    def cuts(self) -> bool:
        """Whether the graph can draw from a share of the distribution."""
        return self._vocab > 0 and can_cut(Model(self._bundle.graph("step")))

    def load(self, options: Search, draws: bool) -> None:
        """Loads the form of the graph that most steps of a search will use. Raises TextkitError where it does not load."""
        if not options.sample:
            choices = 1 if options.beam_size == 1 else options.beam_size + 1
            self.session(*self._form(choices, options.beam_size, True), False)
        elif draws and options.draws_plainly:
            self.session("drawn", 0, False)
        elif draws and options.draws_share and self.cuts:
            self.session("cut", 0, False)

    def session(self, kind: Kind, choices: int, full: bool) -> Session:
        """The graph in one of its forms; `full`: with the whole distribution as well."""
        full = full and kind != "whole"
        key = kind, choices, full
        if key not in self._sessions:
            with self._loading:
                if key not in self._sessions:
                    outputs = [*_CHOSEN[kind], *self._returned, *["attention"] * self._attention]
                    outputs += ["logprob"] * (full or kind == "whole")
                    edit, graph = StepEdit(kind, self._vocab, choices), self._bundle.graph("step")
                    self._sessions[key] = Session(graph, self._where, threads=1, outputs=outputs, edit=edit)
        return self._sessions[key]

    def step(
        self, token: np.ndarray, parent: np.ndarray, k: int, memory: dict[str, Any], state: Mapping[str, Any], full: bool,
        draw: Draw | None, score: np.ndarray | None,
    ) -> Stepped:  # fmt: skip
        """As StepModel's. With `score` f64[line, beam], the choices are those of all beams of a line together."""
        kind: Kind
        if draw is not None:
            kind, choices = ("drawn", 0) if draw.share is None else ("cut", 0)
        else:
            kind, choices = self._form(k, token.shape[1], score is not None)
        given = np.empty((len(ROWS[kind]), *token.shape), np.float32)
        given[0], given[1] = token, parent
        seldom: dict[str, np.ndarray] = {}
        if kind == "ranked":
            given[2] = score
        elif draw is not None:
            given[2:] = draw.uniform[None] if kind == "drawn" else np.moveaxis(draw.uniform, 2, 0)
            seldom = {"temperature": draw.temperature, "bias": draw.bias}
            seldom |= {} if draw.share is None else {"share": draw.share}
        bound = self._bound(self.session(kind, choices, full), memory, state, kind, choices, token.shape)
        following, arrays = bound.run(given, {name: state[name] for name in self._state}, seldom)
        found = self._found(kind, arrays, token.shape[1])
        if kind == "cut" and draw is not None and (found["drawn_id"] < 0).any():
            self._draw_here(found, draw, self.step(token, parent, 0, memory, state, True, None, None)["logprob"])
        return Stepped(following, bound, found)

    def _form(self, k: int, beams: int, ranked: bool) -> tuple[Kind, int]:
        """The form that gives the k likeliest of each beam, or of all beams as many as the search can use of them."""
        if not k:
            return "whole", 0
        if not ranked:
            return "listed", k
        wanted = k if beams == 1 else 2 * beams + max(0, k - beams - 1) * beams
        usual = k <= beams + 1
        wanted = wanted if usual else -(-wanted // _ROUND) * _ROUND
        return ("ranked", wanted) if 0 < wanted <= self._vocab else ("listed", k)

    def _bound(
        self, session: Session, memory: dict[str, Any], state: Mapping[str, Any], kind: Kind, choices: int,
        size: tuple[int, ...],
    ) -> BoundSteps:  # fmt: skip
        if isinstance(state, Stepped):
            bound = state.steps
            if bound.session is session and bound.memory is memory and bound.size == size:
                return bound
        lines, beams = size
        of_kind: dict[str, dict[str, Any]] = {
            "ranked": {"place": ((lines, choices), np.int32), "best": ((lines, choices), np.float32)},
            "listed": {
                "listed_id": ((lines, beams, choices), np.int32), "top_logprob": ((lines, beams, choices), np.float32),
            },
            "drawn": {"drawn": ((2, lines, beams), np.float32)},
            "cut": {"drawn": ((2, lines, beams), np.float32)},
            "whole": {},
        }  # fmt: skip
        outputs = of_kind[kind] | dict.fromkeys(name for name in ("logprob", "attention") if name in session.outputs)
        return BoundSteps(self._device, session, memory, len(ROWS[kind]), (lines, beams), self._fixed, outputs)

    def _found(self, kind: Kind, arrays: dict[str, np.ndarray], beams: int) -> dict[str, np.ndarray]:
        """What a step chose, under the names that the search knows. Ids of a GPU that computes nonsense are made ids all the
        same, so that nothing here fails because of them."""
        found: dict[str, np.ndarray] = {name: arrays[name] for name in ("logprob", "attention") if name in arrays}
        if kind == "listed":
            ids = np.clip(arrays["listed_id"], 0, self._vocab - 1).astype(np.int64)
            found["top_id"], found["top_logprob"] = ids, arrays["top_logprob"]
        elif kind == "ranked":
            place = np.clip(arrays["place"], 0, beams * self._vocab - 1).astype(np.int64)
            beam, token = np.divmod(place, self._vocab)  # [line, choice]
            lines, choices = token.shape
            # As if each beam had given as many choices as all of them; the places of other beams' are of no use.
            ids = np.repeat(token[:, None, :1], beams, 1).repeat(choices, 2)
            logprob = np.full(ids.shape, -np.inf, np.float32)
            at = np.arange(lines)[:, None], beam, np.arange(choices)
            ids[at], logprob[at] = token, arrays["best"]
            found["top_id"], found["top_logprob"] = ids, logprob
        elif kind in ("drawn", "cut"):
            token, logprob = arrays["drawn"]
            ids = np.clip(np.nan_to_num(token), -1 if kind == "cut" else 0, self._vocab - 1)
            found["drawn_id"], found["drawn_logprob"] = ids.astype(np.int64), logprob
        return found

    def _draw_here(self, found: dict[str, np.ndarray], draw: Draw, logprob: np.ndarray) -> None:
        """Draws the tokens that the graph could not: their share of the distribution has more tokens than it sorts."""
        lines = np.flatnonzero((found["drawn_id"] < 0).any(1))
        share, temperature = (float(part) for part in (draw.share, draw.temperature) if part is not None)
        some = logprob[lines]
        token = drawn_place(some + draw.bias, draw.uniform[lines].astype(np.float64), temperature, 0, share)
        beam = np.broadcast_to(np.arange(token.shape[1]) if some.shape[1] > 1 else np.zeros(1, np.int64), token.shape)
        lacks = found["drawn_id"][lines] < 0
        chosen = some[np.arange(len(lines))[:, None], beam, token]
        found["drawn_id"][lines] = np.where(lacks, token, found["drawn_id"][lines])
        found["drawn_logprob"][lines] = np.where(lacks, chosen, found["drawn_logprob"][lines])
