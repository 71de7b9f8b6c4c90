"""The frame of the command line: speed, one-line errors, exit codes, a stdout with nothing but data, lists, completion."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import click
import pytest
from small_bundle import write_small
from small_translator import write_translator
from terminal import written_to

from textkit import cli
from textkit.bundle import places
from textkit.cli import options, own_verbs, run
from textkit.cli.options import Messages
from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.task_registry import tasks
from textkit.version import __version__

TEXTKIT = str(Path(sys.executable).with_name("textkit"))
HEAVY = {"numpy", "onnxruntime", "onnx", "torch", "rich", "tokenizers", "scipy", "numba", "importlib.metadata"}


def textkit(*args: str, **how) -> subprocess.CompletedProcess[str]:
    """Runs the installed command."""
    how = {"capture_output": True, "text": True, "check": False, "stdin": subprocess.DEVNULL} | how
    return subprocess.run([TEXTKIT, *args], **how)


def child(body: str, *args: str, shell: str = "{}", **how) -> subprocess.CompletedProcess[str]:
    """Runs the frame around a command `try` with the given body, to show what a verb meets when something goes wrong."""
    code = (
        "import click, os, sys, time\n"
        "from textkit import cli\n"
        "from textkit.cli.options import *\n"
        "from textkit.cli.stdout import *\n"
        "@click.command()\n"
        "@message_options\n"
        "def attempt(messages):\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
        + "if __name__ == '__main__':\n"
        "    cli.BEHIND_TASKS['try'] = ('__main__:attempt', 'tries')\n"
        "    cli.main(['try', *sys.argv[1:]])\n"
    )
    how = {"capture_output": True, "text": True, "check": False} | how
    command = shell.format('"$0" -c "$1" "${@:2}"')
    return subprocess.run(["bash", "-c", command, sys.executable, code, *args], **how)


# Speed: what --help and completion import.


@cache
def modules_after(*args: str, **environment: str) -> set[str]:
    code = (
        "import sys\nfrom textkit import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return set(done.stderr.split())


@pytest.mark.parametrize("args", [["--help"], ["--version"], *([verb, "--help"] for verb in own_verbs())], ids=" ".join)
def test_help_imports_nothing_heavy(args):
    assert not modules_after(*args) & HEAVY


@pytest.mark.parametrize("args", [["--help"], ["--version"], *([verb, "--help"] for verb in own_verbs())], ids=" ".join)
def test_help_imports_little(args):
    """Help needs Python, click and a few more modules; benchmarks/embed.py measures the seconds."""
    code = "import sys, click; print(*sys.modules)"
    bare = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    more = modules_after(*args) - set(bare.stdout.split())
    ours = {name for name in more if name.partition(".")[0] == "textkit"}
    assert len(more - ours) <= 24
    assert len(ours) <= (52 if args[0] == "evaluate" else 40)


def test_a_short_option_has_no_names_compared(tmp_path):
    """click looks for the nearest long option whenever it meets a short one, and imports difflib for that."""
    (tmp_path / "a.txt").write_text("a word\n")
    words = ("search", "--words", "--no-cache", "-k", "1", "word", str(tmp_path / "a.txt"))
    found = modules_after(*words)
    assert "textkit.retrieval.words" in found
    assert "difflib" not in found
    done = textkit("search", "--treshold", "1", "word")
    assert "did you mean '--threshold'?" in done.stderr


# --help, --version and wrong usage.


def test_version_and_help():
    done = textkit("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"textkit {__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "textkit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"textkit {__version__}\n"
    for flag in ("-h", "--help"):
        done = textkit(flag)
        assert (done.returncode, done.stderr) == (0, "")
        for verb, (_, line) in own_verbs().items():
            assert f"  {verb} " in done.stdout
            assert line in done.stdout


def test_every_verb_is_there_with_the_options_that_all_have():
    context = click.Context(cli.command_line)
    for verb in own_verbs():
        command = cli.command_line.get_command(context, verb)
        assert command.help
        names = {name for option in command.get_params(context) for name in option.opts}
        assert {"-v", "--verbose", "-q", "--quiet", "--debug"} <= names, verb


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'? (see 'textkit --help')"),
        (["--verson"], "no such option --verson; did you mean '--version'? (see 'textkit --help')"),
        (["models", "--fromat"], "no such option --fromat; did you mean '--format'? (see 'textkit models --help')"),
        (["models", "-z"], "no such option -z (see 'textkit models --help')"),
        (["models", "x"], "got unexpected extra argument (x) (see 'textkit models --help')"),
        (["completion"], "missing argument"),
        (["completion", "tcsh"], "invalid value for "),
        (["plugins", "--plugin", "none.py"], f"--plugin {Path('none.py').absolute()}: no such file"),
        (["plugins", "--plugin"], "option '--plugin' requires an argument"),
        (["generate", b"\xff"], "invalid value for '[PROMPT]': it holds bytes that are no UTF-8"),
        (["generate", "x", "--stop", b"\xff"], "invalid value for '--stop': it holds bytes that are no UTF-8"),
        (["attention", b"a \xff"], "invalid value for '[SENTENCE]': it holds bytes that are no UTF-8"),
        (["nearest", "a", b"\xff"], "invalid value for '[WORD]...': it holds bytes that are no UTF-8"),
        (["analogy", b"\xff", "b", "c"], "invalid value for '[A B C]...': it holds bytes that are no UTF-8"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(args, line):
    done = textkit(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"textkit: {line}")
    assert done.stderr.count("\n") == 1


@click.command()
@options.model_option
@options.device_option
@options.threads_option
@options.on_error_option
@options.line_buffered_option
@options.plugin_option
@options.message_options
def shared(**given) -> None:
    """Every shared option."""
    given["messages"] = (given["messages"].verbose, given["messages"].quiet, given["messages"].debug)
    click.echo(json.dumps(given))


@click.command()
@click.argument("kind")
@options.message_options
def failing(kind: str, messages: Messages) -> None:
    """Fails in the way that it is told."""
    errors = {
        "known": TextkitError("corpus.txt: is\nempty"),
        "usage": UsageError("unknown model 'x'"),
        "bug": ZeroDivisionError("division by zero"),
        "nothing to say": ValueError(),
        "file": FileNotFoundError(2, "No such file or directory", "x.txt"),
        "memory": MemoryError(),
        "interrupt": KeyboardInterrupt(),
        "abort": click.Abort(),
        "pipe": BrokenPipeError(32, "Broken pipe"),
        "exit": SystemExit(7),
        "escape": TextkitError("model '\x1b[31mred\x07'"),
    }
    raise errors[kind]


@click.command()
@options.message_options
def chatty(messages: Messages) -> None:
    """Prints messages of every kind."""
    messages.note("a note")
    messages.warn("a warning")
    warnings.warn(TextkitWarning("from\ninside"), stacklevel=1)
    warnings.warn("of a library", FutureWarning, stacklevel=1)
    messages.error("an error")


@pytest.fixture
def verbs(monkeypatch):
    """This file's own commands, as verbs."""
    for name in ("shared", "failing", "chatty"):
        monkeypatch.setitem(cli.BEHIND_TASKS, name, (f"{__name__}:{name}", "of the tests"))


