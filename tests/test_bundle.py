"""A model's folder: it is written whole or not at all; a damaged, edited or hostile one gets one line that names the file."""

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_bundle import TABLE, WORDS, embed_model, write_small

from textkit import process
from textkit.bundle import bundle, model_files, places, writing
from textkit.bundle.manifest import FILE, Manifest
from textkit.errors import TextkitError, UsageError, quoted
from textkit.text.subwords import NGrams
from textkit.text.words import Words
from textkit.version import __version__


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small(tmp_path / "pets")


def edit(folder: Path, **changes) -> None:
    """Changes keys of the manifest, by path: edit(folder, limits__tokens=0)."""
    values = json.loads((folder / FILE).read_bytes())
    for path, value in changes.items():
        *outer, last = path.split("__")
        inner = values
        for key in outer:
            inner = inner[key]
        inner[last] = value
    (folder / FILE).write_text(json.dumps(values))


def replace_graph(folder: Path, data: bytes) -> None:
    """Replaces the graph, with correct size and hash: an attacker can compute those too."""
    (folder / "embed.onnx").write_bytes(data)
    values = json.loads((folder / FILE).read_bytes())
    values["files"]["embed.onnx"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / FILE).write_text(json.dumps(values))


def refusal(folder: Path) -> str:
    """The one line that refuses a model's folder when everything in it is used."""
    with pytest.raises(TextkitError) as caught:
        bundle.read(folder).verify()
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(folder))
    return str(caught.value).removeprefix(str(folder))


# What is written can be read back.


def test_round_trip(folder):
    found = bundle.read(folder, "embed")
    found.verify()
    about = found.manifest
    assert (about.name, about.task, about.dim, about.textkit) == ("pets", "embed", 2, __version__)
    assert about.limits == {"tokens": 512}
    assert about.scores[0]["value"] == 0.5
    assert found.rule.encode(["dog cat cow"]).ids.tolist() == [1, 0]
    assert found.graph("embed") == embed_model().SerializeToString()
    assert sorted(path.name for path in folder.iterdir()) == ["embed.onnx", FILE, "words.txt"]
    stated = about.files["words.txt"]
    assert stated == {"sha256": hashlib.sha256(b"cat\ndog\nfish\n").hexdigest(), "bytes": 13}
    names = [(port["name"], port["dtype"], port["axes"]) for port in about.graphs["embed"]["inputs"]]
    assert names == [
        ("ids", "int64", ["line", "token"]),
        ("weight", "float32", ["line", "token"]),
        ("pool", "int64", []),
        ("normalize", "bool", []),
    ]


def test_manifest_survives_json(folder):
    manifest = bundle.read(folder).manifest
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_rule_with_more_files(tmp_path):
    rule = Words(WORDS, subwords=NGrams(3, 6, 1000, 3, np.array([4, 9], np.int32)))
    found = bundle.read(write_small(tmp_path / "grams", rule=rule, graphs={"embed": embed_model().SerializeToString()}))
    found.verify()
    assert found.rule.subwords.kept.tolist() == [4, 9]
    assert len(found.rule) == 5


def test_serving_reads_without_onnx_or_torch(folder):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('onnx', 'torch', 'onnxruntime')))\n"  # None: cannot be imported
        "from textkit.bundle import bundle; from pathlib import Path\n"
        f"found = bundle.read(Path({str(folder)!r})); found.verify(); print(len(found.rule))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")


# Damaged and edited.


def test_truncated_and_grown_files(folder):
    data = (folder / "embed.onnx").read_bytes()
    for changed in (data[:-1], data + b"\0", b""):
        (folder / "embed.onnx").write_bytes(changed)
        line = f"/embed.onnx: damaged or cut off: {len(changed)} bytes, where {FILE} states {len(data)}"
        assert refusal(folder) == line


