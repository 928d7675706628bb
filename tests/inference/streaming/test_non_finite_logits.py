"""Half precision that does not suffice costs a second attempt in f32; weights that are broken cost the case."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from nnunetv2.errors import NNUNetError
from nnunetv2.inference.engines import contract
from nnunetv2.inference.streaming.non_finite_logits import NonFiniteLogitsError, refuse_non_finite
from tests.inference.conftest import make_dataset_json, make_plans, make_predictor

TWO_LABELS = {"background": 0, "one": 1}


class Slope(torch.nn.Module):
    """(x * w, -x * w), as float16 under autocast: two heads."""

    def __init__(self, factor: float):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x):
        logits = torch.cat([x * self.w, -x * self.w], dim=1)
        return logits.half() if torch.is_autocast_enabled("cpu") else logits


def predictor_of(factor: float, folds: int = 1, **settings):
    weights = [{"w": torch.tensor(float(factor))} for _ in range(folds)]
    plans = make_plans((8, 8, 8))
    dataset_json = make_dataset_json(TWO_LABELS)
    return make_predictor(Slope(1), plans=plans, dataset_json=dataset_json, parameters=weights, **settings)


@pytest.fixture
def half_precision(monkeypatch):
    monkeypatch.setattr(contract, "this_cpu_prefers_bf16", lambda: True)
    return {"precision": "bf16"}


@pytest.fixture
def warnings_of_logits(caplog):
    caplog.set_level(logging.WARNING, logger="nnunetv2.inference")
    return lambda: [r.getMessage() for r in caplog.records if "NaN or infinite" in r.getMessage()]


def image(seed: int = 0, shape=(1, 12, 10, 9)) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 2, shape).astype(np.float32) * np.random.default_rng(9).choice(
        [-1, 1], shape
    )


def labels(predictor, name: str | None = None, seed: int = 0):
    return predictor.predict_single_npy_array(image(seed), {"spacing": [1.0, 1.0, 1.0]}, None, name)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_one_bad_value_is_found_and_its_channel_named(value, dtype):
    logits = torch.full((3, 4, 5, 6), torch.finfo(dtype).max, dtype=dtype)  # the sum of these alone is infinite in f32
    refuse_non_finite(logits)
    logits[2, 1, 0, 5] = value
    with pytest.raises(NonFiniteLogitsError, match=r"\[2\] are NaN or infinite"):
        refuse_non_finite(logits)


@pytest.mark.parametrize("streamed", [True, False])
def test_half_precision_that_overflows_in_the_network_is_repeated_in_f32(half_precision, warnings_of_logits, streamed):
    predictor = predictor_of(60000, **half_precision)
    if not streamed:
        predictor._predict_with_fallback = predictor._predict_with_fallback
    assert predictor._engine.precision == "bf16"
    np.testing.assert_array_equal(labels(predictor), labels(predictor_of(60000, accumulator_dtype=torch.float32)))
    assert len(warnings_of_logits()) == 1
    assert "f32" in warnings_of_logits()[0]


@pytest.mark.parametrize("streamed", [True, False])
def test_sums_that_overflow_are_repeated_in_f32(warnings_of_logits, streamed):
    predictor = predictor_of(9000)
    if not streamed:
        predictor._predict_with_fallback = predictor._predict_with_fallback
    np.testing.assert_array_equal(labels(predictor), labels(predictor_of(9000, accumulator_dtype=torch.float32)))
    assert len(warnings_of_logits()) == 1


def test_folds_whose_sum_overflows_are_repeated_in_f32(warnings_of_logits):
    predictor = predictor_of(1500, folds=24)
    data = torch.from_numpy(image())
    expected = predictor_of(1500, folds=24, accumulator_dtype=torch.float32).predict_logits_from_preprocessed_data(data)
    torch.testing.assert_close(predictor.predict_logits_from_preprocessed_data(data), expected)
    assert len(warnings_of_logits()) == 1


def test_ordinary_cases_stay_in_half_precision(half_precision, warnings_of_logits):
    logits = predictor_of(2, **half_precision).predict_logits_from_preprocessed_data(torch.from_numpy(image()))
    assert logits.dtype == torch.float16
    assert not warnings_of_logits()


@pytest.mark.parametrize("settings", [{}, {"accumulator_dtype": torch.float32}], ids=["half sums", "f32"])
def test_broken_weights_are_named(settings):
    with pytest.raises(NonFiniteLogitsError, match=r"the case: .*weights of model 1 of 1 .*\(w\).*another checkpoint"):
        labels(predictor_of(float("nan"), **settings))


def test_weights_that_are_finite_are_not_blamed():
    with pytest.raises(NonFiniteLogitsError, match="weights are finite"):
        labels(predictor_of(3e38))


def test_warning_and_error_name_the_case(warnings_of_logits, tmp_path):
    predictor = predictor_of(9000)
    item = {
        "data": torch.from_numpy(image()),
        "ofile": str(tmp_path / "liver_7"),
        "data_properties": {
            "spacing": [1.0, 1.0, 1.0],
            "shape_before_cropping": (12, 10, 9),
            "bbox_used_for_cropping": [[0, 12], [0, 10], [0, 9]],
            "shape_after_cropping_and_before_resampling": (12, 10, 9),
            "sitk_stuff": {"spacing": (1, 1, 1), "origin": (0, 0, 0), "direction": (1, 0, 0, 0, 1, 0, 0, 0, 1)},
        },
    }
    predictor.predict_from_data_iterator([dict(item)])
    assert (tmp_path / "liver_7.nii.gz").is_file()
    assert warnings_of_logits()[0].startswith("case liver_7: ")
    with pytest.raises(NNUNetError, match="liver_7.*weights of model 1"):
        predictor_of(float("nan")).predict_from_data_iterator([dict(item)])
