"""How `textkit` starts: a Ctrl-C during its imports ends it with 130 and no output, whichever way it was started."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

# A package that textkit imports when it starts, and what its import does here.
INTERRUPT = "import os, signal, sys\nos.kill(os.getpid(), signal.SIGINT)\nsys.stderr.write('went on')\n"
WRAPPED = f"try:\n    exec({INTERRUPT!r})\nexcept BaseException:\n    raise ImportError('as extension modules do')\n"


def entry():
    """The entry point of the script `textkit`, from pyproject.toml."""
    text = Path(__file__).parent.with_name("pyproject.toml").read_text()
    module, _, function = tomllib.loads(text)["project"]["scripts"]["textkit"].partition(":")
    return module, function


def script():
    module, function = entry()
    return ["-c", f"import sys; from {module} import {function}; sys.exit({function}())", "--version"]


@pytest.mark.parametrize("click", [INTERRUPT, WRAPPED])
@pytest.mark.parametrize("command", [["-m", "textkit", "--version"], script()])
def test_ctrl_c_while_it_imports(tmp_path, command, click):
    (tmp_path / "click.py").write_text(click)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("command", [["-m", "textkit", "--version"], script()])
def test_it_runs(command):
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "textkit", "")


def test_a_ctrl_c_that_is_to_be_ignored_is_ignored(tmp_path):
    (tmp_path / "click.py").write_text(INTERRUPT + "sys.exit(7)\n")
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from textkit.__main__ import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (7, b"went on")


def test_importing_the_entry_does_nothing():
    module, function = entry()
    assert callable(getattr(import_module(module), function))


CALLED_LAST = "import atexit, sys; atexit.register(lambda: sys.stderr.write('called'))\n"


@pytest.mark.parametrize("command", [["-m", "textkit", "--version"], script()])
@pytest.mark.parametrize("name", ["click", "sitecustomize"])  # imported after main() begins, and before it
def test_the_process_ends_after_what_others_have_to_do_at_its_end(tmp_path, command, name):
    real = f"sys.path.remove({str(tmp_path)!r}); del sys.modules['click']; import click\n" if name == "click" else ""
    (tmp_path / f"{name}.py").write_text(CALLED_LAST + real)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])),
    }
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "textkit", "called")


def test_a_program_that_calls_it_may_go_on():
    code = (
        "import gc, sys\nfrom textkit.__main__ import main\nbefore = gc.get_threshold()\n"
        "try:\n    main()\nexcept SystemExit:\n    print('went on')\nsys.exit(3 if gc.get_threshold() == before else 4)"
    )
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (3, ["went on"])


@pytest.mark.parametrize(
    ("words", "code"), [(["--version"], 0), (["no-such-verb"], 2), (["embed", "-m", "no-such-model"], 2)]
)
def test_it_ends_at_once_with_its_exit_code(tmp_path, words, code):
    (tmp_path / "click.py").write_text(
        f"import sys; sys.path.remove({str(tmp_path)!r}); del sys.modules['click']; import click\n"
        "class Late:\n    def __del__(self, write=__import__('os').write): write(2, b'taken apart')\n"
        "sys.modules['late'] = Late()\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])),
    }
    done = subprocess.run(
        [sys.executable, "-m", "textkit", *words], env=environment, input="", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert "taken apart" not in done.stderr
