"""What the command line may do because it owns its process: graphs have bounded memory, and a signal always ends it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from small_bundle import embed_model, write_small

from textkit.bundle.manifest import FILE

node = helper.make_node
pytestmark = pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="POSIX")


def write_with(folder: Path, *nodes: onnx.NodeProto, last: str, **constants: list[int]) -> Path:
    """The model of three words, which also computes `nodes` and adds the sum of `last` to its vectors."""
    made = embed_model()
    del made.graph.node[-1]
    made.graph.node.extend(
        [
            node("ReduceSum", ["weighted", "middle"], ["plain"], keepdims=0),
            *nodes,
            node("ReduceSum", [last], ["more"], keepdims=0),
            node("Add", ["plain", "more"], ["vector"]),
        ]
    )
    made.graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in constants.items())
    data = made.SerializeToString()
    write_small(folder)
    (folder / "embed.onnx").write_bytes(data)
    manifest = json.loads((folder / FILE).read_bytes())
    manifest["files"]["embed.onnx"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / FILE).write_text(json.dumps(manifest))
    return folder


def started(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "textkit", "embed", "-v", "-m", str(folder), "--threads", "2"]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert running.stdin is not None
    running.stdin.write(b"dog\n")
    running.stdin.close()
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [pytest.param("many nodes", marks=pytest.mark.slow), "one node"])
def test_a_signal_ends_a_graph_that_runs_and_runs(tmp_path, number, kind):
    """A graph of many nodes stops between two of them; if one node takes minutes, the process is ended inside it."""
    if kind == "many nodes":
        products = [node("MatMul", [f"m{at}", "m0"], [f"m{at + 1}"]) for at in range(2000)]
        nodes, last, sizes = products, "m2000", {"s": [1000, 1000]}
    else:
        wide = node("Conv", ["m0", "w"], ["m1"], pads=[2000] * 4)
        nodes, last, sizes = (
            [node("ConstantOfShape", ["t"], ["w"]), wide],
            "m1",
            {"s": [1, 1, 4000, 4000], "t": [1, 1, 2001, 2001]},
        )
    folder = write_with(tmp_path / "m", node("ConstantOfShape", ["s"], ["m0"]), *nodes, last=last, **sizes)
    running = started(folder)
    assert running.stderr is not None
    said = running.stderr.readline()  # -v names the device when the graph is loaded
    assert said.startswith(b"textkit: "), said
    time.sleep(0.5)
    assert running.poll() is None
    running.send_signal(number)
    start = time.perf_counter()
    try:
        assert running.wait(30) == 128 + number
    finally:
        running.kill()
    assert time.perf_counter() - start < 10  # 1.7 on an idle machine
    rest = running.stderr.read().decode()
    assert "Traceback" not in rest
    assert "failed" not in rest
    running.stderr.close(), running.stdout.close()  # type: ignore[union-attr]


def test_a_graph_that_doubles_what_it_has_is_out_of_memory(tmp_path):
    """The error comes before a gigabyte is taken, in one line of textkit and none of onnxruntime."""
    doubling = [node("Concat", [f"d{at}" if at else "plain"] * 2, [f"d{at + 1}"], axis=0) for at in range(40)]
    running = started(write_with(tmp_path / "m", *doubling, last="d40"))
    assert running.stdout is not None
    assert running.stderr is not None
    peak = 0  # KiB; not from getrusage, which would also count the process that started it
    while running.poll() is None:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{running.pid}/status").read_text())
        peak = max(peak, int(found[1]) if found else 0)  # not found: the process has ended
        time.sleep(0.002)
    assert running.stdout.read() == b""
    lines = running.stderr.read().decode().splitlines()
    assert running.returncode == 1
    assert 1 << 16 < peak < 1 << 20
    running.stderr.close(), running.stdout.close()
    assert len(lines) == 2  # the first is from -v
    assert lines[1].startswith("textkit: ")
    assert lines[1].endswith("out of memory: the model's graph asks for more than 640 MB")


def test_a_program_that_imports_textkit_gets_none_of_this():
    code = "import textkit, signal; from textkit import process; print(process.is_own(), signal.set_wakeup_fd(-1))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False -1\n"
