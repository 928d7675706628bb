"""nnUNetv2_predict with the FLARE24 network on one CT phantom, on the CPU, ours against upstream.

    python -m benchmarks.predict_speed UPSTREAM_PYTHON --data FOLDER [--row f32 bf16 torch torch_bf16]
        [--pairs 3] [--shape 121 512 512]

FOLDER/flare24_images gets the phantom (0.80 x 0.80 x 3 mm). Both installations get the published plans in their
published layout and the same generated weights; nothing is mirrored. Each pair runs both whole commands in turn.

The weights are random, so near-ties between the classes are more frequent than with trained ones;
``benchmarks.small_cases --precision bf16`` says how a trained network agrees. Exit status 1 if labels differ too much.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.prediction_pairs import Target, compare
from benchmarks.side_by_side import Implementation, arguments
from nnunetv2.demo.generated_weights import write_generated_checkpoint
from nnunetv2.demo.phantom import PhantomSettings, make_phantom
from nnunetv2.demo.phantom_dataset import write_volume
from nnunetv2.geometry.tiles import tile_slicers

DATASET = "Dataset024_FLARE24_Task1"
TRAINER, CONFIGURATION = "nnUNetTrainer", "3d_fullres_S4D2W32"
PUBLISHED = Path(__file__).parents[1] / "nnUNet_results" / DATASET
SPACING, TARGET_SPACING, PATCH = (3.0, 0.8, 0.8), (3.0, 2.0, 2.0), (96, 128, 128)
GFLOP_PER_TILE = 672
ENDING = ".nii.gz"
ROWS = {
    "f32": (("--precision", "f32"), Target(faster=3.5, peak_mib=2200, equal_labels=0.9999)),
    "bf16": (("--precision", "bf16"), Target(faster=5.5)),
    "torch": (("--engine", "torch", "--precision", "f32"), Target(faster=1.3, equal_labels=0.9999)),
    "torch_bf16": (("--engine", "torch", "--precision", "bf16"), Target(faster=2)),
}


def install_model(implementation: Implementation, name: str, checkpoint: Path | None) -> Path:
    """Published documents and a checkpoint below the results of an installation; returns the checkpoint."""
    folder = implementation.results / DATASET / name
    folder.mkdir(parents=True, exist_ok=True)
    for document in ("plans.json", "dataset.json"):
        shutil.copy(PUBLISHED / name / document, folder / document)
    if checkpoint is None:
        return write_generated_checkpoint(folder, TRAINER, "all", overwrite=True)
    target = folder / "fold_all" / checkpoint.name
    target.parent.mkdir(exist_ok=True)
    return Path(shutil.copy(checkpoint, target))


def tiles(shape: tuple[int, int, int]) -> int:
    """Tiles of a volume of this shape once it is resampled."""
    resampled = [round(n * s / t) for n, s, t in zip(shape, SPACING, TARGET_SPACING)]
    padded = [max(n, k) for n, k in zip(resampled, PATCH)]
    return len(tile_slicers(padded, PATCH, 0.5))


def main() -> int:
    """Compare and print; 0 if all labels agree as asked."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--row", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=(121, 512, 512), help="of the CT, array order")
    args = parser.parse_args()
    images, shape = args.data / "flare24_images", tuple(args.shape)
    shutil.rmtree(images, ignore_errors=True)
    image, _ = make_phantom(24, PhantomSettings(shape=shape, spacing=SPACING))
    write_volume(images / f"phantom_0000{ENDING}", image, SPACING)
    upstream = Implementation("upstream", args.upstream_python, args.work / "predict_upstream")
    ours = Implementation("ours", Path(sys.executable), args.work / "predict_ours")
    name = f"{TRAINER}__nnUNetPlans__{CONFIGURATION}"
    install_model(upstream, name, install_model(ours, name, None))
    agree = True
    for row in args.row:
        flags, target = ROWS[row]
        outputs = [args.work / f"predicted_{side}" for side in ("upstream", "ours")]
        words = [
            *("nnUNetv2_predict", "-i", images, "-d", "24", "-c", CONFIGURATION, "-f", "all"),
            *("-device", "cpu", "--disable_tta", "--disable_progress_bar"),
        ]
        agree &= compare(
            f"predict {row}",
            (upstream, [*words, "-o", outputs[0]], outputs[0]),
            (ours, [*words, "-o", outputs[1], *flags], outputs[1]),
            pairs=args.pairs,
            ending=ENDING,
            target=target,
            gflop=GFLOP_PER_TILE * tiles(shape),
        )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
