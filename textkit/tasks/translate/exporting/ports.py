"""The modules that a plugin gives for the task `translate`, run in torch as their graphs will be run, and their ports.

Knows no ONNX and no plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textkit.errors import TextkitError
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
from textkit.tasks.translate.task import TASK

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Stepped:
    """What one step gives. `state`: its ports [line, beam, ...], by name."""

    logits: torch.Tensor  # [line, beam, vocab]
    attention: torch.Tensor  # [line, beam, source]
    state: Tensors


class Modules:
    """An `encode` and a `step` module as functions of tensors by port name.

    The step module's `state`, which is carried from step to step, is of two kinds. `state.*` [line, beam, ...] belongs to a
    beam and follows it: it is reordered before each step. `cache.*` [line, ...] belongs to all beams of a line and stays where
    it is; the module knows from some state.* which parts of it belong to which beam.
    """

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        self.encode_module, self.step_module = (graphs[name].module.eval() for name in ("encode", "step"))
        self.outputs = names_of(self.encode_module, "encode", "outputs")
        self.memory = names_of(self.step_module, "step", "memory")
        self.state = names_of(self.step_module, "step", "state")
        for name in (*self.memory, *self.state):
            if not name.startswith(("memory.",) if name in self.memory else ("state.", "cache.")):
                raise TextkitError(
                    f"the module of graph 'step' has the port {name!r}: neither memory.*, state.* nor cache.*"
                )
        if sorted(self.outputs) != sorted({*self.memory, *self.state}):
            raise TextkitError(
                f"the module of graph 'encode' gives {', '.join(self.outputs)}, that of 'step' takes "
                f"{', '.join((*self.memory, *self.state))}: not the same"
            )

    def encode(self, source: torch.Tensor, source_mask: torch.Tensor) -> tuple[Tensors, Tensors]:
        """Source and mask [line, source] -> the memory [line, ...], and the state, in which state.* get a beam axis of 1."""
        found = self.encoded(source, source_mask)
        memory = {name: found[name] for name in self.memory}
        return memory, {name: found[name] if is_cache(name) else found[name][:, None] for name in self.state}

    def encoded(self, source: torch.Tensor, source_mask: torch.Tensor) -> Tensors:
        """What the encode module itself gives."""
        given = run(self.encode_module, "encode", (source, source_mask), len(self.outputs))
        found = dict(zip(self.outputs, given, strict=True))
        for name, tensor in found.items():
            if not tensor.ndim or len(tensor) != len(source):
                raise TextkitError(
                    f"the module of graph 'encode' gives {name!r} {tuple(tensor.shape)} for {len(source)} lines"
                )
        return found

    def step(self, token: torch.Tensor, parent: torch.Tensor, memory: Tensors, state: Tensors) -> Stepped:
        """One step: token, parent i64[line, beam], and the state [line, from, ...] of the step before, or of `encode`."""
        return self.advance(token, memory, reordered(state, parent))

    def advance(self, token: torch.Tensor, memory: Tensors, state: Tensors) -> Stepped:
        """What the step module itself computes, from a state that is reordered already."""
        given = (token, *(memory[name] for name in self.memory), *(state[name] for name in self.state))
        logits, attention, *new = run(self.step_module, "step", given, 2 + len(self.state))
        check_logits(logits, token, "step", "line, beam")
        found = dict(zip(self.state, new, strict=True))
        check_state(found, token)
        return Stepped(logits, attention, found)


def ports_of(modules: Modules, source_ids: int, target_ids: int) -> tuple[Traced, Traced]:
    """The ports of `encode` and `step`, found by two runs; `source_ids`, `target_ids`: the sizes of the vocabularies."""
    sizes = ((3, 7, 4, 5), (2, 9, 6, 4))  # line, source, beam, steps: no two alike, none 0 or 1
    first, second = (_example(modules, source_ids, target_ids, *size) for size in sizes)
    axes = FreeAxes(dict(zip(("line", "source", "beam"), zip(*sizes, strict=True), strict=False)))

    def examples(group: str, new: str = "axis") -> list[tuple[Port, torch.Tensor]]:
        return axes.examples(first[group], second[group], new)

    def ports(group: str, new: str = "axis") -> list[Port]:
        return axes.ports(first[group], second[group], new)

    return (
        Traced(examples("source"), ports("encoded")),
        Traced(
            [*examples("token"), *examples("memory"), *examples("state", "past")],
            [*ports("scores"), *ports("new state", "next")],
        ),
    )


def explain_ports(module: torch.nn.Module, source_ids: int, target_ids: int) -> Traced:
    """The ports of an `explain` module: (source, source_mask, target) -> the weights of every attention."""
    import torch

    source, mask, target = (
        torch.arange(21).reshape(3, 7),
        torch.ones(3, 7, dtype=torch.bool),
        torch.arange(15).reshape(3, 5),
    )
    given = (source % source_ids, mask, target % target_ids)
    with torch.no_grad():
        found = run(module, "explain", given, 3)
    lines = TASK.graphs["explain"]
    outputs = []
    for port, tensor in zip(lines.outputs, found, strict=True):
        sizes = dict(zip(port.axes, tensor.shape, strict=False))
        wanted: dict[str | int, int] = {"line": 3, "source": 7, "target": 5}
        if tensor.ndim != 5 or any(sizes[axis] != wanted.get(axis, sizes[axis]) for axis in port.axes):
            raise TextkitError(
                f"the module of graph 'explain' gives {port.name!r} {tuple(tensor.shape)}, not {list(port.axes)}"
            )
        outputs.append(
            Port(port.name, port.dtype, tuple(sizes[axis] if axis in ("layer", "head") else axis for axis in port.axes))
        )
    return Traced(list(zip(lines.inputs, given, strict=True)), outputs)


def _example(
    modules: Modules, source_ids: int, target_ids: int, lines: int, tokens: int, beams: int, steps: int
) -> dict[str, Tensors]:
    """The tensors of one run by port: those of `encode`, and those of the step after `steps` others."""
    import torch

    random = torch.Generator().manual_seed(0)
    source = torch.randint(source_ids, (lines, tokens), generator=random)
    mask = torch.arange(tokens) < torch.tensor([tokens - line for line in range(lines)])[:, None]  # [line, source]
    token = torch.randint(target_ids, (lines, beams), generator=random)
    same = torch.arange(beams).expand(lines, beams)
    with torch.no_grad():
        encoded = modules.encoded(source, mask)
        memory, state = modules.encode(source, mask)
        for step in range(steps):
            state = modules.step(token, same if step else torch.zeros_like(same), memory, state).state
        stepped = modules.advance(token, memory, state)
    return {
        "source": {"source": source, "source_mask": mask},
        "encoded": encoded,
        "token": {"token": token},
        "memory": memory,
        "state": {name: state[name] for name in modules.state},
        "scores": {"logits": stepped.logits, "attention": stepped.attention},
        "new state": {name + NEXT: tensor for name, tensor in stepped.state.items()},
    }
