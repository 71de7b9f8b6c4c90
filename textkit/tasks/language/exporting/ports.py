"""The modules that a plugin gives for the task `language`, run in torch as their graphs will be run, and their ports.

Knows no ONNX and no plugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from textkit.errors import TextkitError, one_line
from textkit.exporting.ports import (
    FreeAxes,
    Tensors,
    Traced,
    check_logits,
    check_state,
    is_cache,
    names_of,
    reordered,
    run,
)
from textkit.plugin import Graph
from textkit.task import NEXT, Port

if TYPE_CHECKING:
    import numpy as np
    import torch

Value = TypeVar("Value", "torch.Tensor", "np.ndarray")


class Modules:
    """A `score` and a `step` module as functions of tensors by port name.

    Both carry the same `state`. state.* [line, ...], in a step [line, beam, ...], belongs to a beam. cache.* [line, ...]
    belongs to all beams of a line, and the module knows from some state.* which parts of it belong to which beam.
    """

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        self.score_module, self.step_module = (graphs[name].module.eval() for name in ("score", "step"))
        self.state = names_of(self.score_module, "score", "state")
        if names_of(self.step_module, "step", "state") != self.state:
            raise TextkitError(
                f"the module of graph 'score' carries {', '.join(self.state)}, that of 'step' "
                f"{', '.join(self.step_module.state)}: not the same"
            )
        for name in self.state:
            if not name.startswith(("state.", "cache.")):
                raise TextkitError(f"the module of graph 'score' has the port {name!r}: neither state.* nor cache.*")

    def begin(self, lines: int) -> Tensors:
        """The state of lines before anything is read: zeros, which serving makes from the ports alone."""
        try:
            given = tuple(self.score_module.begin(lines))
        except Exception as error:  # a plugin's module may raise anything
            raise TextkitError(f"the module of graph 'score' fails to begin: {one_line(error)[:300]}") from error
        if len(given) != len(self.state) or any(
            not tensor.ndim or len(tensor) != lines or tensor.any() for tensor in given
        ):
            raise TextkitError(
                f"the module of graph 'score' begins {lines} lines with {[tuple(tensor.shape) for tensor in given]}, not all "
                f"zeros [{lines}, ...], one for each of {', '.join(self.state)}"
            )
        return dict(zip(self.state, given, strict=True))

    def score(self, token: torch.Tensor, mask: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
        """Words i64[line, token] and a mask of the real ones -> logits f32[line, token, vocab] and the state after them."""
        given = (token, mask, *(state[name] for name in self.state))
        logits, *new = run(self.score_module, "score", given, 1 + len(self.state))
        check_logits(logits, token, "score", "line, token")
        found = dict(zip(self.state, new, strict=True))
        for name, tensor in found.items():
            if not tensor.ndim or len(tensor) != len(token):
                raise TextkitError(
                    f"the module of graph 'score' gives {name!r} {tuple(tensor.shape)} for {len(token)} lines"
                )
        return logits, found

    def step(self, token: torch.Tensor, parent: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
        """One step: token, parent i64[line, beam], and the state [line, from, ...] of the step before, or of `spread`."""
        return self.advance(token, reordered(state, parent))

    def advance(self, token: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
        """What the step module itself computes, from a state that is reordered already."""
        given = (token, *(state[name] for name in self.state))
        logits, *new = run(self.step_module, "step", given, 1 + len(self.state))
        check_logits(logits, token, "step", "line, beam")
        found = dict(zip(self.state, new, strict=True))
        check_state(found, token)
        return logits, found


def spread(state: Mapping[str, Value]) -> dict[str, Value]:
    """The state of lines as that of one beam each: state.* (tensors, or arrays) get a beam axis."""
    return {name: value if is_cache(name) else value[:, None] for name, value in state.items()}


def ports_of(modules: Modules, ids: int) -> tuple[Traced, Traced]:
    """The ports of `score` and `step`, found by two runs; `ids`: the size of the vocabulary."""
    sizes = ((3, 7, 4, 5), (2, 9, 6, 4))  # line, token, beam, words read before: no two alike, none 0 or 1
    first, second = (_example(modules, ids, *size) for size in sizes)
    axes = FreeAxes(dict(zip(("line", "token", "beam"), zip(*sizes, strict=True), strict=False)))
    score = Traced(
        [*axes.examples(first["read"], second["read"]), *axes.examples(first["before"], second["before"], "past")],
        [*axes.ports(first["scored"], second["scored"]), *axes.ports(first["after"], second["after"], "next")],
    )
    step = Traced(
        [*axes.examples(first["token"], second["token"]), *axes.examples(first["state"], second["state"], "past")],
        [*axes.ports(first["stepped"], second["stepped"]), *axes.ports(first["new"], second["new"], "next")],
    )
    _check_beginning(modules, score.inputs[2:])
    return score, step


def _check_beginning(modules: Modules, ports: Sequence[tuple[Port, torch.Tensor]]) -> None:
    """Raises TextkitError where the initial state does not fit the ports: fixed axes as stated, free ones of size 0."""
    for name, tensor in modules.begin(2).items():
        port = next(port for port, _ in ports if port.name == name)
        wanted = [2, *(0 if isinstance(axis, str) else axis for axis in port.axes[1:])]
        if list(tensor.shape) != wanted:
            raise TextkitError(f"the module of graph 'score' begins with {name!r} {tuple(tensor.shape)}, not {wanted}")


def _example(modules: Modules, ids: int, lines: int, tokens: int, beams: int, before: int) -> dict[str, Tensors]:
    """The tensors of one run by port: those of `score` after `before` words, and those of the step after as many others."""
    import torch

    random = torch.Generator().manual_seed(0)

    def words(width: int) -> torch.Tensor:
        return torch.randint(ids, (lines, width), generator=random)

    mask = torch.arange(tokens) < torch.tensor([tokens - line for line in range(lines)])[:, None]  # [line, token]
    token, beam = words(tokens), words(beams)
    same = torch.arange(beams).expand(lines, beams)
    with torch.no_grad():
        first = words(before)
        _, state = modules.score(first, torch.ones_like(first, dtype=torch.bool), modules.begin(lines))
        logits, after = modules.score(token, mask, state)
        stepping = spread(state)
        for step in range(before):
            _, stepping = modules.step(beam, same if step else torch.zeros_like(same), stepping)
        stepped, new = modules.advance(beam, stepping)
    return {
        "read": {"token": token, "mask": mask},
        "before": state,
        "scored": {"logits": logits},
        "after": {name + NEXT: tensor for name, tensor in after.items()},
        "token": {"token": beam},
        "state": stepping,
        "stepped": {"logits": stepped},
        "new": {name + NEXT: tensor for name, tensor in new.items()},
    }