@pytest.mark.parametrize("name", ["embed.onnx", "words.txt"])
def test_edited_file(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[5] ^= 1
    (folder / name).write_bytes(data)
    assert refusal(folder) == f"/{name}: damaged or edited: its sha256 is not the one that {FILE} states"


@pytest.mark.parametrize("name", ["embed.onnx", "words.txt", FILE])
def test_missing_file(folder, name):
    (folder / name).unlink()
    assert refusal(folder).startswith(f"/{name}: missing")


def test_not_a_folder(tmp_path, folder):
    assert refusal(tmp_path / "none") == ": no such model folder"
    assert refusal(folder / FILE) == ": not a folder"


# Links, pipes and paths that leave the folder.


def test_symbolic_link(folder, tmp_path):
    (folder / "words.txt").rename(tmp_path / "outside.txt")
    (folder / "words.txt").symlink_to(tmp_path / "outside.txt")
    assert refusal(folder) == "/words.txt: is a link; a model may hold only regular files"


def test_symbolic_link_as_manifest(folder, tmp_path):
    (folder / FILE).rename(tmp_path / "outside")
    (folder / FILE).symlink_to(tmp_path / "outside")
    assert refusal(folder).startswith(f"/{FILE}: is a link")


def test_hard_link(folder, tmp_path):
    os.link(folder / "words.txt", tmp_path / "second")
    assert refusal(folder).startswith("/words.txt: is a hard link")


def test_hard_links_of_an_installer_are_taken(folder, tmp_path, monkeypatch):
    os.link(folder / "words.txt", tmp_path / "second")
    monkeypatch.setattr(model_files, "package_folder", lambda: tmp_path.resolve())
    taken = bundle.read(folder)
    taken.verify()
    assert taken.file("words.txt") == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("name", ["words.txt", FILE])
def test_named_pipe_and_folder(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert refusal(folder) == f"/{name}: not a regular file"
    (folder / name).unlink()
    (folder / name).mkdir()
    assert refusal(folder) == f"/{name}: not a regular file"


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "a/b", "a\\b", "..", ".hidden", "", "con\0", "x" * 101]
)
def test_file_names_that_leave_the_folder(folder, name):
    facts = {"sha256": "0" * 64, "bytes": 1}
    values = json.loads((folder / FILE).read_bytes())
    edit(folder, files=values["files"] | {name: facts})
    assert refusal(folder).startswith(f"/{FILE}: file name {quoted(name)} leaves the folder")


def test_text_rule_that_reads_elsewhere(folder):
    for name in ("../../etc/passwd", "/etc/passwd", ["words.txt"], None):
        edit(folder, text__words=name)
        assert re.search("lists no file|how text becomes ids is not described rightly", refusal(folder))


# Manifests that are not sound.


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"schema": 2}, "schema 2, where this textkit reads 1: made by another version"),
        ({"schema": True}, "schema True, where"),
        ({"schema": "1"}, "schema '1', where"),
        ({"task": "sing"}, "task 'sing' is unknown to this textkit, which has translate, embed, language"),
        ({"task": "translate", "dim": None}, "the graph 'encode' of the task 'translate' is missing"),
        ({"task": "translate"}, "unknown key 'dim'"),
        ({"served_by": 3}, "'served_by' is not a string"),
        ({"name": "../x"}, "'../x' cannot be a model's name"),
        ({"name": 3}, "'name' is not a string"),
        ({"licence": None}, "'licence' is not a string"),
        ({"scores": {}}, "'scores' is not a list"),
        ({"made": []}, "'made' is not an object"),
        ({"lisence": "MIT"}, "unknown key 'lisence'; did you mean 'licence'?"),
        ({"dim": 0}, "'dim' is 0, not a whole number from 1 to 1048576"),
        ({"dim": "2"}, "'dim' is '2', not a whole number from 1 to 1048576"),
        ({"dim": 3}, "graph 'embed', output 'vector' has 2 numbers, where 'dim' states 3"),
        ({"defaults__pooling": "sum"}, "'defaults' has pooling='sum': the task 'embed' has no such option or value"),
        ({"defaults__pooling": ["mean"]}, "'defaults' has pooling=['mean']: "),
        ({"defaults__normalize": "no"}, "'defaults' has normalize='no': "),
        ({"defaults__normalize": 1}, "'defaults' has normalize=1: "),
        ({"defaults__beam_size": 4}, "'defaults' has beam_size=4: "),
        ({"limits": {}}, "'limits' has no positive whole number 'tokens'"),
        ({"limits__tokens": -1}, "'limits' has no positive whole number 'tokens'"),
        ({"limits__tokens": True}, "'limits' has no positive whole number 'tokens'"),
        ({"plugin": {"name": "x"}}, "'plugin' has no version"),
        ({"graphs": {}}, "the graph 'embed' of the task 'embed' is missing"),
        ({"graphs__other": {}}, "the task 'embed' has no graph 'other'"),
        ({"graphs__embed": 3}, "graph 'embed' is not an object"),
        ({"graphs__embed__file": "other.onnx"}, "graph 'embed' names no file of this model"),
        ({"graphs__embed__file": ["x"]}, "graph 'embed' names no file of this model"),
        ({"graphs__embed__inputs": [3]}, "graph 'embed': inputs are no ports"),
        ({"graphs__embed__outputs": []}, "graph 'embed', output 'vector' is missing"),
        ({"files__words.txt": {"bytes": 13}}, "'words.txt' states no sha256"),
        ({"files__words.txt__bytes": 1.5}, "'words.txt' states no size"),
        ({"files__words.txt__sha256": "A" * 64}, "'words.txt' states no sha256"),
    ],
)
def test_manifest_that_is_not_sound(folder, changes, line):
    edit(folder, **changes)
    assert refusal(folder).startswith(f"/{FILE}: {line}")


