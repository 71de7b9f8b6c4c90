"""Steps on a GPU: which form of the step graph a step of the search needs, and what it brings down as the search expects it.

Forms are those of cuda/stepping.py. Each is loaded when a step needs it. Knows no text and no search.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.cuda.drawing import can_draw
from textkit.cuda.model import Model
from textkit.cuda.stepping import BARRED, DRAWN, StepEdit
from textkit.cuda.unrolling import can_unroll
from textkit.searching.beams import Pick
from textkit.searching.drawing import draw as drawn_place
from textkit.searching.on_device import BoundSteps, OnDevice, Stepped
from textkit.searching.options import MOST_CHOICES
from textkit.searching.ports import TRAVELS
from textkit.serving.session import Session

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.cuda.stepping import Kind
    from textkit.searching.drawing import Draw
    from textkit.searching.options import Search

# What the graph in the bundle gives, of which each form makes what leaves the GPU.
_CHOSEN: dict[Kind, tuple[str, ...]] = {
    "picked": ("top_id", "top_logprob"),
    "ranked": ("top_id", "top_logprob"),
    "listed": ("top_id", "top_logprob"),
    "drawn": ("drawn_id", "drawn_logprob"),
    "cut": ("drawn_id", "drawn_logprob"),
    "among": ("top_id", "top_logprob"),
    "among_share": ("top_id", "top_logprob"),
    "whole": (),
}
_ROUND = 8  # a number of choices that depends on what was banned is rounded up to a multiple of this: fewer sessions
AHEAD = 4  # steps that are taken before the host looks: lines that end meanwhile stay for up to three steps too many
_WHOLE = 1 << 24  # whole numbers that fp32 holds
_NODES = 1000  # of several steps as one graph; larger ones load slowly, and are less improved while they do


@dataclass(frozen=True)
class Form:
    """A form of the step graph, as StepEdit has it. `full`: with the whole distribution as well."""

    kind: Kind
    choices: int = 0
    beams: int = 0
    eos: int = 0
    steps: int = 1
    full: bool = False


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
        self._sessions: dict[Form, Session] = {}
        self._loading = threading.Lock()

    @property
    def cuts(self) -> bool:
        """Whether the graph can draw from a share of the distribution, or from the likeliest."""
        return self._able[0]

    @cached_property
    def _able(self) -> tuple[bool, int]:
        """Whether the graph can draw, and the most steps that are one graph. The graph itself is not kept: it holds weights."""
        if not self._vocab:
            return False, 1
        model = Model(self._bundle.graph("step"))
        steps = 1 if self._attention or not can_unroll(model) else max(1, min(AHEAD, _NODES // len(model.nodes)))
        return can_draw(model), steps

    def load(self, options: Search, draws: bool) -> None:
        """Loads the form of the graph that most steps of a search will use. Raises TextkitError where it does not load."""
        form: Form | None = None
        if options.draws_freely and draws and (options.draws_plainly or self.cuts):
            form = self._drawing(options.top_k, options.top_p < 1)
        elif not options.sample and not options.no_repeat_ngram_size:
            form = self._picking(options.beam_size, self._bundle.rule.eos)  # type: ignore[attr-defined]  # of both tasks' texts
        if form is None and not options.sample:
            choices = 1 if options.beam_size == 1 else options.beam_size + 1
            form = self._form(choices, options.beam_size, True)
        if form is not None:
            self.session(replace(form, steps=self._steps_of(form)))

    def session(self, form: Form) -> Session:
        """The graph in one of its forms."""
        if form not in self._sessions:
            with self._loading:
                if form not in self._sessions:
                    outputs = [*_CHOSEN[form.kind], *self._returned, *["attention"] * self._attention]
                    outputs += ["logprob"] * (form.full or form.kind == "whole")
                    edit = StepEdit(form.kind, self._vocab, form.choices, form.beams, form.eos, form.steps)
                    graph = self._bundle.graph("step")
                    self._sessions[form] = Session(graph, self._where, threads=1, outputs=outputs, edit=edit)
        return self._sessions[form]

    def ahead(self, choice: Draw | Pick) -> int:
        """How many steps are taken at a time where the graph chooses by `choice`."""
        form = self._choosing(choice)
        return 1 if form is None else self._steps_of(form)

    def _steps_of(self, form: Form) -> int:
        """How many steps are one graph in this form; of a cut the host may have to draw."""
        several = form.kind == "picked" or (form.kind in DRAWN and form.kind != "cut")
        return self._able[1] if several else 1

    def steps(
        self, count: int, token: np.ndarray, parent: np.ndarray, memory: dict[str, Any], state: Mapping[str, Any],
        choice: Draw | Pick,
    ) -> tuple[Sequence[Mapping[str, Any]], Stepped]:  # fmt: skip
        """As StepModel's."""
        form = self._choosing(choice)
        assert form is not None
        form = replace(form, steps=count)
        numbers: np.ndarray | None
        if isinstance(choice, Pick):
            numbers = choice.score[None]
        elif choice.share is None:
            numbers = choice.uniform
        else:
            numbers = np.moveaxis(choice.uniform, 3, 1).reshape(-1, *token.shape)
        following, arrays, bound = self._run(form, token, parent, numbers, memory, state, choice)
        parts = self._chosen(arrays, form, token.shape[1])
        found = [{name: part[step] for name, part in parts.items()} for step in range(count)]
        return found, Stepped(following, bound, found[-1])

    def _chosen(self, arrays: Mapping[str, np.ndarray], form: Form, beams: int) -> dict[str, np.ndarray]:
        """Of what was picked or drawn [..., row, line, choice] each row by its name; the first step had so many beams."""
        first, logprob = np.moveaxis(arrays["picked" if form.kind == "picked" else "drawn"], -3, 0)
        if form.kind == "picked":
            beam, token = np.divmod(_whole(first, 0, form.beams * self._vocab - 1), self._vocab)
            if beams == 1:
                beam[: 1 if form.steps > 1 else None] = 0
            return {"picked_id": token, "picked_beam": beam, "picked_logprob": logprob}
        token = _whole(first, -1 if form.kind == "cut" else 0, self._vocab - 1)
        return {"drawn_id": token, "drawn_logprob": logprob}

    def step(
        self, token: np.ndarray, parent: np.ndarray, k: int, memory: dict[str, Any], state: Mapping[str, Any], full: bool,
        choice: Draw | Pick | None, score: np.ndarray | None,
    ) -> Stepped:  # fmt: skip
        """As StepModel's. With `score` f64[line, beam], the choices are those of all beams of a line together."""
        numbers: np.ndarray | None = None
        form = None if choice is None else self._choosing(choice)
        draw = None if isinstance(choice, Pick) else choice
        if draw is not None:
            numbers = draw.uniform[None] if draw.share is None else np.moveaxis(draw.uniform, 2, 0)
        if form is None:
            form = self._form(k, token.shape[1], score is not None)
            form = form if form.kind == "whole" else replace(form, full=full)
        if score is not None and form.kind in ("picked", "ranked"):
            numbers = score[None]
        following, arrays, bound = self._run(form, token, parent, numbers, memory, state, choice)
        found = self._found(form, arrays, token.shape[1])
        if form.kind == "cut" and draw is not None and (found["drawn_id"] < 0).any():
            self._draw_here(found, draw, self.step(token, parent, 0, memory, state, True, None, None)["logprob"])
        return Stepped(following, bound, found)

    def _run(
        self, form: Form, token: np.ndarray, parent: np.ndarray, numbers: np.ndarray | None, memory: dict[str, Any],
        state: Mapping[str, Any], choice: Draw | Pick | None,
    ) -> tuple[dict[str, Any], dict[str, np.ndarray], BoundSteps]:  # fmt: skip
        """Runs a form of the graph. `numbers` [row, line, beam]: the rows of `given` behind token and parent."""
        given = np.empty((2 + (0 if numbers is None else len(numbers)), *token.shape), np.float32)
        given[0], given[1] = token, parent
        seldom: dict[str, np.ndarray] = {}
        if numbers is not None:
            given[2:] = numbers
        if choice is not None and form.kind != "ranked":
            seldom["bias"] = choice.bias
            if not isinstance(choice, Pick):
                seldom["temperature"] = choice.temperature
                seldom |= {} if choice.share is None else {"share": choice.share}
        bound = self._bound(self.session(form), memory, state, form, len(given), token.shape)
        following, arrays = bound.run(given, {name: state[name] for name in self._state}, seldom)
        return following, arrays, bound

    def _choosing(self, choice: Draw | Pick) -> Form | None:
        """The form that chooses as it is asked to; None where there is none."""
        if isinstance(choice, Pick):
            return self._picking(choice.beams, choice.eos)
        return self._drawing(choice.top_k, choice.share is not None)

    def _picking(self, beams: int, eos: int) -> Form | None:
        """The form that picks; None where the vocabulary has too few tokens for that, or more than fp32 counts."""
        choices = 1 if beams == 1 else 2 * beams
        fits = choices + BARRED <= self._vocab and beams * self._vocab <= _WHOLE
        return Form("picked", choices, beams, eos) if fits else None

    def _drawing(self, top_k: int, share: bool) -> Form:
        """The form that draws."""
        if 0 < top_k <= MOST_CHOICES:
            return Form("among_share" if share else "among", min(top_k, self._vocab))
        return Form("cut" if share else "drawn", top_k if top_k < self._vocab else 0)

    def _form(self, k: int, beams: int, ranked: bool) -> Form:
        """The form that gives the k likeliest of each beam, or of all beams as many as the search can use of them."""
        if not k:
            return Form("whole")
        if not ranked:
            return Form("listed", k)
        wanted = k if beams == 1 else 2 * beams + max(0, k - beams - 1) * beams
        usual = k <= beams + 1
        wanted = wanted if usual else -(-wanted // _ROUND) * _ROUND
        return Form("ranked", wanted) if 0 < wanted <= self._vocab else Form("listed", k)

    def _bound(
        self, session: Session, memory: dict[str, Any], state: Mapping[str, Any], form: Form, rows: int,
        size: tuple[int, ...],
    ) -> BoundSteps:  # fmt: skip
        if isinstance(state, Stepped):
            bound = state.steps
            if bound.session is session and bound.memory is memory and bound.size == size:
                return bound
        lines, beams = size
        several = (form.steps,) * (form.steps > 1)
        own: dict[str, tuple[tuple[int, ...], Any]] = {}
        if form.kind == "picked":
            own["picked"] = (*several, 2, lines, form.choices), np.float32
        elif form.kind == "ranked":
            own |= {"place": ((lines, form.choices), np.int32), "best": ((lines, form.choices), np.float32)}
        elif form.kind == "listed":
            shape = lines, beams, form.choices
            own |= {"listed_id": (shape, np.int32), "top_logprob": (shape, np.float32)}
        elif form.kind in DRAWN:
            own["drawn"] = (*several, 2, lines, beams), np.float32
        outputs = own | dict.fromkeys(name for name in ("logprob", "attention") if name in session.outputs)
        return BoundSteps(self._device, session, memory, rows, (lines, beams), self._fixed, outputs)

    def _found(self, form: Form, arrays: dict[str, np.ndarray], beams: int) -> dict[str, np.ndarray]:
        """What a step chose, under the names that the search knows."""
        found: dict[str, np.ndarray] = {name: arrays[name] for name in ("logprob", "attention") if name in arrays}
        last = self._vocab - 1
        if form.kind == "picked" or form.kind in DRAWN:
            found |= self._chosen(arrays, form, beams)
        elif form.kind == "listed":
            ids = np.clip(arrays["listed_id"], 0, last).astype(np.int64)
            found["top_id"], found["top_logprob"] = ids, arrays["top_logprob"]
        elif form.kind == "ranked":
            place = np.clip(arrays["place"], 0, beams * self._vocab - 1).astype(np.int64)
            beam, token = np.divmod(place, self._vocab)  # [line, choice]
            lines, choices = token.shape
            # As if each beam had given as many choices as all of them; the places of other beams' are of no use.
            ids = np.repeat(token[:, None, :1], beams, 1).repeat(choices, 2)
            logprob = np.full(ids.shape, -np.inf, np.float32)
            at = np.arange(lines)[:, None], beam, np.arange(choices)
            ids[at], logprob[at] = token, arrays["best"]
            found["top_id"], found["top_logprob"] = ids, logprob
        return found

    def _draw_here(self, found: dict[str, np.ndarray], draw: Draw, logprob: np.ndarray) -> None:
        """Draws the tokens that the graph could not: their share of the distribution has more tokens than it sorts."""
        lines = np.flatnonzero((found["drawn_id"] < 0).any(1))
        share, temperature = (float(part) for part in (draw.share, draw.temperature) if part is not None)
        some = logprob[lines]
        token = drawn_place(some + draw.bias, draw.uniform[lines].astype(np.float64), temperature, draw.top_k, share)
        beam = np.broadcast_to(np.arange(token.shape[1]) if some.shape[1] > 1 else np.zeros(1, np.int64), token.shape)
        lacks = found["drawn_id"][lines] < 0
        chosen = some[np.arange(len(lines))[:, None], beam, token]
        found["drawn_id"][lines] = np.where(lacks, token, found["drawn_id"][lines])
        found["drawn_logprob"][lines] = np.where(lacks, chosen, found["drawn_logprob"][lines])


def _whole(numbers: np.ndarray, least: int, most: int) -> np.ndarray:
    """Numbers as i64 within bounds, so that nothing fails because of a GPU that computes nonsense."""
    with np.errstate(invalid="ignore"):
        found: np.ndarray = numbers.astype(np.int64)
    return found.clip(least, most, out=found)
