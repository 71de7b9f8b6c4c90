"""The stream's order of work: windows, batches under a budget, stages side by side."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from textkit.serving.stream import batches, staged, windows
from textkit.streams.columns import Block

PAUSE = Block([])


def texts(blocks: list[Block], lines: int, characters: int = 10**6) -> list[list[str] | None]:
    return [block and block.texts for block in windows(blocks, lines, characters)]


# --- windows ----------------------------------------------------------------------------------------------------------


def test_small_blocks_are_joined_and_large_ones_cut() -> None:
    assert texts([Block(["a"]), Block(["b", "c"]), Block(["d"])], 3) == [["a", "b", "c"], ["d"]]
    assert texts([Block(list("abcdefg"))], 3) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert texts([], 3) == []


def test_a_pause_ends_the_window() -> None:
    assert texts([Block(["a"]), PAUSE, PAUSE, Block(["b"]), PAUSE], 3) == [["a"], None, None, ["b"], None]


def test_long_lines_make_short_windows() -> None:
    long = "x" * 10
    assert texts([Block([long, "a", long]), Block(["b"])], 9, 12) == [[long, "a"], [long, "b"]]
    assert texts([Block(["a", long * 5, "b"])], 9, 12) == [["a"], [long * 5], ["b"]]


def test_no_window_is_larger_than_asked_for_and_nothing_is_lost() -> None:
    generator = random.Random(1)
    blocks = [Block(["x" * generator.randrange(9) for _ in range(generator.randrange(1, 30))]) for _ in range(200)]
    cut = [block for block in windows(blocks, 16, 50) if block]
    assert [text for block in cut for text in block.texts] == [text for block in blocks for text in block.texts]
    assert max(map(len, cut)) <= 16
    assert max(sum(map(len, block.texts)) for block in cut) <= 50


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batches_by_hand() -> None:
    # Sorted: 1 1 2 3 3 9. Under 6 padded tokens: 1 1 2 (3 * 2), then 3 3 (2 * 3), then 9 alone.
    cut = [batch.tolist() for batch in batches(np.array([3, 1, 9, 2, 1, 3]), 6)]
    assert cut == [[1, 4, 3], [0, 5], [2]]
    assert list(batches(np.array([], np.int64), 6)) == []


def test_every_line_is_in_one_batch_and_none_could_take_another() -> None:
    generator = np.random.default_rng(1)
    for budget in (1, 10, 64, 1000):
        lengths = generator.integers(1, 40, 500)
        cut = list(batches(lengths, budget))
        assert sorted(np.concatenate(cut).tolist()) == list(range(500))
        for batch, after in zip(cut, [*cut[1:], None], strict=True):
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
            if after is not None:
                assert (len(batch) + 1) * lengths[after[0]] > budget
                assert lengths[batch].max() <= lengths[after].min()


# --- stages -----------------------------------------------------------------------------------------------------------


def double(number: int) -> int:
    time.sleep(0.001 * (number % 3))  # a later item may be done sooner
    return 2 * number


def negative(number: int) -> int:
    return -number


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_in_order(threads: int) -> None:
    assert list(staged(range(50), [double, negative], threads)) == [-2 * number for number in range(50)]
    assert list(staged([], [double], threads)) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_before_a_pause_everything_is_given(threads: int) -> None:
    given: list[int | None] = []

    def items() -> Iterator[int | None]:
        yield from (1, 2)
        yield None
        assert given == [2, 4, None]
        yield 3
        yield None
        assert given == [2, 4, None, 6, None]

    for result in staged(items(), [double], threads):
        given.append(result)
    assert given == [2, 4, None, 6, None]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_comes_in_its_items_place(threads: int) -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = staged(range(10), [double, lambda number: fail(number // 2)], threads)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_what_raises_while_reading_comes_after_what_was_read() -> None:
    def items() -> Iterator[int]:
        yield 1
        time.sleep(0.5)  # meanwhile the first item is done
        raise KeyboardInterrupt

    results = staged(items(), [double], 2)
    assert next(results) == 2
    with pytest.raises(KeyboardInterrupt):
        next(results)


def test_reading_does_not_run_far_ahead() -> None:
    read = 0
    gate = threading.Event()

    def items() -> Iterator[int]:
        nonlocal read
        while read < 100:
            read += 1
            yield read

    def wait(number: int) -> int:
        gate.wait(10)
        return number

    results = staged(items(), [wait, negative], 2)
    opener = threading.Timer(0.2, gate.set)
    opener.start()
    assert next(results) == -1
    assert read <= 5
    assert list(results) == [-number for number in range(2, 101)]


def test_stages_work_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet_at(place: int, number: int) -> int:
        if number == place:
            meeting.wait()  # passes only while the other stage works on the other item
        return number

    stages = [lambda number: meet_at(1, number), lambda number: meet_at(0, number)]
    assert list(staged(range(4), stages, 2)) == [0, 1, 2, 3]


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    results = staged(iter(range(10**9)), [double, negative], 2)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
