"""Where the patch starts, how it shrinks, how large the batch gets."""

import pytest

from nnunetv2.errors import PlanningError
from nnunetv2.experiment_planning.experiment_planners.patch_and_batch import (
    batch_size,
    initial_patch_size,
    shrink_to_fit,
    topology_of,
)

HUGE = (9999, 9999, 9999)


def voxels(topology):
    total = 1
    for n in topology.patch_size:
        total *= n
    return total


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [((2.6, 0.8, 0.8), [117, 379, 379]), ((5.4, 1.5, 1.5), [109, 392, 392]), ((1, 2), [2896, 1448])],
)
def test_the_first_patch_has_equal_extent_in_mm(spacing, expected):
    assert initial_patch_size(spacing, HUGE) == expected


def test_the_first_patch_is_not_larger_than_the_median_image():
    assert initial_patch_size((1, 1, 1), (40.5, 300, 200)) == [40.5, 256, 200]


def shrink(limit, shape=(128, 128, 128), spacing=(1, 1, 1)):
    start = topology_of(spacing, shape, 4)
    return shrink_to_fit(spacing, shape, start, 4, estimate=voxels, fits=lambda n: n <= limit)


def test_nothing_shrinks_when_the_start_fits():
    assert shrink(128**3)[0].patch_size == (128, 128, 128)


def test_the_last_of_equal_axes_shrinks_first():
    topology, memory = shrink(128**3 - 1)
    assert topology.patch_size == (128, 128, 112)
    assert memory == 128 * 128 * 112


def test_a_memory_target_that_nothing_fits_is_an_error():
    with pytest.raises(PlanningError, match="gpu_memory_target"):
        shrink(0, shape=(16, 16, 16))


def test_shrinking_goes_on_with_another_axis_when_one_is_used_up():
    topology, memory = shrink(5, shape=(3, 4, 64))
    assert memory <= 5
    assert min(topology.patch_size) >= 1


def test_the_batch_is_bound_by_memory_then_by_the_data_set_then_by_the_minimum():
    arguments = {"memory_reference": 1000, "batch_reference": 12, "patch_size": (10, 10), "minimum": 2}
    assert batch_size(250, voxels_in_dataset=1e9, max_dataset_covered=0.05, **arguments) == 48
    assert batch_size(250, voxels_in_dataset=20000, max_dataset_covered=0.05, **arguments) == 10
    assert batch_size(250, voxels_in_dataset=200, max_dataset_covered=0.05, **arguments) == 2
