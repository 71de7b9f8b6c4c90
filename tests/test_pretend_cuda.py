"""What onnxruntime's CUDA provider makes of textkit's graphs: placement, copies, memory. With stand-ins for CUDA's libraries.

Each test starts a process that finds the stand-ins. Skipped where gcc, CUDA's headers or the provider are missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pretend_cuda import pretend

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.skipif(bool(pretend.missing()), reason=pretend.missing() or "-"),
    pytest.mark.slow,  # the provider takes seconds to load, in each process
]


@pytest.fixture(scope="module")
def libraries() -> Path:
    return pretend.build(ROOT / ".pytest_cache" / "pretend_cuda")


def told(libraries: Path, program: str, tmp_path: Path):
    """What a program prints as JSON, run where CUDA seems to be."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    env = {
        **os.environ, "LD_LIBRARY_PATH": str(libraries), "XDG_CACHE_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


STEPS = """
import json, warnings
import numpy as np
from pretend_cuda.pretend import counts
from textkit import Generator, Translator
from textkit.searching import stepping_on_device
from textkit.searching.beams import Pick
from textkit.searching.drawing import Draw
from textkit.searching.steps import Steps
found = []
def watched(run, *given):
    first = counts()
    result = run(*given)
    after = counts()
    found.append({key: after[key] - first[key] for key in after})
    return result
"""


def of_late(found: list[dict[str, int]]) -> dict[str, int]:
    """The most of each, over the runs in which nothing is made any more."""
    return {name: max(one[name] for one in found[2:]) for name in found[0]}


def test_four_steps_of_a_search_are_two_copies_and_a_hundred_bytes_a_line_and_step(libraries, tmp_path):
    found, kept, where, ahead = told(
        libraries,
        STEPS
        + """
held = Translator("en-de", device="cuda", workers=1, guard=False).steps
memory, state = held.encode(np.full((64, 12), 5), np.ones((64, 12), bool))
token, parent, score, bias = np.full((64, 1), 7), np.zeros((64, 1), int), np.zeros((64, 1)), np.zeros(8000, np.float32)
for _ in range(6):
    pick = Pick(score, bias, 4, 2)
    chosen, state = watched(held.steps, held.ahead(pick), token, parent, memory, state, pick)
    token, parent, score = (chosen[-1][f"picked_{name}"][:, :4] for name in ("id", "beam", "logprob"))
held.keep(memory, state, np.arange(0, 64, 2))
watched(held.keep, memory, state, np.arange(0, 64, 2))
print(json.dumps([found[:-1], found[-1], held.where, len(chosen)]))
""",
        tmp_path,
    )
    assert (where, ahead) == ("cuda:0/fp16", 4)
    late = of_late(found)
    assert (late["up"], late["down"], late["syncs"]) == (1, 1, 3)
    assert late["up_bytes"] == 64 * 3 * 4 * 4  # token, parent and score of four beams, in fp32
    assert late["down_bytes"] == 4 * 64 * 2 * 8 * 4  # place and log-probability of the eight best, of four steps
    assert max(late["up_bytes"], late["down_bytes"]) <= 100 * 64 * ahead
    assert (kept["up_bytes"], kept["down_bytes"]) == (32 * 8, 0)  # which lines stay


@pytest.mark.parametrize(("top_k", "share"), [(0, None), (0, 0.9), (20, None), (20, 0.9), (500, None)])
def test_drawn_tokens_are_two_copies(libraries, tmp_path, top_k, share):
    found, ahead = told(
        libraries,
        STEPS
        + f"""
held = Generator("en-lm", device="cuda", samples=4, top_k={top_k}, top_p={share or 1}).steps
memory, state = held.encode(np.full((32, 6), 5), np.ones((32, 6), bool))
share = np.array({share}, np.float32) if {share} else None
rest = np.array(1, np.float32), np.zeros(len(held._bundle.rule), np.float32), share, {top_k}
numbers = np.full((32, 4, 4) if {share} else (32, 4), 0.5, np.float32)
ahead = held.ahead(Draw(numbers, *rest))
draw = Draw(np.stack([numbers] * ahead) if ahead > 1 else numbers, *rest)
token, parent = np.full((32, 4), 7), np.zeros((32, 4), np.int64)
for _ in range(6):
    if ahead > 1:
        chosen, state = watched(held.steps, ahead, token, parent, memory, state, draw)
        token = chosen[-1]["drawn_id"]
    else:
        state = watched(held.step, token, parent, 0, memory, state, False, draw)
        token = state["drawn_id"]
    parent = np.tile(np.arange(4), (32, 1))
print(json.dumps([found, ahead]))
""",
        tmp_path,
    )
    assert ahead == (1 if share and not top_k else 4)  # what a share of all tokens lacks is drawn on the host
    late = of_late(found)
    assert (late["up"], late["down"]) == (1, 1)
    assert late["up_bytes"] == 32 * 4 * (2 + ahead * (4 if share else 1)) * 4  # token, parent; a number or four a step
    assert late["down_bytes"] == ahead * 32 * 4 * (4 + 4)
    assert max(late["up_bytes"], late["down_bytes"]) <= 100 * 32 * ahead


