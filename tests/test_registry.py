"""Plugins by name: found without importing, loaded one at a time, and a broken one stops nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from textkit import cli, signals, strangers
from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.plugin import Plugin
from textkit.registry import Registry

GOOD = """
from dataclasses import dataclass
from textkit.plugin import Plugin, Training

@dataclass(frozen=True)
class Config:
    dim: int = 8

class Toy(Plugin):
    name, task, summary, Config = "toy", "embed", "a toy", Config
    vocabulary = network = batches = graphs = None
"""


def install(folder: Path, distribution: str, points: dict[str, str], modules: dict[str, str]) -> None:
    """Installs a distribution as pip does: modules, and metadata with entry points."""
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    about = folder / f"{distribution}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join(["[textkit.plugins]", *lines, ""]))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site-packages. Its modules are forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("TEXTKIT_PLUGINS", raising=False)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("stranger"):
            del sys.modules[name]


def test_listing_imports_nothing(site):
    install(site, "stranger", {"toy": "stranger_good:Toy"}, {"stranger_good": GOOD})
    registry = Registry()
    assert "toy" in registry.names()
    assert "word2vec" in registry.names()
    assert "stranger_good" not in sys.modules
    plugin = registry.get("toy")
    assert isinstance(plugin, Plugin)
    assert (plugin.name, plugin.Config().dim) == ("toy", 8)
    assert registry.get("toy") is plugin
    assert "stranger_good" in sys.modules


def test_built_in_plugins_come_through_the_same_door():
    found = {name: {entry.source for entry in entries} for name, entries in Registry().discover().items()}
    for name in ("fasttext", "glove", "ppmi-svd", "word2vec"):
        assert len(found[name]) == 1
        assert next(iter(found[name])).startswith("textkit ")


def test_unknown_name_suggests_the_nearest(site):
    with pytest.raises(UsageError, match="unknown plugin 'word2vce'; did you mean 'word2vec'?"):
        Registry().get("word2vce")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("raise SystemExit(3)", "is broken: SystemExit: 3"),
        ("1 / 0", "is broken: ZeroDivisionError: division by zero"),
        ("syntax error", "is broken: SyntaxError: "),
        ("Other = 3", "has no attribute 'Toy'"),
        ("class Toy: pass", "is no subclass of textkit.plugin.Plugin"),
        ("Toy = 3", "is no subclass of textkit.plugin.Plugin"),
        (GOOD.replace("vocabulary = ", "other = "), "abstract"),
        (GOOD.replace('"toy"', '"toi"'), "the class calls itself 'toi'"),
        (GOOD.replace('"embed"', '"embedd"'), "unknown task 'embedd'; did you mean 'embed'?"),
        (GOOD.replace('"embed"', "None"), "it has no 'task' that is a str"),
        (GOOD + "    training = 3\n", "it has no 'training' that is a Training"),
        (GOOD + "    api = 2\n", "is made for plugin API 2, this textkit has 1"),
        (GOOD.replace("@dataclass(frozen=True)", ""), "its Config is no dataclass"),
        (GOOD.replace("dim: int", "epochs: int"), "epochs of its Config are the engine's options too"),
        (GOOD + "    def __init__(self): raise ValueError('two\\nlines')\n", "is broken: ValueError: two lines"),
    ],
)
def test_a_broken_plugin_says_why_and_stops_nothing_else(site, text, reason):
    good = GOOD.replace('"toy"', '"good"')
    points = {"toy": "stranger_toy:Toy", "good": "stranger_good:Toy"}
    install(site, "stranger", points, {"stranger_toy": text, "stranger_good": good})
    registry = Registry()
    with pytest.raises(TextkitError) as caught:
        registry.get("toy")
    assert str(caught.value).startswith("plugin 'toy' (stranger 1.0) is ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    described = {each.name: each for each in registry.describe()}
    assert reason in described["toy"].problem
    assert (described["good"].problem, described["good"].task, described["good"].summary) == (None, "embed", "a toy")
    assert registry.get("good").name == "good"


def test_a_name_claimed_twice_names_both(site):
    install(site, "stranger", {"toy": "stranger_a:Toy"}, {"stranger_a": GOOD})
    install(site, "rival", {"toy": "stranger_b:Toy"}, {"stranger_b": GOOD})
    registry = Registry()
    with pytest.raises(
        TextkitError, match=r"'toy' is claimed twice, by (stranger|rival) 1\.0 and (stranger|rival) 1\.0"
    ):
        registry.get("toy")
    described = {each.name: each for each in registry.describe()}
    assert "claimed twice" in described["toy"].problem


def test_the_same_distribution_seen_twice_is_one(site, tmp_path, monkeypatch):
    install(site, "stranger", {"toy": "stranger_a:Toy"}, {"stranger_a": GOOD})
    other = tmp_path / "other"
    other.mkdir()
    install(other, "stranger", {"toy": "stranger_a:Toy"}, {})
    monkeypatch.syspath_prepend(other)
    assert Registry().get("toy").summary == "a toy"


# Files named by hand.


def test_a_file_named_by_hand(site, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(GOOD)
    registry = Registry()
    assert "toy" not in registry.names()
    registry.add_file(file)
    assert registry.get("toy").summary == "a toy"
    assert next(each for each in registry.describe() if each.name == "toy").source == str(file)


def test_a_file_that_claims_a_taken_name(site, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(GOOD)
    install(site, "stranger", {"toy": "stranger_a:Toy"}, {"stranger_a": GOOD})
    registry = Registry()
    registry.get("toy")
    registry.add_file(file)
    with pytest.raises(TextkitError, match=r"claimed twice, by stranger 1\.0 and .*mine\.py"):
        registry.get("toy")


def test_two_files_of_one_name_are_two_modules(site, tmp_path):
    registry = Registry()
    for folder, name in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            GOOD.replace('"toy"', f'"{name}"').replace("= 8", f"= {len(folder)}")
        )
        registry.add_file(tmp_path / folder / "mine.py")
    one, two = registry.get("one"), registry.get("two")
    assert type(one).__module__ != type(two).__module__
    assert sys.modules[type(one).__module__].Toy is type(one)


def test_files_of_the_environment(site, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(GOOD.replace('"toy"', f'"{name}"'))
    monkeypatch.setenv("TEXTKIT_PLUGINS", f"{tmp_path / 'one.py'}:{tmp_path / 'two.py'}")
    assert {"one", "two"} <= set(Registry().names())


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("mine.py", "1 / 0", "does not import: ZeroDivisionError: division by zero"),
        ("mine.py", "import sys; sys.exit(0)", "does not import: SystemExit: 0"),
        ("mine.py", "x = 1", "no subclass of textkit.plugin.Plugin with a name in it"),
        ("mine.txt", GOOD, "not a Python file (.py)"),
        ("mine.py", None, "no such file"),
    ],
)
def test_a_broken_file_is_named_and_stops_nothing_else(site, tmp_path, monkeypatch, name, text, reason):
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    install(site, "stranger", {"good": "stranger_good:Toy"}, {"stranger_good": GOOD.replace('"toy"', '"good"')})
    monkeypatch.setenv("TEXTKIT_PLUGINS", str(file))
    registry = Registry()
    described = {each.name: each for each in registry.describe()}
    assert described[name].problem.startswith(f"plugin file {file}")
    assert described[name].problem.endswith(reason)
    assert described["good"].problem is None
    with pytest.raises(TextkitError, match="plugin file"):  # that file may define the name
        registry.get("toy")
    fresh = Registry()
    with pytest.warns(TextkitWarning, match="plugin file"):
        assert fresh.get("good").name == "good"


def test_a_missing_file_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match=r"--plugin .*none\.py: no such file"):
        Registry().add_file(tmp_path / "none.py")


def test_nothing_is_loaded_from_the_current_folder(tmp_path):
    """`textkit` runs in a folder where a stranger left a distribution and a plugin file, and sees neither."""
    install(tmp_path, "stranger", {"toy": "stranger_a:Toy"}, {"stranger_a": "raise SystemExit('loaded')", "toy": GOOD})
    command = [Path(sys.executable).with_name("textkit"), "plugins"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "word2vec" in done.stdout
    assert "toy" not in done.stdout + done.stderr


# Strangers that do worse than raise.

ENDS = [
    ("raise KeyboardInterrupt", "is broken: KeyboardInterrupt"),
    ("raise GeneratorExit('no')", "is broken: GeneratorExit: no"),
    ("class Own(BaseException): pass\nraise Own('mine')", "is broken: Own: mine"),
    ("raise BaseExceptionGroup('all', [KeyboardInterrupt()])", "is broken: BaseExceptionGroup: all (1 sub-exception)"),
    ("class Mute(Exception):\n    def __str__(self): raise SystemExit(9)\nraise Mute", "is broken: Mute"),
    ("import os; os._exit(0)", "is broken: EndOfProcess: os._exit(0)"),
    ("from os import _exit; _exit(7)", "is broken: EndOfProcess: os._exit(7)"),
    (GOOD + "    @property\n    def summary(self): raise KeyboardInterrupt\n", "is broken: KeyboardInterrupt"),
]
CRASHES = [
    ("import os; os.kill(os.getpid(), 9)", "is broken: it ends the process by signal 9 (SIGKILL)"),
    ("import os; os.abort()", "is broken: it ends the process by signal 6 (SIGABRT)"),
    ("import os; os.execv('/bin/false', ['false'])", "is broken: it ends the process with exit code 1"),
]


@pytest.mark.parametrize(("text", "reason"), [*ENDS, *CRASHES])
def test_a_plugin_that_ends_the_process_or_raises_what_nobody_catches_stops_nothing_else(site, text, reason):
    good = GOOD.replace('"toy"', '"good"')
    points = {"toy": "stranger_toy:Toy", "good": "stranger_good:Toy"}
    install(site, "stranger", points, {"stranger_toy": text, "stranger_good": good})
    registry = Registry()
    described = {each.name: each for each in registry.describe()}
    assert described["toy"].problem.endswith(reason)
    assert (described["good"].problem, described["good"].summary) == (None, "a toy")
    assert described["word2vec"].problem is None
    assert registry.get("good").name == "good"
    if (text, reason) in ENDS:
        with pytest.raises(TextkitError, match="plugin 'toy'") as caught:
            registry.get("toy")
        assert cli._verdict(caught.value)[0] == 1  # nobody pressed Ctrl-C


@pytest.mark.parametrize(
    ("text", "reason"),
    [*ENDS[:1], *(pytest.param(*each, marks=pytest.mark.slow) for each in ENDS[1:-1]), *CRASHES],
)
def test_a_plugin_file_of_the_environment_that_ends_the_process_stops_nothing_else(
    site, tmp_path, monkeypatch, text, reason
):
    (tmp_path / "bad.py").write_text(text)
    (tmp_path / "good.py").write_text(GOOD.replace('"toy"', '"good"'))
    monkeypatch.setenv("TEXTKIT_PLUGINS", f"{tmp_path / 'bad.py'}:{tmp_path / 'good.py'}")
    registry = Registry()
    with pytest.warns(TextkitWarning, match=r"plugin file .*bad\.py"):
        assert registry.get("good").name == "good"
    described = {each.name: each for each in Registry().describe()}
    assert reason.removeprefix("is broken: ") in described["bad.py"].problem
    assert described["good"].problem is None


def test_a_plugin_file_given_by_hand_that_crashes_is_described(site, tmp_path):
    (tmp_path / "bad.py").write_text(CRASHES[0][0])
    registry = Registry()
    registry.add_file(tmp_path / "bad.py")
    described = {each.name: each for each in registry.describe()}
    assert "SIGKILL" in described["bad.py"].problem
    assert described["word2vec"].problem is None


def test_a_plugin_that_hangs_is_given_up(site, monkeypatch):
    monkeypatch.setattr(strangers, "SECONDS", 0.3)
    install(site, "stranger", {"toy": "stranger_toy:Toy"}, {"stranger_toy": "import time; time.sleep(60)"})
    described = {each.name: each for each in Registry().describe()}
    assert described["toy"].problem == "plugin 'toy' (stranger 1.0) is broken: it takes too long"


def test_a_signal_while_a_plugin_is_imported_is_that_signal(site):
    for number, raised in ((2, signals.Interrupted), (15, signals.Ended)):
        text = (
            "from textkit import signals\n"
            f"try: signals.raise_for({number})\n"
            "except BaseException as error: raise ImportError from error"
        )
        install(site, f"stranger{number}", {f"toy{number}": f"stranger_{number}:Toy"}, {f"stranger_{number}": text})
        with pytest.raises(ImportError) as caught:
            Registry().get(f"toy{number}")
        assert isinstance(signals.cause(caught.value), raised)


@pytest.mark.parametrize("file", ["METADATA", "entry_points.txt", "both", "no METADATA", "no Name"])
@pytest.mark.parametrize(
    "text", [b"# M\xfcller\n", *(pytest.param(text, marks=pytest.mark.slow) for text in (b"\xff\xfe", "utf-16"))]
)
def test_metadata_that_cannot_be_decoded_hides_no_other(site, file, text):
    install(site, "stranger", {"toy": "stranger_a:Toy"}, {"stranger_a": GOOD})
    install(site, "other", {"good": "stranger_good:Toy"}, {"stranger_good": GOOD.replace('"toy"', '"good"')})
    about = site / "stranger-1.0.dist-info"
    for name in ("METADATA", "entry_points.txt"):
        if file in (name, "both"):
            was = (about / name).read_text()
            (about / name).write_bytes(was.encode("utf-16") if text == "utf-16" else text + was.encode())
    if file == "no METADATA":
        (about / "METADATA").unlink()
    if file == "no Name":
        (about / "METADATA").write_text("Nothing: here\n")
    registry = Registry()
    described = {each.name: each for each in registry.describe()}
    assert described["good"].problem is None
    assert described["word2vec"].problem is None
    assert registry.get("good").name == "good"
    if file in ("entry_points.txt", "both"):
        assert "entry_points.txt: cannot be read: UnicodeDecodeError" in described["stranger-1.0.dist-info"].problem
        with pytest.raises(TextkitError, match=r"entry_points\.txt: cannot be read"):  # it may declare the plugin
            registry.get("toy")
    else:
        assert (described["toy"].problem, described["toy"].source) == (None, "stranger 1.0")
        assert registry.get("toy").summary == "a toy"


@pytest.mark.parametrize("line", ["toy", "toy = ", "= stranger_a:Toy", "toy = stranger_a:Toy = x", "t\0oy = a:b", "[x"])
def test_entry_points_that_make_no_sense_hide_no_other(site, line):
    install(site, "stranger", {}, {"stranger_a": GOOD})
    install(site, "other", {"good": "stranger_good:Toy"}, {"stranger_good": GOOD.replace('"toy"', '"good"')})
    (site / "stranger-1.0.dist-info" / "entry_points.txt").write_text(f"[textkit.plugins]\n{line}\n")
    registry = Registry()
    described = {each.name: each for each in registry.describe()}
    assert described["good"].problem is None
    assert registry.get("good").name == "good"
