import pytest
import torch

from nnunetv2.geometry.tiles import tile_slicers
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
from nnunetv2.inference.tiling import accumulate_tiles, pad_to_tile

CPU = torch.device("cpu")


def identity_accumulated(image, tile, step, dtype, importance=None):
    return accumulate_tiles(
        lambda batch: batch,
        image,
        tile_slicers(image.shape[1:], tile, step),
        num_outputs=len(image),
        importance=importance,
        network_device=CPU,
        dtype=dtype,
    )


def test_padding_puts_the_image_in_the_middle_and_can_be_undone():
    image = torch.rand(2, 5, 6, 9)
    padded, inner = pad_to_tile(image, (8, 6, 8))
    assert padded.shape == (2, 8, 6, 9)
    assert torch.equal(padded[inner], image)
    assert torch.equal(padded[:, 0], torch.zeros(2, 6, 9))
    assert padded[:, -2:].abs().sum() == 0
    assert padded.sum() == image.sum()


def test_without_need_the_image_itself_is_returned():
    image = torch.rand(1, 8, 8, 8)
    assert pad_to_tile(image, (8, 8, 8))[0] is image


@pytest.mark.parametrize("step", [0.3, 0.5, 1])
@pytest.mark.parametrize("tile", [(6, 5, 4), (5, 4)])
def test_the_identity_network_gives_the_image_back(tile, step):
    image = torch.randn(2, 9, 10, 7)
    importance = compute_gaussian(tile, value_scaling_factor=10, dtype=torch.float32, device=CPU)
    result = identity_accumulated(image, tile, step, torch.float32, importance)
    torch.testing.assert_close(result, image, rtol=1e-6, atol=1e-6)


def test_the_identity_network_gives_the_image_back_to_half_precision_where_weights_are_normal_numbers():
    image = torch.randn(1, 20, 20, 20)
    importance = compute_gaussian((16, 16, 16), value_scaling_factor=10, device=CPU)
    slicers = tile_slicers(image.shape[1:], (16, 16, 16), 0.5)
    weights = torch.zeros(image.shape[1:])
    for slicer in slicers:
        weights[slicer[1:]] = torch.maximum(weights[slicer[1:]], importance.float())
    result = identity_accumulated(image, (16, 16, 16), 0.5, torch.float16, importance).float()
    normal = weights >= 2.0**-10
    error = (result - image)[0].abs() / image[0].abs().clamp(min=0.25)
    assert normal.float().mean() > 0.7
    assert error[normal].max() < 6e-3
    # The known artefact: in a corner the weight is the smallest half, so the logit is rounded to an integer.
    assert result[0, 0, 0, 0] == torch.round(image[0, 0, 0, 0])


def test_uniform_weights_count_how_many_tiles_lie_over_a_voxel():
    image = torch.ones(1, 6, 4, 4)
    calls = []

    def network(batch):
        calls.append(1)
        return torch.full_like(batch, float(len(calls)))

    result = accumulate_tiles(
        network,
        image,
        tile_slicers((6, 4, 4), (4, 4, 4), 0.5),
        num_outputs=1,
        importance=None,
        network_device=CPU,
    )
    assert result[0, :, 0, 0].tolist() == [1, 1, 1.5, 1.5, 2, 2]


def test_an_overflow_of_the_sums_is_an_error_that_names_the_channel():
    image = torch.full((2, 4, 4, 4), 1.0)
    image[1] = 60000.0
    importance = torch.full((4, 4, 4), 10, dtype=torch.float16)
    with pytest.raises(RuntimeError, match=r"\[1\] are NaN or infinite in torch.float16"):
        identity_accumulated(image, (4, 4, 4), 0.5, torch.float16, importance)
    assert torch.equal(identity_accumulated(image, (4, 4, 4), 0.5, torch.float32, importance), image)


def test_the_output_of_the_network_is_not_written_to():
    image = torch.ones(1, 4, 4, 4)
    identity_accumulated(image, (4, 4, 4), 0.5, torch.float32, torch.full((4, 4, 4), 3.0))
    assert torch.equal(image, torch.ones(1, 4, 4, 4))
