"""Measures `textkit index` and `textkit search` beside bm25s and faiss (IndexFlatIP): how good, how fast, how much memory.

    python benchmarks/search.py DATA [--peers PYTHON] [--lines 100000 1000000] [--model en-sentences] [--rounds 5]

quality      cranfield and xquad_en of DATA/ir, by words, by meaning and hybrid, by `textkit evaluate`; bm25s with the same
             terms (k1 1.2, b .75), faiss with the same vectors
speed        lines of DATA/english: one query in a process of its own, from its start to its end (the files are in the system's
             cache); 1,000 queries at once; and an index beside `textkit embed` of the same lines. The peers load an index that
             they saved, and get the query's terms or its vector ready-made
approximate  recall@10 of the graphs that an index of more than a million lines has, against a search of all its rows, with the
             vectors of en-words

They run in turn. --only takes some of the three. Prints JSON; writes docs/benchmarks.md if all three ran.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import report
from measuring.cost import Cost, cost
from similar import english

TEXTKIT = [sys.executable, "-P", "-m", "textkit"]
PEER = Path(__file__).resolve().parent / "peers" / "search_peer.py"
PARTS = ("quality", "speed", "approximate")
SETS = {"cranfield": "ndcg@10", "xquad_en": "mrr"}
QUERIES = 1000
APPROXIMATE = (
    "en-words"  # the model: sentences take many times as long to embed, and the graphs do not ask what made vectors
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds ir/ and english/")
    parser.add_argument("--peers", help="Python of an environment with the peers")
    parser.add_argument("--lines", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--approximate-lines", type=int, default=1_500_000)
    parser.add_argument("--model", default="en-sentences")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given several times")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data}: no such folder")
    only = options.only or PARTS
    found: dict[str, Any] = {"machine": report.machine(("numpy", "onnxruntime", "tantivy", "usearch"))}
    found |= {"model": options.model, "rounds": options.rounds}
    for part in only:
        with tempfile.TemporaryDirectory() as name:
            found[part] = MEASURED[part](options, Path(name))
            print(f"{part}: {json.dumps(found[part])}", file=sys.stderr, flush=True)
    found["load"] = round(os.getloadavg()[1], 1)
    print(json.dumps(found, indent=2))
    if not options.no_report and set(only) == set(PARTS):
        report.section("search", markdown(found))


def quality(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """The figure of SETS for each way of searching."""
    from textkit.evaluation.ranking import DEPTH, ndcg, reciprocal_rank
    from textkit.retrieval.analysis import terms
    from textkit.tasks.embed.evaluation import judged

    found: dict[str, dict[str, float]] = {}
    for name, metric in SETS.items():
        files = [str(options.data / "ir" / name / f"{part}.tsv") for part in ("corpus", "queries", "qrels")]
        told = cost([*TEXTKIT, "evaluate", "-m", options.model, *files, "--meaning", "--words", "--hybrid",
                     "--metric", metric.partition("@")[0], "--format", "jsonl"])  # fmt: skip
        found[name] = {record["mode"]: record["value"] for record in map(json.loads, told.stdout.splitlines())}
        if not options.peers:
            continue
        read = judged.read(*files)
        names = sorted(read.documents, reverse=True)
        texts, asked = [read.documents[each] for each in names], [read.queries[each] for each in read.grades]
        vectors(options.model, [text or " " for text in texts], folder / "vectors.npy")
        vectors(options.model, asked, folder / "query.npy")
        (folder / "tokens.json").write_text(json.dumps(list(map(terms, texts))))
        (folder / "query.json").write_text(json.dumps([list(dict.fromkeys(terms(query))) for query in asked]))
        (folder / "k").write_text(str(min(DEPTH, len(names))))
        for peer in ("bm25s", "faiss"):
            peers(options.peers, f"{peer}-index", folder)
            rankings = json.loads(peers(options.peers, peer, folder).stdout)
            values = []
            for rows, grades in zip(rankings, read.grades.values(), strict=True):
                ranked = np.array([grades.get(names[row], 0) for row in rows], np.int64)
                every = np.array(list(grades.values()))
                values.append(ndcg(ranked, every, 10) if metric == "ndcg@10" else reciprocal_rank(ranked))
            found[name][peer] = float(np.mean(values))
    return found


def speed(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """For each number of lines: seconds of `index` and `embed`, and what a query costs each side."""
    from textkit.retrieval.analysis import terms

    found: dict[str, Any] = {}
    for count in options.lines:
        lines = lines_of(options.data, count)
        text, index = folder / f"{count}.txt", folder / f"{count}.idx"
        text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        made = {
            "embed": cost([*TEXTKIT, "embed", "-m", options.model, text, "-o", folder / "vectors.npy"]),
            "index": cost([*TEXTKIT, "index", "-m", options.model, "--exact", text, "-o", index]),
        }
        queries = random.Random(3).sample(lines, QUERIES if len(lines) >= QUERIES else len(lines))
        (folder / "queries.txt").write_text("".join(f"{query}\n" for query in queries), encoding="utf-8")
        commands = {
            way: [*TEXTKIT, "search", "QUERY", index, "-k", "10", f"--{way}", "--no-cache"]
            for way in ("hybrid", "meaning", "words")
        }
        if options.peers:
            (folder / "tokens.json").write_text(json.dumps(list(map(terms, lines))))
            (folder / "k").write_text("10")
            for peer in ("bm25s", "faiss"):
                peers(options.peers, f"{peer}-index", folder)
                commands[peer] = [options.peers, str(PEER), peer, str(folder)]
        turns: dict[str, list[Cost]] = {who: [] for who in commands}
        for query in queries[: options.rounds]:
            vectors(options.model, [query], folder / "query.npy")
            (folder / "query.json").write_text(json.dumps([terms(query)]))
            for who, command in commands.items():
                turns[who].append(cost([query if word == "QUERY" else word for word in command]))
        many = cost([*TEXTKIT, "search", "--queries", folder / "queries.txt", index, "-k", "10", "--format", "jsonl"])
        found[str(count)] = {
            "made_seconds": {who: spent.seconds for who, spent in made.items()},
            "made_mb": {who: spent.peak_mb for who, spent in made.items()},
            "index_bytes": sum(file.stat().st_size for file in index.rglob("*") if file.is_file()),
            "query": {who: medians(spent) for who, spent in turns.items()},
            "queries_per_second": len(queries) / many.seconds,
        }
        for name in ("tokens.json", "vectors.npy"):
            (folder / name).unlink(missing_ok=True)
    return found


def approximate(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Recall@10 of the graphs: a hit is right if its cosine is no less than that of the tenth of all."""
    from textkit.retrieval.index import Index

    lines = lines_of(options.data, options.approximate_lines)
    text, folder = folder / "lines.txt", folder / "index"
    text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    made = cost([*TEXTKIT, "index", "-m", APPROXIMATE, text, "-o", folder])
    # Queries that no line is equal to: of a line the middle half of its words.
    queries = []
    for line in random.Random(4).sample(lines, min(QUERIES, len(lines))):
        words = line.split()
        queries.append(" ".join(words[len(words) // 4 : -(len(words) // 4) or None]))
    with Index(folder) as quick, Index(folder) as exact:
        graphs = quick._graphs is not None
        exact.__dict__["_graphs"] = None  # all rows are looked at
        sides = (quick.search(queries, 10, "meaning"), exact.search(queries, 10, "meaning"))
    right = total = 0
    for near, best in zip(*sides, strict=True):
        if best:
            total += len(best)
            right += sum(hit.score >= best[-1].score - 1e-9 for hit in near)
    return {
        "lines": len(lines), "queries": len(queries), "graphs": graphs, "recall@10": right / total,
        "made_seconds": made.seconds, "made_mb": made.peak_mb,
    }  # fmt: skip


MEASURED = {"quality": quality, "speed": speed, "approximate": approximate}


def lines_of(data: Path, count: int) -> list[str]:
    """`count` different lines: those of DATA/english, then half of one of them and half of another, with a number between."""
    lines = english(data)[:count]
    rng = random.Random(5)
    first = len(lines)
    for number in range(first, count):
        one, other = (lines[rng.randrange(first)].split() for _ in range(2))
        lines.append(" ".join([*one[: len(one) // 2], str(number), *other[len(other) // 2 :]]))
    return lines


def vectors(model: str, texts: Sequence[str], path: Path) -> None:
    source = path.with_suffix(".txt")
    source.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    cost(
        [*TEXTKIT, "embed", "-m", model, source, "-o", path, "--side", "query" if path.stem == "query" else "document"]
    )


def peers(python: str, what: str, folder: Path) -> Cost:
    return cost([python, PEER, what, folder])


def medians(spent: Sequence[Cost]) -> dict[str, float]:
    return {
        "seconds": statistics.median(each.seconds for each in spent),
        "processors": statistics.median(each.processors for each in spent),
        "mb": statistics.median(each.peak_mb for each in spent),
    }


NAMES = {
    "hybrid": "textkit search", "meaning": "textkit search --meaning", "words": "textkit search --words",
    "bm25s": "bm25s, terms given", "faiss": "faiss IndexFlatIP, vector given",
}  # fmt: skip


def markdown(found: dict[str, Any]) -> str:
    sets = found["quality"]
    ways = [way for way in NAMES if way in sets["cranfield"]]
    parts = [
        "## textkit index, textkit search",
        f"{found['machine']}; load {found['load']}. Vectors of {found['model']}; medians of {found['rounds']} queries, in "
        "turn.",
        report.table(
            ["", *(f"{name}, {metric}" for name, metric in SETS.items())],
            [[NAMES[way], *(f"{sets[name][way]:.4f}" for name in SETS)] for way in ways],
        ),
    ]
    for count, facts in found["speed"].items():
        rows = [
            [NAMES[who], f"{spent['seconds']:.2f}", f"{spent['processors']:.2f}", f"{spent['mb']:.0f}"]
            for who, spent in facts["query"].items()
        ]
        made = facts["made_seconds"]
        share = made["embed"] / made["index"]
        parts += [
            f"One query over {int(count):,} lines, a process from its start to its end:",
            report.table(["", "s", "processors' s", "MB"], rows),
            f"{facts['queries_per_second']:,.0f} queries a second with --queries. Indexing takes {made['index']:.0f} s and "
            f"{facts['made_mb']['index']:.0f} MB ({int(count) / made['index']:,.0f} lines/s, {share:.2f} of the rate of "
            f"`textkit embed`); the index has {facts['index_bytes'] / 1e6:,.0f} MB.",
        ]
    graphs = found["approximate"]
    parts += [
        f"An index of {graphs['lines']:,} lines, {APPROXIMATE}, with graphs: recall@10 {graphs['recall@10']:.3f} of "
        f"{graphs['queries']:,} queries against a search of all rows; made in {graphs['made_seconds']:.0f} s and "
        f"{graphs['made_mb']:.0f} MB.",
        "`python benchmarks/search.py DATA --peers PYTHON`",
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
