"""nnUNetv2_predict_from_modelfolder on PNG images with a 2D network of five folds, ours against upstream.

    python -m benchmarks.predict_2d UPSTREAM_PYTHON --data Dataset113_Nuclei2D --plans nnUNetPlans.json [--pairs 3]

All images of imagesTs (else imagesTr) are predicted with mirroring. The model is the 2d configuration of the plans with
generated weights, another seed per fold. Exit status 1 if labels differ in more than 0.01 % of the voxels.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.prediction_pairs import Target, compare
from benchmarks.side_by_side import Implementation, arguments
from nnunetv2.demo.generated_weights import write_generated_checkpoint
from nnunetv2.records.files import read_json

MODEL = "nnUNetTrainer__nnUNetPlans__2d"


def make_model(folder: Path, plans: Path, dataset_json: Path, folds: int) -> Path:
    """Model folder with generated weights for every fold."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(plans, folder / "plans.json")
    shutil.copy(dataset_json, folder / "dataset.json")
    for fold in range(folds):
        write_generated_checkpoint(folder, "nnUNetTrainer", fold, seed=fold)
    return folder


def main() -> int:
    """Compare and print; 0 if labels agree."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--plans", type=Path, required=True, help="plans with a 2d configuration for the data set")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=None, help="only so many images")
    args = parser.parse_args()
    ending = read_json(args.data / "dataset.json")["file_ending"]
    images = args.work / "images_2d"
    shutil.rmtree(images, ignore_errors=True)
    images.mkdir(parents=True)
    source = next(args.data / name for name in ("imagesTs", "imagesTr") if any((args.data / name).glob(f"*{ending}")))
    files = sorted(source.glob(f"*{ending}"))[: args.limit]
    for file in files:
        shutil.copy(file, images / file.name)
    model = make_model(args.work / MODEL, args.plans, args.data / "dataset.json", args.folds)
    upstream = Implementation("upstream", args.upstream_python, args.work / "2d_upstream")
    ours = Implementation("ours", Path(sys.executable), args.work / "2d_ours")
    outputs = [args.work / f"2d_predicted_{side}" for side in ("upstream", "ours")]
    words = [
        *("nnUNetv2_predict_from_modelfolder", "-i", images, "-m", model, "-f", *range(args.folds)),
        *("-device", "cpu", "--disable_progress_bar"),
    ]
    agree = compare(
        f"2D, {len(files)} images, {args.folds} folds",
        (upstream, [*words, "-o", outputs[0]], outputs[0]),
        (ours, [*words, "-o", outputs[1]], outputs[1]),
        pairs=args.pairs,
        ending=ending,
        target=Target(faster=4, equal_labels=0.9999),
    )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
