"""Every trainer class of the package passes the same checks; a new file below ``variants`` is covered as it is."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.utils.random import OneOfTransform, RandomTransform

import nnunetv2.training.nnUNetTrainer as room
from nnunetv2.networks.build import build_network
from nnunetv2.training import trainer_setup
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainer_noDummy2DDA import (
    nnUNetTrainer_noDummy2DDA,
)
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDA5 import nnUNetTrainerDA5
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoDA import nnUNetTrainerNoDA
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainer_onlyMirror01,
    nnUNetTrainerNoMirroring,
)
from nnunetv2.training.nnUNetTrainer.variants.lr_schedule.nnUNetTrainer_warmup import nnUNetTrainer_warmup
from nnunetv2.training.nnUNetTrainer.variants.lr_schedule.nnUNetTrainerCosAnneal import nnUNetTrainerCosAnneal
from nnunetv2.training.signature_compat import construct_trainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from tests.training.nnUNetTrainer.published_trainers import PATHS, PUBLISHED
from tests.training.nnUNetTrainer.test_construction import DATASET_JSON, METHODS
from tests.training.tiny_training import CPU, DATASET, tiny_plans

DOCUMENTATION = Path(room.__file__).parents[3] / "documentation" / "trainer_variants.md"
GEOMETRY = "configure_rotation_dummyDA_mirroring_and_inital_patch_size"

# What trainers of a folder may override, so that variants of two folders can be mixed by inheriting from both.
OVERRIDES = {
    "nnUNetTrainer_varianst": {"__init__"},
    "training_length": set(),
    "data_augmentation": {"get_training_transforms", GEOMETRY},
    "competitions": set(),
    "loss": {"_build_loss"},
    "optimizer": {"configure_optimizers"},
    "lr_schedule": {"configure_optimizers", "on_train_epoch_start", "load_checkpoint"},
    "network_architecture": {"build_network_architecture"},
    "sampling": {"_set_batch_size_and_oversample"},
    "benchmarking": {"__init__", "run_training", "get_dataloaders", "perform_actual_validation"},
}

CUBE = (8, 8, 8)
FLAT = (6, 24, 20)

DEFAULT_STEPS = [
    "SpatialTransform",
    "GaussianNoiseTransform",
    "GaussianBlurTransform",
    "MultiplicativeBrightnessTransform",
    "ContrastTransform",
    "SimulateLowResolutionTransform",
    "GammaTransform",
    "GammaTransform",
    "MirrorTransform",
]
DA5_STEPS = [
    "SpatialTransform",
    "Rot90Transform",
    "TransposeAxesTransform",
    "MedianFilterTransform|GaussianBlurTransform",
    "GaussianNoiseTransform",
    "BrightnessAdditiveTransform",
    "ContrastTransform|ContrastTransform",
    "SimulateLowResolutionTransform",
    "GammaTransform",
    "GammaTransform",
    "MirrorTransform",
    "BlankRectangleTransform",
    "BrightnessGradientAdditiveTransform",
    "LocalGammaTransform",
    "SharpeningTransform",
]


def shipped_trainers() -> list[type[nnUNetTrainer]]:
    found = []
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        members = vars(importlib.import_module(module.name)).values()
        found += [m for m in members if inspect.isclass(m) and m.__module__ == module.name]
    return sorted((c for c in found if issubclass(c, nnUNetTrainer)), key=lambda c: c.__name__)


SHIPPED = shipped_trainers()
every_trainer = pytest.mark.parametrize("trainer_class", SHIPPED, ids=lambda c: c.__name__)


class FakeAdan(torch.optim.AdamW):
    """Takes what the optimizer of the optional package takes, and steps like AdamW."""

    def __init__(self, params, lr=1e-3, betas=(0.02, 0.08, 0.01), eps=1e-8, weight_decay=0, restart_cond=None):
        super().__init__(params, lr=lr, weight_decay=weight_decay)
        self.coefficients = betas


@pytest.fixture(autouse=True)
def adan_package(monkeypatch):
    """The optional package, or a stand-in, so that the trainers that need it are tested everywhere."""
    package = ModuleType("adan_pytorch")
    package.Adan = FakeAdan
    monkeypatch.setitem(sys.modules, "adan_pytorch", package)


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(5)
    torch.manual_seed(5)


def make(trainer_class: type, patch: tuple[int, ...] | None = None, dataset_json: dict | None = None) -> nnUNetTrainer:
    trainer = construct_trainer(trainer_class, tiny_plans(), "tiny", 0, dataset_json or DATASET_JSON, CPU)
    if patch is not None:
        trainer.configuration_manager.configuration["patch_size"] = list(patch)
    return trainer


def initialized(trainer_class: type, dataset_json: dict | None = None) -> nnUNetTrainer:
    trainer = make(trainer_class, dataset_json=dataset_json)
    trainer.initialize()
    return trainer


def pipelines(trainer: nnUNetTrainer) -> tuple:
    """Geometry, training and validation transforms, called as the trainer calls them."""
    geometry = getattr(trainer, GEOMETRY)()
    rotation, dummy_2d, _, mirror_axes = geometry
    scales = trainer._get_deep_supervision_scales()
    labels = trainer_setup.label_arguments(trainer)
    patch = trainer.configuration_manager.patch_size
    train = trainer.get_training_transforms(
        patch, rotation, scales, mirror_axes, dummy_2d, use_mask_for_norm=[False, True], **labels
    )
    return geometry, train, trainer.get_validation_transforms(scales, **labels)


def sample(shape) -> dict[str, torch.Tensor]:
    """Two channels in which the labels can be seen."""
    seg = torch.randint(0, 3, (1, *(max(1, n // 4) for n in shape))).float()[None]
    seg = torch.nn.functional.interpolate(seg, tuple(int(n) for n in shape))[0].to(torch.int16)
    return {"image": torch.cat([seg, seg == 1]) + 0.1 * torch.randn(2, *seg.shape[1:]), "segmentation": seg}


def batch_for(trainer: nnUNetTrainer) -> dict:
    prepare = pipelines(trainer)[2]
    samples = [prepare(**sample(trainer.configuration_manager.patch_size)) for _ in range(trainer.batch_size)]
    targets = [s["segmentation"] for s in samples]
    stacked = [torch.stack(t) for t in zip(*targets)] if isinstance(targets[0], list) else torch.stack(targets)
    return {"data": torch.stack([s["image"] for s in samples]), "target": stacked, "keys": ["a", "b"]}


def name_of(step) -> str:
    if isinstance(step, OneOfTransform):
        return "|".join(name_of(choice) for choice in step.list_of_transforms)
    return type(step.transform if isinstance(step, RandomTransform) else step).__name__


def test_all_trainers_that_others_name_are_shipped():
    assert set(PUBLISHED) <= {c.__name__ for c in SHIPPED}


@every_trainer
def test_is_found_by_name_and_documented(trainer_class):
    assert recursive_find_trainer_class_by_name(trainer_class.__name__) is trainer_class
    assert trainer_class.__doc__
    if trainer_class is not nnUNetTrainer:
        assert f"`{trainer_class.__name__}`" in DOCUMENTATION.read_text()


@pytest.mark.parametrize("module", PATHS)
def test_is_where_others_import_it_from(module):
    variants = importlib.import_module(f"{room.__name__}.variants.{module}")
    for name in PATHS[module]:
        assert callable(getattr(variants, name))


@every_trainer
def test_overrides_only_the_hooks_of_its_folder(trainer_class):
    if trainer_class is nnUNetTrainer:
        return
    parts = trainer_class.__module__.removeprefix(f"{room.__name__}.").split(".")
    allowed = OVERRIDES[parts[1] if parts[0] == "variants" else parts[0]]
    overridden = {name for name in ("__init__", *METHODS) if name in vars(trainer_class)}
    assert overridden <= allowed


@every_trainer
def test_is_what_its_name_says(trainer_class, folders):
    trainer, name = make(trainer_class), trainer_class.__name__
    assert trainer.my_init_kwargs["plans"]["dataset_name"] == DATASET
    assert Path(trainer.output_folder).parts[-2:] == (f"{name}__nnUNetPlans__tiny", "fold_0")
    epochs = re.search(r"_(\d+)ep(och)?s?|Epoch(\d+)_", name)
    assert trainer.num_epochs == (int(epochs.group(1) or epochs.group(3)) if epochs else 1000)
    rate = re.search(r"(\d)en?(\d)$", name)
    assert trainer.initial_lr == (float(f"{rate.group(1)}e-{rate.group(2)}") if rate else 1e-2)
    assert trainer.weight_decay == 3e-5
    assert (trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch) == (250, 50)
    assert trainer.probabilistic_oversampling == ("probabilistic" in name)
    assert trainer.disable_checkpointing == ("Benchmark" in name)


@every_trainer
def test_learns_and_validates(trainer_class, folders):
    trainer = initialized(trainer_class)
    assert (trainer.batch_size, trainer.num_input_channels) == (2, 2)
    assert 0 < trainer.oversample_foreground_percent <= 0.5
    trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
    batch = batch_for(trainer)
    trainer.network.train()
    before, after = (float(trainer.train_step(batch)["loss"]) for _ in range(2))
    assert math.isfinite(before) and math.isfinite(after)
    assert after < before
    trainer.network.eval()
    with torch.no_grad():
        counts = trainer.validation_step(batch)
    assert np.isfinite(counts["loss"])
    voxels = 2 * 16**3
    assert all(counts[key].min() >= 0 and counts[key].max() <= voxels for key in ("tp_hard", "fp_hard", "fn_hard"))


def expected_rate(trainer: nnUNetTrainer, epoch: int) -> float:
    first, epochs = trainer.initial_lr, trainer.num_epochs
    if isinstance(trainer, nnUNetTrainer_warmup):
        return first / 50 * (1 + epoch) if epoch < 50 else first * (1 - (epoch - 50) / (epochs - 50)) ** 0.9
    if isinstance(trainer, nnUNetTrainerCosAnneal):
        return first * (1 + math.cos(math.pi * epoch / epochs)) / 2
    return first * (1 - epoch / epochs) ** 0.9


@every_trainer
def test_learning_rate_follows_its_formula(trainer_class, folders):
    trainer = initialized(trainer_class)
    for epoch in sorted({0, trainer.num_epochs // 2, trainer.num_epochs - 1}):
        trainer.current_epoch = epoch
        trainer.on_train_epoch_start()
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(expected_rate(trainer, epoch), rel=1e-12)


@every_trainer
def test_mirror_axes_rotation_and_loaded_patch_fit_the_patch(trainer_class, folders):
    trainer = make(trainer_class)
    unmirrored = issubclass(trainer_class, (nnUNetTrainerNoMirroring, nnUNetTrainerNoDA))
    never_dummy = issubclass(trainer_class, (nnUNetTrainer_noDummy2DDA, nnUNetTrainerNoDA))
    smallest_scale = 0.7 if issubclass(trainer_class, nnUNetTrainerDA5) else 0.85
    for patch in (CUBE, FLAT, FLAT[1:]):
        trainer.configuration_manager.configuration["patch_size"] = list(patch)
        rotation, dummy_2d, initial_patch, mirror_axes = getattr(trainer, GEOMETRY)()
        axes = tuple(range(len(patch)))
        kept = axes[:-1] if issubclass(trainer_class, nnUNetTrainer_onlyMirror01) else axes
        assert mirror_axes == trainer.inference_allowed_mirroring_axes == (None if unmirrored else kept)
        assert dummy_2d == (patch == FLAT and not never_dummy)
        if issubclass(trainer_class, nnUNetTrainerNoDA):
            assert (tuple(initial_patch), rotation) == (patch, (0, 0))
            continue
        limit = math.pi if len(patch) == 2 or dummy_2d else math.pi / 6
        assert rotation == pytest.approx((-limit, limit))
        assert (initial_patch[0] == patch[0]) == dummy_2d
        assert initial_patch.max() >= int(max(patch) / smallest_scale)


@every_trainer
def test_transforms_are_those_of_its_pipeline(trainer_class, folders):
    _, train, validate = pipelines(make(trainer_class, (12, 16, 16)))
    tail = ["RemoveLabelTransform"]
    if trainer_class.enable_deep_supervision:
        tail.append("DownsampleSegForDSTransform")
    assert [name_of(step) for step in validate.transforms] == tail
    if issubclass(trainer_class, nnUNetTrainerNoDA):
        expected = tail
    else:
        steps = DA5_STEPS if issubclass(trainer_class, nnUNetTrainerDA5) else DEFAULT_STEPS
        unmirrored = issubclass(trainer_class, nnUNetTrainerNoMirroring)
        expected = [s for s in steps if not (unmirrored and s == "MirrorTransform")] + ["MaskImageTransform", *tail]
    assert [name_of(step) for step in train.transforms] == expected


@every_trainer
def test_transforms_give_patches_for_training(trainer_class, folders):
    trainer = make(trainer_class)
    configuration = trainer.configuration_manager.configuration
    for patch in (CUBE, FLAT, FLAT[1:]):
        configuration["patch_size"] = list(patch)
        strides = configuration["architecture"]["arch_kwargs"]["strides"]
        strides[:] = [stride[-len(patch) :] for stride in strides]
        geometry, train, _ = pipelines(trainer)
        out = train(**sample(geometry[2]))
        assert (out["image"].shape, out["image"].dtype) == ((2, *patch), torch.float32)
        assert torch.isfinite(out["image"]).all()
        targets = out["segmentation"]
        assert isinstance(targets, list) == trainer.enable_deep_supervision
        first = targets[0] if isinstance(targets, list) else targets
        assert first.shape == (1, *patch)
        assert set(first.unique().tolist()) <= {0, 1, 2}


@every_trainer
def test_inference_builds_the_network_that_was_trained(trainer_class, folders):
    trainer = initialized(trainer_class)
    managers = trainer.plans_manager, trainer.configuration_manager
    network = build_network(trainer_class, *managers, DATASET_JSON, 2, 3, False)
    network.load_state_dict(trainer.network.state_dict())
    assert network(torch.zeros(1, 2, 16, 16, 16)).shape == (1, 3, 16, 16, 16)