def test_shared_options(verbs, capsys):
    assert run(["shared"], Messages()) == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": None, "device": "auto", "threads": None, "on_error": "fail", "line_buffered": False,
        "messages": [False, False, False],
    }  # fmt: skip
    given = "-m pets --device cuda:1 --threads 2 --on-error skip --line-buffered -v -q --debug"
    assert run(["shared", *given.split()], Messages()) == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "pets", "device": "cuda:1", "threads": 2, "on_error": "skip", "line_buffered": True,
        "messages": [True, True, True],
    }  # fmt: skip
    assert run(["-v", "shared"], Messages()) == 0  # before the verb as well
    assert json.loads(capsys.readouterr().out)["messages"] == [True, False, False]


@pytest.mark.parametrize("given", ["--device gpu", "--device cuda:", "--threads 0", "--threads x", "--on-error stop"])
def test_values_out_of_range(verbs, capsys, given):
    assert run(["shared", *given.split()], Messages()) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"textkit: invalid value for '{given.split()[0]}': ")
    assert stderr.endswith(" (see 'textkit shared --help')\n")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "code", "line"),
    [
        ("known", 1, "textkit: corpus.txt: is empty\n"),
        ("usage", 2, "textkit: unknown model 'x'\n"),
        (
            "bug",
            1,
            "textkit: unexpected ZeroDivisionError: division by zero (a fault of textkit's; --debug shows where)\n",
        ),
        ("nothing to say", 1, "textkit: unexpected ValueError (a fault of textkit's; --debug shows where)\n"),
        ("file", 1, "textkit: x.txt: No such file or directory\n"),
        ("memory", 1, "textkit: out of memory\n"),
        ("interrupt", 130, ""),
        ("abort", 130, ""),
        ("pipe", 0, ""),
        ("exit", 7, ""),
        ("escape", 1, "textkit: model '?[31mred?'\n"),
    ],
)
def test_exit_codes_and_their_line(verbs, capsys, kind, code, line):
    assert run(["failing", kind], Messages()) == code
    assert capsys.readouterr() == ("", line)


