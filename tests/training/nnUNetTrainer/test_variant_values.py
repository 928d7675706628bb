"""What is particular to single trainer variants: optimizers, schedules, sampling, networks, mixtures."""

from __future__ import annotations

import copy
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from nnunetv2.errors import PlansError, UsageError
from nnunetv2.networks.build import build_network
from nnunetv2.training.dataloading.patch_sampling import is_forced_by_position
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.robust_ce_loss import TopKLoss
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as trainer_module
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation import nnUNetTrainerDA5 as da5
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation import nnUNetTrainerDAOrd0 as ord0
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainer_noDummy2DDA import (
    nnUNetTrainer_noDummy2DDA,
)
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import nnUNetTrainerNoMirroring
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerTopkLoss import nnUNetTrainerTopk10Loss
from nnunetv2.training.nnUNetTrainer.variants.lr_schedule.nnUNetTrainer_warmup import nnUNetTrainer_warmup
from nnunetv2.training.nnUNetTrainer.variants.lr_schedule.nnUNetTrainerCosAnneal import nnUNetTrainerCosAnneal
from nnunetv2.training.nnUNetTrainer.variants.network_architecture.nnUNetTrainerBN import nnUNetTrainerBN
from nnunetv2.training.nnUNetTrainer.variants.network_architecture.nnUNetTrainerNoDeepSupervision import (
    nnUNetTrainerNoDeepSupervision,
)
from nnunetv2.training.nnUNetTrainer.variants.optimizer.nnUNetTrainerAdam import (
    nnUNetTrainerAdam,
    nnUNetTrainerAdam3en4,
    nnUNetTrainerVanillaAdam1en3,
)
from nnunetv2.training.nnUNetTrainer.variants.optimizer.nnUNetTrainerAdan import (
    nnUNetTrainerAdan,
    nnUNetTrainerAdanCosAnneal,
)
from nnunetv2.training.nnUNetTrainer.variants.sampling.nnUNetTrainer_probabilisticOversampling import (
    forced_fraction,
    nnUNetTrainer_probabilisticOversampling,
    nnUNetTrainer_probabilisticOversampling_010,
)
from tests.training.nnUNetTrainer.test_construction import DATASET_JSON
from tests.training.tiny_training import CPU, tiny_plans


def make(trainer_class: type, dataset_json: dict = DATASET_JSON, plans: dict | None = None):
    return trainer_class(plans or tiny_plans(), "tiny", 0, dataset_json, device=CPU)


def initialized(trainer_class: type, dataset_json: dict = DATASET_JSON):
    trainer = make(trainer_class, dataset_json)
    trainer.initialize()
    return trainer


def test_adam_settings(folders):
    for trainer_class, kind, rate in (
        (nnUNetTrainerAdam, torch.optim.AdamW, 1e-2),
        (nnUNetTrainerAdam3en4, torch.optim.AdamW, 3e-4),
        (nnUNetTrainerVanillaAdam1en3, torch.optim.Adam, 1e-3),
    ):
        optimizer = initialized(trainer_class).optimizer
        assert type(optimizer) is kind
        group = optimizer.param_groups[0]
        assert (group["lr"], group["weight_decay"], group["amsgrad"]) == (rate, 3e-5, kind is torch.optim.AdamW)


def test_adan_asks_for_its_package_when_it_is_needed(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "adan_pytorch", None)
    trainer = make(nnUNetTrainerAdan)
    with pytest.raises(UsageError, match="pip install adan-pytorch"):
        trainer.initialize()


def test_adan_gets_rate_and_weight_decay_and_keeps_its_coefficients(folders, monkeypatch):
    asked = []

    class Adan(torch.optim.SGD):
        def __init__(self, params, **settings):
            asked.append(settings)
            super().__init__(params, lr=settings["lr"])

    package = ModuleType("adan_pytorch")
    package.Adan = Adan
    monkeypatch.setitem(sys.modules, "adan_pytorch", package)
    trainer = initialized(nnUNetTrainerAdanCosAnneal)
    assert asked == [{"lr": 1e-2, "weight_decay": 3e-5}]
    trainer.lr_scheduler.step(500)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(5e-3)


def rates(trainer, epochs) -> list[float]:
    found = []
    for trainer.current_epoch in epochs:
        trainer.on_train_epoch_start()
        found.append(trainer.optimizer.param_groups[0]["lr"])
    return found


def test_cosine_schedule(folders):
    trainer = initialized(nnUNetTrainerCosAnneal)
    assert type(trainer.optimizer) is torch.optim.SGD
    assert rates(trainer, (0, 250, 500, 750)) == pytest.approx([1e-2, 8.535534e-3, 5e-3, 1.464466e-3], rel=1e-6)
    trainer.lr_scheduler.step(1000)
    trainer.lr_scheduler.step(1500)
    assert trainer.optimizer.param_groups[0]["lr"] == 0


