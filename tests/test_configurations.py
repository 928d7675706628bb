"""Every configuration of a data set and of a model, from raw files to evaluated predictions, by the real commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from skimage import io

from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry, preprocess_entry
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from tests.conftest import draw_few_samples, write_tiny_dataset
from tests.variants import (
    NAME,
    NUMBER,
    REGIONS,
    TRAINER,
    TRAINER_FILE,
    Project,
    edit_json,
    edit_labels,
    keep_every_third_slice,
    read,
    scribble,
    small,
    unet,
)


@pytest.fixture(autouse=True)
def quick_fingerprints_and_a_short_training(folders, tmp_path, monkeypatch):
    draw_few_samples(monkeypatch)
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "two_steps.py").write_text(TRAINER_FILE)
    monkeypatch.setenv("nnUNet_extTrainer", str(tmp_path / "trainers"))


@pytest.fixture
def project(folders) -> Project:
    """A tiny 3D data set with two channels and the labels shell and core."""
    return Project(folders, write_tiny_dataset(folders["nnUNet_raw"], shape=(14, 22, 20)))


def first_batches(project: Project, configuration: str):
    """A training and a validation batch of the trainer of ``configuration``."""
    trainer = project.trainer(configuration)
    train, val = trainer.get_dataloaders()
    return trainer, next(train), next(val)


def annotated_and_reference(case: dict, ignore: int | None) -> tuple[int, np.ndarray]:
    """Number of voxels that count, and the reference, of an entry of ``metric_per_case``."""
    reference = read(Path(case["reference_file"]))
    return int((reference != ignore).sum()), reference


def check_summary(summary: dict, keys: dict[str, tuple[int, ...]], ignore: int | None = None) -> None:
    """Counts of every case and key add up to the annotated voxels, and to the reference's size."""
    assert set(summary["mean"]) == set(keys)
    assert summary["metric_per_case"]
    for case in summary["metric_per_case"]:
        annotated, reference = annotated_and_reference(case, ignore)
        predicted = read(Path(case["prediction_file"]))
        for key, labels in keys.items():
            counts = case["metrics"][key]
            assert counts["TP"] + counts["FP"] + counts["FN"] + counts["TN"] == annotated
            assert counts["n_ref"] == np.isin(reference, labels).sum()
            assert counts["n_pred"] == (np.isin(predicted, labels) & (reference != ignore)).sum()


def check_model_files(project: Project, configuration: str, fold: str = "0") -> None:
    model = project.model(configuration)
    there = {path.name for path in model.iterdir()} | {path.name for path in (model / f"fold_{fold}").iterdir()}
    expected = {"plans.json", "dataset.json", "dataset_fingerprint.json", "checkpoint_final.pth", "checkpoint_best.pth"}
    assert expected | {"progress.png", "debug.json", "validation"} <= there


def check_predictions(project: Project, files: list[Path], labels: set[int]) -> None:
    """Two label maps on the grid of their images, with no other values than ``labels``."""
    assert len(files) == 2
    for file in files:
        image = sitk.ReadImage(str(next((project.raw / "imagesTr").glob(file.name.replace(".nii.gz", "_0000*")))))
        predicted = sitk.ReadImage(str(file))
        assert predicted.GetSize() == image.GetSize()
        assert np.allclose(predicted.GetDirection(), image.GetDirection())
        assert set(np.unique(sitk.GetArrayFromImage(predicted)).tolist()) <= labels


# Regions and the ignore label


def test_regions_are_trained_as_channels_and_written_in_their_order(project, tmp_path):
    edit_json(project.raw / "dataset.json", labels=REGIONS, regions_class_order=[1, 2])
    project.prepare(small=small())
    trainer, train, val = first_batches(project, "small")
    assert trainer.label_manager.num_segmentation_heads == 2
    for batch in (train, val):
        assert [tuple(t.shape) for t in batch["target"]] == [(2, 2, 8, 16, 16), (2, 2, 4, 8, 8)]
        whole, core = batch["target"][0].unbind(1)
        assert whole.dtype == torch.bool
        assert not (core & ~whole).any()
        assert whole[1].any(), "the last sample is centred on foreground"
    summary = project.train("small")
    check_model_files(project, "small")
    check_summary(summary, {"(1, 2)": (1, 2), "2": (2,)})
    check_predictions(project, project.predict("small", tmp_path / "trained"), {0, 1, 2})
    for logits, label in (([9, 9], 2), ([9, -9], 1)):
        project.push_outputs("small", logits)
        output = tmp_path / f"pushed_{logits}"
        assert {tuple(np.unique(read(file))) for file in project.predict("small", output)} == {(label,)}


