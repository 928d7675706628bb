"""The CT phantom."""

import numpy as np
import pytest

from nnunetv2.demo.phantom import AIR, BONE, LESION, LUNG, PhantomSettings, make_phantom

SMALL = PhantomSettings(shape=(24, 40, 44), spacing=(9.0, 8.0, 8.0), lesion_radius=(15.0, 25.0))


def test_same_seed_gives_the_same_case_and_another_seed_another_one():
    image, label = make_phantom(3, SMALL)
    again, label_again = make_phantom(3, SMALL)
    other, _ = make_phantom(4, SMALL)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, label_again)
    assert (image != other).mean() > 0.1


@pytest.mark.parametrize(("shape", "spacing"), [((24, 40, 44), (9, 8, 8)), ((40, 30, 64), (5.0, 10.0, 5.0))])
def test_any_shape_gives_arrays_of_that_shape_in_the_types_of_ct_and_labels(shape, spacing):
    image, label = make_phantom(0, PhantomSettings(shape=shape, spacing=spacing))
    assert image.shape == label.shape == shape
    assert (image.dtype, label.dtype) == (np.int16, np.uint8)
    assert set(np.unique(label)) == {0, 1}


def test_air_surrounds_a_body_with_lungs_and_bone():
    image, _ = make_phantom(1, PhantomSettings(noise=0))
    corners = image[:, :: image.shape[1] - 1, :: image.shape[2] - 1]
    assert (corners == AIR).all()
    upper = image[40:56, 40:80]
    assert (np.abs(upper - LUNG) < 20).mean() > 0.1
    assert (image > 0.7 * BONE).mean() > 0.001
    assert image.min() >= -1024


def test_lesions_are_brighter_than_soft_tissue_and_darker_than_bone():
    image, label = make_phantom(2, PhantomSettings(noise=0, blur=0))
    assert abs(np.median(image[label == 1]) - LESION) < 40
    assert 0.0003 < label.mean() < 0.05


def test_no_lesions_if_none_are_wanted():
    _, label = make_phantom(2, PhantomSettings(shape=(24, 40, 44), spacing=(9, 8, 8), lesions=(0, 0)))
    assert not label.any()


def test_noise_has_the_wanted_standard_deviation():
    settings = {"shape": (32, 64, 64), "spacing": (10.0, 6.0, 6.0)}
    noisy, _ = make_phantom(5, PhantomSettings(noise=40, **settings))
    clean, _ = make_phantom(5, PhantomSettings(noise=0, **settings))
    body = clean > 0
    assert (noisy.astype(float) - clean)[body].std() == pytest.approx(40, rel=0.05)
