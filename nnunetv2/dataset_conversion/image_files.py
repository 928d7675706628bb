"""What conversions do to single NIfTI files: separate channels, exchange label values. Geometry stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.imageio.complete_files import require_complete
from nnunetv2.imageio.file_access import reading
from nnunetv2.imageio.itk_files import write_image
from nnunetv2.imageio.label_values import label_dtype
from nnunetv2.records.files import PathLike, copy_file

if TYPE_CHECKING:
    import SimpleITK as sitk


def read_image(path: PathLike) -> sitk.Image:
    """The image as stored, any type and rank. Raises ImageError naming the file when it is damaged or missing."""
    import SimpleITK as sitk

    with reading(path) as name:
        require_complete(name)
        return sitk.ReadImage(name)


def rank_of(path: PathLike) -> int:
    """Number of axes of an image, from its header."""
    import SimpleITK as sitk

    with reading(path) as name:
        header = sitk.ImageFileReader()
        header.SetFileName(name)
        header.ReadImageInformation()
        return header.GetDimension()


def copy_complete(source: PathLike, target: PathLike) -> None:
    """Copy an image file. Raises ImageError when it is missing or lacks its end."""
    with reading(source) as name:
        require_complete(name)
    copy_file(source, target)


def write_channels(source: PathLike, targets: Sequence[PathLike]) -> None:
    """Write every channel of ``source`` to its own 3D file: a 3D image is copied, a 4D one cut along its last axis.

    The channels get the first three components of spacing and origin, and the 3 x 3 block of the direction. Raises
    ImageError when the image has another number of channels than there are ``targets``.
    """
    import SimpleITK as sitk

    rank = rank_of(source)
    if rank == 3 and len(targets) == 1:
        copy_complete(source, targets[0])
        return
    image = read_image(source) if rank == 4 else None
    found = {3: 1, 4: image.GetSize()[3] if image else 0}.get(rank)
    if found != len(targets):
        what = f"{rank} axes" if found is None else f"{found} channel(s)"
        raise ImageError(
            f"{source} has {what}; 'modality' in dataset.json names {len(targets)} channel(s). Correct "
            "whichever is wrong"
        )
    size = [*image.GetSize()[:3], 0]
    for channel, target in enumerate(targets):
        volume = sitk.Extract(image, size, [0, 0, 0, channel], sitk.ExtractImageFilter.DIRECTIONCOLLAPSETOSUBMATRIX)
        write_image(volume, target)


def exchange_labels(labels: np.ndarray, values: Mapping[int, int], source: str) -> np.ndarray:
    """``labels`` (any shape, integers in any dtype) with every value replaced as ``values`` says, as uint8 or uint16.

    Raises ImageError naming ``source`` and listing values that ``values`` does not know.
    """
    exchanged = np.zeros(labels.shape, dtype=label_dtype(max(values.values())))
    known = np.zeros(labels.shape, dtype=bool)
    for old, new in values.items():
        here = labels == old
        exchanged[here] = new
        known |= here
    if not known.all():
        unknown = ", ".join(f"{value:g}" for value in np.unique(labels[~known])[:10])
        raise ImageError(
            f"{source} has label value(s) {unknown}; known are {', '.join(map(str, sorted(values)))}. Is it the right "
            "data set, and complete?"
        )
    return exchanged


def write_with_exchanged_labels(source: PathLike, target: PathLike, values: Mapping[int, int]) -> None:
    """Write the label map ``source`` to ``target`` with other values; see ``exchange_labels``."""
    import SimpleITK as sitk

    image = read_image(source)
    exchanged = sitk.GetImageFromArray(exchange_labels(sitk.GetArrayViewFromImage(image), values, str(source)))
    exchanged.CopyInformation(image)
    write_image(exchanged, target)
