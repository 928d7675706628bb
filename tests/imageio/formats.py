"""Every reader with every kind of file it takes, and how to write such a file without the reader's help."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image
from skimage import io

from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

SHAPE = (9, 14, 11)
SPACING = (2.5, 0.5, 1.25)  # Z, Y, X; exact in float32, which NIfTI stores
ORIGIN_XYZ = (-30.5, 12.25, 7.0)
# Columns are the directions of the file's axes in LPS: x to the back (P), y to the right (R), z to the head (S).
DIRECTION = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Format:
    """A reader with one kind of file."""

    reader: type[BaseReaderWriter]
    ending: str
    write: Callable[..., None]
    """``write(path, array, spacing)`` with the array in the axis order of the file as numpy sees it, (Z, Y, X)."""
    shape: tuple[int, int, int] = SHAPE
    has_spacing: bool = True
    name: str = ""

    def __str__(self) -> str:
        return f"{self.reader.__name__}{self.name}{self.ending}"

    def without_reorientation(self) -> BaseReaderWriter:
        """The reader that takes the same files in their own axis order."""
        plain = {SimpleITKIOWithReorient: SimpleITKIO, NibabelIOWithReorient: NibabelIO}
        return plain.get(self.reader, self.reader)()

    def image(self, folder: Path, array: np.ndarray, spacing=SPACING, case: str = "case", channel: int = 0) -> str:
        """Write one channel file and give its path."""
        path = folder / f"{case}_{channel:04d}{self.ending}"
        self.write(path, array, spacing)
        return str(path)


def write_sitk(path: Path, array: np.ndarray, spacing=SPACING) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing[::-1]])
    image.SetOrigin(ORIGIN_XYZ)
    image.SetDirection(DIRECTION.ravel().tolist())
    sitk.WriteImage(image, str(path), True)


def write_sitk_2d(path: Path, array: np.ndarray, spacing=SPACING) -> None:
    image = sitk.GetImageFromArray(array[0])
    image.SetSpacing([float(s) for s in spacing[:0:-1]])
    image.SetOrigin(ORIGIN_XYZ[:2])
    image.SetDirection((0.0, -1.0, 1.0, 0.0))
    sitk.WriteImage(image, str(path), True)


def affine_of(spacing=SPACING) -> np.ndarray:
    """The affine (RAS) that says the same as spacing, origin and direction (LPS) above."""
    to_ras = np.diag([-1.0, -1.0, 1.0])
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ DIRECTION @ np.diag(spacing[::-1])
    affine[:3, 3] = to_ras @ np.array(ORIGIN_XYZ)
    return affine


def write_nibabel(path: Path, array: np.ndarray, spacing=SPACING) -> None:
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), affine_of(spacing)), path)


def write_picture(path: Path, array: np.ndarray, spacing=None) -> None:
    Image.fromarray(array[0].astype(np.uint8)).save(path)


def write_tiff(path: Path, array: np.ndarray, spacing=SPACING) -> None:
    tifffile.imwrite(path, array, photometric="minisblack")
    stem = path.name[: -len(path.suffix)]
    for name in (stem, stem[:-5]):  # label maps have no channel number, images have
        (path.parent / f"{name}.json").write_text(json.dumps({"spacing": list(spacing)}))


def stored_dtype(path: Path) -> np.dtype:
    """The dtype in the file, as its library sees it."""
    if path.suffix in (".tif", ".tiff"):
        return tifffile.imread(path).dtype
    if path.suffix in (".png", ".bmp"):
        return io.imread(path).dtype
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).dtype


FORMATS = [
    Format(SimpleITKIO, ".nii.gz", write_sitk),
    Format(SimpleITKIO, ".nrrd", write_sitk),
    Format(SimpleITKIO, ".mha", write_sitk),
    Format(SimpleITKIO, ".nii.gz", write_sitk_2d, shape=(1, 14, 11), name="-2D"),
    Format(SimpleITKIO, ".mha", write_sitk_2d, shape=(1, 14, 11), name="-2D"),
    Format(SimpleITKIOWithReorient, ".nii.gz", write_sitk),
    Format(NibabelIO, ".nii", write_nibabel),
    Format(NibabelIO, ".nii.gz", write_nibabel),
    Format(NibabelIOWithReorient, ".nii.gz", write_nibabel),
    Format(Tiff3DIO, ".tif", write_tiff),
    Format(Tiff3DIO, ".tiff", write_tiff),
    Format(NaturalImage2DIO, ".png", write_picture, shape=(1, 14, 11), has_spacing=False),
    Format(NaturalImage2DIO, ".bmp", write_picture, shape=(1, 14, 11), has_spacing=False),
    Format(NaturalImage2DIO, ".tif", write_picture, shape=(1, 14, 11), has_spacing=False),
]
