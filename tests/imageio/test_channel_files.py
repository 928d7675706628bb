from __future__ import annotations

import logging

import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.imageio.channel_files import (
    ChannelFile,
    label_map,
    position_differences,
    position_of,
    stack_channels,
)


def channel_file(name="a", value=0.0, shape=(1, 2, 3, 4), spacing=(1, 1, 1), dtype=np.float32, **block):
    return ChannelFile(name, np.full(shape, value, dtype), {"spacing": spacing, **block})


def sitk_block(origin=(0.0, 0.0, 0.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    return {"sitk_stuff": {"spacing": (1.0,) * len(origin), "origin": origin, "direction": direction}}


def test_files_with_several_channels_are_stacked_in_order():
    files = [channel_file(value=1, dtype=np.int16), channel_file("b", 2, (3, 2, 3, 4), dtype=np.float64)]
    images, properties = stack_channels(files)
    assert images.dtype == np.float32
    assert images[:, 0, 0, 0].tolist() == [1, 2, 2, 2]
    assert properties is files[0].properties


def test_spacings_within_rounding_are_the_same():
    stack_channels([channel_file(spacing=(0.7, 1, 1)), channel_file(spacing=(0.699999988, 1, 1))])
    with pytest.raises(ImageError, match=r"differ in spacing.*\n.*0\.7.*\n.*0\.701"):
        stack_channels([channel_file(spacing=(0.7, 1, 1)), channel_file(spacing=(0.701, 1, 1))])


def test_every_file_is_listed_when_the_third_one_differs():
    files = [channel_file("a"), channel_file("b"), channel_file("c", shape=(1, 2, 3, 5))]
    with pytest.raises(ImageError, match=r"a: shape \[2, 3, 4\]\n.*b: .*\n.*c: shape \[2, 3, 5\]\n.*Resample"):
        stack_channels(files)


def test_another_origin_or_direction_is_a_warning(caplog):
    moved = sitk_block(origin=(0.0, 5.0, 0.0))
    turned = sitk_block(direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))
    with caplog.at_level(logging.WARNING):
        stack_channels([channel_file("a", **sitk_block()), channel_file("b", **moved), channel_file("c", **turned)])
    assert [r.getMessage().split(";")[0] for r in caplog.records] == [
        "a and b differ in origin ([0.0, 0.0, 0.0] and [0.0, 5.0, 0.0])",
        "a and c differ in direction ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] and "
        "[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])",
    ]


def test_another_affine_is_a_warning(caplog):
    shifted = np.eye(4)
    shifted[0, 3] = 2
    blocks = [{"nibabel_stuff": {"original_affine": affine}} for affine in (np.eye(4), shifted)]
    with caplog.at_level(logging.WARNING):
        stack_channels([channel_file("a", **blocks[0]), channel_file("b", **blocks[1])])
    assert "a and b differ in affine" in caplog.text


def test_equal_positions_are_silent(caplog):
    with caplog.at_level(logging.WARNING):
        stack_channels([channel_file(**sitk_block()), channel_file("b", **sitk_block(origin=(1e-9, 0.0, 0.0)))])
    assert not caplog.records


def test_reoriented_images_are_compared_after_turning():
    first = {"nibabel_stuff": {"original_affine": -np.eye(4), "reoriented_affine": np.eye(4)}}
    assert np.array_equal(position_of(first)["affine"], np.eye(4))


def test_a_4d_image_and_its_3d_label_map_can_be_compared():
    four = sitk_block((1.0, 2.0, 3.0, 9.0), tuple(np.eye(4).ravel()))
    assert position_differences(four, sitk_block((1.0, 2.0, 3.0))) == ""
    assert "origin" in position_differences(four, sitk_block((1.0, 2.0, 4.0)))


def test_formats_without_a_position_never_differ():
    assert position_of({"spacing": (1, 1, 1)}) == {}
    assert position_differences({"spacing": (1, 1, 1)}, sitk_block()) == ""


def test_a_label_map_with_several_channels_is_refused():
    with pytest.raises(ImageError, match=r"p\.png has 3 channels.*palette"):
        label_map(channel_file("p.png", shape=(3, 1, 4, 5)))
