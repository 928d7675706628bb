"""A body-like CT made of formulas: torso, organs, bone, air and lesions (label 1), seeded, in any size and spacing.

Anatomy is laid out in fractions of the field of view, lesions in mm, and everything is painted inside bounding boxes,
so that volumes of clinical size take seconds. Array axes are (Z, Y, X): Z runs from the hips to the shoulders, Y from
the chest to the back, X from the patient's right to left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

# Hounsfield units. The enhanced kidneys, vessels and the bones are as bright as lesions or brighter, so that a
# threshold alone does not find the lesions.
AIR, LUNG, FAT, MUSCLE, LIVER, SPLEEN, BLOOD, KIDNEY, MARROW, BONE = -1000, -820, -100, 50, 95, 110, 150, 160, 250, 700
LESION = 230

Triple = tuple[float, float, float]
Floats = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class PhantomSettings:
    """What one phantom looks like. ``shape`` in voxels and ``spacing`` in mm are in array order (Z, Y, X)."""

    shape: tuple[int, int, int] = (64, 128, 128)
    spacing: Triple = (5.0, 2.8, 2.8)
    lesions: tuple[int, int] = (2, 4)
    """Fewest and most lesions of a case; (0, 0) gives a healthy body."""
    lesion_radius: tuple[float, float] = (14.0, 26.0)
    """Smallest and largest mean radius of a lesion in mm."""
    noise: float = 15.0
    """Standard deviation of the noise in HU."""
    blur: float = 0.5
    """Sigma of the scanner's blur in voxels."""


@dataclass
class Canvas:
    """The volume while it is painted. Coordinates are fractions of the field of view, 0 to 1 along every axis."""

    image: np.ndarray
    axes: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.axes = [((np.arange(n) + 0.5) / n).astype(np.float32) for n in self.image.shape]

    def ellipsoid(self, centre: Floats, radii: Floats, power: float = 2.0) -> tuple:
        """Box around a (super-)ellipsoid and, inside that box, which voxels belong to it."""
        box = tuple(
            slice(*np.searchsorted(axis, (c - r, c + r))) for axis, c, r in zip(self.axes, centre, radii, strict=True)
        )
        terms = [
            np.abs((axis[part] - c) / r) ** power
            for axis, part, c, r in zip(self.axes, box, centre, radii, strict=True)
        ]
        return box, terms[0][:, None, None] + terms[1][None, :, None] + terms[2][None, None, :] <= 1

    def column(self, centre_yx: Sequence[float], radii_yx: Sequence[float], power: float = 2.0) -> tuple:
        """The same for a cylinder through all of Z."""
        rows, columns = (
            slice(*np.searchsorted(axis, (c - r, c + r)))
            for axis, c, r in zip(self.axes[1:], centre_yx, radii_yx, strict=True)
        )
        y = np.abs((self.axes[1][rows] - centre_yx[0]) / radii_yx[0]) ** power
        x = np.abs((self.axes[2][columns] - centre_yx[1]) / radii_yx[1]) ** power
        inside = np.broadcast_to(
            y[:, None] + x[None, :] <= 1, (self.image.shape[0], rows.stop - rows.start, columns.stop - columns.start)
        )
        return (slice(None), rows, columns), inside

    def paint(self, shape: tuple, value: float) -> None:
        """Fill a shape returned by ``ellipsoid`` or ``column`` with ``value`` HU."""
        box, inside = shape
        self.image[box][inside] = value