def test_a_region_that_a_later_one_covers_is_refused(project, capsys):
    project.prepare(small=small())
    covered = {"labels": {"background": 0, "core": 2, "whole": [1, 2]}, "regions_class_order": [2, 1]}
    for folder in (project.raw, project.preprocessed):
        edit_json(folder / "dataset.json", **covered)
    verify = ["-d", NUMBER, "--verify_dataset_integrity", "--no_pp", "-npfp", "1", "--no_pbar"]
    train = [NUMBER, "small", "0", "-tr", TRAINER, "-device", "cpu"]
    for entry, argv in ((plan_and_preprocess_entry, verify), (run_training_entry, train)):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            entry(argv)
        assert end.value.code == 1
        assert "core would never be seen" in capsys.readouterr().err


def test_slices_with_the_ignore_label_are_neither_trained_on_nor_evaluated(project, tmp_path):
    edit_json(project.raw / "dataset.json", labels={"background": 0, "shell": 1, "core": 2, "ignore": 3})
    edit_labels(project.raw, keep_every_third_slice)
    project.prepare(small=small())
    trainer, train, val = first_batches(project, "small")
    assert trainer.label_manager.num_segmentation_heads == 3
    assert all(int(batch["target"][0].max()) == 3 for batch in (train, val))
    logits = [torch.randn(2, 3, *target.shape[2:], requires_grad=True) for target in val["target"]]
    trainer.loss(logits, val["target"]).backward()
    ignored = (val["target"][0] == 3).expand_as(logits[0])
    assert logits[0].grad[ignored].abs().max() == 0
    assert logits[0].grad[~ignored].abs().min() > 0
    check_summary(project.train("small"), {"1": (1,), "2": (2,)}, ignore=3)
    check_predictions(project, project.predict("small", tmp_path / "out"), {0, 1, 2})


def test_scribbles_for_regions_have_the_ignored_voxels_as_last_target_channel(project, tmp_path):
    edit_json(project.raw / "dataset.json", labels=REGIONS | {"ignore": 3}, regions_class_order=[1, 2])
    edit_labels(project.raw, scribble)
    project.prepare(small=small())
    trainer, train, val = first_batches(project, "small")
    assert trainer.label_manager.num_segmentation_heads == 2
    for batch in (train, val):
        whole, core, ignored = batch["target"][0].unbind(1)
        assert not (whole & ignored).any()
        assert not (core & ~whole).any()
        assert ignored.float().mean() > 0.5
    logits = [torch.randn(2, 2, *target.shape[2:], requires_grad=True) for target in val["target"]]
    trainer.loss(logits, val["target"]).backward()
    ignored = val["target"][0][:, -1:].expand_as(logits[0])
    assert logits[0].grad[ignored].abs().max() == 0
    assert logits[0].grad[~ignored].abs().min() > 0
    check_summary(project.train("small"), {"(1, 2)": (1, 2), "2": (2,)}, ignore=3)
    check_predictions(project, project.predict("small", tmp_path / "out"), {0, 1, 2})


# Which files belong to a data set, and which cases to a fold


def move_to_explicit_lists(project: Project, elsewhere: Path) -> list[str]:
    """Free file names in other folders, listed in dataset.json in an order of their own; returns that order."""
    cases = sorted(path.name.removesuffix(".nii.gz") for path in (project.raw / "labelsTr").iterdir())[::-1]
    elsewhere.mkdir()
    listed = {}
    for index, case in enumerate(cases):
        for channel, name in enumerate(("ct", "mr")):
            source = project.raw / "imagesTr" / f"{case}_{channel:04d}.nii.gz"
            shutil.move(source, elsewhere / f"{name} of patient {index}.nii.gz")
        shutil.move(project.raw / "labelsTr" / f"{case}.nii.gz", project.raw / f"drawn_{index}.nii.gz")
        images = [f"$SCANS/{name} of patient {index}.nii.gz" for name in ("ct", "mr")]
        listed[case] = {"images": images, "label": f"./drawn_{index}.nii.gz"}
    for folder in ("imagesTr", "labelsTr"):
        (project.raw / folder).rmdir()
    edit_json(project.raw / "dataset.json", dataset=listed)
    return cases


