"""The only door to onnxruntime: makes a callable of a graph's bytes, and says which device it really got.

Knows nothing of bundles, text or tasks. What onnxruntime prints on its own is kept off stdout. What it claims about GPUs is
not believed: a provider counts only when a session has it.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textkit import neighbours, process
from textkit.bundle import onnxfile
from textkit.defaults import PRECISE_DEVICES, PRECISIONS
from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.serving import machine
from textkit.serving.saying import reason

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import onnxruntime

    from textkit.cuda.model import Edit

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

LEAST_MEMORY = 640 << 20  # bytes that even the smallest model's graphs may take for what they compute
MEMORY_PER_BYTE = 64  # and this many more per byte of the graphs: a wide vocabulary has large tables and distributions
MOST_MEMORY = 16 << 30  # but never more than this, so that a file's size alone does not lift the bound
_NO_MEMORY = ("is smaller than requested bytes of", "bad_alloc", "Failed to allocate memory", "bad allocation")
_NO_DEVICE_MEMORY = ("CUDA failure 2", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
_MOST_FOLDED = "optimization.constant_folding_max_output_size_in_bytes"
_RECORDED = "session.record_ep_graph_assignment_info"
_ATTENTION = b"\x22\x09Attention"  # an operator's name in a graph's file
_BEGINNING = 1 << 20  # bytes; nodes come before weights
# Tokens of a batch, and in integers. What a network with attention makes of more does not stay in a CPU's caches: with 4,096,
# vectors of short sentences by all-MiniLM-L6-v2 took 1.8 times as long in fp32 as with 256 or 512. In int8, where products take
# less of the time, they took a seventh longer with 512 than with 256.
_CACHED, _CACHED_INTEGERS = 512, 256
_INTEGERS = b"\x22\x14MatMulIntegerToFloat"  # an operator's name
_running: Any = None  # onnxruntime's options of every run
_loading: list[Any] = []  # the options of sessions that are being made
_arena = 0  # bytes
_redirecting = threading.Lock()


class Session:
    """One graph, loaded. `device`: where it really runs, 'cpu' or 'cuda:N'; `precision`: what a GPU computes it in, None on a
    CPU; `where`: both, as another Session takes them. Cannot be pickled; make a new one."""

    def __init__(
        self,
        graph: bytes,
        device: str = "auto",
        threads: int | None = None,
        outputs: Collection[str] | None = None,
        edit: Edit | None = None,
    ) -> None:
        """`device`: auto, cpu, cuda or cuda:N, and of a GPU the precision that it computes in: cuda/fp16, cuda:1/fp32,
        cuda/tf32 or cuda/int8; without it a model stored as fp32 is computed so, and any other in fp16. `threads`: None for as
        many as this process may use. `outputs`: those that will be asked for, None for all. Others are cut off the graph,
        because onnxruntime would compute them as well. `edit`: what a GPU's graph has otherwise than a CPU's.

        Raises UsageError for a device of another name, and TextkitError if the graph does not load, or the GPU that was
        asked for cannot be had. `auto` takes the CPU, with a warning, if there is a GPU that cannot be used. Warns of operators
        that a GPU leaves to the CPU.
        """
        wanted, precision = _parse(device)
        graph = graph if outputs is None else onnxfile.keep_outputs(graph, outputs)
        self.device, self.precision, session = "cpu", None, None
        if wanted.startswith("cuda") or (wanted == "auto" and machine.gpu_count()[0]):
            index = 0 if wanted == "auto" else int(wanted.removeprefix("cuda:"))
            try:
                session, self.precision = _cuda_session(graph, index, threads, precision, edit)
                self.device = f"cuda:{index}"
            except TextkitError as problem:
                if wanted != "auto":
                    raise TextkitError(f"--device {device}: {problem}") from problem
                said = f"there is a GPU that cannot be used, so the CPU is: {problem}"
                warnings.warn(TextkitWarning(said), stacklevel=2)
        self._session = _create(graph, threads, [CPU]) if session is None else session
        self.where = self.device if self.precision is None else f"{self.device}/{self.precision}"
        self.inputs = [port.name for port in self._session.get_inputs()]
        self.outputs = [port.name for port in self._session.get_outputs()]
        self._takes = frozenset(self.inputs)
        nodes = graph[:_BEGINNING]
        self.attends = _ATTENTION in nodes  # a guess, on which only the shapes of batches rest
        cached = _CACHED_INTEGERS if _INTEGERS in nodes else _CACHED
        self.most_tokens = cached if self.attends and self.device == "cpu" else sys.maxsize

    @property
    def inner(self) -> onnxruntime.InferenceSession:
        """onnxruntime's own session, for on_device.py and double_buffer.py, which bind arrays to it."""
        return self._session

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The outputs by name: all of them, or those asked for. `feeds` may hold more than the graph takes. Raises TextkitError
        if the graph fails."""
        names = self.outputs if outputs is None else list(outputs)
        takes = self._takes
        given = {name: array for name, array in feeds.items() if name in takes}
        try:
            return dict(zip(names, self._session.run(names, given, run_options()), strict=True))
        except Exception as error:  # onnxruntime's exceptions have no common base but this
            raise failure(error, self.device) from error


class NoDeviceMemory(TextkitError):
    """A batch does not fit a GPU's memory; a smaller one may."""


