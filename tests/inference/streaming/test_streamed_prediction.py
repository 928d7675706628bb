"""Streamed prediction against its twin that holds the whole volume of logits and resamples whole channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunetv2.inference import export_prediction, predict_from_raw_data
from nnunetv2.inference.limits.memory_plan import MemoryPlan
from nnunetv2.inference.streaming import stock_path
from nnunetv2.inference.streaming.logit_slabs import SLICES_PER_ROUND
from nnunetv2.inference.streaming.streamed_prediction import logit_slabs, predict_case
from tests.inference.conftest import REGIONS, make_dataset_json, make_plans, make_predictor

LABELS_WITH_IGNORE = {"background": 0, "shell": 1, "core": 2, "ignore": 3}
ANY_VALUES = {"background": 0, "core": 900, "shell": 7}


class Folds(torch.nn.Module):
    """Smooth, fold-dependent logits of ``heads`` channels: the image times a weight, shifted and squared."""

    def __init__(self, heads: int):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, heads))

    def forward(self, batch):
        x = batch[:, :1]
        w = self.weight.view(1, -1, *[1] * (x.ndim - 2))
        return w * x + torch.cos(7 * w + x)


def case_of(random, plans, shape, box_margin):
    """Properties of a case whose network space has ``shape``, and data for it."""
    forward = plans["transpose_forward"]
    spacing = [0.0, 0.0, 0.0]
    factors = random.uniform(0.4, 1.7, 3)
    network_spacing = [1.0] * (3 - len(plans["configurations"]["small"]["spacing"]))
    network_spacing += plans["configurations"]["small"]["spacing"]
    for axis in range(3):
        spacing[forward[axis]] = float(network_spacing[axis] * factors[axis])
    cropped = [max(1, round(n / f)) for n, f in zip(shape, factors)]
    if len(plans["configurations"]["small"]["patch_size"]) == 2:
        cropped[0] = shape[0]
    box = [[margin, margin + n] for n, margin in zip(cropped, box_margin)]
    properties = {
        "spacing": spacing,
        "shape_before_cropping": tuple(end + 2 for _, end in box),
        "bbox_used_for_cropping": box,
        "shape_after_cropping_and_before_resampling": tuple(cropped),
    }
    return torch.from_numpy(random.normal(size=(1, *shape)).astype(np.float32)), properties


def whole_array_twin(predictor, data, properties, probabilities):
    """All logits first, then channel by channel through the plans' resampling function and the label manager."""
    logits = predictor.predict_logits_from_preprocessed_data(data)
    return export_prediction._by_whole_channels(
        *(logits.numpy(), predictor.plans_manager, predictor.configuration_manager, predictor.label_manager),
        *(properties, probabilities),
    )


def streamed(predictor, data, properties, probabilities=False):
    return predict_case(predictor, data, properties, PLAN, probabilities=probabilities).result()


PLAN = MemoryPlan(sums_on_device=False, slices_per_slab=5, label_threads=2, labels_on_disk=False, host=0, device=0)

PATCHES = [(8, 8, 8), (4, 9, 6), (12, 5, 7), (40, 10, 40), (6, 8)]


@pytest.mark.parametrize("seed", range(24))
def test_labels_equal_those_of_the_whole_array(seed):
    random = np.random.default_rng(seed)
    patch = PATCHES[seed % len(PATCHES)]
    transpose = [(0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0)][random.integers(4)]
    spacing = [(1.0, 1.0, 1.0), (5.0, 1.0, 1.0), (1.0, 4.0, 1.0), (1.0, 1.0, 6.0)][random.integers(4)]
    labels = [None, REGIONS, LABELS_WITH_IGNORE, ANY_VALUES][random.integers(4)]
    dataset_json = make_dataset_json(labels, regions_class_order=(1, 2) if labels is REGIONS else None)
    plans = make_plans(patch, spacing[-len(patch) :], transpose)
    heads = 2 if labels is REGIONS else 3
    folds = [{"weight": torch.linspace(-1, 1 + fold, heads)} for fold in range(random.integers(1, 4))]
    predictor = make_predictor(
        *(Folds(heads), plans, dataset_json, folds, (0, 1) if seed % 2 else None),
        accumulator_dtype=torch.float32 if seed % 4 == 3 else torch.float16,
        use_gaussian=seed % 3 != 2,
    )
    shape = tuple(int(n) for n in random.integers(3, 34, 3))
    data, properties = case_of(random, plans, shape, random.integers(0, 4, 3))
    expected = whole_array_twin(predictor, data, properties, False)
    result = streamed(predictor, data, properties)
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    # Matrix products of narrow volumes may round the last bit in another way; no label has to change for it.
    assert np.count_nonzero(result != expected) <= expected.size // 10000


@pytest.mark.parametrize("labels", [None, REGIONS], ids=["labels", "regions"])
def test_probabilities_equal_those_of_the_whole_array(labels):
    random = np.random.default_rng(3)
    plans = make_plans((8, 8, 8), (2.0, 1.0, 1.0), (1, 0, 2))
    dataset_json = make_dataset_json(labels, regions_class_order=(1, 2) if labels else None)
    predictor = make_predictor(Folds(2 if labels else 3), plans, dataset_json)
    data, properties = case_of(random, plans, (14, 19, 11), (1, 2, 0))
    expected_labels, expected = whole_array_twin(predictor, data, properties, True)
    found_labels, found = streamed(predictor, data, properties, True)
    np.testing.assert_array_equal(found_labels, expected_labels)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.dtype == np.float32
    assert np.mean(found != expected) < 0.01


