"""What run.json says of a training run: what was asked for, and the results. Knows no folder and no plugin."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from textkit import config
from textkit.plugin import Training


class Record:
    """The entries of a run.json, which `Run` reads and writes."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    def _text(self) -> bytes:
        return json.dumps(self._record, indent=2, ensure_ascii=False).encode() + b"\n"

    @property
    def name(self) -> str:
        """The name of the plugin."""
        return self._record["plugin"]

    @property
    def config_record(self) -> dict[str, Any]:
        """The plugin's options by name, as run.json has them."""
        return self._record["config"]

    @property
    def init(self) -> str | None:
        """The model that the run begins with; None: its weights begin with chance."""
        return self._record.get("init")

    @cached_property
    def training(self) -> Training:
        """The engine's options."""
        return config.from_dict(Training, self._record["training"])

    @property
    def seed(self) -> int:
        return self._record["seed"]

    @property
    def command(self) -> list[str]:
        """What the user typed, for the manifest."""
        return self._record["command"]

    @property
    def data(self) -> list[dict[str, Any]]:
        """The training files: `file` (its absolute path), `bytes`, `sha256`."""
        return self._record["data"]

    @property
    def dev(self) -> list[dict[str, Any]]:
        """The dev files, in the form of `data`."""
        return self._record["dev"]

    @property
    def split(self) -> dict[str, Any] | None:
        """The rule and the counts of the split; None if the training data was not split."""
        return self._record["split"]

    @split.setter
    def split(self, value: dict[str, Any]) -> None:
        self._record["split"] = value

    @property
    def facts(self) -> dict[str, Any]:
        """The results: lines, seconds, loss, scores. `save` writes what is put in."""
        return self._record["facts"]

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The trials of the search that the run is the best of; none if there was no search."""
        return self._record.get("trials", [])

    @trials.setter
    def trials(self, rows: list[dict[str, Any]]) -> None:
        self._record["trials"] = rows

    @property
    def again(self) -> dict[str, Any] | None:
        """The position from which a run that was complete goes on; None for a run that never was."""
        return self._record.get("again")

    @property
    def complete(self) -> bool:
        return self._record["complete"]
