"""NIfTI, NRRD, MetaImage and GIPL through SimpleITK: 2D, 3D, and 4D with the channels as fourth axis.

ITK counts axes X, Y, Z; arrays here are (Z, Y, X). Lengths are in mm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunetv2.errors import ImageError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.builtin_readers import endings_of
from nnunetv2.imageio.channel_files import ChannelFile, label_map, stack_channels
from nnunetv2.imageio.complete_files import require_complete
from nnunetv2.imageio.file_access import own_block, reading
from nnunetv2.imageio.gzip_nifti import read_gzip_voxels
from nnunetv2.imageio.itk_files import write_image
from nnunetv2.imageio.label_values import as_stored_labels
from nnunetv2.imageio.sizes import refuse_what_does_not_fit

# Spacing of the made-up first axis of 2D images, in multiples of the coarser real one: far above any threshold for
# anisotropy, so that planning never treats it as a spatial axis. Stored in fingerprints.
_FLAT_AXIS_SPACING_FACTOR = 999


class SimpleITKIO(BaseReaderWriter):
    """Images as SimpleITK reads them, axes in file order; the default for ``.nii.gz``.

    ``properties["sitk_stuff"]`` holds spacing, origin and direction in ITK's order.
    """

    supported_file_endings = endings_of("SimpleITKIO")

    def read_images(self, image_fnames: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter. Files may be 2D, 3D, 4D (last axis is the channel) or have vector pixels."""
        return stack_channels([_read_file(path) for path in image_fnames])

    def image_shape(self, image_fname: str) -> tuple[int, ...]:
        """See BaseReaderWriter; 3D images of one channel are not read beyond their header."""
        with reading(image_fname) as name:
            information = _read_information(name)
        if information.GetDimension() != 3 or information.GetNumberOfComponents() != 1:
            return super().image_shape(image_fname)
        return (1, *information.GetSize()[::-1])

    def read_seg(self, seg_fname: str) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter."""
        return label_map(_read_file(seg_fname))

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """See BaseReaderWriter. A label map of 4D images gets the geometry of their three spatial axes."""
        write_image(_label_image(seg, output_fname, properties), output_fname)


class SimpleITKIOWithReorient(SimpleITKIO):
    """3D images turned to a given orientation while reading, and label maps turned back while writing.

    ``properties["sitk_stuff"]`` holds the geometry after turning, and ``original_orientation`` as three letters.
    """

    image_shape = BaseReaderWriter.image_shape  # turning changes the order of axes

    def read_images(self, image_fnames: Sequence[str], orientation: str = "RAS") -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter; ``orientation`` names the directions in which the file's three axes shall grow."""
        files = [_reoriented_file(path, orientation) for path in image_fnames]
        images, properties = stack_channels(files)
        last = files[-1].properties["sitk_stuff"]["original_orientation"]
        return images, properties | {"sitk_stuff": properties["sitk_stuff"] | {"original_orientation": last}}

    def read_seg(self, seg_fname: str, orientation: str = "RAS") -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter and ``read_images``."""
        return label_map(_reoriented_file(seg_fname, orientation))

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """See BaseReaderWriter; the file gets the orientation the image had."""
        image = _label_image(seg, output_fname, properties)
        original = own_block(properties["sitk_stuff"], "original_orientation", output_fname)
        write_image(sitk.DICOMOrient(image, original), output_fname)


def _read_file(path: str) -> ChannelFile:
    """One file; the voxels of a common NIfTI come from ``gzip_nifti``, its geometry from SimpleITK all the same."""
    with reading(path) as name:
        voxels = read_gzip_voxels(name)
        if voxels is not None:
            information = _read_information(name)
            if information.GetSize() == voxels.shape[::-1] and information.GetNumberOfComponents() == 1:
                return ChannelFile(path=path, array=voxels[None], properties=_geometry(information))
    return _channel_file(_read(path), path)


def _read_information(name: str) -> sitk.ImageFileReader:
    """The header of a file."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    with _explaining_axes(name):
        reader.ReadImageInformation()
    return reader


def _read(path: str) -> sitk.Image:
    with reading(path) as name:
        require_complete(name)
        header = _read_information(name)
        refuse_what_does_not_fit(name, math.prod(header.GetSize()) * header.GetNumberOfComponents())
        with _explaining_axes(name):
            return sitk.ReadImage(name)


@contextmanager
def _explaining_axes(name: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise
        raise ImageError(
            f"{name} cannot be read by SimpleITK: its axes are not perpendicular. Set "
            '"overwrite_image_reader_writer": "NibabelIO" in dataset.json, or resample the image'
        ) from error


def _geometry(image: sitk.Image | sitk.ImageFileReader) -> dict[str, Any]:
    """Properties of an image: ITK's own geometry, and the spacing in array order."""
    return {
        "sitk_stuff": {
            "spacing": image.GetSpacing(),
            "origin": image.GetOrigin(),
            "direction": image.GetDirection(),
        },
        "spacing": [np.float64(abs(s)) for s in image.GetSpacing()[::-1]],
    }


def _channel_file(image: sitk.Image, path: str) -> ChannelFile:
    array = sitk.GetArrayViewFromImage(image)
    rank = image.GetDimension()
    properties = _geometry(image)
    spacing = properties["spacing"]
    if image.GetNumberOfComponentsPerPixel() > 1:
        if rank == 4:
            raise ImageError(f"{path} is 4D with several values per voxel; save one file per channel")
        array = np.moveaxis(array, -1, 0)
    elif rank in (2, 3):
        array = array[None]
    if rank == 2:
        array = array[:, None]
        spacing = [_FLAT_AXIS_SPACING_FACTOR * max(spacing), *spacing]
    elif rank == 4:
        spacing = spacing[1:]
    elif rank != 3:
        raise ImageError(f"{path} has {rank} axes; 2D, 3D, and 4D with the channels as last axis can be read")
    properties["spacing"] = [np.float64(s) for s in spacing]
    return ChannelFile(path=path, array=array, properties=properties, owner=image)


def _reoriented_file(path: str, orientation: str) -> ChannelFile:
    image = _read(path)
    if image.GetDimension() != 3:
        raise ImageError(
            f"{path} has {image.GetDimension()} axes; SimpleITKIOWithReorient turns 3D images only. Use SimpleITKIO"
        )
    original = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    file = _channel_file(sitk.DICOMOrient(image, orientation), path)
    file.properties["sitk_stuff"]["original_orientation"] = original
    return file


def _label_image(seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> sitk.Image:
    """Label map (Z, Y, X) as an ITK image with the geometry in properties; 2D when the image was."""
    labels = as_stored_labels(seg, output_fname)
    geometry = own_block(properties, "sitk_stuff", output_fname)
    rank = len(geometry["spacing"])
    kept = min(rank, 3)
    if kept == 2 and labels.shape[0] != 1:
        raise ImageError(f"{output_fname} was not written: the image is 2D, but the label map has shape {seg.shape}")
    image = sitk.GetImageFromArray(labels[0] if kept == 2 else labels)
    image.SetSpacing(geometry["spacing"][:kept])
    image.SetOrigin(geometry["origin"][:kept])
    direction = np.asarray(geometry["direction"], dtype=float).reshape(rank, rank)[:kept, :kept]
    image.SetDirection(direction.ravel().tolist())
    return image
