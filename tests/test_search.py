"""`textkit.Index` and the two verbs, end to end, with the model that they use by default."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small_embedder import write_words

import textkit
from textkit.retrieval import cached
from textkit.retrieval.hits import Hit
from textkit.retrieval.writers import Form

ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(textkit.__path__[0]).parent), os.environ.get("PYTHONPATH"))))
}
A = """Refunds are paid within two weeks.
The weather was nice.
We give your money back if you are not happy.

Error E1042 means that the disk is full.
Kawann Short led the team.
"""
B = """Nothing of interest here.
Our return policy lasts thirty days.
The part AB-12/7 is on the shelf.
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files of notes in the current folder, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text(A)
    (folder / "b.txt").write_text(B)
    return folder


@pytest.fixture
def index(notes: Path, call: Any) -> Path:
    assert call("index", "notes", "-o", "notes.idx") == (0, "", "")
    return Path("notes.idx")


def places(out: str) -> list[str]:
    """file:line of each line of the output."""
    return [":".join(line.split(":")[:2]) for line in out.splitlines()]


def test_what_is_meant_comes_first(index: Path, call: Any) -> None:
    code, out, error = call("search", "money back", index)
    assert (code, error) == (0, "")
    assert out.splitlines()[0] == "notes/a.txt:3:We give your money back if you are not happy."
    assert places(out)[:3] == ["notes/a.txt:3", "notes/a.txt:1", "notes/b.txt:2"]
    assert len(out.splitlines()) == 8  # -k is above the corpus
    assert call("search", "money back", index, "-k", "1")[1] == out.splitlines(keepends=True)[0]
    assert len(call("search", "money back", index, "-k", "1000000")[1].splitlines()) == 8


@pytest.mark.parametrize("mode", ["--hybrid", "--words"])
@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("E1042", "notes/a.txt:5"),
        ("why does the screen show e1042 today", "notes/a.txt:5"),
        ("AB-12/7", "notes/b.txt:3"),
        ("who is Kawann Short", "notes/a.txt:6"),
        ("kawann", "notes/a.txt:6"),
    ],
)
def test_names_numbers_and_codes_come_first(index: Path, call: Any, mode: str, query: str, place: str) -> None:
    assert places(call("search", query, index, mode)[1])[0] == place


def test_words_that_stand_together_come_before_the_same_words_apart(tmp_path: Path, call: Any) -> None:
    rest = "nothing else of note was said on that day by any of those who had come there to listen"
    apart, near = f"copper {rest} pipe", f"{rest} copper pipe"
    (tmp_path / "pipes.txt").write_text(f"{apart}\n{near}\n" + f"{rest}\n" * 8)
    assert call("search", "copper pipe", tmp_path / "pipes.txt", "-k", 1)[1] == f"{tmp_path / 'pipes.txt'}:2:{near}\n"


def test_plain_files_just_work(notes: Path, call: Any) -> None:
    first = call("search", "money back", "notes/a.txt", "notes/b.txt", "-k", 3)
    assert places(first[1]) == ["notes/a.txt:3", "notes/a.txt:1", "notes/b.txt:2"]
    (kept,) = (notes.parent / "cache/textkit/search").iterdir()
    before = (kept / "manifest.json").stat().st_mtime_ns
    assert call("search", "money back", "notes/a.txt", "notes/b.txt", "-k", 3) == first
    assert (kept / "manifest.json").stat().st_mtime_ns == before  # nothing was done again
    (notes / "b.txt").write_text("You will get all of your money back.\n")
    assert "notes/b.txt:1" in places(call("search", "money back", "notes/a.txt", "notes/b.txt", "-k", 2)[1])
    assert len(list(kept.parent.iterdir())) == 1
    assert call("search", "money back", "./notes", "-k", 1)[1].startswith("./notes/")  # names as they were given


def test_without_a_cache(notes: Path, call: Any) -> None:
    assert places(call("search", "--no-cache", "money back", "notes", "-k", 1)[1]) == ["notes/a.txt:3"]
    code, out, _ = call("search", "money back", "-k", 1, stdin=A)
    assert (code, out) == (0, "-:3:We give your money back if you are not happy.\n")
    assert not (notes.parent / "cache").exists()


