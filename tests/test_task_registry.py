"""Tasks are found by name, and textkit's own without reading any metadata."""

from __future__ import annotations

import subprocess
import sys

import pytest

from textkit.errors import UsageError
from textkit.task import load
from textkit.task_registry import OWN, OWN_VERBS, TaskRegistry


def test_the_table_of_verbs_is_that_of_the_records():
    registry = TaskRegistry()
    assert {name: (task.name, verb) for task in registry.own() for name, verb in task.verbs.items()} == OWN_VERBS
    for name, (task, verb) in OWN_VERBS.items():
        assert registry.own_verb(name) == (registry.get(task), verb)
    assert registry.own_verb("train") is None


@pytest.mark.parametrize("name", OWN)
def test_what_a_record_names_is_there(name):
    task = TaskRegistry().get(name)
    assert task.name == name
    for reference in (
        task.serving,
        task.exporter,
        task.evaluation,
        task.corpus,
        *(v.command for v in task.verbs.values()),
    ):
        assert load(reference) is not None
    assert task.optional | task.extra <= task.graphs.keys()
    assert not task.optional & task.extra
    assert load(task.serving).task == name


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="unknown task 'tranlate'; did you mean 'translate'"):
        TaskRegistry().get("tranlate")


def test_a_filter_reads_no_metadata_and_one_record():
    code = (
        "import sys; from textkit.cli import main\n"
        "try: main(['embed', '--help'])\n"
        "except SystemExit: print(*(name for name in sys.modules if name.endswith('.task') or 'metadata' in name),"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["textkit.task", "textkit.tasks.embed.task"]
