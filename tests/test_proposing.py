"""Which options a search proposes."""

from __future__ import annotations

import json

from tuning_toys import Known, Options

from textkit.training.proposing import Proposals


def test_moves_stay_on_their_scales():
    known = Known()
    proposals = Proposals(known, Options(), Known.training, frozenset(), seed=1)
    proposals.enter(known.space(10))
    assert proposals.next([]) == {**proposals.base, "kind": "fancy", "depth": 2}
    moves = [proposals.next([proposals.base]) for _ in range(40)]
    scales = known.space(10).scales
    assert all(values[key] in scale for values in moves for key, scale in scales.items())
    assert len({json.dumps(values, default=str) for values in moves}) == 40