@contextlib.contextmanager
def of_model(folder: Path, *others: type[Exception]) -> Iterator[None]:
    """Puts the model's folder before what a graph says that fails within, and makes `others` TextkitErrors, too. NoDeviceMemory
    stays what it is, because a Budget answers it."""
    named: tuple[type[Exception], ...] = (TextkitError, *others)
    try:
        yield
    except NoDeviceMemory:
        raise
    except named as error:
        raise TextkitError(f"{folder}: {error}") from error


def failure(error: Exception, device: str = "cpu") -> TextkitError:
    """The error to raise after a graph failed on `device`."""
    if device != "cpu" and any(sign in str(error) for sign in (*_NO_MEMORY, *_NO_DEVICE_MEMORY)):
        return NoDeviceMemory(f"{device}: its memory does not hold a batch; --batch-tokens makes them smaller")
    return _out_of_memory(error) or TextkitError(f"the model failed: {reason(error)}")


def run_options() -> Any:
    """The options of every run, one object for all, so that a signal can ask all runs to stop."""
    return _running


def _parse(device: str) -> tuple[str, str | None]:
    """'auto', 'cpu' or 'cuda:N', and the precision that was asked for, if any."""
    if not re.fullmatch(PRECISE_DEVICES, device):
        known = f"auto, cpu, cuda, cuda:N, or cuda/PRECISION ({', '.join(PRECISIONS)})"
        raise UsageError(f"--device {device}: none of {known}")
    name, _, precision = device.partition("/")
    return "cuda:0" if name == "cuda" else name, precision or None


def _cuda_session(
    graph: bytes, index: int, threads: int | None, precision: str | None, edit: Edit | None
) -> tuple[onnxruntime.InferenceSession, str]:
    """A session that has the GPU, and the precision that it computes in. Raises TextkitError with the reason where there is
    none, and with the command that repairs it."""
    count, missing = machine.gpu_count()
    if not count:
        raise TextkitError(f"{missing}; --device cpu works without one")
    if index >= count:
        raise TextkitError(f"there is no GPU {index}; there {'is' if count == 1 else 'are'} {count}")
    if problem := machine.runtime().problem:
        raise TextkitError(problem)
    from textkit.cuda.graphs import cuda_graph, left_to_cpu

    ort = _import()
    if CUDA not in ort.get_available_providers():
        raise TextkitError(f"this onnxruntime is made without CUDA: pip uninstall -y onnxruntime && {machine.REPAIR}")
    said = io.StringIO()
    with _redirected(said), contextlib.suppress(Exception):  # it prints to stdout what it does not find
        ort.preload_dlls()
    graph, precision = cuda_graph(graph, precision, edit)
    # TF32 rounds factors to 10 bits, and vectors then differ from the CPU's in the third digit.
    options = {"device_id": str(index), "use_tf32": str(int(precision == "tf32"))}
    ort.set_default_logger_severity(4)  # no lines of onnxruntime about missing libraries; ours give the reason
    try:
        session = _create(graph, threads, [(CUDA, options), CPU])
    except TextkitError as error:
        raise TextkitError(f"{error}; {machine.REPAIR}") from error
    finally:
        ort.set_default_logger_severity(3)
    if session.get_providers()[0] != CUDA:
        libraries = sorted(set(re.findall(r"lib[\w.+-]+\.so[\w.]*|\w+\.dll", said.getvalue())))
        lacks = f"libraries are missing ({', '.join(libraries)})" if libraries else "or cuDNN 9 does not load"
        raise TextkitError(f"CUDA 13 {lacks}: {machine.REPAIR}")
    if not machine.cudnn_loads():
        raise TextkitError(f"cuDNN 9 is missing, or does not load (libcudnn.so.9): {machine.REPAIR}")
    if left := left_to_cpu(session):
        left_out = f"the GPU has no kernels for a part of the model: {left} run on the CPU"
        warnings.warn(TextkitWarning(left_out), stacklevel=3)
    return session, precision


