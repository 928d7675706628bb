"""Writing ITK images so that nothing incomplete is taken for a success."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnunetv2.imageio.complete_files import require_complete
from nnunetv2.imageio.file_access import writing
from nnunetv2.records.files import PathLike

if TYPE_CHECKING:
    import SimpleITK as sitk


def write_image(image: sitk.Image, path: PathLike) -> None:
    """Write an image, compressed, atomically. Raises ImageError or DiskFullError naming the file.

    ITK returns as if all were well when a disk fills up under a NIfTI file (SimpleITK 2.5), so its end is looked for.
    """
    import SimpleITK as sitk

    with writing(path) as temporary:
        sitk.WriteImage(image, str(temporary), True)
        require_complete(str(temporary))
