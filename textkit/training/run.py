"""A training run as a folder: what was asked for, the vocabulary, the weights, a sample of the lines, the results.

    run.json             plugin, options, seed, data, split, facts: record.py
    vocabulary/          rule.json, the rule's files, counts.i64, learnt.json: saved_rule.py
    weights.safetensors  the best network so far; the last one where the plugin has no dev score
    sample.txt           lines of the training data, for the exporter
    checkpoint.safetensors, scratch/   while the training is not complete
    metrics.jsonl        what the training logged
    distilled/           the pairs that teachers made for it, where it is a translator's student; made before the rest

The folder stands alone: it opens even when the training data is gone. Knows no training loop, and torch only for weights.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit import config
from textkit.corpora.corpus import Corpus, corpus_of, describe_file
from textkit.durable import naming, replace_file
from textkit.errors import TextkitError, UsageError
from textkit.guard import checked
from textkit.plugin import Epoch, Plugin, Source, Training
from textkit.registry import registry
from textkit.temporary import beside
from textkit.text.rule import TextRule
from textkit.training.record import Record
from textkit.training.saved_rule import read_rule, write_rule
from textkit.version import __version__

if TYPE_CHECKING:
    import torch

SCHEMA = 1
SAMPLE_LINES = 5000
DISTILLED = "distilled"  # the only thing that a folder may hold when a run is made in it


def occupied(folder: Path) -> bool:
    """Whether there is something at `folder` that a new run must not touch."""
    if folder.is_dir() and not folder.is_symlink():
        return [path.name for path in folder.iterdir()] != [DISTILLED]
    return folder.exists()


class Run(Record):
    """One run. `create` begins one, `open` reads one; changes are written to run.json."""

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        super().__init__(record)
        self.folder = folder
        self.source: Source | None = None  # what `init` names, where it was read already

    @classmethod
    def create(
        cls,
        folder: Path,
        plugin: Plugin,
        options: Any,
        training: Training,
        seed: int,
        data: Sequence[Path],
        dev: Sequence[Path] = (),
        command: Sequence[str] = (),
        init: str | None = None,
        like: Run | None = None,
    ) -> Run:
        """Makes the folder, which must not exist yet.

        `options` is the plugin's Config, `command` what the user typed, `init` the model to begin with, `like` a run with the
        same data.
        TextkitError for data that cannot be read.
        """
        folder = Path(folder)
        if like is None:
            files = {
                key: [describe_file(Path(path)) for path in paths] for key, paths in (("data", data), ("dev", dev))
            }
        else:
            files = {"data": like.data, "dev": like.dev}
        record = {
            "schema": SCHEMA,
            "plugin": plugin.name,
            "task": plugin.task,
            "textkit": __version__,
            "command": list(command),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seed": seed,
            "config": config.as_dict(options),
            "training": config.as_dict(training),
            **files,
            "split": None,
            "complete": False,
            "facts": {},
            **({} if init is None else {"init": os.path.abspath(init) if os.path.exists(init) else init}),
        }
        run = cls(folder, record)
        try:
            if occupied(folder):
                raise FileExistsError
            if folder.exists():
                replace_file(folder / "run.json", run._text())
                return run
            folder.parent.mkdir(parents=True, exist_ok=True)
            with naming(folder / "run.json"), beside(folder, folder=True) as made:
                (made / "run.json").write_bytes(run._text())
                made.rename(folder)  # so no folder lacks its run.json, whenever the process is killed
        except FileExistsError:
            if not folder.exists():  # a path above it exists and is no folder
                raise TextkitError(f"-o {folder}: {os.strerror(errno.ENOTDIR)}") from None
            raise UsageError(f"-o {folder}: exists; give another folder, or --resume to go on with this run") from None
        except OSError as error:
            raise TextkitError(f"-o {folder}: {error.strerror}") from error
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Reads a run; TextkitError for a folder that holds none."""
        folder = Path(folder)
        file = folder / "run.json"
        try:
            record = json.loads(file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            why = "is no training run (it has no run.json)" if folder.exists() else "no such training run"
            raise TextkitError(f"{folder}: {why}") from None
        except (OSError, ValueError) as error:
            raise TextkitError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise TextkitError(f"{file}: not written by this version of textkit")
        missing = {"plugin", "seed", "config", "training", "data", "dev", "split", "complete", "facts"} - record.keys()
        if missing:
            raise TextkitError(f"{file}: damaged: it has no {min(missing)!r}")
        return cls(folder, record)

    def save(self) -> None:
        """Writes run.json."""
        replace_file(self.folder / "run.json", self._text())

    def refresh(self) -> None:
        """Reads run.json once more, which another process may have written since."""
        self._record = Run.open(self.folder)._record

    @property
    def plugin(self) -> Plugin:
        """The plugin itself; UsageError where it is not installed and its file was not given."""
        if self.name not in registry.names():
            raise UsageError(
                f"{self.folder}: its plugin {self.name!r} is not installed; name the file it is in with --plugin FILE"
            )
        return registry.get(self.name)

    @cached_property
    def config(self) -> Any:
        """The plugin's options, an instance of its Config."""
        return config.from_dict(self.plugin.Config, self._record["config"])

    @property
    def corpus(self) -> Corpus:
        """The training data, if its files are still there: lines or pairs, as the plugin needs."""
        return corpus_of(self.plugin, [file["file"] for file in self.data], self.config)

    @property
    def dev_corpus(self) -> Corpus | None:
        """The dev data, in the form of `corpus`; None if no dev files were given."""
        return corpus_of(self.plugin, [file["file"] for file in self.dev], self.config) if self.dev else None

    def change(self, **options: Any) -> None:
        """Sets engine options anew, for the rest of the training."""
        if options:
            self._record["training"].update(options)
            self.__dict__.pop("training", None)
            self.save()

    def reopen(self, training: Training, position: dict[str, Any]) -> None:
        """Reopens a complete run: it goes on with the options `training`, from its best weights and from `position`."""
        before = {"training": self._record["training"], "facts": dict(self.facts)}
        self._record.setdefault("before", []).append(before)
        self._record.update(training=config.as_dict(training), again=position, complete=False)
        self.__dict__.pop("training", None)
        self.save()

    @property
    def scratch(self) -> Path:
        """A folder for encoded data, there until the training is complete."""
        folder = self.folder / "scratch"
        if not self.complete:
            with naming(folder):
                folder.mkdir(exist_ok=True)
        return folder

    def epoch(self, number: int, start: int, batch_size: int, turn: int | None = None) -> Epoch:
        """The Epoch that tells a plugin which pass over the data to make, and which batches of it (`Epoch.owns`)."""
        processes = self.facts.get("processes", 1)
        return Epoch(number, self.seed, start, batch_size, self.scratch, processes, turn, self.facts)

    @property
    def checkpoint(self) -> Path:
        """Where the latest checkpoint is, if there is one."""
        return self.folder / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        """Where the best weights are, if there are any."""
        return self.folder / "weights.safetensors"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from training this run; TextkitError if one does already (not noticed on Windows)."""
        try:
            import fcntl
        except ImportError:
            yield
            return
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise TextkitError(f"{self.folder}: another process is training this run") from None
        finally:
            os.close(handle)

    def finish(self) -> None:
        """Marks the run complete and removes what only an unfinished one needs."""
        self._record["complete"] = True
        self.save()
        self.checkpoint.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)

    @property
    def has_vocabulary(self) -> bool:
        return (self.folder / "vocabulary").is_dir()

    @cached_property
    def vocabulary(self) -> TextRule:
        """How text becomes ids, as saved, including the `counts` of a table of words and what else was `learnt`."""
        return read_rule(self.folder / "vocabulary")

    def save_vocabulary(self, rule: TextRule) -> None:
        """Writes the rule, all of it or nothing."""
        write_rule(self.folder / "vocabulary", rule)
        self.__dict__["vocabulary"] = rule

    def save_sample(self, lines: Sequence[str]) -> None:
        replace_file(self.folder / "sample.txt", "".join(f"{line}\n" for line in lines).encode())

    def sample(self) -> list[str]:
        """At most 5,000 lines of the training data with text in them, drawn uniformly."""
        try:
            return (self.folder / "sample.txt").read_bytes().decode().split("\n")[:-1]
        except OSError as error:
            raise TextkitError(f"{self.folder}/sample.txt: {error.strerror}") from error

    def new_network(self) -> torch.nn.Module:
        """The untrained network, the same every time, because torch's generator is seeded with the run's seed."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self.plugin.network(self.config, self.vocabulary)
        checked(self.plugin, "network", network, torch.nn.Module)
        if self.initial.exists():
            from textkit.training.checkpoint import load_tensors

            network.load_state_dict(load_tensors(self.initial)[0], strict=False)
        return network

    @property
    def initial(self) -> Path:
        """Where the weights of the model that the run begins with are, if it begins with one."""
        return self.folder / "initial.safetensors"

    def network(self) -> torch.nn.Module:
        """The best network so far, on the CPU, in eval mode; TextkitError if nothing was learnt yet.

        A run that was interrupted before its first dev score gives the network of its latest checkpoint.
        """
        from textkit.training.checkpoint import load_network

        network = self.new_network()
        file = self.weights if self.weights.exists() else self.checkpoint
        if not file.exists():
            raise TextkitError(f"{self.folder}: has no weights yet; go on with textkit train -o {self.folder} --resume")
        load_network(network, file)
        return network.eval()
