"""Set-up before any test module is imported: onnxruntime's reports off, a Ctrl-C that tested commands hear, numba's cache."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

import other_seeds
import pytest
from remembered import kernels_kept, registry_once, remembering

# Two workers on two processors: more threads would wait for each other. Set before torch or numpy is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import textkit  # noqa: F401  its import switches the reports off
from textkit import process
from textkit.cli import run
from textkit.cli.options import Messages

# Some shells set this. Each of the many commands that tests start would then compile all of textkit again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What torch's exporter leaves behind is millions of objects. Python would look through them again and again: 6 % of all time.
gc.set_threshold(50_000, 20, 100)
# With axes of any size this cache of torch's exporter takes longer than what it saves: 13 % of a trace.
os.environ.setdefault("TORCH_FAKE_TENSOR_DISPATCH_CACHE", "0")

# Kernels are compiled once for all workers, the commands that tests start and later runs. Set before numba is imported.
ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("NUMBA_CACHE_DIR", str(kernels_kept(ROOT / "plugins", ROOT / ".pytest_cache" / "numba")))

# A shell that starts the suite in the background makes it ignore Ctrl-C, and nohup makes it ignore a hang-up. The
# commands that tests interrupt would inherit that. With a handler here, even an empty one, they get the default back.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("SIGHUP", "SIGQUIT"):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), lambda number, frame: None)


if seeds := int(os.environ.get("TEXTKIT_TEST_SEEDS", 0)):
    other_seeds.shift(seeds)


# Files that take longest come first, so that no worker is left alone with one at the end (--no-loadscope-reorder).
LONGEST = (
    "test_contract", "test_cli_train", "test_cli_embed", "test_stranger_task", "test_contract_embed", "test_encoder_import",
    "test_transformer", "test_translation_graph", "test_cli", "test_same_answer", "test_export", "test_word2vec",
    "test_stranger", "test_parallel", "test_translation_search", "test_recurrent",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture(autouse=True)
def process_of_the_suite():
    """No test may call `textkit.cli.main` here: it takes over the whole process, signals too. Start a process for it."""
    yield
    assert not process.is_own(), "call textkit.cli.run (the fixture `call`), or start a process"


@pytest.fixture(scope="session", autouse=True)
def traces_are_remembered(tmp_path_factory):
    try:
        from textkit.exporting import tracing
    except ImportError:  # nothing is traced without torch
        yield
        return
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "traces"  # one for all workers
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "trace", remembering(tracing.trace, folder))
        registry_once(patch)
        yield


@pytest.fixture
def call(capfdbinary, monkeypatch, tmp_path):
    """Runs a command line in this process; gives its exit code, stdout and stderr."""

    def called(*args: object, stdin: str | bytes = b"") -> tuple[int, str, str]:
        given = tmp_path / "stdin" if stdin else Path(os.devnull)
        if stdin:
            given.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        with open(given) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            code = run([str(arg) for arg in args], Messages())
        out, error = capfdbinary.readouterr()
        return code, out.decode("utf-8", "surrogateescape"), error.decode()

    return called