def test_a_damaged_cache_is_made_again(notes: Path, call: Any) -> None:
    first = call("search", "money back", "notes")
    (kept,) = (notes.parent / "cache/textkit/search").iterdir()
    (kept / "rows-1" / "vectors").write_bytes(b"")
    assert call("search", "money back", "notes") == first


@pytest.mark.parametrize("name", ["words/meta.json", "words/*.term", "lines", "inverse", "starts", "extents"])
def test_a_cache_with_other_bytes_is_made_again(notes: Path, call: Any, name: str) -> None:
    first = call("search", "--words", "money back", "notes")
    assert first[0] == 0
    (kept,) = (notes.parent / "cache/textkit/search").iterdir()
    damaged = list((kept / "rows-1").glob(name))
    assert damaged
    for path in damaged:
        path.write_bytes(bytes(byte ^ 0x55 for byte in path.read_bytes()))
    assert call("search", "--words", "money back", "notes") == first


def test_a_cache_without_room(notes: Path, call: Any) -> None:
    """The search goes on in a temporary folder, and nothing half is kept."""
    from little_room import little_room

    model = write_words(Path("five"))
    (notes / "c.txt").write_text("the cat sat on the mat\n" * 3000)
    with little_room(20_000):
        code, out, error = call("search", "--words", "cat", "notes", "-k", 1, "-m", model)
    assert (code, out) == (2, "")  # no file of the temporary folder may grow either
    assert "textkit-" in error
    assert "File too large" in error
    assert list((notes.parent / "cache/textkit/search").iterdir()) == []


def test_a_cache_on_a_full_disk_is_done_without(notes: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from textkit.retrieval.updating import Update

    run, kept = Update.run, notes.parent / "cache/textkit/search"

    def full(self: Update, names: Any) -> Any:
        found = run(self, names)
        if kept in self.folder.parents:
            raise textkit.TextkitError("cannot be written") from OSError(errno.ENOSPC, "No space left on device")
        return found

    monkeypatch.setattr(Update, "run", full)
    code, out, _ = call("search", "money back", "notes", "-k", 1)
    assert (code, places(out)) == (0, ["notes/a.txt:3"])
    assert list(kept.iterdir()) == []


def test_a_cache_that_cannot_be_written(notes: Path, call: Any) -> None:
    (notes.parent / "cache").write_text("a file")
    assert places(call("search", "money back", "notes", "-k", 1)[1]) == ["notes/a.txt:3"]


def test_more_lines_than_plain_files_may_have(notes: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "MOST", 5)
    code, out, error = call("search", "money back", "notes")
    assert (code, out) == (2, "")
    assert error == "textkit: more than 5 lines; make an index once, and search that: textkit index FILE... -o INDEX\n"
    assert list((notes.parent / "cache/textkit/search").iterdir()) == []


@pytest.mark.parametrize(
    ("args", "code", "out"),
    [
        (("-q", "get my money back"), 0, ""),
        (("-q", "quantum physics"), 1, ""),
        (("-l", "get my money back"), 0, "notes/a.txt\n"),
        (("-c", "get my money back"), 0, "notes/a.txt:1\nnotes/b.txt:0\n"),
        (("-c", "--words", "the"), 0, "notes/a.txt:3\nnotes/b.txt:1\n"),
        (("-l", "--format", "jsonl", "get my money back"), 0, '{"file": "notes/a.txt", "count": 1}\n'),
        (("",), 1, ""),
        (("  ",), 1, ""),
        (("--threshold", "0.99", "the weather was nice"), 0, "notes/a.txt:2:The weather was nice.\n"),
        (("--threshold", "0.99", "weather"), 0, "notes/a.txt:2:The weather was nice.\n"),  # it has every word
        (("--threshold", "0.99", "--meaning", "weather"), 1, ""),
        (("--words", "quantum"), 1, ""),
    ],
)
def test_exit_codes_are_those_of_grep(index: Path, call: Any, args: tuple[str, ...], code: int, out: str) -> None:
    assert call("search", *args, index) == (code, out, "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("x", "nowhere.txt"), "nowhere.txt: no such file"),
        (("x", "notes.idx", "notes"), "notes.idx: is an index, and is searched alone"),
        ((), "QUERY is missing, as in: textkit search 'money back' notes/*.txt"),
        (("--queries", "-"), "--queries -: stdin holds the queries; say which INDEX or FILE to search"),
        (("x", "notes.idx", "--input", "lines"), "--input lines: notes.idx is an index, which was read when it was made"),
        (("x", "notes", "-l", "-c"), "-l and -c: say one or the other"),
        (("x", "notes", "--input", "lines", "--column", "2"), "--column 2: lines have no columns; say --input tsv"),
        (("x", "notes", "--column", "2"), "--column 2: lines have no columns; say --input tsv, csv or jsonl"),
        (("x", "notes", "--words", "--delimiter", ";"), "--delimiter: lines have no columns; say --input csv or tsv"),
        (("caf\udce9", "notes"), "QUERY holds bytes that are no UTF-8"),
        (("x", "notes.idx", "-m", "en-words"), "notes.idx: was made with the model 'en-sentences'"),
    ],
)  # fmt: skip
def test_trouble_is_exit_code_2(index: Path, call: Any, args: tuple[str, ...], message: str) -> None:
    code, out, error = call("search", *args)
    assert (code, out) == (2, "")
    assert error.startswith(f"textkit: {message}")
    assert error.count("\n") == 1


