"""Measures runs in parts: `python benchmarks/parts.py DATA [--only WHAT]... [--figures FILE] [--page]`. Ray: the extra `ray`.

- `embed`, `translate`: two Ray workers against one process, and against two shards without an engine. Ray is measured twice: on
  a cluster that runs, as many machines have one, and started for this one command.
- `overhead`: parts against one stream, both in one process: seconds of processors, and wall-clock seconds.
- `workers`, `heads`: a worker, or the head of Ray, is killed at a random moment, --times times; after the reruns that a killed
  head needs, the joined output must be that of one process, to the byte.

Each figure is appended to --figures (JSON lines) as soon as there is one, so that a run may be made in pieces; --page writes
the section of docs/benchmarks.md from that file. DATA holds english/ and tatoeba/; their lines, repeated, are the input.
"""

from __future__ import annotations

import argparse
import filecmp
import gzip
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from measuring import clone, cost, parts_page, report

MARK = "TEXTKIT_BENCH_PARTS"  # in the environment of all that Ray starts for this script
PORT = 6397
COUNT = 40  # parts of a run
TEXTKIT = (sys.executable, "-m", "textkit")
VERBS = {"embed": ("embed", "-q", "-m", "en-words"), "translate": ("translate", "-q", "-m", "en-de")}


def corpus(data: Path, path: Path, count: int) -> None:
    """Writes `count` lines: those of english/, then the English ones of Tatoeba, then all again."""
    lines: list[bytes] = []
    for file in sorted((data / "english").glob("*.txt.gz")):
        with gzip.open(file) as stream:
            lines += [line.rstrip(b"\r\n") for line in stream]
    lines += tatoeba(data)
    with open(path, "wb") as out:
        out.writelines(line + b"\n" for line in islice(cycle(lines), count))


