"""What the recipes of the shipped models share: they run textkit as a user does and measure scores for the manifest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from textkit.bundle import bundle, writing


def textkit(*arguments: str | Path) -> str:
    """Runs textkit as a user does; shows its stderr and returns its stdout."""
    command = ["textkit", *map(str, arguments)]
    print("$", " ".join(command), file=sys.stderr)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def train(run: Path, *arguments: str | Path) -> None:
    """Runs `textkit train ARGUMENTS -o RUN --seed 1`, or resumes the run if it exists."""
    if run.exists():
        textkit("train", "-o", run, "--resume")
    else:
        textkit("train", *arguments, "-o", run, "--seed", "1")


def ship(run: Path, folder: Path, licence: str, note: str, recipe: str = "") -> None:
    """Exports a run as int8. The manifest names `make models` as the command that makes the model again, and its recipe."""
    names = ("--name", folder.name, "--license", licence, "--data-note", note)
    textkit("export-onnx", run, "-o", folder, "--precision", "int8", *names, "--overwrite")
    recipe = f"recipes/{recipe or folder.name.replace('-', '_')}"
    made = {**bundle.read(folder).manifest.made, "command": "make models", "export": f"{recipe}.py, {recipe}.toml"}
    writing.amend(folder, made=made)


def measured(folder: Path, file: Path, *options: str, name: str = "", digits: int = 2) -> list[dict[str, object]]:
    """The figures of `textkit evaluate` in the manifest's form, with the command that measures them again."""
    name = name or "/".join(file.parts[-2:])
    command = " ".join(["textkit", "evaluate", "-m", folder.name, name, *options])
    lines = textkit("evaluate", "-m", folder, file, *options, "--format", "jsonl").splitlines()
    return [
        {"metric": one["metric"], "value": round(one["value"], digits), "data": name, "command": command}
        for one in map(json.loads, lines)
    ]
