"""The command line's frame: verbs by name, imported when asked for; errors as one line; exit codes.

The codes: 0 done, 1 failed, 2 wrong usage, 128 plus its number for a signal (130 for Ctrl-C). Knows no verb's work;
imports click and nothing heavier.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from textkit import errors, neighbours, process, signals
from textkit.arguments import of_a_command_line
from textkit.cli.options import PROMISE, Messages, message_options
from textkit.cli.stdout import STDOUT, name_stdout
from textkit.errors import TextkitError, TextkitWarning, one_line, pip_install
from textkit.reference import load
from textkit.task_registry import OWN_VERBS, tasks
from textkit.version import __version__

COMPLETE = "_TEXTKIT_COMPLETE"  # the variable with which a shell's completion script asks for words

# verb -> where it is, and its line of `textkit --help`, which therefore imports no verb. The tasks' verbs come between
# the two tables; the tasks' records name them.
BEFORE_TASKS: dict[str, tuple[str, str]] = {
    "train": ("textkit.verbs.train:train", "Train a model on text files."),
    "distill": (
        "textkit.verbs.distill:distill",
        "Teach a small model what a large one knows.",
    ),
    "inspect": ("textkit.verbs.inspect:inspect", "Show what a training did inside: gradients, norms of weights."),
    "export-onnx": ("textkit.verbs.export_onnx:export_onnx", "Export a training run as a model to serve."),
}
BEHIND_TASKS: dict[str, tuple[str, str]] = {
    "index": ("textkit.verbs.index:index", "Make an index of files, to be searched."),
    "search": ("textkit.verbs.search:search", "Find lines by meaning and by words, in an index or in files."),
    "compare": ("textkit.verbs.compare:compare", "Say how alike two texts are, pair by pair."),
    "similar": ("textkit.verbs.similar:similar", "Leave out lines that are near-duplicates."),
    "map": ("textkit.verbs.map:map_", "Draw a map of texts: what is alike lies close."),
    "attention": ("textkit.verbs.attention:attention", "Show what a translation or a classifier looks at."),
    "parts": ("textkit.verbs.parts:parts", "Say how far a run in parts is; join its parts."),
    "evaluate": ("textkit.verbs.evaluate:evaluate", "Score a model on test data: BLEU, accuracy, word pairs."),
    "import": ("textkit.verbs.import_:import_", "Make a model of word vectors in another tool's format."),
    "convert": ("textkit.verbs.convert:convert", "Write a model's word vectors in another tool's format."),
    "models": ("textkit.verbs.models:models", "List the models that can be served."),
    "plugins": ("textkit.verbs.plugins:plugins", "List the families of models that can be trained."),
    "doctor": ("textkit.verbs.doctor:doctor", "Say what works on this machine and what does not."),
    "completion": ("textkit.verbs.completion:completion", "Print the completion script of a shell."),
    "help": ("textkit.verbs.help:help_", "Show the help of a verb."),
}


def _is_own(name: str) -> bool:
    return name in OWN_VERBS or name in BEFORE_TASKS or name in BEHIND_TASKS


def own_verbs() -> dict[str, tuple[str, str]]:
    """The verbs that come with textkit."""
    of_tasks = {name: (verb.command, verb.line) for name, (_, verb) in OWN_VERBS.items()}
    return {**BEFORE_TASKS, **of_tasks, **BEHIND_TASKS}


def every_verb() -> dict[str, tuple[str, str]]:
    """textkit's verbs, then those of strangers' tasks. A name that both have stays textkit's."""
    of_tasks = {name: (verb.command, verb.line) for name, (_, verb) in tasks.verbs().items()}
    return {**own_verbs(), **{name: found for name, found in of_tasks.items() if name not in own_verbs()}}