def test_warmup_rises_to_the_initial_rate_and_keeps_the_optimizer(folders):
    trainer = initialized(nnUNetTrainer_warmup)
    optimizer = trainer.optimizer
    assert rates(trainer, (0, 24, 49)) == pytest.approx([2e-4, 5e-3, 1e-2])
    assert trainer.training_stage == "warmup_all"
    assert rates(trainer, (50, 51, 999)) == pytest.approx(
        [1e-2, 1e-2 * (949 / 950) ** 0.9, 1e-2 * (1 / 950) ** 0.9], rel=1e-12
    )
    assert trainer.training_stage == "train"
    assert trainer.optimizer is optimizer


def test_a_training_shorter_than_the_warmup_only_warms_up(folders):
    class Short(nnUNetTrainer_warmup):
        num_epochs = 20

    trainer = initialized(Short)
    assert rates(trainer, (0, 19)) == pytest.approx([2e-4, 4e-3])
    assert trainer.stage_of(20) == "warmup_all"


def test_warmup_knows_two_stages_and_starts_anew_for_another_network(folders):
    trainer = initialized(nnUNetTrainer_warmup)
    with pytest.raises(UsageError, match="'warmup_all' and 'train'"):
        trainer.configure_optimizers("cool_down")
    trainer.network = torch.nn.Linear(2, 2)
    optimizer, _ = trainer.configure_optimizers()
    assert optimizer.param_groups[0]["params"] == list(trainer.network.parameters())


@pytest.mark.parametrize("form", ["file", "content"])
def test_warmup_is_resumed_in_its_stage_with_its_momentum(form, folders):
    trainer = initialized(nnUNetTrainer_warmup)
    rates(trainer, (59, 60))
    for parameter in trainer.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    trainer.optimizer.step()
    path = f"{trainer.output_folder}/checkpoint_latest.pth"
    trainer.save_checkpoint(path)

    resumed = make(nnUNetTrainer_warmup)
    resumed.load_checkpoint(path if form == "file" else torch.load(path, weights_only=False))
    assert (resumed.current_epoch, resumed.training_stage) == (61, "train")
    for before, after in zip(trainer.network.parameters(), resumed.network.parameters()):
        momentum = resumed.optimizer.state[after]["momentum_buffer"]
        assert torch.equal(momentum, trainer.optimizer.state[before]["momentum_buffer"])
    assert rates(resumed, [61]) == pytest.approx([1e-2 * (1 - 11 / 950) ** 0.9])


@pytest.mark.parametrize(
    ("batch", "fraction"), [(2, 1 / 2), (3, 1 / 3), (5, 2 / 5), (8, 3 / 8), (9, 1 / 3), (12, 1 / 3)]
)
def test_probability_equals_the_share_that_positions_give(batch, fraction, folders):
    assert forced_fraction(batch, 0.33) == pytest.approx(fraction)
    plans = tiny_plans()
    plans["configurations"]["tiny"]["batch_size"] = batch
    trainer = make(nnUNetTrainer_probabilisticOversampling, plans=plans)
    for _ in range(2):  # asking again changes nothing
        trainer._set_batch_size_and_oversample()
        assert (trainer.batch_size, trainer.oversample_foreground_percent) == (batch, pytest.approx(fraction))
    positions = [is_forced_by_position(i, batch, 0.33) for i in range(batch)]
    assert trainer.oversample_foreground_percent == pytest.approx(np.mean(positions))


@pytest.mark.parametrize("rank", [0, 1])
def test_every_process_has_the_same_probability(rank, folders, monkeypatch):
    trainers = [make(nnUNetTrainer_probabilisticOversampling), make(nnUNetTrainer_probabilisticOversampling_010)]
    monkeypatch.setattr(trainer_module, "rank", lambda: rank)
    monkeypatch.setattr(trainer_module, "world_size", lambda: 2)
    for trainer, probability in zip(trainers, (0.5, 0.1)):
        trainer._set_batch_size_and_oversample()
        assert (trainer.batch_size, trainer.oversample_foreground_percent) == (1, probability)


def test_a_subclass_sets_the_probability_itself(folders):
    class Often(nnUNetTrainer_probabilisticOversampling):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.oversample_foreground_percent = 0.7

    assert initialized(Often).oversample_foreground_percent == 0.7


def norms(network) -> set[type]:
    return {type(m) for m in network.modules() if type(m).__name__.startswith(("BatchNorm", "InstanceNorm"))}


def test_batch_norm_is_in_the_network_and_not_in_the_plans(folders):
    plans = tiny_plans()
    before = copy.deepcopy(plans)
    trainer = make(nnUNetTrainerBN, plans=plans)
    trainer.initialize()
    assert norms(trainer.network) == {torch.nn.BatchNorm3d}
    assert {m.eps for m in trainer.network.modules() if isinstance(m, torch.nn.BatchNorm3d)} == {1e-5}
    assert plans == before


