"""Reads the files in a Hugging Face checkpoint's folder, with suspicion: JSON of bounded size, and tensors.

Only regular files are opened. Links are followed, because Hugging Face's own cache is made of them. A pickle is read by
torch's weights-only reader, which builds tensors and nothing else. Knows no architecture.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError, one_line, pip_install

if TYPE_CHECKING:
    import torch

MAX_JSON = 1 << 26  # bytes; a vocabulary of 250,000 pieces takes 6 MB
MAX_WEIGHTS = 1 << 33  # bytes; an ONNX file holds a quarter of that
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SHARDED = tuple(f"{name}.index.json" for name in WEIGHTS)
_NAMED = 5  # tensors named in one message


class Checkpoint:
    """The folder of a checkpoint. Its methods raise TextkitError in one line, which names the file."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise TextkitError(f"{self.folder}: {'not a folder' if self.folder.exists() else 'no such folder'}")

    def has(self, name: str) -> bool:
        return os.path.lexists(self.folder / name)

    def read(self, name: str, most: int = MAX_JSON) -> bytes:
        """The bytes of a file that has at most `most`."""
        path = self.folder / name
        size = self._size(name)
        if size > most:
            raise TextkitError(f"{path}: {size:,} bytes, more than the {most:,} that such a file may have")
        try:
            return path.read_bytes()
        except OSError as error:
            raise TextkitError(f"{path}: {error.strerror}") from None

    def json(self, name: str) -> dict[str, Any]:
        """The JSON object in a file."""
        found: dict[str, Any] = self._json(name, dict, "object")
        return found

    def json_list(self, name: str) -> list[Any]:
        """The JSON list in a file."""
        found: list[Any] = self._json(name, list, "list")
        return found

    def _json(self, name: str, kind: type, called: str) -> Any:
        path = self.folder / name
        data = self.read(name)
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise TextkitError(f"{path}: not JSON: {one_line(error)}") from None
        if not isinstance(found, kind):
            raise TextkitError(f"{path}: not a JSON {called}")
        return found

    def _size(self, name: str) -> int:
        path = self.folder / name
        try:
            state = os.stat(path)
        except OSError as error:
            raise TextkitError(f"{path}: {error.strerror}") from None
        if not stat.S_ISREG(state.st_mode):
            raise TextkitError(f"{path}: not a regular file")
        return state.st_size

    def weights_file(self) -> str:
        """The name of the file that holds the tensors."""
        for name in WEIGHTS:
            if self.has(name):
                return name
        for name in _SHARDED:
            if self.has(name):
                raise TextkitError(f"{self.folder / name}: weights in several files are not read: save them as one")
        raise TextkitError(f"{self.folder}: has neither {' nor '.join(WEIGHTS)}")

    def tensors(self, unread: Collection[str] = ()) -> dict[str, torch.Tensor]:
        """Every tensor by name, f32 on the CPU. Anything but a table of floating-point tensors is refused.

        Tensors whose name's last part is one of `unread` are left out, whatever they are.
        """
        name = self.weights_file()
        path = self.folder / name
        try:
            import torch
        except ImportError:
            raise TextkitError(f"{path}: reading it needs the package torch: {pip_install('train')}") from None
        size = self._size(name)
        if size > MAX_WEIGHTS:
            raise TextkitError(f"{path}: {size / 1e9:.1f} GB, more than a single ONNX file can take")
        found = _load(path, name)
        if not isinstance(found, Mapping) or not all(
            isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in found.items()
        ):
            raise TextkitError(f"{path}: not a table of tensors by name{_safe(name)}")
        tensors = {}
        for key, tensor in found.items():
            if key.rpartition(".")[2] in unread:
                continue
            if tensor.layout != torch.strided or tensor.device.type != "cpu":
                raise TextkitError(
                    f"{path}: {key[:100]} is a {tensor.layout} tensor on {tensor.device}, not a plain one"
                )
            if not tensor.dtype.is_floating_point:
                raise TextkitError(f"{path}: {key[:100]} is {tensor.dtype}, not floating point (quantised?)")
            tensors[key] = tensor.detach().to(torch.float32)
        return tensors


class Settings:
    """The entries of a JSON object, read one checked value at a time. `path`: the file, for messages."""

    def __init__(self, entries: Mapping[str, Any], path: str) -> None:
        self.entries, self.path = entries, path

    def number(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number; `default` where it is missing or null."""
        value = self.entries.get(key, default)
        value = default if value is None else value
        if value is None:
            raise TextkitError(f"{self.path}: has no {key}")
        if type(value) is not int or not least <= value <= most:
            raise TextkitError(f"{self.path}: {key} is {str(value)[:50]}, not a whole number from {least} to {most}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """`default` where it is missing or null."""
        value = self.entries.get(key, default)
        value = default if value is None else value
        if type(value) is not bool:
            raise TextkitError(f"{self.path}: {key} is {str(value)[:50]}, neither true nor false")
        return value

    def real(self, key: str, default: float) -> float:
        """A number from 0 to 1; `default` where it is missing or null."""
        value = self.entries.get(key, default)
        value = default if value is None else value
        if type(value) not in (int, float) or not 0 <= value <= 1:
            raise TextkitError(f"{self.path}: {key} is {str(value)[:50]}, not a number from 0 to 1")
        return float(value)


def _load(path: Path, name: str) -> Any:
    import torch

    try:
        if name.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise TextkitError(f"{path}: reading it needs the package {error.name}: {pip_install('train')}") from None
    except MemoryError:
        raise
    except Exception as error:  # either library raises exceptions of any kind
        reason = str(error).split("\n")[0].split(" (1) ")[0][:300]
        raise TextkitError(
            f"{path}: its tensors cannot be read: {type(error).__name__}: {reason}{_safe(name)}"
        ) from None


def _safe(name: str) -> str:
    """What to do about a pickle that holds more than tensors, which is never run."""
    return "" if name.endswith(".safetensors") else "; what a pickle says is never run: save it as model.safetensors"


def check_tensors(path: str | Path, found: Mapping[str, Any], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raises TextkitError, in one line, for tensors that are missing, too many, or of another shape than `wanted`."""
    faults = []
    for said, names in (
        ("lacks", [name for name in wanted if name not in found]),
        ("has besides", [name for name in found if name not in wanted]),
    ):
        if names:
            faults.append(f"{said} {_listed(names)}")
    for name, shape in wanted.items():
        if name in found and tuple(found[name].shape) != shape:
            faults.append(f"{name} is {list(found[name].shape)}, config.json makes it {list(shape)}")
            break
    if faults:
        raise TextkitError(f"{path}: not the tensors of the model that config.json describes: {'; '.join(faults)}")


def _listed(names: Collection[str]) -> str:
    names = [name[:100] for name in names]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
