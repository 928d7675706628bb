import pytest
import torch

from nnunetv2.errors import UsageError
from nnunetv2.inference.mirroring import mean_over_flips
from nnunetv2.inference.tile_batches import (
    ConstantTiles,
    constant_values,
    mean_of_flipped,
    mean_over_flips_in_batches,
)


def network(batch):
    """Depends on direction, so that a missing flip shows."""
    ramp = torch.arange(batch.shape[-1], dtype=torch.float32)
    return torch.cat([batch * ramp, batch.cumsum(2)], dim=1)


@pytest.mark.parametrize("axes", [None, (), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_mean_equals_that_of_single_calls_bit_for_bit(axes, batch):
    tiles = torch.randn(4, 2, 3, 4, 5)
    expected = torch.cat([mean_over_flips(network, tile[None], axes) for tile in tiles])
    assert torch.equal(mean_over_flips_in_batches(network, tiles, axes, batch), expected)


def test_no_call_has_more_tiles_than_allowed():
    sizes = []
    mean_over_flips_in_batches(lambda b: (sizes.append(len(b)), b)[1], torch.zeros(3, 1, 4, 4), (0, 1), 5)
    assert sizes == [5, 5, 2]


def test_axes_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match="do not fit an input with 2"):
        mean_over_flips_in_batches(network, torch.zeros(1, 1, 4, 4), (0, 2), 1)


def test_a_tile_is_constant_when_every_channel_is():
    tile = torch.zeros(2, 4, 4, 4)
    tile[1] = -3
    assert constant_values(tile) == (0.0, -3.0)
    tile[1, 1, 2, 1] = 0  # neither at an end nor in the middle
    assert constant_values(tile) is None
    assert constant_values(torch.full((1, 3, 3), float("nan"))) is None


def test_mirror_images_of_a_constant_tile_need_one_call():
    tile = torch.full((1, 1, 3, 4, 5), 2.0)
    assert torch.equal(mean_of_flipped(network(tile), (0, 2)), mean_over_flips(network, tile, (0, 2)))


def test_kept_logits_are_bounded_and_the_oldest_go_first():
    kept = ConstantTiles(limit=2 * 4 * 10)
    computed = []

    def get(key, size=10):
        return kept.get(key, lambda: (computed.append(key), torch.zeros(size))[1])

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key)
    assert computed == ["a", "b", "c", "b"]
    get("large", 100), get("large", 100)
    assert computed.count("large") == 2
    kept.clear()
    get("b")
    assert computed[-1] == "b"
