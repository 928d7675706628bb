import pytest

from nnunetv2.errors import MemoryLimitError
from nnunetv2.inference.limits.memory_plan import GIB, CaseSizes, Limits, cases_that_fit, parts, plan_case


def sizes(**changes):
    return CaseSizes(
        **{
            "channels": 1,
            "heads": 105,
            "folds": 1,
            "network_shape": (270, 340, 340),
            "window": 96,
            "cropped_shape": (400, 512, 512),
            "image_shape": (400, 512, 512),
        }
        | changes
    )


def plan(case, limits, has_device=False, wants_device=False):
    return plan_case(case, limits, has_device=has_device, wants_device=wants_device, slices_per_slab=8, label_threads=4)


def test_without_limits_nothing_is_made_smaller():
    found = plan(sizes(), Limits(), True, True)
    assert (found.sums_on_device, found.slices_per_slab, found.label_threads, found.labels_on_disk) == (
        True,
        8,
        4,
        False,
    )


def test_sums_move_to_the_host_when_the_device_is_too_small():
    needed = plan(sizes(), Limits(), True, True).device
    assert not plan(sizes(), Limits(device=needed // 2), True, True).sums_on_device
    assert plan(sizes(), Limits(device=needed), True, True).sums_on_device


def test_smaller_limits_give_smaller_settings_that_stay_within_them():
    free = plan(sizes(labels_may_go_to_disk=True), Limits())
    found = [
        plan(sizes(labels_may_go_to_disk=True), Limits(host=int(free.host * share))) for share in (1.0, 0.97, 0.9, 0.85)
    ]
    assert [p.host for p in found] == sorted((p.host for p in found), reverse=True)
    assert all(p.host <= free.host * share for p, share in zip(found, (1.0, 0.97, 0.9, 0.85)))
    assert found[-1].labels_on_disk


def test_what_cannot_fit_is_refused_with_figures():
    with pytest.raises(
        MemoryLimitError, match=r"105 classes.*2\.\d\d GiB of main memory.*--max-memory allows 1\.00 GiB"
    ):
        plan(sizes(), Limits(host=GIB))
    with pytest.raises(MemoryError, match=r"of the device, --max-device-memory allows 0\.10 GiB"):
        plan(sizes(), Limits(device=GIB // 10, network=GIB), True, True)


def test_sums_grow_with_classes_and_folds_but_not_with_the_length():
    short, long = parts(sizes(), 1, 1, False), parts(sizes(network_shape=(540, 340, 340)), 1, 1, False)
    assert short["sums over tiles"] == long["sums over tiles"]
    assert parts(sizes(folds=5), 1, 1, False)["sums over tiles"] > 4.9 * short["sums over tiles"]


def test_cases_beside_the_predicted_one_share_what_is_left():
    assert cases_that_fit(10, 3, 8) == 3
    assert cases_that_fit(100, 3, 8) == 8
    assert cases_that_fit(-5, 3, 8) == 0
