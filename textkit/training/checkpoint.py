"""All that a training needs to go on, in one safetensors file: tensors, and the rest as JSON in its header. No pickle.

Tensors that share their memory (tied weights) are stored once, under the first of their names; the header says which
other names they have. Knows networks, optimizers and random number generators, and no loop.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.durable import replace_file
from textkit.errors import TextkitError

if TYPE_CHECKING:
    import torch

State = tuple[Mapping[str, "torch.Tensor"], Mapping[str, Any]]  # tensors, and plain values
_NETWORK = "network."  # prefix of the network's tensors in a checkpoint
_AVERAGE = "learner.average."  # prefix of the averaged weights


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    """Writes the file whole or not at all: it is forced to the disk before it takes its name."""
    from safetensors.torch import save_file

    stored, aliases = _untied(tensors)
    text = json.dumps({**header, "aliases": aliases})

    def write(part: Path) -> None:
        try:
            save_file(stored, part, {"textkit": text})
        except Exception as error:  # the library's own error wraps that of the system
            raise OSError(str(error)) from error

    replace_file(path, write)


def load_tensors(path: Path, prefix: str = "") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors whose names begin with `prefix`, under all their names, and the header.

    TextkitError for a damaged file.
    """
    with _opened(path) as file:
        header = json.loads(file.metadata()["textkit"])
        tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
        for name, first in header["aliases"].items():
            if name.startswith(prefix):
                tensors[name] = tensors[first]
    return tensors, header


def read_header(path: Path) -> dict[str, Any]:
    """The header alone; no tensor is read."""
    with _opened(path) as file:
        return json.loads(file.metadata()["textkit"])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError:
        raise TextkitError(f"{path}: no such file") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise TextkitError(f"{path}: damaged, or not written by textkit: {error}") from error


def save_network(network: torch.nn.Module, path: Path) -> None:
    """Writes the weights alone."""
    save_tensors(path, network.state_dict(), {"kind": "weights"})


def load_network(network: torch.nn.Module, path: Path) -> None:
    """Fills `network` in place, so that tied weights stay tied, from a file of weights or a checkpoint.

    If a checkpoint's learner keeps an average of the weights, the network gets the average. TextkitError where names or
    shapes do not fit.
    """
    import torch

    prefix = _NETWORK if read_header(path).get("kind") == "checkpoint" else ""
    tensors, _ = load_tensors(path, prefix)
    _fill(network, {name.removeprefix(prefix): value for name, value in tensors.items()}, path)
    averages, _ = load_tensors(path, _AVERAGE) if prefix else ({}, {})
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if _AVERAGE + name in averages:
                parameter.copy_(averages[_AVERAGE + name])


def save_checkpoint(
    path: Path,
    network: torch.nn.Module,
    learner: State,
    position: Mapping[str, Any],
    states: Sequence[State] = (),
) -> None:
    """Writes the network, the learner's state (tensors and plain values), the position and the random state.

    `states`: the random states of a team's processes, by rank, instead of this process's own.
    """
    (random_tensors, random_values), *others = states or [random_state()]
    tensors = {_NETWORK + name: value for name, value in network.state_dict().items()}
    tensors |= {f"learner.{name}": value for name, value in learner[0].items()}
    tensors |= {f"random.{name}": value for name, value in random_tensors.items()}
    header = {"kind": "checkpoint", "learner": learner[1], "position": dict(position), "random": random_values}
    for rank, (random_tensors, header[f"random.{rank}"]) in enumerate(others, 1):
        tensors |= {f"random.{rank}.{name}": value for name, value in random_tensors.items()}
    save_tensors(path, tensors, header)


def load_checkpoint(path: Path, network: torch.nn.Module, rank: int = 0) -> tuple[State, dict[str, Any], State | None]:
    """Fills the network; returns the learner's state, the position, and the random state for `set_random_state`.

    `rank`: of the process in its team. The random state is None if the checkpoint was written without a process of that rank.
    """
    tensors, header = load_tensors(path)
    if header.get("kind") != "checkpoint":
        raise TextkitError(f"{path}: holds weights alone, no checkpoint")

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    _fill(network, part(_NETWORK), path)
    key = f"random.{rank}" if rank else "random"
    state = (part(f"{key}."), header[key]) if key in header else None
    return (part("learner."), header["learner"]), header["position"], state


def random_state() -> State:
    """The state of Python's, numpy's and torch's generators, including those of the GPUs in use."""
    import torch

    _, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    tensors = {"numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)), "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        tensors |= {f"cuda.{at}": state for at, state in enumerate(torch.cuda.get_rng_state_all())}
    return tensors, {"python": random.getstate(), "numpy": [place, has_gauss, gauss]}


def set_random_state(state: State) -> None:
    """The inverse of `random_state`; generators of GPUs that are not here now are left out."""
    import torch

    tensors, values = state
    version, internal, gauss = values["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(("MT19937", tensors["numpy"].numpy().astype(np.uint32), *values["numpy"]))
    torch.set_rng_state(tensors["torch"])
    for name, value in tensors.items():
        if name.startswith("cuda.") and torch.cuda.is_available():
            at = int(name.removeprefix("cuda."))
            if at < torch.cuda.device_count():
                torch.cuda.set_rng_state(value, at)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Restores the random state afterwards: numbers drawn inside change nothing outside."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


def _untied(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors on the CPU, each piece of memory once, and for every other name the name it is stored under."""
    first: dict[tuple[Any, ...], str] = {}
    storages: set[int] = set()
    stored: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        place = (str(tensor.device), tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in first:
            aliases[name] = first[place]
            continue
        first[place] = name
        storage = tensor.untyped_storage().data_ptr()
        here = tensor.cpu().contiguous()
        # A view of part of another tensor's memory is copied, because the format allows no overlaps.
        shared = storage in storages or here.untyped_storage().nbytes() != here.numel() * here.element_size()
        stored[name] = here.clone() if shared and here.numel() else here
        storages.add(storage)
    return stored, aliases


def _fill(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise TextkitError(f"{path}: does not fit the network its plugin makes: {why}") from error
