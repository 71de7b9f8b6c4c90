"""A search over options (textkit train --budget): what is tried, kept, ended early and refused. Time is a counter here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tuning_toys import Clock, Known, of, quick

from textkit.errors import TextkitError, UsageError
from textkit.plugin import Space
from textkit.registry import registry
from textkit.training import run as run_module
from textkit.training.events import Scored
from textkit.training.recipe import Recipe
from textkit.training.run import Run
from textkit.training.tuning import searching as tuning
from textkit.training.tuning.events import TrialBegan, TrialDone, Tuned
from textkit.training.tuning.searching import tune


@pytest.fixture
def known(monkeypatch):
    plugin = Known()
    monkeypatch.setattr(Known, "clock", Clock())
    monkeypatch.setattr(Known, "raises", set())
    get, names = registry.get, registry.names
    monkeypatch.setattr(registry, "get", lambda name: plugin if name == "known" else get(name))
    monkeypatch.setattr(registry, "names", lambda: [*names(), "known"])
    return plugin


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_text("a b c d\nb c d e\n" * 100)
    return tmp_path / "text"


def test_the_real_trainer_within_a_search(search, tmp_path):
    events: list = []
    tuned = search(30, real=True, events=events)[-1]
    assert tuned.best.changed["kind"] == "fancy"
    run = Run.open(tmp_path / "run")
    assert run.complete
    assert run.config.kind == "fancy"
    assert run.facts["dev_score"]["value"] == tuned.best.score.value
    assert run.network().weight.shape[1] == run.config.dim
    assert of(events, TrialDone)[0].trial.curve == [(0.5, 1, 40), (1.0, 2, 40)]
    assert all(event.seconds > 0 for event in of(events, Scored))
    done = [event.trial for event in of(events, TrialDone)]
    assert all(one.rate > 0 for one in done)
    assert 5 * (8 + 4) < done[0].bytes < 5 * (8 + 4) + 25_000  # words, dim, scales


@pytest.fixture
def search(known, text, tmp_path, monkeypatch):
    """Searches for so many seconds of the plugin's clock; the events of the search itself. `real`: by the trainer."""
    monkeypatch.setattr(tuning, "replace_file", lambda path, content: path.write_bytes(content))
    monkeypatch.setattr(tuning, "estimated_bytes", lambda run: 20_000)
    monkeypatch.setattr(Run, "save", lambda run: (run.folder / "run.json").write_bytes(run._text()))

    def found(
        budget,
        *assignments,
        seed=None,
        stop=lambda: False,
        export=None,
        max_mb=None,
        events=None,
        out="run",
        real=False,
        init=None,
    ):
        with pytest.MonkeyPatch.context() as patch:
            if not real:
                patch.setattr(tuning, "train", quick)
            return searched(budget, assignments, seed, stop, export, max_mb, events, out, init)

    def searched(budget, assignments, seed, stop, export, max_mb, events, out, init):
        recipe = Recipe("known", [text], [text], None, assignments, seed, init=init)
        every = tune(tmp_path / out, recipe, budget, export, max_mb, stop=stop, clock=Known.clock, threads=1)
        kept = []
        for event in every:
            if events is not None:
                events.append(event)
            if isinstance(event, (TrialBegan, TrialDone, Tuned)):
                kept.append(event)
        return kept

    return found


def test_it_finds_the_best_options(search, tmp_path):
    events = search(1200)
    tuned = events[-1]
    assert tuned.best.changed == {"dim": 32, "kind": "fancy", "depth": 4}
    assert tuned.best.score.value == 70
    run = Run.open(tmp_path / "run")
    assert (run.config.dim, run.config.kind, run.config.depth) == (32, "fancy", 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "text"]  # the other runs are gone


def test_the_defaults_come_first_then_the_points_that_are_allowed_then_moves(search):
    tried = [event.changed for event in of(search(100), TrialBegan)]
    assert tried[:2] == [{}, {"kind": "fancy", "depth": 2}]  # dim=13 is refused by the Config
    assert len(tried) > 3
    assert all(tried[at] not in tried[:at] for at in range(len(tried)))
    assert all("depth" not in changed or changed.get("kind") == "fancy" for changed in tried)


def test_the_same_seed_proposes_the_same(search):
    first, again, other = (
        [event.changed for event in of(search(150, seed=seed, out=out), TrialBegan)]
        for seed, out in ((5, "a"), (5, "b"), (6, "c"))
    )
    assert first == again
    assert first != other


def test_options_that_are_set_stay(search):
    events = search(200, "kind=plain", "epochs=3")
    assert all(not {"kind", "depth", "epochs"} & set(event.changed) for event in of(events, TrialBegan))
    assert events[-1].best.changed == {"dim": 32}
    assert events[-1].best.values["epochs"] == 3


def test_the_search_ends_where_nothing_is_left(search):
    events = search(100_000, "kind=plain")
    assert events[-1].reason == "exhausted"
    assert events[-1].trials == 7  # the values of dim but 13


