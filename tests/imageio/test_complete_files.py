"""Files that end too early are found; unusual but complete ones are let through."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from nnunetv2.errors import ImageError
from nnunetv2.imageio.complete_files import require_complete
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.imageio.sound_files import scan_to_the_end

READERS = (SimpleITKIO, NibabelIO)
ARRAY = np.random.RandomState(1).randint(-1000, 1000, (9, 14, 11)).astype(np.int16)


def nifti_bytes(image_class=nib.Nifti1Image, endianness="<", array=ARRAY) -> bytes:
    header = image_class.header_class(endianness=endianness)
    header.set_data_dtype(array.dtype.newbyteorder(endianness))
    return image_class(array, np.eye(4), header=header).to_bytes()


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("compressed", [True, False])
def test_nifti_headers_of_both_versions_and_byte_orders_are_understood(image_class, endianness, compressed, tmp_path):
    content = nifti_bytes(image_class, endianness)
    path = tmp_path / ("x.nii.gz" if compressed else "x.nii")
    path.write_bytes(gzip.compress(content) if compressed else content)
    require_complete(str(path))
    path.write_bytes(gzip.compress(content[:-1]) if compressed else content[:-1])
    with pytest.raises(ImageError, match=r"x\.nii.*truncated"):
        require_complete(str(path))


@pytest.mark.parametrize("lost", [20, 100, 1000])
def test_a_compressed_nifti_without_its_last_voxels_is_truncated(lost, tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes())[:-lost])
    with pytest.raises(ImageError, match="truncated"):
        require_complete(str(path))


@pytest.mark.parametrize("lost", [1, 4, 8])
def test_a_nifti_that_lost_only_its_checksum_is_truncated(lost, tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes())[:-lost])
    for reader in (SimpleITKIO, NibabelIO):
        with pytest.raises(ImageError, match=r"x\.nii\.gz is truncated"):
            reader().read_images([str(path)])
    with pytest.raises(ImageError, match="damaged"):
        scan_to_the_end(str(path))


@pytest.mark.parametrize("reader", [SimpleITKIO, NibabelIO])
def test_gzip_files_of_several_members_and_with_trailing_bytes_are_complete(reader, tmp_path):
    content = nifti_bytes()
    for name, stored in {
        "members.nii.gz": gzip.compress(content[:700]) + gzip.compress(content[700:]),
        "trailing.nii.gz": gzip.compress(content + bytes(100)),
        "padded.nii.gz": gzip.compress(content) + bytes(512),
    }.items():
        (tmp_path / name).write_bytes(stored)
        images, _ = reader().read_images([str(tmp_path / name)])
        assert np.array_equal(images[0], ARRAY.transpose(2, 1, 0))


def test_an_uncompressed_nifti_named_gz_is_measured_as_it_is(tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(nifti_bytes())
    require_complete(str(path))
    path.write_bytes(nifti_bytes()[:-10])
    with pytest.raises(ImageError, match="truncated"):
        require_complete(str(path))


def test_a_flipped_bit_is_found_by_the_checksum_only(tmp_path):
    path = tmp_path / "x.nii.gz"
    content = bytearray(gzip.compress(nifti_bytes(), compresslevel=0))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for read in (require_complete, scan_to_the_end, *(lambda p, r=r: r().read_images([p]) for r in READERS)):
        with pytest.raises(ImageError, match="damaged"):
            read(str(path))


def test_a_flipped_bit_in_the_second_member_is_found_too(tmp_path):
    path = tmp_path / "x.nii.gz"
    content = nifti_bytes()
    second = bytearray(gzip.compress(content[700:], compresslevel=0))
    second[200] ^= 16
    path.write_bytes(gzip.compress(content[:700]) + second)
    with pytest.raises(ImageError, match="damaged"):
        SimpleITKIO().read_images([str(path)])


@pytest.mark.parametrize("size", [100, 300, -1])
def test_a_truncated_gipl_is_refused_although_itk_would_read_it(size, tmp_path):
    path = tmp_path / "x.gipl"
    sitk.WriteImage(sitk.GetImageFromArray(ARRAY), str(path))
    images, _ = SimpleITKIO().read_images([str(path)])
    assert np.array_equal(images[0], ARRAY)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ImageError, match=r"x\.gipl is truncated"):
        SimpleITKIO().read_images([str(path)])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}], ids=str)
def test_a_tiff_that_lost_slices_is_truncated(options, tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, ARRAY, photometric="minisblack", metadata=None, **options)
    require_complete(str(path))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ImageError, match=r"x\.tif is truncated"):
        require_complete(str(path))


def test_files_of_other_formats_are_left_to_their_library(tmp_path):
    for name in ("x.png", "x.mha", "x.tif"):
        (tmp_path / name).write_bytes(b"anything else")
        require_complete(str(tmp_path / name))
