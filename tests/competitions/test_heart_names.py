"""Which name becomes which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunetv2.competitions.heart_names import IMAGES, LABELS, PREDICTIONS, renamings, unpaired

NAMINGS = pytest.mark.parametrize("naming", [IMAGES, LABELS, PREDICTIONS], ids=["images", "labels", "predictions"])


@pytest.mark.parametrize(
    ("naming", "before", "after"),
    [
        (IMAGES, "patient0001.nii.gz", "patient_001_0000.nii.gz"),
        (IMAGES, "patient0051.nii.gz", "patient_051_0000.nii.gz"),
        (IMAGES, "patient1234.nii.gz", "patient_1234_0000.nii.gz"),
        (LABELS, "patient0001_gt.nii.gz", "patient_001.nii.gz"),
        (PREDICTIONS, "patient_051.nii.gz", "patient0051_predict.nii.gz"),
        (PREDICTIONS, "patient_1234.nii.gz", "patient1234_predict.nii.gz"),
    ],
)
def test_names_change_as_the_competition_wants_and_then_stay(naming, before, after):
    assert naming.target(before) == after
    assert naming.target(after) == after


@pytest.mark.parametrize(
    ("naming", "name"),
    [
        (IMAGES, "patient001.nii.gz"),
        (IMAGES, "patient0001_gt.nii.gz"),
        (IMAGES, "patient0001.nii"),
        (IMAGES, "Patient0001.nii.gz"),
        (IMAGES, "patient_001.nii.gz"),
        (IMAGES, "patient_001_0001.nii.gz"),
        (IMAGES, "patient_0001_0000.nii.gz"),
        (LABELS, "patient0001.nii.gz"),
        (LABELS, "patient_001_0000.nii.gz"),
        (PREDICTIONS, "patient_51.nii.gz"),
        (PREDICTIONS, "patient_051.npz"),
    ],
)
def test_other_names_are_unknown(naming, name):
    assert naming.target(name) is None
    changes, problems = renamings([name], naming)
    assert changes == {}
    assert len(problems) == 1 and name in problems[0]


@given(number=st.integers(0, 9999))
def test_every_number_survives_the_way_to_the_submission(number):
    image = IMAGES.target(f"patient{number:04d}.nii.gz")
    label = LABELS.target(f"patient{number:04d}_gt.nii.gz")
    assert image.replace("_0000.nii.gz", ".nii.gz") == label, "an image and its label belong to one case"
    assert PREDICTIONS.target(label) == f"patient{number:04d}_predict.nii.gz"
    assert IMAGES.number(image) == LABELS.number(label) == number


@NAMINGS
@given(numbers=st.sets(st.integers(0, 9999)), renamed=st.sets(st.integers(0, 9999)))
def test_a_plan_is_complete_has_no_collisions_and_leaves_nothing_to_a_second_one(naming, numbers, renamed):
    before = {number: name for number in numbers | renamed if (name := spelled(naming, number))}
    names = [naming.make(number) if number in renamed else name for number, name in before.items()]
    changes, problems = renamings(names, naming)
    assert problems == []
    result = [changes.get(name, name) for name in names]
    assert sorted(result) == sorted(naming.make(number) for number in before)
    assert renamings(result, naming) == ({}, [])


def spelled(naming, number: int) -> str:
    """The name of a number before renaming."""
    ours = f"patient_{number:03d}.nii.gz"
    return {
        IMAGES.example: f"patient{number:04d}.nii.gz",
        LABELS.example: f"patient{number:04d}_gt.nii.gz",
        PREDICTIONS.example: ours,
    }[naming.example]


def test_two_files_for_one_name_are_a_problem_and_no_change():
    changes, problems = renamings(["patient0001.nii.gz", "patient_001_0000.nii.gz", "patient0002.nii.gz"], IMAGES)
    assert problems == [
        "patient0001.nii.gz and patient_001_0000.nii.gz would both be patient_001_0000.nii.gz",
    ]
    assert changes == {"patient0001.nii.gz": "patient_001_0000.nii.gz", "patient0002.nii.gz": "patient_002_0000.nii.gz"}


def test_images_without_label_and_labels_without_image_are_found_under_all_names():
    images = ["patient0001.nii.gz", "patient_002_0000.nii.gz", "patient0004.nii.gz"]
    labels = ["patient_001.nii.gz", "patient0003_gt.nii.gz", "patient0004_gt.nii.gz"]
    assert unpaired(images, labels) == {"label": [2], "image": [3]}
