"""Data sets whose label values are not 0, 1, 2, ...: everything is as with dense labels, in the values of the files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nnunetv2.ensembling.commands import ensemble_entry_point
from nnunetv2.evaluation.commands import evaluate_folder_entry_point
from nnunetv2.evaluation.selection_commands import find_best_configuration_entry_point
from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.postprocessing.commands import apply_postprocessing_entry_point
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.utilities.overlay_plots import generate_overlays_from_preprocessed
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.conftest import FOLDER_VARIABLES, draw_few_samples, write_tiny_dataset
from tests.variants import NUMBER, TRAINER, Project, edit_json, edit_labels, read, small

VALUES = np.array([0, 205, 420, 500], dtype=np.uint16)
"""Original value of background, shell, core and corner."""

SEEDED_TRAINER = f"""
import os
import random

import numpy as np
import torch

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def seed():
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)


class {TRAINER}(nnUNetTrainer):
    num_epochs = 1
    num_val_iterations_per_epoch = 2

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cpu")):
        super().__init__(plans, configuration, fold, dataset_json, device=device)
        self.num_iterations_per_epoch = int(os.environ.get("STEPS", 2))
        self.initial_lr = 0.1

    def initialize(self):
        seed()
        super().initialize()

    def get_dataloaders(self):
        seed()
        return super().get_dataloaders()
