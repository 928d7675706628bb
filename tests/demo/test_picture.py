"""Pictures of a case."""

import numpy as np
from matplotlib.image import imread

from nnunetv2.demo.picture import save_case_picture, slice_to_show


def test_the_slice_with_most_foreground_is_shown():
    reference = np.zeros((5, 4, 4), int)
    reference[1, 0, 0] = 1
    reference[3, :2] = 1
    assert slice_to_show(reference) == 3


def test_the_middle_slice_is_shown_without_foreground():
    assert slice_to_show(np.zeros((7, 4, 4))) == 3


def test_the_picture_shows_reference_and_prediction_in_their_own_panels(tmp_path):
    image = np.full((3, 20, 20), -1000.0)
    reference, prediction = np.zeros((2, 3, 20, 20), int)
    reference[1, 5:15, 5:15] = 1
    prediction[1, 5:15, 5:15] = 1
    path = tmp_path / "new" / "case.png"
    save_case_picture(path, image, reference, prediction, (5.0, 1.0, 1.0), "a case")
    red, green, blue = np.moveaxis(imread(path)[..., :3], -1, 0)
    is_green = (green > red + 0.2) & (green > blue + 0.2)
    is_orange = (red > green + 0.1) & (green > blue + 0.2)
    width = is_green.shape[1]
    assert is_green[:, width // 3 : 2 * width // 3].mean() > 0.05
    assert not is_green[:, : width // 3].any()
    assert is_orange[:, 2 * width // 3 :].mean() > 0.05
