"""Overlap metrics on arrays."""

import math

import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.evaluation import metrics
from nnunetv2.evaluation.metrics import (
    METRICS,
    compute_tp_fp_fn_tn,
    joint_counts,
    label_metrics,
    mean_over_cases,
    mean_over_foreground,
    overlap_metrics,
    plain_label_or_region,
    region_or_label_to_mask,
    undefined_labels,
)


def random_maps(seed=0, shape=(1, 7, 9, 5), labels=(0, 1, 2, 3, 7)):
    rng = np.random.RandomState(seed)
    return rng.choice(labels, shape).astype(np.float32), rng.choice(labels, shape).astype(np.float32)


def naive(reference, prediction, label_or_region, ignore_label=None):
    members = {label_or_region} if np.ndim(label_or_region) == 0 else set(label_or_region)
    counts = dict.fromkeys(("TP", "FP", "FN", "TN"), 0)
    for r, p in zip(reference.ravel().tolist(), prediction.ravel().tolist()):
        if ignore_label is not None and r == ignore_label:
            continue
        counts[("T" if (r in members) == (p in members) else "F") + ("P" if p in members else "N")] += 1
    return counts


@pytest.mark.parametrize("label_or_region", [0, 1, 7, 5, (1, 2), (2,), (1, 2, 3, 7)])
@pytest.mark.parametrize("ignore_label", [None, 3])
def test_counts_equal_a_loop_over_voxels(label_or_region, ignore_label):
    reference, prediction = random_maps()
    expected = naive(reference, prediction, label_or_region, ignore_label)
    found = label_metrics(reference, prediction, [label_or_region], ignore_label)[label_or_region]
    assert {name: found[name] for name in expected} == expected
    assert found["n_pred"] == expected["TP"] + expected["FP"]
    assert found["n_ref"] == expected["TP"] + expected["FN"]


def test_counts_of_masks_equal_the_loop_with_and_without_ignored_voxels():
    reference, prediction = random_maps(3)
    ignore = reference == 3
    for ignore_mask, ignore_label in ((None, None), (ignore, 3)):
        expected = naive(reference, prediction, (1, 2), ignore_label)
        mask_ref, mask_pred = (region_or_label_to_mask(x, (1, 2)) for x in (reference, prediction))
        tp, fp, fn, tn = compute_tp_fp_fn_tn(mask_ref, mask_pred, ignore_mask)
        assert {"TP": tp, "FP": fp, "FN": fn, "TN": tn} == expected


def test_dice_and_iou_of_a_known_overlap():
    found = overlap_metrics(tp=2, fp=3, fn=1, tn=10)
    assert found["Dice"] == 4 / 8
    assert found["IoU"] == 2 / 6
    assert tuple(found) == METRICS


def test_label_absent_from_both_maps_gives_nan():
    found = overlap_metrics(0, 0, 0, 9)
    assert math.isnan(found["Dice"])
    assert math.isnan(found["IoU"])
    assert found["n_ref"] == 0


def test_empty_reference_with_a_prediction_gives_zero():
    assert overlap_metrics(0, 4, 0, 5)["Dice"] == 0


def test_voxels_to_ignore_leave_every_count():
    reference = np.array([[1, 3, 0]])
    found = label_metrics(reference, np.array([[1, 1, 0]]), [1], ignore_label=3)[1]
    assert (found["TP"], found["FP"], found["FN"], found["TN"]) == (1, 0, 0, 1)


def test_blocks_add_up(monkeypatch):
    reference, prediction = random_maps(1)
    labels, joint = joint_counts(reference, prediction)
    monkeypatch.setattr(metrics, "_BLOCK", 10)
    labels_in_blocks, joint_in_blocks = joint_counts(reference, prediction)
    np.testing.assert_array_equal(labels, labels_in_blocks)
    np.testing.assert_array_equal(joint, joint_in_blocks)
    assert joint.sum() == reference.size


def test_negative_and_large_labels_are_counted():
    found = label_metrics(np.array([-1, 60000, 0]), np.array([-1, 60000, 60000]), [-1, 60000])
    assert found[-1]["TP"] == 1
    assert (found[60000]["TP"], found[60000]["FP"]) == (1, 1)


def test_different_shapes_are_an_error_with_both_shapes():
    with pytest.raises(ImageError, match=r"\(1, 4\).*\(1, 5\)"):
        label_metrics(np.zeros((1, 4)), np.zeros((1, 5)), [1])


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_values_that_are_no_labels_are_an_error_with_the_value(value):
    with pytest.raises(ImageError, match=str(value)):
        label_metrics(np.zeros((1, 2)), np.array([[0, value]]), [1])


def test_labels_become_plain_integers():
    assert type(plain_label_or_region(np.int64(2))) is int
    assert plain_label_or_region(np.array([1, 2])) == (1, 2)
    assert all(type(member) is int for member in plain_label_or_region([np.int64(1), np.uint8(4)]))
    assert list(label_metrics(np.zeros(3), np.zeros(3), [np.int64(1), [np.int64(1), 2]])) == [1, (1, 2)]


def test_means_leave_out_undefined_cases_and_keep_undefined_labels():
    cases = [
        {1: {"Dice": 0.5, "TP": 2}, 2: {"Dice": math.nan, "TP": 0}},
        {1: {"Dice": math.nan, "TP": 0}, 2: {"Dice": math.nan, "TP": 0}},
    ]
    mean = mean_over_cases(cases)
    assert mean[1] == {"Dice": 0.5, "TP": 1.0}
    assert math.isnan(mean[2]["Dice"])
    assert undefined_labels(mean) == [2]
    assert math.isnan(mean_over_foreground(mean)["Dice"])
    assert mean_over_foreground(mean)["TP"] == 0.5


def test_background_is_no_foreground():
    mean = {0: {"Dice": 1.0}, 1: {"Dice": 0.25}, (1, 2): {"Dice": 0.75}}
    assert mean_over_foreground(mean) == {"Dice": 0.5}
    assert math.isnan(mean_over_foreground({0: {"Dice": 1.0}})["Dice"])
