"""A sound data set, and ways to break it: what the doctor must say about each."""

# ruff: noqa: E501  the tables have one line per broken data set

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

NAME = "Dataset123_Sound"
CASES = 4
SHAPE = (6, 9, 7)
Break = Callable[[Path], None]


class Broken(NamedTuple):
    """One way to break the sound data set, and the message about it: parts of one line of the report."""

    name: str
    broken: Break
    file: str
    key: str
    value: str
    way_out: str
    severity: str = "error"


def write_sound_dataset(root: Path) -> Path:
    """Four cases with a CT in Hounsfield units and an MR image, labels shell (1) and core (2), splits, a test image."""
    folder = root / NAME
    for sub in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / sub).mkdir(parents=True)
    rng = np.random.RandomState(11)
    for index in range(CASES):
        seg = np.zeros(SHAPE, dtype=np.uint8)
        seg[1:5, 2:7, 1:6] = 1
        seg[2:4, 3 : 5 + index % 2, 2:5] = 2
        seg[4, 2 + index % 4, 1] = 0
        ct = rng.normal(40, 10, SHAPE) + 100 * seg
        ct[:, :1] = -1000 + rng.normal(0, 5, (6, 1, 7))
        mr = rng.normal(300, 40, SHAPE) + 50 * seg
        for channel, array in enumerate((ct, mr)):
            save(image(folder, index, channel), array.astype(np.float32))
        save(label(folder, index), seg)
    for channel in range(2):
        test = folder / "imagesTs" / f"test_{channel:04d}.nii.gz"
        save(test, rng.normal(-500, 300, SHAPE).astype(np.float32))
    splits = [{"train": ["sound_000", "sound_001", "sound_002"], "val": ["sound_003"]}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    description = {
        "channel_names": {"0": "CT", "1": "MR"},
        "labels": {"background": 0, "shell": 1, "core": 2},
        "numTraining": CASES,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=4))
    return folder


def copy_of(sound: Path, root: Path) -> Path:
    """A copy by hard links. What breaks it must replace files, not write into them."""
    shutil.copytree(sound, root / NAME, copy_function=os.link)
    return root / NAME


def image(folder: Path, case: int, channel: int = 0) -> Path:
    return folder / "imagesTr" / f"sound_{case:03d}_{channel:04d}.nii.gz"


def label(folder: Path, case: int) -> Path:
    return folder / "labelsTr" / f"sound_{case:03d}.nii.gz"


def save(path: Path, array: np.ndarray, **geometry) -> None:
    """Write (Z, Y, X) with Spacing, Origin and Direction in ITK order; a new file, whatever was there."""
    picture = sitk.GetImageFromArray(array)
    picture.SetSpacing(geometry.get("Spacing", (1.25, 1.0, 2.5)))
    picture.SetOrigin(geometry.get("Origin", (-3.0, 5.5, 10.0)))
    picture.SetDirection(geometry.get("Direction", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)))
    path.unlink(missing_ok=True)
    sitk.WriteImage(picture, str(path))


def change(path: Path, edit: Callable[[np.ndarray], np.ndarray] | None = None, **geometry) -> None:
    """Replace an image file by one with edited voxels or another geometry."""
    picture = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(picture)
    kept = {name: getattr(picture, f"Get{name}")() for name in ("Spacing", "Origin", "Direction")}
    save(path, array if edit is None else edit(array.copy()), **(kept | geometry))


def describe(folder: Path, *remove: str, **entries) -> None:
    """Replace entries of dataset.json, or remove some."""
    path = folder / "dataset.json"
    content = json.loads(path.read_text()) | entries
    replace_text(path, json.dumps({key: value for key, value in content.items() if key not in remove}))


def rename_key(folder: Path, old: str, new: str) -> None:
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    replace_text(path, json.dumps({new if key == old else key: value for key, value in content.items()}))


def replace_text(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)


def replace_bytes(path: Path, edit: Callable[[bytes], bytes]) -> None:
    content = edit(path.read_bytes())
    path.unlink()
    path.write_bytes(content)


def flip_bit(content: bytes) -> bytes:
    """A flipped bit in the checksum, so that the voxels can still be read."""
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


