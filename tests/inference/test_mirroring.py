import pytest
import torch

from nnunetv2.inference.mirroring import flip_combinations, mean_over_flips


def test_combinations_come_by_size_then_in_order():
    assert flip_combinations((2, 3, 4)) == [(2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4)]


@pytest.mark.parametrize("axes", [(0,), (0, 2), (0, 1, 2)])
def test_an_equivariant_network_gives_the_same_with_two_to_the_k_calls(axes):
    calls = []

    def network(batch):
        calls.append(batch)
        return torch.cat([batch * 2, batch + 1], dim=1)

    batch = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(1, 1, 2, 3, 4)
    result = mean_over_flips(network, batch, axes)
    assert len(calls) == 2 ** len(axes)
    torch.testing.assert_close(result, torch.cat([batch * 2, batch + 1], dim=1), rtol=0, atol=0)


def test_a_network_that_prefers_one_end_is_averaged_over_both():
    ramp = torch.arange(4.0).reshape(1, 1, 1, 1, 4)
    result = mean_over_flips(lambda batch: batch + ramp, torch.zeros(1, 1, 1, 1, 4), (2,))
    assert torch.equal(result, torch.full((1, 1, 1, 1, 4), 1.5))


@pytest.mark.parametrize("axes", [None, ()])
def test_no_axes_mean_one_call(axes):
    calls = []
    mean_over_flips(lambda batch: calls.append(1) or batch, torch.zeros(1, 1, 2, 2), axes)
    assert len(calls) == 1


def test_the_input_is_left_alone_when_the_network_returns_it():
    batch = torch.ones(1, 1, 2, 2)
    mean_over_flips(lambda x: x, batch, (0,))
    assert torch.equal(batch, torch.ones(1, 1, 2, 2))


def test_an_axis_the_input_does_not_have_is_an_assertion_error_that_says_so():
    with pytest.raises(AssertionError, match="inference_allowed_mirroring_axes"):
        mean_over_flips(lambda x: x, torch.zeros(1, 1, 2, 2), (0, 2))
