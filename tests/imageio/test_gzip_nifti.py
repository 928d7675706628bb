"""The fast way into .nii.gz files gives what SimpleITK gives, or steps aside."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.errors import ImageError
from nnunetv2.imageio.gzip_nifti import read_gzip_voxels
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

NUMBERS = (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64)


def write(path, dtype=np.int16, shape=(4, 5, 7)):
    low = 0 if np.dtype(dtype).kind == "u" else -100
    array = np.random.RandomState(0).randint(low, 100, shape).astype(dtype)
    image = sitk.GetImageFromArray(array)
    if len(shape) == 3:
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((-10.5, 3.25, 7))
        image.SetDirection((-1, 0, 0, 0, 0, 1, 0, 1, 0))
    sitk.WriteImage(image, str(path))
    return array


@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda dtype: dtype.__name__)
def test_voxels_and_geometry_equal_those_of_simpleitk(tmp_path, dtype):
    path = str(tmp_path / "a.nii.gz")
    array = write(path, dtype)
    voxels = read_gzip_voxels(path)
    assert voxels.dtype == array.dtype
    assert np.array_equal(voxels, array)
    images, properties = SimpleITKIO().read_images([path])
    whole = sitk.ReadImage(path)
    assert np.array_equal(images[0], array.astype(np.float32))
    assert properties["sitk_stuff"] == {
        "spacing": whole.GetSpacing(),
        "origin": whole.GetOrigin(),
        "direction": whole.GetDirection(),
    }
    assert properties["spacing"] == list(whole.GetSpacing()[::-1])


def scaled(path):
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.int16), np.eye(4))
    image.header.set_slope_inter(2, 1)
    nib.save(image, path)


def big_endian(path):
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.int16), np.eye(4), nib.Nifti1Header(endianness=">")), path)


def two_members(path):
    write(path)
    plain = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))


def uncompressed(path):
    write(path)
    path.write_bytes(gzip.decompress(path.read_bytes()))


OTHERS = {
    "two axes": lambda path: write(path, shape=(5, 7)),
    "scaled": scaled,
    "big endian": big_endian,
    "two gzip members": two_members,
    "not compressed": uncompressed,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_files_that_need_more_are_left_to_the_library_and_read_the_same(tmp_path, kind):
    path = tmp_path / "a.nii.gz"
    OTHERS[kind](path)
    assert read_gzip_voxels(str(path)) is None
    whole = sitk.ReadImage(str(path))
    images, _ = SimpleITKIO().read_images([str(path)])
    assert np.array_equal(images.squeeze(), sitk.GetArrayFromImage(whole).astype(np.float32))


def test_a_flipped_bit_is_not_read_as_an_image(tmp_path):
    path = tmp_path / "a.nii.gz"
    write(path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum
    path.write_bytes(content)
    assert read_gzip_voxels(str(path)) is None


def test_a_short_file_gives_the_usual_message(tmp_path):
    path = tmp_path / "a.nii.gz"
    write(path, shape=(20, 30, 40))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError, match="is truncated"):
        SimpleITKIO().read_images([str(path)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_voxels_that_are_not_finite_are_zero_as_in_simpleitk_and_warned_about(tmp_path, dtype, caplog):
    path = tmp_path / "a.nii.gz"
    array = np.linspace(-3, 3, 3 * 4 * 5, dtype=dtype).reshape(3, 4, 5)
    array[1, 2, 3], array[2, 0, 0], array[2, 3, 4] = np.nan, np.inf, -np.inf
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    images, _ = SimpleITKIO().read_images([str(path)])
    assert np.array_equal(images[0], sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32))
    assert np.array_equal(images[0], np.nan_to_num(array, nan=0, posinf=0, neginf=0).astype(np.float32))
    (message,) = [record.getMessage() for record in caplog.records]
    assert "a.nii.gz: 3 voxels are NaN or infinite, the first at (1, 2, 3)" in message


def test_large_finite_numbers_stay(tmp_path, caplog):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.full((3, 4, 5), 1.7e308)), str(path))
    assert (read_gzip_voxels(str(path)) == 1.7e308).all()
    assert not caplog.records
