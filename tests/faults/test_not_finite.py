"""A damaged image, NaN voxels, logits beyond half precision or f32: one case is named, the others are predicted."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from nnunetv2.errors import CaseFailures
from tests.inference.conftest import Thresholds, labelled_image, make_dataset_json, make_plans, make_predictor

CASES = ("case_a", "case_b", "case_c")


def write(path: Path, array: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), np.eye(4)), path)


@pytest.fixture
def images(tmp_path) -> Path:
    """Three cases of two channels, of which the network looks at the first."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, case in enumerate(CASES):
        image = labelled_image(seed=number)[1]
        for channel in range(2):
            write(folder / f"{case}_{channel:04d}.nii.gz", image)
    return folder


def predict(images: Path, target: Path, network=None, **settings) -> None:
    plans = make_plans((8, 8, 8), channels=2) | {"image_reader_writer": "NibabelIO"}
    predictor = make_predictor(network or Thresholds(), plans, make_dataset_json(channels=2), **settings)
    predictor.predict_from_files(str(images), str(target), num_processes_preprocessing=1)


def labels_of(target: Path, case: str) -> np.ndarray:
    return np.asarray(nibabel.load(target / f"{case}.nii.gz").dataobj).transpose(2, 1, 0)


def test_a_case_with_voxels_that_are_not_finite_is_named_and_the_others_are_predicted(images, tmp_path, figures):
    image = labelled_image(seed=1)[1]
    image[4, 5, 6], image[7, 0, 0], image[8, 13, 10] = np.nan, np.inf, np.nan
    write(images / "case_b_0001.nii.gz", image)
    with pytest.raises(CaseFailures) as caught:
        predict(images, tmp_path / "out")
    assert set(caught.value.failures) == {"case_b"}
    message = str(caught.value)
    assert "case_b_0001.nii.gz: channel 1 has voxels that are not finite: 2 NaN and 1 infinite" in message
    assert "the first at (4, 5, 6)" in message
    for number, case in enumerate(CASES):
        if case != "case_b":
            assert np.array_equal(labels_of(tmp_path / "out", case), labelled_image(seed=number)[0])
    assert not (tmp_path / "out" / "case_b.nii.gz").exists()
    figures(
        "NaN and infinite voxels in one of three cases", 1, "file, channel, number and place named; others predicted"
    )


def test_sums_beyond_half_precision_cost_a_warning_and_not_the_case(images, tmp_path, caplog, figures):
    caplog.set_level(logging.WARNING, logger="nnunetv2")
    label, image = labelled_image(seed=2)
    image[label == 2] = 9000
    write(images / "case_c_0000.nii.gz", image)
    predict(images, tmp_path / "out")
    for number, case in enumerate(CASES):
        assert np.array_equal(labels_of(tmp_path / "out", case), labelled_image(seed=number)[0])
    (warning,) = [r.getMessage() for r in caplog.records if "in f32" in r.getMessage()]
    assert warning.startswith("case case_c: ")
    figures("logits beyond float16 in one of three cases", 1, "predicted again in f32, one warning; others untouched")


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_image_costs_its_case_only(images, tmp_path, case):
    path = images / f"{case}_0001.nii.gz"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1  # in the checksum
    path.write_bytes(content)
    with pytest.raises(CaseFailures, match=rf"{case}_0001\.nii\.gz is damaged"):
        predict(images, tmp_path / "out")
    assert sorted(p.name.split(".")[0] for p in (tmp_path / "out").glob("*.nii.gz")) == sorted({*CASES} - {case})


class NaNForLargeValues(Thresholds):
    """A network that is lost where the image is bright."""

    def __call__(self, batch):
        logits = super().__call__(batch)
        return torch.where(batch[:, :1] > 1000, torch.nan, logits)


def test_logits_that_are_nan_in_f32_cost_the_case_only(images, tmp_path, figures):
    label, image = labelled_image(seed=0)
    image[label == 2] = 2000
    write(images / "case_a_0000.nii.gz", image)
    with pytest.raises(
        CaseFailures, match="case_a.*NaN or infinite.*with every product and sum in f32.*weights are finite"
    ):
        predict(images, tmp_path / "out", NaNForLargeValues())
    assert sorted(p.name for p in (tmp_path / "out").glob("*.nii.gz")) == ["case_b.nii.gz", "case_c.nii.gz"]
    figures("logits that are NaN in f32 in one of three cases", 1, "case and reason named; others predicted")