def test_a_fault_is_trouble_too(index: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(textkit.Index, "search", fault)
    code, out, error = call("search", "x", index)
    assert (code, out) == (2, "")
    assert error.startswith("textkit: unexpected ZeroDivisionError: oops")


def test_any_number_of_hits_may_be_asked_for(index: Path, call: Any) -> None:
    Path("asked.txt").write_text("money back\n\nweather\n")
    many = ("search", index, "--queries", "asked.txt", "--format", "tsv", "-k")
    assert call(*many, 10**30) == call(*many, 8)
    assert call("search", "money", index, "-k", 10**30, "-C", 10**30)[0] == 0


def test_names_of_any_bytes(notes: Path, call: Any) -> None:
    name = b"n\xff:1:\n x.txt"
    Path(os.fsdecode(name)).write_text("money back\n")
    shown = b"n\xff:1:\\n x.txt:1:money back\n"
    done = subprocess.run(
        [sys.executable, "-m", "textkit", "search", "--words", "money", name], env=ENVIRONMENT, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, shown, b"")


def test_a_damaged_index_is_trouble(index: Path, call: Any) -> None:
    (index / "manifest.json").write_text('{"format": "textkit-index", "schema": 9, "textkit": "3.0"}')
    code, _, error = call("search", "x", index)
    assert (code, error) == (2, "textkit: notes.idx: was made by a newer textkit (3.0); this one reads schema 1\n")
    code, _, error = call("index", "notes", "-o", index)
    assert (code, error) == (1, "textkit: notes.idx: was made by a newer textkit (3.0); this one reads schema 1\n")


def test_context(index: Path, call: Any) -> None:
    lines = A.splitlines()
    out = call("search", "money back", index, "-k", 1, "-C", 1)[1]
    assert out == f"notes/a.txt-2-{lines[1]}\nnotes/a.txt:3:{lines[2]}\nnotes/a.txt-4-\n"
    out = call("search", "money back", index, "-k", 1, "-B", 9)[1]
    assert places(out.replace("-", ":"))[0] == "notes/a.txt:1"
    assert len(out.splitlines()) == 3
    out = call("search", "money back", index, "-k", 2, "-A", 1)[1]
    assert out.splitlines()[2] == "--"
    out = call("search", "e1042", index, "-k", 1, "-C", 2, "--format", "jsonl")[1]
    hit = json.loads(out)["hits"][0]
    assert [each["line"] for each in hit["before"]] == [3, 4]
    assert [each["text"] for each in hit["after"]] == [lines[5]]


def test_many_queries(index: Path, call: Any) -> None:
    queries = "money back\n\nweather\nE1042\n"
    code, out, _ = call("search", "--queries", "-", index, "-k", 2, "--format", "jsonl", stdin=queries)
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["query"] for record in records] == ["money back", "", "weather", "E1042"]
    assert [len(record["hits"]) for record in records] == [2, 0, 2, 2]
    hit = records[0]["hits"][0]
    assert (hit["file"], hit["line"], hit["text"]) == ("notes/a.txt", 3, A.splitlines()[2])
    alone = json.loads(call("search", "weather", index, "-k", 2, "--format", "jsonl")[1])
    assert alone == records[2]  # a query's answer does not depend on the others
    Path("queries.txt").write_text(queries)
    assert call("search", "--queries", "queries.txt", index, "-k", 2, "--format", "jsonl")[1] == out
    table = call("search", "--queries", "queries.txt", index, "-k", 1, "--format", "tsv")[1].splitlines()
    assert [line.split("\t")[:3] for line in table] == [
        ["money back", "notes/a.txt", "3"], ["", "", ""], ["weather", "notes/a.txt", "2"], ["E1042", "notes/a.txt", "5"],
    ]  # fmt: skip
    text = call("search", "--queries", "queries.txt", index, "-k", 1)[1].splitlines()
    assert text[:2] == ["money back\tnotes/a.txt:3:We give your money back if you are not happy.", "\t"]


