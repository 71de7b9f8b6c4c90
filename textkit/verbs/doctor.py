"""`textkit doctor`: what works on this machine, what does not, and the command that repairs it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from textkit.cli.options import Messages, list_format_option, message_options, plugin_option
from textkit.cli.stdout import protected_stdout
from textkit.cli.verb import Verb, examples
from textkit.errors import TextkitError, pip_install


@dataclass(frozen=True)
class Finding:
    """One line of the report. `state`: 'ok', 'absent' (not needed by what works), or 'broken'."""

    about: str
    state: str
    what: str


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit doctor",
        "textkit doctor --format json",
    ),
)
@list_format_option
@plugin_option
@message_options
def doctor(form: str, messages: Messages) -> None:
    """Say what works on this machine and what does not, with the command that repairs it.

    The exit code is 1 if something that textkit needs is broken.
    """
    from textkit.cli.tables import write_json, write_table

    with protected_stdout() as out:
        found = list(findings())
        if form == "json":
            write_json(out, {"findings": [asdict(finding) for finding in found]})
        else:
            write_table(out, ("WHAT", "STATE", "FOUND"), [(each.about, each.state, each.what) for each in found])
    broken = [finding.about for finding in found if finding.state == "broken"]
    if broken:
        raise TextkitError(f"broken: {', '.join(broken)}")


def findings() -> Iterator[Finding]:
    """The whole examination, in order."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _packages()
    yield from _devices()
    yield from _folders()
    yield from _models()
    yield from _plugins()


def _packages() -> Iterator[Finding]:
    """textkit, what it needs, and its extras, as its own metadata declares them."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from textkit.version import DISTRIBUTION, __version__

    yield Finding("textkit", "ok", __version__)
    try:
        declared = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        yield Finding("installation", "absent", "textkit runs from its source folder: plugins need `pip install -e .`")
        return
    wanted: dict[str, list[str]] = {}
    for line in declared:
        requirement, _, marker = line.partition(";")
        extra = marker.rpartition("extra ==")[2].strip().strip("\"'") if "extra ==" in marker else ""
        wanted.setdefault(extra, []).append(requirement.strip())
    for extra, requirements in wanted.items():
        names = {_bare(requirement): requirement for requirement in requirements}
        names.pop("onnxruntime", None), names.pop("onnxruntime-gpu", None)  # examined as devices
        versions, missing = {}, []
        for name, requirement in names.items():
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                missing.append(requirement)
        if extra == "":
            for name, number in versions.items():
                yield Finding(name, "ok", number)
        if missing:
            lacks = ", ".join(map(_bare, missing))
            repair = pip_install(extra)
            yield Finding(
                f"extra [{extra}]" if extra else "needs", "absent" if extra else "broken", f"{repair} (no {lacks})"
            )
        elif extra and versions:
            yield Finding(f"extra [{extra}]", "ok", ", ".join(f"{name} {number}" for name, number in versions.items()))


def _bare(requirement: str) -> str:
    """The distribution's name in a requirement."""
    import re

    return re.split(r"[\s\[<>=!~(]", requirement, maxsplit=1)[0]


def _devices() -> Iterator[Finding]:
    from textkit.serving import machine
    from textkit.serving.probe import available_device

    runtime = machine.runtime()
    packages = ", ".join(f"{name} {number}" for name, number in runtime.packages.items())
    yield Finding("onnxruntime", "broken" if runtime.problem else "ok", runtime.problem or packages)
    problem = available_device("cpu")
    yield Finding("cpu", "broken" if problem else "ok", problem or f"{machine.cpus()} for this process")
    count, missing = machine.gpu_count()
    if not count:
        yield Finding("gpu", "absent", missing)
    for index in range(count):
        problem = available_device(f"cuda:{index}")
        yield Finding(f"gpu cuda:{index}", "broken" if problem else "ok", problem or "computes the right numbers")


def _folders() -> Iterator[Finding]:
    from textkit.bundle import places

    for about, path in (
        ("your configuration", places.configuration_file()),
        ("your models", places.user_folder()),
        ("package's models", places.package_folder()),
    ):
        yield Finding(about, "ok" if path.exists() else "absent", str(path))


def _models() -> Iterator[Finding]:
    """The default model of each task, and every model or task that is broken."""
    from textkit.bundle.bundle import find, read
    from textkit.task_registry import tasks
    from textkit.verbs.models import listed, reason

    for task in tasks.with_default_models():
        try:
            folder = find(None, task)
            bundle = read(folder, task)
            for graph in bundle.manifest.graphs:
                _load(bundle.graph(graph))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a library that panics raises something that is no Exception
            yield Finding(f"default for {task}", "broken", reason(error))
        else:
            yield Finding(f"default for {task}", "ok", f"{bundle.manifest.name} in {folder}")
    for name, problem in tasks.broken():
        yield Finding(f"task {name}", "broken", problem)
    for model in listed(Messages(quiet=True)):
        if model.problem:
            yield Finding(f"model {model.name}", "broken", model.problem)


def _load(graph: bytes) -> None:
    from textkit.serving.session import Session

    Session(graph, "cpu", threads=1)


def _plugins() -> Iterator[Finding]:
    from textkit.registry import registry

    working = []
    for plugin in registry.describe():
        if plugin.problem:
            yield Finding(f"plugin {plugin.name}", "broken", plugin.problem)
        else:
            working.append(plugin.name)
    yield Finding("plugins", "ok" if working else "absent", ", ".join(working) or "none")
