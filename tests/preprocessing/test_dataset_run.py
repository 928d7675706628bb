"""Preprocessing does what is missing or out of date, and nothing else, whatever interrupted it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from nnunetv2.errors import DatasetError, IntegrityError
from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess_dataset, verify_preprocessed
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.storage import made_from
from nnunetv2.training.preprocessed_data import require_fitting_data


class Workplace:
    """The tiny data set with plans, its preprocessed cases, and the cases each run made."""

    def __init__(self, raw, preprocessed):
        self.raw, self.base = raw, preprocessed / raw.name
        self.data = self.base / "nnUNetPlans_2d"
        self.records = self.base / "made_from" / "nnUNetPlans_2d"

    def made(self, **options):
        """Run, and name the cases that were made."""
        before = self.times()
        preprocess_dataset(self.raw.name, configurations=["2d"], num_processes=1, **options)
        return sorted(case for case, changed in self.times().items() if before.get(case) != changed)

    def times(self):
        return {path.stem: path.stat().st_mtime_ns for path in self.data.glob("*.pkl")}

    def edit_plans(self, **entries):
        path = self.base / "nnUNetPlans.json"
        plans = json.loads(path.read_text())
        plans["configurations"]["2d"].update(entries)
        path.write_text(json.dumps(plans))
        return plans

    def plans(self):
        return json.loads((self.base / "nnUNetPlans.json").read_text())

    def dataset_json(self):
        return json.loads((self.base / "dataset.json").read_text())


@pytest.fixture
def workplace(planned_dataset, folders):
    return Workplace(planned_dataset, folders["nnUNet_preprocessed"])


ALL = [f"tiny_{i:03d}" for i in range(6)]


def test_a_second_run_makes_nothing(workplace):
    assert workplace.made() == ALL
    assert workplace.made() == []
    verify_preprocessed([workplace.raw.name], configurations=["2d"])


def test_a_new_case_is_added_and_a_removed_one_is_left(workplace):
    workplace.made()
    for path in (*workplace.raw.glob("imagesTr/tiny_000_*"), workplace.raw / "labelsTr" / "tiny_000.nii.gz"):
        shutil.copyfile(path, path.with_name(path.name.replace("tiny_000", "tiny_900")))
    for path in (*workplace.raw.glob("imagesTr/tiny_001_*"), workplace.raw / "labelsTr" / "tiny_001.nii.gz"):
        path.unlink()
    assert workplace.made() == ["tiny_900"]
    assert (workplace.data / "tiny_001.b2nd").exists()


def test_a_case_whose_image_changed_is_made_again_and_a_mere_copy_is_not(workplace):
    workplace.made()
    same, changed = (workplace.raw / "imagesTr" / f"tiny_00{i}_0000.nii.gz" for i in (2, 3))
    os.utime(same)
    image = nibabel.load(changed)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine, image.header), changed)
    assert workplace.made() == ["tiny_003"]


@pytest.mark.parametrize(
    ("entries", "again"),
    [
        ({"spacing": [2.0, 1.5]}, True),
        ({"normalization_schemes": ["ZScoreNormalization", "ZScoreNormalization"]}, True),
        ({"use_mask_for_norm": [False, False]}, True),
        ({"batch_size": 7, "patch_size": [24, 24]}, False),
    ],
)
def test_only_entries_that_change_the_data_make_them_again(workplace, entries, again):
    workplace.made()
    workplace.edit_plans(**entries)
    assert workplace.made() == (ALL if again else [])


@pytest.mark.parametrize("what", ["file gone", "file cut", "record gone", "record damaged"])
def test_a_damaged_case_is_made_again(workplace, what):
    workplace.made()
    record, array = workplace.records / "tiny_004.json", workplace.data / "tiny_004_seg.b2nd"
    {
        "file gone": array.unlink,
        "file cut": lambda: array.write_bytes(array.read_bytes()[:-5]),
        "record gone": record.unlink,
        "record damaged": lambda: record.write_text("{"),
    }[what]()
    with pytest.raises(IntegrityError, match=r"tiny_004(?s:.*)") as error:
        verify_preprocessed([workplace.raw.name], configurations=["2d"])
    assert len(error.value.problems) == 1
    assert "nnUNetv2_preprocess -d 997 -plans_name nnUNetPlans -c 2d" in str(error.value)
    assert workplace.made() == ["tiny_004"]
    verify_preprocessed([workplace.raw.name], configurations=["2d"])


def test_verifying_reads_inputs_outputs_and_reference_segmentations(workplace):
    workplace.made()
    image = workplace.raw / "imagesTr" / "tiny_000_0000.nii.gz"
    times = image.stat().st_atime_ns, image.stat().st_mtime_ns
    content = bytearray(image.read_bytes())
    content[9] ^= 1  # the operating system in the gzip header: the size and the time stay
    image.write_bytes(content)
    os.utime(image, ns=times)
    array = workplace.data / "tiny_001.b2nd"
    array.write_bytes(bytes(array.stat().st_size))
    (workplace.base / "gt_segmentations" / "tiny_002.nii.gz").write_bytes(b"another")
    with pytest.raises(IntegrityError) as error:
        verify_preprocessed([workplace.raw.name], configurations=["2d"])
    first, second, third = error.value.problems
    assert "tiny_000_0000.nii.gz has changed" in first
    assert "tiny_001.b2nd was damaged later: its checksum is" in second
    assert "tiny_002.nii.gz: it differs from" in third
    assert workplace.made() == ["tiny_000", "tiny_001"]


@pytest.mark.parametrize("file", ["tiny_003.b2nd", "tiny_003_seg.b2nd", "tiny_003.pkl"])
def test_verifying_finds_a_flipped_bit_that_no_format_here_would_notice(workplace, file):
    workplace.made()
    path = workplace.data / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=f"{file} was damaged later"):
        verify_preprocessed([workplace.raw.name], configurations=["2d"])
    assert workplace.made() == ["tiny_003"]
    verify_preprocessed([workplace.raw.name], configurations=["2d"])


def test_records_without_checksums_are_still_good(workplace):
    workplace.made()
    for path in workplace.records.glob("*.json"):
        record = json.loads(path.read_text())
        del record["checksums"]
        path.write_text(json.dumps(record))
    verify_preprocessed([workplace.raw.name], configurations=["2d"])
    assert workplace.made() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:-3]),
            "tiny_002_seg.b2nd has .* bytes, not the .* THE COMMAND",
        ),
        (lambda path: path.unlink(), "tiny_002_seg.b2nd is missing.*THE COMMAND.*remove their records"),
    ],
    ids=["cut", "gone"],
)
def test_training_refuses_cases_whose_files_changed_size(workplace, change, message):
    workplace.made()
    change(workplace.data / "tiny_002_seg.b2nd")
    with pytest.raises(DatasetError, match=message):
        require_fitting_data(str(workplace.data), workplace.plans(), "2d", workplace.dataset_json(), "THE COMMAND")


def test_cleaning_removes_everything_first(workplace):
    workplace.made()
    (workplace.data / "gone.b2nd").write_bytes(b"")
    assert workplace.made(clean=True) == ALL
    assert not (workplace.data / "gone.b2nd").exists()


def test_cases_of_an_earlier_format_are_not_mixed_with_new_ones(workplace):
    workplace.data.mkdir()
    (workplace.data / "old.npz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"earlier version \(.npz\).*--clean"):
        DefaultPreprocessor(verbose=False).run(997, "2d", "nnUNetPlans", 1)
    assert workplace.made(clean=True) == ALL


def test_training_refuses_data_made_for_other_settings_and_names_the_command(workplace):
    workplace.made()
    arguments = (str(workplace.data), workplace.plans(), "2d", workplace.dataset_json(), "THE COMMAND")
    require_fitting_data(*arguments)
    plans = workplace.edit_plans(spacing=[2.0, 1.5])
    with pytest.raises(
        DatasetError, match=r"6 of 6 cases.*tiny_000: spacing is \[2.0, 1.5\].*\[2.0, 1.0\].*THE COMMAND"
    ):
        require_fitting_data(arguments[0], plans, *arguments[2:])


def test_data_without_records_pass_with_one_warning_if_they_fit(workplace, caplog):
    workplace.made()
    shutil.rmtree(workplace.base / "made_from")
    arguments = (str(workplace.data), workplace.plans(), "2d", workplace.dataset_json(), "THE COMMAND")
    caplog.clear()
    with caplog.at_level("WARNING", logger="nnunetv2"):
        require_fitting_data(*arguments)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "6 of 6 cases carry no record" in caplog.text
    plans = workplace.edit_plans(spacing=[2.0, 1.5])
    with pytest.raises(DatasetError, match=r"tiny_000 has shape .*spacing.*THE COMMAND"):
        require_fitting_data(arguments[0], plans, *arguments[2:])
    one_channel = arguments[3] | {"channel_names": {"0": "CT"}}
    with pytest.raises(DatasetError, match=r"tiny_000 has 2 channels, dataset.json names 1.*THE COMMAND"):
        require_fitting_data(*arguments[:3], one_channel, arguments[4])


def test_settings_depend_on_intensities_only_where_a_scheme_reads_them(workplace):
    plans, dataset_json = workplace.plans(), workplace.dataset_json()
    before = made_from.settings_of(plans, "2d", dataset_json)
    plans["foreground_intensity_properties_per_channel"]["1"]["mean"] = -5.0  # z-score measures the image itself
    plans["foreground_intensity_properties_per_channel"]["0"]["median"] = -5.0  # CT does not use it
    assert made_from.settings_of(plans, "2d", dataset_json) == before
    plans["foreground_intensity_properties_per_channel"]["0"]["mean"] = -5.0
    assert made_from.settings_of(plans, "2d", dataset_json) != before


@pytest.mark.slow
def test_killing_at_random_moments_and_resuming_gives_the_files_of_an_undisturbed_run(workplace):
    for path in sorted(workplace.raw.glob("*Tr/tiny_*")):
        for copy in range(1, 8):
            shutil.copyfile(path, path.with_name(path.name.replace("tiny_", f"tiny_{copy}")))
    command = [str(Path(sys.executable).parent / "nnUNetv2_preprocess"), "-d", "997", "-c", "2d", "-np", "2"]

    def start():
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    assert start().wait() == 0
    expected = {path.name: path.read_bytes() for path in sorted(workplace.data.iterdir())}
    assert len(expected) == 48 * 3
    shutil.rmtree(workplace.base / "made_from")
    shutil.rmtree(workplace.data)

    moments, finished, killed = random.Random(5), {}, 0
    for _ in range(10):
        process = start()
        # A random moment of the work, most of which would be start-up if it were counted from the start.
        wanted, end = len(finished) + moments.randint(1, 3), time.monotonic() + 60
        while process.poll() is None and len(list(workplace.records.glob("tiny*.json"))) < wanted:
            assert time.monotonic() < end
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.03))
        if process.poll() is None:
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for record, content in finished.items():
            assert (record.stat().st_mtime_ns, record.read_bytes()) == content, "a finished case was made twice"
        finished = {r: (r.stat().st_mtime_ns, r.read_bytes()) for r in workplace.records.glob("tiny*.json")}
    assert killed == 10
    assert len(finished) < 48
    assert start().wait() == 0
    assert {path.name: path.read_bytes() for path in sorted(workplace.data.iterdir())} == expected
    verify_preprocessed([workplace.raw.name], configurations=["2d"])