def test_explicit_file_lists_and_manual_splits(project, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCANS", str(tmp_path / "scans"))
    before = {path.name: read(path) for path in (project.raw / "labelsTr").iterdir()}
    cases = move_to_explicit_lists(project, tmp_path / "scans")
    splits = [{"train": cases[:1], "val": cases[1:]}, {"train": cases[2:], "val": [cases[1], cases[0]]}]
    (project.raw / "splits_final.json").write_text(json.dumps(splits))
    project.prepare(small=small())
    assert json.loads((project.preprocessed / "splits_final.json").read_text()) == splits
    ground_truth = project.preprocessed / "gt_segmentations"
    assert {path.name for path in ground_truth.iterdir()} == {f"{case}.nii.gz" for case in cases}
    for name, labels in before.items():
        assert np.array_equal(read(ground_truth / name), labels)
    assert nnUNetDatasetBlosc2.get_identifiers(project.preprocessed / "small") == sorted(cases)
    trainer = project.trainer("small", fold=1)
    assert [set(keys) for keys in trainer.do_split()] == [set(splits[1]["train"]), set(splits[1]["val"])]
    summary = project.train("small", "1")
    check_summary(summary, {"1": (1,), "2": (2,)})
    assert [Path(c["prediction_file"]).name for c in summary["metric_per_case"]] == [
        f"{case}.nii.gz" for case in sorted(splits[1]["val"])
    ]
    summary = project.train("small", "7")  # not in the file: a random fifth is kept for validation
    assert len(summary["metric_per_case"]) == 2
    assert json.loads((project.preprocessed / "splits_final.json").read_text()) == splits


# Kinds of images


def write_rgb_dataset(raw: Path) -> Path:
    """Six RGB pictures of 40 x 36 pixels: a red square, label 1, with a green corner, label 2."""
    folder = raw / NAME
    for sub in ("imagesTr", "labelsTr"):
        (folder / sub).mkdir(parents=True)
    rng = np.random.RandomState(3)
    for index in range(6):
        seg = np.zeros((40, 36), dtype=np.uint8)
        y, x = rng.randint(4, 16, 2)
        seg[y : y + 18, x : x + 14] = 1
        seg[y : y + 6, x : x + 6] = 2
        picture = rng.randint(0, 60, (40, 36, 3)).astype(np.uint8)
        picture[seg == 1, 0] += 150
        picture[seg == 2, 1] += 150
        io.imsave(str(folder / "imagesTr" / f"photo_{index}_0000.png"), picture, check_contrast=False)
        io.imsave(str(folder / "labelsTr" / f"photo_{index}.png"), seg, check_contrast=False)
    content = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "square": 1, "corner": 2},
        "numTraining": 6,
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_rgb_pictures_in_2d(folders, tmp_path):
    project = Project(folders, write_rgb_dataset(folders["nnUNet_raw"]))
    project.prepare(small=small("2d", (32, 24)))
    plans = json.loads(project.plans_file.read_text())
    assert set(plans["configurations"]) == {"2d", "small"}
    assert plans["image_reader_writer"] == "NaturalImage2DIO"
    trainer, train, val = first_batches(project, "small")
    assert trainer.num_input_channels == 3
    assert train["data"].shape == val["data"].shape == (2, 3, 32, 24)
    assert [tuple(t.shape) for t in train["target"]] == [(2, 1, 32, 24), (2, 1, 16, 12)]
    summary = project.train("small")
    assert set(summary["mean"]) == {"1", "2"}
    assert all(c["metrics"]["1"]["TN"] + c["metrics"]["1"]["n_ref"] <= 40 * 36 for c in summary["metric_per_case"])
    files = project.predict("small", tmp_path / "out")
    assert [io.imread(str(file)).shape for file in files] == [(40, 36)] * 2
    project.push_outputs("small", [0, 1, 5])
    predicted = [io.imread(str(file)) for file in project.predict("small", tmp_path / "pushed")]
    assert all(np.array_equal(label_map, np.full((40, 36), 2)) for label_map in predicted)


def test_thick_slices_are_augmented_in_their_plane(folders, tmp_path):
    raw = write_tiny_dataset(folders["nnUNet_raw"], shape=(8, 40, 36), spacing=(6.0, 1.0, 1.0))
    project = Project(folders, raw)
    project.prepare(small=small(patch=(4, 24, 24), architecture=unet(3, first_axis_kept=True)))
    trainer, train, _ = first_batches(project, "small")
    _, dummy_2d, initial_patch, _ = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert dummy_2d
    assert initial_patch[0] == 4
    assert min(initial_patch[1:]) > 24
    assert train["data"].shape == (2, 2, 4, 24, 24)
    assert [tuple(t.shape) for t in train["target"]] == [(2, 1, 4, 24, 24), (2, 1, 4, 12, 12)]
    check_summary(project.train("small"), {"1": (1,), "2": (2,)})
    check_predictions(project, project.predict("small", tmp_path / "out"), {0, 1, 2})