@pytest.mark.parametrize("key", ["schema", "files", "made", "dim"])
def test_manifest_without_a_key(folder, key):
    values = json.loads((folder / FILE).read_bytes())
    del values[key]
    (folder / FILE).write_text(json.dumps(values))
    assert refusal(folder) == (
        f"/{FILE}: {key!r} is missing"
        if key != "schema"
        else f"/{FILE}: schema None, where this textkit reads 1: made by another version"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not a manifest: "),
        (b"[]", "not an object"),
        (b"{", "not a manifest: "),
        (b"[" * 200_000, "not a manifest: nested too deep"),
        (b'{"a":' * 100_000, "not a manifest: nested too deep"),
        (b"\xff\xfe{}", "not a manifest: "),
        (b'{"schema": 1, "schema": 1}', "not a manifest: a key occurs twice"),
        (b'{"schema": NaN}', "not a manifest: NaN is no JSON"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "not a manifest: "),
        (b" " * (1 << 20) + b"{}", "1048578 bytes; at most 1048576 are read"),
    ],
    ids=[
        "empty",
        "list",
        "cut off",
        "deep lists",
        "deep objects",
        "not UTF-8",
        "key twice",
        "NaN",
        "huge number",
        "huge file",
    ],
)
def test_manifest_that_is_no_json(folder, text, reason):
    (folder / FILE).write_bytes(text)
    assert refusal(folder).startswith(f"/{FILE}: {reason}")


def test_model_of_another_task(folder):
    with pytest.raises(TextkitError, match=r"pets: a model for 'embed', not for 'classify'"):
        bundle.read(folder, "classify")


def test_oversized_file_is_refused_unread(folder):
    size = 3 << 30
    os.truncate(folder / "embed.onnx", size)  # sparse: takes no room
    edit(folder, **{"files__embed.onnx__bytes": size})
    assert refusal(folder) == f"/embed.onnx: {size} bytes; at most 2147483647 are read"


def hollow(folder: Path, name: str, size: int) -> None:
    """A file that takes no room on the disk, listed with its size."""
    (folder / name).touch()
    os.truncate(folder / name, size)
    values = json.loads((folder / FILE).read_bytes())
    values["files"][name] = {"sha256": "0" * 64, "bytes": size}
    (folder / FILE).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("words.txt", (1 << 31) - 1, "2147483647 bytes; at most 134217728 are read"),
        ("e1.bin", (1 << 31) - 1, "2147483647 bytes; at most 134217728 are read"),
        ("e1.onnx", 1 << 28, "268435456 bytes; at most 134217728 are read"),
        ("words.txt", 1 << 27, "is a sparse file: the disk holds hardly any of its 134217728 bytes"),
        ("embed.onnx", (1 << 31) - 1, "is a sparse file: the disk holds hardly any of its 2147483647 bytes"),
    ],
)
def test_files_that_cost_nothing_are_not_read(folder, name, size, said):
    hollow(folder, name, size)
    start = time.perf_counter()
    assert refusal(folder) == f"/{name}: {said}"
    assert time.perf_counter() - start < 1


def test_a_hole_behind_a_little_is_seen(folder):
    hollow(folder, "embed.onnx", 1 << 30)
    with open(folder / "embed.onnx", "r+b") as stream:
        stream.write(embed_model().SerializeToString())
    assert "hardly any" in refusal(folder)


