"""NIfTI images too large for memory: some slices at a time, in and out.

Arrays are (Z, Y, X) as in ``BaseReaderWriter``; the geometry is that of the reader the plans name.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from nnunetv2.errors import ImageError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.complete_files import require_complete
from nnunetv2.imageio.file_access import reading
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.nifti_header import is_gzip, is_nifti_name, open_plain
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.records.files import atomic_path

# Of the NIfTI-1 header: dim is int16[8] at 40, its entry 3 counts slices; vox_offset is a float32 at 108.
_SLICES_AT, _VOXELS_AT = 46, 108
_SLICES_PER_WRITE = 16


class NiftiSlices:
    """The channels of a case in NIfTI files, read some slices at a time.

    ``reader`` is the class that would read them whole; ``unpacking_folder`` takes unpacked copies of compressed files,
    which cannot be read in parts. Raises ImageError when that reader or a file cannot be read this way.

    Attributes
    ----------
    shape : (C, Z, Y, X).
    properties : as the reader gives them.
    """

    def __init__(self, paths: Sequence[str], reader: type[BaseReaderWriter], unpacking_folder: str):
        if reader not in (SimpleITKIO, NibabelIO):
            raise ImageError(
                f"{paths[0]} does not fit into --max-memory, and {reader.__name__} cannot read it in parts; "
                "SimpleITKIO and NibabelIO can"
            )
        if not all(is_nifti_name(path) for path in paths):
            raise ImageError(f"{paths[0]} does not fit into --max-memory, and only NIfTI files can be read in parts")
        found = []
        for path in paths:
            with reading(path):
                found.append(_properties(path, reader))
        for path, (shape, properties) in zip(paths, found):
            if shape != found[0][0] or not np.allclose(properties["spacing"], found[0][1]["spacing"]):
                raise ImageError(f"{path} has another shape or spacing than {paths[0]}")
        self._files = [_plain(path, unpacking_folder) for path in paths]
        self.shape = (len(paths), *found[0][0])
        self.properties = found[0][1]

    def read(self, index: tuple[slice, slice, slice]) -> np.ndarray:
        """float32 (C, ...) of a part given as slices of Z, Y, X."""
        z, y, x = index
        parts = []
        for path in self._files:
            with reading(path):
                # Not mapped into memory: pages that were looked at would count as used.
                values = np.asarray(nib.load(path, mmap=False).dataobj[x, y, z])
            parts.append(values.transpose(2, 1, 0).astype(np.float32))
        return np.stack(parts)


def _properties(path: str, reader: type[BaseReaderWriter]) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Shape (Z, Y, X) and properties of one file from its header."""
    if reader is NibabelIO:
        image = nib.load(path)
        if len(image.shape) != 3:
            raise ImageError(f"{path} has shape {image.shape}; images read in parts must be 3D")
        spacing = [float(zoom) for zoom in image.header.get_zooms()[::-1]]
        return image.shape[::-1], {"nibabel_stuff": {"original_affine": image.affine}, "spacing": spacing}
    header = sitk.ImageFileReader()
    header.SetFileName(path)
    header.ReadImageInformation()
    if header.GetDimension() != 3 or header.GetNumberOfComponents() != 1:
        raise ImageError(f"{path} has {header.GetDimension()} axes; images read in parts must be 3D with one channel")
    stuff = {"spacing": header.GetSpacing(), "origin": header.GetOrigin(), "direction": header.GetDirection()}
    spacing = [np.float64(abs(s)) for s in header.GetSpacing()[::-1]]
    return tuple(header.GetSize()[::-1]), {"sitk_stuff": stuff, "spacing": spacing}


def _plain(path: str, folder: str) -> str:
    """``path``, or that of its unpacked copy. Raises ImageError for a file that is damaged or not all there."""
    if not is_gzip(path):
        require_complete(path, must_fit=False)
        return path
    name = Path(path).name.removesuffix(".gz")
    target = Path(folder) / (name if name.endswith(".nii") else f"{name}.nii")
    with open_plain(path) as packed, open(target, "wb") as unpacked:
        try:
            shutil.copyfileobj(packed, unpacked, 1 << 20)  # to the end, where the checksum is
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ImageError(f"{path} is damaged ({error}). Copy or make the file again") from error
    try:
        require_complete(str(target), must_fit=False)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    return str(target)


def image_shape(path: str) -> tuple[int, ...] | None:
    """Shape (Z, Y, X) in the header of a 3D NIfTI file; None for anything else, damaged files included."""
    if not is_nifti_name(path):
        return None
    try:
        with reading(path):
            shape = nib.load(path).shape
    except ImageError:
        return None
    return shape[::-1] if len(shape) == 3 else None


def can_write_slices(file_ending: str, writer: type[BaseReaderWriter], properties: Mapping[str, Any]) -> bool:
    """Whether ``write_label_slices`` can do for these files what ``writer`` does: NIfTI, 3D, axes in file order."""
    three = writer is NibabelIO or len(properties.get("sitk_stuff", {}).get("spacing", ())) == 3
    return is_nifti_name(f"case{file_ending}") and writer in (SimpleITKIO, NibabelIO) and three


def write_label_slices(
    labels: np.ndarray, path: str, writer: type[BaseReaderWriter], properties: Mapping[str, Any]
) -> None:
    """Write a label map (Z, Y, X), perhaps mapped from a file, as ``writer`` would, without a copy of it in memory.

    The header is the one that ``writer`` gives a single slice; the number of slices is put in.
    """
    starts = range(0, len(labels), _SLICES_PER_WRITE)
    highest = max(int(labels[start : start + _SLICES_PER_WRITE].max()) for start in starts)
    with tempfile.TemporaryDirectory() as folder:
        slice_file = f"{folder}/slice.nii"
        writer().write_seg(np.full((1, *labels.shape[1:]), highest, labels.dtype), slice_file, dict(properties))
        voxel_type = nib.load(slice_file).get_data_dtype()
        template = Path(slice_file).read_bytes()
    header = bytearray(template[: int(struct.unpack_from("<f", template, _VOXELS_AT)[0])])
    struct.pack_into("<h", header, _SLICES_AT, len(labels))
    with atomic_path(path) as temporary, _opened(temporary, path.endswith(".gz")) as stream:
        stream.write(bytes(header))
        for start in starts:
            stream.write(np.ascontiguousarray(labels[start : start + _SLICES_PER_WRITE], dtype=voxel_type).data)


def _opened(path: Path, packed: bool) -> IO[bytes]:
    return gzip.open(path, "wb", 6) if packed else open(path, "wb")
