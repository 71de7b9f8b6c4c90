"""Several processes that train one network: who does what, and what they send each other. Knows no loop and no plugin.

    textkit train --processes 2 ...
    torchrun --nproc-per-node 2 -m textkit train ...

Every process holds the whole network and goes through the same batches in the same order. A group is all batches of one
update; of W processes, process n % W learns from batch n of the group. The gradients, each weighted by the number of items
that its loss is a mean of, are added up (overlapping.py), and every process makes the same update. So W processes with
accumulate=A do what one does with accumulate=A*W, except for the order in which floats are added, and for dropout, which every
process draws for itself. Of the batches of the others a process needs only to know that they are there: `Epoch.owns` tells a
plugin which of them it may leave out.

Only the leader (rank 0) writes the run, takes scores and reports. All processes must see the run's folder. The buffers of
the network, which no gradient changes, are the leader's.

torch's DistributedDataParallel does not fit: it does its bookkeeping in the network's forward, while a plugin's loss may
call any method of the network; it needs the same number of backward passes from every process, while the last group of an
epoch may be smaller; and it takes the mean over processes, not over tokens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from textkit.errors import TextkitError, UsageError
from textkit.training.distributed.launching import MEETING
from textkit.training.run import Run

if TYPE_CHECKING:
    import torch

Thing = TypeVar("Thing")

PATIENCE = timedelta(hours=12)  # how long the others wait while the leader scores or reads the data


class Deserted(TextkitError):
    """Another process has ended, and has said why."""


class Alone:
    """A single process: it leads and does everything itself. `Team` has the same methods."""

    rank, size, local_size = 0, 1, 1
    alone = True

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def owns(self, number: int) -> bool:
        """Whether this process learns from batch `number` of a group."""
        return number % self.size == self.rank

    def device(self, chosen: torch.device) -> torch.device:
        """This process's own device, of the kind that was chosen."""
        return chosen

    def wait(self) -> None:
        """Waits until all processes have come here."""

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process; all get the same answer."""
        return flag

    def share(self, make: Callable[[], Thing]) -> Thing:
        """What the leader makes, sent to all."""
        return make()

    def gather(self, thing: Thing) -> list[Thing]:
        """The `thing` of every process, by rank, for the leader; an empty list for the others."""
        return [thing]

    def add_up(self, figures: Sequence[float]) -> list[float]:
        """The sums over all processes."""
        return list(figures)

    def start_adding_up(self, tensor: torch.Tensor) -> Callable[[], None]:
        """Begins to replace a tensor by its sum over all processes; what is returned waits until that is done."""
        return lambda: None

    def align(self, network: torch.nn.Module) -> None:
        """Gives all processes the leader's network."""


ALONE = Alone()


class Team(Alone):
    """This process among those that torch.distributed has joined; CPU tensors go by gloo, GPU tensors by nccl."""

    alone = False

    def __init__(self) -> None:
        import torch.distributed as dist

        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", 1))

    def device(self, chosen: torch.device) -> torch.device:
        """The process's own GPU; UsageError if there are fewer GPUs than processes, or if one was named."""
        import torch

        if chosen.type != "cuda":
            return chosen
        if chosen.index is not None:
            raise UsageError(f"--device {chosen}: of several processes each takes its own GPU; say --device cuda")
        if self.local_rank >= torch.cuda.device_count():
            raise UsageError(f"{self.local_size} processes and {torch.cuda.device_count()} GPUs: each takes its own")
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def wait(self) -> None:
        self.add_up([0.0])

    def any(self, flag: bool) -> bool:
        return self.add_up([float(flag)])[0] > 0

    def share(self, make: Callable[[], Thing]) -> Thing:
        import torch
        import torch.distributed as dist

        given: list[Any] = [make() if self.leads else None]
        with _deserted():
            dist.broadcast_object_list(given, 0, device=torch.device("cpu"))
        return given[0]

    def gather(self, thing: Thing) -> list[Thing]:
        """Sends pickles, which is safe between processes of one program."""
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        with _deserted():
            dist.all_gather_object(found, thing)
        return found if self.leads else []

    def add_up(self, figures: Sequence[float]) -> list[float]:
        import torch
        import torch.distributed as dist

        summed = torch.tensor(figures, dtype=torch.float64)
        with _deserted():
            dist.all_reduce(summed)
        return summed.tolist()

    def start_adding_up(self, tensor: torch.Tensor) -> Callable[[], None]:
        import torch.distributed as dist

        with _deserted():
            work = dist.all_reduce(tensor, async_op=True)

        def wait() -> None:
            with _deserted():
                work.wait()

        return wait

    def align(self, network: torch.nn.Module) -> None:
        import torch
        import torch.distributed as dist

        with _deserted(), torch.no_grad():
            for tensor in network.state_dict().values():
                sent = tensor.contiguous()
                dist.broadcast(sent, 0)
                tensor.copy_(sent)


class Follower(Run):
    """A run that another process writes: reads what is there, and changes nothing."""

    def save(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def locked(self) -> Any:
        return nullcontext()


def several() -> bool:
    """Whether this process was started as one of several that belong together, as torchrun does it."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def joined() -> Iterator[Alone]:
    """Joins the processes that RANK and WORLD_SIZE announce: at MASTER_ADDR and MASTER_PORT, or in the file of `launch`.

    Yields this process's Team, or ALONE if these variables are not set.
    """
    if not several():
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        meeting = os.environ.get(MEETING)
        at = {"init_method": f"file://{meeting}", "rank": int(os.environ["RANK"])} if meeting else {}
        at |= {"world_size": int(os.environ["WORLD_SIZE"])} if meeting else {}
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE, **at)
    except (RuntimeError, ValueError) as error:
        raise TextkitError(f"RANK and WORLD_SIZE are set, but the processes cannot be joined: {error}") from error
    yield Team()
    dist.destroy_process_group()  # skipped after an error: the others may be waiting for what will not come


@contextmanager
def _deserted() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Deserted("another process of this training has ended") from error
