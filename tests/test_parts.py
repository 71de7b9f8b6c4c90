"""Inputs in parts: where they are cut, what is done once, what is refused, and that parts joined are the output of one run."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import zstandard

from textkit.errors import TextkitError, UsageError
from textkit.parts.cutting import Reading, counted, cut
from textkit.parts.sources import sources
from textkit.streams.columns import records
from textkit.streams.encoding import read_as
from textkit.streams.lines import Reader

TRICKY = {
    "plain": b"one\ntwo\nthree\nfour\n",
    "no newline at the end": b"one\ntwo\nthree",
    "blank lines": b"\n\n\none\n\n\n",
    "windows": b"one\r\ntwo\r\n\r\nthree\r\n",
    "one long line": b"x" * 300 + b"\ny\n",
    "marks": b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n\xef\xbb\xbfthree\n",
    "looks packed": b"one\n\x1f\x8b two\n\x28\xb5\x2f\xfd three\n",
    "invalid": b"a\n\xff\xfe\nab\xe2\x82\n\x80\n" * 3,
    "NUL and U+2028": "a\0b\u2028c\nd\u0085e\n".encode(),
    "empty": b"",
}


def lines_of(spans) -> list[str]:
    found = []
    for span in spans:
        with Reader.of(span) as reader:
            found += [line for block in reader for line in block]
    return found


def whole(*paths) -> list[str]:
    found = []
    for path in paths:
        with Reader(path) as reader:
            found += [line for block in reader for line in block]
    return found


def pieces(paths, size, reading=Reading()):  # noqa: B008  it is frozen
    return cut(sources(list(map(str, paths)), Path("none")), size, reading)


@pytest.mark.parametrize("name", TRICKY)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 1000])
def test_parts_hold_each_line_once_and_in_order(tmp_path, name, size):
    for at, data in enumerate((TRICKY[name], b"between\n", TRICKY[name])):
        (tmp_path / f"{at}.txt").write_bytes(data)
    paths = sorted(tmp_path.iterdir())
    parts = pieces(paths, size)
    assert [line for part in parts for line in lines_of(part)] == whole(*paths)
    assert all(parts)


def test_parts_are_about_as_large_as_asked_for_and_at_most_as_many(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(b"%d\n" % at for at in range(10_000)))
    size = path.stat().st_size
    parts = pieces([path], -(-size // 7))
    assert len(parts) == 7
    assert all(abs(sum(span.stop - span.start for span in part) - size / 7) < 10 for part in parts)


def test_small_files_share_a_part_and_a_line_larger_than_a_part_stays_whole(tmp_path):
    for at in range(20):
        (tmp_path / f"{at:02}.txt").write_bytes(b"0123456789" * (30 if at == 7 else 1) + b"\n")
    parts = pieces(sorted(tmp_path.iterdir()), 100)
    assert len(parts) < 10
    assert whole(*sorted(tmp_path.iterdir())) == [line for part in parts for line in lines_of(part)]


@pytest.mark.parametrize("size", [1, 10, 40, 90, 10_000])
def test_csv_is_cut_only_between_records(tmp_path, size):
    rng = random.Random(3)
    cells = ["plain", '"a\nb"', '"x, ""y""\n\n"', '5" pipe', '"\r\n"', "", '"end"']
    path = tmp_path / "a.csv"
    path.write_bytes("".join(f"{rng.choice(cells)},{at}\n" for at in range(200)).encode())
    parts = pieces([path], size, Reading("csv"))

    def texts(readers):
        found = []
        for reader in readers:
            with reader:
                found += [text for block in records(reader, "csv") for text in block.texts]
        return found

    assert texts(Reader.of(span) for part in parts for span in part) == texts([Reader(path)])
    assert len(parts) == 1 if size == 10_000 else len(parts) > 5


def _gzip_members(lines, each, rng):
    data = b"".join(lines)
    cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(each))})
    return b"".join(gzip.compress(data[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)) + gzip.compress(b"")


def _frames(lines, each, rng):
    data = b"".join(lines)
    cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(each))})
    packer = zstandard.ZstdCompressor(write_checksum=True)
    streamed = zstandard.ZstdCompressor(write_content_size=False)
    frames = [
        (packer if at % 2 else streamed).compress(data[a:b])
        for at, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False))
    ]
    skipped = b"\x53\x2a\x4d\x18\x03\x00\x00\x00abc"
    return frames[0] + skipped + b"".join(frames[1:])


@pytest.mark.parametrize("pack", [_gzip_members, _frames])
@pytest.mark.parametrize("seed", range(6))
def test_members_are_parts_wherever_they_cut_lines(tmp_path, pack, seed):
    rng = random.Random(seed)
    lines = [b"%d %s\n" % (at, b"x" * rng.randrange(0, 60)) for at in range(300)]
    lines[-1] = lines[-1].rstrip()
    path = tmp_path / "a"
    path.write_bytes(pack(lines, 40, rng))
    for size in (1, 200, 1000, 100_000):
        parts = pieces([path], size)
        assert [line for part in parts for line in lines_of(part)] == whole(path)
        if size == 200:
            assert len(parts) > 5
    parts, count = counted(pieces([path], 300), Reading())
    assert count == len(lines)
    assert [first for _, first in parts][:2] == [0, len(lines_of(parts[0][0]))]


def test_members_that_end_with_their_lines(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(b"".join(gzip.compress(b"%d\n" % at) for at in range(50)))
    parts = pieces([path], 100)
    assert len(parts) > 5
    assert [line for part in parts for line in lines_of(part)] == list(map(str, range(50)))


def test_utf_16_is_not_cut_and_must_be_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("eins\nzwei\ndrei\n".encode("utf-16"))
    assert len(pieces([path], 4, Reading(encoding="utf-16"))) == 1
    (part,) = pieces([path], 4)
    with pytest.raises(TextkitError, match="UTF-16, not UTF-8"):
        lines_of(part)
    path.write_bytes("für\nüber\n".encode("cp1252"))
    try:
        read_as("cp1252")
        parts = pieces([path], 4, Reading(encoding="cp1252"))
        assert len(parts) == 2
        assert [line for part in parts for line in lines_of(part)] == ["für", "über"]
    finally:
        read_as(None)


def test_folders_are_walked_in_order_and_hidden_files_left_out(tmp_path):
    for name in ("b/2.txt", "b/10.txt", "a.txt", "b.txt", ".hidden", "_part", "c/d/e.txt", "OUT/part-00001.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    found = sources([str(tmp_path)], tmp_path / "OUT")
    names = [os.path.relpath(source.path, tmp_path) for source in found]
    assert names == ["a.txt", "b/10.txt", "b/2.txt", "b.txt", "c/d/e.txt"]


# On the command line.


@pytest.fixture
def corpus(tmp_path):
    """Three files of a folder: one without a last newline, one packed, one with bytes that are no UTF-8."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    words = ["music", "the", "house", "river", "bank", "zzyzx", "", "walk"]
    rng = random.Random(1)
    text = ["\n" if at % 50 == 7 else " ".join(rng.choices(words, k=rng.randrange(9))) + "\n" for at in range(600)]
    (folder / "a.txt").write_text("".join(text[:250]).rstrip("\n") + " end")
    (folder / "b.txt.gz").write_bytes(gzip.compress("".join(text[250:400]).encode()))
    (folder / "c.txt").write_bytes("".join(text[400:]).encode().replace(b"the", b"th\xff"))
    return folder


