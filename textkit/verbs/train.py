"""`textkit train`: parses, hands the events of a training to the display and the logbook, returns the right exit code."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textkit import signals
from textkit.cli.options import (
    Messages,
    complete_plugin,
    encoding_option,
    message_options,
    plugin_option,
    threads_option,
    training_device_option,
)
from textkit.cli.setting_options import MEGABYTES, Number
from textkit.cli.verb import Remembering, examples
from textkit.defaults import SEED
from textkit.searching.settings import SEARCH
from textkit.verbs.patience import Patience

if TYPE_CHECKING:
    from textkit.training.run import Run

WAIT = "stopping after this update, with a checkpoint; once more ends it at once"


@click.command(
    cls=Remembering,
    epilog=examples(
        "textkit train fasttext text.txt -o run --set dim=100 --set epochs=10",
        "textkit train transformer pairs.tsv --dev dev.tsv -o run",
        "textkit train rnn-lm text.txt.gz --dev dev.txt -o run --set vocab=bpe",
        "textkit train classifier labelled.tsv -o run --budget 5m --max-mb 3",
        "textkit train -o run --resume              # after Ctrl-C, a crash, kill -9",
        "textkit train fasttext --show-options",
    ),
)
@click.argument("plugin", required=False, shell_complete=complete_plugin)
@click.argument("data", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", metavar="RUN", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--dev", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Lines for the dev score.")
@click.option("--config", metavar="F.toml", type=click.Path(path_type=Path), help="Options from a TOML file.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One option; --show-options lists them.")
@click.option("--init", metavar="MODEL", help="Begin with a run, an exported model, or a file of word vectors.")
@click.option("--seed", type=Number(SEARCH["seed"]), metavar="N", help=f"Seed of all randomness. Default: {SEED}.")
@click.option("--resume", is_flag=True, help="Go on with the run; options given at its start need not be repeated.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard events into the run as well.")
@click.option("--show-options", is_flag=True, help="List the options of PLUGIN and their defaults, and train nothing.")
@click.option("--budget", metavar="TIME", help="Search for the best options for so long: 90s, 5m, 1h.")
@click.option("--max-mb", type=MEGABYTES, metavar="MB", help="With --budget: the most that the model may have in int8.")
@encoding_option
@click.option("--processes", type=click.IntRange(min=1), metavar="N", help="Train in N processes on this machine.")
@training_device_option
@threads_option
@plugin_option
@message_options
@click.pass_context
def train(
    ctx: click.Context,
    messages: Messages,
    folder: Path | None,
    show_options: bool,
    resume: bool,
    processes: int | None,
    budget: str | None,
    max_mb: float | None,
    **rest: Any,
) -> None:
    """Train the model PLUGIN on the lines of DATA (plain, gzip or zstandard files), into the folder RUN.

    PLUGIN is a name that `textkit plugins` lists. A plugin that translates learns from pairs of lines: DATA is TSV (source,
    tab, target; further columns are ignored), or two files whose lines belong together. The same holds for --dev, given twice
    for two files.

    Without --dev, a plugin that has a dev score trains on 70 % of the lines, is scored on 20 % while it trains, and on 10 % at
    the end. The other plugins train on everything.

    --budget TIME trains many models, each with other options (what --set or --config sets stays). RUN is the best by its dev
    score; where scores hardly differ, a small and fast one. RUN/trials.tsv lists them all. With --max-mb, only models of at
    most so many megabytes count (10^6 bytes, exported with --precision int8). Ctrl-C ends the search and keeps the best so far.

    --processes N trains one network in N processes on this machine, each on its own GPU if there are GPUs. With accumulate=A
    they make the updates that one process makes with accumulate=A*N. Across machines, start them with torchrun:
    `PYTHONSAFEPATH=1 torchrun ... -m textkit train ...`.
    """
    if show_options:
        return list_options(rest["plugin"])
    if folder is None:
        raise click.UsageError(_unsaid(resume, rest["plugin"], rest["data"]), ctx)
    rest["command"] = ctx.meta[Remembering.KEY]
    if budget is not None:
        from textkit.verbs.tuning import run_search

        several = processes is not None and processes > 1
        return run_search(messages, folder, budget, max_mb, several, resume=resume, **rest)
    if max_mb is not None:
        raise click.UsageError("--max-mb: bounds a search; say with --budget how long it may take", ctx)
    if processes is not None and processes > 1:
        from textkit.training.distributed.launching import MEETING

        if MEETING not in os.environ:  # this is not yet one of them
            return run_processes(messages, processes, rest["command"])
    return run_training(messages, folder, resume, **rest)


def _unsaid(resume: bool, plugin: str | None, data: tuple[Path, ...]) -> str:
    """The error message for a command line without -o: the first thing that is wrong with it."""
    if not resume:
        from textkit.registry import registry
        from textkit.streams.lines import check_readable

        if plugin is None:
            return (
                "missing argument PLUGIN: the name of the model to train, as in: textkit train fasttext text.txt -o run"
            )
        if plugin not in registry.names():
            registry.get(plugin)  # says which there are
        if not data:
            return f"missing argument DATA: the files to train on, as in: textkit train {plugin} text.txt -o run"
        check_readable(data)
    return "missing option '-o': the folder of the run, as in: -o run"


def list_options(plugin: str | None) -> None:
    """Prints key=default and the comment of each option, in columns."""
    from textkit.cli.tables import laid_out, width_of
    from textkit.config import as_typed
    from textkit.errors import UsageError
    from textkit.registry import registry
    from textkit.training.recipe import options

    width = width_of(sys.stdout)
    if not plugin:
        raise UsageError("--show-options: of which plugin? textkit plugins lists them")
    for group, members in options(registry.get(plugin)).items():
        click.echo(f"# {group}")
        rows = []
        for option in members:
            needs = f" [no effect unless {option.needs.replace('@', '')}]" if option.needs else ""
            rows.append([f"{option.name}={as_typed(option.default)}", f"{option.comment}{needs}"])
        widest = max((len(setting) for setting, _ in rows), default=0)
        for line in laid_out(rows, None if width is None else max(width, widest)) if rows else ():
            click.echo(line.rstrip())


def run_processes(messages: Messages, count: int, command: list[str]) -> None:
    """Runs the same command as `count` processes of one training, and waits for them."""
    from textkit.errors import UsageError
    from textkit.training.distributed.launching import launch

    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        raise UsageError(
            f"--processes {count}: this is one of several processes already, started by torchrun or its like"
        )
    said = [flag for flag, on in (("-q", messages.quiet), ("-v", messages.verbose), ("--debug", messages.debug)) if on]
    if code := launch(count, [*said, *command[1:]]):
        raise SystemExit(code)


def run_training(messages: Messages, folder: Path, resume: bool, **rest: Any) -> None:
    """Begins or goes on with a run and drives it to its end; a signal that stops it gives exit code 128 plus its number."""
    from textkit.training.distributed.launching import DESERTED, MEETING
    from textkit.training.distributed.parallel import Deserted, Follower, joined
    from textkit.training.recipe import Recipe, begin, go_on, swept

    driven = {"device": rest.pop("device"), "threads": rest.pop("threads"), "resume": resume}
    tensorboard = rest.pop("tensorboard")
    code = 0
    with joined() as team:
        if team.leads:
            run = (go_on if resume else begin)(folder, Recipe(**rest))
            try:
                with swept(run, not resume):
                    team.wait()
                    code = drive(messages, run, tensorboard, team=team, **driven)
            except Deserted:
                if MEETING not in os.environ:
                    raise
                code = DESERTED  # the process that started this one says why the other has ended
        else:
            messages.quiet = True  # the leader speaks for all; every process reports its own errors
            try:
                team.wait()
                code = drive(messages, Follower.open(folder), False, team=team, **driven)
            except Deserted:
                code = DESERTED if MEETING in os.environ else 1
    if code:
        raise SystemExit(code)


def drive(messages: Messages, run: Run, tensorboard: bool, **rest: Any) -> int:
    """Trains, shows and logs; returns exit code 0, or 128 plus the number of the signal that stopped it."""
    from textkit.training.events import Stopped
    from textkit.training.logbook import Logbook
    from textkit.training.progress import display, stopping
    from textkit.training.recipe import sweep
    from textkit.training.trainer import train as events_of

    folder, team, fresh = run.folder, rest["team"], not rest["resume"]

    def asked() -> bool:
        # A batch is done, so there is something to lose. fit has no checkpoints, so a signal ends it at once.
        patience.gentle = run.plugin.fit is None
        return bool(patience.asked)

    def give_up() -> None:
        stopped = Stopped(0, saved=False, kept=run.checkpoint.exists())
        gone = fresh and not run.has_vocabulary and sweep(run)
        screen.tell(f"stopped; nothing was written to {folder}" if gone else stopping(stopped, str(folder)))

    screen = display(str(folder), messages.interactive, messages.quiet)
    with Patience(team.alone, lambda: screen.tell(WAIT), give_up) as patience, screen:
        book = Logbook(run, tensorboard) if team.leads else None
        try:
            for event in events_of(run, run.corpus, run.dev_corpus, stop=asked, **rest):
                if book is not None:
                    book.write(event)
                if isinstance(event, Stopped):
                    patience.settle()
                screen.show(event)
                if isinstance(event, Stopped):
                    return 128 + (patience.asked or signal.SIGINT)
        except (KeyboardInterrupt, signals.Ended):
            if run.has_vocabulary:
                screen.show(Stopped(0, saved=False, kept=run.checkpoint.exists()))
            raise
        finally:
            if book is not None:
                book.close()
    return 0
