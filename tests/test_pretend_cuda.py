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
from pretend_cuda.pretend import counts
from textkit.searching.steps import Steps
steps, keeps = [], []
def watched(name, found):
    before = getattr(Steps, name)
    def run(self, *given, **named):
        first = counts()
        result = before(self, *given, **named)
        after = counts()
        found.append({key: after[key] - first[key] for key in after})
        return result
    setattr(Steps, name, run)
watched("step", steps), watched("keep", keeps)
"""


def of_late(found: list[dict[str, int]]) -> dict[str, int]:
    """The most of each, over the steps in which nothing is made any more."""
    return {name: max(one[name] for one in found[4:]) for name in found[0]}


def test_a_step_of_a_search_is_three_copies_and_a_hundred_bytes_a_line(libraries, tmp_path):
    found = told(
        libraries,
        STEPS
        + """
import numpy as np
from textkit import Translator
model = Translator("en-de", device="cuda", workers=1, guard=False, min_length=20, max_length=20)
model.translate(["The dog runs home with the man."] * 64)
held = model.steps
memory, state = held.encode(np.full((64, 12), 5), np.ones((64, 12), bool))
token = np.full((64, 1), 1)
for step in range(8):
    given = held.step(token, np.zeros_like(token), 5, memory, state, False, score=np.zeros(token.shape))
    state, token = given, given["top_id"][:, 0, :4]
held.keep(memory, state, np.arange(0, 64, 2))
held.keep(memory, state, np.arange(0, 64, 2))
print(json.dumps([steps, keeps[-1], held.where]))
""",
        tmp_path,
    )
    steps, kept, where = found
    assert where == "cuda:0/fp16"
    late = of_late(steps)
    assert late["up"] + late["down"] <= 3
    assert late["up_bytes"] <= 100 * 64
    assert late["down_bytes"] <= 100 * 64
    assert late["up_bytes"] == 64 * 4 * 3 * 4  # token, parent and score of four beams, in fp32
    assert late["down_bytes"] == 64 * 8 * (4 + 4)  # the eight best continuations
    assert (kept["up_bytes"], kept["down_bytes"]) == (32 * 8, 0)  # which lines stay


@pytest.mark.parametrize("share", [None, 0.9])
def test_a_drawn_token_is_two_copies(libraries, tmp_path, share):
    steps = told(
        libraries,
        STEPS
        + f"""
import numpy as np
from textkit import Generator
from textkit.searching.drawing import Draw
held = Generator("en-lm", device="cuda", samples=4).steps
memory, state = held.encode(np.full((32, 6), 5), np.ones((32, 6), bool))
numbers, rest = np.full((32, 4), 0.5, np.float32), (np.array(1, np.float32), np.zeros(len(held._bundle.rule), np.float32))
draw = Draw(numbers, *rest)
if {share}:
    draw = Draw(np.repeat(numbers[:, :, None], 4, 2), *rest, np.array({share}, np.float32))
token, parent = np.full((32, 4), 7), np.zeros((32, 4), np.int64)
for step in range(8):
    state = held.step(token, parent, 0, memory, state, False, draw)
    token, parent = state["drawn_id"], np.tile(np.arange(4), (32, 1))
print(json.dumps(steps))
""",
        tmp_path,
    )
    late = of_late(steps)
    assert late["up"] + late["down"] <= 3
    assert late["up_bytes"] == 32 * 4 * (6 if share else 3) * 4  # token, parent, and one number or four
    assert late["down_bytes"] == 32 * 4 * (4 + 4)
    assert max(late["up_bytes"], late["down_bytes"]) <= 100 * 32


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
for kind, choices, outputs in (("ranked", 8, ["top_id", "top_logprob"]), ("drawn", 0, drawn), ("cut", 0, drawn)):
    graph = onnxfile.keep_outputs(data, [*outputs, *states])
    found[kind] = accepts(for_cuda(graph, "fp16", StepEdit(kind, vocab, choices)))
print(json.dumps(found))
""",
        tmp_path,
    )
    assert accepted == {"k as an input": False, "ranked": True, "drawn": True, "cut": True}