def test_the_first_of_equal_channels_wins():
    predictor = make_predictor(lambda batch: torch.cat([batch, 1 - batch, batch], 1), make_plans((4, 4, 4)))
    data, properties = case_of(np.random.default_rng(0), predictor.plans_manager.plans, (9, 8, 7), (0, 0, 0))
    result = streamed(predictor, data.round().clamp(0, 1), properties)
    assert set(np.unique(result)) <= {0, 1}


@pytest.mark.parametrize("patch", [(8, 8, 8), (8, 8)], ids=["3d", "2d"])
def test_slabs_put_together_are_the_logits_bit_for_bit(patch):
    data = torch.randn(1, 2 * SLICES_PER_ROUND + 5, 21, 13)
    predictor = make_predictor(
        *(Folds(3), make_plans(patch), None, [{"weight": torch.linspace(-1, 1 + f, 3)} for f in range(3)])
    )
    expected = predictor.predict_logits_from_preprocessed_data(data)
    slabs = list(logit_slabs(predictor, data, torch.device("cpu"), 5))
    assert torch.equal(torch.cat([logits for _, logits in slabs], 1), expected)
    assert [first for first, _ in slabs] == np.cumsum([0] + [x.shape[1] for _, x in slabs[:-1]]).tolist()


def test_several_tiles_per_call_change_nothing():
    data = torch.randn(1, 20, 17, 15)
    predictor = make_predictor(Folds(3), make_plans((8, 8, 8)))
    one = torch.cat([logits for _, logits in logit_slabs(predictor, data, torch.device("cpu"), 5)], 1)
    predictor.tiles_per_call = 3
    several = torch.cat([logits for _, logits in logit_slabs(predictor, data, torch.device("cpu"), 5)], 1)
    assert torch.equal(one, several)


def test_more_than_256_channels_are_told_apart():
    labels = {"background": 0, **{f"l{i}": i for i in range(1, 300)}}

    def network(batch):
        target = (batch[:, :1] * 299).round()
        return -(target - torch.arange(300.0).view(1, -1, 1, 1, 1)).abs()

    predictor = make_predictor(
        network, make_plans((8, 8, 8)), make_dataset_json(labels), accumulator_dtype=torch.float32
    )
    data = torch.rand(1, 8, 8, 8)
    data[0, 0, 0, :2] = torch.tensor([1.0, 257 / 299])
    properties = {
        "spacing": [1.0, 1.0, 1.0],
        "shape_before_cropping": (8, 8, 8),
        "bbox_used_for_cropping": [[0, 8]] * 3,
        "shape_after_cropping_and_before_resampling": (8, 8, 8),
    }
    result = streamed(predictor, data, properties)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, (data[0] * 299).round().numpy())


def test_a_replaced_step_gets_the_whole_volume(monkeypatch):
    predictor = make_predictor(Folds(3))
    assert stock_path.is_stock(predictor)
    for module in (predict_from_raw_data, export_prediction):
        with monkeypatch.context() as patch:
            patch.setattr(module, "export_prediction_from_logits", lambda *a, **k: None)
            assert not stock_path.is_stock(predictor)
    with monkeypatch.context() as patch:
        patch.setattr(type(predictor), "predict_sliding_window_return_logits", lambda self, data: data)
        assert not stock_path.is_stock(predictor)
    predictor.predict_logits_from_preprocessed_data = lambda data: data
    assert not stock_path.is_stock(predictor)


def test_tiles_in_another_order_get_the_whole_volume():
    predictor = make_predictor(Folds(3))
    data = torch.zeros(1, 20, 8, 8)
    assert predictor._can_stream(data)
    slicers = predictor._internal_get_sliding_window_slicers((20, 8, 8))
    predictor._internal_get_sliding_window_slicers = lambda size: slicers[::-1]
    assert not predictor._can_stream(data)


@pytest.mark.parametrize(
    "entries",
    [
        {"resampling_fn_probabilities": "no_resampling_hack", "resampling_fn_probabilities_kwargs": {}},
        {"resampling_fn_probabilities": "resample_torch_fornnunet", "resampling_fn_probabilities_kwargs": {}},
        {"resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}},
        {"resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 1, "force_separate_z": None}},
    ],
)
def test_another_resampling_gets_the_whole_volume(entries):
    assert not make_predictor(Folds(3), make_plans(**entries))._can_stream(torch.zeros(1, 20, 8, 8))


def test_sums_of_one_tile_length_are_held_whatever_the_length_of_the_volume(monkeypatch):
    held = []
    original = torch.zeros

    def zeros(*args, **kwargs):
        result = original(*args, **kwargs)
        held.append(result.numel())
        return result

    predictor = make_predictor(Folds(3), make_plans((8, 8, 8)))
    for length in (40, 200):
        held.clear()
        monkeypatch.setattr(torch, "zeros", zeros)
        for _ in logit_slabs(predictor, torch.randn(1, length, 8, 8), torch.device("cpu"), 5):
            pass
        monkeypatch.undo()
        assert max(held) == 3 * 8 * 8 * 8
