"""Runs the suite with other seeds, to find tests that pass by luck: `TEXTKIT_TEST_SEEDS=1 make test`.

Adds a number to every seed that a test file gives to numpy, torch, `random` or a training. A test that then fails has too
tight a bound. A test that needs one particular seed says why, and gives it as np.int64, which is not changed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = str(Path(__file__).parent)


def _shifting(call: Callable[..., Any], at: int, by: int) -> Callable[..., Any]:
    """`call`, but with its argument number `at` raised by `by` if a test file calls it."""

    def shifted(*given: Any, **named: Any) -> Any:
        seeded = len(given) > at and type(given[at]) is int
        if seeded and sys._getframe(1).f_code.co_filename.startswith(TESTS):
            given = (*given[:at], given[at] + by, *given[at + 1 :])
        return call(*given, **named)

    return shifted


def shift(by: int) -> None:
    import numpy as np

    np.random.default_rng = _shifting(np.random.default_rng, 0, by)
    random.seed = _shifting(random.seed, 0, by)
    plain = random.Random

    class Shifted(plain):
        def __new__(cls, *given: Any) -> Any:
            return super().__new__(cls)

        def __init__(self, *given: Any) -> None:
            if given and type(given[0]) is int and sys._getframe(1).f_code.co_filename.startswith(TESTS):
                given = (given[0] + by,)
            super().__init__(*given)

    random.Random = Shifted
    try:
        import torch
    except ImportError:
        return
    from textkit.training.run import Run

    torch.manual_seed = _shifting(torch.manual_seed, 0, by)
    Run.create = classmethod(_shifting(Run.create.__func__, 5, by))
