"""Weights, scales and the wrapper of losses at several resolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunetv2.training.loss.deep_supervision import (
    DeepSupervisionWrapper,
    deep_supervision_scales,
    deep_supervision_weights,
)


def squared_error(output, target):
    return ((output - target) ** 2).mean()


@pytest.mark.parametrize(
    ("n", "expected"), [(1, [1]), (2, [1, 0]), (3, [2 / 3, 1 / 3, 0]), (5, [8 / 15, 4 / 15, 2 / 15, 1 / 15, 0])]
)
def test_weights_halve_and_the_last_is_zero(n, expected):
    np.testing.assert_allclose(deep_supervision_weights(n), expected, rtol=1e-15)


def test_last_weight_is_tiny_where_every_parameter_needs_a_gradient():
    weights = deep_supervision_weights(3, unused_need_gradient=True)
    np.testing.assert_allclose(weights, np.array([1, 0.5, 1e-6]) / 1.500001, rtol=1e-15)
    assert deep_supervision_weights(1, unused_need_gradient=True).tolist() == [1]


def test_network_without_outputs_is_refused():
    with pytest.raises(ValueError, match="at least one output"):
        deep_supervision_weights(0)


def test_scales_follow_the_strides_and_leave_out_the_last_stage():
    strides = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2]]
    assert deep_supervision_scales(strides) == [[1, 1, 1], [1, 0.5, 0.5], [0.5, 0.25, 0.25]]


def test_wrapper_sums_weighted_losses():
    outputs = [torch.full((2, 2), v) for v in (1.0, 2.0, 3.0)]
    targets = [torch.zeros(2, 2)] * 3
    wrapper = DeepSupervisionWrapper(squared_error, np.array([0.5, 0.25, 2]))
    assert wrapper(outputs, targets).item() == 0.5 * 1 + 0.25 * 4 + 2 * 9
    assert wrapper.loss is squared_error


def test_no_weights_mean_ones():
    assert DeepSupervisionWrapper(squared_error)([torch.ones(1)] * 3, [torch.zeros(1)] * 3).item() == 3


def test_output_with_weight_zero_is_not_looked_at():
    wrapper = DeepSupervisionWrapper(squared_error, [1, 0])
    assert wrapper([torch.ones(1), None], [torch.zeros(1), None]).item() == 1


def test_third_list_is_handed_to_the_loss():
    wrapper = DeepSupervisionWrapper(lambda a, b, c: (a * b * c).sum(), [1, 2])
    assert wrapper([torch.ones(1)] * 2, (torch.ones(1),) * 2, [torch.ones(1), torch.ones(1) * 5]).item() == 11


def test_fewer_outputs_than_targets_and_weights_are_enough():
    assert DeepSupervisionWrapper(squared_error, [1, 0.5, 0])([torch.ones(1)], [torch.zeros(1)] * 3).item() == 1


def test_tensor_instead_of_a_list_is_refused():
    with pytest.raises(ValueError, match="list, Tensor"):
        DeepSupervisionWrapper(squared_error, [1])([torch.ones(1)], torch.ones(1))


def test_more_outputs_than_weights_are_refused():
    with pytest.raises(ValueError, match="2 outputs need as many weights, but there are 1"):
        DeepSupervisionWrapper(squared_error, [1])([torch.ones(1)] * 2, [torch.ones(1)] * 2)


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match="differ from 0"):
        DeepSupervisionWrapper(squared_error, [0, 0])