def sentences(data: Path, path: Path, count: int) -> None:
    """Writes `count` English lines of Tatoeba, evenly spread: its first ones are short."""
    lines = tatoeba(data)
    path.write_bytes(b"".join(lines[at * len(lines) // count] + b"\n" for at in range(count)))


def tatoeba(data: Path) -> list[bytes]:
    """Its English lines."""
    with gzip.open(data / "tatoeba" / "train.en-de.tsv.gz") as stream:
        return [line.split(b"\t")[0] for line in stream]


@contextmanager
def environment(**more: str) -> Iterator[dict[str, str]]:
    """The environment of commands that start Ray. What they leave is ended at the end."""
    run = secrets.token_hex(8)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    try:
        yield {**cost.ENVIRONMENT, **token, MARK: run, **more}
    finally:
        for process in started(run):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def started(run: str, name: str = "") -> list[int]:
    """The processes that a run has started, whose command line has `name`."""
    found = []
    for place in Path("/proc").iterdir():
        with suppress(OSError):
            own = place.name.isdecimal() and f"{MARK}={run}".encode() in (place / "environ").read_bytes().split(b"\0")
            if own and name.encode() in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


@contextmanager
def head(env: dict[str, str]) -> Iterator[str]:
    """A Ray of two CPUs on this machine; gives its address."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port", str(PORT), "--num-cpus", "2"]
    options = ["--include-dashboard=false", "--disable-usage-stats"]
    subprocess.run([*command, *options], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(3)
    yield f"127.0.0.1:{PORT}"


def seconds(*commands: list[str], env: dict[str, str] | None = None) -> float:
    """How long it takes to run them side by side."""
    begun = time.perf_counter()
    runs = [subprocess.Popen(command, env=env or cost.ENVIRONMENT) for command in commands]
    codes = [run.wait() for run in runs]
    if any(codes):
        raise cost.Failed(f"{' '.join(commands[0][:8])}: exit codes {codes}")
    return time.perf_counter() - begun


def same(out: Path, one: Path) -> bool:
    """Whether the parts of `out`, joined, are the bytes of `one`."""
    joined = out.with_name("joined")
    subprocess.run([*TEXTKIT, "parts", out, "--join", "-o", joined], check=True)
    equal = filecmp.cmp(joined, one, shallow=False)
    joined.unlink()
    return equal


def ticks() -> list[int]:
    """What all processors did so far, in ticks, by kind."""
    return [int(number) for number in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]


def busy_since(before: list[int]) -> float:
    """How many processors were busy since `ticks` gave `before`, on average."""
    spent = [now - then for now, then in zip(ticks(), before, strict=True)]
    idle = spent[3] + spent[4]  # the second: waiting for the disk
    return (1 - idle / max(1, sum(spent))) * (os.cpu_count() or 1)


def against_one(verb: str, given: argparse.Namespace, place: Path, text: Path) -> Iterator[dict[str, Any]]:
    """Two workers against one process, in turn."""
    base, out, one = [*TEXTKIT, *VERBS[verb]], place / "OUT", place / "one"
    parts = [*base, str(text), "-o", str(out), "--format", given.format, "--parts", str(COUNT)]
    alone = [*base, str(text), "-o", str(one), "--format", given.format, "--threads", "1"]
    ray = [*parts, "--engine", "ray", "--workers", "2"]
    for turn in turns(given, verb):
        with environment() as env, head(env) as address:
            ways: dict[str, Callable[[], float]] = {
                "one process": lambda: seconds(alone),
                "two shards": lambda: seconds(*([*parts, "--threads", "1", "--shard", f"{at}/2"] for at in (1, 2))),
                "ray": lambda address=address, env=env: seconds([*ray, "--address", address], env=env),
            }
            for way, run in ways.items():
                yield measured(verb, turn, way, run, text, out, one)
        with environment() as env:
            yield measured(verb, turn, "ray started", lambda env=env: seconds(ray, env=env), text, out, one)


def turns(given: argparse.Namespace, what: str) -> range:
    """The numbers of the turns to come, behind those that --figures has."""
    before = [json.loads(line) for line in given.figures.read_text().splitlines()] if given.figures.exists() else []
    first = 1 + max((one["turn"] for one in before if one["what"] == what), default=-1)
    return range(first, first + given.rounds)


def measured(
    verb: str, turn: int, way: str, run: Callable[[], float], text: Path, out: Path, one: Path
) -> dict[str, Any]:
    before = ticks()
    took = run()
    busy = busy_since(before)
    ends = sorted(path.stat().st_mtime for path in out.glob("_textkit/done/*.json"))
    equal = None if way == "one process" else same(out, one)
    shutil.rmtree(out, ignore_errors=True)
    return {
        "what": verb, "way": way, "turn": turn, "seconds": took, "busy": busy, "at_work": at_work(ends),
        "bytes": text.stat().st_size, "lines": text.read_bytes().count(b"\n"), "equal": equal,
    }  # fmt: skip


def at_work(ends: list[float]) -> float | None:
    """The seconds in which two workers would make all parts if they began at once, by when each part was done."""
    return (ends[-1] - ends[1]) * len(ends) / (len(ends) - 2) if len(ends) > 2 else None


def overhead(given: argparse.Namespace, place: Path, text: Path) -> Iterator[dict[str, Any]]:
    """Parts against one stream, in turn: which of the two comes first changes from turn to turn."""
    base = [*TEXTKIT, *VERBS["embed"], str(text), "--format", given.format, "--threads", "1"]
    one, out = place / "one", place / "OUT"
    ways = {"one stream": ["-o", str(one)], "parts": ["-o", str(out), "--parts", str(given.parts)]}
    for turn in turns(given, "overhead"):
        for way in sorted(ways, reverse=bool(turn % 2)):
            spent = cost.cost([*base, *ways[way]])
            yield {
                "what": "overhead", "way": way, "turn": turn, "seconds": spent.seconds, "processors": spent.processors,
                "bytes": text.stat().st_size, "parts": given.parts,
            }  # fmt: skip
        assert same(out, one)
        shutil.rmtree(out)


def killed(what: str, given: argparse.Namespace, place: Path, text: Path) -> Iterator[dict[str, Any]]:
    """Kills a worker, or the head, once in a run: behind a part that is drawn, and up to a second later."""
    rng = random.Random(given.seed)
    out, one = place / "OUT", place / "one"
    base = [*TEXTKIT, *VERBS["embed"], str(text), "--format", given.format]
    seconds([*base, "-o", str(one)])
    command = [*base, "-o", str(out), "--parts", str(COUNT), "--engine", "ray", "--workers", "2"]
    for turn in range(given.times):
        shutil.rmtree(out, ignore_errors=True)
        begun, behind = time.perf_counter(), rng.randrange(COUNT - 2)
        reruns, code = 0, 0
        with environment(RAY_gcs_rpc_server_reconnect_timeout_s="10") as env:
            run = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
            names = ("ray::MapWorker",) if what == "workers" else ("gcs_server", "raylet/raylet")
            found: list[int] = []
            while not found and run.poll() is None:
                if len(list(out.glob("_textkit/done/*.json"))) >= behind:
                    time.sleep(rng.random())
                    found = [process for name in names for process in started(env[MARK], name)]
                time.sleep(0.01)
            done = {path.name: path.stat().st_mtime_ns for path in out.glob("_textkit/done/[0-9]*.json")}
            for process in found if what == "heads" else rng.sample(found, min(1, len(found))):
                os.kill(process, signal.SIGKILL)
            error = run.communicate()[1]
            code = run.returncode
        while (out / "_textkit").exists() and reruns < 5 and not all_done(out):
            reruns += 1
            with environment() as env:
                subprocess.run(command, env=env, check=False)
        kept = all((out / "_textkit" / "done" / name).stat().st_mtime_ns == at for name, at in done.items())
        yield {
            "what": what, "turn": turn, "seed": given.seed, "behind": len(done), "killed": bool(found), "code": code,
            "error": error, "reruns": reruns, "kept": kept, "equal": all_done(out) and same(out, one),
            "lines": given.lines, "parts": COUNT, "seconds": time.perf_counter() - begun,
        }  # fmt: skip


def all_done(out: Path) -> bool:
    told = subprocess.run([*TEXTKIT, "parts", out, "--format", "json"], capture_output=True, text=True, check=True)
    found = json.loads(told.stdout)
    return bool(found["done"] == found["parts"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder that holds english/ and tatoeba/")
    known = [*VERBS, "overhead", "workers", "heads"]
    parser.add_argument("--only", choices=known, action="append", help="only this; may be given several times")
    for name, default, what in (
        ("lines", 1_000_000, "lines to embed"),
        ("translations", 20_000, "lines to translate"),
        ("rounds", 3, "turns of each comparison"),
        ("times", 3, "kills"),
        ("parts", 20, "parts whose overhead is measured"),
        ("seed", 1, "of the random moments"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what}; default {default:,}")
    parser.add_argument("--format", default="text", choices=["text", "f32"], help="of the vectors; default text")
    parser.add_argument("--scratch", type=Path, help="a folder for input and output; default: a temporary one")
    parser.add_argument("--figures", type=Path, default=Path("build/parts.jsonl"), help="default build/parts.jsonl")
    parser.add_argument("--page", action="store_true", help="measure nothing: write the section from --figures")
    given = parser.parse_args()
    if given.page:
        found = [json.loads(line) for line in given.figures.read_text().splitlines()]
        commands = {verb: " ".join(["textkit", *words]) for verb, words in VERBS.items()}
        report.section("parts", parts_page.page(found, commands))
        return
    if given.data is None or not given.data.is_dir():
        parser.error(f"{given.data or 'DATA'}: no such folder")
    clone.reach()
    given.figures.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="textkit-bench-", dir=given.scratch) as folder:
        place = Path(folder)
        text, few = place / "lines.txt", place / "few.txt"
        corpus(given.data, text, given.lines)
        sentences(given.data, few, given.translations)
        for what in given.only or known:
            if what in VERBS:
                found = against_one(what, given, place, few if what == "translate" else text)
            else:
                found = overhead(given, place, text) if what == "overhead" else killed(what, given, place, text)
            for figure in found:
                with given.figures.open("a") as out:
                    out.write(json.dumps(figure) + "\n")
                print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
