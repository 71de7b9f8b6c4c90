"""What is made once for many tests is kept under a name that depends on everything that it is made from."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="traces are torch's: pip install 'textkit-onnx[train]'")
from remembered import kernels_kept, name_of, remembering  # noqa: E402


def test_a_name_is_of_everything_that_is_traced():
    module = torch.nn.Linear(2, 3)
    alike = copy.deepcopy(module)
    assert name_of(module, "x") == name_of(alike, "x") is not None
    assert name_of(module, "x") != name_of(module, "y")
    with torch.no_grad():
        alike.bias[0] += 1
    assert name_of(module) != name_of(alike)
    assert name_of(module) != name_of(copy.deepcopy(module).eval())
    assert name_of(torch.zeros(2, 1)) != name_of(torch.zeros(1, 2)) != name_of(torch.zeros(1, 2, dtype=torch.int32))
    assert name_of(torch.zeros(0), torch.zeros(())) is not None
    changed = copy.deepcopy(module)
    changed.option = 5
    assert name_of(module) != name_of(changed)


def test_what_has_no_name_is_traced_each_time(tmp_path):
    class Local(torch.nn.Module):
        pass

    assert name_of(Local()) is None
    onnx = pytest.importorskip("onnx")
    calls = []

    def trace(*what):
        calls.append(what)
        return onnx.helper.make_model(onnx.helper.make_graph([], f"made {len(calls)}", [], []))

    remembered = remembering(trace, tmp_path)
    for module in (Local(), Local(), torch.nn.Tanh(), torch.nn.Tanh(), torch.nn.Sigmoid()):
        remembered(module, [], [], "g")
    assert len(calls) == 4
    assert remembered(torch.nn.Tanh(), [], [], "g").graph.name == "made 3"


def test_a_changed_kernel_finds_no_cache_of_before(tmp_path):
    (tmp_path / "family").mkdir()
    for name in ("kernels.py", "row_kernels.py"):
        (tmp_path / "family" / name).write_text("x = 1\n")
    before = kernels_kept(tmp_path, tmp_path)
    (tmp_path / "family" / "network.py").write_text("x = 1\n")
    assert kernels_kept(tmp_path, tmp_path) == before
    (tmp_path / "family" / "row_kernels.py").write_text("x = 2\n")
    assert kernels_kept(tmp_path, tmp_path) != before
