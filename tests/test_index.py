"""An index: what changes in files is found, whatever ends a writer leaves the last commit, and damage is one line."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from little_room import little_room
from small_embedder import write_words

import textkit
from textkit.errors import TextkitError, UsageError
from textkit.retrieval import indexing
from textkit.retrieval.index import Index
from textkit.retrieval.indexing import Report
from textkit.retrieval.storing import manifest
from textkit.retrieval.storing.contents import Contents
from textkit.retrieval.updating import Update, Wanted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("models") / "five")


def update(folder: Path, model: Path, *names: Path, **wanted: Any) -> Report:
    return Update(folder, Wanted(str(model), **wanted)).run(list(map(str, names)) or None)[0]


def texts(folder: Path) -> list[tuple[str, int, str]]:
    """(file's name, line, text) of every row that counts, sorted; and checks that tantivy has the same rows."""
    contents = Contents(folder)
    rows = [row for row in range(contents.manifest.rows) if contents.living([row])[0]]
    found = []
    for row in rows:
        extent = contents.extent(contents.extent_of(row))
        assert extent.start <= row < extent.stop
        found.append((os.path.basename(extent.path), contents.line(row), contents.text(row)))
    assert len(contents) == len(rows)
    with Index(folder) as index:
        assert {hit.row for hit in index.search("the", 10_000, "words")} == {
            row for row, (_, _, text) in zip(rows, found, strict=True) if "the" in text.split()
        }
    return sorted(found)


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_what_changed_is_found(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the cat\n\nthe dog\n", b="a line\n", c="the end\n")
    index = tmp_path / "index"
    report = update(index, model, notes)
    assert (report.added, report.passages, report.same) == (3, 4, 0)
    assert texts(index) == [
        ("a.txt", 1, "the cat"), ("a.txt", 3, "the dog"), ("b.txt", 1, "a line"), ("c.txt", 1, "the end"),
    ]  # fmt: skip

    before = (index / "manifest.json").read_bytes()
    report = update(index, model, notes)
    assert (report.added, report.same) == (0, 3)
    assert (index / "manifest.json").read_bytes() == before

    facts = os.stat(notes / "a.txt")  # another text of the same size and time
    (notes / "a.txt").write_text("the cow\n\nthe dog\n")
    os.utime(notes / "a.txt", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (notes / "b.txt").unlink()
    write(notes, d="the new\n")
    report = update(index, model, notes)
    assert (report.added, report.changed, report.same, report.gone) == (2, 1, 1, 1)
    assert texts(index) == [
        ("a.txt", 1, "the cow"), ("a.txt", 3, "the dog"), ("c.txt", 1, "the end"), ("d.txt", 1, "the new"),
    ]  # fmt: skip

    os.utime(notes / "c.txt")  # only touched
    assert update(index, model).same == 3  # the sources that the index has

    shutil.rmtree(notes)
    report = update(index, model)
    assert (report.gone, report.missing) == (3, [str(notes)])
    assert texts(index) == []


def test_a_file_that_grew_is_read_on(tmp_path: Path, model: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("the one\n\n")
    index = tmp_path / "index"
    update(index, model, log)
    for text, passages in (("the two\n", 1), ("the three\nthe four\n", 2)):
        with open(log, "a") as stream:
            stream.write(text)
        report = update(index, model, log)
        assert (report.passages, report.changed) == (passages, 1)
    assert [line for _, line, _ in texts(index)] == [1, 3, 4, 5]
    with open(log, "a") as stream:
        stream.write("the half")
    update(index, model, log)
    with open(log, "a") as stream:
        stream.write(" line\n")
    assert update(index, model, log).passages == 5  # the last line is another one now
    assert texts(index)[-1] == ("app.log", 6, "the half line")
    log.write_text("the rotated\n")
    update(index, model, log)
    assert texts(index) == [("app.log", 1, "the rotated")]


def test_lines_around_a_hit_of_a_file_that_grew(tmp_path: Path, model: Path) -> None:
    """The rows of its new lines lie behind those of another file."""
    notes = write(tmp_path / "notes", a="the cat\n\nthe dog\n", b="a line\n")
    folder = tmp_path / "index"
    update(folder, model, notes)
    with open(notes / "a.txt", "a") as stream:
        stream.write("\nthe end\n")
    update(folder, model)
    write(notes, b="another line\n")
    update(folder, model)
    with Index(folder) as index:
        around = {hit.text: index.around(hit, 9, 9) for hit in index.search("the line", None, "words")}
    before = [(1, "the cat"), (2, ""), (3, "the dog"), (4, ""), (5, "the end")]
    assert around["the dog"] == (before[:2], before[3:])
    assert around["the end"] == (before[:4], [])
    assert around["the cat"] == ([], before[1:])
    assert around["another line"] == ([], [])


def test_lines_around_a_hit_of_another_reading(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """stdin is read twice; its second reading begins with line 1."""
    folder = tmp_path / "index"
    for text in ("the cat\nthe dog\n", "\n\nthe end\nthe mat\n"):
        (tmp_path / "given").write_text(text)
        with open(tmp_path / "given") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            Update(folder, Wanted(str(model))).run(["-"])
    with Index(folder) as index:
        around = {hit.text: index.around(hit, 9, 9) for hit in index.search("the", None, "words")}
    assert around["the dog"] == ([(1, "the cat")], [])
    assert around["the end"] == ([(1, ""), (2, "")], [(4, "the mat")])


def test_a_file_that_goes_away_does_not_end_the_following(tmp_path: Path, model: Path) -> None:
    from textkit.retrieval import following

    notes = write(tmp_path / "notes", a="the cat\n")
    alone = tmp_path / "alone.txt"
    alone.write_text("the dog\n")
    folder = tmp_path / "index"
    update(folder, model, notes, alone)
    assert [os.path.basename(name) for name in following.state(folder)] == ["a.txt", "alone.txt"]
    shutil.rmtree(notes)
    assert [os.path.basename(name) for name in following.state(folder)] == ["alone.txt"]


@pytest.mark.parametrize(("looks", "ends_after"), [("xxx", 3), ("oxxoxxxo", 7)])
def test_the_following_ends_after_three_failures_in_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, looks: str, ends_after: int
) -> None:
    """`looks`: x fails, o finds a change."""
    from textkit.cli.options import Messages
    from textkit.retrieval import following
    from textkit.verbs import index

    seen: list[str] = []

    def state(folder: Path) -> dict[str, tuple[int, int, int]]:
        seen.append(looks[len(seen)])
        if seen[-1] == "x":
            raise TextkitError("a.txt: no such file")
        return {"a.txt": (1, len(seen), 1)}

    read: list[object] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(following, "state", state)
    monkeypatch.setattr(index, "_refresh", lambda *given, **_: read.append(given))
    with pytest.raises(TextkitError, match="no such file"):
        index._follow(Update(tmp_path, Wanted()), Messages())
    assert len(seen) == ends_after
    assert len(read) == looks[:ends_after].count("o")


def test_files_are_added(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the a\n", b="the b\n")
    index = tmp_path / "index"
    update(index, model, notes / "a.txt")
    update(index, model, notes / "b.txt")
    assert [text for _, _, text in texts(index)] == ["the a", "the b"]
    (notes / "a.txt").write_text("the a now\n")
    update(index, model)
    assert [text for _, _, text in texts(index)] == ["the a now", "the b"]


def test_an_index_among_its_files(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the a\n")
    for _ in range(3):
        update(notes / "index", model, notes)
    assert texts(notes / "index") == [("a.txt", 1, "the a")]


def test_dead_rows_make_room(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_WASTE", 10)
    notes = write(tmp_path / "notes", a="the a\n" * 30, b="the b\n")
    index = tmp_path / "index"
    update(index, model, notes)
    for number in range(5):
        reader = Index(index)  # a reader that is open meanwhile
        (notes / "a.txt").write_text(f"the number {number}\n" * 30)
        update(index, model, notes)
        assert len(reader.search("the", 50, "words")) in (1, 31)
        reader.close()
        assert Contents(index).manifest.rows <= 61
        assert texts(index) == sorted(
            [("a.txt", n, f"the number {number}") for n in range(1, 31)] + [("b.txt", 1, "the b")]
        )
    assert len([path for path in index.iterdir() if path.name.startswith("rows-")]) == 1
    assert Contents(index).manifest.data != "rows-1"


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = write(tmp_path / "notes", a="the old\n")
    index = tmp_path / "index"
    printed = indexing.printed

    def changed(path: str, last: Any) -> Any:
        found = printed(path, last)
        Path(path).write_text("the new\nthe newer\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "printed", changed)
        assert update(index, model, notes).torn == [str(notes / "a.txt")]
    assert [text for _, _, text in texts(index)] == ["the new", "the newer"]
    assert update(index, model, notes).same == 1


CHILD = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from textkit.retrieval import words
    from textkit.retrieval import indexing
    from textkit.retrieval.storing import appended, writing
    from textkit.retrieval.updating import Update, Wanted

    left = int(sys.argv[1])

    def step():
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(owner, name):
        inner = getattr(owner, name)
        def called(*args, **kwargs):
            step()  # before it is done
            found = inner(*args, **kwargs)
            step()  # and after
            return found
        setattr(owner, name, called)

    stepping(appended, "_sync")
    stepping(appended.TextsAppended, "append")
    stepping(words.WordsWriter, "commit")
    stepping(writing, "replace_file")
    stepping(writing.temporary, "remove")
    indexing.SECONDS = 0  # a commit after every chunk
    indexing.WINDOW_LINES = 7
    indexing._WASTE = 5
    Update(Path(sys.argv[2]), Wanted(sys.argv[3])).run([sys.argv[4]])
    """
)


@pytest.mark.parametrize("stride", [47, pytest.param(1, marks=pytest.mark.slow)])
def test_a_crash_at_the_steps_of_every_commit(tmp_path: Path, model: Path, stride: int) -> None:
    """A process is killed at its first step, the next `stride` steps later, and so on, until one comes to its end."""
    notes = write(tmp_path / "notes", a="".join(f"the {n}\n" for n in range(20)), b="the b\n\nthe c\n")
    index, child = tmp_path / "index", tmp_path / "child.py"
    child.write_text(CHILD)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(Path(textkit.__path__[0]).parent), os.environ.get("PYTHONPATH")))
        )
    }

    def run(step: int, folder: Path) -> int:
        command = [sys.executable, str(child), str(step), str(folder), str(model), str(notes)]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    wanted = sorted([("a.txt", n + 1, f"the {n}") for n in range(20)] + [("b.txt", 1, "the b"), ("b.txt", 3, "the c")])
    most = step = 0
    while step < 300:  # one index, whose writer is killed again and again, a little later each time
        step += 9
        code = run(step, index)
        assert code in (0, -signal.SIGKILL)
        if manifest.is_index(index):
            found = texts(index)
            assert set(found) <= set(wanted)
            assert len(found) == len(set(found)) >= most  # what was committed is there
            most = len(found)
        if not code:
            break
    assert code == 0
    assert texts(index) == wanted
    other = [("a.txt", n + 1, f"the other {n}") for n in range(20)]
    (notes / "a.txt").write_text("".join(f"{text}\n" for _, _, text in other))
    for step in range(1, 1000, stride):  # a change of the same index, whose writer is killed at this step
        changed = tmp_path / f"index-{step}"
        shutil.copytree(index, changed)
        code = run(step, changed)
        found = texts(changed)
        assert len(found) == len(set(found))
        assert set(found) <= {*wanted, *other}
        update(changed, model, notes)  # the same command does the rest
        assert texts(changed) == sorted([*other, *wanted[20:]])
        if not code:
            return
    pytest.fail("no writer came to its end")


def test_a_second_writer_waits(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the a\n")
    index = tmp_path / "index"
    update(index, model, notes)
    lock = os.open(index / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    said: list[str] = []
    write(notes, b="the b\n")
    other = threading.Thread(
        target=lambda: Update(index, Wanted(str(model)), waiting=lambda: said.append("waits")).run([str(notes)])
    )
    other.start()
    time.sleep(0.3)
    assert other.is_alive()
    assert [text for _, _, text in texts(index)] == ["the a"]  # readers do not wait
    os.close(lock)
    other.join(20)
    assert not other.is_alive()
    assert said == ["waits"]
    assert [text for _, _, text in texts(index)] == ["the a", "the b"]


def test_a_full_disk(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the a\n")
    index = tmp_path / "index"
    update(index, model, notes)
    write(notes, b="the dog sat on the mat with the cat\n" * 20_000)
    with little_room(200_000), pytest.raises(TextkitError, match=r"index.*cannot be written: File too large"):
        update(index, model, notes)
    assert texts(index)[0] == ("a.txt", 1, "the a")
    assert len(texts(index)) in (1, 20_001)
    update(index, model, notes)
    assert len(Index(index)) == 20_001


def test_another_model_or_another_reading(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the a\n")
    index = tmp_path / "index"
    update(index, model, notes)
    other = write_words(tmp_path / "other", name="other")
    with pytest.raises(TextkitError, match=r"index: was made with the model 'five' \(.*\), not with 'other'"):
        update(index, other, notes)
    with pytest.raises(UsageError, match="--input paragraphs: .*index was made with --input lines"):
        update(index, model, notes, kind="paragraphs")
    mine = shutil.copytree(model, tmp_path / "mine")
    update(tmp_path / "second", mine, notes)
    (mine / "manifest.json").write_text((mine / "manifest.json").read_text() + " ")
    with pytest.raises(TextkitError, match="second: was made with another model of the name 'five'"):
        Index(tmp_path / "second").search("the")
    shutil.rmtree(mine)
    with pytest.raises(TextkitError, match="second: its model 'five' is not at .*mine; --words searches without it"):
        Index(tmp_path / "second").search("the")
    assert Index(tmp_path / "second").search("the", mode="words")[0].text == "the a"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda index: shutil.rmtree(index), "no such index"),
        (lambda index: (index / "manifest.json").unlink(), "no index: it has no manifest.json"),
        (lambda index: (index / "manifest.json").write_text("{"), "manifest.json: damaged: is no JSON"),
        (lambda index: (index / "manifest.json").write_text("[" * 9999), "manifest.json: damaged: is no JSON"),
        (lambda index: (index / "manifest.json").write_text('{"schema": 1}'), "is not the manifest of an index"),
        (lambda index: edit(index, schema=2, textkit="9.9"), r"made by a newer textkit \(9.9\); this one reads schema 1"),
        (lambda index: edit(index, rows=10**9), "damaged index: the file is shorter than its manifest says"),
        (lambda index: edit(index, rows=-1), "manifest.json: damaged: rows is no number from 0"),
        (lambda index: edit(index, rows="2"), "manifest.json: damaged: rows is no number"),
        (lambda index: edit(index, data="../../etc"), "manifest.json: damaged: data names no folder of rows"),
        (lambda index: edit(index, dead=[7]), "manifest.json: damaged: dead names an extent that is not there"),
        (lambda index: edit(index, model=None), "manifest.json: damaged"),
        (lambda index: shorten(index / "rows-1" / "vectors"), "vectors: damaged index: the file is shorter"),
        (lambda index: shorten(index / "rows-1" / "texts"), "texts: damaged index: the file is shorter"),
        (lambda index: (index / "rows-1" / "texts.ends").unlink(), "texts.ends: damaged index: No such file"),
        (lambda index: (index / "rows-1" / "texts").write_bytes(b"\xff" * 99), "texts: damaged: holds bytes that are no UTF-8"),
        (lambda index: (index / "rows-1" / "extents").write_bytes(b"{" * 999), "extents: damaged: an extent is no record"),
        (lambda index: shutil.rmtree(index / "rows-1" / "words"), "words: the index of words is damaged"),
        (lambda index: (index / "rows-1" / "words" / "meta.json").unlink(), "words: the index of words is damaged"),
    ],
)  # fmt: skip
def test_damage_is_one_line(tmp_path: Path, model: Path, damage: Any, message: str) -> None:
    index = tmp_path / "index"
    update(index, model, write(tmp_path / "notes", a="the a\nthe b\n"))
    damage(index)
    with pytest.raises(TextkitError, match=message) as caught:
        Index(index).search("the cat")
    assert "\n" not in str(caught.value)
    assert str(index) in str(caught.value)


def test_words_that_are_gone_are_not_begun_anew(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the a\n")
    update(tmp_path / "index", model, notes)
    (tmp_path / "index" / "rows-1" / "words" / "meta.json").unlink()
    write(notes, b="the b\n")
    with pytest.raises(TextkitError, match="words: the index of words is damaged"):
        update(tmp_path / "index", model, notes)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda manifest: manifest.write_text("{"),
        lambda manifest: manifest.write_text("[]"),
        lambda manifest: None,
    ],
)
def test_an_index_is_no_text(tmp_path: Path, model: Path, damage: Any) -> None:
    """Its own files are not searched as lines, even where its manifest is gone."""
    notes = write(tmp_path / "notes", a="the a\n")
    update(tmp_path / "notes" / "old.idx", model, notes)
    damage(tmp_path / "notes" / "old.idx" / "manifest.json")
    with pytest.raises(TextkitError, match=r"old\.idx: is an index itself; name the files that it was made of"):
        update(tmp_path / "index", model, notes / "old.idx")
    update(tmp_path / "index", model, notes)
    assert [Path(file).name for file in Index(tmp_path / "index").files] == ["a.txt"]


def edit(index: Path, **changes: Any) -> None:
    import json

    facts = json.loads((index / "manifest.json").read_text())
    (index / "manifest.json").write_text(json.dumps(facts | changes))


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_no_damage_does_anything_else(tmp_path: Path, model: Path) -> None:
    """Bytes of every file but tantivy's are changed at random: the answer is one line, or hits."""
    index = tmp_path / "index"
    update(index, model, write(tmp_path / "notes", a="the cat\nthe dog\n" * 20), kind="lines")
    files = [path for path in index.rglob("*") if path.is_file() and "words" not in path.parts and path.stat().st_size]
    with Index(index) as found:
        whole = [(hit.line, hit.text) for hit in found.search("the cat", 5)]
    assert len(whole) == 5
    dice = random.Random(5)
    refused: list[str] = []
    answered: list[int] = []
    for _ in range(150):
        path = dice.choice(files)
        before = path.read_bytes()
        data = bytearray(before)
        for _ in range(dice.choice([1, 1, 5])):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data)
        try:
            with Index(index) as found:
                hits = found.search("the cat", 5)
                for hit in hits:
                    found.around(hit, 2, 2)
            answered.append(len(hits))
        except TextkitError as error:
            refused.append(str(error))
        path.write_bytes(before)
    assert refused
    assert not any("\n" in line for line in refused)
    assert answered
    assert max(answered) <= 5
    with Index(index) as found:  # every byte is as it was
        assert [(hit.line, hit.text) for hit in found.search("the cat", 5)] == whole


def test_a_place_that_is_taken(tmp_path: Path, model: Path) -> None:
    notes = write(tmp_path / "notes", a="the a\n")
    with pytest.raises(TextkitError, match="notes: holds other files; an index is a folder of its own"):
        update(notes, model, notes)
    with pytest.raises(TextkitError, match=r"a\.txt: is a file; an index is a folder"):
        update(notes / "a.txt", model, notes)
    with pytest.raises(UsageError, match="nothing: there is no index; say which files"):
        update(tmp_path / "nothing", model)
    with pytest.raises(TextkitError, match="no such file"):
        update(tmp_path / "new", model, tmp_path / "nowhere")