def test_shipped_models_run_whole_on_the_gpu_in_each_precision(libraries, tmp_path):
    left = told(
        libraries,
        f"""
import json, onnxruntime
from pathlib import Path
from pretend_cuda.record import placement
from textkit.cuda.graphs import SHAPES, for_cuda
onnxruntime.set_default_logger_severity(4)
left = {{}}
for file in sorted(Path({str(ROOT)!r}, "exported_models").glob("*/*.onnx")):
    for precision in ("fp16", "fp32", "int8"):
        on_cpu = placement(for_cuda(file.read_bytes(), precision))[1]
        left |= {{f"{{file}} {{precision}} {{name}}": count for name, count in on_cpu.items() if name not in SHAPES}}
print(json.dumps(left))
""",
        tmp_path,
    )
    assert left == {}


def test_what_runs_on_the_cpu_all_the_same_is_said(libraries, tmp_path):
    said = told(
        libraries,
        """
import json, warnings
from onnx import TensorProto, helper
from textkit.serving.session import Session
port = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("Hardmax", ["x"], ["y"], axis=-1)], "g", [port("x", 1, ["n", 4])], [port("y", 1, ["n", 4])]
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    Session(model.SerializeToString(), "cuda")
print(json.dumps([str(one.message) for one in caught]))
""",
        tmp_path,
    )
    assert said == ["the GPU has no kernels for a part of the model: 1 Hardmax run on the CPU"]


def test_a_batch_that_does_not_fit_is_run_in_halves(libraries, tmp_path):
    """What the provider says of a GPU whose memory is used up is known as that."""
    sizes, shape, tokens = told(
        libraries,
        """
import ctypes, json
from textkit import Embedder
from textkit.serving.session import Session
sizes, before = [], Session.run
def run(self, feeds, outputs=None):
    sizes.append(len(feeds["ids"]))
    return before(self, feeds, outputs)
model = Embedder("en-sentences", device="cuda", batch_tokens=1 << 15)
model(["The dog runs home."] * 30)
Session.run = run
ctypes.CDLL("libcudart.so.13").pretend_memory(ctypes.c_long(16 << 20))
vectors = model(["The dog runs home."] * 3000)
print(json.dumps([sizes, list(vectors.shape), model._budget.tokens]))
""",
        tmp_path,
    )
    assert sizes[:2] == [3000, 1500]
    assert shape == [3000, 384]
    assert tokens < 1 << 15


def test_steps_with_a_state_of_constant_shape_are_accepted_by_cuda_graphs(libraries, tmp_path):
    """As textkit makes them for a GPU: with `k` as an input, CUDA refuses the step of a graph's capture."""
    accepted = told(
        libraries,
        f"""
import json, onnxruntime
from pathlib import Path
from textkit.bundle import onnxfile
from textkit.cuda.graphs import for_cuda
from textkit.cuda.stepping import StepEdit
onnxruntime.set_default_logger_severity(4)
data = Path({str(ROOT)!r}, "exported_models/en-lm/step.onnx").read_bytes()
drawn = ["drawn_id", "drawn_logprob"]
header = onnxfile.inspect(data, "step")
states = [port.name for port in header.outputs if port.name.endswith(".next")]
vocab = next(port.axes[2] for port in header.outputs if port.name == "logprob")
def accepts(graph):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    providers = [("CUDAExecutionProvider", {{"enable_cuda_graph": "1"}}), "CPUExecutionProvider"]
    try:
        onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception:
        return False
    return True
plain = onnxfile.keep_outputs(data, ["top_id", "top_logprob", *states])
found = {{"k as an input": accepts(for_cuda(plain, "fp16"))}}
top = ["top_id", "top_logprob"]
for steps in (1, 4):
    for edit in (
        StepEdit("picked", vocab, 8, 4, 2, steps), StepEdit("among", vocab, 20, steps=steps),
        StepEdit("among_share", vocab, 20, steps=steps), StepEdit("drawn", vocab, steps=steps),
        *[StepEdit("ranked", vocab, 8), StepEdit("cut", vocab)][: 2 * (steps == 1)],
    ):
        graph = onnxfile.keep_outputs(data, [*(drawn if edit.kind in ("drawn", "cut") else top), *states])
        found[edit.kind + str(steps)] = accepts(for_cuda(graph, "fp16", edit))
print(json.dumps(found))
""",
        tmp_path,
    )
    assert accepted.pop("k as an input") is False
    assert len(accepted) == 10
    assert all(accepted.values()), accepted