def files(folder):
    return sorted(folder.iterdir())


def embed(call, *args):
    return call("embed", "-m", "en-words", "--threads", "1", *args)


@pytest.mark.parametrize("form", ["text", "jsonl", "npy", "f32"])
def test_joined_parts_are_what_one_run_writes(call, tmp_path, corpus, form):
    one, out, joined = tmp_path / "one", tmp_path / "OUT", tmp_path / "joined"
    assert embed(call, "--format", form, *files(corpus), "-o", one)[0] == 0
    code, said, error = embed(call, "--format", form, corpus, "-o", f"{out}/", "--parts", 7)
    assert (code, said) == (0, "")
    assert error.count("no UTF-8") == 1
    assert call("parts", out, "--join", "-o", joined) == (0, "", "")
    assert joined.read_bytes() == one.read_bytes()
    assert len(list(out.glob("part-*"))) > 5
    if form == "npy":
        assert sum(len(np.load(part)) for part in out.glob("part-*")) == len(np.load(one)) == 600
    told = json.loads(call("parts", out, "--format", "json")[1])
    assert (told["done"], told["records"], told["failed"], told["left"]) == (told["parts"], 600, {}, [])
    assert told["counts"]["invalid"] > 50


@pytest.mark.parametrize("kind", ["tsv", "csv"])
@pytest.mark.parametrize("skip", [False, True])
def test_columns_keep_their_names_in_every_part(call, tmp_path, kind, skip):
    between = "," if kind == "csv" else "\t"
    rows = [["id", "title", "embedding"]] + [[str(at), f"house {at}", "x"] for at in range(100)]
    if skip:
        rows[40] = ["40"]
    path = tmp_path / f"in.{kind}"
    path.write_text("".join(between.join(row) + "\n" for row in rows))
    args = ["--input", kind, "--column", "title", "--format", "jsonl", *(["--on-error", "skip"] if skip else [])]
    one = embed(call, *args, path)
    assert one[0] == 0
    assert embed(call, *args, path, "-o", tmp_path / "OUT", "--part-size", 300)[0] == 0
    assert call("parts", tmp_path / "OUT", "--join")[1] == one[1]
    assert len(list((tmp_path / "OUT").glob("part-*"))) > 4
    assert not skip or f"in.{kind}:41: no column 2" in one[1]


