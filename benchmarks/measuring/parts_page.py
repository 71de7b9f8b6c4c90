"""Turns the figures of parts.py into the section of docs/benchmarks.md. Runs nothing."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from measuring import report

WAYS = {
    "one process": "one process, `--threads 1`",
    "two shards": "two processes, `--shard 1/2` and `2/2`",
    "ray": "two workers of a Ray that runs, `--address`",
    "ray started": "two workers of a Ray started for it",
}
Figure = dict[str, Any]


def page(figures: list[Figure], commands: dict[str, str]) -> str:
    """The section of what was measured so far. `commands`: what was run, by verb."""
    said = ["## Parts and Ray"]
    for verb, command in commands.items():
        if own := [one for one in figures if one["what"] == verb]:
            said += _faster(own, command)
    if own := [one for one in figures if one["what"] == "overhead"]:
        said += _overhead(own, commands["embed"])
    for what, name in (("workers", "A worker"), ("heads", "The head")):
        if own := [one for one in figures if one["what"] == what and one["killed"]]:
            said.append(_kills(own, name))
    said.append(f"{report.machine(('numpy', 'onnxruntime-gpu', 'ray'))}. `python benchmarks/parts.py DATA`")
    return "\n\n".join(said)


def _faster(own: list[Figure], command: str) -> list[str]:
    alone = {one["turn"]: one["seconds"] for one in own if one["way"] == "one process"}
    rows = []
    for way, name in WAYS.items():
        took = [one for one in own if one["way"] == way and one["turn"] in alone]
        if took:
            whole = [alone[one["turn"]] / one["seconds"] for one in took]
            at_work = [alone[one["turn"]] / one["at_work"] for one in took if one["at_work"]]
            median = statistics.median(one["seconds"] for one in took)
            rows.append([name, f"{median:.1f}", *_spread(whole, ".2f"), *_spread(at_work, ".2f")])
    equal = all(one["equal"] for one in own if one["equal"] is not None)
    return [
        f"`{command}`, {own[0]['lines']:,} lines, {own[0]['bytes'] / 1e6:.1f} MB. Seconds are those of whole commands. "
        '"At work" leaves out the time before the first two parts are done, and with it what it takes to start.',
        report.table(["", "seconds", "times as fast", "range", "at work", "range"], rows),
        f"Joined, the parts were {'' if equal else '**not** '}what one process writes, to the byte.",
    ]


def _overhead(own: list[Figure], command: str) -> list[str]:
    rows = []
    for unit, name in (("processors", "seconds of processors"), ("seconds", "seconds")):
        one, parts = (
            {each["turn"]: each[unit] for each in own if each["way"] == way} for way in ("one stream", "parts")
        )
        more = [100 * (parts[turn] / one[turn] - 1) for turn in one.keys() & parts.keys()]
        medians = [f"{statistics.median(each.values()):.2f}" for each in (one, parts)]
        rows.append([name, *medians, *_spread(more, "+.1f")])
    turns = len({one["turn"] for one in own})
    return [
        f"Parts against one stream, both in one process, {turns} times in turn: `{command} --threads 1`, "
        f"{own[0]['bytes'] / 1e6:.0f} MB, {own[0]['parts']} parts.",
        report.table(["", "one stream", "parts", "more, %", "range"], rows),
    ]


def _kills(own: list[Figure], name: str) -> str:
    good = sum(one["equal"] and one["kept"] for one in own)
    behind, again = [one["behind"] for one in own], max(one["reruns"] for one in own)
    return (
        f"{name} was killed at a random moment {len(own)} times, behind {min(behind)} to {max(behind)} of {own[0]['parts']} "
        f"parts of {own[0]['lines']:,} lines. {good} times the joined output was that of one process, to the byte, and no "
        f"part that was done was made again. Reruns needed: {again or 'none'}."
    )


def _spread(numbers: Iterable[float], form: str) -> list[str]:
    """The median, and from where to where."""
    found = sorted(numbers)
    return [f"{statistics.median(found):{form}}", f"{found[0]:{form}} to {found[-1]:{form}}"] if found else ["", ""]