def test_debug_gives_the_traceback(verbs, capsys):
    assert run(["failing", "bug", "--debug"], Messages()) == 1
    stderr = capsys.readouterr().err
    assert stderr.startswith("Traceback (most recent call last):\n")
    assert "raise errors[kind]" in stderr
    assert stderr.endswith("(a fault of textkit's; --debug shows where)\n")


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        ([], ["warning: a warning", "warning: from inside", "an error"]),
        (["-v"], ["a note", "warning: a warning", "warning: from inside", "an error"]),
        (["-q"], ["an error"]),
        (["-v", "-q"], ["an error"]),
        (
            ["--debug"],
            ["warning: a warning", "warning: from inside", "warning: FutureWarning: of a library", "an error"],
        ),
    ],
)
def test_what_is_said(verbs, capsys, flags, lines):
    messages = Messages()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        cli._route_warnings(messages)
        assert run(["chatty", *flags], messages) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "".join(f"textkit: {line}\n" for line in lines)


# stdout carries nothing but data, and a failure there is reported.


def test_what_libraries_print_is_kept_off_stdout():
    done = child(
        "print('before', flush=True)\n"
        "with protected_stdout() as out:\n"
        "    print('print')\n"
        "    os.write(1, b'write\\n')\n"
        "    import ctypes; ctypes.CDLL(None).printf(b'printf\\n')\n"
        "    os.system('echo child')\n"
        "    out.write(b'data\\n')\n"
        "print('after')"
    )
    assert done.stdout == "before\ndata\nafter\n"
    assert sorted(done.stderr.split()) == ["child", "print", "printf", "write"]
    assert done.returncode == 0


ENDLESS = "with protected_stdout() as out:\n    while True: out.write(b'line\\n' * 1000)"


