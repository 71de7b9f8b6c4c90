"""Sums gradients over the processes of a team while the backward pass is still computing others. Knows no loop and no plugin.

The backward pass finishes the last layers first. So gradients are gathered in buckets, in the reverse order of the parameters,
and a bucket is sent as soon as all of its gradients are there (Li et al. 2020, arXiv 2006.15704, section 3.2.3: PyTorch's
DistributedDataParallel; parallel.py says why that one does not fit). Every process sends the same buckets in the same order,
whatever its own backward pass did: what it has no gradient for counts as zero. So the sums are the same every time, and of two
processes the same to the bit as if they were sent at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from textkit.training.distributed.parallel import Alone

BUCKET = 4 << 20  # bytes of gradients sent at once


class Overlap:
    """The gradients of `parameters` on their way to the other processes."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], team: Alone, size: int = BUCKET) -> None:
        self.team = team
        self.buckets = buckets(parameters[::-1], size)
        self._place = {id(parameter): at for at, bucket in enumerate(self.buckets) for parameter in bucket}
        # Gradients of each bucket that the backward pass still owes; empty: nothing is watched.
        self._left: list[int] = []
        self._sent: list[tuple[torch.Tensor, Any]] = []
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._ready)

    def watch(self) -> None:
        """Called before the last backward pass of a group: from here on, a gradient that is there is whole."""
        self._left = [len(bucket) for bucket in self.buckets]

    def finish(self) -> None:
        """Sends what was not sent, and replaces each gradient by its sum. Where a process has none it gets one."""
        import torch

        self._left = []
        while len(self._sent) < len(self.buckets):
            self._send()
        for bucket, (flat, arrives) in zip(self.buckets, self._sent, strict=True):
            arrives()
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
            parts = flat.split([parameter.numel() for parameter in bucket])
            gradients = [parameter.grad for parameter in bucket]
            torch._foreach_copy_(gradients, [part.view_as(to) for part, to in zip(parts, gradients, strict=True)])
        self._sent.clear()

    def _ready(self, parameter: torch.nn.Parameter) -> None:
        """Called by autograd when a gradient is there."""
        if self._left:
            self._left[self._place[id(parameter)]] -= 1
            while len(self._sent) < len(self.buckets) and not self._left[len(self._sent)]:
                self._send()

    def _send(self) -> None:
        import torch

        bucket = self.buckets[len(self._sent)]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in bucket]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])  # [number]
        self._sent.append((flat, self.team.start_adding_up(flat)))


def buckets(tensors: Sequence[torch.Tensor], size: int) -> list[list[torch.Tensor]]:
    """The tensors in their order; neighbours of one dtype and device share a bucket, up to `size` bytes."""
    found: list[list[torch.Tensor]] = []
    held = 0
    for tensor in tensors:
        other = found and (tensor.dtype, tensor.device) != (found[-1][0].dtype, found[-1][0].device)
        if not found or other or held + tensor.nbytes > size:
            found.append([])
            held = 0
        found[-1].append(tensor)
        held += tensor.nbytes
    return found