def test_the_files_beside_graphs_are_bounded_all_together(folder):
    for at in range(5):
        hollow(folder, f"e{at}.bin", 1 << 26)
    assert re.match(
        r"/manifest.json: lists \d+ bytes of files other than graphs; at most 268435456 are read", refusal(folder)
    )


def test_memory_is_in_proportion_to_graphs_alone(folder, monkeypatch):
    monkeypatch.setattr(process, "model_bytes", 0)
    hollow(folder, "e1.bin", 1 << 26)
    bundle.read(folder)
    assert process.model_bytes == (folder / "embed.onnx").stat().st_size


def test_a_file_beside_graphs_is_hashed_though_nothing_reads_it(folder):
    hollow(folder, "more.onnx", 3)
    assert refusal(folder) == "/more.onnx: damaged or edited: its sha256 is not the one that manifest.json states"


# Graphs that must not be loaded though size and hash are right; the rest of them: test_onnxfile.py.


def test_graph_with_external_data(folder):
    model = embed_model()
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    replace_graph(folder, model.SerializeToString())
    assert refusal(folder) == "/embed.onnx: keeps its weights outside the file (external data)"


def test_graph_of_an_unknown_domain(folder):
    model = embed_model()
    model.graph.node[0].domain = "evil.example"
    replace_graph(folder, model.SerializeToString())
    assert refusal(folder) == "/embed.onnx: uses operators of the unknown domain 'evil.example'"


def test_graph_with_other_ports_than_stated(folder):
    replace_graph(folder, embed_model(np.ones((3, 5), np.float32)).SerializeToString())
    assert refusal(folder) == f"/embed.onnx: its ports are not those that {FILE} states"


def test_frozen_axis_is_refused(tmp_path):
    model = embed_model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7
    with pytest.raises(
        TextkitError, match=r"graph 'embed', input 'ids' has axes \['line', 7\], not \['line', 'token'\]"
    ):
        write_small(tmp_path / "m", graphs={"embed": model.SerializeToString()})


@pytest.mark.parametrize(
    ("port", "line"),
    [
        ("ids", "input 'ids' is missing"),
        ("vector", "output 'vector' is missing"),
    ],
)
def test_renamed_port_is_refused(tmp_path, port, line):
    model = embed_model()
    for value in [*model.graph.input, *model.graph.output]:
        if value.name == port:
            value.name = "other"
    with pytest.raises(TextkitError, match=line):
        write_small(tmp_path / "m", graphs={"embed": model.SerializeToString()})


def test_port_of_another_type_is_refused(tmp_path):
    model = embed_model()
    model.graph.input[0].type.tensor_type.elem_type = 6
    with pytest.raises(TextkitError, match="input 'ids' is int32, not int64"):
        write_small(tmp_path / "m", graphs={"embed": model.SerializeToString()})


def test_input_the_task_does_not_feed_is_refused(tmp_path):
    model = embed_model()
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[-1].name = "more"
    with pytest.raises(TextkitError, match="input 'more' is none of the task's"):
        write_small(tmp_path / "m", graphs={"embed": model.SerializeToString()})


# Writing: whole or not at all.


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_existing_folders_are_left_alone(tmp_path, folder):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(TextkitError, match=r"mine: exists and is not a model's folder"):
            write_small(other, overwrite=overwrite)
    with pytest.raises(TextkitError, match="holds a model already"):
        write_small(folder)
    with pytest.raises(TextkitError, match="exists and is not a folder"):
        write_small(other / "thesis.txt", overwrite=True)
    (folder / "notes.md").write_text("mine")
    with pytest.raises(TextkitError, match=r"holds notes\.md, not the model's; it is left alone"):
        write_small(folder, overwrite=True)
    assert (other / "thesis.txt").read_text() == "years of work"
    assert left_in(tmp_path) == ["mine", "pets"]


def test_overwriting_a_model(tmp_path, folder):
    write_small(folder, name="newer", overwrite=True)
    assert bundle.read(folder).manifest.name == "newer"
    assert left_in(tmp_path) == ["pets"]
    (folder / FILE).write_text("{")  # broken, but still a model's folder
    write_small(folder, overwrite=True)
    bundle.read(folder).verify()


