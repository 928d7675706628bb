import numpy as np
import pytest
import torch

from nnunetv2.inference.streaming.labels_from_logits import (
    argmax_of_channels,
    follows_stock_rules,
    label_dtype,
    labels_of_channels,
)
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from tests.inference.conftest import LABELS, REGIONS


def region_manager(**kwargs) -> LabelManager:
    return LabelManager(REGIONS, [1, 2], **kwargs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("channels", [2, 3, 20])
def test_streamed_argmax_equals_the_stacked_one_ties_included(channels, dtype):
    logits = torch.randint(-3, 4, (channels, 6, 7, 8)).to(dtype)
    stacked = np.argmax(logits.numpy(), axis=0)
    top = np.sort(logits.float().numpy(), axis=0)
    assert (top[-1] == top[-2]).mean() > 0.1, "no ties were exercised"
    np.testing.assert_array_equal(argmax_of_channels(iter(logits), np.uint8), stacked)


def test_the_first_channel_is_not_written_to():
    logits = torch.tensor([[[[0.0]]], [[[1.0]]]])
    argmax_of_channels(iter(logits), np.uint8)
    assert logits[0].item() == 0


def test_streamed_regions_equal_the_label_manager_on_the_whole_array():
    manager = region_manager()
    logits = torch.randn(2, 6, 7, 8).half()
    logits[:, 0] = 0  # probability exactly one half: not inside
    logits[:, 1] = 1e-4
    expected = manager.convert_logits_to_segmentation(logits.numpy())
    result = labels_of_channels(iter(logits), manager)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.uint8
    assert set(np.unique(result)) == {0, 1, 2}


def test_a_logit_above_zero_whose_float32_sigmoid_is_one_half_is_outside():
    manager = region_manager()
    logits = torch.full((2, 1, 1, 1), 1e-8)
    assert labels_of_channels(iter(logits), manager).item() == 0


def test_later_regions_overwrite_earlier_ones():
    manager = LabelManager({"background": 0, "whole": [1, 2], "core": [2]}, [2, 1])
    assert labels_of_channels(iter(torch.full((2, 1, 1, 1), 5.0)), manager).item() == 1


@pytest.mark.parametrize(
    ("labels", "order", "expected"),
    [
        (LABELS, None, np.uint8),
        ({"background": 0, **{f"l{i}": i for i in range(1, 255)}}, None, np.uint8),
        ({"background": 0, **{f"l{i}": i for i in range(1, 256)}}, None, np.uint16),
        ({"background": 0, "a": [300, 2], "b": [2]}, [300, 2], np.uint16),
    ],
)
def test_the_dtype_holds_all_labels(labels, order, expected):
    assert label_dtype(LabelManager(labels, order)) is expected


def test_stock_managers_may_be_streamed():
    assert follows_stock_rules(LabelManager(LABELS, None))
    assert follows_stock_rules(region_manager())
    assert follows_stock_rules(region_manager(inference_nonlin=torch.sigmoid))
    assert follows_stock_rules(LabelManager(LABELS, None, inference_nonlin=torch.sigmoid)), (
        "argmax looks at logits only"
    )


def test_other_conversions_and_nonlinearities_are_respected():
    class Other(LabelManager):
        def convert_logits_to_segmentation(self, predicted_logits):
            return predicted_logits.argmin(0)

    replaced = LabelManager(LABELS, None)
    replaced.convert_probabilities_to_segmentation = lambda p: p
    assert not follows_stock_rules(Other(LABELS, None))
    assert not follows_stock_rules(region_manager(inference_nonlin=torch.tanh))
    assert not follows_stock_rules(replaced)
