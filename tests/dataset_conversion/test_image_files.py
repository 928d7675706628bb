import numpy as np
import pytest

from nnunetv2.dataset_conversion.image_files import exchange_labels, write_channels, write_with_exchanged_labels
from nnunetv2.errors import ImageError
from tests.dataset_conversion.images import read, write_4d, write_image, write_labels


def test_labels_are_exchanged_as_a_loop_over_voxels_would():
    values = {0: 0, 205: 1, 420: 2, 850: 300}
    labels = np.random.RandomState(1).choice(list(values), (3, 4, 5))
    exchanged = exchange_labels(labels, values, "x")
    assert exchanged.dtype == np.uint16
    assert exchanged.tolist() == [[[values[v] for v in row] for row in plane] for plane in labels.tolist()]


def test_swapped_labels_do_not_run_into_each_other():
    assert exchange_labels(np.array([0, 1, 2, 4]), {0: 0, 2: 1, 1: 2, 4: 3}, "x").tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("bad", [np.array([0, 1, 7, 9]), np.array([0.0, 1.0, 7.0, np.nan])])
def test_unknown_labels_are_listed(bad):
    with pytest.raises(ImageError, match=r"case_3 has label value\(s\) 7, .*; known are 0, 1"):
        exchange_labels(bad, {0: 0, 1: 1}, "case_3")


def test_a_label_map_keeps_its_geometry(tmp_path):
    labels = write_labels(tmp_path / "in.nii.gz", (0, 3))
    write_with_exchanged_labels(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz", {0: 0, 3: 1})
    assert (read(tmp_path / "out.nii.gz") == (labels == 3)).all()


def test_a_4d_image_is_cut_into_its_channels(tmp_path):
    channels = write_4d(tmp_path / "in.nii.gz", 3)
    targets = [tmp_path / f"out_{channel}.nii.gz" for channel in range(3)]
    write_channels(tmp_path / "in.nii.gz", targets)
    for channel, target in zip(channels, targets):
        assert (read(target) == channel).all()


def test_a_3d_image_is_copied_byte_for_byte(tmp_path):
    write_image(tmp_path / "in.nii.gz")
    write_channels(tmp_path / "in.nii.gz", [tmp_path / "out.nii.gz"])
    assert (tmp_path / "out.nii.gz").read_bytes() == (tmp_path / "in.nii.gz").read_bytes()


@pytest.mark.parametrize(("make", "found"), [(write_image, 1), (lambda path: write_4d(path, 3), 3)])
def test_a_wrong_number_of_channels_is_named(make, found, tmp_path):
    make(tmp_path / "in.nii.gz")
    with pytest.raises(ImageError, match=rf"in.nii.gz has {found} channel\(s\); .* names 2"):
        write_channels(tmp_path / "in.nii.gz", [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"])
    assert [path.name for path in tmp_path.iterdir()] == ["in.nii.gz"]
