"""Distances between the surfaces of two masks: normalized surface Dice, Hausdorff percentile, mean surface distance.

The surface is made of elements. An element sits where 2 × 2 × 2 neighbouring voxels (2 × 2 pixels in an image) lie
partly inside the mask; its area is that of the marching-cubes triangles in this cell, so a finer grid gives more but
smaller elements and the same surface. Voxels outside the image count as outside the mask. This is the definition of
Nikolov et al., *Deep learning to achieve clinically applicable segmentation of head and neck anatomy for radiotherapy*
(2018), which the FLARE challenges use. Nearest elements are found with a k-d tree, whose memory grows with the surfaces
and not with the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes, mesh_surface_area

from nnunetv2.errors import ImageError


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceDistances:
    """Distance in mm from every surface element of one mask to the nearest element of the other, ascending.

    Areas are in mm² (lengths in mm for 2D images). Without any element in the other mask the distance is infinite.
    """

    from_reference: np.ndarray
    reference_areas: np.ndarray
    from_prediction: np.ndarray
    prediction_areas: np.ndarray

    def surface_dice(self, tolerance: float) -> float:
        """Share of both surfaces that lies within ``tolerance`` mm of the other one; NaN when both are empty."""
        near = self.reference_areas[self.from_reference <= tolerance].sum()
        near += self.prediction_areas[self.from_prediction <= tolerance].sum()
        return _ratio(near, self.reference_areas.sum() + self.prediction_areas.sum())

    def hausdorff(self, percent: float = 95.0) -> float:
        """The larger of the two distances in mm within which ``percent`` of a surface lie; 100 is the maximum.

        NaN when both masks are empty, infinite when one is.
        """
        if not self.from_reference.size and not self.from_prediction.size:
            return float("nan")
        return max(
            _percentile(self.from_reference, self.reference_areas, percent),
            _percentile(self.from_prediction, self.prediction_areas, percent),
        )

    def average(self) -> float:
        """Average symmetric surface distance in mm: mean over both surfaces, weighted by area.

        NaN when both masks are empty, infinite when one is.
        """
        weighted = (self.from_reference * self.reference_areas).sum()
        weighted += (self.from_prediction * self.prediction_areas).sum()
        return _ratio(weighted, self.reference_areas.sum() + self.prediction_areas.sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _percentile(distances: np.ndarray, areas: np.ndarray, percent: float) -> float:
    """Smallest distance that at least ``percent`` of the area does not exceed."""
    if not distances.size:
        return float("inf")
    share = np.cumsum(areas) / areas.sum()
    return float(distances[min(int(np.searchsorted(share, percent / 100)), distances.size - 1)])


def surface_distances(reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> SurfaceDistances:
    """Distances between the surfaces of two boolean masks (Z, Y, X) or (Y, X), ``spacing`` in mm in the same order.

    An axis of length 1 in front is left out: slices have contours, not upper and lower faces. Raises ImageError when
    the shapes differ or are neither two- nor three-dimensional.
    """
    if reference.shape != prediction.shape:
        raise ImageError(f"the reference has shape {reference.shape}, the prediction {prediction.shape}")
    if reference.ndim == 3 and reference.shape[0] == 1:
        reference, prediction, spacing = reference[0], prediction[0], spacing[1:]
    if reference.ndim not in (2, 3) or len(spacing) != reference.ndim:
        raise ImageError(f"surfaces need two or three axes with a spacing each; got {reference.shape} and {spacing}")
    step = tuple(float(value) for value in spacing)
    reference_points, reference_areas = surface_elements(reference, step)
    prediction_points, prediction_areas = surface_elements(prediction, step)
    from_reference = _nearest(reference_points, prediction_points)
    from_prediction = _nearest(prediction_points, reference_points)
    first, second = np.argsort(from_reference), np.argsort(from_prediction)
    return SurfaceDistances(
        from_reference=from_reference[first],
        reference_areas=reference_areas[first],
        from_prediction=from_prediction[second],
        prediction_areas=prediction_areas[second],
    )


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return cKDTree(others, balanced_tree=False, compact_nodes=False).query(points)[0]


def surface_elements(mask: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Positions in mm (n, axes), relative to the array's origin, and areas (n,) of a boolean mask's elements."""
    box = _bounding_box(mask)
    if box is None:
        return np.empty((0, mask.ndim)), np.empty(0)
    codes = _cell_codes(np.pad(mask[box], 1))
    cells = np.nonzero((codes != 0) & (codes != 2 ** (2**mask.ndim) - 1))
    offset = [part.start for part in box]
    positions = (np.stack(cells, axis=1) + offset) * np.asarray(spacing)
    return positions, _areas_of_codes(spacing)[codes[cells]]


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not used.size:
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


def _cell_codes(mask: np.ndarray) -> np.ndarray:
    """One number per cell of 2 × 2 × 2 neighbours (uint8): bit ``i`` says whether corner ``i`` is inside."""
    codes = np.zeros(tuple(n - 1 for n in mask.shape), dtype=np.uint8)
    for bit, corner in enumerate(itertools.product((0, 1), repeat=mask.ndim)):
        part = tuple(slice(start, start + n) for start, n in zip(corner, codes.shape))
        codes |= mask[part].astype(np.uint8) << np.uint8(bit)
    return codes


@lru_cache(maxsize=32)
def _areas_of_codes(spacing: tuple[float, ...]) -> np.ndarray:
    """Area (length in 2D) of the surface in a cell, for every code of ``_cell_codes``; codes of full cells have 0."""
    corners = 2 ** len(spacing)
    areas = np.zeros(2**corners)
    measure = _triangles if len(spacing) == 3 else _segments
    for code in range(1, 2**corners - 1):
        # Inside and outside are exchangeable: the ambiguous cells of marching cubes are decided by the smaller part.
        inside = code if code.bit_count() <= corners // 2 else 2**corners - 1 - code
        bits = [(inside >> bit) & 1 for bit in range(corners)]
        areas[code] = measure(np.array(bits, dtype=np.float32).reshape((2,) * len(spacing)), spacing)
    return areas


def _triangles(cell: np.ndarray, spacing: tuple[float, ...]) -> float:
    vertices, faces, _, _ = marching_cubes(cell, 0.5, spacing=spacing, method="lorensen")
    return float(mesh_surface_area(vertices, faces))


def _segments(cell: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Length of the contour in a cell of four pixels: each corner cut off alone costs half a diagonal."""
    diagonal = 0.5 * float(np.hypot(*spacing))
    inside = int(cell.sum())
    if inside in (1, 3):
        return diagonal
    if cell[0, 0] == cell[1, 1]:
        return 2 * diagonal
    return spacing[0] if cell[0, 0] == cell[1, 0] else spacing[1]
