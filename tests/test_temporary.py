"""Files and folders are put in place whole: after a kill at any step the old or the new one is there, and nothing else."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small_bundle import write_small

from textkit import temporary
from textkit.bundle import bundle, places
from textkit.bundle.manifest import FILE
from textkit.errors import TextkitError, UsageError
from textkit.streams.output import output_file

STEPS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync")


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["exchange", pytest.param("renames", marks=pytest.mark.slow)])
def way(request, monkeypatch):
    """Both ways for folders to change places."""
    if request.param == "renames":
        monkeypatch.setattr(temporary, "exchange", lambda one, other: False)
    return request.param


@pytest.fixture
def pets(tmp_path):
    folder = tmp_path / "pets"
    write_small(folder, name="old")
    return folder


def killed_at(step: int, work) -> bool:
    """Does `work` in a process that dies before call number `step` that changes a folder; whether there was such a call."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = step
    real = {name: getattr(os, name) for name in STEPS}

    def counted(call):
        def instead(*args, **options):
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return call(*args, **options)

        return instead

    for name in STEPS:
        setattr(os, name, counted(real[name]))
    temporary.exchange = counted(temporary.exchange)
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def test_overwrite_killed_at_any_step_leaves_the_old_model_or_the_new_one(tmp_path, pets, way):
    shutil.copytree(pets, tmp_path / "kept")
    names = []
    for step in range(100):
        if not killed_at(step, lambda: write_small(pets, name="new", overwrite=True)):
            break
        places_found = [path.name for _, path in places.installed()]
        found = bundle.read(pets)
        found.verify()
        names.append(found.manifest.name)
        assert places_found == sorted(set(places_found))
        with pytest.raises(TextkitError, match="holds a model already"):
            write_small(pets)
        shutil.rmtree(pets)
        shutil.copytree(tmp_path / "kept", pets)
    assert 8 < step < 99
    assert set(names) == {"old", "new"}
    assert names == sorted(names, reverse=True)  # never the old one again
    write_small(pets, name="last", overwrite=True)
    assert bundle.read(pets).manifest.name == "last"
    assert left_in(tmp_path) == ["kept", "pets"]  # what killed processes left is cleared


def moved_aside(folder: Path) -> Path:
    old = folder.with_name(f".{folder.name}.123-0123abcd.old")
    folder.rename(old)
    return old


def test_a_model_that_a_killed_process_moved_aside_is_found_by_every_way_to_name_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shelf = tmp_path / "exported_models"
    for look in (
        lambda folder: bundle.read(folder),
        lambda folder: places.find(str(folder), "embed"),
        lambda folder: places.find("pets", "embed"),
        lambda folder: next(path for where, path in places.installed() if path.name == "pets"),
    ):
        write_small(shelf / "pets", name="old", overwrite=True)
        moved_aside(shelf / "pets")
        look(shelf / "pets")
        assert left_in(shelf) == ["pets"]
    moved_aside(shelf / "pets")
    with pytest.raises(TextkitError, match="holds a model already"):
        write_small(shelf / "pets")
    (shelf / "other").mkdir()  # a name with the same beginning
    moved_aside(shelf / "other")
    with pytest.raises(UsageError, match="othe"):
        places.find("othe", "embed")


def test_a_model_moved_aside_is_read_where_it_is_if_it_cannot_be_put_back(pets, monkeypatch):
    moved_aside(pets)

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "rename", refuse)
    found = bundle.read(pets)
    found.verify()
    assert found.folder != pets


def test_writers_at_the_same_time_do_not_damage_each_other(tmp_path, pets, way):
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            code = 1
            try:
                for _ in range(5):
                    write_small(pets, name=f"writer{number}", overwrite=True)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    while children:
        found = os.waitpid(children[0], os.WNOHANG)
        if found[0]:
            assert found[1] == 0
            children.pop(0)
        assert way == "renames" or (pets / FILE).exists()
        time.sleep(0.01)
    bundle.read(pets).verify()
    assert bundle.read(pets).manifest.name.startswith("writer")
    assert left_in(tmp_path) == ["pets"]


