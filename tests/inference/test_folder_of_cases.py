"""A folder of cases predicted one after the other: which cases, and what a failure costs."""

import os
import signal

import pytest

from nnunetv2.errors import DatasetError, MissingFileError, WorkerError
from nnunetv2.inference import folder_of_cases
from nnunetv2.inference.folder_of_cases import cases_of_folder, main, predict_folder
from nnunetv2.inference.predictor_process import ModelChoice, Outcome, PredictorProcess
from nnunetv2.records.measurements import load_measurements
from tests.flare24.image import CONFIGURATION, shrunk_model, write_case

CHOICE = ModelChoice(dataset="24", configuration=CONFIGURATION, device="cpu")


class Scripted:
    """Stands in for the process with the model: writes an empty result, or fails where told."""

    def __init__(self, choice, failing=("bad",)):
        self.choice, self.failing, self.asked = choice, failing, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def predict(self, image, output_truncated):
        self.asked.append(image.name)
        if output_truncated.name in self.failing:
            return Outcome(error="told to fail", figures={})
        output_truncated.with_name(output_truncated.name + ".nii.gz").write_bytes(b"")
        return Outcome(error=None, figures={"seconds": 1.0, "host_peak_mib": 2.0})


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name in ("a_0000.nii.gz", "b.nii.gz", "bad_0000.nii.gz", "c.d.nii.gz", ".hidden.nii.gz", "e.nii"):
        (folder / name).write_bytes(b"")
    return folder


def test_cases_are_named_by_their_files_without_channel_number_and_ending(inputs):
    cases = cases_of_folder(inputs)
    assert {case: image.name for case, image in cases.images.items()} == {
        "a": "a_0000.nii.gz",
        "b": "b.nii.gz",
        "bad": "bad_0000.nii.gz",
        "c.d": "c.d.nii.gz",
    }


def test_two_images_with_the_same_result_fail_both_and_alone(inputs):
    (inputs / "a.nii.gz").write_bytes(b"")
    cases = cases_of_folder(inputs)
    assert "a" not in cases.images
    assert "a.nii.gz and a_0000.nii.gz would both be written to a.nii.gz" in cases.failures["a"]
    assert "b" in cases.images


def test_nothing_to_do_is_an_error(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere does not exist\. Make it"):
        cases_of_folder(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"no file that ends with \.nii\.gz"):
        cases_of_folder(tmp_path)


def test_a_failure_is_reported_and_leaves_no_result_of_an_earlier_run(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_of_cases, "PredictorProcess", Scripted)
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "bad.nii.gz").write_bytes(b"old")
    assert predict_folder(inputs, outputs, CHOICE) == {"bad": "told to fail"}
    assert sorted(path.name for path in outputs.glob("*.nii.gz")) == ["a.nii.gz", "b.nii.gz", "c.d.nii.gz"]
    measured = load_measurements(outputs / "measurements.csv")
    assert set(measured) == {"a", "b", "c.d"}
    assert measured["a"].host_peak_mib == 2


def test_existing_results_are_kept_when_asked(inputs, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(folder_of_cases, "PredictorProcess", lambda choice: made.append(Scripted(choice)) or made[-1])
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "b.nii.gz").write_bytes(b"done before")
    predict_folder(inputs, tmp_path / "outputs", CHOICE, keep_existing=True)
    assert made[0].asked == ["a_0000.nii.gz", "bad_0000.nii.gz", "c.d.nii.gz"]


def test_the_command_names_the_failed_cases_and_ends_with_status_1(inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folder_of_cases, "PredictorProcess", Scripted)
    arguments = ["-i", str(inputs), "-o", str(tmp_path / "outputs"), "-d", "24", "-c", CONFIGURATION]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 1
    assert "1 case(s) failed, the others are done:\n  bad: told to fail" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_process_costs_its_case_only(folders, tmp_path, monkeypatch):
    """The process is killed each time it predicts the first case; the second gets a new process."""
    shrunk_model(folders["nnUNet_results"])
    write_case(tmp_path / "inputs" / "first.nii.gz", 1)
    write_case(tmp_path / "inputs" / "second.nii.gz", 2)

    received = PredictorProcess._received

    def killed(self, connection, what):
        if "first" in what:
            os.kill(self._process.pid, signal.SIGKILL)
        return received(self, connection, what)

    monkeypatch.setattr(PredictorProcess, "_received", killed)
    failures = predict_folder(tmp_path / "inputs", tmp_path / "outputs", CHOICE)
    assert list(failures) == ["first"]
    assert "killed twice" in failures["first"]
    assert "ended by the signal SIGKILL (most likely for lack of memory)" in failures["first"]
    measured = load_measurements(tmp_path / "outputs" / "measurements.csv")["second"]
    assert measured.seconds > 0
    assert measured.start_up_seconds > 0
    assert measured.host_mib_seconds > 0


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_stops_at_once(folders, tmp_path):
    write_case(tmp_path / "inputs" / "a.nii.gz")
    shrunk_model(folders["nnUNet_results"])
    choice = ModelChoice(dataset="24", configuration=CONFIGURATION, folds=(3,), device="cpu")
    with pytest.raises(WorkerError, match=r"no checkpoint_final\.pth of fold 3"):
        predict_folder(tmp_path / "inputs", tmp_path / "outputs", choice)
