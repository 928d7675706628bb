"""A model folder that we trained is predicted by us and by upstream; the label maps must be the same.

    python -m benchmarks.upstream_reads_ours UPSTREAM_PYTHON --model FOLDER --data IMAGES [--fold 1]

``--model`` is a trained model folder of ours (TRAINER__PLANS__CONFIGURATION), ``--data`` a folder of images. A trainer
subclass must be in a folder named by nnUNet_extTrainer. Prints the share of equal voxels per case and ends with status
1 below 99.99 %.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from benchmarks.side_by_side import Implementation, arguments


def main() -> None:
    parser = arguments("Let upstream predict with our checkpoint.")
    parser.add_argument("--model", type=Path, required=True, help="model folder that this package trained")
    parser.add_argument("--fold", default="1")
    parser.add_argument("--mirroring", action="store_true", help="with test-time mirroring")
    given = parser.parse_args()
    variables = {k: os.environ[k] for k in ("nnUNet_extTrainer",) if k in os.environ}
    outputs = {}
    for name, python in (("ours", Path(sys.executable)), ("upstream", given.upstream_python)):
        implementation = Implementation(name, python, given.work.resolve() / name, variables)
        outputs[name] = given.work.resolve() / f"predicted_by_{name}"
        words = [
            "nnUNetv2_predict_from_modelfolder",
            "-i",
            given.data,
            "-o",
            outputs[name],
            "-m",
            given.model.resolve(),
        ]
        words += ["-f", given.fold, "-device", "cpu", "-npp", "1", "-nps", "1"]
        seconds = implementation.command(*words, *([] if given.mirroring else ["--disable_tta"]))
        print(f"{name}: {seconds:.1f} s", flush=True)
    worst = 1.0
    import SimpleITK as sitk

    names = sorted(path.name for path in outputs["ours"].glob("*.nii.gz"))
    for name in names:
        ours, theirs = (sitk.GetArrayFromImage(sitk.ReadImage(str(outputs[w] / name))) for w in ("ours", "upstream"))
        share = float(np.mean(ours == theirs))
        worst = min(worst, share)
        print(f"{name}: {100 * share:.4f} % of {ours.size} voxels equal, foreground voxels {np.count_nonzero(theirs)}")
    print(f"worst of {len(names)} cases: {100 * worst:.4f} %")
    if worst < 0.9999 or not names:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
