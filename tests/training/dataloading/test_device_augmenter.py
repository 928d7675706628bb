"""Augmentation on the training device: batches as from the loaders, bit for bit with the same seeds on the CPU.

With seeds of their own the outputs of each transform follow the same distribution on both paths; there the devices
of this machine are tried, too, since a GPU has random generators of its own.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from scipy.stats import ks_2samp

from nnunetv2.training.data_augmentation.default_pipeline import training_transforms
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader, single_torch_thread
from nnunetv2.training.dataloading.device_augmenter import DeviceAugmenter
from nnunetv2.training.dataloading.random_streams import seed_worker
from tests.training.dataloading.fakes import FakeDataset, label_manager

LOADED, PATCH = (16, 16, 16), (12, 12, 12)
SAMPLES = 200
# Over the 330 comparisons of a device a chance of 0.3 % to fail without a cause; with fixed seeds it does not vary.
LEAST_P = 1e-5
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Textured(FakeDataset):
    """Cases with uniform noise and a slope along each axis, much alike, so that every transform leaves traces."""

    def __init__(self, **more):
        super().__init__((20, 22, 24), outside=True, **more)
        places = np.stack(np.indices(self.seg.shape[1:])).astype(float)
        pattern = 4 + 0.005 * (places - 10).sum(0)
        noise = np.random.RandomState(0).uniform(size=(3, self.channels, *pattern.shape))
        self.images = (pattern + 0.7 * noise).astype(np.float32)

    def load_case(self, identifier):
        _, seg, previous, properties = super().load_case(identifier)
        return self.images[self.identifiers.index(identifier)], seg, previous, properties


def default_pipeline(**changes) -> ComposeTransforms:
    return training_transforms(
        PATCH,
        (-np.pi / 6, np.pi / 6),
        [[1.0] * 3, [0.5] * 3],
        (0, 1, 2),
        changes.pop("do_dummy_2d_data_aug", False),
        use_mask_for_norm=[True, False],
        **changes,
    )


def always(transforms: ComposeTransforms) -> ComposeTransforms:
    """The same transforms, each run on every sample."""
    for step in transforms.transforms:
        if isinstance(step, RandomTransform):
            step.apply_probability = 1
        if isinstance(step, SpatialTransform):
            step.p_rotation = step.p_scaling = 1
    return transforms


def in_loader(transforms, cascade=False):
    return nnUNetDataLoader(Textured(cascade=cascade), 2, LOADED, LOADED, label_manager(), 0.0, transforms=transforms)


def on_device(transforms, device="cpu", cascade=False):
    return DeviceAugmenter(in_loader(None, cascade), transforms, torch.device(device))


def targets_of(batch) -> list[torch.Tensor]:
    return batch["target"] if isinstance(batch["target"], list) else [batch["target"]]


def batches(source, seed: int, count: int) -> list[dict]:
    states = torch.get_rng_state(), np.random.get_state()
    seed_worker(0, seed)
    with single_torch_thread():
        made = [next(source) for _ in range(count)]
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"do_dummy_2d_data_aug": True},
        {"is_cascaded": True, "foreground_labels": [1, 2]},
        {"regions": [(1, 2), 2], "ignore_label": 3},
    ],
    ids=["plain", "dummy 2D", "cascade", "regions"],
)
@pytest.mark.parametrize("prepare", [lambda transforms: transforms, always], ids=["as often as usual", "always"])
def test_on_the_cpu_the_same_seed_gives_the_batches_of_the_loader_bit_for_bit(changes, prepare):
    cascade = changes.get("is_cascaded", False)
    # A pipeline for each: the cascade transforms shuffle a list of their own.
    expected = batches(in_loader(prepare(default_pipeline(**changes)), cascade), 5, 12)
    found = batches(on_device(prepare(default_pipeline(**changes)), cascade=cascade), 5, 12)
    for ours, theirs in zip(found, expected):
        assert list(ours["keys"]) == list(theirs["keys"])
        assert torch.equal(ours["data"], theirs["data"])
        assert ours["data"].dtype == theirs["data"].dtype
        for a, b in zip(targets_of(ours), targets_of(theirs), strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
    assert not torch.equal(found[0]["data"], found[1]["data"])


def traces(source, seed: int) -> dict[str, np.ndarray]:
    """What is known of each of ``SAMPLES`` samples: moments, quantiles, roughness, label shares and centres."""
    found: dict[str, list[float]] = {}
    for batch in batches(source, seed, SAMPLES // 2):
        for image, label in zip(batch["data"].cpu().double(), targets_of(batch)[0].cpu()):
            for channel, values in enumerate(image):
                low, middle, high = torch.quantile(values.flatten(), torch.tensor([0.05, 0.5, 0.95]).double())
                numbers = {
                    "mean": values.mean(),
                    "deviation": values.std(),
                    "skewness": ((values - values.mean()) ** 3).mean(),
                    "5 %": low,
                    "50 %": middle,
                    "95 %": high,
                    "roughness": values.diff(dim=0).abs().mean(),
                    **{f"slope {axis}": values.diff(dim=axis).mean() for axis in range(3)},
                }
                for name, number in numbers.items():
                    found.setdefault(f"channel {channel} {name}", []).append(float(number))
            for value in (-1, 0, 1):
                found.setdefault(f"share of {value}", []).append(float((label == value).double().mean()))
            position = (label[0] == 1).double().mean((1, 2)) @ torch.arange(label.shape[1]).double()
            found.setdefault("place of 1", []).append(float(position))
    return {name: np.array(values) for name, values in found.items()}


def least_p(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> tuple[float, str]:
    """Smallest p-value of the Kolmogorov-Smirnov tests of all traces, and which it is."""
    return min((float(ks_2samp(one[name], other[name], method="asymp").pvalue), name) for name in one)


STEPS = [f"{i} {type(getattr(s, 'transform', s)).__name__}" for i, s in enumerate(default_pipeline().transforms)]


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("index", range(len(STEPS)), ids=STEPS)
def test_each_transform_has_the_same_distribution_on_the_device(index, device):
    alone = ComposeTransforms([always(default_pipeline()).transforms[index]])
    p, where = least_p(traces(in_loader(alone), 1), traces(on_device(alone, device), 2))
    assert p > LEAST_P, where


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_the_whole_pipeline_has_the_same_distribution_on_the_device(device):
    p, where = least_p(traces(in_loader(default_pipeline()), 1), traces(on_device(default_pipeline(), device), 2))
    assert p > LEAST_P, where


@pytest.mark.slow
@pytest.mark.parametrize("index", range(9), ids=STEPS[:9])
def test_the_comparison_notices_a_random_transform_that_is_left_out(index):
    """Without this the test above could pass because it sees too little."""
    alone = ComposeTransforms([always(default_pipeline()).transforms[index]])
    idle = ComposeTransforms([default_pipeline().transforms[0]] if index == 0 else [])
    if index == 0:
        idle.transforms[0].p_rotation = idle.transforms[0].p_scaling = 0
    p, _ = least_p(traces(in_loader(alone), 1), traces(on_device(idle), 2))
    assert p < LEAST_P