def test_a_record_that_cannot_be_read_is_named_by_where_its_part_begins(call, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "house"}\n' * 50 + "{\n" + '{"text": "house"}\n' * 50)
    code, _, error = embed(call, "--input", "jsonl", path, "-o", tmp_path / "OUT", "--parts", 4)
    assert code == 1
    assert "/OUT: part 2: " in error or "/OUT: part 3: " in error
    assert "(from byte " in error
    assert ": malformed JSON" in error


def test_prefixes_go_along_with_their_lines_in_parts(call, tmp_path):
    folder, prefix, out = tmp_path / "in", tmp_path / "prefix", tmp_path / "OUT"
    folder.mkdir()
    (folder / "a.txt").write_text("I am going home.\n\nWhere is it?\nHe said yes.\n")
    (folder / "b.txt").write_text("We are here.\nThank you.")
    begins = ["Ich", "", "Aber", "Er", "", "Vielen"]
    prefix.write_text("\n".join(begins) + "\n")
    args = ["translate", "-b", 1, "--prefix", prefix]
    one = call(*args, *files(folder))
    assert [line.split(" ")[0] for line in one[1].splitlines() if line][1] == "Aber"
    assert call(*args, folder, "-o", out, "--part-size", 20, "--shard", "2/2")[0] == 0
    assert call(*args, folder, "-o", out, "--part-size", 20)[0] == 0
    assert len(list(out.glob("part-*"))) > 2
    assert call("parts", out, "--join")[1] == one[1]
    for lines, message in (
        (begins[:-1], "prefix: has 5 lines, the input has more"),
        ([*begins, "Ja"], "prefix: has 7 lines, the input 6"),
    ):
        prefix.write_text("\n".join(lines) + "\n")
        code, _, error = call(*args, folder, "-o", tmp_path / "O2", "--parts", 3)
        assert (code, error.count("\n"), message in error) == (1, 1, True), error
        assert not list((tmp_path / "O2").glob("part-*"))
        assert "was begun with --prefix with sha256" in call(*args, folder, "-o", out, "--resume")[2]


def test_numbered_records_may_not_be_missing(call, tmp_path):
    """A part behind a damaged file would have the numbers of other lines."""
    folder, out = tmp_path / "in", tmp_path / "OUT"
    folder.mkdir()
    good = gzip.compress(b"One\nTwo\n")
    (folder / "a.txt.gz").write_bytes(good[:-9])
    (folder / "b.txt").write_text("Three\nFour\n")
    args = ["generate", "--file", folder, "--max-tokens", 2, "--seed", 5, "-o", out, "--part-size", 10]
    code, _, error = call(*args)
    assert (code, error.count("\n")) == (1, 1)
    assert "a.txt.gz: truncated gzip data" in error
    assert not list(out.glob("part-*"))
    (folder / "a.txt.gz").write_bytes(good)
    assert call(*args)[0] == 0
    (folder / "b.txt").write_text("Three\nF\nur\n")  # as many bytes, more lines: those of the last part
    assert call(*args)[0] == 0
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"OnexTwo\n").ljust(len(good), b"\0")[: len(good)])
    assert "the numbers of its records" in call(*args)[2]


def test_what_depends_on_the_number_of_a_line_does_so_in_parts(call, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"The number {at} is\n" for at in range(12)))
    args = ["generate", "--file", path, "--max-tokens", 3, "--seed", 5]
    one = call(*args)
    assert call(*args, "-o", tmp_path / "OUT", "--parts", 5)[0] == 0
    assert call("parts", tmp_path / "OUT", "--join")[1] == one[1]


@pytest.mark.parametrize(
    "args", [["score"], ["classify", "--top", 2], ["translate", "--n-best", 2, "--format", "nbest"]]
)
def test_every_filter_has_parts(call, tmp_path, args):
    path = tmp_path / "in.txt"
    path.write_text("I am going home.\nWhere is it?\n\nHe said 3 words.\nYes.\n")
    one = call(*args, path)
    assert one[0] == 0
    assert call(*args, path, "-o", tmp_path / "OUT", "--part-size", 20)[0] == 0
    assert call("parts", tmp_path / "OUT", "--join")[1] == one[1]
    assert len(list((tmp_path / "OUT").glob("part-*"))) > 1


