"""The options of filters for inputs that are too large for one run: parts, and who makes which of them. Light to import."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from textkit.errors import UsageError

if TYPE_CHECKING:
    from textkit.cli.filtering import Filter

PART_SIZE = 64 << 20  # bytes of a part where nobody says
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Size(click.ParamType):
    """A number of bytes, such as 64M or 1G."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,15})([kmgt]?)(i?b)?", value.lower())
        size = int(found[1]) * _UNITS[found[2]] if found else 0
        if not size:
            self.fail(f"{value!r} is no size, such as 64M or 1G", param, ctx)
        return size


class Shard(click.ParamType):
    """I/N: the share I, from 1, of N."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value)
        if not found:
            self.fail(f"{value!r} is no share, such as 3/16", param, ctx)
        at, count = int(found[1]), int(found[2])
        if not 1 <= at <= count:
            self.fail(f"{value!r}: shares count from 1 to {count or 'N'}", param, ctx)
        return at, count


_OPTIONS = (
    click.option(
        "--parts", type=click.IntRange(min=1), metavar="N", help="Cut the input into about N parts; -o names a folder."
    ),
    click.option(
        "--part-size",
        type=Size(),
        metavar="SIZE",
        help="Cut the input into parts of SIZE, such as 64M; -o names a folder.",
    ),
    click.option(
        "--shard",
        type=Shard(),
        metavar="I/N",
        help="Make only the I-th of N equal shares of the parts: the same command, with I from 1 to N, on N machines.",
    ),
    click.option("--resume", is_flag=True, help="Go on with the parts of -o FOLDER; without FILE with its files."),
)


def parts_options(function: Any) -> Any:
    """The options --parts, --part-size, --shard and --resume, of a filter that runs by `filtering.answer`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def check_parts(request: Filter) -> None:
    """Raises UsageError for what parts cannot do."""
    said = next(
        name
        for name, value in (
            ("--parts", request.parts),
            ("--part-size", request.part_size),
            ("--shard", request.shard),
            ("--resume", request.resume),
        )
        if value
    )
    if request.parts and request.part_size:
        raise UsageError("--parts, --part-size: one of them says how the input is cut")
    if request.output is None:
        raise UsageError(f"{said}: -o FOLDER names the folder of the parts")
    if "-" in request.files or (not request.files and not request.resume):
        raise UsageError(f"{said}: stdin cannot be cut into parts; name files or folders")
