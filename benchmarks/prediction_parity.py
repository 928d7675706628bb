"""Share of voxels in which our predictions equal the recorded ones of nnU-Net v2, per model and case.

    python benchmarks/prediction_parity.py ../shared [--device cpu] [--only 3d_fold0_notta] [--cases 2]

The argument is the folder with ``data`` and ``golden``. For runs that recorded probabilities, the largest difference
from ours is printed too. The exit status is 1 when a case falls below 99.99 % of equal voxels.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

REQUIRED = 0.9999

# name of the recorded folder: (model folder, folds, mirroring, probabilities recorded)
RUNS = {
    "3d_fold0_notta": ("nnUNetTrainer__nnUNetPlans__3d_fullres", (0,), False, False),
    "3d_fold0_tta": ("nnUNetTrainer__nnUNetPlans__3d_fullres", (0,), True, True),
    "2d_3folds_tta": ("nnUNetTrainer__nnUNetPlans__2d", (0, 1, 2), True, True),
}


def predict_run(shared: Path, run: str, output: Path, cases: int | None = None, device: str = "cpu") -> list[str]:
    """Predict the (first) test cases with the model and settings of ``run``; returns the case names."""
    import torch

    from nnunetv2.inference.predictor import nnUNetPredictor

    model, folds, mirroring, probabilities = RUNS[run]
    images = sorted((shared / "data" / "Dataset004_Hippocampus" / "imagesTs").glob("*_0000.nii.gz"))[:cases]
    names = [image.name.removesuffix("_0000.nii.gz") for image in images]
    predictor = nnUNetPredictor(use_mirroring=mirroring, device=torch.device(device), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(shared / "golden" / "models" / model), folds)
    predictor.predict_from_files(
        [[str(image)] for image in images],
        [str(output / name) for name in names],
        save_probabilities=probabilities,
        num_processes_preprocessing=1,
        num_processes_segmentation_export=1,
    )
    return names


def compare_case(golden: Path, output: Path, case: str) -> tuple[float, float | None]:
    """Share of equal voxels, and the largest difference of probabilities (None where none are recorded)."""
    import numpy as np
    import SimpleITK as sitk

    ours, theirs = (sitk.GetArrayFromImage(sitk.ReadImage(str(f / f"{case}.nii.gz"))) for f in (output, golden))
    difference = None
    if (golden / f"{case}.npz").is_file():
        with np.load(output / f"{case}.npz") as mine, np.load(golden / f"{case}.npz") as recorded:
            difference = float(np.abs(mine["probabilities"] - recorded["probabilities"]).max())
    return float((ours == theirs).mean()), difference


def main() -> int:
    """Run all comparisons and print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with data/ and golden/")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only", choices=tuple(RUNS), nargs="+", default=tuple(RUNS), help="recorded runs to repeat")
    parser.add_argument("--cases", type=int, default=None, help="only the first so many cases")
    args = parser.parse_args()
    worst = 1.0
    for run in args.only:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            cases = predict_run(args.shared, run, Path(folder), args.cases, args.device)
            seconds = time.perf_counter() - start
            for case in cases:
                equal, difference = compare_case(args.shared / "golden" / "predictions" / run, Path(folder), case)
                worst = min(worst, equal)
                extra = "" if difference is None else f"   largest probability difference {difference:.1e}"
                print(f"{run:15s} {case:20s} {100 * equal:9.5f} % equal{extra}")
            print(f"{run:15s} {len(cases)} cases in {seconds:.1f} s")
    print(f"worst case: {100 * worst:.5f} % (required: {100 * REQUIRED} %)")
    return 0 if worst >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
