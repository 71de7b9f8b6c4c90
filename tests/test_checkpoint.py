"""Checkpoints: tied and overlapping tensors, whole files or none, random states that are continued, damaged files."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from little_room import little_room
from safetensors.torch import load_file

from textkit.durable import replace_file
from textkit.errors import TextkitError
from textkit.plugin import Plugin, Training
from textkit.training.checkpoint import (
    load_checkpoint,
    load_network,
    random_state,
    random_state_kept,
    read_header,
    save_checkpoint,
    save_network,
    set_random_state,
)
from textkit.training.descent import Descent


class Tied(torch.nn.Module):
    """Two names for one matrix, two buffers that overlap, and one tensor of each odd kind."""

    def __init__(self, fill: float = 0.0):
        super().__init__()
        self.inside = torch.nn.Embedding(5, 3)
        self.out = torch.nn.Linear(3, 5)
        self.out.weight = self.inside.weight
        memory = torch.full((6,), fill)
        self.register_buffer("head", memory[:4])
        self.register_buffer("tail", memory[2:])
        self.register_buffer("columns", torch.full((2, 3), fill).T)
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("nothing", torch.empty(0))
        self.register_buffer("count", torch.tensor(7))
        self.register_buffer("mask", torch.tensor([0.0, float("-inf")]))


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    saved, loaded = Tied(1.0), Tied(2.0)
    save_network(saved, tmp_path / "w.safetensors")
    stored = load_file(tmp_path / "w.safetensors")
    assert "inside.weight" in stored
    assert "out.weight" not in stored
    load_network(loaded, tmp_path / "w.safetensors")
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert loaded.out.weight is loaded.inside.weight
    assert loaded.head.data_ptr() != saved.head.data_ptr()


def test_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_text("")
    save_network(Tied(), tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


class Line(Plugin):
    """Fits y = w x; it has only what Descent asks of a plugin."""

    name = "line"
    vocabulary = network = batches = graphs = None

    def loss(self, network, batch):
        return ((network.inside(batch) - 1) ** 2).mean(), {"examples": len(batch)}


Line.__abstractmethods__ = frozenset()


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam", "adamw"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_learner_goes_on_from_a_checkpoint_with_the_same_bits(tmp_path, name, momentum):
    training = Training(optimizer=name, momentum=momentum, accumulate=3, learning_rate=0.1)
    batches = [torch.tensor([n % 5, (n * n) % 5]) for n in range(10)]
    torch.manual_seed(1)
    whole = Tied()
    learner = Descent(Line(), whole, training, torch.device("cpu"))
    for at, batch in enumerate(batches):
        learner.learn(batch, 0.1)
        if at == 6:  # in the middle of a group: two updates are done, one batch is summed up
            save_checkpoint(tmp_path / "c", whole, learner.state(), {"batch": 7, "weight": 0.1})
    torch.manual_seed(2)
    second = Tied()
    learner = Descent(Line(), second, training, torch.device("cpu"))
    state, position, _ = load_checkpoint(tmp_path / "c", second)
    learner.load(state)
    assert position == {"batch": 7, "weight": 0.1}
    assert learner.batches == 1
    for batch in batches[7:]:
        learner.learn(batch, 0.1)
    assert torch.equal(whole.inside.weight, second.inside.weight)
    network = Tied()
    load_network(network, tmp_path / "c")  # the network alone can be loaded from a checkpoint
    assert not torch.equal(network.inside.weight, second.inside.weight)


def draw():
    return random.random(), float(np.random.random()), float(np.random.standard_normal()), torch.rand(2).tolist()


def test_random_state_continues(tmp_path):
    np.random.standard_normal()  # numpy's generator keeps a second number for later
    save_checkpoint(tmp_path / "c", Tied(), ({}, {}), {})
    expected = draw()
    _, _, state = load_checkpoint(tmp_path / "c", Tied())
    draw()
    set_random_state(state)
    assert draw() == expected


def test_random_state_kept():
    state = random_state()
    expected = draw()
    set_random_state(state)
    with random_state_kept():
        draw()
    assert draw() == expected


def test_a_full_disk_leaves_the_last_file_and_nothing_else(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(Tied(1.0), path)
    with little_room(100), pytest.raises(TextkitError, match=r"w\.safetensors: cannot be written"):
        save_network(Tied(2.0), path)
    with little_room(100), pytest.raises(TextkitError, match=r"w\.safetensors: cannot be written: File too large"):
        replace_file(path, bytes(1000))
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]
    network = Tied()
    load_network(network, path)
    assert network.head.tolist() == [1, 1, 1, 1]


def test_damaged_files_get_one_line(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(Tied(), path)
    whole = path.read_bytes()
    for content in (b"", whole[:-3], whole[:20], b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(TextkitError, match=r"w\.safetensors: damaged"):
            load_network(Tied(), path)
    with pytest.raises(TextkitError, match="no such file"):
        read_header(tmp_path / "none")


def test_weights_of_another_network_are_refused(tmp_path):
    save_network(torch.nn.Linear(2, 2), tmp_path / "w")
    with pytest.raises(TextkitError, match="does not fit the network"):
        load_network(torch.nn.Linear(2, 3), tmp_path / "w")
    with pytest.raises(TextkitError, match="no checkpoint"):
        load_checkpoint(tmp_path / "w", torch.nn.Linear(2, 2))
