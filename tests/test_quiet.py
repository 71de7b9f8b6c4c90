"""No verb talks to a network or writes outside its output (search: and its cache). Each runs in an empty home.
It is watched by strace if that is available.

Without strace (or where tracing is not allowed) the folders and Python's own audit events are watched. System calls of compiled
code are then not seen, but the files that it leaves behind are.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = "A cat sat on the mat.\nHello.\n"
MORE = "".join(f"Line {n} says {n * n}.\n" for n in range(40))  # enough for places and clusters
ANALOGY = "walk walked jump\n"
# Python's audit hook, for machines without strace: a socket made or a name resolved in Python ends the process.
HOOK = """
import os, sys
def refuse(event, arguments):
    if event in ("socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(99)
sys.addaudithook(refuse)
from textkit.__main__ import main
main()
"""
RUN = [sys.executable, "-c", HOOK]
TRACE = "trace=socket,connect,bind,sendto,open,openat,creat,mkdir,mkdirat,symlink,symlinkat,link,linkat,mknod,mknodat"
SOCKET = re.compile(r"\b(socket|connect|bind|sendto)\(")
LOCAL = "AF_UNIX"  # by such a socket the C library asks a local name service for users' names
WRITES = re.compile(
    r'\b(?:(?:open|openat)\([^"]*"([^"]*)", [A-Z_|]*O_(?:CREAT|TMPFILE)|(?:creat|mkdir|mkdirat)\([^"]*"([^"]*)")'
)


def _strace() -> list[str]:
    """The words to put before a command, or none where processes cannot be traced."""
    command = ["strace", "-f", "-qq", "-e", TRACE]
    if not shutil.which("strace"):
        return []
    for quick in (["--seccomp-bpf"], []):  # this faster way needs strace 5.3
        if subprocess.run([*command, *quick, "-o", os.devnull, "true"], capture_output=True).returncode == 0:
            return [*command, *quick]
    return []


STRACE = _strace()


class Quiet:
    """Runs textkit in an empty home and fails if it does anything besides its output."""

    def __init__(self, folder: Path) -> None:
        self.home, self.temporary, self.work, self.trace = (folder / name for name in ("home", "tmp", "work", "trace"))
        for made in (self.home, self.temporary, self.work):
            made.mkdir()
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH")}
        # "0" asks for telemetry, and must not be obeyed. Python itself must not write compiled files.
        self.environment = kept | {
            "HOME": str(self.home), "TMPDIR": str(self.temporary), "ORT_DISABLE_TELEMETRY": "0", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    def __call__(self, *words: str, text: str = TEXT, run: list[str] | None = None) -> str:
        """The standard output of the command, which runs in `work` and may write only there."""
        traced = [*STRACE, "-o", str(self.trace)] if STRACE else []
        done = subprocess.run(
            [*traced, *(run or RUN), *words], input=text.encode(), capture_output=True, timeout=300,
            env=self.environment, cwd=self.work,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        self.check()
        return done.stdout.decode()

    def check(self) -> None:
        assert list(self.home.rglob("*")) == []
        assert list(self.temporary.rglob("*")) == []
        if not STRACE:
            return
        lines = self.trace.read_text(errors="replace").splitlines()
        assert [line for line in lines if SOCKET.search(line) and LOCAL not in line] == []
        for line in lines:
            if found := WRITES.search(line):
                path = Path(self.work, found[1] or found[2])
                inside = path.is_relative_to(self.work) or path.is_relative_to(self.temporary)
                assert inside or path.is_relative_to("/dev"), line


@pytest.fixture
def quiet(tmp_path: Path) -> Quiet:
    return Quiet(tmp_path)


def test_what_is_watched_is_seen(quiet: Quiet) -> None:
    """The watch itself works: it finds a socket, a file at home and a file in TMPDIR."""
    code = "import sys; sys.argv.pop(0); exec(sys.argv[0])"
    for act in (
        "import socket; socket.socket()",
        "import os; open(os.environ['HOME'] + '/x', 'w')",
        "import os; open(os.environ['TMPDIR'] + '/.ses', 'w')",
        "import os; os.mkdir(os.environ['HOME'] + '/.cache')",
    ):
        if STRACE or "socket" not in act:
            with pytest.raises(AssertionError):
                quiet(act, run=[sys.executable, "-c", code])
        for folder in (quiet.home, quiet.temporary):
            for left in folder.iterdir():
                left.rmdir() if left.is_dir() else left.unlink()
    # Only strace also sees what was written and removed again.
    if STRACE:
        with pytest.raises(AssertionError, match="O_CREAT"):
            quiet(
                "import os; p = os.environ['HOME'] + '/x'; open(p, 'w'); os.unlink(p)", run=[sys.executable, "-c", code]
            )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("embed",), TEXT),
        (("embed", "--format", "npy", "-o", "vectors.npy"), TEXT),
        pytest.param(("translate",), TEXT, marks=pytest.mark.slow),
        (("translate", "--n-best", "2", "--format", "jsonl"), TEXT),
        (("score",), TEXT),
        pytest.param(("generate", "--max-tokens", "5"), TEXT, marks=pytest.mark.slow),
        (("generate", "--max-tokens", "5", "Once upon"), ""),
        pytest.param(("classify", "--labels", "cats,music"), TEXT, marks=pytest.mark.slow),
        (("classify", "--labels", "cats,music", "--explain", "--format", "jsonl"), TEXT),
        (("search", "--no-cache", "a cat"), TEXT),
        pytest.param(("compare", "a cat", "a dog"), "", marks=pytest.mark.slow),
        (("similar",), TEXT),
        pytest.param(("map", "-o", "map.html"), TEXT * 20 + MORE, marks=pytest.mark.slow),
        pytest.param(("nearest", "music"), "", marks=pytest.mark.slow),
        pytest.param(("analogy", "-k", "1"), ANALOGY, marks=pytest.mark.slow),
        pytest.param(("attention", "Hello."), "", marks=pytest.mark.slow),
        pytest.param(("models",), "", marks=pytest.mark.slow),
        (("plugins",), ""),
        (("doctor",), ""),
        (("--help",), ""),
        (("completion", "bash"), ""),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_verb_talks_to_nobody(quiet: Quiet, words: tuple[str, ...], text: str) -> None:
    if words[0] == "map":
        pytest.importorskip("openTSNE")
    said = quiet(*words, text=text)  # this also checks what else the command did
    assert bool(said) == ("-o" not in words)


def test_an_index_is_all_that_index_writes(quiet: Quiet) -> None:
    Path(quiet.work, "lines.txt").write_text(TEXT)
    quiet("index", "lines.txt", "-o", "lines.idx")
    assert quiet("search", "a cat", "lines.idx").startswith("lines.txt:1:")


def test_the_cache_of_a_search_lies_in_the_cache_folder(quiet: Quiet) -> None:
    """The one verb that writes a file besides its output, unless it is told not to."""
    Path(quiet.work, "lines.txt").write_text(TEXT)
    assert quiet("search", "--no-cache", "a cat", "lines.txt").startswith("lines.txt:1:")
    quiet.environment["XDG_CACHE_HOME"] = str(quiet.work / "cache")
    assert quiet("search", "a cat", "lines.txt").startswith("lines.txt:1:")
    assert [path.name for path in Path(quiet.work, "cache").iterdir()] == ["textkit"]


def test_the_script_and_the_module(quiet: Quiet) -> None:
    script = Path(sys.executable).with_name("textkit")
    runs = [[sys.executable, "-m", "textkit"], *([[str(script)]] if script.exists() else [])]
    for run in runs:
        assert len(quiet("embed", run=run).splitlines()) == 2


PYTHON_API = """
import sys
if "first" in sys.argv:
    import onnxruntime  # a program's own import: its telemetry is its own, but nothing may be added by a session of ours
import textkit
print(textkit.load()(["hello"]).shape)
"""


def test_the_python_interface(quiet: Quiet) -> None:
    assert quiet(run=[sys.executable, "-c", PYTHON_API]) == "(1, 384)\n"


@pytest.mark.slow
def test_evaluate_and_export(quiet: Quiet) -> None:
    pytest.importorskip("onnx")
    Path(quiet.work, "pairs.txt").write_text("cat\tdog\t9\nmusic\tsong\t8\nmusic\tcat\t1\n")
    quiet("evaluate", "-m", "en-words", "pairs.txt")
    quiet("convert", "en-words", "words.vec")
    Path(quiet.work, "text.txt").write_text("".join(f"the cat number {n % 9} sat on the mat .\n" for n in range(300)))
    settings = ("dim=8", "hidden=8", "layers=1", "epochs=1", "vocab=word", "min_count=1")
    options = [word for setting in settings for word in ("--set", setting)]
    quiet("train", "rnn-lm", "text.txt", "-o", "run", *options, "--threads", "1")
    quiet("export-onnx", "run", "-o", "mine", "--precision", "int8")
    assert len(quiet("score", "-m", "./mine").splitlines()) == len(TEXT.splitlines())
