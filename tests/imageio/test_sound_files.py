from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.imageio import sound_files
from nnunetv2.imageio.sound_files import scan_to_the_end


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_voxels_that_are_no_numbers_are_counted_in_every_float_type(ending, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(sound_files, "_CHUNK", 64)  # so that several chunks are read
    array = np.random.RandomState(0).rand(9, 14, 11)
    array[0, 0, :3] = np.nan
    array[8, 13, 9:] = np.inf, -np.inf
    header = nib.Nifti1Header(endianness=dtype[0])
    header.set_data_dtype(dtype)
    path = str(tmp_path / f"a{ending}")
    nib.save(nib.Nifti1Image(array.astype(dtype), np.eye(4), header=header), path)
    assert scan_to_the_end(path) == (3, 2)


def test_integers_have_no_such_voxels(tmp_path):
    path = str(tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(np.full((9, 14, 11), -1, np.int16), np.eye(4)), path)
    assert scan_to_the_end(path) == (0, 0)


def test_bytes_behind_the_image_are_no_voxels(tmp_path):
    image = nib.Nifti1Image(np.zeros((9, 14, 11), np.float32), np.eye(4))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes() + b"\xff" * 400))
    assert scan_to_the_end(str(path)) == (0, 0)


def test_any_gzip_file_is_checked_and_others_are_left_alone(tmp_path):
    path = tmp_path / "a.nrrd.gz"
    path.write_bytes(gzip.compress(bytes(1000)))
    assert scan_to_the_end(str(path)) == (0, 0)
    path.write_bytes(gzip.compress(bytes(1000))[:-1])
    with pytest.raises(ImageError, match=r"a\.nrrd\.gz is damaged"):
        scan_to_the_end(str(path))
    (tmp_path / "a.png").write_bytes(b"anything")
    assert scan_to_the_end(str(tmp_path / "a.png")) == (0, 0)
