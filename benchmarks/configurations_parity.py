"""Cascade, regions, ignore label and both together: ours against upstream 2.8.1 in one run.

    python -m benchmarks.configurations_parity UPSTREAM_PYTHON --data FOLDER [--work DIR --cases 8 --variants regions]

The variants are made from Dataset004_Hippocampus. Ours plans, preprocesses and trains a small network for a few
iterations. Then both installations get the same preprocessed cases and the same checkpoint, and the script compares
the batches of both transform pipelines, the loss and its gradients on fixed logits, predicted labels, and what the
final validation writes (label maps, summary.json, input of the next stage). Ends with status 1 if anything differs.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.side_by_side import Implementation, arguments
from nnunetv2.experiment_planning.plans_editing.derive import Wishes
from nnunetv2.experiment_planning.plans_editing.derive_file import derive

REQUIRED_VOXELS = 0.9999
TRAINER = "nnUNetTrainer_few"
TRAINER_FILE = """
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainer_few(nnUNetTrainer):
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 1
        self.num_iterations_per_epoch = 4
        self.num_val_iterations_per_epoch = 1
        self.initial_lr = 1e-4  # stay near the random start, whose label maps have more borders than learned ones
"""
LABELS = {"background": 0, "anterior": 1, "posterior": 2}
REGIONS = {"background": 0, "whole": [1, 2], "anterior": 1}
ORDER = [2, 1]  # what is no anterior part of the whole is posterior
PATCH, PATCH_FIRST = (40, 40, 40), (24, 24, 24)
WIDTH = 4

Row = tuple[str, bool, str]


@dataclass(frozen=True)
class Variant:
    """A data set made from the hippocampus cases; ``sparse`` ignores label 3 on random slices."""

    number: int
    labels: dict
    order: list[int] | None = None
    sparse: bool = False
    cascade: bool = False

    @property
    def configuration(self) -> str:
        return "second" if self.cascade else "small"


VARIANTS = {
    "cascade": Variant(241, LABELS, cascade=True),
    "regions": Variant(242, REGIONS, ORDER),
    "ignore": Variant(243, LABELS | {"ignore": 3}, sparse=True),
    "regions+ignore": Variant(244, REGIONS | {"ignore": 3}, ORDER, sparse=True),
    "cascade+regions+ignore": Variant(245, REGIONS | {"ignore": 3}, ORDER, sparse=True, cascade=True),
}


def write_variant(source: Path, raw: Path, variant: Variant, cases: int) -> str:
    """Write the raw data set of a variant; returns its name."""
    import SimpleITK as sitk

    name = f"Dataset{variant.number}_Variant"
    target = raw / name
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("imagesTr", "labelsTr"):
        (target / folder).mkdir(parents=True)
    generator = np.random.RandomState(variant.number)
    for label in sorted((source / "labelsTr").glob("*.nii.gz"))[:cases]:
        image = label.name.replace(".nii.gz", "_0000.nii.gz")
        shutil.copy(source / "imagesTr" / image, target / "imagesTr" / image)
        original = sitk.ReadImage(str(label))
        seg = sitk.GetArrayFromImage(original).astype(np.uint8)
        if variant.sparse:
            seg[generator.uniform(size=len(seg)) < 0.6] = 3
        changed = sitk.GetImageFromArray(seg)
        changed.CopyInformation(original)
        sitk.WriteImage(changed, str(target / "labelsTr" / label.name))
    content = json.loads((source / "dataset.json").read_text())
    content |= {"labels": variant.labels, "numTraining": cases}
    content |= {"regions_class_order": variant.order} if variant.order else {}
    (target / "dataset.json").write_text(json.dumps(content, indent=4))
    return name


def prepare_and_train(ours: Implementation, variant: Variant, name: str) -> None:
    """Plan, add the small configurations, preprocess and train all stages on all cases, with our commands."""
    number, log = str(variant.number), ours.work / "logs" / f"{name}.txt"
    ours.command("nnUNetv2_plan_and_preprocess", "-d", number, "--no_pp", "-npfp", "2", log=log)
    plans = ours.preprocessed / name / "nnUNetPlans.json"
    derive(plans, "small", "3d_fullres", _small((1.0, 1.0, 1.0), PATCH))
    stages = ["small"]
    if variant.cascade:
        derive(plans, "first", "3d_fullres", _small((2.0, 2.0, 2.0), PATCH_FIRST, next_stage="second"))
        derive(plans, "second", "small", Wishes(entries={"previous_stage": "first"}))
        stages = ["first", "small"]
    ours.command("nnUNetv2_preprocess", "-d", number, "-c", *stages, "-np", "2", log=log)
    for stage in ("first", "second") if variant.cascade else ("small",):
        ours.command("nnUNetv2_train", number, stage, "all", "-tr", TRAINER, "-device", "cpu", log=log)


def _small(spacing: tuple[float, ...], patch: tuple[int, ...], **entries: str) -> Wishes:
    """A U-Net of four stages with data of its own."""
    own = {"data_identifier": f"nnUNetPlans_{spacing[0]:g}mm", **entries}
    return Wishes(stages=4, width=WIDTH, spacing=spacing, patch_size=patch, batch_size=2, entries=own)


def model_folder(implementation: Implementation, name: str, configuration: str) -> Path:
    return implementation.results / name / f"{TRAINER}__nnUNetPlans__{configuration}"


def probe(implementation: Implementation, ours: Implementation, variant: Variant, name: str) -> dict[str, np.ndarray]:
    """Run configurations_probe.py with this installation on the cases that ours preprocessed."""
    folder = ours.preprocessed / name / "nnUNetPlans_small"
    previous = model_folder(ours, name, "first") / "predicted_next_stage" / "second"
    cases = sorted(path.name.removesuffix("_seg.b2nd") for path in folder.glob("*_seg.b2nd"))[:4]
    request, result = (implementation.work / f"{name}.{ending}" for ending in ("json", "npz"))
    content = {
        "plans": str(ours.preprocessed / name / "nnUNetPlans.json"),
        "dataset_json": str(ours.preprocessed / name / "dataset.json"),
        "configuration": variant.configuration,
        "cases": cases,
        "preprocessed": str(folder),
        "previous": str(previous) if variant.cascade else None,
    }
    request.write_text(json.dumps(content))
    script = Path(__file__).with_name("configurations_probe.py")
    implementation.command(implementation.python.name, script, request, result)
    with np.load(result) as stored:
        return dict(stored)


def compare_probes(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> Iterator[Row]:
    """Batches, loss and gradients."""
    yield "input channels", bool(ours["input_channels"] == theirs["input_channels"]), str(int(ours["input_channels"]))
    yield "entries of the result", set(ours) == set(theirs), str(sorted(set(ours) ^ set(theirs)) or len(ours))
    for kind in ("validation", "training"):
        mine, other = ours[f"{kind}_data"], theirs[f"{kind}_data"]
        difference = float(np.abs(mine - other).max()) if mine.shape == other.shape else np.inf
        yield f"{kind} batch: data", difference <= 1e-5, f"{mine.shape}, max |difference| {difference:.1e}"
        levels = sorted(key for key in ours if key.startswith(f"{kind}_target"))
        same_type = all(ours[k].dtype == theirs[k].dtype and ours[k].shape == theirs[k].shape for k in levels)
        wrong = sum(int((ours[k] != theirs[k]).sum()) for k in levels) if same_type else -1
        size = sum(ours[k].size for k in levels)
        first = ours[levels[0]]
        values = ", ".join(map(str, np.unique(first).tolist()))
        text = f"{wrong} of {size} different; {len(levels)} levels, {first.dtype} {first.shape}, values {values}"
        yield f"{kind} batch: targets", same_type and wrong == 0, text
    mine, other = float(ours["loss"]), float(theirs["loss"])
    yield "loss on fixed logits", abs(mine - other) <= 1e-6 * max(1, abs(other)), f"{mine:.8f} and {other:.8f}"
    levels = [key for key in ours if key.startswith("gradient")]
    largest = max(float(np.abs(theirs[k]).max()) for k in levels)
    difference = max(float(np.abs(ours[k] - theirs[k]).max()) for k in levels)
    text = f"max |difference| {difference:.1e}, largest {largest:.1e}"
    yield "gradient of the loss", difference <= 1e-5 * largest, text


def equal_share(ours: Path, theirs: Path, load: Callable[[Path], np.ndarray], pattern: str) -> tuple[float, str]:
    """Worst share of equal voxels over the files of two folders, and a description."""
    names = sorted(path.name for path in theirs.glob(pattern))
    if not names or names != sorted(path.name for path in ours.glob(pattern)):
        return 0.0, f"different files in {ours} and {theirs}"
    worst, wrong, total, values = 1.0, 0, 0, set()
    for name in names:
        mine, other = load(ours / name), load(theirs / name)
        if mine.shape != other.shape or mine.dtype != other.dtype:
            return 0.0, f"{name}: {mine.dtype} {mine.shape} and {other.dtype} {other.shape}"
        worst, wrong, total = (
            min(worst, float((mine == other).mean())),
            wrong + int((mine != other).sum()),
            total + other.size,
        )
        values |= set(np.unique(other).tolist())
    return worst, f"{wrong} of {total} voxels different in {len(names)} cases; values {sorted(values)}"


def read_image(path: Path) -> np.ndarray:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def read_blosc2(path: Path) -> np.ndarray:
    import blosc2

    return blosc2.open(urlpath=str(path), mode="r")[:]


def summary_difference(ours: Path, theirs: Path) -> tuple[bool, str]:
    """Whether two summary.json have the same keys and the same counts per case, and the largest metric difference."""
    mine, other = (json.loads((folder / "summary.json").read_text()) for folder in (ours, theirs))
    largest, keys_equal = 0.0, list(mine["mean"]) == list(other["mean"])
    pairs = zip(mine["metric_per_case"], other["metric_per_case"])
    for a, b in pairs if keys_equal else ():
        for key, metrics in b["metrics"].items():
            for metric, value in metrics.items():
                difference = abs(a["metrics"][key][metric] - value)
                largest = max(largest, 0.0 if difference != difference else difference)
    same = keys_equal and largest == 0.0
    return same, f"keys {list(other['mean'])}, largest difference of a metric of a case {largest:g}"


def compare_models(ours: Implementation, upstream: Implementation, variant: Variant, name: str) -> Iterator[Row]:
    """Predictions and final validations of both installations from the checkpoint of ours."""
    images = ours.raw / name / "imagesTr"
    for stage in ("first", "second") if variant.cascade else ("small",):
        model, copied = (model_folder(which, name, stage) for which in (ours, upstream))
        shutil.copytree(model, copied, ignore=shutil.ignore_patterns("validation", "predicted_next_stage"))
        if stage == "second":  # both validate with the first stage's output of ours
            own = model_folder(upstream, name, "first") / "predicted_next_stage"
            shutil.rmtree(own)
            shutil.copytree(model_folder(ours, name, "first") / "predicted_next_stage", own)
        words = ["nnUNetv2_train", variant.number, stage, "all", "-tr", TRAINER, "-device", "cpu", "--val"]
        upstream.command(*words, log=upstream.work / "logs" / f"{name}_{stage}.txt")
        validations = [folder / "fold_all" / "validation" for folder in (model, copied)]
        share, text = equal_share(*validations, read_image, "*.nii.gz")
        yield f"{stage}: validation labels", share >= REQUIRED_VOXELS, text
        yield (f"{stage}: validation summary", *summary_difference(*validations))
        if stage == "first":
            folders = [folder / "predicted_next_stage" / "second" for folder in (model, copied)]
            share, text = equal_share(*folders, read_blosc2, "*.b2nd")
            yield "first: predicted_next_stage", share >= REQUIRED_VOXELS, text
        outputs = [which.work / "predictions" / name / stage for which in (ours, upstream)]
        for implementation, output in zip((ours, upstream), outputs):
            words = ["nnUNetv2_predict_from_modelfolder", "-i", images, "-o", output, "-m", model, "-f", "all"]
            words += ["-device", "cpu", "-npp", "1", "-nps", "1"]
            if stage == "second":
                words += ["-prev_stage_predictions", ours.work / "predictions" / name / "first"]
            implementation.command(*words, log=implementation.work / "logs" / f"{name}_{stage}_predict.txt")
        share, text = equal_share(*outputs, read_image, "*.nii.gz")
        yield f"{stage}: predicted labels", share >= REQUIRED_VOXELS, text


def main() -> None:
    parser = arguments("Compare cascade, regions and ignore label with upstream.")
    parser.add_argument("--cases", type=int, default=8, help="cases of Dataset004_Hippocampus to use")
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    given = parser.parse_args()
    work = given.work.resolve()
    trainers = work / "trainers"
    trainers.mkdir(parents=True, exist_ok=True)
    (trainers / "few.py").write_text(TRAINER_FILE)
    shared = {"nnUNet_extTrainer": str(trainers), "nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"}
    ours = Implementation("ours", Path(sys.executable), work / "ours", shared)
    shared = shared | {"nnUNet_preprocessed": str(ours.preprocessed), "nnUNet_raw": str(ours.raw)}
    upstream = Implementation("upstream", given.upstream_python, work / "upstream", shared)
    different = 0
    for label in given.variants:
        variant = VARIANTS[label]
        name = write_variant(given.data / "Dataset004_Hippocampus", ours.raw, variant, given.cases)
        for folder in (ours.preprocessed, ours.results, upstream.results, ours.work / "predictions"):
            shutil.rmtree(folder / name, ignore_errors=True)
        shutil.rmtree(upstream.work / "predictions" / name, ignore_errors=True)
        prepare_and_train(ours, variant, name)
        rows = list(compare_probes(*(probe(which, ours, variant, name) for which in (ours, upstream))))
        rows += compare_models(ours, upstream, variant, name)
        for what, equal, text in rows:
            print(f"{label:23} {what:27} {'equal' if equal else 'DIFFERENT':9}  {text}", flush=True)
            different += not equal
    print(f"{different} differences")
    raise SystemExit(int(different > 0))


if __name__ == "__main__":
    main()
