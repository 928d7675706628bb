"""The consistency check of the files of one case, the same for all readers.

Shapes and spacings must agree, or the channels would not show the same place. Where an image says more about its
position (origin, direction, affine), a difference is only warned about: many data sets carry sloppy headers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2.errors import ImageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChannelFile:
    """What one file holds."""

    path: str
    array: np.ndarray
    """(C, Z, Y, X), any real dtype; may be a view into memory that ``owner`` holds."""
    properties: dict[str, Any]
    """``spacing`` (mm; Z, Y, X), and the reader's own block with the position in space."""
    owner: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape (Z, Y, X)."""
        return self.array.shape[1:]


def stack_channels(files: Sequence[ChannelFile]) -> tuple[np.ndarray, dict[str, Any]]:
    """Channels of all files in order as float32 (C, Z, Y, X), and the properties of the first file.

    Raises ImageError when shapes or spacings differ; logs a warning when positions differ.
    """
    if not files:
        raise ImageError("no image files were given; a case needs at least one")
    require_same_grid(files)
    channels = sum(file.array.shape[0] for file in files)
    images = np.empty((channels, *files[0].shape), dtype=np.float32)
    np.concatenate([file.array for file in files], axis=0, out=images, casting="unsafe")
    return images, files[0].properties


def label_map(file: ChannelFile) -> tuple[np.ndarray, dict[str, Any]]:
    """The single channel of a label map as float32 (1, Z, Y, X). Raises ImageError when there are several."""
    channels = file.array.shape[0]
    if channels != 1:
        raise ImageError(
            f"{file.path} has {channels} channels, but a label map has one. If it is a colour or palette picture, "
            "store the label values themselves as a grey-scale image"
        )
    return stack_channels([file])


def require_same_grid(files: Sequence[ChannelFile]) -> None:
    """Compare every file with the first one; see the head of this module."""
    first = files[0]
    for what in ("shape", "spacing"):
        values = [_grid_value(file, what) for file in files]
        if not all(len(v) == len(values[0]) and np.allclose(v, values[0]) for v in values[1:]):
            listing = "\n".join(f"  {file.path}: {what} {list(value)}" for file, value in zip(files, values))
            raise ImageError(
                f"the channels of one case differ in {what} (Z, Y, X):\n{listing}\n"
                "Resample them to one grid, or correct the file that is wrong"
            )
    for other in files[1:]:
        different = position_differences(first.properties, other.properties)
        if different:
            logger.warning("%s and %s differ in %s; check that they overlap", first.path, other.path, different)


def _grid_value(file: ChannelFile, what: str) -> tuple[float, ...]:
    numbers = file.shape if what == "shape" else file.properties["spacing"]
    return tuple(number.item() if hasattr(number, "item") else number for number in numbers)


def position_of(properties: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the properties say about the position in space: origin and direction (SimpleITK), or affine (nibabel).

    4D images are reduced to their three spatial axes, so that they can be compared with a 3D label map. Empty for
    formats without a position.
    """
    if "sitk_stuff" in properties:
        block = properties["sitk_stuff"]
        origin, direction = np.asarray(block["origin"]), np.asarray(block["direction"])
        rank = len(origin)
        kept = min(rank, 3)
        return {"origin": origin[:kept], "direction": direction.reshape(rank, rank)[:kept, :kept]}
    if "nibabel_stuff" in properties:
        block = properties["nibabel_stuff"]
        return {"affine": np.asarray(block.get("reoriented_affine", block["original_affine"]))}
    return {}


def position_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Which parts of the position differ and how, as text; empty when none does."""
    mine, theirs = position_of(first), position_of(second)
    return "; ".join(
        f"{name} ({_digits(mine[name])} and {_digits(theirs[name])})"
        for name in mine
        if name in theirs and not (mine[name].shape == theirs[name].shape and np.allclose(mine[name], theirs[name]))
    )


def affine_of(properties: Mapping[str, Any]) -> np.ndarray | None:
    """4 x 4 affine from voxels (x, y, z) to mm in RAS+, whatever the reader; None for formats without a position.

    2D images give None, too: their third axis is made up.
    """
    position = position_of(properties)
    if "affine" in position:
        return np.asarray(position["affine"], dtype=float)
    if "direction" not in position or position["direction"].shape != (3, 3):
        return None
    spacing = np.asarray(properties["sitk_stuff"]["spacing"], dtype=float)[:3]
    affine = np.eye(4)
    affine[:3, :3] = position["direction"] * spacing
    affine[:3, 3] = position["origin"]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK counts in LPS


def largest_displacement(first: Mapping[str, Any], second: Mapping[str, Any], shape: Sequence[int]) -> float | None:
    """How far, in mm, a corner voxel of an image of ``shape`` (Z, Y, X) lies apart in the two positions."""
    mine, theirs = affine_of(first), affine_of(second)
    if mine is None or theirs is None:
        return None
    corners = np.array([[*corner, 1.0] for corner in np.ndindex(2, 2, 2)])
    corners[:, :3] *= np.asarray(shape[::-1], dtype=float) - 1
    return float(np.linalg.norm(corners @ (mine - theirs).T, axis=1).max())


def _digits(array: np.ndarray) -> str:
    return str(np.round(array.astype(float), 5).tolist())