def test_a_rerun_makes_what_is_missing_and_nothing_twice(call, tmp_path, corpus):
    out = tmp_path / "OUT"
    args = [corpus, "-o", out, "--parts", 6]
    assert embed(call, *args)[0] == 0
    parts = sorted(out.glob("part-*"))
    whole = call("parts", out, "--join")[1]
    parts[2].unlink()
    (out / "_textkit" / "done" / "00005.json").write_text("{")
    before = {part: part.stat().st_ino for part in parts if part.exists()}
    assert call("parts", out, "--join")[2].endswith("2 of 6 parts are not done; the command that began makes them\n")
    assert "6 parts, 2 still to be made" in embed(call, *args, "-v")[2]
    after = {part: part.stat().st_ino for part in parts}
    assert [part.name for part in before if after[part] != before[part]] == [parts[4].name]
    assert call("parts", out, "--join")[1] == whole
    assert embed(call, "-o", out, "--resume")[0] == 0  # the files are those of the plan


def test_a_part_that_was_tampered_with_is_not_joined(call, tmp_path, corpus):
    out = tmp_path / "OUT"
    assert embed(call, corpus, "-o", out, "--parts", 3)[0] == 0
    part = sorted(out.glob("part-*"))[1]
    data = bytearray(part.read_bytes())
    data[10] ^= 1
    part.write_bytes(data)
    code, _, error = call("parts", out, "--join", "-o", tmp_path / "joined")
    assert (code, (tmp_path / "joined").exists()) == (1, False)
    assert f"{part}: is not as it was written" in error


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--normalize"], "was begun with no --normalize, not --normalize"),
        (["--pooling", "max"], "was begun with no --pooling, not --pooling max"),
        (["--format", "jsonl"], "was begun with --format text, not --format jsonl"),
        (["--parts", "4"], "was begun with --parts 3, not --parts 4"),
        (["--encoding", "latin-1"], "was begun with no --encoding, not --encoding iso8859-1"),
        (["-m", "en-sentences"], "was begun with the model en-words (sha256 "),
    ],
)
def test_other_options_are_refused_and_named(call, tmp_path, corpus, args, message):
    out = tmp_path / "OUT"
    assert embed(call, corpus, "-o", out, "--parts", 3)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    parts = [] if "--parts" in args else ["--parts", 3]
    code, _, error = embed(call, corpus, "-o", out, *parts, *args)
    assert code == 1
    assert message in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_other_inputs_are_refused_or_made_again(call, tmp_path, corpus):
    out = tmp_path / "OUT"
    args = [corpus, "-o", out, "--parts", 8]
    assert embed(call, *args)[0] == 0
    whole = call("parts", out, "--join")[1]
    os.utime(corpus / "a.txt")  # the same bytes
    inodes = [part.stat().st_ino for part in sorted(out.glob("part-*"))]
    assert embed(call, *args)[0] == 0
    assert [part.stat().st_ino for part in sorted(out.glob("part-*"))] == inodes
    text = (corpus / "a.txt").read_text()
    (corpus / "a.txt").write_text(text.replace("music", "house", 1))  # as many bytes, another word
    os.utime(corpus / "a.txt", (1, 1))
    assert embed(call, *args)[0] == 0
    assert [part.stat().st_ino for part in sorted(out.glob("part-*"))][1:] == inodes[1:]
    assert call("parts", out, "--join")[1] != whole
    assert call("parts", out, "--join")[1] == embed(call, *files(corpus))[1]
    (corpus / "a.txt").write_text(text + "more\n")
    assert "a.txt: has changed since" in embed(call, *args)[2]
    (corpus / "a.txt").unlink()
    assert f"{corpus}/a.txt is missing" in embed(call, *args)[2]


