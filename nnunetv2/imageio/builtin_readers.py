"""The readers that come with the package: where each lives, what it reads, in which order they are tried.

Kept apart from the classes, so that choosing a reader does not import the libraries of all others.
"""

from __future__ import annotations

from typing import NamedTuple


class BuiltinReader(NamedTuple):
    """One reader class of this package."""

    module: str
    """Module in ``nnunetv2.imageio``."""
    file_endings: tuple[str, ...]
    """Lower-case endings with their leading dot."""


BUILTIN_READERS = {
    "NaturalImage2DIO": BuiltinReader("natural_image_reader_writer", (".png", ".bmp", ".tif", ".jpg", ".jpeg")),
    "SimpleITKIO": BuiltinReader("simpleitk_reader_writer", (".nii.gz", ".nrrd", ".mha", ".gipl")),
    "SimpleITKIOWithReorient": BuiltinReader("simpleitk_reader_writer", (".nii.gz", ".nrrd", ".mha", ".gipl")),
    "Tiff3DIO": BuiltinReader("tif_reader_writer", (".tif", ".tiff")),
    "NibabelIO": BuiltinReader("nibabel_reader_writer", (".nii", ".nii.gz")),
    "NibabelIOWithReorient": BuiltinReader("nibabel_reader_writer", (".nii", ".nii.gz")),
}

# The order decides which reader a data set gets when several read its files (.nii.gz: SimpleITK, .nii: nibabel, .tif:
# 2D first), and the choice is written into plans files. SimpleITKIOWithReorient is used by name only.
TRIED_IN_ORDER = ("NaturalImage2DIO", "SimpleITKIO", "Tiff3DIO", "NibabelIO", "NibabelIOWithReorient")


def endings_of(class_name: str) -> list[str]:
    """File endings of a built-in reader."""
    return list(BUILTIN_READERS[class_name].file_endings)
