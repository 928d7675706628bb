"""Pooled counts against a voxel-wise twin, and Dice from counts."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nnunetv2.training.online_metrics import dice_from_counts, hard_counts, mean_foreground_dice
from tests.training.loss import fixed_batches as fixed


def labels_of(has_regions=False, ignore_label=None):
    return SimpleNamespace(
        has_regions=has_regions, has_ignore_label=ignore_label is not None, ignore_label=ignore_label
    )


def counts_one_by_one(predicted: np.ndarray, actual: np.ndarray, mask: np.ndarray) -> list[list[int]]:
    """tp, fp, fn per channel of two boolean arrays (B, C, H, W)."""
    found = []
    for hit in ((True, True), (True, False), (False, True)):
        match = (predicted == hit[0]) & (actual == hit[1]) & mask
        found.append([int(match[:, c].sum()) for c in range(match.shape[1])])
    return found


@pytest.mark.parametrize("ignore_label", [None, 3])
@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
def test_class_counts_equal_those_made_one_by_one(ignore_label, dtype):
    z, y, mask = fixed.logits(), fixed.labels(), np.ones((2, 1, 4, 5), dtype=bool)
    if ignore_label is not None:
        mask = fixed.mask()
        y = np.where(mask, y, ignore_label)
    predicted = fixed.one_hot(z.argmax(1)[:, None])
    expected = counts_one_by_one(predicted[:, 1:], fixed.one_hot(y)[:, 1:], mask)
    found = hard_counts(torch.tensor(z), torch.tensor(y, dtype=dtype), labels_of(ignore_label=ignore_label))
    assert [x.tolist() for x in found] == expected
    assert all(x.shape == (2,) and x.dtype == np.int64 for x in found)


@pytest.mark.parametrize("with_ignore", [False, True])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_region_counts_equal_those_made_one_by_one(with_ignore, dtype):
    z, target = fixed.logits(), fixed.regions()
    mask = fixed.mask() if with_ignore else np.ones((2, 1, 4, 5), dtype=bool)
    expected = counts_one_by_one(z > 0, target, mask)
    if with_ignore:
        target = np.concatenate([target, ~mask], 1)
    found = hard_counts(torch.tensor(z), torch.tensor(target, dtype=dtype), labels_of(True, 9 if with_ignore else None))
    assert [x.tolist() for x in found] == expected


def test_counts_work_in_three_dimensions_and_half_precision():
    z = torch.tensor(fixed.logits((1, 2, 3, 4, 5)), dtype=torch.float16)
    y = (torch.arange(60) % 2).view(1, 1, 3, 4, 5)
    tp, fp, fn = hard_counts(z, y, labels_of())
    predicted = z[:, 1] > z[:, 0]
    assert (tp, fp) == ((predicted & (y[:, 0] == 1)).sum(), (predicted & (y[:, 0] == 0)).sum())
    assert tp + fn == 30


def test_label_beyond_the_output_channels_is_named():
    with pytest.raises(ValueError, match="label 5, the network has 3"):
        hard_counts(torch.zeros(1, 3, 2, 2), torch.full((1, 1, 2, 2), 5), labels_of())


def test_fully_ignored_batch_counts_nothing():
    counts = hard_counts(torch.zeros(1, 3, 2, 2), torch.full((1, 1, 2, 2), 3), labels_of(ignore_label=3))
    assert [x.tolist() for x in counts] == [[0, 0]] * 3


def test_dice_is_nan_where_there_is_nothing_and_plain_elsewhere():
    dice = dice_from_counts(np.array([0, 3, 0]), np.array([0, 1, 2]), np.array([0, 1, 0]))
    assert math.isnan(dice[0])
    assert dice[1:] == [0.75, 0.0]
    assert all(type(value) is float for value in dice)


def test_mean_leaves_out_nan():
    assert mean_foreground_dice([math.nan, 0.5, 1.0]) == 0.75
    assert math.isnan(mean_foreground_dice([math.nan, math.nan]))
    assert math.isnan(mean_foreground_dice([]))