def one_voxel(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def edit(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float32)
        array[2, 3, 3] = value
        return array

    return edit


def copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.link(source, target)


def each_label(folder: Path, edit: Callable[[np.ndarray], np.ndarray]) -> None:
    for case in range(CASES):
        change(label(folder, case), edit)


def as_mask(folder: Path) -> None:
    """One label, stored as 255."""
    describe(folder, labels={"background": 0, "body": 1})
    each_label(folder, lambda seg: np.where(seg > 0, 255, 0).astype(np.uint8))


def one_flat_case(folder: Path) -> None:
    for path in (image(folder, 1, 0), image(folder, 1, 1), label(folder, 1)):
        change(path, lambda array: array[2:3])


def turned(folder: Path) -> None:
    direction = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    for path in (image(folder, 2, 0), image(folder, 2, 1), label(folder, 2)):
        change(path, Direction=direction)


def whole_case(case: int, **geometry) -> Break:
    def broken(folder: Path) -> None:
        for path in (image(folder, case, 0), image(folder, case, 1), label(folder, case)):
            change(path, **geometry)

    return broken


def rename_case(folder: Path, case: int, name: str) -> None:
    for channel in range(2):
        image(folder, case, channel).rename(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz")
    label(folder, case).rename(folder / "labelsTr" / f"{name}.nii.gz")
    (folder / "splits_final.json").unlink()


def almost_constant(array: np.ndarray) -> np.ndarray:
    """More than 1000 voxels, one of which is not 40."""
    array = np.full((60, 9, 7), 40, dtype=np.float32)
    array[0, 0, 0] = -1000
    return array


def same_image_twice(folder: Path) -> None:
    for channel in range(2):
        copy(image(folder, 0, channel), image(folder, 3, channel))


def sides(folder: Path) -> None:
    describe(folder, labels={"background": 0, "left_kidney": 1, "right_kidney": 2})


def listed(folder: Path, change_entry: Callable[[dict], None]) -> None:
    cases = {
        f"sound_{i:03d}": {
            "images": [f"imagesTr/{image(folder, i, c).name}" for c in range(2)],
            "label": f"labelsTr/{label(folder, i).name}",
        }
        for i in range(CASES)
    }
    change_entry(cases)
    describe(folder, dataset=cases)


REGIONS = {"background": 0, "whole": [1, 2], "core": 2}

DESCRIPTION = [
    Broken("truncated JSON", lambda f: replace_text(f / "dataset.json", '{"labels": '), "dataset.json", "content", "not JSON", "Correct the file"),
    Broken("a list", lambda f: replace_text(f / "dataset.json", "[1, 2]"), "dataset.json", "content", "[1, 2]", "documentation/data_format.md"),
    Broken("binary", lambda f: replace_bytes(f / "dataset.json", lambda b: b"\xff\xfe\x00"), "dataset.json", "content", "not JSON", "Correct the file"),
    Broken("none", lambda f: (f / "dataset.json").unlink(), "dataset.json", "file", "missing", "Give channels and labels their names", "warning"),
    Broken("no channel_names", lambda f: describe(f, "channel_names"), "dataset.json", "channel_names", "missing", "Add it: Channel number to name"),
    Broken("no labels", lambda f: describe(f, "labels"), "dataset.json", "labels", "missing", "Add it: Name to value"),
    Broken("no numTraining", lambda f: describe(f, "numTraining"), "dataset.json", "numTraining", "missing", "Add it: Number of training cases"),
    Broken("no file_ending", lambda f: describe(f, "file_ending"), "dataset.json", "file_ending", "missing", "Add it: Ending"),
    Broken("chanel_names", lambda f: rename_key(f, "channel_names", "chanel_names"), "dataset.json", "channel_names", "missing", "Rename chanel_names to channel_names"),
    Broken("lables", lambda f: rename_key(f, "labels", "lables"), "dataset.json", "labels", "missing", "Rename lables to labels"),
    Broken("num_training", lambda f: rename_key(f, "numTraining", "num_training"), "dataset.json", "numTraining", "missing", "Rename num_training to numTraining"),
    Broken("file_endings", lambda f: rename_key(f, "file_ending", "file_endings"), "dataset.json", "file_ending", "missing", "Rename file_endings to file_ending"),
    Broken("modality", lambda f: rename_key(f, "channel_names", "modality"), "dataset.json", "channel_names", "missing", "Rename modality to channel_names"),
    Broken("unknown key", lambda f: describe(f, region_class_order=[1, 2]), "dataset.json", "region_class_order", "[1, 2]", "Did you mean regions_class_order?", "warning"),
    Broken("channels as list", lambda f: describe(f, channel_names=["CT", "MR"]), "dataset.json", "channel_names", '["CT", "MR"]', 'Write it like {"0": "CT"}'),
    Broken("channel name is a number", lambda f: describe(f, channel_names={"0": 5, "1": "MR"}), "dataset.json", "channel_names.0", "= 5", "Correct the entry"),
    Broken("no channels", lambda f: describe(f, channel_names={}), "dataset.json", "channel_names", "{}", 'Write it like {"0": "CT"}'),
    Broken("channels out of order", lambda f: describe(f, channel_names={"1": "MR", "0": "CT"}), "dataset.json", "channel_names", "the keys 1, 0", "Put the entries in order", "warning"),
    Broken("channels from 1", lambda f: describe(f, channel_names={"1": "CT", "2": "MR"}), "dataset.json", "channel_names", "the keys 1, 2", "Put the entries in order", "warning"),
    Broken("too many channel names", lambda f: describe(f, channel_names={"0": "CT", "1": "MR", "2": "PET"}), "sound_000_0000.nii.gz", "number of channels", "= 2", "Add or remove files"),
    Broken("labels as list", lambda f: describe(f, labels=[0, 1]), "dataset.json", "labels", "[0, 1]", 'Write it like {"background": 0'),
    Broken("labels turned round", lambda f: describe(f, labels={"0": "background", "1": "shell", "2": "core"}), "dataset.json", "labels", "'background'", "Correct labels"),
    Broken("no background", lambda f: describe(f, labels={"shell": 1, "core": 2}), "dataset.json", "labels", '{"shell": 1, "core": 2}', 'add "background": 0'),
    Broken("background is 1", lambda f: describe(f, labels={"background": 1, "shell": 0}), "dataset.json", "labels", "background is 1", "Correct labels"),
    Broken("negative label", lambda f: describe(f, labels={"background": 0, "shell": -1, "core": 2}), "dataset.json", "labels", "-1", "Renumber it"),
    Broken("label beyond 16 bits", lambda f: describe(f, labels={"background": 0, "shell": 1, "core": 70000}), "dataset.json", "labels", "70000", "Renumber it"),
    Broken("label in words", lambda f: describe(f, labels={"background": 0, "shell": "one", "core": 2}), "dataset.json", "labels", "'one'", "Correct labels"),
    Broken("label with a fraction", lambda f: describe(f, labels={"background": 0, "shell": 1.5, "core": 2}), "dataset.json", "labels.shell", "1.5", "Correct the entry"),
    Broken("ignore is a label", lambda f: describe(f, labels={"background": 0, "shell": 1, "core": 2, "ignore": 2}), "dataset.json", "labels", "ignore is 2", "such as 3"),
    Broken("ignore is a list", lambda f: describe(f, labels={"background": 0, "shell": 1, "core": 2, "ignore": [3]}), "dataset.json", "labels", "[3]", "Correct labels"),
    Broken("regions without order", lambda f: describe(f, labels=REGIONS), "dataset.json", "labels", '"whole": [1, 2]', "regions_class_order is needed"),
    Broken("order too short", lambda f: describe(f, labels=REGIONS, regions_class_order=[1]), "dataset.json", "regions_class_order", "[1]", "Correct regions_class_order"),
    Broken("order is a number", lambda f: describe(f, labels=REGIONS, regions_class_order=1), "dataset.json", "regions_class_order", "is 1", "Correct"),
    Broken("covered region", lambda f: describe(f, labels={"background": 0, "core": 2, "whole": [1, 2]}, regions_class_order=[2, 1]), "dataset.json", "labels", "core [2]", "Put larger regions before"),
    Broken("numTraining wrong", lambda f: describe(f, numTraining=7), "dataset.json", "numTraining", "= 7", "Correct the number"),
    Broken("numTraining in words", lambda f: describe(f, numTraining="four"), "dataset.json", "numTraining", '"four"', "Correct the number"),
    Broken("ending without dot", lambda f: describe(f, file_ending="nii.gz"), "dataset.json", "file_ending", '"nii.gz"', "Write it like .nii.gz"),
    Broken("lossy ending", lambda f: describe(f, file_ending=".jpg"), "dataset.json", "file_ending", '".jpg"', "Convert to .png"),
    Broken("ending of no file", lambda f: describe(f, file_ending=".nii"), "dataset.json", "file_ending", ".nii", "Write .nii.gz"),
    Broken("ending in capitals", lambda f: describe(f, file_ending=".NII.GZ"), "dataset.json", "file_ending", ".NII.GZ", "Write .nii.gz"),
    Broken("unknown reader", lambda f: describe(f, overwrite_image_reader_writer="SimpleITKOI"), "dataset.json", "overwrite_image_reader_writer", "SimpleITKOI", "Did you mean SimpleITKIO?"),
    Broken("reader is a number", lambda f: describe(f, overwrite_image_reader_writer=5), "dataset.json", "overwrite_image_reader_writer", "= 5", "Correct the entry"),
    Broken("two names", lambda f: describe(f, labels={"background": 0, "shell": 1, "rim": 1, "core": 2}), "dataset.json", "labels.rim", "= 1", "Give each its own value", "warning"),
    Broken("background only", lambda f: describe(f, labels={"background": 0}), "dataset.json", "labels", '{"background": 0}', "Name the labels"),
    Broken("label in no case", lambda f: describe(f, labels={"background": 0, "shell": 1, "core": 2, "rare": 9}), "dataset.json", "labels.rare", "= 9", "add cases that have it", "warning"),
    Broken("CT by another name", lambda f: describe(f, channel_names={"0": "CT scan", "1": "MR"}), "dataset.json", "channel_names.0", '"CT scan"', "Write CT", "warning"),
    Broken("left and right", sides, "dataset.json", "labels.left_kidney", "= 1", "nnUNetTrainer_onlyMirror01", "warning"),
    Broken("list without label", lambda f: listed(f, lambda c: c["sound_001"].pop("label")), "dataset.json", "dataset.sound_001", "images", "Correct the entry"),
    Broken("list of a missing file", lambda f: listed(f, lambda c: c["sound_001"].update(label="labelsTr/x.nii.gz")), "x.nii.gz", "file", "missing", "correct the list"),
    Broken("folder name", lambda f: f.rename(f.parent / "heart"), "heart", "folder name", "heart", "Dataset123_heart", "warning"),
]  # fmt: skip

FILES = [
    Broken("missing channel", lambda f: image(f, 1, 1).unlink(), "sound_001_0000.nii.gz", "number of channels", "missing: _0001", "Add or remove files"),
    Broken("gap in channel numbers", lambda f: image(f, 1, 1).rename(image(f, 1, 2)), "sound_001_0002.nii.gz", "channel number", "_0002", "Rename it to _0001"),
    Broken("channel too many", lambda f: copy(image(f, 0, 1), image(f, 1, 2)), "sound_001_0000.nii.gz", "number of channels", "not expected: _0002", "Add or remove files"),
    Broken("no label map", lambda f: label(f, 2).unlink(), "labelsTr/sound_002.nii.gz", "label map", "missing", "Add the label map"),
    Broken("no image", lambda f: copy(label(f, 2), f / "labelsTr" / "other.nii.gz"), "labelsTr/other.nii.gz", "image", "missing", "Add the image"),
    Broken("no channel number", lambda f: copy(image(f, 2), f / "imagesTr" / "stray.nii.gz"), "imagesTr/stray.nii.gz", "channel number", "missing", "stray_0000.nii.gz"),
    Broken("case called seg", lambda f: rename_case(f, 3, "sound_seg"), "sound_seg_0000.nii.gz", "case name", "sound_seg", "Rename the files"),
    Broken("another format", lambda f: (f / "imagesTr" / "sound_000.nrrd").touch(), "imagesTr", "files", "sound_000.nrrd", "Remove or convert them", "warning"),
    Broken("no imagesTr", lambda f: shutil.rmtree(f / "imagesTr"), "imagesTr", "folder", "missing", "Make it"),
    Broken("no labelsTr", lambda f: shutil.rmtree(f / "labelsTr"), "labelsTr", "folder", "missing", "Make it"),
    Broken("truncated image", lambda f: replace_bytes(image(f, 0), lambda b: b[: len(b) // 2]), "sound_000_0000.nii.gz", "content", "not readable", "make the file again"),
    Broken("empty label map", lambda f: replace_bytes(label(f, 0), lambda b: b""), "labelsTr/sound_000.nii.gz", "content", "not readable", "make the file again"),
    Broken("text instead of image", lambda f: replace_text(image(f, 0), "404 not found"), "sound_000_0000.nii.gz", "content", "not readable", "make the file again"),
    Broken("flipped bit", lambda f: replace_bytes(image(f, 1), flip_bit), "sound_001_0000.nii.gz", "content", "damaged", "make the file again"),
    Broken("test image without number", lambda f: copy(f / "imagesTs" / "test_0000.nii.gz", f / "imagesTs" / "more.nii.gz"), "imagesTs/more.nii.gz", "channel number", "missing", "more_0000.nii.gz", "warning"),
    Broken("test image from training", lambda f: copy(image(f, 1), f / "imagesTs" / "new_0000.nii.gz"), "imagesTs/new_0000.nii.gz", "voxels", "sound_001_0000.nii.gz", "Remove one of them", "warning"),
    Broken("split of unknown cases", lambda f: replace_text(f / "splits_final.json", '[{"train": ["sound_000"], "val": ["sound_9"]}]'), "splits_final.json", "fold 0.val", "sound_9", "Correct the names"),
    Broken("overlapping split", lambda f: replace_text(f / "splits_final.json", '[{"train": ["sound_000"], "val": ["sound_000"]}]'), "splits_final.json", "fold 0", "sound_000", "Keep them in one"),
    Broken("split of another kind", lambda f: replace_text(f / "splits_final.json", '{"train": ["sound_000"]}'), "splits_final.json", "content", "TypeError", 'Write it like [{"train"'),
    Broken("split that is no JSON", lambda f: replace_text(f / "splits_final.json", "[{"), "splits_final.json", "content", "FileContentError", 'Write it like [{"train"'),
]  # fmt: skip

GEOMETRY = [
    Broken("channel of another shape", lambda f: change(image(f, 1, 1), lambda a: a[:, :-1]), "sound_001_0001.nii.gz", "shape", "[6, 8, 7]", "Resample them"),
    Broken("channel of another spacing", lambda f: change(image(f, 1, 1), Spacing=(1.25, 1.0, 3.5)), "sound_001_0001.nii.gz", "spacing", "[3.5, 1.0, 1.25]", "Resample them"),
    Broken("channel elsewhere", lambda f: change(image(f, 1, 1), Origin=(7.0, 5.5, 10.0)), "sound_001_0001.nii.gz", "position", "up to 10 mm", "correct the header that is wrong", "warning"),
    Broken("label map of another shape", lambda f: change(label(f, 1), lambda a: a[:-1]), "labelsTr/sound_001.nii.gz", "shape", "[5, 9, 7]", "Resample them"),
    Broken("label map of another spacing", lambda f: change(label(f, 1), Spacing=(1.25, 1.0, 3.0)), "labelsTr/sound_001.nii.gz", "spacing", "[3.0, 1.0, 1.25]", "Resample them"),
    Broken("rounded spacing", lambda f: change(label(f, 1), Spacing=(1.25, 1.0, 2.501)), "labelsTr/sound_001.nii.gz", "spacing", "[2.501, 1.0, 1.25]", "nnUNetv2_doctor --fix copies the geometry"),
    Broken("lost position", lambda f: change(label(f, 1), Origin=(0.0, 0.0, 0.0)), "labelsTr/sound_001.nii.gz", "position", "[0.0, 0.0, 0.0]", "Copy the geometry of the image", "warning"),
    Broken("label map elsewhere", lambda f: change(label(f, 1), Origin=(-3.0, 25.5, 10.0)), "labelsTr/sound_001.nii.gz", "position", "up to 20 mm", "Check in a viewer", "warning"),
    Broken("rounded position", lambda f: change(label(f, 1), Origin=(-3.0, 5.5, 10.01)), "labelsTr/sound_001.nii.gz", "position", "rounding, 0.01 mm", "Nothing needs to be done", "note"),
    Broken("mirrored label map", lambda f: change(label(f, 1), Direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)), "labelsTr/sound_001.nii.gz", "position", "direction", "Check in a viewer", "warning"),
    Broken("spacing in metres", whole_case(1, Spacing=(0.00125, 0.001, 0.0025)), "sound_001_0000.nii.gz", "spacing", "[0.0025, 0.001, 0.00125]", "Check the header", "warning"),
    Broken("spacing in micrometres", whole_case(1, Spacing=(1250.0, 1000.0, 2500.0)), "sound_001_0000.nii.gz", "spacing", "[2500.0, 1000.0, 1250.0]", "Check the unit", "warning"),
    Broken("lost spacing", whole_case(1, Spacing=(1.0, 1.0, 1.0)), "sound_001_0000.nii.gz", "spacing", "[1.0, 1.0, 1.0]", "Check the header", "warning"),
    Broken("turned case", turned, "sound_002_0000.nii.gz", "orientation", "PSL", "SimpleITKIOWithReorient", "warning"),
    Broken("2D among 3D", one_flat_case, "sound_001_0000.nii.gz", "shape", "[1, 9, 7]", "Leave it out", "warning"),
]  # fmt: skip

VOXELS = [
    Broken("NaN", lambda f: change(image(f, 2, 1), one_voxel(np.nan)), "sound_002_0001.nii.gz", "voxels", "1 x NaN", "Replace them"),
    Broken("infinity", lambda f: change(image(f, 2, 1), one_voxel(np.inf)), "sound_002_0001.nii.gz", "voxels", "1 x infinite", "Replace them"),
    Broken("NaN in a label map", lambda f: change(label(f, 2), one_voxel(np.nan)), "labelsTr/sound_002.nii.gz", "voxels", "1 x NaN", "Replace them"),
    Broken("mask of 255", as_mask, "labelsTr/sound_000.nii.gz", "label values", "255", "nnUNetv2_doctor --fix writes the label"),
    Broken("unknown label", lambda f: change(label(f, 1), lambda a: np.where(a == 2, 7, a)), "labelsTr/sound_001.nii.gz", "label values", "7 (", "Correct the label map"),
    Broken("negative label", lambda f: change(label(f, 1), one_voxel(-1)), "labelsTr/sound_001.nii.gz", "label values", "-1 (1 voxels)", "Correct the label map"),
    Broken("labels with rounding errors", lambda f: change(label(f, 1), lambda a: a * np.float32(0.9999)), "labelsTr/sound_001.nii.gz", "label values", "0.9999", "nnUNetv2_doctor --fix rounds them"),
    Broken("interpolated labels", lambda f: change(label(f, 1), one_voxel(0.37)), "labelsTr/sound_001.nii.gz", "label values", "0.37", "use nearest neighbour"),
    Broken("empty label map", lambda f: change(label(f, 1), np.zeros_like), "labelsTr/sound_001.nii.gz", "label values", "= 0", "Check that the case", "warning"),
    Broken("no background", lambda f: each_label(f, lambda a: np.maximum(a, 1)), "dataset.json", "labels.background", "= 0", "Check that 0 is the background", "warning"),
    Broken("constant image", lambda f: change(image(f, 1, 1), lambda a: a * 0 + 7), "sound_001_0001.nii.gz", "intensities", "7 everywhere", "leave the case out"),
    Broken("almost constant image", lambda f: save(image(f, 1, 0), almost_constant(np.empty(0))), "sound_001_0000.nii.gz", "intensities", "40 in 99.97 %", "Look at it", "warning"),
    Broken("windowed CT", lambda f: change(image(f, 1), lambda a: np.clip(a, 0, 255)), "sound_001_0000.nii.gz", "intensities", "0 to 2", "Hounsfield units", "warning"),
    Broken("CT from 0 to 1", lambda f: change(image(f, 1), lambda a: (a - a.min()) / np.ptp(a)), "sound_001_0000.nii.gz", "intensities", "0 to 1", "Hounsfield units", "warning"),
    Broken("CT in scanner units", lambda f: change(image(f, 1), lambda a: a - a.min()), "sound_001_0000.nii.gz", "intensities", "0 to 1", "RescaleIntercept", "warning"),
    Broken("CT called MR", lambda f: change(image(f, 1, 1), lambda a: a * 12 - 4000), "sound_001_0001.nii.gz", "intensities", "'MR'", "Call the channel CT", "warning"),
    Broken("colours beyond 255", lambda f: describe(f, channel_names={"0": "CT", "1": "rgb_to_0_1"}), "sound_000_0001.nii.gz", "intensities", "rgb_to_0_1", "rescale_to_0_1"),
    Broken("the same image twice", same_image_twice, "sound_003_0000.nii.gz", "voxels", "sound_000_0000.nii.gz", "Remove one of them", "warning"),
    Broken("the same label map twice", lambda f: copy(label(f, 1), label(f, 3)), "labelsTr/sound_003.nii.gz", "voxels", "labelsTr/sound_001.nii.gz", "Remove one of them", "warning"),
    Broken("equal channels", lambda f: copy(image(f, 1, 0), image(f, 1, 1)), "sound_001_0001.nii.gz", "voxels", "those of channel 0", "Put the right image there", "warning"),
    Broken("label map as image", lambda f: change(image(f, 1, 1), lambda a: sitk.GetArrayFromImage(sitk.ReadImage(str(label(f, 1)))).astype(np.float32)), "sound_001_0001.nii.gz", "voxels", "labelsTr/sound_001.nii.gz", "Put the image there"),
]  # fmt: skip

BROKEN = [*DESCRIPTION, *FILES, *GEOMETRY, *VOXELS]
