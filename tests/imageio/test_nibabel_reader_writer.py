from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from tests.imageio.formats import SHAPE, affine_of

RNG = np.random.RandomState(6)
VOLUME = RNG.randint(-1000, 1000, SHAPE[::-1]).astype(np.int16)  # (X, Y, Z), as nibabel has it


def oblique_affine() -> np.ndarray:
    """Voxels of 0.8 x 0.9 x 2.5 mm, turned by 20 degrees about z, with the first axis pointing to the left."""
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.8, 0.9, 2.5])
    affine[:3, 3] = 3, -4, 5
    return affine


@pytest.mark.parametrize("reader", [NibabelIO, NibabelIOWithReorient])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64, np.int64, np.uint64])
@pytest.mark.parametrize("scaling", [None, (0.1234, -1000.5)])
def test_values_equal_those_of_get_fdata(reader, dtype, scaling, tmp_path):
    image = nib.Nifti1Image((RNG.uniform(0, 250, VOLUME.shape) * 1e6).astype(dtype), oblique_affine(), dtype=dtype)
    if scaling:
        image.header.set_slope_inter(*scaling)
    nib.save(image, tmp_path / "a.nii.gz")
    images, properties = reader().read_images([str(tmp_path / "a.nii.gz")])
    reference = nib.load(tmp_path / "a.nii.gz")
    if reader is NibabelIOWithReorient:
        reference = reference.as_reoriented(nib.io_orientation(reference.affine))
    assert np.array_equal(images[0], reference.get_fdata().astype(np.float32).transpose(2, 1, 0))
    assert properties["spacing"] == [float(z) for z in reference.header.get_zooms()[::-1]]


def test_properties_keep_the_original_affine(tmp_path):
    nib.save(nib.Nifti1Image(VOLUME, oblique_affine()), tmp_path / "a.nii")
    for reader in (NibabelIO, NibabelIOWithReorient):
        _, properties = reader().read_images([str(tmp_path / "a.nii")])
        assert np.allclose(properties["nibabel_stuff"]["original_affine"], oblique_affine(), atol=1e-6)
    reoriented = properties["nibabel_stuff"]["reoriented_affine"]
    assert nib.aff2axcodes(reoriented) == ("R", "A", "S")


@pytest.mark.parametrize("reader", [NibabelIO, NibabelIOWithReorient])
@pytest.mark.parametrize("affine", [oblique_affine(), affine_of(), np.diag([1.0, 2.0, 3.0, 1.0])], ids=["oblique", "turned", "straight"])  # fmt: skip # noqa: E501
def test_the_written_label_map_lies_where_the_image_lies(reader, affine, tmp_path):
    nib.save(nib.Nifti1Image(VOLUME, affine), tmp_path / "a.nii.gz")
    images, properties = reader().read_images([str(tmp_path / "a.nii.gz")])
    reader().write_seg(images[0] > 0, str(tmp_path / "o.nii.gz"), properties)
    written = nib.load(tmp_path / "o.nii.gz")
    assert np.array_equal(written.get_fdata(), VOLUME > 0)
    assert np.allclose(written.affine, nib.load(tmp_path / "a.nii.gz").affine)


def test_an_affine_that_cannot_be_restored_is_a_warning(tmp_path, caplog):
    nib.save(nib.Nifti1Image(VOLUME, oblique_affine()), tmp_path / "a.nii.gz")
    images, properties = NibabelIOWithReorient().read_images([str(tmp_path / "a.nii.gz")])
    properties["nibabel_stuff"]["original_affine"] = properties["nibabel_stuff"]["original_affine"] + 1
    NibabelIOWithReorient().write_seg(images[0] > 0, str(tmp_path / "o.nii.gz"), properties)
    assert "could not be restored" in caplog.text


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 2), (4, 5, 6, 1)])
def test_only_3d_images_are_taken(shape, tmp_path):
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(ImageError, match=r"a\.nii\.gz has shape .*3D"):
        NibabelIO().read_images([str(tmp_path / "a.nii.gz")])


def test_colour_voxels_are_refused(tmp_path):
    rgb = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(ImageError, match="one real number per voxel"):
        NibabelIO().read_images([str(tmp_path / "a.nii.gz")])
