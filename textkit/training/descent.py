"""Two ways to learn from a batch: down the gradient of the plugin's loss, or by the plugin's own update. Knows no loop.

Both take one batch at a time, report when the network has changed, and save and load their whole state. The sizes of a
batch come from what the plugin logs: `examples`, `words`, and `weight`, the number of items that the loss is a mean of
(logged where these are not the examples but tokens, say).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError
from textkit.guard import checked
from textkit.learning import Update
from textkit.plugin import Plugin, Score, Training
from textkit.training.averaging import average_of
from textkit.training.compiling import CompiledLoss
from textkit.training.distributed.overlapping import Overlap
from textkit.training.distributed.parallel import ALONE, Alone
from textkit.training.optim import optimizer, penalize
from textkit.training.outcome import NOTHING, Outcome, loss_of, outcome_of

if TYPE_CHECKING:
    import torch

FULL_BATCH_PIECE = 256  # examples computed at once where the whole epoch is one batch (batch_size 0)


class Learner:
    """What the loop needs of a learner. This one learns from no batch: it stands in where a plugin's `fit` learns."""

    group = 1  # batches in an update; 0: all batches of the epoch
    batches = 0  # since the last update

    @property
    def waits(self) -> bool:
        """Whether an average was asked for that has not begun yet, so that a dev score may begin it."""
        return False

    def learn(self, batch: Any, learning_rate: float) -> Outcome:
        """Learns from a batch, now or when its group is complete."""
        return NOTHING

    def update(self, learning_rate: float) -> Outcome:
        """Learns from the batches of a group that stays incomplete."""
        return NOTHING

    def kept(self) -> AbstractContextManager[None]:
        """Inside, the network holds the weights to score and to keep."""
        return nullcontext()

    def heed(self, score: Score | None) -> None:
        """Takes a dev score."""

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that a checkpoint needs beside the network."""
        return {}, {}

    def load(self, state: tuple[Mapping[str, torch.Tensor], Mapping[str, Any]]) -> None:
        """The inverse of `state`."""


class Descent(Learner):
    """Gradient descent: sums the gradients of batches, penalises and clips the sum, and hands it to the optimizer.

    A group of batches gives the gradient of their union: each loss is a mean, and is weighted by the number of items that
    it is a mean of. In a team, each process learns from its share of a group. The outcome of the whole group is reported
    when the group is done; only its `detail` covers this process's batches alone.
    """

    def __init__(
        self,
        plugin: Plugin,
        network: torch.nn.Module,
        training: Training,
        device: torch.device,
        team: Alone = ALONE,
    ) -> None:
        import torch

        self.plugin = plugin
        self.network = network
        self.training = training
        self.device = device
        named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
        self.parameters = [parameter for _, parameter in named]
        if not self.parameters:
            raise TextkitError(f"plugin {plugin.name!r}: its network has nothing to train")
        self.optimizer = optimizer(training, self.parameters)
        self.average = average_of(named, training)
        self.scaler = torch.amp.GradScaler("cuda") if training.precision == "fp16" else None
        self.compiled = CompiledLoss(plugin) if training.compile else None
        self.team = team
        # Batches in an update, over all processes; 0: all batches of the epoch.
        self.group = training.accumulate * team.size if training.batch_size else 0
        self.batches = 0  # since the last update, over all processes
        self.weight = 0.0  # of the gradients summed since then
        self.held: list[Outcome] = []  # in a team: the outcomes since then
        self.overlap = None if team.alone else Overlap(self.parameters, team)

    def learn(self, batch: Any, learning_rate: float) -> Outcome:
        """Adds a batch, unless it belongs to another process, and updates the network if the batch completes a group."""
        mine = self.team.owns(self.batches)
        if mine and self.overlap is not None and self.group and self.batches + self.team.size >= self.group:
            self.overlap.watch()  # this process has no more batches in the group
        outcome = self._add(batch) if mine else NOTHING
        self.batches += 1
        if not self.team.alone:
            self.held.append(outcome)
            outcome = NOTHING
        if self.batches != self.group:
            return outcome
        done = self.update(learning_rate)
        return done if outcome is NOTHING else replace(outcome, detail={**outcome.detail, **done.detail}, updated=True)

    def _add(self, batch: Any) -> Outcome:
        with self._precision():
            loss, log = loss_of(self.plugin, self.network, batch, self.compiled)
        outcome = outcome_of(loss.detach(), log, batch)
        share = loss if self.group == 1 else loss * outcome.weight
        (share if self.scaler is None else self.scaler.scale(share)).backward()
        self.weight += outcome.weight
        return outcome

    def update(self, learning_rate: float) -> Outcome:
        """Updates the network by the summed gradient; returns what to log, which in a team includes the group's batches."""
        import torch

        done = replace(NOTHING, updated=True) if self.team.alone else self._add_up()
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.group != 1 and self.weight:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(self.weight)
        penalize(self.parameters, self.training.l1, self.training.l2)
        detail = dict(done.detail)
        if self.training.clip:
            detail["gradient_norm"] = torch.nn.utils.clip_grad_norm_(self.parameters, self.training.clip)
        for part in self.optimizer.param_groups:
            part["lr"] = learning_rate
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        self.batches, self.weight = 0, 0.0
        return replace(done, detail=detail)

    def _add_up(self) -> Outcome:
        """Adds up the gradients of all processes and the outcomes of their batches."""
        import torch

        held, self.held = [outcome for outcome in self.held if outcome is not NOTHING], []
        counts = [sum(outcome.examples for outcome in held), sum(outcome.words for outcome in held)]
        have: list[float] = [parameter.grad is not None for parameter in self.parameters]
        assert self.overlap is not None  # the process is one of a team
        self.overlap.finish()
        self.weight, examples, words, *have = self.team.add_up([self.weight, *counts, *have])
        for parameter, count in zip(self.parameters, have, strict=True):
            if not count:  # a zero would not do: an optimizer with momentum moves what has a gradient of zero
                parameter.grad = None
        loss = torch.zeros(1, dtype=torch.float64, device=self.device)
        for outcome in held:
            assert outcome.loss is not None  # Descent's own batches have a loss
            loss += outcome.loss * outcome.weight
        self.team.start_adding_up(loss)()
        detail: dict[str, Any] = {}
        for key in dict.fromkeys(key for outcome in held for key in outcome.detail):
            values = [outcome.detail[key] for outcome in held if key in outcome.detail]
            detail[key] = sum(values) / len(values)
        mean = loss[0] / self.weight if self.weight else None
        return Outcome(mean, self.weight, int(examples), int(words), detail, True)

    def kept(self) -> AbstractContextManager[None]:
        """Inside, the network holds the weights to score and to keep: the average of its weights, if there is one."""
        return nullcontext() if self.average is None else self.average.in_place()

    @property
    def waits(self) -> bool:
        """Whether an average was asked for that has not begun yet."""
        return self.average is not None and not self.average.begun

    def heed(self, score: Score | None) -> None:
        """Takes the dev score of the `kept` weights; it may begin the average."""
        if self.average is not None:
            self.average.heed(score)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The optimizer's state, the gradient summed so far, the average and fp16's scale: tensors, and plain values."""
        import torch

        tensors: dict[str, torch.Tensor] = {}
        plain: dict[str, dict[str, Any]] = {}
        for index, moments in self.optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
                else:
                    plain.setdefault(str(index), {})[name] = value
        if self.batches:
            for index, parameter in enumerate(self.parameters):
                if parameter.grad is not None:
                    tensors[f"gradient.{index}"] = parameter.grad
        values = {"optimizer": plain, "batches": self.batches, "weight": self.weight}
        values["scaler"] = None if self.scaler is None else self.scaler.state_dict()
        if self.average is not None:
            averages, values["average"] = self.average.state()
            tensors |= {f"average.{name}": value for name, value in averages.items()}
        return tensors, values

    def load(self, state: tuple[Mapping[str, torch.Tensor], Mapping[str, Any]]) -> None:
        """The inverse of `state`."""
        import torch

        tensors, plain = state
        moments: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in plain["optimizer"].items()}
        for key, value in tensors.items():
            kind, index, *name = key.split(".", 2)
            if kind == "optimizer":
                moments.setdefault(int(index), {})[name[0]] = value
            elif kind == "gradient" and self.team.leads:
                self.parameters[int(index)].grad = value.to(self.device, copy=True)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.batches = plain["batches"]
        if self.team.leads:  # the sum was saved once, so one process takes it
            self.weight = plain["weight"]
        if self.average is not None:
            prefix = "average."
            averages = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            self.average.load(averages, plain["average"])
        if self.scaler is not None and plain["scaler"] is not None:
            self.scaler.load_state_dict(plain["scaler"])
            self.scaler.scale(torch.zeros(1, device=self.device))  # the scale goes to the device at the first use

    def _precision(self) -> AbstractContextManager[Any]:
        import torch

        if self.training.precision in ("fp32", "tf32"):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16 if self.training.precision == "bf16" else torch.float16)


class OwnUpdate(Learner):
    """Learning by the plugin's `update`, which changes the network in place. All of its state is in the network."""

    def __init__(
        self, plugin: Plugin, update: Update, network: torch.nn.Module, options: Any, threads: int
    ) -> None:  # fmt: skip
        self.plugin, self._update = plugin, update
        self.network = network
        self.options = options
        self.threads = threads

    def learn(self, batch: Any, learning_rate: float) -> Outcome:
        log = self._update(self.network, batch, learning_rate, self.options, self.threads)
        checked(self.plugin, "update", log, Mapping)
        outcome = outcome_of(log.get("loss"), log, batch)
        return replace(outcome, updated=True)