def test_two_runs_at_a_time_are_refused_and_shards_are_not(call, tmp_path, corpus):
    out = tmp_path / "OUT"
    args = [corpus, "-o", out, "--parts", 5]
    assert embed(call, *args, "--shard", "1/2")[0] == 0
    assert len(list(out.glob("part-*"))) == 3
    with open(out / "_textkit" / "lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert embed(call, *args)[::2] == (1, f"textkit: {out}: another run is at work on it\n")
    with open(out / "_textkit" / "lock-1-of-2", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "shard 1/2 is at work on it" in embed(call, *args, "--shard", "1/2")[2]
        assert embed(call, *args, "--shard", "2/2")[0] == 0
    assert call("parts", out, "--join")[1] == embed(call, *files(corpus))[1]


def test_a_damaged_part_is_said_and_the_others_are_made(call, tmp_path, corpus):
    good = (corpus / "b.txt.gz").read_bytes()
    (corpus / "b.txt.gz").write_bytes(good[: len(good) // 2])
    out = tmp_path / "OUT"
    args = [corpus, "-o", out, "--part-size", 1000]
    code, _, error = embed(call, *args)
    assert code == 1
    told = json.loads(call("parts", out, "--format", "json")[1])
    (number,) = told["failed"]
    assert told["done"] == told["parts"] - 1
    warning, error = error.splitlines(keepends=True)
    assert "c.txt: 74 lines held bytes" in warning
    assert error.startswith(f"textkit: {out}: part {number}: {corpus}/b.txt.gz: truncated gzip data")
    done = f"{told['done']} of {told['parts']} parts are done, and the same command tries this one again"
    assert error.endswith(f"; {done}\n")
    assert f"part {number} failed: " in call("parts", out)[1]
    (corpus / "b.txt.gz").write_bytes(good)
    assert embed(call, *args)[0] == 0
    assert call("parts", out, "--join")[1] == embed(call, *files(corpus))[1]
    assert json.loads(call("parts", out, "--format", "json")[1])["failed"] == {}


def test_of_many_parts_that_fail_one_line_says_the_first(call, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"txet": "house"}\n' * 30 + '{"text": "house"}\n')
    args = ["--input", "jsonl", path, "-o", tmp_path / "OUT", "--part-size", 18]
    code, _, error = embed(call, *args)
    assert code == 1
    assert error.count("\n") == 1
    assert error.startswith(f"textkit: {tmp_path}/OUT: 30 parts failed, part 1: {path}:1: ")
    assert error.endswith(f"; 1 of 31 parts are done; 'textkit parts {tmp_path}/OUT' says why others\n")
    assert call("parts", tmp_path / "OUT")[1].count(" failed: ") == 30
    told = embed(call, *args, "-v")[2].splitlines()
    assert sum(": part " in line or line.startswith("textkit: part ") for line in told) >= 30


def test_parts_by_the_byte(call, tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"x" * 100_000 + b"\n" + b"y\n" * 20)
    start = time.process_time()
    code, _, error = embed(call, path, "-o", tmp_path / "OUT", "--part-size", 1)
    assert (code, error.count("\n")) == (1, 1)
    assert "--part-size 1: is more than 100,000 parts; --part-size 2 or larger makes fewer" in error
    code, _, error = embed(call, path, "-o", tmp_path / "OUT", "--parts", 10**12)
    assert "--parts 1000000000000: is more than 100,000 parts" in error
    assert embed(call, path, "-q", "-o", tmp_path / "OUT", "--part-size", 2)[0] == 0
    assert len(list((tmp_path / "OUT").glob("part-*"))) == 21
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("write", 4),
        ("sync", 3),  # as with delayed allocation, and on network file systems: the write goes well, the sync does not
    ],
)
def test_a_full_disk_ends_the_run_and_keeps_what_is_done(call, tmp_path, corpus, monkeypatch, method, part):
    from textkit.parts.writing import PartFile

    out = tmp_path / "OUT"
    usual = getattr(PartFile, method)

    def full(self, data):
        if f"part-{part:05d}" in str(self.raw.name):
            raise OSError(28, os.strerror(28))
        return usual(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PartFile, method, full)
        code, _, error = embed(call, corpus, "-o", out, "--parts", 6)
    assert code == 1
    (line,) = [line for line in error.splitlines() if "warning" not in line]
    assert line.startswith(f"textkit: {out}/part-{part:05d}")
    assert line.endswith(f"cannot be written: No space left on device; {part - 1} of 6 parts are done, and stay")
    done = [f"part-{number:05d}" for number in range(1, part)]
    assert sorted(path.name[:10] for path in out.iterdir()) == ["_textkit", *done]
    assert len(list((out / "_textkit" / "done").iterdir())) == part - 1
    assert embed(call, corpus, "-o", out, "--parts", 6)[0] == 0
    assert call("parts", out, "--join")[1] == embed(call, *files(corpus))[1]


def test_what_killed_runs_left_is_removed_and_what_live_ones_write_is_not(call, tmp_path, corpus):
    out = tmp_path / "OUT"
    args = [corpus, "-o", out, "--parts", 3]
    assert embed(call, *args)[0] == 0
    name = min(out.glob("part-*")).name
    places = [out / f".{name}", out / "_textkit" / "done" / ".00002.json"]
    dead = [place.with_name(f"{place.name}.99-0123456{at}.tmp") for at, place in enumerate(places)]
    live, foreign = out / f".{name}.98-01234567.tmp", out / ".notes.99-01234567.tmp"
    for path in (*dead, live, foreign):
        path.touch()
    with open(live) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert embed(call, *args)[0] == 0
    assert [path.exists() for path in (*dead, live, foreign)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--parts", 2], "--parts: -o FOLDER names the folder of the parts"),
        (["--parts", 2, "-o", "", "x"], "-o '': names no folder"),
        (["--parts", 2, "-o", "OUT"], "--parts: stdin cannot be cut into parts; name files or folders"),
        (["--parts", 2, "-o", "OUT", "-"], "--parts: stdin cannot be cut into parts"),
        (["--parts", 2, "--part-size", "1M", "-o", "OUT", "x"], "--parts, --part-size: one of them"),
        (["--part-size", "0", "-o", "OUT", "x"], "'0' is no size, such as 64M or 1G"),
        (["--part-size", "many", "-o", "OUT", "x"], "'many' is no size"),
        (["--shard", "0/4", "-o", "OUT", "x"], "'0/4': shares count from 1 to 4"),
        (["--shard", "5/4", "-o", "OUT", "x"], "'5/4': shares count from 1 to 4"),
        (["--shard", "five", "-o", "OUT", "x"], "'five' is no share, such as 3/16"),
        (
            ["--parts", 2, "-o", "s3://bucket/out", "x"],
            "-o s3://bucket/out: is an address, to which nothing is written",
        ),
        (["-o", "memory://out.f32", "x"], "-o memory://out.f32: is an address, to which nothing is written"),
    ],
)
def test_wrong_usage_is_one_line(call, args, message):
    code, out, error = embed(call, *args)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error


def test_folders_that_are_no_parts_are_left_alone(call, tmp_path, corpus):
    assert "holds other files; parts need a folder of their own" in embed(call, corpus, "-o", corpus, "--parts", 2)[2]
    assert "is no folder" in embed(call, corpus, "-o", corpus / "a.txt", "--parts", 2)[2]
    assert "holds no parts to go on with" in embed(call, "-o", tmp_path / "OUT", "--resume")[2]
    assert call("parts", tmp_path / "OUT")[::2] == (1, f"textkit: {tmp_path}/OUT: no such folder\n")
    assert call("parts", corpus)[::2] == (1, f"textkit: {corpus}: holds no parts\n")
    place = tmp_path / "OUT" / "_textkit"
    place.mkdir(parents=True)
    (place / "plan.json").write_text("{")
    assert "plan.json: damaged" in call("parts", tmp_path / "OUT")[2]
    (place / "plan.json").write_text('{"schema": 99}')
    assert "is no plan of this version" in embed(call, corpus, "-o", tmp_path / "OUT", "--parts", 2)[2]
    (tmp_path / "empty").mkdir()
    assert "empty: holds no file" in embed(call, tmp_path / "empty", "-o", tmp_path / "O", "--parts", 2)[2]


def _set(at, *value):
    def change(plan):
        *way, last = at
        for step in way:
            plan = plan[step]
        if value:
            plan[last] = value[0]
        else:
            del plan[last]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set(["made", "model"]),
        _set(["made", "verb"]),
        _set(["made", "model"], "en-words"),
        _set(["made", "options"], [1]),
        _set(["made", "cut"], None),
        _set(["other"], []),
        _set(["sources"], ["abc"]),
        _set(["sources"], [[1, "a", None]]),
        _set(["parts", 0, 0], "../part-1"),
        _set(["parts", 0, 0], ""),
        _set(["parts", 0, 0], ".."),
        _set(["parts", 0, 0], "_textkit"),
        _set(["parts", 0, 0], "part-00002-in.txt"),
        _set(["parts", 0, 1], "7"),
        _set(["parts", 0, 2, 0, 1], -5),
        _set(["parts", 0, 2, 0, 1], "a"),
        _set(["parts", 0, 2, 0, 1], True),
        _set(["parts", 0, 2, 0, 0], 7),
        _set(["parts", 0, 2, 0, -1], [1]),
        _set(["schema"], 99),
    ],
)
def test_a_foreign_plan_is_one_line_and_nothing_is_written(call, tmp_path, change):
    path, out = tmp_path / "in.txt", tmp_path / "OUT"
    path.write_text("a\nb\n")
    assert embed(call, path, "-o", out, "--part-size", 2)[0] == 0
    plan = json.loads((out / "_textkit" / "plan.json").read_text())
    change(plan)
    (out / "_textkit" / "plan.json").write_text(json.dumps(plan))
    before = sorted(tmp_path.rglob("*"))
    for args in (["parts", out], ["parts", out, "--join"], ["embed", "-m", "en-words", path, "-o", out, "--parts", 1]):
        code, said, error = call(*args)
        assert (code, said) == (1, "")
        assert error == f"textkit: {out}/_textkit/plan.json: is no plan of this version of textkit\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_marks_are_made_again(call, tmp_path):
    path, out = tmp_path / "in.txt", tmp_path / "OUT"
    path.write_text("a\nb\n")
    assert embed(call, path, "-o", out, "--part-size", 2)[0] == 0
    place = out / "_textkit" / "done" / "00001.json"
    mark = json.loads(place.read_text())
    for damaged in (
        "[]",
        "[" * 100_000,
        "\0",
        json.dumps(mark | {"counts": {"a": "b"}}),
        json.dumps(mark | {"records": "x"}),
    ):
        place.write_text(damaged)
        assert json.loads(call("parts", out, "--format", "json")[1])["left"] == [1]
    (out / "_textkit" / "plan.json").write_text("[" * 100_000)
    code, _, error = call("parts", out)
    assert (code, error.count("\n"), "plan.json: damaged" in error) == (1, 1, True)


