"""Sharing a batch between devices, and the group of processes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nnunetv2.errors import UsageError
from nnunetv2.training.distributed import gather_objects, is_distributed, rank, share_of_batch, world_size
from tests.training.gloo_processes import run_in_processes

# Global batch, devices; batch sizes, fractions and forced samples per device.
TABLE = [
    (2, 1, [2], [0.33], [1]),
    (2, 2, [1, 1], [0, 1], [0, 1]),
    (4, 2, [2, 2], [0, 0.5], [0, 1]),
    (4, 3, [2, 1, 1], [0, 0, 1], [0, 0, 1]),
    (8, 3, [3, 3, 2], [0, Fraction(1, 3), 1], [0, 1, 2]),
    (12, 4, [3, 3, 3, 3], [0, 0, Fraction(1, 3), 1], [0, 0, 1, 3]),
]


@pytest.mark.parametrize(("batch", "world", "sizes", "fractions", "forced"), TABLE)
def test_shares_equal_the_published_table(batch, world, sizes, fractions, forced):
    shares = [share_of_batch(batch, 0.33, r, world) for r in range(world)]
    assert [size for size, _ in shares] == sizes
    assert [fraction for _, fraction in shares] == pytest.approx([float(f) for f in fractions])
    # The rule of the loader: sample i is forced unless i < round(size * (1 - fraction)).
    assert [size - round(size * (1 - fraction)) for size, fraction in shares] == forced


@pytest.mark.parametrize("world", range(1, 8))
def test_shares_add_up_to_the_batch(world):
    for batch in range(world, 20):
        assert sum(share_of_batch(batch, 0.33, r, world)[0] for r in range(world)) == batch


def test_full_and_no_oversampling_reach_every_device():
    assert [share_of_batch(4, 1.0, r, 2)[1] for r in range(2)] == [1, 1]
    assert [share_of_batch(4, 0.0, r, 2)[1] for r in range(2)] == [0, 0]


def test_more_devices_than_samples_are_refused():
    with pytest.raises(UsageError, match="a batch of 2 cannot be shared by 3 devices"):
        share_of_batch(2, 0.33, 0, 3)


def test_single_process_is_a_group_of_one():
    assert (is_distributed(), rank(), world_size()) == (False, 0, 1)
    assert gather_objects({"a": 1}) == [{"a": 1}]


def _group_view(own_rank: int) -> tuple:
    return is_distributed(), rank(), world_size(), gather_objects({"rank": own_rank})


@pytest.mark.slow
def test_two_processes_know_each_other_and_exchange_objects():
    everyone = [{"rank": 0}, {"rank": 1}]
    assert run_in_processes(_group_view, 2) == [(True, 0, 2, everyone), (True, 1, 2, everyone)]
