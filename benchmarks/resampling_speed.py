"""Time and memory of resampling, ours against scikit-image and batchgenerators, in one process with one thread.

Usage: python benchmarks/resampling_speed.py [--size Z Y X] [--repeat N] [--upstream UPSTREAM_PYTHON [--pairs N]]

Prints CPU seconds, peak memory above the start (MiB), the largest difference of intensities and the number of labels
that differ, for a synthetic CT and its label map (13 organs), resampled between typical spacings. With --upstream it
compares the public resampling functions of both installations instead: (1, 160, 256, 256) to (120, 192, 192), one
thread, each pair one after the other; exit status 1 if labels differ or intensities by more than 1e-4.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nnunetv2.utilities.executors import process_pool

SPACINGS = {
    "slices, coarser": ((2.5, 0.8, 0.8), (3.0, 2.0, 2.0)),
    "slices, finer": ((5.0, 0.8, 0.8), (4.0, 0.7, 0.7)),
    "3D, coarser": ((2.0, 0.8, 0.8), (3.0, 2.0, 2.0)),
    "3D, isotropic": ((2.0, 0.8, 0.8), (1.5, 1.5, 1.5)),
    "3D, finer": ((2.0, 0.8, 0.8), (1.6, 0.7, 0.7)),
}
"""Current and new spacing in mm. Slices are resized one by one where the current spacing is anisotropic."""


def make_case(size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Image (1, Z, Y, X) float32 and labels (1, Z, Y, X) float32 with -1 outside a cylinder."""
    rng = np.random.RandomState(0)
    z, y, x = np.meshgrid(*[np.linspace(0, 1, n, dtype=np.float32) for n in size], indexing="ij", sparse=True)
    labels = np.zeros(size, np.float32)
    for organ in range(1, 14):
        c, r = rng.uniform(0.25, 0.75, 3), rng.uniform(0.05, 0.2, 3)
        labels[((z - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 + ((x - c[2]) / r[2]) ** 2 < 1] = organ
    labels[np.broadcast_to((y - 0.5) ** 2 + (x - 0.5) ** 2 > 0.22, size)] = -1
    image = labels / 5 + rng.standard_normal(size).astype(np.float32) * 0.3
    return image[None], labels[None]


def ours(array: np.ndarray, new_shape, separate: int | None, is_seg: bool) -> np.ndarray:
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg

    return resample_data_or_seg(array, new_shape, is_seg, separate, 1 if is_seg else 3, separate is not None)


def reference(array: np.ndarray, new_shape, separate: int | None, is_seg: bool) -> np.ndarray:
    """One library call in 3D, or one per slice and a copy of slices along the separate axis (0)."""
    from batchgenerators.augmentations.utils import resize_segmentation
    from skimage.transform import resize

    from nnunetv2.geometry.interpolation import nearest_indices

    def to_shape(part, shape):
        if is_seg:
            return resize_segmentation(part, shape, order=1)
        return resize(part.astype(float), shape, order=3, mode="edge", clip=True, anti_aliasing=False)

    if separate is None:
        return to_shape(array[0], new_shape)[None].astype(array.dtype)
    planes = np.stack([to_shape(plane, new_shape[1:]) for plane in array[0]])
    return planes[nearest_indices(len(planes), new_shape[0])][None].astype(array.dtype)


def measure(which: str, path: str, new_shape, separate, is_seg: bool, repeat: int):
    """In a process of its own, so that the peak of memory belongs to this call alone."""
    import torch

    torch.set_num_threads(1)
    array = np.load(path)
    function = {"ours": ours, "reference": reference}[which]
    small = array[:, :4, :16, :16].copy()
    function(small, (4, 12, 12), separate, is_seg)  # imports are not what is measured
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")  # forget the peak so far
    before = peak_memory_mib()
    best = np.inf
    for _ in range(repeat):
        start = time.process_time()
        result = function(array, new_shape, separate, is_seg)
        best = min(best, time.process_time() - start)
    return best, peak_memory_mib() - before, result


def peak_memory_mib() -> float:
    """Largest resident memory of this process since the last reset (Linux)."""
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) / 1024


def compare_with_upstream(upstream_python: Path, pairs: int, repeat: int) -> int:
    """Time both installations and print a line for images and one for labels; 0 if the results agree."""
    old, new = (160, 256, 256), (120, 192, 192)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    times: dict[str, list[list[float]]] = {"upstream": [], "ours": []}
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, array in zip(("image", "labels", "shape"), (*make_case(old), np.array(new))):
            np.save(folder / f"{kind}.npy", array)
        for _ in range(pairs):
            for which, python in (("upstream", upstream_python), ("ours", Path(sys.executable))):
                command = [str(python), str(Path(__file__).with_name("resampling_probe.py")), name, str(repeat)]
                done = subprocess.run(command, env=environment, capture_output=True, text=True)
                if done.returncode:
                    raise SystemExit(f"{which}: {done.stderr[-4000:]}")
                times[which].append([float(line) for line in done.stdout.split()])
                results[which] = [np.load(folder / f"{kind}_result.npy") for kind in ("image", "labels")]
    error = float(np.abs(results["ours"][0] - results["upstream"][0]).max())
    wrong = int((results["ours"][1] != results["upstream"][1]).sum())
    checks = (f"largest difference {error:.1e}", f"{wrong} labels differ")
    for index, (kind, check) in enumerate(zip(("data", "labels"), checks)):
        slow, fast = ([pair[index] for pair in times[which]] for which in ("upstream", "ours"))
        ratio = statistics.median(s / f for s, f in zip(slow, fast))
        print(
            f"| resample {kind} | {statistics.median(slow):.2f} s | {statistics.median(fast):.3f} s "
            f"| {ratio:.1f} x faster (asked: 6) | {check} |"
        )
    return int(error > 1e-4 or wrong > 0)


def main() -> int:
    """Measure and print."""
    from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape, determine_do_sep_z_and_axis

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=[64, 256, 256])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--upstream", type=Path, help="python of the environment with upstream nnunetv2 2.8.1")
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.upstream is not None:
        return compare_with_upstream(arguments.upstream, arguments.pairs, arguments.repeat)
    folder = tempfile.TemporaryDirectory()
    paths = [f"{folder.name}/{kind}.npy" for kind in ("image", "labels")]
    for path, array in zip(paths, make_case(tuple(arguments.size))):
        np.save(path, array)
    print(f"{'what':6} {'target':15} {'shape':>28} {'reference':>18} {'ours':>18} {'faster':>7}  difference")
    for name, (current, target) in SPACINGS.items():
        new_shape = tuple(int(n) for n in compute_new_shape(arguments.size, current, target))
        separate = determine_do_sep_z_and_axis(None, current, target)[1]
        for is_seg in (False, True):
            found = {}
            for which in ("reference", "ours"):
                with process_pool(1) as pool:
                    job = (which, paths[int(is_seg)], new_shape, separate, is_seg, arguments.repeat)
                    found[which] = pool.submit(measure, *job).result()
            (slow, slow_mib, expected), (fast, fast_mib, result) = found["reference"], found["ours"]
            shapes = f"{tuple(arguments.size)}->{new_shape}"
            difference = (
                f"{int((result != expected).sum())} labels" if is_seg else f"{np.abs(result - expected).max():.1e}"
            )
            print(
                f"{'labels' if is_seg else 'image':6} {name:15} {shapes:>28} {slow:6.2f} s {slow_mib:5.0f} MiB "
                f"{fast:6.2f} s {fast_mib:5.0f} MiB {slow / fast:6.1f}x  {difference}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