def test_ten_thousand_queries(index: Path, call: Any) -> None:
    queries = "".join(f"question {n} about money\n" for n in range(10_000))
    start = time.process_time()
    code, out, _ = call("search", "--words", "--queries", "-", index, "-k", 1, "--format", "jsonl", stdin=queries)
    assert (code, out.count("\n")) == (0, 10_000)
    assert json.loads(out.splitlines()[-1])["query"] == "question 9999 about money"
    assert time.process_time() - start < 30


def test_answers_come_when_the_input_pauses(index: Path) -> None:
    command = [sys.executable, "-m", "textkit", "search", "--words", "--queries", "-", str(index), "--format", "jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for query in ("weather", "money"):
            process.stdin.write(f"{query}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["query"] == query
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_search_imports_only_what_it_needs(index: Path) -> None:
    """Most of the time of one query is that of its imports."""
    command = [sys.executable, "-X", "importtime", "-m", "textkit", "search", "money back", str(index)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.decode().splitlines()}
    assert {"onnxruntime", "tantivy", "tokenizers"} <= imported
    unneeded = {
        "textkit.text.fasttext",
        "textkit.text.words",
        "textkit.sentences.splitting",
        "textkit.retrieval.indexing",
    }
    assert not (unneeded | {"torch", "onnx", "usearch", "scipy", "sklearn"}) & imported


def test_a_hit_that_is_not_near_shows_its_cosine(index: Path, call: Any) -> None:
    """It has every word, and a threshold left nothing else: its cosine is known all the same."""
    out = call("search", "--threshold", "0.99", "weather", index, "--explain", "--format", "jsonl")[1]
    (hit,) = json.loads(out)["hits"]
    assert -1 < hit["explain"]["cosine"] < 0.99
    assert hit["explain"]["ranks"] == {"words": 1}


def test_explain(index: Path, call: Any) -> None:
    out = call("search", "money back", index, "-k", 1, "--explain", "--format", "jsonl")[1]
    why = json.loads(out)["hits"][0]["explain"]
    assert why["words"] == ["money", "back"]
    assert why["ranks"] == {"meaning": 1, "words": 1}
    vectors = textkit.load("en-sentences", normalize=True)(["money back", A.splitlines()[2]])
    assert why["cosine"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=0.01)  # int8
    out = call("search", "money back", index, "-k", 1, "--explain")[1]
    assert re.search(r"\n    1\. by meaning \(cosine 0\.\d+\); 1\. by words \(BM25 \d\.\d+\): money, back\n$", out)


def test_a_hit_of_feedback_is_explained() -> None:
    """Neither side had it in its ranking."""
    form = Form("text", explain=True)
    said = form.record("money", [Hit("a.txt", 3, "paid", 0.5, cosine=0.25)], lambda hit: ([], []))
    assert said == b"a.txt:3:paid\n    by feedback: said as the best hits say it (cosine 0.250)\n"
    said = form.record(
        "money", [Hit("a.txt", 3, "paid", 0.5, cosine=0.25, bm25=2.0, ranks={"words": 4})], lambda hit: ([], [])
    )
    assert said == b"a.txt:3:paid\n    not near by meaning (cosine 0.250); 4. by words (BM25 2.00)\n"


def test_colours_are_those_of_grep(index: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out = call("search", "money back", index, "-k", 1, "--color", "always")[1]
    assert out.startswith(
        "\x1b[35mnotes/a.txt\x1b[m\x1b[36m:\x1b[m\x1b[32m3\x1b[m\x1b[36m:\x1b[mWe give your \x1b[01;31mmoney"
    )
    assert "\x1b" not in call("search", "money back", index, "-k", 1)[1]


def test_fields_come_back(notes: Path, call: Any) -> None:
    Path("mails.jsonl").write_text('{"id": 7, "body": "money back", "a": {"b": 1.50}}\n{"id": 8, "body": "x\\ny"}\n')
    assert call("index", "mails.jsonl", "--input", "jsonl", "--column", "body", "-o", "mails")[0] == 0
    hits = json.loads(call("search", "money", "mails", "--format", "jsonl")[1])["hits"]
    assert hits[0]["fields"] == {"id": 7, "body": "money back", "a": {"b": 1.5}}
    assert (hits[1]["text"], hits[1]["line"]) == ("x\ny", 2)
    assert call("search", "money", "mails")[1].splitlines()[1] == "mails.jsonl:2:x\\ny"
    Path("t.csv").write_text('id,text\n1,"money back"\n2,weather\n')
    out = call("search", "money", "t.csv", "--input", "csv", "--column", "text", "-k", 1, "--format", "jsonl")[1]
    assert json.loads(out)["hits"][0]["fields"] == {"id": "1", "text": "money back"}
    assert call("search", "money", "t.csv", "--input", "csv", "--column", "none")[0] == 2


def test_paragraphs_keep_their_place(notes: Path, call: Any) -> None:
    filler = " ".join(f"This is sentence number {n} of a long and dull chapter." for n in range(100))
    Path("book.txt").write_text(f"Chapter one\n\n{filler}\nThe whale swallowed the small boat.\n{filler}\n\nThe end.\n")
    assert call("index", "--input", "paragraphs", "book.txt", "-o", "book")[0] == 0
    out = call("search", "a boat was eaten by a big animal", "book", "-k", 1, "--format", "jsonl")[1]
    hit = json.loads(out)["hits"][0]
    assert "whale" in hit["text"]
    assert len(hit["text"]) <= 800
    assert hit["line"] in (3, 4)  # the line on which the passage begins


def test_a_line_of_megabytes(notes: Path, call: Any) -> None:
    Path("long.txt").write_text(
        "short\n" + "filler words of no use " * 120_000 + " the whale " + "and more " * 9 + "\nend\n"
    )
    start = time.process_time()
    model = write_words(Path("five"))
    assert call("index", "long.txt", "-m", model, "-o", "long")[0] == 0
    assert time.process_time() - start < 60
    hit = json.loads(call("search", "--words", "whale", "long", "--format", "jsonl")[1])["hits"][0]
    assert hit["line"] == 2
    assert "whale" in hit["text"]


def test_bad_files(notes: Path, call: Any) -> None:
    (notes / "empty.txt").write_text("")
    (notes / "x.bin").write_bytes(b"\0\1\2" * 99)
    (notes / "c.gz").write_bytes(gzip.compress(b"money back, compressed\n"))
    code, out, error = call("search", "money back", "notes", "-k", 2)
    assert code == 0
    assert "notes/c.gz:1" in places(out)
    assert error == "textkit: warning: 1 file was left out, binary: notes/x.bin\n"
    Path("nothing.txt").write_text("")
    assert call("search", "money", "nothing.txt") == (1, "", "")
    assert call("search", "money", stdin=b"")[0] == 1


def test_a_model_with_two_sides(notes: Path, call: Any) -> None:
    """Queries are embedded by the network of queries, in which each word has the vector of the word before it."""
    from test_judged import two_sided

    model = two_sided(Path("models"))
    Path("words.txt").write_text("the\ncat\nsat\ndog\n.\n")
    assert call("index", "words.txt", "-m", model, "-o", "words")[0] == 0
    assert call("search", "--meaning", "cat", "words", "-k", 1)[1] == "words.txt:1:the\n"
    assert call("search", "--meaning", "cat", "words.txt", "-m", model, "-k", 1)[1] == "words.txt:1:the\n"
    one = write_words(Path("five"))
    assert call("search", "--meaning", "cat", "words.txt", "-m", one, "-k", 1)[1] == "words.txt:2:cat\n"


def test_from_python(index: Path) -> None:
    found = textkit.Index(index)
    assert len(found) == 8
    assert found.model == "en-sentences"
    assert found.files == ["notes/a.txt", "notes/b.txt"]
    hits = found.search("money back", k=2)
    assert [(hit.file, hit.line) for hit in hits] == [("notes/a.txt", 3), ("notes/a.txt", 1)]
    assert hits[0].score == 1
    assert hits[0].words == ["money", "back"]
    several = found.search(["money back", " ", "weather"], k=1)
    assert [len(each) for each in several] == [1, 0, 1]
    assert several[0] == hits[:1]
    assert found.search([]) == []
    assert all(hit.cosine is not None and hit.cosine >= 0.3 for hit in found.search("money", None, "meaning", 0.3))
    for wrong in ({"k": 0}, {"k": 1.5}, {"k": "3"}, {"mode": "sense"}, {"threshold": float("nan")}, {"threshold": "1"}):
        with pytest.raises(textkit.UsageError):
            found.search("x", **wrong)
    for query in (None, b"x", 7, ["x", None]):
        with pytest.raises(textkit.UsageError, match="text"):
            found.search(query)  # type: ignore[call-overload]
    assert [len(each) for each in found.search(iter(["money", "a\udcff"]), 10**30)] == [8, 8]  # type: ignore[call-overload]
    assert len(found.search("the", None, "words")) == 4  # all that have a word
    found.close()
    with pytest.raises(textkit.TextkitError, match="the index is closed"):
        found.search("money")


def test_made_from_python(notes: Path) -> None:
    """What no index can be made with leaves no folder behind."""
    model = write_words(Path("five"))
    for wrong, said in (
        ({"files": ["nowhere.txt"]}, "nowhere.txt: no such file"),
        ({"files": "notes", "column": "x"}, "column=x: lines have no columns"),
        ({"files": "notes", "input": "tsv", "column": "0"}, "column=0: columns count from 1"),
        ({"files": "notes", "input": "line"}, "input=line: is unknown; did you mean 'lines'"),
        ({"files": "notes", "input": "csv", "delimiter": "ab"}, "delimiter: is empty, or longer"),
        ({"files": "notes", "model": "no-such"}, "model=no-such: unknown model"),
        ({"files": []}, "there is no index"),
    ):
        with pytest.raises(textkit.TextkitError, match=said):
            textkit.Index.make("new.idx", **({"model": model} | wrong))  # type: ignore[arg-type]
        assert not Path("new.idx").exists()
    Path("t.csv").write_text("1,money\n2,weather\n")
    made = textkit.Index.make("new.idx", Path("t.csv"), model, "csv", 2)  # type: ignore[arg-type]
    assert [hit.text for hit in made.search("weather", 1, "words")] == ["weather"]


def test_files_are_followed(notes: Path) -> None:
    command = [sys.executable, "-m", "textkit", "index", "notes", "-o", "live.idx", "--follow-files", "-v"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True) as process:
        assert process.stderr is not None
        while "8 passages" not in process.stderr.readline():
            pass
        with open(notes / "a.txt", "a") as stream:
            stream.write("A new line.\n")
        (notes / "b.txt").unlink()
        while "passages" not in (line := process.stderr.readline()):
            pass
        assert "1 of them new" in line
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == ""
    assert [hit.line for hit in textkit.Index("live.idx").search("a new line", 1)] == [7]


def test_a_second_process_says_that_it_waits(notes: Path, index: Path) -> None:
    import fcntl

    lock = os.open(index / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    command = [sys.executable, "-m", "textkit", "index", "notes", "-o", str(index)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "textkit: notes.idx: another process writes to it; waiting until it ends\n"
        os.close(lock)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_head_ends_quietly(index: Path) -> None:
    command = f"yes the | head -20000 | {sys.executable} -m textkit search --words --queries - {index} | head -1"
    done = subprocess.run(["bash", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("the\tnotes/")