"""


def with_corner(seg: np.ndarray, index: int) -> np.ndarray:
    """Dense labels: shell 1, core 2, and in one corner 3."""
    seg[:5, :8, :8] = 3
    return seg


def with_values(seg: np.ndarray, index: int) -> np.ndarray:
    return VALUES[with_corner(seg, index)]


@pytest.fixture
def make_project(tmp_path, monkeypatch):
    """Makes the tiny data set with dense labels or with ``VALUES``, below folders of its own, and goes there."""
    draw_few_samples(monkeypatch)
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "seeded.py").write_text(SEEDED_TRAINER)
    for name, value in {"extTrainer": tmp_path / "trainers", "def_n_proc": 1, "n_proc_DA": 0}.items():
        monkeypatch.setenv(f"nnUNet_{name}", str(value))

    def make(kind: str) -> Project:
        folders = {name: tmp_path / kind / name for name in FOLDER_VARIABLES}
        for name, folder in folders.items():
            folder.mkdir(parents=True)
            monkeypatch.setenv(name, str(folder))
        raw = write_tiny_dataset(folders["nnUNet_raw"], shape=(14, 22, 20))
        edit_labels(raw, with_corner if kind == "dense" else with_values)
        names = ("background", "shell", "core", "corner")
        values = range(4) if kind == "dense" else VALUES.tolist()
        edit_json(raw / "dataset.json", labels=dict(zip(names, values)))
        cases = [f"tiny_{index:03d}" for index in range(6)]
        # The second stage of the cascade needs a validation prediction of every case.
        (raw / "splits_final.json").write_text(json.dumps([{"train": cases, "val": cases}]))
        return Project(folders, raw)

    return make


CASCADE = {
    "small": small(),
    "first": small(next_stage="second", data_identifier="first", spacing=[4.0, 2.0, 2.0]),
    "second": {"inherits_from": "small", "previous_stage": "first"},
}


def run_everything(project: Project, output: Path) -> dict[str, Path]:
    """Plan, preprocess, train a cascade, choose, predict, ensemble, postprocess; returns the folders of label maps."""
    project.prepare(**CASCADE)
    found = {}
    for name in ("small", "first", "second"):
        project.train(name, "0", "--npz")
        found[f"validation of {name}"] = project.model(name) / "fold_0" / "validation"
    generate_overlays_from_preprocessed(NUMBER, str(output / "overlays"), num_processes=1, configuration="small")
    for name in ("small", "first"):
        found[f"{name} predicted"] = output / name
        project.predict(name, output / name, "--save_probabilities")
    previous = ["-prev_stage_predictions", str(output / "first"), "--save_probabilities"]
    found["second predicted"] = output / "second"
    project.predict("second", output / "second", *previous)
    found["ensemble"] = output / "ensemble"
    ensemble_entry_point(["-i", str(output / "small"), str(output / "second"), "-o", str(found["ensemble"])])
    find_best_configuration_entry_point(
        [NUMBER, "-c", "small", "second", "-tr", TRAINER, "-f", "0", "--disable_ensembling", "-np", "1"]
    )
    crossval = project.model("small") / "crossval_results_folds_0"
    found["cross-validation"], found["chosen for it"] = crossval, crossval / "postprocessed"
    found["postprocessed"] = output / "postprocessed"
    apply_postprocessing_entry_point(
        [
            *("-i", str(output / "small"), "-o", str(found["postprocessed"]), "-np", "1"),
            *("-pp_pkl_file", str(crossval / "postprocessing.pkl")),
        ]
    )
    return found


def label_maps(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: read(path) for path in sorted(folder.glob("*.nii.gz"))}


def metrics_of(summary_file: Path) -> dict[str, dict[str, float]]:
    return json.loads(summary_file.read_text())["mean"]


@pytest.mark.slow
def test_everything_equals_the_run_with_dense_labels_in_the_values_of_the_files(make_project, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPS", "40")
    found, projects = {}, {}
    for kind in ("dense", "heart"):
        projects[kind] = make_project(kind)
        found[kind] = run_everything(projects[kind], tmp_path / kind / "output")
    seen = set()
    for name, folder in found["dense"].items():
        dense, original = label_maps(folder), label_maps(found["heart"][name])
        assert dense and dense.keys() == original.keys(), name
        for case, labels in dense.items():
            np.testing.assert_array_equal(VALUES[labels], original[case], err_msg=f"{name}, {case}")
            seen |= set(np.unique(original[case]).tolist())
    assert len(seen) >= 3 and seen <= set(VALUES.tolist())
    for configuration in ("small", "second"):
        file = "fold_0/validation/summary.json"
        dense = metrics_of(projects["dense"].model(configuration) / file)
        original = metrics_of(projects["heart"].model(configuration) / file)
        assert original == {str(VALUES[int(label)]): metrics for label, metrics in dense.items()}
    dense, original = (nnUNetDatasetBlosc2(str(projects[k].preprocessed / "small")) for k in ("dense", "heart"))
    for case in dense.identifiers:
        for expected, array in zip(dense.load_case(case)[:2], original.load_case(case)[:2]):
            np.testing.assert_array_equal(array[:], expected[:])
    dense_plans, plans = (json.loads(projects[kind].plans_file.read_text()) for kind in ("dense", "heart"))
    assert dense_plans == plans
    evaluate_folder_entry_point(
        [
            *(str(projects["heart"].raw / "labelsTr"), str(tmp_path / "heart" / "output" / "small"), "--chill"),
            *("-djfile", str(projects["heart"].raw / "dataset.json"), "-pfile", str(projects["heart"].plans_file)),
            *("-np", "1"),
        ]
    )
    assert set(metrics_of(tmp_path / "heart" / "output" / "small" / "summary.json")) == {"205", "420", "500"}


def test_predictions_have_the_values_of_dataset_json(make_project, tmp_path):
    project = make_project("heart")
    project.prepare(small=small())
    summary = project.train("small")
    assert set(summary["mean"]) == {"205", "420", "500"}
    project.push_outputs("small", [0.0, 0.0, 9.0, 0.0])
    for file in project.predict("small", tmp_path / "pushed"):
        assert read(file).dtype == np.uint16 and np.unique(read(file)).tolist() == [420]
    predictor = nnUNetPredictor(device="cpu", use_mirroring=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(project.model("small")), (0,))
    images = np.random.RandomState(0).normal(size=(2, 9, 17, 16)).astype(np.float32)
    segmentation = predictor.predict_single_npy_array(images, {"spacing": [2.5, 1.0, 1.25]})
    assert np.unique(segmentation).tolist() == [420]


def test_the_ignore_label_may_be_anything_and_is_not_trained_on(make_project):
    project = make_project("heart")
    edit_json(
        project.raw / "dataset.json",
        labels={"background": 0, "shell": 205, "core": 420, "corner": 500, "ignore": 255},
    )
    edit_labels(project.raw, lambda seg, index: np.where(np.arange(14)[:, None, None] % 3 == index % 3, seg, 255))
    project.prepare(small=small())
    trainer = project.trainer("small")
    assert trainer.label_manager.ignore_label == 4 and trainer.label_manager.num_segmentation_heads == 4
    case = nnUNetDatasetBlosc2(str(project.preprocessed / "small"))
    seg = case.load_case(case.identifiers[0])[1][:]
    assert set(np.unique(seg).tolist()) == {0, 1, 2, 3, 4}
    summary = project.train("small")
    for metrics in summary["metric_per_case"]:
        annotated = int((read(Path(metrics["reference_file"])) != 255).sum())
        assert all(sum(m[k] for k in ("TP", "FP", "FN", "TN")) == annotated for m in metrics["metrics"].values())


def test_a_value_that_dataset_json_does_not_name_stops_preprocessing_with_file_and_value(make_project):
    project = make_project("heart")
    plan_and_preprocess_entry(["-d", NUMBER, "--no_pp", "-npfp", "1", "--no_pbar"])
    edit_labels(project.raw, lambda seg, index: np.where(seg == 420, 421, seg))
    plans = PlansManager(str(project.plans_file))
    label_file = project.raw / "labelsTr" / "tiny_000.nii.gz"
    images = [str(project.raw / "imagesTr" / f"tiny_000_{channel:04d}.nii.gz") for channel in range(2)]
    with pytest.raises(RuntimeError, match=rf"{label_file}: the segmentation holds 421 in .* names 0, 205, 420, 500"):
        DefaultPreprocessor(verbose=False).run_case(
            images,
            str(label_file),
            plans,
            plans.get_configuration("3d_fullres"),
            json.loads((project.raw / "dataset.json").read_text()),
        )