def test_parts_are_not_joined_into_one_of_them(call, tmp_path, corpus):
    out = tmp_path / "OUT"
    assert embed(call, corpus, "-q", "-o", out, "--parts", 3)[0] == 0
    part = min(out.glob("part-*"))
    before = part.read_bytes()
    (tmp_path / "link").symlink_to(part)
    for name in (part, tmp_path / "link", out / "joined.txt"):
        code, _, error = call("parts", out, "--join", "-o", name)
        assert (code, part.read_bytes(), f"-o {name}: lies in the folder of the parts" in error) == (1, before, True)


def test_an_engine_that_is_not_there_is_one_line(call, tmp_path, corpus, monkeypatch):
    args = [corpus, "-o", tmp_path / "OUT", "--parts", 2, "--engine", "ray", "-q"]
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, error = embed(call, *args)
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("textkit: this needs Ray (")
    assert "[ray]'" in error
    old = types.ModuleType("ray")
    old.__version__ = "2.3.0"
    for name in ("ray", "ray.data", "ray.exceptions"):
        monkeypatch.setitem(sys.modules, name, old)
    old.data = old.exceptions = old
    assert "Ray 2.3.0 is too old; 2.10 or newer" in embed(call, *args)[2]
    for more, message in (
        (["--address", "auto"], "--address auto: is for --engine ray"),
        (["--workers", "2"], "--workers 2: is for --engine ray"),
        (["--engine", "ray", "--shard", "1/2", "-o", "x", "y"], "the engine deals out the parts by itself"),
        (["--engine", "ray", "y"], "--engine ray: -o FOLDER names the folder of the parts"),
    ):
        code, _, error = embed(call, *more)
        assert (code, message in error) == (2, True), error


