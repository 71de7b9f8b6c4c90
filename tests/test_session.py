"""The door to onnxruntime: what loads, what fails in one line, and which device is really used."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from small_bundle import embed_model, identity

from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.serving import machine, probe, session
from textkit.serving.saying import reason
from textkit.serving.session import Session

IDENTITY = identity()
no_gpu = pytest.mark.skipif(machine.gpu_count()[0] > 0, reason="acts as if a GPU were there")
gpu = pytest.mark.skipif(machine.gpu_count()[0] == 0, reason="needs a GPU")


def test_runs_on_the_cpu():
    got = Session(embed_model().SerializeToString(), "cpu", threads=1)
    assert got.device == "cpu"
    assert got.inputs == ["ids", "weight", "pool", "normalize"]
    assert got.outputs == ["vector", "tokens"]
    feeds = {
        "ids": np.array([[0, 2], [1, 0]]),
        "weight": np.array([[1, 1], [0.5, 0]], np.float32),
        "pool": np.array(0),
        "normalize": np.array(False),
    }
    both = got.run(feeds)
    np.testing.assert_array_equal(both["vector"], [[6, 8], [1.5, 2]])
    assert list(got.run(feeds, ["vector"])) == ["vector"]


def test_stdout_is_there_after_two_threads_loaded_graphs_at_once(monkeypatch):
    """The first to begin is the first to end, as where a step graph is loaded in two of three batches under way."""
    onnxruntime, before = pytest.importorskip("onnxruntime"), sys.stdout
    inner, first_has_begun = onnxruntime.InferenceSession, threading.Event()

    def loaded(*given, **named):
        second = first_has_begun.is_set()
        first_has_begun.set()
        time.sleep(0.3 if second else 0.1)
        return inner(*given, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", loaded)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(Session, IDENTITY, "cpu", 1)
        assert first_has_begun.wait(10)
        assert pool.submit(Session, IDENTITY, "cpu", 1).result().device == other.result().device == "cpu"
    assert sys.stdout is before


def test_threads_are_the_cpus_at_hand_or_what_is_asked(monkeypatch):
    def threads(got: Session) -> int:
        return got._session.get_session_options().intra_op_num_threads

    assert threads(Session(IDENTITY, "cpu", threads=3)) == 3
    monkeypatch.setattr(machine, "cpus", lambda: 2)
    assert threads(Session(IDENTITY, "cpu")) == 2


@pytest.mark.parametrize(
    ("quota", "count"), [("max 100000", 8), ("150000 100000", 2), ("100000 100000", 1), ("5000 100000", 1), ("x", 8)]
)
def test_a_container_s_quota_counts(monkeypatch, tmp_path, quota, count):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "cpu.max")
    assert machine.cpus() == count


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", "", "cuda:-1", "cuda:0 "])
def test_device_of_another_name(device):
    with pytest.raises(UsageError, match=r"none of auto, cpu, cuda, cuda:N"):
        Session(IDENTITY, device)


@pytest.mark.parametrize(
    ("feeds", "line"),
    [
        ({"x": np.zeros((2, 2), np.float32)}, "the model failed: Invalid rank for input: x"),
        ({"x": np.zeros(2, np.int64)}, "the model failed: Unexpected input data type"),
        ({}, "the model failed: "),
        ({"z": np.zeros(2, np.float32)}, "the model failed: "),
    ],
)
def test_a_run_that_fails_is_one_line(feeds, line):
    with pytest.raises(TextkitError) as caught:
        Session(IDENTITY, "cpu", 1).run(feeds)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert "[ONNXRuntimeError]" not in str(caught.value)


def test_a_row_that_is_not_there_is_one_line():
    feeds = {
        "ids": np.array([[3]]),
        "weight": np.ones((1, 1), np.float32),
        "pool": np.array(0),
        "normalize": np.array(False),
    }
    with pytest.raises(TextkitError, match=r"the model failed: .*idx=3 must be within the inclusive range \[-3,2\]"):
        Session(embed_model().SerializeToString(), "cpu", 1).run(feeds)


def test_a_graph_that_does_not_load_is_one_line(capfd):
    for graph in (b"garbage", b"", IDENTITY.replace(b"Identity", b"Identitx")):
        with pytest.raises(TextkitError, match="onnxruntime does not load the graph: ") as caught:
            Session(graph, "cpu")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Neg node. Name:'" + "a b' " * 500
            + "' Status Message: it is wrong",
            "Non-zero status code returned while running Neg node. Name:'" + ("a b' " * 500)[:79] + "…"
            + "' Status Message: it is wrong",
        ),
        (
            "/onnxruntime_src/onnxruntime/core/x.cc:17 onnxruntime::common::Status onnxruntime::Squeeze::Compute("
            "onnxruntime::OpKernelContext*) const axes_tensor != nullptr was false. Axes input is null",
            "axes_tensor != nullptr was false. Axes input is null",
        ),
        ("\x1b[31m" + "b" * 2000, "\ufffd[31m" + "b" * 74 + "…"),
        ("Load model failed: Node (" + "c" * 900 + ") Op (Conv) [ShapeInferenceError] no", None),
    ],
)  # fmt: skip
def test_what_a_graph_s_names_say_is_cut(said, shown):
    found = reason(Exception(said))
    assert len(found) <= 300
    assert found == shown or (shown is None and found.endswith("…) Op (Conv) [ShapeInferenceError] no"))


# Without a GPU, and with one that does not work.


def test_cuda_without_a_driver(monkeypatch):
    monkeypatch.setattr(machine, "gpu_count", lambda: (0, "no NVIDIA driver (libcuda.so.1 is not there)"))
    with pytest.raises(TextkitError) as caught:
        Session(IDENTITY, "cuda")
    assert str(caught.value) == (
        "--device cuda: no NVIDIA driver (libcuda.so.1 is not there); --device cpu works without one"
    )
    assert Session(IDENTITY, "auto").device == "cpu"  # without a warning, which would be an error here


@no_gpu
def test_why_there_is_no_gpu():
    count, why = machine.gpu_count()
    assert count == 0
    assert "driver" in why
    assert probe.available_device("cuda") == f"--device cuda: {why}; --device cpu works without one"


@no_gpu
def test_a_gpu_whose_libraries_are_missing(monkeypatch, capfd):
    """The installed onnxruntime is told of a GPU and cannot use it: textkit says so in one line, onnxruntime says nothing."""
    monkeypatch.setattr(machine, "gpu_count", lambda: (1, ""))
    with pytest.raises(TextkitError, match=r"--device cuda: .*pip install 'onnxruntime-gpu\[cuda,cudnn\]'"):
        Session(IDENTITY, "cuda")
    with pytest.warns(TextkitWarning, match="there is a GPU that cannot be used, so the CPU is: .*pip install"):
        got = Session(IDENTITY, "auto")
    assert got.device == "cpu"
    np.testing.assert_array_equal(got.run({"x": np.ones(2, np.float32)})["y"], [1, 1])
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(machine, "gpu_count", lambda: (1, ""))
    with pytest.raises(TextkitError, match="--device cuda:1: there is no GPU 1; there is 1"):
        Session(IDENTITY, "cuda:1")


def test_two_packages_in_each_other_s_way(monkeypatch):
    monkeypatch.setattr(machine, "gpu_count", lambda: (1, ""))
    both = machine.Runtime({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"})
    monkeypatch.setattr(machine, "runtime", lambda: both)
    with pytest.raises(TextkitError) as caught:
        Session(IDENTITY, "cuda")
    assert str(caught.value) == (
        "--device cuda: onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    )
    assert machine.Runtime({}).problem == "no onnxruntime is installed: pip install onnxruntime"
    assert machine.Runtime({"onnxruntime-gpu": "1.31.1"}).problem is None


class FakeRuntime:
    """onnxruntime as it behaves on a machine with two GPUs; `granted`: the providers that a session gets."""

    def __init__(self, granted: list[str], built_with: list[str]) -> None:
        self.granted, self.built_with = granted, built_with
        self.asked: list = []

    def SessionOptions(self):
        return SimpleNamespace(add_session_config_entry=lambda key, value: None)

    def get_available_providers(self) -> list[str]:
        return self.built_with

    def preload_dlls(self) -> None:
        print("Failed to load libcudnn.so.9: no such file")

    def set_default_logger_severity(self, severity: int) -> None:
        self.severity = severity

    def InferenceSession(self, graph, options, providers, enable_fallback, disabled_optimizers=()):
        self.asked.append((providers, enable_fallback))
        ports = [SimpleNamespace(name="x")]
        return SimpleNamespace(get_providers=lambda: self.granted, get_inputs=lambda: ports, get_outputs=lambda: ports)


@pytest.fixture
def fake(monkeypatch):
    def install(granted: list[str], built_with=("TensorrtExecutionProvider", session.CUDA, session.CPU)) -> FakeRuntime:
        runtime = FakeRuntime(granted, list(built_with))
        monkeypatch.setattr(session, "_import", lambda: runtime)
        monkeypatch.setattr(machine, "gpu_count", lambda: (2, ""))
        monkeypatch.setattr(machine, "runtime", lambda: machine.Runtime({"onnxruntime-gpu": "1.31.1"}))
        monkeypatch.setattr(machine, "cudnn_loads", lambda: True)
        return runtime

    return install


def test_a_gpu_that_works(fake, capsys):
    runtime = fake([session.CUDA, session.CPU])
    assert Session(IDENTITY, "auto").device == "cuda:0"
    assert Session(IDENTITY, "cuda:1").device == "cuda:1"
    providers, fallback = runtime.asked[1]
    # Full precision, because TF32 would make vectors differ from the CPU's; no silent change to the CPU during a run.
    assert providers == [(session.CUDA, {"device_id": "1", "use_tf32": "0"}), session.CPU]
    assert fallback == 0
    assert runtime.severity == 3
    assert capsys.readouterr().out == ""


def test_cpu_is_cpu_beside_a_gpu(fake):
    runtime = fake([session.CPU])
    assert Session(IDENTITY, "cpu").device == "cpu"
    assert runtime.asked == [([session.CPU], 0)]


def test_what_counts_is_what_the_session_got(fake):
    fake([session.CPU])
    with pytest.raises(TextkitError) as caught:
        Session(IDENTITY, "cuda")
    assert str(caught.value) == (
        "--device cuda: CUDA 13 libraries are missing (libcudnn.so.9): pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )
    with pytest.warns(TextkitWarning, match="so the CPU is"):
        assert Session(IDENTITY, "auto").device == "cpu"


def test_a_missing_cudnn_is_found_when_the_model_opens(fake, monkeypatch):
    """onnxruntime's CUDA gives the session all the same, and fails at the first reduction."""
    fake([session.CUDA, session.CPU])
    monkeypatch.setattr(machine, "cudnn_loads", lambda: False)
    line = (
        "--device cuda: cuDNN 9 is missing, or does not load (libcudnn.so.9): pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )
    with pytest.raises(TextkitError) as caught:
        Session(IDENTITY, "cuda")
    assert str(caught.value) == line
    assert probe.available_device("cuda") == line


def test_an_onnxruntime_made_without_cuda(fake):
    fake([session.CPU], built_with=[session.CPU])
    with pytest.raises(TextkitError, match="made without CUDA: pip uninstall -y onnxruntime && pip install"):
        Session(IDENTITY, "cuda")


@gpu
def test_a_real_gpu_is_taken():
    assert Session(IDENTITY, "auto").device == "cuda:0"


# A missing onnxruntime, or half of one.


@pytest.mark.parametrize(
    ("setup", "line"),
    [
        ("sys.modules['onnxruntime'] = None", "onnxruntime does not import"),
        ("import types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime')", "onnxruntime is damaged: pip"),
    ],
)
def test_a_damaged_onnxruntime_is_one_line(setup, line):
    code = f"import sys; {setup}\nfrom textkit.serving.probe import *\nprint(available_device('cpu'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(line)
    assert done.stderr == ""


def test_a_sum_and_a_normalisation_stay_two_nodes_on_a_cpu(monkeypatch):
    """onnxruntime would make one of them, which takes four times as long; of a sum and a Gelu, twice as long."""
    import onnxruntime

    made, real = [], onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *given, **named: made.append(named) or real(*given, **named)
    )
    session = Session(IDENTITY, "cpu", 1)
    assert made[0]["disabled_optimizers"] == ["SkipLayerNormFusion", "BiasGeluFusion"]
    assert not session.attends  # so that any number of tokens may be in a batch
    assert session.most_tokens > 1 << 30
