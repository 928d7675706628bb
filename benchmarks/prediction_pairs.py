"""Whole prediction commands of two installations in turn: times, memory of their process trees, agreement of labels."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.process_tree import Measurement, measure
from benchmarks.side_by_side import Implementation

MATRIX_SIZE = 3000


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a row asks for."""

    faster: float
    peak_mib: float = float("inf")
    equal_labels: float = 0.0


def run(implementation: Implementation, words: Sequence[object]) -> Measurement:
    """Run and measure a command of an installation; ends the script when it fails."""
    found = measure([implementation.python.parent / str(words[0]), *words[1:]], implementation.environment())
    if found.returncode:
        raise SystemExit(f"{implementation.name}: {' '.join(map(str, words))} failed:\n{found.output[-4000:]}")
    return found


def equal_voxels(ours: Path, theirs: Path, ending: str, read: Callable[[Path], np.ndarray]) -> float:
    """Share of equal voxels over all segmentations of two folders, which must hold the same files."""
    names = sorted(path.name for path in theirs.glob(f"*{ending}"))
    if not names or names != sorted(path.name for path in ours.glob(f"*{ending}")):
        raise SystemExit(f"{ours} and {theirs} do not hold the same segmentations")
    pairs = [(read(ours / name), read(theirs / name)) for name in names]
    return sum(int((a == b).sum()) for a, b in pairs) / sum(a.size for a, _ in pairs)


def read_segmentation(path: Path) -> np.ndarray:
    """Labels of an image file of any kind SimpleITK reads."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def matrix_rate() -> float:
    """Products of float32 matrices on this machine, in GFLOP/s: the best of five, with torch's threads."""
    import torch

    matrix = torch.ones((MATRIX_SIZE, MATRIX_SIZE))
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return 2 * MATRIX_SIZE**3 / min(seconds) / 1e9


def compare(
    row: str,
    upstream: tuple[Implementation, Sequence[object], Path],
    ours: tuple[Implementation, Sequence[object], Path],
    *,
    pairs: int,
    ending: str,
    target: Target,
    gflop: float | None = None,
) -> bool:
    """Run the pairs and print a line for the table; whether labels agree as asked.

    Each side is an installation, its command and the folder that command writes, which is emptied before. ``gflop``:
    what the network computes.
    """
    for side in (upstream, ours):
        shutil.rmtree(side[2], ignore_errors=True)
    found = [(run(*upstream[:2]), run(*ours[:2])) for _ in range(pairs)]
    equal = equal_voxels(ours[2], upstream[2], ending, read_segmentation)
    ratio = statistics.median(u.wall_s / o.wall_s for u, o in found)
    seconds = [statistics.median(m.wall_s for m in side) for side in zip(*found)]
    memory = [max(m.peak_mib for m in side) for side in zip(*found)]
    asked = f"asked: {target.faster:g} x" + (f", {target.peak_mib:.0f} MiB" if target.peak_mib < float("inf") else "")
    print(
        f"| {row} | {seconds[0]:.1f} s, {memory[0]:.0f} MiB | {seconds[1]:.1f} s, {memory[1]:.0f} MiB "
        f"| {ratio:.2f} x faster ({asked}) | {100 * equal:.4f} % of the voxels equal |",
        flush=True,
    )
    if gflop:
        rate = matrix_rate()
        print(
            f"    {row}: the network computes {gflop:.0f} GFLOP; the limit at {rate:.0f} GFLOP/s (matrix products) "
            f"is {gflop / rate:.1f} s, the whole command takes {seconds[1] * rate / gflop:.2f} times that"
        )
    return equal >= target.equal_labels