def test_the_time_bounds_the_trials(search):
    events = search(40)
    done = of(events, TrialDone)
    assert events[-1].reason == "budget"
    assert events[-1].trials == len(done)
    assert Known.clock.now <= 40 + 1  # one batch
    assert all(event.trial.seconds <= 20 + 1 for event in done)


def test_a_first_trial_that_takes_too_long_is_cut_and_scored(search, tmp_path):
    events = search(4, "dim=4", real=True)  # an epoch takes 4 seconds, and the first trial's time is 2
    first = of(events, TrialDone)[0].trial
    assert (first.end, first.epochs, first.score.value) == ("enough", 0, 35)
    run = Run.open(tmp_path / "run")
    assert run.complete
    assert run.facts["reason"] == "enough"
    assert run.facts["steps"] < 4


def test_epochs_are_cut_to_the_time_of_a_trial(search, known, monkeypatch):
    monkeypatch.setattr(Known, "training", replace(Known.training, epochs=20))
    events = search(82)  # an epoch takes 4 seconds: of 20 in the first trial, 10 are done in 41 seconds
    done = [event.trial for event in of(events, TrialDone)]
    assert (done[0].end, done[0].epochs) == ("enough", 10)
    assert done[1].changed == {"epochs": 5}  # 20.5 seconds, at 4.1 an epoch
    assert done[1].end == "epochs"


def test_options_that_are_alike_once_their_epochs_are_cut_are_tried_once(search, known, monkeypatch):
    monkeypatch.setattr(Known, "training", replace(Known.training, epochs=20))
    monkeypatch.setattr(Known, "space", lambda self, lines: Space(scales={"epochs": (20, 21, 22, 23, 24, 25)}))
    events = search(100)  # all but the first are cut to 25 seconds
    assert [event.changed for event in of(events, TrialBegan)] == [{}, {"epochs": 6}]
    assert events[-1].reason == "exhausted"


def test_what_trials_begin_with_is_read_once(search, known, text, tmp_path, monkeypatch):
    (tmp_path / "words.vec").write_text("1 2\na 1 2\n")
    monkeypatch.setattr(Known, "inherited", (), raising=False)
    described = []
    monkeypatch.setattr(run_module, "describe_file", lambda path: described.append(path) or {"file": str(path)})
    began = of(search(100, init=tmp_path / "words.vec"), TrialBegan)
    assert len(began) > 2
    assert described == [text, text]  # DATA and --dev
    sources = [event.run.source for event in began]
    assert sources[0].vectors.keys() == {"a"}
    assert all(source is sources[0] for source in sources)


def test_a_search_begins_with_the_model_that_its_plugin_needs(search, known, tmp_path, monkeypatch):
    (tmp_path / "words.vec").write_text("1 2\na 1 2\n")
    monkeypatch.setattr(Known, "begins_with", "embed")
    monkeypatch.setattr("textkit.bundle.places.find", lambda name, task: tmp_path / "words.vec")
    assert of(search(30), TrialBegan)[0].run.init == str(tmp_path / "words.vec")


def test_a_trial_that_is_clearly_worse_ends_early(search, known, monkeypatch):
    monkeypatch.setattr(Known, "training", replace(Known.training, epochs=4))
    events: list = []
    search(400, events=events)
    worse = [event.trial for event in of(events, TrialDone) if event.trial.end == "worse"]
    assert worse
    assert all(trial.epochs < 4 and trial.seconds < 16 for trial in worse)
    best = 0.0
    for event in of(events, TrialDone):  # none that could have been the best was ended
        if event.trial.end == "worse":
            assert event.trial.score.value < best
        best = max(best, event.trial.score.value)


def test_a_trial_that_fails_is_a_row_and_the_search_goes_on(search, known, tmp_path):
    known.raises.add(16)
    events = search(400, "kind=plain")
    failed = [event.trial for event in of(events, TrialDone) if event.trial.end == "failed"]
    assert [one.changed["dim"] for one in failed] == [16]
    assert "a mistake" in failed[0].error
    assert events[-1].best.changed == {"dim": 32}


def test_a_first_trial_that_fails_is_the_users_error(search, known, tmp_path):
    known.raises.add(8)
    with pytest.raises(TextkitError, match="a mistake"):
        search(400)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text"]


def test_the_table_is_in_the_run(search, tmp_path):
    events = search(60)
    rows = [line.split("\t") for line in (tmp_path / "run" / "trials.tsv").read_text().splitlines()]
    assert rows[0] == ["trial", "kept", "score", "value", "bytes", "lines/s", "seconds", "epochs", "end", "options"]
    assert [row[0] for row in rows[1:]] == [str(number + 1) for number in range(events[-1].trials)]
    kept = events[-1].best.number
    assert [row[1] for row in rows[1:]] == ["*" if number + 1 == kept else "" for number in range(events[-1].trials)]
    assert rows[2][2:4] == ["figure", "58"]
    assert rows[2][-1] == "kind=fancy depth=2"
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [row["trial"] for row in record["trials"]] == list(range(1, events[-1].trials + 1))
    assert record["trials"][1]["options"] == {"kind": "fancy", "depth": 2}
    assert record["facts"]["search"]["kept"] == kept
    assert record["facts"]["search"]["trials"] == events[-1].trials


