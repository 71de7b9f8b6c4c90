"""`textkit parts`: says how far a run in parts is, and joins the parts. Parses options; textkit.parts does the work."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from textkit.cli.options import Messages, list_format_option, message_options, promised
from textkit.cli.stdout import STDOUT, protected_stdout
from textkit.cli.verb import Verb, examples
from textkit.errors import TextkitError, UsageError


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit embed corpus/ -o vectors/ --part-size 64M  # the same goes on",
        "textkit parts vectors/                             # how far is it?",
        "textkit parts vectors/ --join -o vectors.txt       # as one run writes them",
    ),
)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--join", is_flag=True, help="Write all parts, in order: what one run would have written, to the byte.")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    callback=promised(),
    help="With --join: write to this file instead of stdout (also named -).",
)
@list_format_option
@message_options
def parts(folder: Path, join: bool, output: str | None, form: str, messages: Messages) -> None:
    """Say how far a run in parts is, whose folder is FOLDER: what is done, what failed and why, what is still to do.

    A filter with --parts, --part-size, --shard or --resume makes such a folder. The same command makes the parts that
    are missing. --join reads each part's SHA-256, and fails while a part is missing.
    """
    from textkit.parts import marks, plan_file

    if output is not None and not join:
        raise UsageError("-o: is for --join")
    found = plan_file.read(folder)
    if found is None:
        raise TextkitError(f"{folder}: {'holds no parts' if folder.exists() else 'no such folder'}")
    state = marks.state(folder, found)
    if join:
        missing = len(found.parts) - len(state.done)
        if missing:
            raise TextkitError(
                f"{folder}: {missing:,} of {len(found.parts):,} parts are not done; the command that began makes them"
            )
        _write(folder, [state.done[part.number] for part in found.parts], output)
        return
    from textkit.cli.tables import write_json

    told = _told(found, state)
    with protected_stdout() as out:
        if form == "json":
            write_json(out, told)
        else:
            out.write("".join(f"{line}\n" for line in _lines(told)).encode("utf-8", "replace"))


def _write(folder: Path, done: list[Any], output: str | None) -> None:
    from textkit.parts.joining import joined
    from textkit.streams.output import output_file

    if output not in (None, *STDOUT) and os.path.realpath(output).startswith(os.path.realpath(folder) + os.sep):
        raise TextkitError(
            f"-o {output}: lies in the folder of the parts, and may be one of them; name a file elsewhere"
        )
    with ExitStack() as stack:
        stdout = stack.enter_context(protected_stdout())
        out = stdout if output is None or output in STDOUT else stack.enter_context(output_file(output))
        for data in joined(folder, done):
            out.write(data)


def _told(plan: Any, state: Any) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for mark in state.done.values():
        counts.update(mark.counts)
    return {
        "verb": plan.made["verb"],
        "model": plan.made["model"]["name"],
        "files": len(plan.sources),
        "bytes": sum(source.size for source in plan.sources),
        "parts": len(plan.parts),
        "done": len(state.done),
        "done_bytes": sum(part.size for part in plan.parts if part.number in state.done),
        "records": sum(mark.records for mark in state.done.values()),
        "seconds": round(sum(mark.seconds for mark in state.done.values()), 3),
        "counts": dict(sorted(counts.items())),
        "failed": {str(number): why for number, why in sorted(state.failed.items())},
        "left": [part.number for part in state.left],
    }


def _lines(told: dict[str, Any]) -> Iterator[str]:
    share = told["done_bytes"] / told["bytes"] if told["bytes"] else 1.0
    left = f"{len(told['left']):,} to do" if told["left"] else "none to do"
    failed = f"{len(told['failed']):,} failed, " if told["failed"] else ""
    files = "1 file" if told["files"] == 1 else f"{told['files']:,} files"
    yield f"{told['verb']} with {told['model']}: {files}, cut into parts: {told['parts']:,}"
    yield f"{told['done']:,} parts done ({int(100 * share)} % of the input), {failed}{left}"
    yield f"{told['records']:,} records in {told['seconds']:,.0f} s of work"
    for name, count in told["counts"].items():
        yield f"{name}: {count:,}"
    for number, why in told["failed"].items():
        yield f"part {number} failed: {why}"
