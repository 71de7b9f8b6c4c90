"""Finds tasks by name: textkit's own in a table, strangers' by entry points, which are read only for names not in the table.

`tasks`, at the foot, is the one instance. Knows no task, and imports the record of one when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from textkit.errors import TextkitError, UsageError, nearest, one_line
from textkit.reference import Verb, load
from textkit.version import DISTRIBUTION

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from textkit.task import Task

GROUP = "textkit.tasks"
# In the order in which they are listed. A table instead of entry points: a filter reads no metadata when it starts.
OWN: Mapping[str, str] = {
    "translate": "textkit.tasks.translate.task:TASK",
    "embed": "textkit.tasks.embed.task:TASK",
    "language": "textkit.tasks.language.task:TASK",
    "classify": "textkit.tasks.classify.task:TASK",
}
# The verbs of textkit's own tasks, which their records read here: `textkit --help` imports no record, and a command its own.
OWN_VERBS: Mapping[str, tuple[str, Verb]] = {
    "translate": ("translate", Verb("Translate each line.", "textkit.tasks.translate.verbs.translate:translate")),
    "calibrate": (
        "translate",
        Verb("Learn how much a translation can be trusted.", "textkit.tasks.translate.verbs.calibrate:calibrate"),
    ),
    "shortlist": (
        "translate",
        Verb(
            "Make a translator look at fewer words, and so faster.", "textkit.tasks.translate.verbs.shortlist:shortlist"
        ),
    ),
    "embed": ("embed", Verb("Turn each line into a vector.", "textkit.tasks.embed.verbs.embed:embed")),
    "nearest": ("embed", Verb("Show the words nearest to a word.", "textkit.tasks.embed.verbs.nearest:nearest")),
    "analogy": ("embed", Verb("Answer: A is to B as C is to what?", "textkit.tasks.embed.verbs.analogy:analogy")),
    "score": ("language", Verb("Say how likely each line is.", "textkit.tasks.language.verbs.score:score")),
    "generate": (
        "language",
        Verb("Continue a prompt, or each line.", "textkit.tasks.language.verbs.generate:generate"),
    ),
    "classify": ("classify", Verb("Label each line.", "textkit.tasks.classify.verbs.classify:classify")),
}


def verbs_of(task: str) -> dict[str, Verb]:
    """The verbs of one of textkit's own tasks."""
    return {name: verb for name, (owner, verb) in OWN_VERBS.items() if owner == task}


class TaskRegistry:
    """The tasks, each read once."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._strangers: dict[str, list[tuple[EntryPoint, str]]] | None = None  # name -> entry points, their packages
        self.unread: dict[str, str] = {}  # distributions whose metadata cannot be read, and why

    def get(self, name: str) -> Task:
        """The task `name`. Raises UsageError for an unknown name, with the nearest one; TextkitError for a broken task."""
        if name not in self._tasks:
            self._tasks[name] = load(OWN[name]) if name in OWN else self._stranger(name)
        return self._tasks[name]

    def __contains__(self, name: str) -> bool:
        """Whether there is such a task, sound or broken."""
        return name in OWN or name in self._found()

    def names(self) -> list[str]:
        """All names, textkit's own first."""
        return [*OWN, *sorted(self._found())]

    def own(self) -> list[Task]:
        return [self.get(name) for name in OWN]

    def sound(self) -> Iterator[Task]:
        """Every task that is not broken."""
        for name in self.names():
            try:
                yield self._listed(name)
            except TextkitError:
                continue

    def _listed(self, name: str) -> Task:
        """The task `name`, for a caller that lists them all.

        A stranger's task is first tried in a separate process, so that one that crashes or hangs stops nothing else.
        """
        if name not in self._tasks and name not in OWN:
            from textkit.strangers import tried

            tried(f"task {name!r} is broken", lambda: self.get(name).name)
        return self.get(name)

    def with_default_models(self) -> list[str]:
        """The names of the tasks whose models need not be named."""
        return [task.name for task in self.sound() if task.default_model]

    def broken(self) -> Iterator[tuple[str, str]]:
        """(name, what is wrong) of each broken task, and of each distribution whose metadata cannot be read."""
        yield from self.unread.items()
        for name in self._found():
            try:
                self._listed(name)
            except TextkitError as error:
                yield name, one_line(error)

    def distribution(self, name: str) -> str:
        """The distribution that a stranger's task comes from; "" for textkit's own."""
        return "" if name in OWN else self._found()[name][0][1].partition(" ")[0]

    def own_verb(self, name: str) -> tuple[Task, Verb] | None:
        """The task, one of textkit's own, that has the verb `name`, and the verb; None for any other name."""
        if name not in OWN_VERBS:
            return None
        task = self.get(OWN_VERBS[name][0])
        return task, task.verbs[name]

    def verbs(self) -> dict[str, tuple[Task, Verb]]:
        """The verbs of all tasks, strangers' included; a name that two tasks claim is the first one's."""
        found: dict[str, tuple[Task, Verb]] = {}
        for task in self.sound():
            for name, verb in task.verbs.items():
                found.setdefault(name, (task, verb))
        return found

    def strangers_at_hand(self) -> bool:
        """Whether an installed package may bring a task. Reads nothing but files of entry points."""
        if self._strangers is None:
            from textkit.strangers import mentioned

            return mentioned(GROUP)
        return bool(self._strangers)

    def _found(self) -> dict[str, list[tuple[EntryPoint, str]]]:
        if self._strangers is None:
            from textkit.strangers import points

            found, unread = points(GROUP)
            self.unread = {str(path): why for path, why in unread.items()}
            self._strangers = {}
            for point, distribution, version in found:
                if distribution != DISTRIBUTION and point.name not in OWN:
                    self._strangers.setdefault(point.name, []).append((point, f"{distribution} {version}"))
        return self._strangers

    def _stranger(self, name: str) -> Task:
        from textkit.strangers import contained
        from textkit.task import Task

        entries = self._found().get(name, [])
        if not entries:
            raise UsageError(f"unknown task {name!r}{nearest(name, self.names())}")
        if len(entries) > 1:
            sources = " and ".join(source for _, source in entries)
            raise TextkitError(f"task name {name!r} is claimed twice, by {sources}: uninstall one of them")
        point, source = entries[0]
        where = f"task {name!r} ({source})"
        with contained(f"{where} is broken"):  # a stranger's module may raise, and its record hold, anything
            task = point.load()
            if not isinstance(task, Task):
                raise TextkitError(f"{where} is broken: {task!r:.80} is no textkit.task.Task")
            if task.name != name:
                raise TextkitError(f"{where} is broken: the record calls itself {task.name!r}")
            for what in (*task.graphs, *task.verbs, *task.metrics):
                if not isinstance(what, str) or not what:
                    raise TextkitError(f"{where} is broken: {what!r:.80} is no name")
            for kind, names in (("optional", task.optional), ("extra", task.extra)):
                if missing := names - set(task.graphs):
                    raise TextkitError(f"{where} is broken: it has no graph {sorted(missing)[0]!r}, which is {kind}")
            if wrong := task.wrong_default(task.defaults):
                raise TextkitError(f"{where} is broken: its defaults have {wrong}")
        return task


tasks = TaskRegistry()
