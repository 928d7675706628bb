"""Surface distances: shapes worked out by hand, a naive twin, and the package that defined the measure."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnunetv2.errors import ImageError
from nnunetv2.evaluation.surface_distances import _areas_of_codes, surface_distances, surface_elements

SPACING = (3.0, 2.0, 1.0)


def box(shape, start, stop) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop))] = True
    return mask


def test_equal_masks_have_distance_zero():
    mask = box((9, 14, 11), (2, 3, 4), (6, 9, 8))
    distances = surface_distances(mask, mask, SPACING)
    assert (distances.surface_dice(0), distances.hausdorff(), distances.average()) == (1, 0, 0)


@pytest.mark.parametrize(("axis", "step"), list(enumerate(SPACING)))
def test_a_box_shifted_by_one_voxel_is_one_spacing_away(axis, step):
    reference = box((12, 14, 16), (4, 4, 4), (8, 8, 8))
    distances = surface_distances(reference, np.roll(reference, 1, axis), SPACING)
    assert distances.hausdorff(100) == step
    assert distances.surface_dice(step) == 1
    assert 0 < distances.surface_dice(0.999 * step) < 1
    assert 0 < distances.average() < step


def test_the_area_of_a_large_box_is_that_of_its_faces_but_for_the_edges():
    size = np.array((30, 40, 50))
    _, areas = surface_elements(box(size + 4, (2, 2, 2), size + 2), SPACING)
    z, y, x = size * SPACING
    assert areas.sum() == pytest.approx(2 * (z * y + y * x + z * x), rel=0.05)


def test_a_contour_of_a_slice_ignores_the_axis_of_length_one():
    reference = box((1, 20, 30), (0, 5, 5), (1, 10, 15))
    prediction = np.roll(reference, 2, axis=2)
    in_volume = surface_distances(reference, prediction, (5.0, 1.0, 0.5))
    in_slice = surface_distances(reference[0], prediction[0], (1.0, 0.5))
    assert in_volume.hausdorff(100) == in_slice.hausdorff(100) == 1.0
    assert in_volume.reference_areas.sum() == pytest.approx(4 + 4 + 2 * 9 * 0.5 + 4 * 0.5 * np.hypot(1, 0.5))


def test_empty_masks_are_undefined_and_one_empty_mask_is_infinitely_far():
    empty, full = np.zeros((4, 5, 6), bool), np.ones((4, 5, 6), bool)
    both = surface_distances(empty, empty, SPACING)
    assert all(np.isnan(value) for value in (both.surface_dice(2), both.hausdorff(), both.average()))
    for one in (surface_distances(empty, full, SPACING), surface_distances(full, empty, SPACING)):
        assert (one.surface_dice(2), one.hausdorff(), one.average()) == (0, np.inf, np.inf)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ImageError, match=r"\(2, 2, 2\).*\(2, 2, 3\)"):
        surface_distances(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), SPACING)
    with pytest.raises(ImageError, match="two or three axes"):
        surface_distances(np.ones((2, 2), bool), np.ones((2, 2), bool), SPACING)


def naive_distances(points, others):
    return [min(np.sqrt(((point - other) ** 2).sum()) for other in others) for point in points]


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (3, 4, 5)), arrays(bool, (3, 4, 5)))
def test_the_tree_finds_what_comparing_all_pairs_finds(reference, prediction):
    reference[1, 1, 1] = prediction[2, 3, 4] = True
    distances = surface_distances(reference, prediction, SPACING)
    first, second = (surface_elements(mask, SPACING)[0] for mask in (reference, prediction))
    np.testing.assert_allclose(distances.from_reference, np.sort(naive_distances(first, second)))
    np.testing.assert_allclose(distances.from_prediction, np.sort(naive_distances(second, first)))


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (3, 4, 5)), st.sampled_from([0, 1, 2]))
def test_mirroring_the_masks_changes_nothing(mask, axis):
    other = np.roll(mask, 1, 2)
    one, two = (
        surface_distances(a, b, SPACING) for a, b in ((mask, other), (np.flip(mask, axis), np.flip(other, axis)))
    )
    np.testing.assert_allclose(one.average(), two.average())
    np.testing.assert_allclose(one.surface_dice(1), two.surface_dice(1))


needs_oracle = pytest.mark.skipif(
    importlib.util.find_spec("surface_distance") is None,
    reason="compares with the package surface-distance (pip install surface-distance)",
)


@needs_oracle
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 2.0, 1.0), (5.0, 0.8, 0.8)])
def test_areas_equal_those_of_the_package_that_defined_them(spacing):
    from surface_distance import lookup_tables

    # It numbers the corners from the highest bit, we from the lowest.
    theirs = np.asarray(lookup_tables.create_table_neighbour_code_to_surface_area(spacing))
    reversed_codes = [int(f"{code:08b}"[::-1], 2) for code in range(256)]
    np.testing.assert_allclose(_areas_of_codes(spacing), theirs[reversed_codes], atol=1e-5)


@needs_oracle
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 2.0)])
def test_lengths_equal_those_of_the_package_that_defined_them(spacing):
    from surface_distance import lookup_tables

    theirs = lookup_tables.create_table_neighbour_code_to_contour_length(spacing)
    np.testing.assert_allclose(_areas_of_codes(spacing), theirs[[int(f"{code:04b}"[::-1], 2) for code in range(16)]])


@needs_oracle
@pytest.mark.parametrize("seed", range(5))
def test_measures_equal_those_of_the_package_that_defined_them(seed, monkeypatch):
    import surface_distance
    from scipy import ndimage

    # The package is written for SciPy and numpy before their namespaces were cleared up.
    monkeypatch.setattr(ndimage, "filters", ndimage, raising=False)
    monkeypatch.setattr(ndimage, "morphology", ndimage, raising=False)
    rng = np.random.RandomState(seed)
    smooth = [ndimage.gaussian_filter(rng.normal(size=(14, 18, 20)), 2) for _ in range(2)]
    reference, prediction = smooth[0] > 0.03, smooth[0] + 0.5 * smooth[1] > 0.03
    ours = surface_distances(reference, prediction, SPACING)
    theirs = surface_distance.compute_surface_distances(reference, prediction, SPACING)
    assert ours.hausdorff(95) == pytest.approx(surface_distance.compute_robust_hausdorff(theirs, 95))
    for tolerance in (0, 1, 2, 3.5):
        expected = surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance)
        assert ours.surface_dice(tolerance) == pytest.approx(expected, rel=1e-6)
    one, other = surface_distance.compute_average_surface_distance(theirs)
    weights = ours.reference_areas.sum(), ours.prediction_areas.sum()
    assert ours.average() == pytest.approx(np.average([one, other], weights=weights), rel=1e-6)
