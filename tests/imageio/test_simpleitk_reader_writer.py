from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.errors import ImageError
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from tests.imageio.formats import DIRECTION, ORIGIN_XYZ, SHAPE, SPACING, write_nibabel, write_sitk, write_sitk_2d

RNG = np.random.RandomState(5)
VOLUME = RNG.randint(-1000, 1000, SHAPE).astype(np.int16)


def test_properties_hold_the_geometry_in_itk_order_and_the_spacing_in_array_order(tmp_path):
    write_sitk(tmp_path / "a.nrrd", VOLUME)
    _, properties = SimpleITKIO().read_images([str(tmp_path / "a.nrrd")])
    assert properties["sitk_stuff"] == {
        "spacing": SPACING[::-1],
        "origin": ORIGIN_XYZ,
        "direction": tuple(DIRECTION.ravel()),
    }
    assert properties["spacing"] == list(SPACING)
    assert all(type(s) is np.float64 for s in properties["spacing"])


def test_spacing_is_read_as_the_file_stores_it(tmp_path):
    for ending, expected in ((".nii.gz", 0.699999988079071), (".mha", 0.7)):
        write_sitk(tmp_path / f"a{ending}", VOLUME, (0.7, 1, 1))
        _, properties = SimpleITKIO().read_images([str(tmp_path / f"a{ending}")])
        assert properties["spacing"][0] == expected


def test_the_made_up_axis_of_a_2d_image_is_999_times_coarser(tmp_path):
    write_sitk_2d(tmp_path / "a.mha", VOLUME[:1], (1, 0.5, 1.25))
    images, properties = SimpleITKIO().read_images([str(tmp_path / "a.mha")])
    assert images.shape == (1, 1, 14, 11)
    assert properties["spacing"] == [999 * 1.25, 0.5, 1.25]
    assert len(properties["sitk_stuff"]["spacing"]) == 2


def test_the_label_map_of_a_2d_image_is_2d_again(tmp_path):
    write_sitk_2d(tmp_path / "a.mha", VOLUME[:1])
    _, properties = SimpleITKIO().read_images([str(tmp_path / "a.mha")])
    SimpleITKIO().write_seg(np.ones((1, 14, 11)), str(tmp_path / "o.mha"), properties)
    written, image = (sitk.ReadImage(str(tmp_path / name)) for name in ("o.mha", "a.mha"))
    assert written.GetDimension() == 2
    assert written.GetOrigin() == image.GetOrigin()
    assert written.GetDirection() == image.GetDirection()
    with pytest.raises(ImageError, match="2D"):
        SimpleITKIO().write_seg(np.ones((2, 14, 11)), str(tmp_path / "o.mha"), properties)


def write_4d(path, volumes):
    """Save (C, Z, Y, X) as one 4D file with the geometry of formats.py."""
    parts = []
    for volume in volumes:
        part = sitk.GetImageFromArray(volume)
        part.SetSpacing(SPACING[::-1])
        part.SetOrigin(ORIGIN_XYZ)
        part.SetDirection(DIRECTION.ravel().tolist())
        parts.append(part)
    sitk.WriteImage(sitk.JoinSeries(parts, 0.0, 3.0), str(path))


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_the_channels_of_a_4d_image_are_its_last_axis_and_predictions_can_be_written(ending, tmp_path):
    volumes = RNG.randint(0, 99, (3, *SHAPE)).astype(np.int16)
    path = tmp_path / f"a{ending}"
    write_4d(path, volumes)
    images, properties = SimpleITKIO().read_images([str(path)])
    assert np.array_equal(images, volumes)
    assert properties["spacing"] == list(SPACING)
    assert len(properties["sitk_stuff"]["spacing"]) == 4
    SimpleITKIO().write_seg(volumes[0], str(tmp_path / f"o{ending}"), properties)
    written = sitk.ReadImage(str(tmp_path / f"o{ending}"))
    assert np.array_equal(sitk.GetArrayFromImage(written), volumes[0])
    assert np.allclose(written.GetSpacing(), SPACING[::-1])
    assert np.allclose(written.GetOrigin(), ORIGIN_XYZ)
    assert np.allclose(written.GetDirection(), DIRECTION.ravel())


@pytest.mark.parametrize(("shape", "expected"), [((14, 11), (4, 1, 14, 11)), (SHAPE, (4, *SHAPE))])
def test_vector_pixels_are_channels(shape, expected, tmp_path):
    array = RNG.randint(0, 99, (*shape, 4)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "a.mha"))
    images, properties = SimpleITKIO().read_images([str(tmp_path / "a.mha")])
    assert images.shape == expected
    assert len(properties["spacing"]) == 3
    assert np.array_equal(images[2].reshape(shape), array[..., 2])
    with pytest.raises(ImageError, match="4 channels"):
        SimpleITKIO().read_seg(str(tmp_path / "a.mha"))


def test_a_sheared_nifti_is_refused_with_the_reader_that_takes_it(tmp_path):
    import nibabel as nib

    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    nib.save(nib.Nifti1Image(VOLUME, sheared), tmp_path / "a.nii.gz")
    with pytest.raises(ImageError, match=r"a\.nii\.gz.*not perpendicular.*NibabelIO"):
        SimpleITKIO().read_images([str(tmp_path / "a.nii.gz")])


def test_reorienting_keeps_labels_above_255_and_restores_the_file(tmp_path):
    write_sitk(tmp_path / "a.nii.gz", VOLUME)
    reader = SimpleITKIOWithReorient()
    images, properties = reader.read_images([str(tmp_path / "a.nii.gz")])
    assert properties["sitk_stuff"]["original_orientation"] == "PRS"
    seg = (images[0] > 0) * 300
    reader.write_seg(seg, str(tmp_path / "o.nii.gz"), properties)
    written, image = (sitk.ReadImage(str(tmp_path / name)) for name in ("o.nii.gz", "a.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(written), (VOLUME > 0) * 300)
    assert np.allclose(written.GetOrigin(), image.GetOrigin())
    assert np.allclose(written.GetDirection(), image.GetDirection())
    assert np.allclose(written.GetSpacing(), image.GetSpacing())


def test_another_orientation_can_be_asked_for(tmp_path):
    write_sitk(tmp_path / "a.nii.gz", VOLUME)
    path = str(tmp_path / "a.nii.gz")
    same, _ = SimpleITKIOWithReorient().read_images([path], orientation="PRS")
    assert np.array_equal(same[0], VOLUME)
    turned, _ = SimpleITKIOWithReorient().read_images([path], "PRI")
    assert np.array_equal(turned[0], VOLUME[::-1])
    assert np.array_equal(SimpleITKIOWithReorient().read_seg(path, "PRI")[0], turned)


def test_reorienting_refuses_2d_and_4d(tmp_path):
    write_sitk_2d(tmp_path / "two.mha", VOLUME[:1])
    write_4d(tmp_path / "four.mha", np.zeros((2, *SHAPE), np.int16))
    for name, axes in (("two.mha", 2), ("four.mha", 4)):
        with pytest.raises(ImageError, match=f"{name} has {axes} axes"):
            SimpleITKIOWithReorient().read_images([str(tmp_path / name)])


def test_both_reorienting_readers_agree_on_the_same_file(tmp_path):
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

    write_nibabel(tmp_path / "a.nii.gz", VOLUME)
    path = [str(tmp_path / "a.nii.gz")]
    first, first_properties = SimpleITKIOWithReorient().read_images(path)
    second, second_properties = NibabelIOWithReorient().read_images(path)
    assert np.array_equal(first, second)
    assert np.allclose(first_properties["spacing"], second_properties["spacing"])
