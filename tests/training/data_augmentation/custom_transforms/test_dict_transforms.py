"""Dict-style transforms for masks, regions, dummy 2D and deep supervision."""

from __future__ import annotations

import numpy as np
import pytest
from batchgenerators.transforms.abstract_transforms import Compose

from nnunetv2.training.data_augmentation.custom_transforms.deep_supervision_donwsampling import (
    DownsampleSegForDSTransform2,
)
from nnunetv2.training.data_augmentation.custom_transforms.masking import MaskTransform
from nnunetv2.training.data_augmentation.custom_transforms.region_based_training import (
    ConvertSegmentationToRegionsTransform,
)
from nnunetv2.training.data_augmentation.custom_transforms.transforms_for_dummy_2d import (
    Convert2DTo3DTransform,
    Convert3DTo2DTransform,
)


def test_mask_sets_flagged_channels_where_the_segmentation_is_negative():
    seg = np.array([[[-1, 0]], [[1, -1]]])[:, None]  # (2, 1, 1, 2)
    out = MaskTransform([1], mask_idx_in_seg=0, set_outside_to=5)(data=np.ones((2, 2, 1, 2)), seg=seg)
    assert out["data"].tolist() == [[[[1, 1]], [[5, 1]]], [[[1, 1]], [[1, 5]]]]


def test_regions_may_overlap_and_may_be_single_labels():
    seg = np.array([[[[0, 1, 2]], [[9, 9, 9]]]])
    out = ConvertSegmentationToRegionsTransform([(1, 2), 2], "seg", "target")(seg=seg)
    assert out["target"].tolist() == [[[[0, 1, 1]], [[0, 0, 1]]]]
    assert out["target"].dtype == np.uint8
    assert out["seg"] is seg


def test_folding_axis_0_and_back_gives_the_same_batch():
    data, seg = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6), np.arange(2 * 4 * 5 * 6).reshape(2, 1, 4, 5, 6)
    folded = Convert3DTo2DTransform()(data=data, seg=seg)
    assert folded["data"].shape == (2, 12, 5, 6)
    assert folded["seg"].shape == (2, 4, 5, 6)
    assert np.array_equal(folded["data"][1, 4 + 2], data[1, 1, 2])
    back = Convert2DTo3DTransform()(**folded)
    assert np.array_equal(back["data"], data)
    assert np.array_equal(back["seg"], seg)
    assert set(back) == {"data", "seg"}


def test_the_plane_may_shrink_while_folded():
    folded = Convert3DTo2DTransform(("data",))(data=np.zeros((2, 3, 4, 9, 9)))
    folded["data"] = folded["data"][..., :5, :6]
    assert Convert2DTo3DTransform(("data",))(**folded)["data"].shape == (2, 3, 4, 5, 6)


def test_targets_shrink_by_their_scale_and_keep_labels_and_type():
    seg = np.arange(2 * 4 * 6, dtype=np.int16).reshape(2, 1, 4, 6)
    out = DownsampleSegForDSTransform2([1, 0.5, (0.5, 1.0)], 0, input_key="seg", output_key="target")(seg=seg)
    full, half, rows = out["target"]
    assert full is seg
    assert np.array_equal(half, seg[:, :, 1::2, 1::2])
    assert np.array_equal(rows, seg[:, :, 1::2])
    assert half.dtype == np.int16


def test_given_axes_alone_are_resized():
    out = DownsampleSegForDSTransform2([0.5], axes=[3])(seg=np.zeros((1, 1, 4, 6), dtype=np.int8))
    assert out["seg"][0].shape == (1, 1, 4, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_the_transforms_compose_into_an_old_style_pipeline(dtype):
    seg = np.random.RandomState(0).randint(-1, 3, (2, 1, 4, 8, 8)).astype(dtype)
    pipeline = Compose(
        [
            Convert3DTo2DTransform(),
            Convert2DTo3DTransform(),
            MaskTransform([0]),
            ConvertSegmentationToRegionsTransform([(1, 2), 2], "seg", "target"),
            DownsampleSegForDSTransform2([[1, 1, 1], [1, 0.5, 0.5]], 0, "target", "target"),
        ]
    )
    out = pipeline(data=np.ones((2, 1, 4, 8, 8), dtype=np.float32), seg=seg)
    assert [target.shape for target in out["target"]] == [(2, 2, 4, 8, 8), (2, 2, 4, 4, 4)]
    assert np.array_equal(out["data"] == 0, seg < 0)