def test_an_empty_folder_is_taken_and_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        written = bundle.read(write_small(folder))
        written.verify()
        assert written.folder == folder


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_full_disk_leaves_nothing(tmp_path, folder, monkeypatch, at):
    """The fake fails at the sync of file number `at`, like a full disk with delayed allocation; 3 is the sync of the folder."""
    calls = iter(range(10))
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if next(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for target, overwrite in ((tmp_path / "new" / "deep", False), (folder, True)):
        calls = iter(range(10))
        with pytest.raises(TextkitError, match=r"(new/deep|pets): cannot be written: No space left on device"):
            write_small(target, name="other", overwrite=overwrite)
    assert left_in(tmp_path) == ["pets"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a real full disk takes root and a mount")
def test_really_full_disk_leaves_nothing(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(TextkitError, match="cannot be written: No space left on device"):
            write_small(
                tmp_path / "m", graphs={"embed": embed_model(np.ones((20_000, 2), np.float32)).SerializeToString()}
            )
        assert left_in(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def verify(self) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle.Bundle, "verify", verify)
    with pytest.raises(KeyboardInterrupt):
        write_small(tmp_path / "m")
    assert left_in(tmp_path) == []


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    with pytest.raises(TextkitError, match="schema|dim"):
        write_small(tmp_path / "m", facts={"dim": -1})
    with pytest.raises(TextkitError, match="the manifest cannot be written"):
        write_small(tmp_path / "m", scores=[{"value": float("nan")}])
    with pytest.raises(TextkitError, match="--name a/b"):
        write_small(tmp_path / "m", name="a/b")
    with pytest.raises(TextkitError, match="vocabulary is empty"):
        write_small(tmp_path / "m", rule=Words([]))
    assert left_in(tmp_path) == []


def test_a_folder_that_cannot_be_written_to(tmp_path):
    with pytest.raises(TextkitError, match=r"m: cannot be written: "):
        write_small(Path("/proc/none/m"))


def test_amend(folder):
    found = writing.amend(folder, scores=[{"metric": "spearman", "value": 0.6}])
    assert found.manifest.scores == [{"metric": "spearman", "value": 0.6}]
    bundle.read(folder).verify()
    with pytest.raises(TextkitError, match="files cannot be amended"):
        writing.amend(folder, files={})
    with pytest.raises(TextkitError, match="cannot be a model's name"):
        writing.amend(folder, name="a/b")
    assert left_in(folder) == ["embed.onnx", FILE, "words.txt"]


# Which model is meant.


@pytest.fixture
def shelves(tmp_path, monkeypatch):
    """A current folder, a user's folder and a package, each with a model `pets` and one that only it has."""
    here, user, package = tmp_path / "work", tmp_path / "user", tmp_path / "package"
    for shelf, *own in ((here / "exported_models", "mine"), (user, "yours"), (package, "en-words", "en-sentences")):
        for name in ("pets", *own):
            (shelf / name).mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr(places, "user_folder", lambda: user)
    monkeypatch.setattr(places, "package_folder", lambda: package)
    monkeypatch.setattr(places, "configuration_file", lambda: tmp_path / "config" / "config.toml")
    monkeypatch.delenv("TEXTKIT_MODEL_EMBED", raising=False)
    return tmp_path


def test_names_are_found_in_order(shelves):
    assert bundle.find("pets", "embed").resolve() == shelves / "work" / "exported_models" / "pets"
    assert bundle.find("yours", "embed") == shelves / "user" / "yours"
    assert bundle.find("en-words", "embed") == shelves / "package" / "en-words"
    (shelves / "work" / "exported_models" / "pets").rmdir()
    assert bundle.find("pets", "embed") == shelves / "user" / "pets"


def test_paths(shelves):
    assert bundle.find("./exported_models/mine", "embed") == Path("exported_models/mine")
    assert bundle.find(str(shelves / "user" / "yours"), "embed") == shelves / "user" / "yours"
    with pytest.raises(TextkitError, match=r"-m \./none: no such model folder"):
        bundle.find("./none", "embed")
    with pytest.raises(UsageError, match="-m '': names no model"):
        bundle.find("", "embed")


def test_a_folder_beside_one_is_taken_when_it_is_a_model(shelves):
    Path("made-here").mkdir()
    with pytest.raises(UsageError, match="-m made-here: unknown model"):
        bundle.find("made-here", "embed")
    Path("made-here", FILE).write_text("{}")
    assert bundle.find("made-here", "embed") == Path("made-here")


def test_unknown_name_suggests_the_nearest(shelves):
    with pytest.raises(UsageError, match="-m your: unknown model; 'textkit models' lists what there is"):
        bundle.find("your", "embed")
    for name in ("yours", "pets"):
        (shelves / "user" / name / FILE).write_text('{"task": "embed"}')
    with pytest.raises(UsageError, match="-m your: unknown model; did you mean 'yours'?"):
        bundle.find("your", "embed")


def test_default_is_the_package_s(shelves, monkeypatch):
    assert bundle.find(None, "embed") == shelves / "package" / "en-sentences"
    assert bundle.find(None, "embed", default="en-words") == shelves / "package" / "en-words"
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", "yours")
    assert bundle.find(None, "embed", default="en-words") == shelves / "user" / "yours", (
        "what the user says comes first"
    )


def test_environment_and_configuration_never_mean_the_current_folder(shelves, monkeypatch):
    config = shelves / "config" / "config.toml"
    config.parent.mkdir()
    config.write_text('[models]\nembed = "yours"\n')
    assert bundle.find(None, "embed") == shelves / "user" / "yours"
    config.write_text('[models]\nembed = "pets"\n')
    assert bundle.find(None, "embed") == shelves / "user" / "pets"
    config.write_text('[models]\nembed = "mine"\n')
    with pytest.raises(UsageError, match=r"config\.toml: embed = 'mine': unknown model"):
        bundle.find(None, "embed")
    config.write_text('[models]\nembed = "../user/yours"\n')
    assert bundle.find(None, "embed").resolve() == shelves / "user" / "yours"
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", "en-words")
    assert bundle.find(None, "embed") == shelves / "package" / "en-words"
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", "mine")
    with pytest.raises(UsageError, match="TEXTKIT_MODEL_EMBED=mine: unknown model"):
        bundle.find(None, "embed")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[models", "not TOML"),
        ("[model]\n", "unknown key 'model'; did you mean 'models'?"),
        ("models = 3\n", "'models' is not a table"),
        ('[models]\nembedd = "x"\n', "unknown task 'embedd'; did you mean 'embed'?"),
        ("[models]\nembed = 3\n", "embed is not the name of a model"),
    ],
)
def test_configuration_that_is_wrong_is_named(shelves, text, line):
    config = shelves / "config" / "config.toml"
    config.parent.mkdir()
    config.write_text(text)
    with pytest.raises(TextkitError) as caught:
        bundle.find(None, "embed")
    assert str(caught.value).startswith(f"{config}: {line}")


def test_installed(shelves):
    found = [(where, folder.name) for where, folder in bundle.installed()]
    assert found == [
        ("./exported_models", "mine"),
        ("./exported_models", "pets"),
        ("user", "pets"),
        ("user", "yours"),
        ("package", "en-sentences"),
        ("package", "en-words"),
        ("package", "pets"),
    ]


def test_a_clone_s_folder_is_listed_once(shelves, monkeypatch):
    monkeypatch.chdir(shelves)
    monkeypatch.setattr(places, "HERE", Path("package"))
    assert [where for where, _ in bundle.installed()] == ["./package"] * 3 + ["user"] * 2


def test_the_package_s_models_are_found_by_path():
    code = (
        "import sys; from textkit.bundle.places import package_folder; print(package_folder())\n"
        "assert not {'numpy', 'textkit_models', 'onnxruntime'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert Path(done.stdout.strip()).is_dir()
    assert Path(done.stdout.strip()).name in ("exported_models", "textkit_models")


def test_table_is_served(folder):
    """The bytes that were checked are the bytes that run."""
    from textkit.serving.session import Session

    found = bundle.read(folder)
    encoded = found.rule.encode(["cat fish"])
    session = Session(found.graph("embed"), "cpu", 1)
    feeds = {
        "ids": encoded.ids[None],
        "weight": np.array([[1, 0.5]], np.float32),
        "pool": np.array(0),
        "normalize": np.array(False),
    }
    got = session.run(feeds)
    np.testing.assert_array_equal(got["vector"], [TABLE[0] + 0.5 * TABLE[2]])
    np.testing.assert_array_equal(got["tokens"], [[TABLE[0], TABLE[2]]])