def test_killed_at_random_while_it_overwrites(tmp_path, pets):
    """A process that overwrites without end is killed again and again."""
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from pathlib import Path\nfrom small_bundle import write_small\n"
        f"folder = Path({str(pets)!r})\nwrite_small(folder, name='new', overwrite=True)\nprint('begun', flush=True)\n"
        "import os, random, signal, time\n"
        "while True:\n"
        "    child = os.fork()\n"
        "    while not child: write_small(folder, name='new', overwrite=True)\n"
        "    time.sleep(random.uniform(0, 0.03))\n"
        "    os.kill(child, signal.SIGKILL)\n"
        "    os.waitpid(child, 0)\n"
        "    print('killed', flush=True)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout.readline() == "begun\n"
        for _ in range(30):
            assert process.stdout.readline() == "killed\n"
            assert (pets / FILE).exists()
        os.killpg(process.pid, signal.SIGKILL)  # its child, too, which would overwrite without end
    time.sleep(0.1)
    found = bundle.read(pets)
    assert found.manifest.name == "new"


def test_what_somebody_alive_works_on_is_not_cleared(tmp_path):
    target = tmp_path / "out"
    with output_file(str(target)) as first, output_file(str(target)) as second:
        first.write(b"first")
        second.write(b"second")
        assert len(left_in(tmp_path)) == 2
    assert target.read_bytes() == b"first"  # whoever finishes last wins
    assert left_in(tmp_path) == ["out"]


def test_a_leftover_of_a_killed_process_is_cleared_by_the_next_write(tmp_path):
    target = tmp_path / "out"

    def work():
        with output_file(str(target)) as stream:
            stream.write(b"half")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        work()
    os.waitpid(child, 0)
    (tmp_path / ".out.my.own.tmp").write_bytes(b"mine")  # looks like a temporary, but is none
    (tmp_path / ".out2.1-0123abcd.tmp").write_bytes(b"another's")
    assert len(left_in(tmp_path)) == 3
    with output_file(str(target)) as stream:
        stream.write(b"whole")
    assert left_in(tmp_path) == [".out.my.own.tmp", ".out2.1-0123abcd.tmp", "out"]


@pytest.mark.parametrize("name", ["x" * 255, "x" * 230 + ".npy", "ä" * 127, "語" * 85, "🐈" * 63 + "abc"])
def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path, name):
    target = tmp_path / name
    for content in (b"one", b"two"):
        with output_file(str(target)) as stream:
            stream.write(content)
        assert target.read_bytes() == content
    write_small(tmp_path / f"{name[:-1]}m", name="m")
    write_small(tmp_path / f"{name[:-1]}m", name="m", overwrite=True)
    assert left_in(tmp_path) == sorted([name, f"{name[:-1]}m"])


def test_two_long_names_that_begin_alike_do_not_share_their_temporaries(tmp_path):
    one, two = tmp_path / ("x" * 254 + "1"), tmp_path / ("x" * 254 + "2")
    one.mkdir()
    old = temporary._fresh(one, "old")
    one.rename(old)
    assert temporary.recovered(two) == two
    assert not two.exists()
    assert temporary.recovered(one).is_dir()


def test_a_name_that_is_too_long_fails_before_the_work(tmp_path):
    path = str(tmp_path / ("x" * 256))
    with pytest.raises(TextkitError, match="cannot be written: File name too long"), output_file(path):
        pytest.fail("the work began")


def test_a_file_by_its_descriptor_is_written_to_as_it_is(tmp_path):
    read, write = os.pipe()
    with output_file(f"/dev/fd/{write}") as stream:
        stream.write(b"through")
    os.close(write)
    assert os.read(read, 100) == b"through"
    os.close(read)


@pytest.mark.parametrize("path", ["", "none/", "loop"])
def test_what_names_no_file_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    with pytest.raises(TextkitError, match="names no file|symbolic links"), output_file(path):
        pytest.fail("the work began")
    assert left_in(tmp_path) == ["loop"]


def test_the_manifest_s_own_leftover_does_not_stop_an_overwrite(tmp_path, pets):
    (pets / f".{FILE}.123-0123abcd.tmp").write_text("{")
    write_small(pets, name="new", overwrite=True)
    assert bundle.read(pets).manifest.name == "new"


def test_a_reader_waits_for_a_writer_that_is_between_its_renames(pets):
    old = moved_aside(pets)
    lock = temporary._lock(old)
    back = threading.Timer(0.1, lambda: old.rename(pets))
    back.start()
    assert bundle.read(pets).manifest.name == "old"
    back.join()
    os.close(lock)


def test_clear_removes_what_this_process_has_and_no_other(tmp_path):
    with temporary.beside(tmp_path / "out") as path, temporary.beside(tmp_path / "dir", folder=True) as folder:
        (folder / "file").write_text("x")
        child = os.fork()
        if not child:
            temporary.clear()
            os._exit(0)
        os.waitpid(child, 0)
        assert path.exists()
        temporary.clear()
        assert left_in(tmp_path) == []