def make_phantom(seed: int, settings: PhantomSettings | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One case: CT as int16 in HU and label map as uint8 (1 lesion, 0 elsewhere), both (Z, Y, X).

    The same seed and settings give the same arrays.
    """
    settings = settings or PhantomSettings()
    rng = np.random.default_rng(seed)
    canvas = Canvas(np.full(settings.shape, AIR, dtype=np.float32))
    _paint_torso(canvas, rng)
    _paint_organs(canvas, rng)
    _paint_skeleton(canvas, rng)
    label = _paint_lesions(canvas, rng, settings)
    image = gaussian_filter(canvas.image, settings.blur) if settings.blur > 0 else canvas.image
    image += ct_noise(rng, settings.shape, settings.noise)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16), label


def around(rng: np.random.Generator, values: Sequence[float], spread: float = 0.03) -> list[float]:
    """``values``, each changed by up to ``spread`` of itself: no two bodies are alike."""
    return [value * rng.uniform(1 - spread, 1 + spread) for value in values]


def _paint_torso(canvas: Canvas, rng: np.random.Generator) -> None:
    centre = around(rng, (0.5, 0.5), 0.02)
    outer = around(rng, (0.36, 0.45), 0.04)
    fat = rng.uniform(0.02, 0.045)
    canvas.paint(canvas.column(centre, outer, 2.4), FAT)
    canvas.paint(canvas.column(centre, [radius - fat for radius in outer], 2.4), MUSCLE)
    # Abdominal fat around the organs of the lower half.
    canvas.paint(canvas.ellipsoid((0.2, 0.47, 0.5), around(rng, (0.36, 0.22, 0.3))), FAT * 0.8)


def _paint_organs(canvas: Canvas, rng: np.random.Generator) -> None:
    for x in (0.29, 0.71):
        canvas.paint(canvas.ellipsoid(around(rng, (0.8, 0.47, x)), around(rng, (0.34, 0.22, 0.13))), LUNG)
    canvas.paint(canvas.ellipsoid(around(rng, (0.74, 0.42, 0.53)), around(rng, (0.15, 0.12, 0.11))), BLOOD * 0.8)
    canvas.paint(canvas.ellipsoid(around(rng, (0.45, 0.45, 0.32)), around(rng, (0.17, 0.2, 0.19)), 2.3), LIVER)
    canvas.paint(canvas.ellipsoid(around(rng, (0.47, 0.57, 0.77)), around(rng, (0.1, 0.1, 0.06))), SPLEEN)
    stomach = canvas.ellipsoid(around(rng, (0.42, 0.36, 0.63)), around(rng, (0.1, 0.09, 0.1)))
    canvas.paint(stomach, MUSCLE - 30)
    bubble = canvas.ellipsoid(around(rng, (0.44, 0.31, 0.63)), around(rng, (0.05, 0.03, 0.05)))
    canvas.paint(bubble, AIR)
    for x in (0.33, 0.67):
        centre, radii = around(rng, (0.27, 0.61, x)), around(rng, (0.12, 0.07, 0.055))
        canvas.paint(canvas.ellipsoid(centre, radii), KIDNEY)
        canvas.paint(canvas.ellipsoid(centre, [radius * 0.4 for radius in radii]), FAT)
    for index in range(7):
        loop = (rng.uniform(0.02, 0.25), rng.uniform(0.3, 0.48), rng.uniform(0.3, 0.7))
        canvas.paint(canvas.ellipsoid(loop, around(rng, (0.05, 0.05, 0.06), 0.3)), MUSCLE if index % 3 else LUNG)
    canvas.paint(canvas.column(around(rng, (0.58, 0.53)), around(rng, (0.025, 0.02))), BLOOD)


def _paint_skeleton(canvas: Canvas, rng: np.random.Generator) -> None:
    spine = around(rng, (0.69, 0.5), 0.01)
    canvas.paint(canvas.column(spine, (0.055, 0.05)), BONE)
    canvas.paint(canvas.column(spine, (0.042, 0.038)), MARROW)
    canvas.paint(canvas.column((spine[0] + 0.075, spine[1]), (0.03, 0.018)), BONE)
    discs = np.arange(0.05, 1, 0.1)
    for z in discs:
        canvas.paint(canvas.ellipsoid((z, *spine), (0.012, 0.056, 0.051)), MUSCLE + 30)
    _paint_ribs(canvas, discs[discs > 0.4])
    for x in (0.27, 0.73):
        canvas.paint(canvas.ellipsoid((0.02, 0.58, x), (0.12, 0.1, 0.1)), BONE * 0.8)
        canvas.paint(canvas.ellipsoid((0.02, 0.565, x), (0.115, 0.095, 0.094)), MUSCLE)


def _paint_ribs(canvas: Canvas, heights: np.ndarray) -> None:
    """Thin rings around the chest at ``heights``, lower in front than at the back, so slices cut them obliquely."""
    box, outside = canvas.column((0.5, 0.5), (0.31, 0.39))
    inner_box, hole = canvas.column((0.5, 0.5), (0.29, 0.365))
    wall = np.zeros(canvas.image.shape[1:], dtype=bool)
    wall[box[1:]] = outside[0]
    wall[inner_box[1:]] &= ~hole[0]
    along_rib = canvas.axes[0][:, None] - 0.25 * (canvas.axes[1][None, :] - 0.5)
    near_rib = np.abs(along_rib[..., None] - heights).min(axis=-1) < 0.018
    for index in np.flatnonzero(near_rib.any(axis=1)):
        canvas.image[index][wall & near_rib[index][:, None]] = BONE * 0.8


def _paint_lesions(canvas: Canvas, rng: np.random.Generator, settings: PhantomSettings) -> np.ndarray:
    """Paint lumpy balls into soft tissue and lung, and return where they are (uint8)."""
    label = np.zeros(settings.shape, dtype=np.uint8)
    extent = np.multiply(settings.shape, settings.spacing)
    for _ in range(rng.integers(settings.lesions[0], settings.lesions[1] + 1)):
        radius = rng.uniform(*settings.lesion_radius)
        centre = _lesion_place(canvas, rng)
        value = rng.normal(LESION, 12)
        for lump in range(3):
            offset = rng.normal(0, 0.35 * radius, 3) if lump else np.zeros(3)
            size = radius * rng.uniform(0.75, 1.1, 3) * (0.75 if lump else 1.0)
            box, inside = canvas.ellipsoid(centre + offset / extent, size / extent)
            # Lesions end at bone and skin.
            inside = inside & (canvas.image[box] < MARROW) & (canvas.image[box] > AIR)
            canvas.image[box][inside] = value
            label[box][inside] = 1
    return label


def _lesion_place(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """A point inside the trunk, in fractions of the field of view, that is neither bone nor air nor another lesion."""
    for _ in range(1000):
        point = rng.uniform((0.12, 0.3, 0.22), (0.88, 0.64, 0.78))
        value = canvas.image[tuple((point * canvas.image.shape).astype(int))]
        if AIR < value <= KIDNEY:
            return point
    raise RuntimeError("the phantom has no place for another lesion")  # impossible: most of the trunk is soft tissue


def ct_noise(rng: np.random.Generator, shape: tuple[int, int, int], deviation: float) -> np.ndarray:
    """Noise (Z, Y, X) correlated over short ranges as in a reconstructed CT, with this standard ``deviation`` in HU."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    gaussian_filter(noise, (0, 0.6, 0.6), output=noise)
    # A Gaussian filter of sigma s reduces the standard deviation of white noise by its own 2-norm along each axis.
    kernel = gaussian_filter(np.eye(1, 33, 16)[0], 0.6)
    return noise * np.float32(deviation / float((kernel**2).sum()))
