"""Which options a search proposes."""

from __future__ import annotations

import json

import pytest
from tuning_toys import Known, Options

from textkit.training.tuning.proposing import Proposals


def test_moves_stay_on_their_scales():
    known = Known()
    proposals = Proposals(known, Options(), Known.training, frozenset(), seed=1)
    proposals.enter(known.space(10))
    assert proposals.next([]) == {**proposals.base, "kind": "fancy", "depth": 2}
    moves = [proposals.next([proposals.base]) for _ in range(40)]
    scales = known.space(10).scales
    assert all(values[key] in scale for values in moves for key, scale in scales.items())
    assert len({json.dumps(values, default=str) for values in moves}) == 40


@pytest.mark.parametrize("reach", [1, 2, 3])
def test_a_move_is_never_longer_than_its_reach(reach):
    proposals = Proposals(Known(), Options(), Known.training, frozenset(), seed=1)
    scale = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    for now in (1, 16, 128):
        steps = {scale.index(proposals._along(scale, now, reach)) - scale.index(now) for _ in range(100)}
        far = {step for step in range(-reach, reach + 1) if step and 0 <= scale.index(now) + step < len(scale)}
        assert steps == far
