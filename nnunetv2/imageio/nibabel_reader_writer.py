"""NIfTI through nibabel: 3D images, as they are or turned to RAS+.

nibabel counts axes X, Y, Z; arrays here are (Z, Y, X). Lengths are in mm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import orientations

from nnunetv2.errors import ImageError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.builtin_readers import endings_of
from nnunetv2.imageio.channel_files import ChannelFile, label_map, stack_channels
from nnunetv2.imageio.complete_files import require_complete
from nnunetv2.imageio.file_access import own_block, reading, writing
from nnunetv2.imageio.label_values import as_stored_labels

logger = logging.getLogger(__name__)


class NibabelIO(BaseReaderWriter):
    """Images with their axes in file order; the default for ``.nii``.

    ``properties["nibabel_stuff"]["original_affine"]`` is the 4 x 4 affine from voxels to mm.
    """

    supported_file_endings = endings_of("NibabelIO")

    def read_images(self, image_fnames: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter. Files must be 3D."""
        return stack_channels([self._channel_file(path) for path in image_fnames])

    def read_seg(self, seg_fname: str) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter."""
        return label_map(self._channel_file(seg_fname))

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """See BaseReaderWriter. The header is a new one; only the affine is taken over."""
        affine = own_block(properties, "nibabel_stuff", output_fname)["original_affine"]
        labels = as_stored_labels(seg, output_fname)
        _write(nib.Nifti1Image(labels.transpose(2, 1, 0), affine), output_fname)

    def _channel_file(self, path: str) -> ChannelFile:
        with reading(path) as name:
            image = _load_3d(name)
            return _as_channel_file(image, name, {"original_affine": image.affine})


class NibabelIOWithReorient(NibabelIO):
    """Images turned to RAS+ while reading, and label maps turned back while writing.

    ``properties["nibabel_stuff"]`` holds ``original_affine`` and ``reoriented_affine``.
    """

    supported_file_endings = endings_of("NibabelIOWithReorient")

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """See BaseReaderWriter; the file gets the orientation the image had."""
        affines = own_block(properties, "nibabel_stuff", output_fname)
        reoriented, original = own_block(affines, "reoriented_affine", output_fname), affines["original_affine"]
        labels = as_stored_labels(seg, output_fname)
        back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), orientations.io_orientation(original))
        image = nib.Nifti1Image(labels.transpose(2, 1, 0), reoriented).as_reoriented(back)
        if not np.allclose(original, image.affine):
            logger.warning(
                "%s: the affine of the image could not be restored exactly, %s instead of %s",
                output_fname,
                image.affine.tolist(),
                np.asarray(original).tolist(),
            )
        _write(image, output_fname)

    def _channel_file(self, path: str) -> ChannelFile:
        with reading(path) as name:
            image = _load_3d(name)
            turned = image.as_reoriented(orientations.io_orientation(image.affine))
            return _as_channel_file(turned, name, {"original_affine": image.affine, "reoriented_affine": turned.affine})


def _load_3d(path: str) -> nib.Nifti1Image:
    require_complete(path)
    image = nib.load(path)
    if len(image.shape) != 3:
        raise ImageError(
            f"{path} has shape {image.shape}; the nibabel readers take 3D images. Save one file per channel, or use "
            'SimpleITKIO ("overwrite_image_reader_writer" in dataset.json)'
        )
    return image


def _as_channel_file(image: nib.Nifti1Image, path: str, affines: dict[str, np.ndarray]) -> ChannelFile:
    values = np.asanyarray(image.dataobj)
    if values.dtype.kind not in "fiub":
        raise ImageError(f"{path} has voxels of type {values.dtype}; one real number per voxel is needed")
    if values.dtype.itemsize > 4:
        # The reference goes through float64; for shorter types the direct cast to float32 gives the same values.
        values = values.astype(np.float64, copy=False)
    spacing = [float(zoom) for zoom in image.header.get_zooms()[::-1]]
    return ChannelFile(
        path=path, array=values.transpose(2, 1, 0)[None], properties={"nibabel_stuff": affines, "spacing": spacing}
    )


def _write(image: nib.Nifti1Image, output_fname: str) -> None:
    with writing(output_fname) as temporary:
        nib.save(image, temporary)