def test_batch_norm_follows_the_convolutions_and_every_form_of_call(folders):
    trainer = make(nnUNetTrainerBN)
    managers = trainer.plans_manager, trainer.configuration_manager
    kwargs = trainer.configuration_manager.network_arch_init_kwargs
    kwargs |= {"conv_op": "torch.nn.modules.conv.Conv2d", "kernel_sizes": [[3, 3]] * 3}
    kwargs["strides"] = [[1, 1], [2, 2], [2, 2]]
    name = trainer.configuration_manager.network_arch_class_name
    networks = [
        build_network(nnUNetTrainerBN, *managers, DATASET_JSON, 2, 3, True),
        nnUNetTrainerBN.build_network_architecture(managers[0], DATASET_JSON, managers[1], 2),
        nnUNetTrainerBN.build_network_architecture(name, kwargs, ["conv_op", "nonlin"], 2, 3, False),
        nnUNetTrainerBN.build_network_architecture(
            name, kwargs | {"conv_op": torch.nn.Conv2d}, ["nonlin"], 2, 3, enable_deep_supervision=False
        ),
    ]
    assert [norms(network) for network in networks] == [{torch.nn.BatchNorm2d}] * 4
    with pytest.raises(PlansError, match=r"conv_op is None; nnUNetTrainerBN needs"):
        nnUNetTrainerBN.build_network_architecture(name, kwargs | {"conv_op": None}, ["nonlin"], 2, 3)


def test_without_deep_supervision_there_is_one_output_and_one_loss(folders):
    trainer = initialized(nnUNetTrainerNoDeepSupervision)
    trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
    assert trainer._get_deep_supervision_scales() is None
    assert not isinstance(trainer.loss, DeepSupervisionWrapper)
    assert trainer.network(torch.zeros(1, 2, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


@pytest.mark.parametrize(
    ("trainer_class", "image", "segmentation", "label_probability"),
    [
        (trainer_module.nnUNetTrainer, "bilinear", "bilinear", 0.5),
        (ord0.nnUNetTrainerDAOrd0, "nearest", "nearest", 1),
        (ord0.nnUNetTrainer_DASegOrd0, "bilinear", "nearest", 1),
        (ord0.nnUNetTrainer_DASegOrd0_NoMirroring, "bilinear", "nearest", 1),
        (ord0.nnUNetTrainer_onlyMirror01_DASegOrd0, "bilinear", "nearest", 1),
        (da5.nnUNetTrainerDA5, "bilinear", "bilinear", 1),
        (da5.nnUNetTrainerDA5ord0, "nearest", "nearest", 1),
        (da5.nnUNetTrainerDA5Segord0, "bilinear", "nearest", 1),
    ],
)
def test_interpolation_and_cascade_labels(trainer_class, image, segmentation, label_probability):
    steps = trainer_class.get_training_transforms(
        (12, 12, 12), (-0.5, 0.5), None, None, False, is_cascaded=True, foreground_labels=[1, 2]
    ).transforms
    assert (steps[0].mode_image, steps[0].mode_seg) == (image, segmentation)
    assert [step.transform.p_per_label for step in steps[-2:]] == [label_probability] * 2


def test_da5_helpers_that_others_import():
    widths = [da5._brightnessadditive_localgamma_transform_scale((60, 12), 0) for _ in range(50)]
    assert 10 <= min(widths) <= max(widths) <= 60
    assert 1 <= abs(da5._brightness_gradient_additive_max_strength(None, None)) <= 5
    assert 0.01 <= da5._local_gamma_gamma() <= 4


def test_da5_loads_the_documented_patch(folders):
    for patch, loaded in (
        ((64, 192, 160), (216, 351, 243)),
        ((20, 320, 256), (20, 457, 457)),
        ((512, 320), (824, 457)),
    ):
        trainer = make(da5.nnUNetTrainerDA5)
        trainer.configuration_manager.configuration["patch_size"] = list(patch)
        _, _, initial, _ = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        assert tuple(initial) == loaded


@pytest.mark.parametrize("order", [1, -1])
def test_variants_of_different_topics_mix_in_any_order(order, folders):
    bases = (da5.nnUNetTrainerDA5, nnUNetTrainerTopk10Loss, nnUNetTrainer_noDummy2DDA, nnUNetTrainerNoMirroring)
    Mixed = type("Mixed", bases[::order], {})
    trainer = make(Mixed)
    trainer.configuration_manager.configuration["patch_size"] = [6, 24, 20]
    rotation, dummy_2d, initial, axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert (dummy_2d, axes, trainer.inference_allowed_mirroring_axes) == (False, None, None)
    assert rotation == pytest.approx((-np.pi / 6, np.pi / 6))
    assert isinstance(trainer._build_loss().loss, TopKLoss)
    assert Mixed.get_training_transforms is da5.nnUNetTrainerDA5.get_training_transforms
    if order == 1:
        assert tuple(initial) == tuple(int(n) for n in initial) and initial[0] > 6 / 0.7


def test_schedules_mix_with_optimizers(folders):
    class Mixed(nnUNetTrainer_warmup, nnUNetTrainerAdam3en4):
        pass

    trainer = initialized(Mixed)
    assert type(trainer.optimizer) is torch.optim.AdamW
    assert rates(trainer, (49, 50)) == pytest.approx([3e-4, 3e-4])
