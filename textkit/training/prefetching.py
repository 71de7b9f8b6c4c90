"""Batches made ahead on a thread, in memory that a GPU reads by itself. Knows no plugin, no network and no loop.

A GPU would otherwise wait while the host pads the next batch, and the host while a copy is on its way. On a CPU there is
nothing to gain: the thread would take its time from the one that trains.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from textkit.corpora.batching import each_tensor

if TYPE_CHECKING:
    import torch

AHEAD = 4  # batches, of some hundred kilobytes at most
_LOOK = 0.1  # seconds after which a thread that waits looks whether anybody still wants its batches


def ahead(batches: Generator[Any, None, None], device: torch.device, pinned: bool = True) -> Generator[Any, None, None]:
    """The batches in their order, up to AHEAD of them made before they are wanted. An error comes in its batch's place.

    `pinned`: whether their tensors go to page-locked memory, from which `move` copies while the host goes on; for this there
    must be a GPU. The iterator must be closed (contextlib.closing) where it is left before its end.
    """
    made: queue.Queue[tuple[str, Any]] = queue.Queue(AHEAD)
    left = threading.Event()

    def hand(what: str, thing: Any = None) -> bool:
        """Whether it was taken; False once nobody wants any more."""
        while not left.is_set():
            with suppress(queue.Full):
                made.put((what, thing), timeout=_LOOK)
                return True
        return False

    def work() -> None:
        try:
            if device.type == "cuda":
                import torch

                torch.cuda.set_device(device)  # of this thread: otherwise pages are locked for the first GPU
            with closing(batches):
                for batch in batches:
                    if not hand("batch", each_tensor(batch, lambda tensor: tensor.pin_memory()) if pinned else batch):
                        return
            hand("end")
        except BaseException as error:
            hand("error", error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            what, thing = made.get()
            if what == "error":
                raise thing
            if what == "end":
                return
            yield thing
    finally:
        left.set()
        thread.join(10 * _LOOK)  # no longer: the plugin may be encoding a whole corpus, and the process be asked to end
