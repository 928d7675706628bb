"""Pictures of labels over images."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from nnunetv2.errors import CaseFailures, ImageError, MissingFileError
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy
from nnunetv2.utilities.overlay_command import plot_overlay_entry_point
from nnunetv2.utilities.overlay_plots import (
    COLOR_CYCLE,
    generate_overlay,
    generate_overlays_from_preprocessed,
    generate_overlays_from_raw,
    slice_to_show,
)


def rgb(position):
    return np.array([int(COLOR_CYCLE[position][i : i + 2], 16) for i in (0, 2, 4)])


def test_image_and_colours_are_added_and_scaled_to_255():
    image, segmentation = np.array([[0.0, 50.0, 100.0]]), np.array([[0, 1, 2]])
    expected = np.array([0.0, 127.5, 255.0])[None, :, None] + 0.6 * np.stack([rgb(0), rgb(1), rgb(2)])[None]
    expected = (expected / expected.max() * 255).astype(np.uint8)
    picture = generate_overlay(image, segmentation)
    assert picture.dtype == np.uint8 and picture.shape == (1, 3, 3)
    np.testing.assert_array_equal(picture, expected)


def test_without_labels_the_picture_is_grey():
    picture = generate_overlay(np.array([[1, 2, 3]]), np.zeros((1, 3), int))
    assert picture[0].tolist() == [[0, 0, 0], [127, 127, 127], [255, 255, 255]]


def test_a_constant_image_is_black_under_its_labels():
    picture = generate_overlay(np.full((2, 2), 7.0), np.array([[0, 0], [0, 1]]))
    assert not picture[0].any() and picture[1, 1].max() == 255
    assert not generate_overlay(np.full((2, 2), 7.0), np.zeros((2, 2))).any()


def test_a_label_has_the_same_colour_whatever_else_is_in_the_picture():
    alone, together = (generate_overlay(np.zeros((1, 3)), np.array([labels])) for labels in ([0, 0, 3], [1, 2, 3]))
    for picture in (alone, together):
        color = picture[0, 2].astype(float)
        np.testing.assert_allclose(color / color.max(), rgb(3) / rgb(3).max(), atol=0.01)


def test_there_may_be_more_labels_than_colours():
    labels = np.arange(40).reshape(1, 40)
    picture = generate_overlay(np.zeros((1, 40)), labels)
    assert (picture[0, 1:].max(axis=-1) > 0).all()
    np.testing.assert_array_equal(picture[0, 1], picture[0, 1 + len(COLOR_CYCLE) - 1])


def test_mapping_and_colours_may_be_ones_own():
    picture = generate_overlay(np.zeros((1, 2)), np.array([[0, 9]]), {0: 1, 9: 0}, ["ff0000", "0000ff"], 1.0)
    assert picture.tolist() == [[[0, 0, 255], [255, 0, 0]]]


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((2, 3, 3), (2, 3, 3)), ((2, 3, 3), (2, 3))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ImageError, match="one shape"):
        generate_overlay(*map(np.zeros, shapes))


def test_the_slice_has_the_largest_mean_share_of_all_labels():
    segmentation = np.zeros((4, 5, 5), int)
    segmentation[1] = 1  # 25 of 35 voxels of label 1
    segmentation[3, :2] = 1
    segmentation[3, 4, :3] = 2  # all voxels of label 2
    assert slice_to_show(segmentation, [1, 2, 7]) == 3
    assert slice_to_show(segmentation, [1]) == 1
    assert slice_to_show(segmentation, [7]) == 0
    segmentation[2] = segmentation[3]
    segmentation[2, 4, :3] = 0
    assert slice_to_show(np.ones((3, 2, 2)), [1]) == 0


def test_raw_cases_become_one_picture_each(tiny_dataset, tmp_path):
    generate_overlays_from_raw(997, str(tmp_path / "out"), num_processes=1, channel_idx=1)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"tiny_{i:03d}.png" for i in range(6)]
    picture = imread(tmp_path / "out" / "tiny_000.png")
    assert picture.shape[:2] == (26, 23)
    grey = (picture[..., 0] == picture[..., 1]) & (picture[..., 1] == picture[..., 2])
    assert 0.2 < grey.mean() < 0.9


def test_a_channel_that_does_not_exist_is_an_error_that_names_the_case(tiny_dataset, tmp_path):
    with pytest.raises(CaseFailures, match=r"tiny_000 has 2 channel\(s\), so there is no channel 2"):
        generate_overlays_from_raw("Dataset997_Tiny", str(tmp_path / "out"), 1, channel_idx=2)


@pytest.fixture
def preprocessed(tiny_dataset, folders):
    folder = folders["nnUNet_preprocessed"] / tiny_dataset.name
    data = folder / "nnUNetPlans_2d"
    data.mkdir(parents=True)
    (folder / "dataset.json").write_text((tiny_dataset / "dataset.json").read_text())
    (folder / "nnUNetPlans.json").write_text(
        json.dumps(
            {
                "configurations": {
                    "2d": {"data_identifier": "nnUNetPlans_2d", "architecture": {}},
                    "3d_x": {"data_identifier": "no", "architecture": {}},
                }
            }
        )
    )
    image = np.random.RandomState(0).normal(size=(1, 5, 8, 9)).astype(np.float32)
    seg = np.full((1, 5, 8, 9), -1, dtype=np.int8)
    seg[0, 3, 2:5, 2:5] = 2
    nnUNetDatasetNumpy.save_case(image, seg, {}, str(data / "case_1"))
    return folder


def test_preprocessed_cases_are_drawn_with_the_outside_as_background(preprocessed, tmp_path):
    generate_overlays_from_preprocessed(997, str(tmp_path / "out"), num_processes=1)
    picture = imread(tmp_path / "out" / "case_1.png")[..., :3]
    assert picture.shape == (8, 9, 3)
    coloured = np.ptp(picture, axis=-1) > 0
    expected = np.zeros((8, 9), bool)
    expected[2:5, 2:5] = True
    np.testing.assert_array_equal(coloured, expected)


def test_a_configuration_that_is_not_preprocessed_says_what_to_do(preprocessed, tmp_path):
    with pytest.raises(MissingFileError, match="nnUNetv2_preprocess -c 3d_x"):
        generate_overlays_from_preprocessed(997, str(tmp_path / "out"), 1, configuration="3d_x")


def test_the_command_draws_raw_and_preprocessed_cases(preprocessed, tmp_path):
    common = ["-d", "997", "-np", "1", "-overlay_intensity", "0.3"]
    plot_overlay_entry_point([*common, "-o", str(tmp_path / "raw"), "--use_raw", "-channel_idx", "1"])
    plot_overlay_entry_point([*common, "-o", str(tmp_path / "pre"), "-c", "2d", "-p", "nnUNetPlans"])
    assert len(list((tmp_path / "raw").iterdir())) == 6 and len(list((tmp_path / "pre").iterdir())) == 1
