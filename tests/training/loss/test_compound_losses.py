"""Sums of Dice and cross-entropy: weights, ignore labels, regions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss, DC_and_topk_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss, SoftDiceLoss
from tests.training.loss import fixed_batches as fixed

DICE = {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}
REGION_DICE = {**DICE, "do_bg": True}
IGNORE = 3


def z() -> torch.Tensor:
    return torch.tensor(fixed.logits())


def y() -> torch.Tensor:
    return torch.tensor(fixed.labels())


def y_with_ignore() -> torch.Tensor:
    return torch.where(torch.tensor(fixed.mask()), y(), IGNORE)


def numpy_dice(mask=1) -> float:
    return fixed.dice_loss(fixed.softmax(fixed.logits()), fixed.one_hot(fixed.labels()), mask, 1e-5, do_bg=False)


def region_target(with_flag: bool) -> torch.Tensor:
    target = fixed.regions()
    if with_flag:
        target = np.concatenate([target & fixed.mask(), ~fixed.mask()], 1)
    return torch.tensor(target)


@pytest.mark.parametrize("dice_class", [SoftDiceLoss, MemoryEfficientSoftDiceLoss])
def test_dice_and_cross_entropy_are_weighted(dice_class):
    loss = DC_and_CE_loss(DICE, {}, weight_ce=0.7, weight_dice=2, dice_class=dice_class)
    expected = 0.7 * fixed.cross_entropies(fixed.logits(), fixed.labels()).mean() + 2 * numpy_dice()
    assert loss(z(), y()).item() == pytest.approx(expected, rel=1e-12)


def test_default_losses_equal_the_recorded_values():
    trained_with = {**DICE, "batch_dice": True}
    assert DC_and_CE_loss(trained_with, {})(z(), y()).item() == pytest.approx(1.4237280916 - 0.3344767648, abs=1e-9)
    assert DC_and_topk_loss(trained_with, {"k": 10})(z(), y()).item() == pytest.approx(
        2.9996758763 - 0.3344767648, abs=1e-9
    )
    found = DC_and_BCE_loss({}, REGION_DICE)(z(), region_target(False)).item()
    assert found == pytest.approx(0.9187433429 - 0.3914825030, abs=1e-7)


def test_ignored_voxels_take_part_in_neither_term():
    mask = fixed.mask()
    cross_entropy = fixed.cross_entropies(fixed.logits(), fixed.labels())[mask[:, 0]].mean()
    loss = DC_and_CE_loss(DICE, {}, ignore_label=IGNORE)
    assert loss(z(), y_with_ignore()).item() == pytest.approx(cross_entropy + numpy_dice(mask), rel=1e-12)
    assert numpy_dice(mask) == pytest.approx(-0.3424462832846025, rel=1e-12)


def test_topk_term_counts_ignored_voxels_as_zero():
    mask = fixed.mask()
    per_voxel = np.where(mask[:, 0], fixed.cross_entropies(fixed.logits(), fixed.labels()), 0)
    loss = DC_and_topk_loss(DICE, {"k": 90}, ignore_label=IGNORE)
    expected = np.sort(per_voxel.ravel())[-36:].mean() + numpy_dice(mask)
    assert loss(z(), y_with_ignore()).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss_class", [DC_and_CE_loss, DC_and_topk_loss])
def test_batch_without_annotation_gives_minus_one_and_no_gradient(loss_class):
    output = z().requires_grad_()
    loss = loss_class(DICE, {}, ignore_label=IGNORE)(output, torch.full((2, 1, 4, 5), IGNORE))
    loss.backward()
    assert loss.item() == -1
    assert not output.grad.any()


def test_ignore_label_needs_a_label_map():
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\)"):
        DC_and_CE_loss(DICE, {}, ignore_label=IGNORE)(z(), torch.zeros(2, 3, 4, 5))


def test_given_settings_are_not_changed():
    ce_kwargs, bce_kwargs = {}, {}
    DC_and_CE_loss(DICE, ce_kwargs, ignore_label=IGNORE)
    DC_and_BCE_loss(bce_kwargs, REGION_DICE, use_ignore_label=True)
    assert ce_kwargs == bce_kwargs == {}


def _must_not_be_called(*_, **__):
    raise AssertionError("this term has weight 0")


@pytest.mark.parametrize("loss_class", [DC_and_CE_loss, DC_and_topk_loss])
def test_term_with_weight_zero_is_not_computed(loss_class):
    no_dice = loss_class(DICE, {}, weight_dice=0)
    no_dice.dc.forward = _must_not_be_called
    assert no_dice(z(), y()).item() == pytest.approx(no_dice.ce(z(), y()).item())
    no_cross_entropy = loss_class(DICE, {}, weight_ce=0)
    no_cross_entropy.ce.forward = _must_not_be_called
    assert no_cross_entropy(z(), y()).item() == pytest.approx(numpy_dice(), rel=1e-12)


def test_loss_without_any_term_left_can_still_be_differentiated():
    output = z().requires_grad_()
    loss = DC_and_CE_loss(DICE, {}, weight_dice=0, ignore_label=IGNORE)(output, torch.full((2, 1, 4, 5), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert not output.grad.any()


def test_region_loss_equals_the_formula():
    p, g = fixed.sigmoid(fixed.logits()), fixed.regions()
    expected = 0.5 * fixed.binary_cross_entropies(fixed.logits(), g).mean() + 3 * fixed.dice_loss(p, g, smooth=1e-5)
    loss = DC_and_BCE_loss({}, REGION_DICE, weight_ce=0.5, weight_dice=3)
    assert loss(z(), region_target(False)).item() == pytest.approx(expected, rel=1e-12)


def test_region_loss_with_ignore_label_divides_by_voxels_not_by_voxels_times_regions():
    mask, g = fixed.mask(), fixed.regions() & fixed.mask()
    per_entry = fixed.binary_cross_entropies(fixed.logits(), g) * mask
    expected = per_entry.sum() / mask.sum() + fixed.dice_loss(fixed.sigmoid(fixed.logits()), g, mask, 1e-5)
    loss = DC_and_BCE_loss({}, REGION_DICE, use_ignore_label=True)
    assert loss(z(), region_target(True)).item() == pytest.approx(expected, rel=1e-12)


def test_unused_ignore_flag_makes_the_binary_cross_entropy_as_many_times_larger_as_there_are_regions():
    plain = DC_and_BCE_loss({}, REGION_DICE, weight_dice=0)(z(), region_target(False)).item()
    flagged = torch.cat([region_target(False), torch.zeros(2, 1, 4, 5, dtype=torch.bool)], 1)
    with_flag = DC_and_BCE_loss({}, REGION_DICE, weight_dice=0, use_ignore_label=True)(z(), flagged).item()
    assert with_flag == pytest.approx(3 * plain, rel=1e-12)


def test_region_loss_without_annotation_is_finite_and_has_no_gradient():
    target = torch.zeros(2, 4, 4, 5)
    target[:, -1] = 1
    output = z().requires_grad_()
    loss = DC_and_BCE_loss({}, REGION_DICE, use_ignore_label=True)(output, target)
    loss.backward()
    assert loss.item() == -1
    assert not output.grad.any()


@pytest.mark.parametrize("kind", ["classes", "ignore", "topk", "regions", "regions with ignore"])
def test_gradients_are_those_of_the_value(kind):
    loss, target = {
        "classes": (DC_and_CE_loss(DICE, {}), y()),
        "ignore": (DC_and_CE_loss(DICE, {}, ignore_label=IGNORE), y_with_ignore()),
        "topk": (DC_and_topk_loss(DICE, {"k": 20}), y()),
        "regions": (DC_and_BCE_loss({}, REGION_DICE), region_target(False)),
        "regions with ignore": (DC_and_BCE_loss({}, REGION_DICE, use_ignore_label=True), region_target(True)),
    }[kind]
    assert torch.autograd.gradcheck(lambda x: loss(x, target), z().requires_grad_())