def listed_verbs() -> dict[str, tuple[str, str]]:
    """Every verb. The metadata of installed packages is read only where one of them may bring a task."""
    return every_verb() if tasks.strangers_at_hand() else own_verbs()


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(listed_verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if own := tasks.own_verb(cmd_name):
            return load(own[1].command)
        if found := BEFORE_TASKS.get(cmd_name) or BEHIND_TASKS.get(cmd_name):
            return load(found[0])
        if cmd_name not in every_verb():
            return None
        from textkit.strangers import contained

        with contained(f"the verb {cmd_name!r} is broken"):
            return load(every_verb()[cmd_name][0])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if not _is_own(args[0]) and args[0] not in every_verb() and not ctx.resilient_parsing:
            raise click.UsageError(unknown_verb(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in listed_verbs().items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(name, help=line) for name, (_, line) in listed_verbs().items() if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    "textkit",
    cls=LazyGroup,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="textkit %(version)s")
@message_options
@click.pass_context
def command_line(ctx: click.Context, messages: Messages) -> None:
    """Text models as Unix filters: train them, export them, serve them between stdin and stdout."""
    if ctx.invoked_subcommand is None:  # somebody wants to see what there is: exit code 0, as in gh, cargo and kubectl
        click.echo(ctx.get_help())


def unknown_verb(name: str) -> str:
    """The message for a name that is no verb. It does not list the verbs, which would take more than a line."""
    close = errors.nearest(name, every_verb())
    return f"unknown command {name!r}{close if 'did you mean' in close else ''}"


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `textkit`. Always ends in SystemExit."""
    try:
        messages = Messages()
        name_stdout()
        _route_warnings(messages)
        signals.heed()
        process.own(signals.clear)
        neighbours.watch()
        code = run(list(sys.argv[1:] if args is None else args), messages)
        code = _flush_stdout(messages, code)
    except (KeyboardInterrupt, signals.Ended) as error:  # before the work begins, or when all is done
        code = _verdict(error)[0]
    signals.clear()
    signals.leave()
    sys.exit(code)


def run(args: list[str], messages: Messages) -> int:
    """Runs one command line, says what went wrong, and returns the exit code."""
    promise: tuple[str, str] | None = None
    try:
        if instruction := os.environ.get(COMPLETE):
            from click.shell_completion import shell_complete

            return shell_complete(command_line, {}, "textkit", COMPLETE, instruction)
        # Not command_line.main(): click would exit with 1 for a closed pipe, and with other codes than ours.
        with of_a_command_line(), command_line.make_context("textkit", args, obj=messages) as context:
            try:
                command_line.invoke(context)
            finally:
                promise = context.meta.get(PROMISE)
    except click.exceptions.Exit as error:  # --help, --version
        return error.exit_code
    except BaseException as error:
        code, message = _verdict(error)
        if signals.is_behind(error) and not message and promise:
            message = _kept_nothing(*promise)
        if messages.debug and code and not signals.is_behind(error):
            import traceback

            traceback.print_exc()
        if message:
            messages.error(message)
        return code
    return 0


_OF_TRAINING = ("torch", "onnx", "onnxscript", "safetensors", "scipy", "numba")  # the extra [train]


def _verdict(error: BaseException) -> tuple[int, str]:
    """The exit code for an exception, and the line to print ('' for none)."""
    if signal := signals.cause(error):
        notes = getattr(signal, "__notes__", []) + getattr(error, "__notes__", [])
        return getattr(signal, "code", 130), f"interrupted: {notes[-1]}" if notes else ""
    if isinstance(error, click.Abort):
        return 130, ""
    if isinstance(error, BrokenPipeError):  # `| head` has seen enough
        return 0, ""
    if isinstance(error, TextkitError):
        return error.exit_code, one_line(error)
    if isinstance(error, click.ClickException):
        from textkit.cli.usage import line

        return error.exit_code, line(error)
    failed = getattr(error, "exit_code", 1)  # a verb has other codes, where 1 says something else
    if isinstance(error, MemoryError):
        return failed, "out of memory"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _OF_TRAINING:
        return failed, f"this needs {error.name}, which is not installed: {pip_install('train')}"
    if isinstance(error, OSError) and error.strerror:
        file = errors.file_of(error)
        return failed, f"{file}: {error.strerror}" if file else error.strerror
    if isinstance(error, SystemExit):
        return (error.code, "") if isinstance(error.code, int) else (1, str(error.code or ""))
    return failed, f"unexpected {one_line(error)} (a fault of textkit's; --debug shows where)"


def _kept_nothing(path: str, advice: str) -> str:
    """The line for an interruption while `path` was made; '' where it is in its place, or was written to directly."""
    from textkit import temporary

    there = Path(os.path.realpath(path))
    if path in STDOUT or there in temporary.placed or (there.exists() and not (there.is_file() or there.is_dir())):
        return ""
    return f"interrupted: nothing was written to {path}{'; ' if advice else ''}{advice}"


def _flush_stdout(messages: Messages, code: int) -> int:
    """Flushes what verbs wrote through sys.stdout. A full disk shows here, and must not end with exit code 0."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)  # the interpreter flushes once more at exit
        os.close(null)
        if isinstance(error, BrokenPipeError) or code:  # the reader has gone, or an error was reported already
            return code
        messages.error(_verdict(error)[1])
        return 1
    return code


def _route_warnings(messages: Messages) -> None:
    """TextkitWarnings, wherever they are raised, become lines on stderr; those of libraries are kept for --debug."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, TextkitWarning):
            messages.warn(message)
        elif messages.debug:
            messages.warn(f"{category.__name__}: {message}")

    warnings.simplefilter("always", TextkitWarning)
    warnings.showwarning = show
