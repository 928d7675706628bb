"""Soft Dice against its formula in numpy, recorded values, and across processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunetv2.training.loss.dice import (
    MemoryEfficientSoftDiceLoss,
    SoftDiceLoss,
    get_tp_fp_fn_tn,
    one_channel_per_class,
)
from nnunetv2.utilities.helpers import softmax_helper_dim1
from tests.training.gloo_processes import run_in_processes
from tests.training.loss import fixed_batches as fixed

CLASSES = (MemoryEfficientSoftDiceLoss, SoftDiceLoss)


def tensor(array, dtype=torch.float32):
    return torch.tensor(array, dtype=dtype)


@pytest.mark.parametrize("dice_class", CLASSES)
@pytest.mark.parametrize("do_bg", [True, False])
@pytest.mark.parametrize("batch_dice", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_loss_equals_the_formula(dice_class, do_bg, batch_dice, masked):
    mask = fixed.mask() if masked else np.ones((2, 1, 4, 5))
    expected = fixed.dice_loss(
        fixed.softmax(fixed.logits()), fixed.one_hot(fixed.labels()), mask, 1e-5, batch_dice, do_bg
    )
    loss = dice_class(softmax_helper_dim1, batch_dice, do_bg, 1e-5, ddp=True)
    found = loss(tensor(fixed.logits()), tensor(fixed.labels()), loss_mask=tensor(mask, torch.bool) if masked else None)
    assert found.ndim == 0
    assert found.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dice_class", CLASSES)
def test_loss_equals_the_recorded_values(dice_class):
    z, y = tensor(fixed.logits()), tensor(fixed.labels())
    default = dice_class(apply_nonlin=softmax_helper_dim1)
    assert default(z, y).item() == pytest.approx(-0.4041963821, abs=1e-6)
    as_in_training = dice_class(softmax_helper_dim1, batch_dice=True, do_bg=False, smooth=1e-5)
    assert as_in_training(z, y).item() == pytest.approx(-0.3344767648, abs=1e-6)


def test_constructor_defaults_are_the_published_ones():
    loss = SoftDiceLoss()
    assert (loss.apply_nonlin, loss.batch_dice, loss.do_bg, loss.smooth, loss.ddp) == (None, False, True, 1.0, True)
    assert loss.clip_tp is None


@pytest.mark.parametrize("target", ["label map", "without channel", "one-hot bool", "one-hot float", "float labels"])
def test_all_forms_of_the_target_give_the_same_loss(target):
    labels, one_hot = fixed.labels(), fixed.one_hot(fixed.labels())
    forms = {
        "label map": tensor(labels, torch.int16),
        "without channel": tensor(labels[:, 0], torch.int64),
        "one-hot bool": tensor(one_hot, torch.bool),
        "one-hot float": tensor(one_hot),
        "float labels": tensor(labels),
    }
    loss = MemoryEfficientSoftDiceLoss(softmax_helper_dim1, do_bg=False)
    expected = fixed.dice_loss(fixed.softmax(fixed.logits()), one_hot, do_bg=False)
    assert loss(tensor(fixed.logits()), forms[target]).item() == pytest.approx(expected, abs=1e-6)


def test_target_of_another_kind_is_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(2, 2, 4, 5\).*\(2, 3, 4, 5\)"):
        SoftDiceLoss()(tensor(fixed.logits()), torch.zeros(2, 2, 4, 5))


@pytest.mark.parametrize("dice_class", CLASSES)
def test_gradient_reaches_the_output_and_not_the_target(dice_class):
    z = tensor(fixed.logits(), torch.float64).requires_grad_()
    y = tensor(fixed.one_hot(fixed.labels()), torch.float64).requires_grad_()
    mask = tensor(fixed.mask(), torch.bool)
    loss = dice_class(softmax_helper_dim1, batch_dice=True, do_bg=False, smooth=1e-5)
    assert torch.autograd.gradcheck(lambda x: loss(x, y.detach(), loss_mask=mask), z)
    loss(z, y, loss_mask=mask).backward()
    assert z.grad.abs().sum() > 0
    assert y.grad is None


def test_masked_voxels_have_no_influence():
    z, mask = fixed.logits(), fixed.mask()
    changed = np.where(mask, z, z[:, ::-1] + 1)
    loss = MemoryEfficientSoftDiceLoss(softmax_helper_dim1, smooth=1e-5)
    losses = [loss(tensor(x), tensor(fixed.labels()), loss_mask=tensor(mask, torch.bool)).item() for x in (z, changed)]
    assert losses[0] == losses[1]
    assert loss(tensor(z), tensor(fixed.labels())).item() != pytest.approx(losses[0])


def test_clip_tp_is_a_lower_bound_of_the_true_positives():
    p, g = fixed.softmax(fixed.logits()), fixed.one_hot(fixed.labels())
    tp = np.maximum((p * g).sum((2, 3)), 3.0)
    fp, fn = (p * (1 - g)).sum((2, 3)), ((1 - p) * g).sum((2, 3))
    assert (tp == 3).any()
    assert (tp > 3).any()
    expected = -((2 * tp + 1) / (2 * tp + fp + fn + 1)).mean()
    assert SoftDiceLoss(clip_tp=3.0)(tensor(p), tensor(g)).item() == pytest.approx(expected, abs=1e-6)


def test_nothing_predicted_and_nothing_there_is_finite():
    nothing = torch.zeros(1, 2, 3, 3)
    assert MemoryEfficientSoftDiceLoss(smooth=0)(nothing, nothing.bool()).item() == 0
    assert MemoryEfficientSoftDiceLoss(smooth=1e-5)(nothing, nothing.bool()).item() == -1


def test_sums_of_half_precision_do_not_overflow():
    p = torch.ones(1, 1, 300, 300, dtype=torch.float16)
    assert MemoryEfficientSoftDiceLoss()(p, torch.ones(1, 1, 300, 300, dtype=torch.bool)).item() == -1


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("axes", [None, [0, 2, 3]])
def test_counts_equal_the_formula(axes, square):
    p, g, m = fixed.softmax(fixed.logits()), fixed.one_hot(fixed.labels()), fixed.mask()
    found = get_tp_fp_fn_tn(tensor(p), tensor(fixed.labels()), axes, tensor(m, torch.bool), square)
    over = tuple(axes) if axes else (2, 3)
    power = 2 if square else 1
    expected = [((a * b * m) ** power).sum(over) for a, b in ((p, g), (p, 1 - g), (1 - p, g), (1 - p, 1 - g))]
    for x, y in zip(found, expected):
        np.testing.assert_allclose(x.numpy(), y, rtol=1e-5)


def test_counts_of_hard_predictions_are_whole_numbers_that_sum_to_the_voxels():
    hard = one_channel_per_class(torch.tensor(fixed.labels()[:, :, ::-1].copy()), fixed.SHAPE)
    counts = get_tp_fp_fn_tn(hard, torch.tensor(fixed.labels()), axes=[0, 2, 3])
    assert all(torch.equal(x, x.round()) for x in counts)
    assert sum(counts).tolist() == [40, 40, 40]


def _loss_and_gradient(rank: int, split: list[int]) -> tuple[float, np.ndarray]:
    """Of the part of the fixed batch that belongs to one rank; ``split`` gives the samples per rank."""
    z, y = torch.tensor(fixed.logits((3, 3, 4, 5))), torch.tensor(np.arange(60).reshape(3, 1, 4, 5) * 13 % 7 % 3)
    start = sum(split[:rank])
    part = z[start : start + split[rank]].requires_grad_()
    loss = MemoryEfficientSoftDiceLoss(softmax_helper_dim1, batch_dice=True, do_bg=False, smooth=1e-5)
    value = loss(part, y[start : start + split[rank]])
    value.backward()
    return value.item(), part.grad.numpy()


@pytest.mark.slow
def test_dice_of_two_processes_with_unequal_batches_equals_that_of_one():
    value, gradient = _loss_and_gradient(0, [3])
    (first, first_gradient), (second, second_gradient) = run_in_processes(_loss_and_gradient, 2, [1, 2])
    assert first == second == pytest.approx(value, abs=1e-12)
    # DistributedDataParallel divides the sum of the gradients by the number of ranks.
    np.testing.assert_allclose(np.concatenate([first_gradient, second_gradient]) / 2, gradient, atol=1e-12)
