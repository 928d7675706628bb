"""nnUNetv2_predict_from_modelfolder on many small cases with a trained network and mirroring, ours against upstream.

    python -m benchmarks.small_cases UPSTREAM_PYTHON --data Dataset004_Hippocampus --model MODEL_FOLDER [--pairs 3]
        [--precision f32 bf16] [--engine auto] [--fold 0] [--limit N]

All images of the data set (training and test) are predicted; MODEL_FOLDER is a model trained on it.
Exit status 1 if f32 labels differ from upstream's in more than 0.01 % of the voxels.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.prediction_pairs import Target, compare
from benchmarks.side_by_side import Implementation, arguments

ENDING = ".nii.gz"


def gather(dataset: Path, target: Path, limit: int | None) -> int:
    """Copies of all images (the first ``limit``) in one folder; returns their number."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    files = sorted(path for folder in ("imagesTr", "imagesTs") for path in (dataset / folder).glob(f"*{ENDING}"))
    for file in files[:limit]:
        shutil.copy(file, target / file.name)
    return len(files[:limit])


def main() -> int:
    """Compare and print; 0 if all labels agree as asked."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--fold", default="0")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--precision", nargs="+", choices=("f32", "bf16"), default=["f32"])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--limit", type=int, default=None, help="only so many cases")
    args = parser.parse_args()
    images = args.work / "small_images"
    cases = gather(args.data, images, args.limit)
    upstream = Implementation("upstream", args.upstream_python, args.work / "small_upstream")
    ours = Implementation("ours", Path(sys.executable), args.work / "small_ours")
    outputs = [args.work / f"small_predicted_{side}" for side in ("upstream", "ours")]
    words = [
        *("nnUNetv2_predict_from_modelfolder", "-i", images, "-m", args.model, "-f", args.fold),
        *("-device", "cpu", "--disable_progress_bar"),
    ]
    agree = True
    for precision in args.precision:
        agree &= compare(
            f"{cases} small cases, {precision}",
            (upstream, [*words, "-o", outputs[0]], outputs[0]),
            (ours, [*words, "-o", outputs[1], "--engine", args.engine, "--precision", precision], outputs[1]),
            pairs=args.pairs,
            ending=ENDING,
            target=Target(faster=4, equal_labels=0.9999 if precision == "f32" else 0),
        )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