# Many labels, and gaps between them


def number_the_blocks(seg: np.ndarray, index: int) -> np.ndarray:
    """300 labels: blocks of 2 x 3 x 3 voxels are numbered, and begin anew after label 300."""
    z, y, x = np.indices(seg.shape)
    return ((z // 2 * 64 + y // 3 * 8 + x // 3 + 17 * index) % 301).astype(np.uint16)


@pytest.mark.slow
def test_three_hundred_labels_need_sixteen_bits_everywhere(project, tmp_path):
    names = {"background": 0} | {f"part_{i}": i for i in range(1, 301)}
    edit_json(project.raw / "dataset.json", labels=names)
    edit_labels(project.raw, number_the_blocks)
    project.prepare(
        small=small(),
        first=small(next_stage="second", data_identifier="first", spacing=[3.0, 1.5, 1.5]),
        second={"inherits_from": "small", "previous_stage": "first"},
    )
    trainer, train, _ = first_batches(project, "small")
    assert trainer.label_manager.num_segmentation_heads == 301
    assert train["target"][0].dtype == torch.int16
    assert int(train["target"][0].max()) > 255
    summary = project.train("small")
    assert set(summary["mean"]) == {str(i) for i in range(1, 301)}
    check_predictions(project, project.predict("small", tmp_path / "trained"), set(range(301)))
    project.push_outputs("small", [float(i == 299) for i in range(301)])
    for file in project.predict("small", tmp_path / "pushed"):
        assert read(file).dtype == np.uint16
        assert np.unique(read(file)).tolist() == [299]
    project.train("first")
    project.push_outputs("first", [float(i == 300) for i in range(301)])
    project.train("first", "0", "--val")
    stored = project.model("first") / "predicted_next_stage" / "second"
    case = nnUNetDatasetBlosc2.get_identifiers(stored)[0]
    previous = nnUNetDatasetBlosc2(project.preprocessed / "small", [case], stored).load_case(case)[2][:]
    assert previous.dtype == np.uint16
    assert np.unique(previous).tolist() == [300]


def skip_label_two(seg: np.ndarray, index: int) -> np.ndarray:
    return np.where(seg == 2, 3, seg).astype(np.uint8)


def test_labels_with_gaps_are_trained_and_written(project, tmp_path):
    edit_json(project.raw / "dataset.json", labels={"background": 0, "shell": 1, "core": 3})
    edit_labels(project.raw, skip_label_two)
    project.prepare(small=small())
    check_summary(project.train("small"), {"1": (1,), "3": (3,)})
    project.push_outputs("small", [0.0, 0.0, 9.0])
    for file in project.predict("small", tmp_path / "pushed"):
        assert np.unique(read(file)).tolist() == [3]


def test_regions_of_labels_with_gaps_are_trained(project, tmp_path):
    regions = {"background": 0, "whole": [1, 3], "core": 3}
    edit_json(project.raw / "dataset.json", labels=regions, regions_class_order=[1, 3])
    edit_labels(project.raw, skip_label_two)
    project.prepare(check=False, small=small())
    check_summary(project.train("small"), {"(1, 3)": (1, 3), "3": (3,)})
    check_predictions(project, project.predict("small", tmp_path / "out"), {0, 1, 3})


# The cascade


def put_previous_stage(project: Project, change=lambda seg: seg) -> None:
    """Write ``change`` of the true labels as the segmentations that the stage ``first`` leaves for ``second``."""
    folder = project.model("first") / "predicted_next_stage" / "second"
    folder.mkdir(parents=True, exist_ok=True)
    dataset = nnUNetDatasetBlosc2(project.preprocessed / "small")
    for case in dataset.identifiers:
        seg = dataset.load_case(case)[1][:][0]
        nnUNetDatasetBlosc2.save_seg(change(np.maximum(seg, 0)).astype(np.uint8), str(folder / case))


CASCADE = {
    "small": small(),
    "first": small(next_stage="second", data_identifier="first", spacing=[4.0, 2.0, 2.0]),
    "second": {"inherits_from": "small", "previous_stage": "first"},
}


def test_the_second_stage_sees_the_labels_of_the_first(project, tmp_path):
    project.prepare(**CASCADE)
    put_previous_stage(project)
    trainer, train, val = first_batches(project, "second")
    assert trainer.num_input_channels == 4
    assert train["data"].shape == val["data"].shape == (2, 4, 8, 16, 16)
    for channel, label in ((2, 1), (3, 2)):
        assert torch.equal(val["data"][:, channel], (val["target"][0][:, 0] == label).float())
    assert set(train["data"][:, 2:].unique().tolist()) <= {0.0, 1.0}
    check_summary(project.train("second"), {"1": (1,), "2": (2,)})
    probabilities = {}
    for name, change in (("true", lambda seg: seg), ("empty", lambda seg: seg * 0)):
        folder = tmp_path / f"previous_{name}"
        shutil.copytree(project.raw / "labelsTr", folder)
        for path in folder.iterdir():
            image = sitk.ReadImage(str(path))
            changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)))
            changed.CopyInformation(image)
            sitk.WriteImage(changed, str(path))
        flags = ["-prev_stage_predictions", str(folder), "--save_probabilities"]
        files = project.predict("second", tmp_path / name, *flags)
        check_predictions(project, files, {0, 1, 2})
        with np.load(str(files[0]).replace(".nii.gz", ".npz")) as stored:
            probabilities[name] = stored["probabilities"]
    assert np.abs(probabilities["true"] - probabilities["empty"]).max() > 1e-3


