"""The losses of trainer variants against their definitions; ignored voxels, regions, distributed training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from nnunetv2.errors import UsageError
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerCELoss import nnUNetTrainerCELoss
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerDiceLoss import (
    nnUNetTrainerDiceCELoss_noSmooth,
    nnUNetTrainerDiceLoss,
)
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerTopkLoss import (
    nnUNetTrainerDiceTopK10Loss,
    nnUNetTrainerTopk10Loss,
    nnUNetTrainerTopk10LossLS01,
)
from tests.training.nnUNetTrainer.test_construction import DATASET_JSON
from tests.training.tiny_training import CPU, tiny_plans

WITH_IGNORE = DATASET_JSON | {"labels": {"background": 0, "shell": 1, "core": 2, "ignore": 3}}
WITH_REGIONS = DATASET_JSON | {"labels": {"background": 0, "whole": [1, 2], "core": 2}, "regions_class_order": [1, 2]}


def make(trainer_class: type, dataset_json: dict = DATASET_JSON):
    return trainer_class(tiny_plans(), "tiny", 0, dataset_json, device=CPU)


def loss_of(trainer_class: type, logits, target, dataset_json: dict = DATASET_JSON) -> float:
    """The trainer's loss of one output."""
    loss = make(trainer_class, dataset_json)._build_loss()
    assert isinstance(loss, DeepSupervisionWrapper)
    assert loss.weight_factors == (1, 0)
    return float(loss.loss(logits, target))


@pytest.fixture
def logits():
    return torch.randn(2, 3, 6, 5, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def target():
    return torch.randint(0, 3, (2, 1, 6, 5, 4), generator=torch.Generator().manual_seed(2), dtype=torch.int16)


def per_voxel(logits, target, **more) -> torch.Tensor:
    return functional.cross_entropy(logits, target[:, 0].long(), reduction="none", **more)


def hardest_tenth(values: torch.Tensor) -> float:
    return float(values.flatten().sort(descending=True).values[: values.numel() // 10].mean())


def dice(logits, target, smooth: float = 1e-5) -> float:
    """Minus the mean Dice of both foreground classes over the whole batch, by its definition."""
    p = torch.softmax(logits, 1)
    scores = []
    for label in (1, 2):
        inside = (target[:, 0] == label).float()
        scores.append((2 * (p[:, label] * inside).sum() + smooth) / (p[:, label].sum() + inside.sum() + smooth))
    return -float(np.mean(scores))


def test_loss_variants_compute_what_they_are_named_after(folders, logits, target):
    values = per_voxel(logits, target)
    assert loss_of(nnUNetTrainerCELoss, logits, target) == pytest.approx(float(values.mean()))
    assert loss_of(nnUNetTrainerDiceLoss, logits, target) == pytest.approx(dice(logits, target))
    assert loss_of(nnUNetTrainerDiceCELoss_noSmooth, logits, target) == pytest.approx(
        dice(logits, target, smooth=0) + float(values.mean())
    )
    hardest = hardest_tenth(values)
    assert loss_of(nnUNetTrainerTopk10Loss, logits, target) == pytest.approx(hardest)
    assert loss_of(nnUNetTrainerDiceTopK10Loss, logits, target) == pytest.approx(dice(logits, target) + hardest)
    assert loss_of(nnUNetTrainerTopk10LossLS01, logits, target) == pytest.approx(
        hardest_tenth(per_voxel(logits, target, label_smoothing=0.1))
    )


def test_without_smoothing_a_class_that_is_nowhere_has_dice_0(folders):
    nothing = torch.full((1, 3, 4, 4, 4), -1e4)
    nothing[:, 0] = 1e4
    background = torch.zeros(1, 1, 4, 4, 4, dtype=torch.int16)
    assert loss_of(nnUNetTrainerDiceCELoss_noSmooth, nothing, background) == 0
    assert loss_of(nnUNetTrainerDiceLoss, nothing, background) == -1


LOSSES = [
    nnUNetTrainerCELoss,
    nnUNetTrainerDiceLoss,
    nnUNetTrainerDiceCELoss_noSmooth,
    nnUNetTrainerTopk10Loss,
    nnUNetTrainerTopk10LossLS01,
    nnUNetTrainerDiceTopK10Loss,
]


@pytest.mark.parametrize("trainer_class", LOSSES)
def test_voxels_to_ignore_have_no_influence(trainer_class, folders, logits, target):
    target[:, :, :3] = 3
    other = logits.clone()
    other[:, :, :3] += torch.randn_like(other[:, :, :3])
    losses = [loss_of(trainer_class, values, target, WITH_IGNORE) for values in (logits, other)]
    assert losses[0] == pytest.approx(losses[1])
    assert np.isfinite(loss_of(trainer_class, logits, torch.full_like(target, 3), WITH_IGNORE))


@pytest.mark.parametrize("trainer_class", LOSSES)
def test_every_output_needs_a_gradient_when_training_is_distributed(trainer_class, folders):
    trainer = make(trainer_class)
    trainer.is_ddp = True
    weights = trainer._build_loss().weight_factors
    assert 0 < weights[-1] < 1e-5 < weights[0]


def test_softmax_losses_refuse_regions_and_dice_takes_them(folders, logits):
    for trainer_class in (nnUNetTrainerCELoss, nnUNetTrainerTopk10Loss, nnUNetTrainerDiceTopK10Loss):
        with pytest.raises(
            UsageError, match=f"{trainer_class.__name__} is for labels.*Dataset997_Tiny defines regions"
        ):
            make(trainer_class, WITH_REGIONS)._build_loss()
    regions = torch.rand(2, 2, 6, 5, 4) < 0.4
    expected = MemoryEfficientSoftDiceLoss(torch.sigmoid, batch_dice=True, do_bg=True, smooth=1e-5, ddp=False)
    value = loss_of(nnUNetTrainerDiceLoss, logits[:, :2], regions, WITH_REGIONS)
    assert value == pytest.approx(float(expected(logits[:, :2], regions)))
