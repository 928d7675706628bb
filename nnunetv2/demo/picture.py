"""Pictures of a case: CT slice, reference and prediction side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from nnunetv2.records.files import PathLike, atomic_path

SOFT_TISSUE_WINDOW = (-160.0, 240.0)
"""Darkest and brightest HU shown."""


def slice_to_show(reference: np.ndarray) -> int:
    """Index along Z of the slice with most foreground in ``reference`` (Z, Y, X); the middle one if there is none."""
    per_slice = np.count_nonzero(reference > 0, axis=(1, 2))
    return int(per_slice.argmax()) if per_slice.any() else reference.shape[0] // 2


def save_case_picture(
    path: PathLike,
    image: np.ndarray,
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing: tuple[float, float, float],
    title: str,
    window: tuple[float, float] = SOFT_TISSUE_WINDOW,
) -> None:
    """Write a PNG with three panels of one slice: image, image with reference, image with prediction.

    Arrays are (Z, Y, X) of equal shape, ``spacing`` in mm in the same order, ``window`` in units of the image.
    """
    index = slice_to_show(reference)
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = (("CT", None, "red"), ("reference", reference, "limegreen"), ("prediction", prediction, "orange"))
    for axis, (name, segmentation, colour) in zip(figure.subplots(1, 3), panels, strict=True):
        axis.imshow(image[index], cmap="gray", vmin=window[0], vmax=window[1], aspect=spacing[1] / spacing[2])
        if segmentation is not None:
            mask = np.ma.masked_equal(segmentation[index] > 0, False)
            axis.imshow(mask, cmap=ListedColormap([colour]), alpha=0.6, aspect=spacing[1] / spacing[2])
        axis.set_title(name)
        axis.set_axis_off()
    figure.suptitle(f"{title}, slice {index}")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
