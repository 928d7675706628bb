"""The heart phantom, as arrays and as a data set under the organisers' names."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import binary_dilation

from nnunetv2.demo.heart_dataset import HeartDataset, main, write_heart_dataset
from nnunetv2.demo.heart_phantom import (
    CALCIFICATION,
    CALCIFICATION_LABEL,
    MYOCARDIUM,
    MYOCARDIUM_LABEL,
    VALVE,
    VALVE_LABEL,
    HeartPhantomSettings,
    make_heart_phantom,
)

SMALL = HeartPhantomSettings(shape=(24, 40, 40), spacing=(6.0, 4.4, 4.4))


def test_same_seed_gives_the_same_case_and_another_seed_another_one():
    image, label = make_heart_phantom(3, SMALL)
    again, label_again = make_heart_phantom(3, SMALL)
    other, _ = make_heart_phantom(4, SMALL)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, label_again)
    assert (image != other).mean() > 0.1


@pytest.mark.parametrize("seed", range(8))
def test_every_case_has_all_classes_one_inside_the_other(seed):
    image, label = make_heart_phantom(seed, SMALL)
    assert image.shape == label.shape == SMALL.shape
    assert (image.dtype, label.dtype) == (np.int16, np.uint8)
    assert set(np.unique(label)) == {0, MYOCARDIUM_LABEL, VALVE_LABEL, CALCIFICATION_LABEL}
    around_calcification = binary_dilation(label == CALCIFICATION_LABEL) & (label != CALCIFICATION_LABEL)
    assert (label[around_calcification] == VALVE_LABEL).mean() > 0.7
    sizes = np.bincount(label.ravel())
    assert sizes[MYOCARDIUM_LABEL] > sizes[VALVE_LABEL] > sizes[CALCIFICATION_LABEL] > 0


def test_classes_have_their_intensities():
    image, label = make_heart_phantom(1, HeartPhantomSettings(noise=0, blur=0))
    for value, expected in (
        (MYOCARDIUM_LABEL, MYOCARDIUM),
        (VALVE_LABEL, VALVE),
        (CALCIFICATION_LABEL, CALCIFICATION),
    ):
        assert (image[label == value] == expected).all()


def test_the_data_set_has_the_organisers_names_and_the_phantoms(tmp_path):
    folder = write_heart_dataset(tmp_path, HeartDataset(2, 1, seed=7, settings=SMALL))
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == [
        "imagesTr/patient0001.nii.gz",
        "imagesTr/patient0002.nii.gz",
        "imagesTs/patient0003.nii.gz",
        "labelsTr/patient0001_gt.nii.gz",
        "labelsTr/patient0002_gt.nii.gz",
    ]
    image = sitk.ReadImage(str(folder / "imagesTs/patient0003.nii.gz"))
    assert (sitk.GetArrayFromImage(image) == make_heart_phantom(10, SMALL)[0]).all()
    assert image.GetSpacing() == pytest.approx((4.4, 4.4, 6.0))


def test_the_command_writes_the_wanted_shape(tmp_path, capsys):
    main(["--folder", str(tmp_path / "d"), "--cases", "1", "--test_cases", "0", "--shape", "12", "16", "18"])
    image = sitk.ReadImage(str(tmp_path / "d/imagesTr/patient0001.nii.gz"))
    assert image.GetSize() == (18, 16, 12)
    assert "1 training and 0 test cases" in capsys.readouterr().out
