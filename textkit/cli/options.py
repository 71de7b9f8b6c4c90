"""Options that verbs share, and the messages on stderr. Knows no verb; light to import."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from textkit.defaults import DEVICES, PRECISE_DEVICES, PRECISIONS

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(eq=False, repr=False)
class Messages:
    """Messages to a person, on stderr only, one line each: errors always, warnings unless -q, notes with -v."""

    verbose: bool = False
    quiet: bool = False
    debug: bool = False
    stream: TextIO | None = None  # where messages go instead of sys.stderr

    @property
    def interactive(self) -> bool:
        """Whether somebody can see a progress display."""
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty()

    def error(self, message: object) -> None:
        self._say(f"textkit: {message}")

    def warn(self, message: object) -> None:
        if not self.quiet:
            self._say(f"textkit: warning: {message}")

    def hint(self, message: object) -> None:
        """Helps a person at a terminal; nothing is wrong."""
        if not self.quiet:
            self._say(f"textkit: {message}")

    def note(self, message: object) -> None:
        if self.verbose and not self.quiet:
            self._say(f"textkit: {message}")

    def _say(self, message: str) -> None:
        stream: Any = self.stream or sys.stderr
        with suppress(OSError, ValueError, AttributeError):  # stderr closed: there is nobody to tell
            # A name in a stranger's file may hold characters that move the cursor: they are replaced.
            line = " ".join(message.splitlines())
            stream.write("".join(c if c.isprintable() else "?" for c in line) + "\n")
            stream.flush()


def message_options(
    function: Callable[..., Any], quiet: str = "Say nothing on stderr but errors."
) -> Callable[..., Any]:
    """Adds -v, -q and --debug; the command gets a Messages as the keyword `messages`. `quiet`: what -q does."""

    @click.pass_context
    @functools.wraps(function)
    def with_messages(context: click.Context, *args: Any, **kwargs: Any) -> Any:
        return function(*args, messages=context.ensure_object(Messages), **kwargs)

    def switch(attribute: str) -> Callable[[click.Context, click.Parameter, bool], None]:
        def callback(context: click.Context, _: click.Parameter, value: bool) -> None:
            if value:
                setattr(context.ensure_object(Messages), attribute, True)

        return callback

    for flags, attribute, help_line in (
        (("--debug",), "debug", "Show the traceback of an error."),
        (("-q", "--quiet"), "quiet", quiet),
        (("-v", "--verbose"), "verbose", "Say on stderr what is done, and on which device."),
    ):
        option = click.option(
            *flags, is_flag=True, is_eager=True, expose_value=False, callback=switch(attribute), help=help_line
        )
        with_messages = option(with_messages)
    return with_messages


# The key in the context's meta for what a verb writes whole or not at all, and for advice on how to keep a part of it.
PROMISE = "textkit.output"


def promised(advice: str = "") -> Callable[[click.Context, click.Parameter, Any], Any]:
    """The callback of an option that names an output written whole or not at all: a message after a signal names it."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if value is not None:
            ctx.meta[PROMISE] = (str(value), advice)
        return value

    return callback


class Text(click.ParamType):
    """Text given on the command line itself, where a shell may pass any bytes."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail("it holds bytes that are no UTF-8", param, ctx)
        return str(value)


class Device(click.ParamType):
    """auto, cpu, cuda or cuda:N; for an exported model also cuda/PRECISION and cuda:N/PRECISION."""

    name = "device"

    def __init__(self, precise: bool = False) -> None:
        self._precise = precise

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(PRECISE_DEVICES if self._precise else DEVICES, value):
            more = f", or cuda/PRECISION ({', '.join(PRECISIONS)})" if self._precise else ""
            self.fail(f"{value!r} is none of auto, cpu, cuda, cuda:N{more}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(choice) for choice in ("auto", "cpu", "cuda") if choice.startswith(incomplete)]


def _complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Names of installed models; folders where none matches."""
    from click.shell_completion import CompletionItem

    from textkit.bundle.bundle import installed

    names = [CompletionItem(path.name) for _, path in installed() if path.name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="dir")]


def complete_plugin(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of plugins, for an argument's `shell_complete`."""
    from textkit.registry import registry

    return [name for name in registry.names() if name.startswith(incomplete)]


def _add_plugin_files(ctx: click.Context, param: click.Parameter, files: tuple[str, ...]) -> None:
    if files:
        from textkit.registry import registry

        for file in files:
            registry.add_file(file)


model_option = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    shell_complete=_complete_model,
    help="Name or folder of a model. Without it: TEXTKIT_MODEL_<TASK>, then your configuration, then the default.",
)
device_option = click.option(
    "--device",
    type=Device(precise=True),
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda[:N]",
    help="Where to compute. A GPU's precision may follow: cuda/fp16, /fp32, /tf32 or /int8; by default fp32 if the model is "
    "stored so, otherwise fp16.",
)
training_device_option = click.option(
    "--device", type=Device(), default="auto", show_default=True, metavar="auto|cpu|cuda[:N]", help="Where to compute."
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads to compute with. Default: the CPUs at hand."
)
on_error_option = click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do about a record that cannot be read; a skipped one leaves an empty record in its place.",
)
line_buffered_option = click.option("--line-buffered", is_flag=True, help="Write each line as soon as it is done.")
plugin_option = click.option(
    "--plugin",
    "plugin_files",
    multiple=True,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_add_plugin_files,
    help="Load the plugins in a Python file. May be given several times.",
)


def _read_as(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    from textkit.streams.encoding import read_as

    read_as(value)


encoding_option = click.option(
    "--encoding",
    metavar="NAME",
    expose_value=False,
    callback=_read_as,
    help="Encoding of the input: utf-16, cp1252, ... Default: utf-8.",
)
_ANSWERING = (device_option, threads_option, on_error_option, encoding_option, line_buffered_option, message_options)


def answering_options(function: Function) -> Function:
    """The last options of a verb that answers records: device, threads, on_error, encoding, line_buffered and messages."""
    for option in reversed(_ANSWERING):
        function = option(function)
    return function


# For a verb that answers with records, and for one that prints a list.
answer_format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "jsonl"]),
    default="text",
    show_default=True,
    help="Format of the output; jsonl is one JSON object per record.",
)
list_format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the output; json is one object with a list.",
)


explain_option = click.option(
    "--explain", is_flag=True, help="Add a graph that shows every head and layer of attention, for pictures."
)


model_folder_option = click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    required=True,
    callback=promised(),
    type=click.Path(path_type=Path),
    help="The model's folder.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace a model that DIR holds already.")
_BUNDLE = (
    model_folder_option,
    click.option(
        "--precision",
        type=click.Choice(["fp32", "fp16", "int8"]),
        default="fp32",
        show_default=True,
        help="How weights are stored. What a lower precision costs is measured and written into the manifest.",
    ),
    click.option("--name", metavar="NAME", help="What the manifest calls the model. Default: the folder's name."),
    click.option("--license", "licence", metavar="TEXT", default="", help="The model's licence, for the manifest."),
    overwrite_option,
)


def bundle_options(function: Function) -> Function:
    """The options of a verb that writes a model's folder: folder, precision, name, licence, overwrite."""
    for option in reversed(_BUNDLE):
        function = option(function)
    return function
