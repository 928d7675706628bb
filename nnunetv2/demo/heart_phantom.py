"""A heart CT made of formulas: myocardium, aortic valve in it, calcification in that; seeded, in any size and spacing.

The field of view is that of a cardiac scan. Array axes are (Z, Y, X) as in ``phantom``: Z runs upwards, Y from the
chest to the back, X from the patient's right to left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from nnunetv2.demo.phantom import AIR, BONE, FAT, LUNG, MARROW, MUSCLE, Canvas, Triple, around, ct_noise

MYOCARDIUM_LABEL, VALVE_LABEL, CALCIFICATION_LABEL = 1, 2, 3

# Hounsfield units after contrast medium.
MYOCARDIUM, VALVE, CONTRASTED_BLOOD, CALCIFICATION = 110, 200, 360, 900


@dataclass(frozen=True)
class HeartPhantomSettings:
    """What one phantom looks like. ``shape`` in voxels and ``spacing`` in mm are in array order (Z, Y, X)."""

    shape: tuple[int, int, int] = (64, 96, 96)
    spacing: Triple = (2.5, 1.8, 1.8)
    noise: float = 20.0
    """Standard deviation of the noise in HU."""
    blur: float = 0.5
    """Sigma of the scanner's blur in voxels."""


@dataclass
class _Painting:
    """Image and label map while they are painted together."""

    canvas: Canvas
    label: np.ndarray

    def paint(self, shape: tuple, value: float, label: int, within: int | None = None) -> None:
        """Give a shape of ``canvas`` a value in HU and a label; with ``within`` only where that label was."""
        box, inside = shape
        if within is not None:
            inside = inside & (self.label[box] == within)
        self.canvas.image[box][inside] = value
        self.label[box][inside] = label


def make_heart_phantom(seed: int, settings: HeartPhantomSettings | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One case: CT as int16 in HU and label map as uint8, both (Z, Y, X); the labels are the constants above.

    Calcification touches nothing but the valve, and the valve nothing but myocardium and the blood at its opening. The
    same seed and settings give the same arrays.
    """
    settings = settings or HeartPhantomSettings()
    rng = np.random.default_rng(seed)
    canvas = Canvas(np.full(settings.shape, AIR, dtype=np.float32))
    _paint_chest(canvas, rng)
    painting = _Painting(canvas, np.zeros(settings.shape, dtype=np.uint8))
    _paint_heart(painting, rng)
    image = gaussian_filter(canvas.image, settings.blur) if settings.blur > 0 else canvas.image
    image += ct_noise(rng, settings.shape, settings.noise)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16), painting.label


def _paint_chest(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.paint(canvas.column((0.5, 0.5), around(rng, (0.48, 0.6)), 2.6), FAT)
    canvas.paint(canvas.column((0.5, 0.5), around(rng, (0.45, 0.57)), 2.6), MUSCLE)
    for x in (0.14, 0.88):
        canvas.paint(canvas.ellipsoid((0.55, 0.5, x), around(rng, (0.7, 0.36, 0.22))), LUNG)
    spine = around(rng, (0.86, 0.5), 0.02)
    canvas.paint(canvas.column(spine, (0.09, 0.1)), BONE)
    canvas.paint(canvas.column(spine, (0.07, 0.08)), MARROW)
    canvas.paint(canvas.column((0.08, 0.5), (0.025, 0.07)), BONE * 0.8)
    canvas.paint(canvas.column(around(rng, (0.74, 0.6)), around(rng, (0.05, 0.05))), CONTRASTED_BLOOD)


def _paint_heart(painting: _Painting, rng: np.random.Generator) -> None:
    canvas = painting.canvas
    centre = np.array(around(rng, (0.46, 0.42, 0.52)))
    radii = np.array(around(rng, (0.34, 0.27, 0.28), 0.06))
    painting.paint(canvas.ellipsoid(centre, radii), MYOCARDIUM, MYOCARDIUM_LABEL)
    cavity = centre + radii * (-0.25, 0.0, 0.12)
    painting.paint(canvas.ellipsoid(cavity, radii * (0.6, 0.58, 0.55)), CONTRASTED_BLOOD, 0, within=MYOCARDIUM_LABEL)
    valve = centre + radii * (0.5, 0.02, -0.05)
    valve_radii = radii * around(rng, (0.34, 0.46, 0.46), 0.08)
    for label in (0, MYOCARDIUM_LABEL):
        # Over the wall and over the blood in front of it: a valve has both around it.
        painting.paint(canvas.ellipsoid(valve, valve_radii), VALVE, VALVE_LABEL, within=label)
    first_angle = rng.uniform(0, 2 * np.pi)
    for leaflet in range(rng.integers(1, 4)):
        angle = first_angle + leaflet * 2 * np.pi / 3
        lump = valve + valve_radii * (rng.uniform(-0.2, 0.2), 0.35 * np.sin(angle), 0.35 * np.cos(angle))
        size = np.maximum(valve_radii * around(rng, (0.4, 0.35, 0.35), 0.2), 1.2 / np.array(canvas.image.shape))
        painting.paint(canvas.ellipsoid(lump, size), CALCIFICATION, CALCIFICATION_LABEL, within=VALVE_LABEL)