def test_a_folder_is_no_address_whatever_its_case(call):
    """click makes a Path of it, which keeps one of the two strokes."""
    for name in ("s3://bucket/run", "S3://bucket/run", "memory://run"):
        code, out, error = call("train", "fasttext", "in.txt", "-o", name)
        assert (code, out) == (2, "")
        assert error.startswith(f"textkit: -o {name.replace('//', '/')}: is an address, to which nothing is written;")


@pytest.mark.parametrize("args", [[], ["--parts", 2]])
def test_an_address_is_no_file_and_not_taken_for_a_text(call, tmp_path, args):
    for name in ("s3://bucket/in.txt", "file:///in.txt"):
        code, out, error = embed(call, *args, name, "-o", tmp_path / "OUT")
        assert (code, out) == (1, "")
        assert error == (
            f"textkit: {name}: is an address, and only models (-m) are read from one; mount it or copy it, and name the file\n"
        )


class Head:
    """Stands in for the package ray: what it was asked to join, and how it answers."""

    def __init__(self, error: Exception | None = None) -> None:
        self.joined: list[str | None] = []
        self.dashboard: list[object] = []
        self.error = error

    def is_initialized(self) -> bool:
        return False

    def init(self, address: str | None, **options: object) -> None:
        self.joined.append(address)
        self.dashboard.append(options.get("include_dashboard", True))
        if self.error:
            raise self.error

    def shutdown(self) -> None:
        pass


