"""Orders the work on a stream: windows of records, batches by length, stages side by side. Knows no model and no file.

A window is how far the stream looks ahead. It ends when it is full or when the input pauses, so a person who types gets each
line back at once, and a file gets full batches. Inside a window, lines are batched by length under a budget of padded tokens.
The window bounds the memory, however long the input is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from typing import Any

import numpy as np

from textkit.signals import Ended
from textkit.streams.columns import Block

WINDOW_LINES = 4096
WINDOW_CHARACTERS = 1 << 22
_AHEAD = 2


def windows(
    blocks: Iterable[Block], lines: int = WINDOW_LINES, characters: int = WINDOW_CHARACTERS
) -> Iterator[Block | None]:
    """Regroups `blocks` into windows of at most `lines` records, and of about `characters` if lines are long.

    An empty block ends the current window. One None follows, which says that the input pauses.
    """
    held: list[Block] = []
    count = size = 0
    for block in blocks:
        if not len(block):
            if held:
                yield Block.joined(held)
                held, count, size = [], 0, 0
            yield None
            continue
        for part, weight in _cut(block, lines, characters):
            if held and (count + len(part) > lines or size + weight > characters):
                yield Block.joined(held)
                held, count, size = [], 0, 0
            held.append(part)
            count += len(part)
            size += weight
    if held:
        yield Block.joined(held)


def _cut(block: Block, lines: int, characters: int) -> Iterator[tuple[Block, int]]:
    """`block` in parts no larger than a window, except for a line that alone is larger; and the characters of each part."""
    for begin in range(0, len(block), lines):
        part = block if len(block) <= lines else block.part(begin, min(begin + lines, len(block)))
        total = sum(map(len, part.texts))
        if total <= characters:
            yield part, total
            continue
        start = size = 0
        for at, text in enumerate(part.texts):
            if at > start and size + len(text) > characters:
                yield part.part(start, at), size
                start, size = at, 0
            size += len(text)
        yield part.part(start, len(part)), size


def batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Positions of `lengths` i64[line] in batches, shortest lines first: lines * longest line <= `budget` in each.

    A line longer than the budget is a batch by itself. Lines of one length keep their order.
    """
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    start = 0
    while start < len(order):
        # A batch that begins here has at most budget / (length of its shortest line) lines.
        reach = ordered[start : start + max(1, budget // max(1, int(ordered[start])))]
        fits = np.searchsorted(reach * np.arange(1, len(reach) + 1), budget, side="right")
        stop = start + max(1, int(fits))
        yield order[start:stop]
        start = stop


def staged(
    items: Iterable[Any], stages: Iterable[Callable[[Any], Any]], threads: int = 2, side_by_side: int = 1
) -> Iterator[Any]:
    """What the `stages`, one after the other, make of each item, in order. With `threads` > 1 each stage has a thread, or
    `side_by_side` threads, which take an item each.

    `items` are read and results are taken in the caller's thread, where Ctrl-C arrives. None among `items` is a pause: all
    that was begun is finished and given before None is passed on. At most _AHEAD items per thread are under way. An exception
    of a stage is raised in its item's place, and no later item is given. If reading is interrupted, finished items are given
    first.
    """
    stages = list(stages)
    if threads < 2:
        for item in items:
            yield None if item is None else reduce(lambda value, stage: stage(value), stages, item)
        return
    pools = [ThreadPoolExecutor(side_by_side, thread_name_prefix="textkit-stage") for _ in stages]
    waiting: deque[Future[Any]] = deque()
    try:
        for item in _until_interrupted(items):
            if item is None or isinstance(item, BaseException):
                while waiting and (item is None or waiting[0].done()):
                    yield waiting.popleft().result()
                if item is not None:
                    raise item
                yield None
                continue
            future: Future[Any] = pools[0].submit(stages[0], item)
            for pool, stage in zip(pools[1:], stages[1:], strict=True):
                future = pool.submit(_after, future, stage)
            waiting.append(future)
            while waiting and (len(waiting) >= _AHEAD * len(stages) * side_by_side or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)


def _until_interrupted(items: Iterable[Any]) -> Iterator[Any]:
    """The items; if a signal ends them, its exception is the last."""
    try:
        yield from items
    except (KeyboardInterrupt, Ended) as error:
        yield error


def _after(before: Future[Any], stage: Callable[[Any], Any]) -> Any:
    return stage(before.result())
