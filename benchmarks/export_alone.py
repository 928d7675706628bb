"""Export of logits to labels against upstream's, in pairs: time, and whether the labels agree.

Smooth random logits of CLASSES classes, half precision, 120 x 192 x 192, become labels of 160 x 256 x 256. Each
implementation runs in its own Python (``export_probe``), with 1 thread and with 2, in turn.

    python -m benchmarks.export_alone UPSTREAM_PYTHON
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.many_classes import write_model
from benchmarks.process_tree import Measurement, measure


def write_logits(path: Path, classes: int, shape: list[int]) -> None:
    """Random values on a coarse grid, interpolated: classes meet in smooth surfaces, as in real predictions."""
    torch.manual_seed(0)
    coarse = torch.randn(1, classes, *(max(2, n // 10) for n in shape)) * 5
    np.save(path, torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0].half().numpy())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("upstream_python", type=Path, help="python of the environment with upstream nnunetv2 2.8.1")
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--old", type=int, nargs=3, default=[120, 192, 192])
    parser.add_argument("--new", type=int, nargs=3, default=[160, 256, 256])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("export_alone"), help="folder for everything that is made")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    write_model(work / "model", arguments.classes)
    write_logits(work / "logits.npy", arguments.classes, arguments.old)
    probe = Path(__file__).with_name("export_probe.py")

    def run(name: str, python: Path, threads: int) -> tuple[float, Measurement]:
        result = work / f"{name}.npy"
        shapes = ["--old", *arguments.old, "--new", *arguments.new]
        found = measure([python, probe, work, result, "--threads", threads, *shapes], folder=work)
        if found.returncode:
            raise SystemExit(f"{name} ended with {found.returncode}:\n{found.output[-3000:]}")
        return json.loads(found.output.strip().splitlines()[-1])["seconds"], found

    for threads in (1, 2):
        ratios = []
        for _ in range(arguments.pairs):
            slow, upstream = run("upstream", arguments.upstream_python, threads)
            fast, ours = run("ours", Path(sys.executable), threads)
            ratios.append(slow / fast)
            print(
                f"{threads} thread(s): upstream {slow:6.2f} s {upstream.peak_mib:6.0f} MiB, "
                f"ours {fast:6.2f} s {ours.peak_mib:6.0f} MiB, {ratios[-1]:5.1f} x",
                flush=True,
            )
        equal = np.mean(np.load(work / "upstream.npy") == np.load(work / "ours.npy"))
        print(f"{threads} thread(s): median {statistics.median(ratios):.1f} x; labels equal in {100 * equal:.4f} %")


if __name__ == "__main__":
    main()