def _create(graph: bytes, threads: int | None, providers: list[Any]) -> onnxruntime.InferenceSession:
    ort = _import()
    options = ort.SessionOptions()
    options.log_severity_level = 4  # a failure comes as an exception; a line on stderr would repeat it
    options.intra_op_num_threads = threads or machine.cpus()
    options.inter_op_num_threads = 1
    if neighbours.crowded(options.intra_op_num_threads):
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    _bound_memory(ort, options)
    # An older onnxruntime has no such bound, and ignores the entry.
    options.add_session_config_entry(_MOST_FOLDED, str(onnxfile.most_folded(len(graph))))
    if providers[0] != CPU:
        options.add_session_config_entry(_RECORDED, "1")
    process.guard()
    _loading.append(options)
    left_out = ["ConstantFolding"] if isinstance(graph, onnxfile.Unfolded) else []
    # On a CPU, SkipLayerNormalization takes four times as long as the sum and the normalisation that it stands for, and
    # BiasGelu twice as long as the sum and the Gelu.
    left_out += ["SkipLayerNormFusion", "BiasGeluFusion"] if providers == [CPU] else []
    more = {"disabled_optimizers": left_out} if left_out else {}
    try:
        # Without enable_fallback=0 a failing GPU is replaced by the CPU, with a line on stdout. For a CPU stdout is left alone:
        # a thread that loads a graph would put back the stdout that it found, when the program may have another one.
        with _redirected(io.StringIO()) if providers[0] != CPU else contextlib.nullcontext():
            return ort.InferenceSession(graph, options, providers=providers, enable_fallback=0, **more)
    except Exception as error:  # onnxruntime's exceptions have no common base but this
        raise _out_of_memory(error) or TextkitError(f"onnxruntime does not load the graph: {reason(error)}") from error
    finally:
        _loading.remove(options)


@contextlib.contextmanager
def _redirected(out: io.StringIO) -> Iterator[None]:
    """Keeps what is printed off stdout. One thread at a time: of two that overlap, the second would put the first one's `out`
    back as stdout, and what the program prints afterwards would be lost."""
    with _redirecting, contextlib.redirect_stdout(out):
        yield


def _bound_memory(ort: Any, options: Any) -> None:
    """Makes graphs compute in one arena of bounded size, if the process is the command line's. Weights lie elsewhere. The
    first model decides the bound, because a process has only one arena."""
    global _arena
    if not process.is_own():
        return
    if not _arena:
        _arena = min(LEAST_MEMORY + MEMORY_PER_BYTE * process.model_bytes, MOST_MEMORY)
        where = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        ort.create_and_register_allocator(where, ort.OrtArenaCfg({"max_mem": _arena}))
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")


def _out_of_memory(error: Exception) -> TextkitError | None:
    """The error to raise if memory was what a graph lacked; otherwise None."""
    text = str(error)
    if not isinstance(error, MemoryError) and not any(sign in text for sign in _NO_MEMORY):
        return None
    most = f": the model's graph asks for more than {_arena >> 20} MB" if _arena and _NO_MEMORY[0] in text else ""
    return TextkitError(f"out of memory{most}")


def _stop() -> None:
    """Asks onnxruntime to give up all that it runs and loads."""
    _running.terminate = True
    for options in list(_loading):
        options.set_load_cancellation_flag(True)


def _import() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise TextkitError(
            f"onnxruntime does not import ({error}): {machine.runtime().problem or machine.REPAIR_BOTH}"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):  # one of two packages was uninstalled, with files of both
        raise TextkitError(f"onnxruntime is damaged: {machine.REPAIR_BOTH}")
    global _running
    if _running is None:
        # textkit/__init__.py has switched it off already, unless a program imported onnxruntime before textkit.
        onnxruntime.disable_telemetry_events()
        if process.is_own():
            onnxruntime.set_default_logger_severity(4)  # a failure comes as an exception
        _running = onnxruntime.RunOptions()
        # What it is anyway. onnxruntime's Python asks for it at each run of bound arrays, and an answer is quicker than the
        # exception that says there is none, which takes 0.07 ms.
        _running.add_run_config_entry("gpu_graph_id", "0")
        process.on_signal(_stop)
    return onnxruntime
