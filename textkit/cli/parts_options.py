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
_ENGINE = (
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Who makes the parts: this process, or the workers of a Ray cluster.",
    ),
    click.option("--address", metavar="ADDRESS", help="Of the Ray cluster. Default: one is started on this machine."),
    click.option(
        "--gpus-per-worker",
        type=click.FloatRange(min=0, min_open=True),
        metavar="G",
        help="GPUs of each worker of --engine ray. Default: none.",
    ),
)
_workers = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Workers of --engine ray, with --threads CPUs each (1 by default). Default: as many as there is room for.",
)


def parts_options(function: Any, workers: bool = True) -> Any:
    """The options of inputs in parts and of who makes them, of a filter that runs by `filtering.answer`.

    `workers`: whether --workers is one of them, or means something else without --engine.
    """
    for option in reversed((*_OPTIONS, *_ENGINE, *((_workers,) if workers else ()))):
        function = option(function)
    return function


def parts_options_but_workers(function: Any) -> Any:
    """The same without --workers, for a filter that has workers of its own."""
    return parts_options(function, workers=False)


def check_engine(request: Filter, workers: bool = False) -> None:
    """Raises UsageError for options of the engine without one. `workers`: whether --workers means something else then."""
    for name, value in (
        ("--address", request.address),
        ("--gpus-per-worker", request.gpus_per_worker),
        ("--workers", not workers and request.workers),
    ):
        if value and request.engine == "local":
            raise UsageError(f"{name} {value}: is for --engine ray")


def check_parts(request: Filter) -> None:
    """Raises UsageError for what parts cannot do."""
    said = next(
        name
        for name, value in (
            ("--parts", request.parts),
            ("--part-size", request.part_size),
            ("--shard", request.shard),
            ("--resume", request.resume),
            ("--engine ray", request.engine == "ray"),
        )
        if value
    )
    if request.parts and request.part_size:
        raise UsageError("--parts, --part-size: one of them says how the input is cut")
    if request.shard and request.engine == "ray":
        raise UsageError("--shard, --engine ray: the engine deals out the parts by itself")
    if request.output is None:
        raise UsageError(f"{said}: -o FOLDER names the folder of the parts")
    if not request.output:
        raise UsageError("-o '': names no folder")
    if "-" in request.files or (not request.files and not request.resume):
        raise UsageError(f"{said}: stdin cannot be cut into parts; name files or folders")