@pytest.mark.parametrize("body", [ENDLESS, "while True: click.echo('line')", "click.echo('line\\n' * 10**6)"])
def test_a_closed_pipe_ends_quietly(body):
    done = child(body, shell="{} | head -1; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.splitlines() == ["line", "0"]
    assert done.stderr == ""


def test_a_pipe_closed_from_the_start():
    read, write = os.pipe()
    os.close(read)
    for args in (["--help"], ["--version"], ["models", "-q"], ["plugins", "--format", "json"], ["completion", "bash"]):
        done = textkit(*args, capture_output=False, stdout=write, stderr=subprocess.PIPE)
        assert (args, done.returncode, done.stderr) == (args, 0, "")
    os.close(write)


def test_an_error_is_not_hidden_by_a_closed_pipe():
    read, write = os.pipe()
    os.close(read)
    body = "with protected_stdout() as out:\n    out.write(b'x')\n    raise TextkitError('half done')"
    done = child(body, capture_output=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "textkit: half done\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("body", [ENDLESS, "with protected_stdout() as out: out.write(b'x')", "click.echo('x')"])
def test_a_full_disk_is_an_error(body):
    done = child(body, shell="{} > /dev/full")
    assert (done.returncode, done.stderr) == (1, "textkit: stdout: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("args", ["--help", "--version", "plugins", "completion bash"])
def test_a_full_disk_is_an_error_of_every_verb(args):
    with open("/dev/full", "w") as full:
        done = textkit(*args.split(), capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "textkit: stdout: No space left on device\n")


def test_closed_stdout_and_stderr():
    body = "with protected_stdout() as out: out.write(b'data\\n')"
    done = child(body, shell="{} >&-")
    assert (done.returncode, done.stderr) == (1, "textkit: stdout is closed\n")
    done = child(body + "\nmessages.warn('nobody hears')", shell="{} 2>&-")
    assert (done.returncode, done.stdout) == (0, "data\n")


def test_interrupted_after_flushing_what_was_done():
    body = (
        "with protected_stdout() as out:\n"
        "    out.write(b'done\\n')\n"
        "    os.kill(os.getpid(), 2)\n"  # Ctrl-C
        "    time.sleep(60)"
    )
    done = child(body)
    assert (done.returncode, done.stdout, done.stderr) == (130, "done\n", "")


@pytest.mark.parametrize("args", ["--help", "modls", "plugins", "models"])
@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_no_colours_even_on_a_terminal(args, environment):
    main, terminal = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | environment
    subprocess.run([TEXTKIT, args], stdout=terminal, stderr=terminal, env=environment | {"TERM": "xterm"}, check=False)
    os.close(terminal)
    text = written_to(main)
    assert text
    assert b"\x1b" not in text


# The verbs that list.


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder with a sound model and a broken one, as ./exported_models; nothing else."""
    for task in ("language", "classify"):
        shipped = places.package_folder() / str(tasks.get(task).default_model)
        monkeypatch.setenv(f"TEXTKIT_MODEL_{task.upper()}", str(shipped))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "user_folder", lambda: tmp_path / "none")
    monkeypatch.setattr(places, "package_folder", lambda: tmp_path / "none")
    monkeypatch.setattr(places, "configuration_file", lambda: tmp_path / "none.toml")
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", str(tmp_path / "exported_models" / "pets"))
    monkeypatch.setenv("TEXTKIT_MODEL_TRANSLATE", str(write_translator(tmp_path / "translator")))
    write_small(Path("exported_models/pets"))
    write_small(Path("exported_models/torn"))
    (tmp_path / "exported_models/torn/words.txt").write_text("cat\n")
    return tmp_path / "exported_models"


def test_models(shelf, capfd):
    assert run(["models"], Messages()) == 0
    out, err = capfd.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].split() == ["MODEL", "TASK", "LANGUAGES", "WHERE", "SIZE", "PRECISION", "DIM", "SCORES"]
    assert " ".join(lines[1].split()) == "pets * embed - ./exported_models 0.0 MB fp32 2 spearman 0.5"
    assert lines[2].split()[0] == "torn"
    assert lines[2].endswith(
        "broken: exported_models/torn/words.txt: damaged or cut off: 4 bytes, where manifest.json states 13"
    )
    assert len(lines) == 3


def test_models_as_json(shelf, capfd):
    assert run(["models", "--format", "json"], Messages()) == 0
    sound, torn = json.loads(capfd.readouterr().out)["models"]
    assert (sound["name"], sound["task"], sound["default"], sound["dim"]) == ("pets", "embed", True, 2)
    assert (sound["precision"], sound["problem"], sound["license"]) == ("fp32", None, "CC0-1.0")
    assert sound["scores"] == [{"metric": "spearman", "value": 0.5, "data": "pairs", "command": "by hand"}]
    assert sound["bytes"] == sum(f.stat().st_size for f in (shelf / "pets").iterdir() if f.name != "manifest.json")
    assert torn["name"] == "torn"
    assert "damaged" in torn["problem"]


def test_no_models_at_all(tmp_path, monkeypatch, capfd, shelf):
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.delenv("TEXTKIT_MODEL_EMBED")
    assert run(["models"], Messages()) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("textkit: warning: the default model 'en-sentences' is not installed")


def test_plugins(tmp_path):
    (tmp_path / "bad.py").write_text("print('noise'); raise ImportError('no such thing')")
    done = textkit("plugins", "--format", "json", "--plugin", str(tmp_path / "bad.py"))
    assert done.returncode == 0
    found = {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}
    assert (
        found["bad.py"]["problem"] == f"plugin file {tmp_path / 'bad.py'} does not import: ImportError: no such thing"
    )
    assert done.stderr == "noise\n"
    for name in ("fasttext", "glove", "ppmi-svd", "word2vec"):
        assert found[name]["problem"] is None
        assert found[name]["task"] == "embed"
        assert found[name]["source"] == f"textkit {__version__}"
    table = textkit("plugins").stdout.splitlines()
    assert table[0].split()[:3] == ["PLUGIN", "TASK", "FROM"]
    assert {line.split()[0] for line in table[1:]} >= {"fasttext", "glove", "ppmi-svd", "word2vec"}


def test_listing_plugins_imports_no_torch():
    assert not modules_after("plugins") & {"torch", "onnxruntime", "scipy", "numba"}


# doctor.


def test_doctor_on_a_sound_machine(shelf, capfd, monkeypatch):
    import shutil

    from textkit.registry import Registry

    shutil.rmtree(shelf / "torn")
    monkeypatch.setattr("textkit.registry.registry", Registry())
    assert run(["doctor"], Messages()) == 0
    out, err = capfd.readouterr()
    assert err == ""
    found = {line[:30].split("  ")[0]: line for line in out.splitlines()}
    for about in ("textkit", "numpy", "onnxruntime", "cpu", "plugins"):
        assert found[about].split()[1] == "ok"
    assert "ok" in found["default for embed"]
    assert f"pets in {shelf}/pets" in found["default for embed"]


def test_doctor_names_what_is_broken_and_its_repair(shelf, capfd, monkeypatch):
    from textkit.serving import machine

    both = machine.Runtime({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"})
    monkeypatch.setattr(machine, "runtime", lambda: both)
    monkeypatch.setattr(machine, "gpu_count", lambda: (1, ""))
    assert run(["doctor", "--format", "json"], Messages()) == 1
    out, err = capfd.readouterr()
    found = {finding["about"]: finding for finding in json.loads(out)["findings"]}
    assert found["onnxruntime"]["state"] == "broken"
    assert machine.REPAIR_BOTH in found["onnxruntime"]["what"]
    assert found["gpu cuda:0"]["state"] == "broken"
    assert found["model torn"]["state"] == "broken"
    assert "sha256" not in found["cpu"]["what"]
    assert found["cpu"]["state"] == "ok"
    assert err == "textkit: broken: onnxruntime, gpu cuda:0, model torn\n"


def test_doctor_gives_the_command_for_a_missing_extra(shelf, capfd, monkeypatch):
    from importlib import metadata

    real = metadata.version

    def version(name: str) -> str:
        if name in ("torch", "zstandard"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    run(["doctor", "--format", "json"], Messages())
    found = {finding["about"]: finding for finding in json.loads(capfd.readouterr().out)["findings"]}
    assert found["extra [train]"]["state"] == "absent"
    assert found["extra [train]"]["what"] == "pip install 'textkit-onnx[train]' (no torch, zstandard)"


# Completion.


def complete(*words: str) -> list[str]:
    """The completions that bash gets for the last word."""
    environment = os.environ | {
        "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1), "_TEXTKIT_COMPLETE": "bash_complete",
    }  # fmt: skip
    done = textkit(env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_completion_of_verbs_options_and_values():
    assert complete("textkit", "") == list(own_verbs())
    assert complete("textkit", "ex") == ["export-onnx"]
    assert "--format" in complete("textkit", "models", "--")
    assert complete("textkit", "train", "word") == ["word2vec"]
    assert complete("textkit", "embed", "--device", "c") == ["cpu", "cuda"]
    assert complete("textkit", "completion", "z") == ["zsh"]
    assert complete("textkit", "embed", "-o", "s3://bucket/out", "--form") == ["--format"]  # refused when it is called


def test_completion_of_models(shelf):
    assert complete("textkit", "embed", "-m", "pe") == ["pets"]


def test_completion_is_light():
    given = {"COMP_WORDS": "textkit mod", "COMP_CWORD": "1", "_TEXTKIT_COMPLETE": "bash_complete"}
    assert not modules_after(**given) & HEAVY
    given = {"COMP_WORDS": "textkit embed -m x", "COMP_CWORD": "3", "_TEXTKIT_COMPLETE": "bash_complete"}
    assert not modules_after(**given) & (HEAVY - {"importlib.metadata"})


def test_bash_uses_the_script():
    script = (
        f'PATH={Path(TEXTKIT).parent}:$PATH; eval "$(textkit completion bash)"; '
        'COMP_WORDS=(textkit ex); COMP_CWORD=1; _textkit_completion textkit; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("export-onnx\n", "")


@pytest.mark.parametrize(
    ("shell", "mark"), [("zsh", "#compdef textkit"), ("fish", "complete --no-files --command textkit")]
)
def test_other_shells_get_theirs(shell, mark):
    done = textkit("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert mark in done.stdout
    assert f"_TEXTKIT_COMPLETE={shell}_complete" in done.stdout


# What the documentation shows is current.


def test_docs_cli_is_current():
    page = Path(__file__).parent.parent / "docs" / "make_cli.py"
    done = subprocess.run([sys.executable, str(page), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), "run python docs/make_cli.py"


def test_an_unknown_option_of_a_verb_that_is_called_as_a_function_is() -> None:
    done = textkit(
        "nearest", "--modell", "x", "word"
    )  # once the verb textkit.tasks.embed.verbs.nearest hid errors.nearest
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("textkit: no such option --modell; did you mean '--model'")