def test_interrupted_it_scores_the_trial_and_keeps_the_best(search, tmp_path):
    events: list = []
    found = search(1000, stop=lambda: Known.clock.now > 13, events=events, real=True)  # within the second trial
    assert found[-1].reason == "stopped"
    assert found[-1].trials == 2
    assert of(events, TrialDone)[1].trial.end == "enough"
    assert Run.open(tmp_path / "run").config.kind == "fancy"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "text"]


def test_ended_at_once_the_best_so_far_is_there_whole(search, tmp_path):
    def stop():
        if Known.clock.now > 13:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        search(1000, stop=stop, real=True)
    run = Run.open(tmp_path / "run")
    assert run.complete
    assert (run.config.kind, [row["trial"] for row in run.trials]) == ("plain", [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "text"]


def exporter(size):
    """Writes a file of `size(run)` bytes where the model would be."""

    def export(run, folder):
        Path(folder).mkdir()
        (Path(folder) / "graph").write_bytes(b"x" * size(run))

    return export


def test_no_model_above_max_mb_is_kept(search, monkeypatch, tmp_path):
    monkeypatch.setattr(tuning, "estimated_bytes", lambda run: run.config.dim * 1000)
    events: list = []
    found = search(1200, max_mb=0.0165, export=exporter(lambda run: run.config.dim * 1000 + 3), events=events)
    assert found[-1].best.changed == {"dim": 16, "kind": "fancy", "depth": 4}
    assert found[-1].checked == 16_003
    large = [event.trial for event in of(events, TrialDone) if event.trial.end == "size"]
    assert large
    assert all(one.values["dim"] > 16 and one.seconds == 0 for one in large)  # told before an update is made


def test_the_first_trial_is_made_smaller_until_it_fits(search, monkeypatch):
    monkeypatch.setattr(tuning, "estimated_bytes", lambda run: run.config.dim * 1000 + 500)
    found = search(100, "kind=plain", max_mb=0.0035, export=exporter(lambda run: 3000))
    tried = [event.trial for event in of(found, TrialDone)]
    assert [(one.values["dim"], one.end) for one in tried[:2]] == [(8, "size"), (3, "epochs")]
    assert found[-1].best.values["dim"] == 3


def test_where_the_export_is_too_large_the_next_best_is_taken(search, tmp_path):
    export = exporter(lambda run: 2_000_000 if run.config.dim == 32 else 1000)
    found = search(1200, "kind=plain", max_mb=1, export=export)
    assert found[-1].best.values["dim"] in (16, 64)
    assert Run.open(tmp_path / "run").config.dim == found[-1].best.values["dim"]
    rows = {row["options"].get("dim", 8): row["end"] for row in Run.open(tmp_path / "run").trials}
    assert rows[32] == "size"


def test_where_nothing_fits_nothing_is_written(search, tmp_path):
    with pytest.raises(
        TextkitError, match=r"^--max-mb 0\.001: none of \d+ trials fits; the smallest has 0\.02 MB in int8$"
    ):
        search(1200, max_mb=0.001)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text"]


def test_a_dimension_that_was_set_is_not_lowered(search, tmp_path):
    with pytest.raises(TextkitError, match="none of"):
        search(1200, "dim=8", max_mb=0.001)


@pytest.mark.parametrize("most", [0, -1, float("nan"), float("inf")])
def test_bounds_that_are_none(search, most):
    with pytest.raises(UsageError, match="^--max-mb"):
        search(10, max_mb=most)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (Space(points=({"dmi": 3},)), "names no option 'dmi'"),
        (Space(scales={"dmi": (1, 2)}), "names no option 'dmi'"),
        (Space(smaller=("dim",)), "no scale of numbers for 'dim'"),
        (Space(scales={"kind": ("a", "b")}, smaller=("kind",)), "no scale of numbers for 'kind'"),
        ("dim", "must give a Space or None; it gives str"),
    ],
)
def test_a_space_that_is_not_sound_is_the_plugins_fault(search, known, monkeypatch, space, said):
    monkeypatch.setattr(Known, "space", lambda self, lines: space)
    with pytest.raises(TextkitError, match="^plugin 'known': .*") as raised:
        search(10)
    assert said in str(raised.value)


def test_a_space_knows_how_many_lines_there_are(search, monkeypatch):
    heard = []
    monkeypatch.setattr(Known, "space", lambda self, lines: heard.append(lines) or Space())
    assert search(100)[-1].trials == 1
    assert heard == [200]


def test_a_folder_that_exists_is_refused(search, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(UsageError, match="exists"):
        search(10)
