"""Measuring one case."""

import io

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread

from nnunetv2.dataset_report.case_facts import (
    count_labels,
    draw_thumbnail,
    measure_case,
    measure_channel,
    orientation_of,
)
from nnunetv2.errors import ImageError
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO


def write(path, array, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path))
    return str(path)


def test_a_case_is_measured_as_it_is(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, (6, 8, 10)).astype(np.float32)
    label = np.zeros((6, 8, 10), np.uint8)
    label[3, 2:5] = 1
    label[3, 2, :4] = 2
    files = [write(tmp_path / "a_0000.nii.gz", image)], write(tmp_path / "a.nii.gz", label)
    facts = measure_case("a", "training", *files, SimpleITKIO(), (1, 2))
    assert facts.shape == (6, 8, 10)
    assert facts.spacing == pytest.approx((3.0, 0.75, 0.5))
    assert facts.voxel_volume == pytest.approx(0.001125)
    assert facts.voxels == {0: 480 - 30, 1: 26, 2: 4}
    assert facts.thumbnail_size == pytest.approx((6.0, 5.0))
    (channel,) = facts.channels
    assert (channel.minimum, channel.maximum) == (image.min(), image.max())
    assert channel.mean == pytest.approx(image.mean(), rel=1e-5)
    assert (channel.percentile_00_5, channel.median, channel.percentile_99_5) == pytest.approx(
        tuple(np.percentile(image, (0.5, 50, 99.5)))
    )
    assert sum(channel.histogram) == pytest.approx(0.99 * image.size, abs=3)
    assert 0 < sum(channel.foreground_histogram) <= 30


def test_a_test_case_has_no_labels(tmp_path):
    image = write(tmp_path / "a_0000.nii.gz", np.zeros((3, 4, 5), np.float32))
    facts = measure_case("a", "test", [image], None, SimpleITKIO(), (1,))
    assert facts.voxels is None
    assert facts.channels[0].foreground_histogram == ()
    assert facts.channels[0].histogram[0] == 60, "a constant image fills one bin"


def test_an_image_and_a_label_map_of_other_shape_are_an_error(tmp_path):
    image = write(tmp_path / "a_0000.nii.gz", np.zeros((3, 4, 5), np.float32))
    label = write(tmp_path / "a.nii.gz", np.zeros((3, 4, 6), np.uint8))
    with pytest.raises(ImageError, match=r"a\.nii\.gz has shape \(3, 4, 6\)"):
        measure_case("a", "training", [image], label, SimpleITKIO(), (1,))


def test_voxels_that_are_not_finite_are_counted_and_left_out():
    channel = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    channel[0, 0, :3] = (np.nan, np.inf, -np.inf)
    found = measure_channel(channel, None)
    assert (found.not_finite, found.minimum, found.maximum) == (3, 3, 999)
    with pytest.raises(ImageError, match="no finite voxel"):
        measure_channel(np.full((2, 2, 2), np.nan, np.float32), None)


@pytest.mark.parametrize("reader", [SimpleITKIO(), NibabelIO()], ids=["SimpleITK", "nibabel"])
@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), "LPS"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), "RAS"),
        ((0, 0, 1, 1, 0, 0, 0, 1, 0), "PSL"),
        ((0.9987, 0.05, 0, -0.05, 0.9987, 0, 0, 0, 1), "LPS"),
    ],
)
def test_both_readers_name_the_orientation_alike_and_as_itk_does(tmp_path, reader, direction, expected):
    q, _ = np.linalg.qr(np.array(direction, float).reshape(3, 3))
    exact = (q * np.sign((q * np.array(direction).reshape(3, 3)).sum(0))).ravel().tolist()
    path = write(tmp_path / "a_0000.nii.gz", np.zeros((3, 4, 5), np.float32), exact)
    assert orientation_of(reader.read_images([path])[1]) == expected
    assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(exact) == expected


def test_formats_without_orientation_give_none():
    assert orientation_of({"spacing": [999, 1, 1]}) == ""
    assert orientation_of({"sitk_stuff": {"direction": (1.0, 0.0, 0.0, 1.0)}}) == ""


def test_label_values_are_counted_and_must_be_integers():
    assert count_labels(np.array([[0.0, 2.0], [2.0, 1.0]])) == {0: 1, 1: 1, 2: 2}
    with pytest.raises(ImageError, match="no integers"):
        count_labels(np.array([0.5]))


def test_a_thumbnail_is_a_small_picture_with_the_labels_in_colour():
    image = np.random.default_rng(0).normal(0, 1, (400, 300))
    label = np.zeros((400, 300), int)
    label[:200] = 500
    picture = imread(io.BytesIO(draw_thumbnail(image, label, [205, 500])), format="jpg").astype(int)
    assert max(picture.shape) <= 192
    half = picture.shape[0] // 2
    difference = picture[..., 2] - picture[..., 0]
    assert difference[: half - 4].mean() > 30, "the second label is light blue"
    assert abs(difference[half + 4 :].mean()) < 5