def test_a_cascade_without_its_first_stage_says_what_to_run(project, tmp_path, capsys):
    project.prepare(**CASCADE)
    put_previous_stage(project)
    missing = sorted((project.model("first") / "predicted_next_stage" / "second").iterdir())[1]
    missing.unlink()
    with pytest.raises(SystemExit) as end:
        run_training_entry([NUMBER, "second", "0", "-tr", TRAINER, "-device", "cpu"])
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert missing.stem in error
    assert "nnUNetv2_train" in error
    assert "first" in error
    shutil.rmtree(project.model("first"))
    with pytest.raises(SystemExit) as end:
        run_training_entry([NUMBER, "second", "0", "-tr", TRAINER, "-device", "cpu"])
    assert end.value.code == 1
    assert "nnUNetv2_train" in capsys.readouterr().err


@pytest.mark.slow
def test_a_planned_cascade_from_raw_images_to_predictions(folders, tmp_path):
    raw = write_tiny_dataset(
        folders["nnUNet_raw"], cases=5, shape=(70, 80, 72), spacing=(1.0, 1.0, 1.0), channels=("CT",)
    )
    project = Project(folders, raw)
    target = ["-gpu_memory_target", "0.12"]
    plan_and_preprocess_entry(["-d", NUMBER, "--no_pp", "-npfp", "1", "--no_pbar", *target])
    plans = json.loads(project.plans_file.read_text())
    assert {"3d_lowres", "3d_fullres", "3d_cascade_fullres"} <= set(plans["configurations"])
    for name in ("3d_lowres", "3d_fullres"):
        patch = plans["configurations"][name]["patch_size"]
        plans["configurations"][name] |= {"architecture": unet(3), "patch_size": [n // 4 * 4 for n in patch]}
    project.plans_file.write_text(json.dumps(plans))
    preprocess_entry(["-d", NUMBER, "-c", "3d_lowres", "3d_fullres", "-np", "1", "--no_pbar"])
    for fold in "01234":
        check_summary(project.train("3d_lowres", fold), {"1": (1,), "2": (2,)})
    stored = project.model("3d_lowres") / "predicted_next_stage" / "3d_cascade_fullres"
    fullres = nnUNetDatasetBlosc2(project.preprocessed / "nnUNetPlans_3d_fullres", None, stored)
    assert nnUNetDatasetBlosc2.get_identifiers(stored) == fullres.identifiers
    for case in fullres.identifiers:
        data, _, previous, _ = fullres.load_case(case)
        assert previous.shape == data.shape[1:]
        assert previous.dtype == np.uint8
    trainer, _, val = first_batches(project, "3d_cascade_fullres")
    assert trainer.num_input_channels == 3
    assert val["data"].shape[1] == 3
    check_summary(project.train("3d_cascade_fullres"), {"1": (1,), "2": (2,)})
    check_model_files(project, "3d_cascade_fullres")
    project.predict("3d_lowres", tmp_path / "lowres", fold="0")
    flags = ["-prev_stage_predictions", str(tmp_path / "lowres")]
    check_predictions(project, project.predict("3d_cascade_fullres", tmp_path / "cascade", *flags), {0, 1, 2})
