"""predict.sh against upstream's nnUNetv2_predict: a CT phantom, the FLARE24 network, the same weights, cold start too.

    python -m benchmarks.predict_sh UPSTREAM_PYTHON [--shape 121 512 512] [--mirroring] [--repeat 1] [--work DIR]

Both start as a container starts: a new process that loads the model, predicts one case and ends. Prints wall time and
peak memory of the process tree of every run, the ratios of the best runs, and the share of equal voxels. The weights
are random: the arithmetic is that of trained ones, but near-ties between the classes, and with them differing voxels,
are more frequent. On the CPU; without mirroring unless asked for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from benchmarks.process_tree import Measurement, measure

ROOT = Path(__file__).resolve().parents[1]
DATASET, CONFIGURATION = "Dataset024_FLARE24_Task1", "3d_fullres_S4D2W32"
MODEL = f"nnUNetTrainer__nnUNetPlans__{CONFIGURATION}"
CASE = "phantom"


def prepare(work: Path, shape: tuple[int, int, int]) -> None:
    """Image and model below ``work``; what is there already is used again."""
    from nnunetv2.demo.generated_weights import write_generated_checkpoint
    from nnunetv2.demo.phantom import PhantomSettings, make_phantom
    from nnunetv2.demo.phantom_dataset import write_volume

    model = work / "results" / DATASET / MODEL
    if not model.exists():
        published = ROOT / "nnUNet_results" / DATASET / MODEL
        shutil.copytree(published, model, ignore=shutil.ignore_patterns("fold_*"))
        # Upstream has no class of the special trainer's name.
        write_generated_checkpoint(model, "nnUNetTrainer")
    name = f"{CASE}_0000.nii.gz"
    inputs = work / "inputs_{}_{}_{}".format(*shape)
    if not (inputs / name).exists():
        settings = PhantomSettings(shape=shape, spacing=(3.0, 0.8, 0.8))
        write_volume(inputs / name, make_phantom(24, settings)[0], settings.spacing)
    (work / "inputs").unlink(missing_ok=True)
    (work / "inputs").symlink_to(inputs)


def run_ours(work: Path, mirroring: bool) -> Measurement:
    variables = {"INPUTS": "inputs", "OUTPUTS": "ours", "RESULTS": "results"}
    variables = {key: str(work / folder) for key, folder in variables.items()}
    shutil.rmtree(work / "ours", ignore_errors=True)
    command = ["sh", ROOT / "predict.sh", "-device", "cpu", *([] if mirroring else ["--disable_tta"])]
    return checked("predict.sh", measure(command, environment(variables | {"PYTHON": sys.executable})))


def run_upstream(work: Path, python: Path, mirroring: bool) -> Measurement:
    shutil.rmtree(work / "upstream", ignore_errors=True)
    command = [python.parent / "nnUNetv2_predict", "-i", work / "inputs", "-o", work / "upstream", "-d", 24]
    command += ["-c", CONFIGURATION, "-f", "all", "-device", "cpu", *([] if mirroring else ["--disable_tta"])]
    variables = {"nnUNet_results": str(work / "results"), "nnUNet_compile": "f"}
    variables |= {name: str(work / "unused") for name in ("nnUNet_raw", "nnUNet_preprocessed")}
    return checked("upstream", measure(command, environment(variables)))


def environment(variables: dict[str, str]) -> dict[str, str]:
    """The current one without nnU-Net's variables, plus ``variables``."""
    return {key: value for key, value in os.environ.items() if not key.startswith("nnUNet_")} | variables


def checked(name: str, measured: Measurement) -> Measurement:
    if measured.returncode:
        raise SystemExit(f"{name} ended with status {measured.returncode}:\n{measured.output[-3000:]}")
    print(f"{name}: {measured.wall_s:.1f} s, peak {measured.peak_mib:.0f} MiB", flush=True)
    return measured


def equal_voxels(work: Path) -> float:
    """Share of voxels with the same label."""
    import numpy as np
    import SimpleITK as sitk

    ours, theirs = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(work / folder / f"{CASE}.nii.gz"))) for folder in ("ours", "upstream")
    )
    return float(np.mean(ours == theirs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream_python", type=Path, help="python of the environment with upstream nnunetv2 2.8.1")
    parser.add_argument("--shape", type=int, nargs=3, default=(121, 512, 512), help="slices, rows, columns")
    parser.add_argument("--mirroring", action="store_true", help="with test-time mirroring: eight times the work")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, alternating")
    parser.add_argument("--work", type=Path, default=Path("side_by_side"), help="folder for everything that is made")
    given = parser.parse_args()
    work = given.work.resolve() / "predict_sh"
    work.mkdir(parents=True, exist_ok=True)
    prepare(work, tuple(given.shape))
    runs = [
        (run_ours(work, given.mirroring), run_upstream(work, given.upstream_python, given.mirroring))
        for _ in range(given.repeat)
    ]
    (time_ours, time_theirs), (memory_ours, memory_theirs) = (
        [min(getattr(run[side], figure) for run in runs) for side in (0, 1)] for figure in ("wall_s", "peak_mib")
    )
    print(f"time: ours {time_ours:.1f} s, upstream {time_theirs:.1f} s, ratio {time_theirs / time_ours:.2f}")
    ratio = memory_theirs / memory_ours
    print(f"peak: ours {memory_ours:.0f} MiB, upstream {memory_theirs:.0f} MiB, ratio {ratio:.2f}")
    print(f"equal voxels: {100 * equal_voxels(work):.4f} %")


if __name__ == "__main__":
    main()