def test_without_an_address_ray_is_started_here(monkeypatch):
    """Ray itself would join the last one on this machine, and wait for it for minutes if its head was killed."""
    from textkit.cli.ray_cluster import cluster

    head = Head()
    for variable, address in (("", None), ("local", None), ("auto", "local"), ("", "auto"), ("auto", None)):
        monkeypatch.setenv("RAY_ADDRESS", variable)
        with cluster(head, address):
            pass
    assert head.joined == ["local", "local", "local", "auto", "auto"]
    assert head.dashboard == [False, False, False, True, True]


def test_a_cluster_that_is_joined_may_grow(monkeypatch):
    """By --address or RAY_ADDRESS; one that is started here has the CPUs that it has."""
    from textkit.cli.ray_engine import _sizes

    ray = types.SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0})
    for variable, address in (("auto", None), ("", "auto")):
        monkeypatch.setenv("RAY_ADDRESS", variable)
        wanted = types.SimpleNamespace(threads=None, gpus_per_worker=None, address=address, workers=9)
        assert _sizes(ray, wanted, 20) == (1, (1, 9))
    for address in (None, "local"):
        wanted = types.SimpleNamespace(threads=None, gpus_per_worker=None, address=address, workers=9)
        with pytest.raises(UsageError, match="^--workers 9: each worker takes a CPU, and the cluster has 2 CPUs$"):
            _sizes(ray, wanted, 20)


def test_a_ray_that_asks_for_a_token_says_so():
    from textkit.cli.ray_cluster import cluster

    error = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    for cause, message in (
        (
            "Failed to connect to GCS. Last: ray.exceptions.AuthenticationError: RPC",
            "it asks for a token: set RAY_AUTH_MODE=token",
        ),
        ("Failed to connect to GCS.", "Failed to connect to Ray cluster at 10.0.0.1"),
    ):
        error.__cause__ = RuntimeError(cause)
        with (
            pytest.raises(TextkitError, match=f"^Ray at auto cannot be reached: {message}"),
            cluster(Head(error), "auto"),
        ):
            raise AssertionError


def test_a_worker_has_two_calls_if_ray_can_give_them():
    from textkit.cli.ray_cluster import pool

    class Old:
        def __init__(self, size=None, min_size=None, max_size=None, max_tasks_in_flight_per_actor=None):
            self.given = (min_size, max_size, max_tasks_in_flight_per_actor)

    class New(Old):
        def __init__(self, *, max_concurrent_calls_per_actor=1, enable_true_multi_threading=False, **options):
            super().__init__(**options)
            self.calls = (max_concurrent_calls_per_actor, enable_true_multi_threading)

    old, new = (types.SimpleNamespace(data=types.SimpleNamespace(ActorPoolStrategy=kind)) for kind in (Old, New))
    assert pool(old, 3, two_calls=True).given == (3, 3, None)
    assert pool(new, (1, 9)).given == (1, 9, None)
    found = pool(new, 2, two_calls=True)
    assert (found.given, found.calls) == ((2, 2, 2), (2, True))


def started(*args) -> subprocess.Popen:
    command = [sys.executable, "-m", "textkit", "embed", "-m", "en-words", "--threads", "1", *map(str, args)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_kill_at_any_moment_loses_nothing_and_doubles_nothing(call, tmp_path, corpus):
    (corpus / "d.txt").write_text("the house of music by the river bank\n" * 60_000)
    out = tmp_path / "OUT"
    args = [corpus, "-o", out, "--format", "f32", "--parts", 40]
    rng = random.Random(7)
    for _ in range(3):
        process = started(*args)
        before = len(list(out.glob("part-*")))
        while process.poll() is None and len(list(out.glob("part-*"))) < before + 4:
            time.sleep(0.005)
        time.sleep(rng.random() / 20)
        process.kill()
        process.communicate()
    done = {path: path.stat().st_mtime_ns for path in (out / "_textkit" / "done").glob("[0-9]*.json")}
    assert len(done) > 0
    process = started(*args)
    assert process.wait() == 0
    process.communicate()
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert call("parts", out, "--join", "-o", tmp_path / "joined")[0] == 0
    assert embed(call, "--format", "f32", *files(corpus), "-o", tmp_path / "one")[0] == 0
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "one").read_bytes()


def test_ctrl_c_says_how_far_it_came(tmp_path, corpus):
    (corpus / "d.txt").write_text("the house of music by the river bank\n" * 60_000)
    out = tmp_path / "OUT"
    process = started(corpus, "-o", out, "--format", "f32", "--parts", 40)
    while process.poll() is None and len(list(out.glob("part-*"))) < 3:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    if process.returncode:  # otherwise it was done before
        assert process.returncode == 130
        assert f"of 40 parts are in {out}; the same command goes on" in error
        assert len(list(out.glob(".*"))) == 0
