"""States of the random generators go through a checkpoint that is read without running anything in it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from nnunetv2.training.checkpoint import foreign_entries, plain_values, read_checkpoint, write_checkpoint
from nnunetv2.training.random_states import random_states, set_random_states

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def restored():
    states = random_states(CPU)
    yield
    set_random_states(states, CPU)


def draws() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.normal(), torch.rand(1).item(), torch.randn(1).item()]


def test_generators_go_on_from_a_checkpoint_where_they_were(tmp_path):
    draws()  # an odd number of normal ones: the second of a pair is kept by the generators
    states = random_states(CPU)
    assert list(foreign_entries(plain_values(states))) == []
    write_checkpoint(tmp_path / "c.pth", {"random_states": states})
    expected = [draws() for _ in range(3)]
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(1)
    loaded = torch.load(tmp_path / "c.pth", weights_only=True)["random_states"]
    set_random_states(loaded, CPU)
    assert [draws() for _ in range(3)] == expected
    set_random_states(read_checkpoint(tmp_path / "c.pth")["random_states"], CPU)
    assert [draws() for _ in range(3)] == expected
