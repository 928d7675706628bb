"""Cross-entropy and top-k cross-entropy against numpy and recorded values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunetv2.training.loss.robust_ce_loss import RobustCrossEntropyLoss, TopKLoss
from tests.training.loss import fixed_batches as fixed


def batch(dtype=torch.float64):
    return torch.tensor(fixed.logits(), dtype=dtype), torch.tensor(fixed.labels())


@pytest.mark.parametrize("dtype", [torch.int16, torch.int64, torch.float32])
@pytest.mark.parametrize("with_channel", [True, False])
def test_cross_entropy_accepts_label_maps_of_any_type(dtype, with_channel):
    z, y = batch()
    y = y.to(dtype) if with_channel else y[:, 0].to(dtype)
    found = RobustCrossEntropyLoss()(z, y).item()
    assert found == pytest.approx(fixed.cross_entropies(fixed.logits(), fixed.labels()).mean(), rel=1e-12)
    assert found == pytest.approx(1.4237280915840966, rel=1e-12)


def test_cross_entropy_leaves_ignored_voxels_out_of_the_mean():
    z, y = batch()
    mask = fixed.mask()
    found = RobustCrossEntropyLoss(ignore_index=9)(z, torch.where(torch.tensor(mask), y, 9))
    expected = fixed.cross_entropies(fixed.logits(), fixed.labels())[mask[:, 0]].mean()
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", [RobustCrossEntropyLoss(), TopKLoss()])
def test_target_with_several_channels_is_refused(loss):
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\)"):
        loss(batch()[0], torch.zeros(2, 3, 4, 5))


@pytest.mark.parametrize(("k", "count"), [(10, 4), (12.4, 4), (50, 20), (100, 40)])
def test_topk_is_the_mean_of_the_largest_losses(k, count):
    per_voxel = np.sort(fixed.cross_entropies(fixed.logits(), fixed.labels()).ravel())
    assert TopKLoss(k=k)(*batch()).item() == pytest.approx(per_voxel[-count:].mean(), rel=1e-12)


def test_topk_equals_the_recorded_value():
    assert TopKLoss()(*batch()).item() == pytest.approx(2.9996758763448717, rel=1e-12)


def test_topk_takes_at_least_one_voxel():
    per_voxel = fixed.cross_entropies(fixed.logits(), fixed.labels())
    assert TopKLoss(k=1)(*batch()).item() == pytest.approx(per_voxel.max(), rel=1e-12)


def test_topk_counts_ignored_voxels_with_a_loss_of_zero():
    z, y = batch()
    first_three = torch.arange(40).view(2, 1, 4, 5) < 3
    found = TopKLoss(ignore_index=255, k=10)(z, torch.where(first_three, y, 255))
    expected = fixed.cross_entropies(fixed.logits(), fixed.labels()).ravel()[:3].sum() / 4
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_topk_supports_label_smoothing_and_class_weights():
    z, y = batch()
    log_p = np.log(fixed.softmax(fixed.logits()))
    smoothed = 0.9 * fixed.cross_entropies(fixed.logits(), fixed.labels()) - 0.1 * log_p.mean(1)
    assert TopKLoss(k=100, label_smoothing=0.1)(z, y).item() == pytest.approx(smoothed.mean(), rel=1e-12)
    weight = np.array([1.0, 2.0, 0.5])
    weighted = fixed.cross_entropies(fixed.logits(), fixed.labels()) * weight[fixed.labels()[:, 0]]
    assert TopKLoss(torch.tensor(weight), k=100)(z, y).item() == pytest.approx(weighted.mean(), rel=1e-12)


def test_topk_has_gradients_for_the_hardest_voxels_only():
    z, y = batch()
    z.requires_grad_()
    TopKLoss(k=10)(z, y).backward()
    assert (z.grad.abs().sum(1) > 0).sum() == 4
