"""Time of a training step of the FLARE24 network on the CPU, ours against upstream, with the losses of both.

    python -m benchmarks.training_step UPSTREAM_PYTHON [--precision f32 bf16] [--patch 96 128 128] [--pairs 3]

Both train from the same weights on the same random batches, in turn, each in processes of its own; the first step of
each process is not timed. Upstream always trains in f32 (it has no other mode on CPUs), ours with --channels-last and
the precision given; each precision is compared with upstream's run of the same round. Printed are the median ratios of
wall time and of CPU time (which other work on the machine changes less), the losses of both after the same number of
steps, and the operations per second beside those of a matrix product. ``--curve N`` compares the losses of N steps and
times nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.side_by_side import Implementation

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "nnUNet_results/Dataset024_FLARE24_Task1/nnUNetTrainer_Epoch2000_Lr1e3__nnUNetPlans__3d_fullres_S4D2W32"
CONFIGURATION = "3d_fullres_S4D2W32"
# Forward pass of one patch of 96 x 128 x 128, an addition and a multiplication counted as two; backward takes twice.
FORWARD_OPERATIONS_PER_VOXEL = 672e9 / (96 * 128 * 128)


def run(one: Implementation, job: dict) -> dict:
    """Losses and seconds per step of one process."""
    given, result = one.work / "job.json", one.work / "result.json"
    given.write_text(json.dumps(job))
    probe = Path(__file__).with_name("training_step_probe.py")
    one.command(one.python, probe, given, result)
    return json.loads(result.read_text())


def matrix_product_rate(threads: int, size: int = 2048) -> float:
    """Operations per second of a float32 matrix product, the best of five."""
    import torch

    torch.set_num_threads(threads)
    a, best = torch.randn(size, size), float("inf")
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def job_of(given: argparse.Namespace) -> dict:
    """What every process is told, but for what differs between them."""
    return {
        "plans": json.loads((MODEL / "plans.json").read_text()),
        "dataset_json": json.loads((MODEL / "dataset.json").read_text()),
        "configuration": CONFIGURATION,
        "patch": given.patch,
        "batch": 2,
        "steps": given.curve or 1 + given.steps,
        "threads": given.threads,
        "weights": str(given.work.resolve() / "weights.pth"),
        "attributes": {},
    }


def rounds(given: argparse.Namespace, ours: Implementation, upstream: Implementation) -> list[dict[str, dict]]:
    """Results of upstream and of each precision of ours, by name, one entry per round."""
    job, found = job_of(given), []
    for _ in range(1 if given.curve else given.pairs):
        found.append({"upstream": run(upstream, job)})
        for precision in given.precision:
            attributes = {"channels_last": True, "precision": precision}
            found[-1][precision] = run(ours, {**job, "attributes": attributes})
    return found


def timed(result: dict, clock: str) -> float:
    """Median seconds of a step, the first left out."""
    return statistics.median(result[clock][1:])


def report_losses(precision: str, results: dict[str, dict]) -> None:
    """Print how far the losses of one round are apart."""
    last = min(10, len(results[precision]["losses"]))
    for name in ("upstream", precision):
        mean = statistics.mean(results[name]["losses"][-last:])
        print(f"{precision}: mean loss of the last {last} steps of {name} {mean:.5f}")
    gaps = [abs(a - b) for a, b in zip(results[precision]["losses"], results["upstream"]["losses"])]
    print(f"{precision}: losses of {len(gaps)} steps differ by {max(gaps):.2e} at most, the first by {gaps[0]:.2e}")


def report_times(precision: str, found: list[dict[str, dict]], operations: float, limit: float) -> None:
    """Print the ratios of all rounds, and how far the best steps are from the limit (operations per second)."""
    for clock, name in (("seconds", "wall time"), ("cpu_seconds", "CPU time")):
        pairs = [(timed(results["upstream"], clock), timed(results[precision], clock)) for results in found]
        for theirs, ours in pairs:
            print(f"{precision}: {name} a step: upstream {theirs:.2f} s, ours {ours:.2f} s, ratio {theirs / ours:.2f}")
        ratio = statistics.median(theirs / ours for theirs, ours in pairs)
        print(f"{precision}: median ratio of {name} {ratio:.2f} of {len(pairs)} pairs")
    for name in ("upstream", precision):
        best = min(timed(results[name], "seconds") for results in found)
        rate = operations / best
        print(f"{precision}: {name}: best step {best:.2f} s, {rate / 1e9:.0f} GFLOP/s, {rate / limit:.0%} of the limit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("upstream_python", type=Path, help="python of the environment with upstream nnunetv2 2.8.1")
    parser.add_argument("--work", type=Path, default=Path("training_step"), help="folder for everything that is made")
    parser.add_argument("--precision", nargs="+", choices=("f32", "bf16"), default=["f32", "bf16"])
    parser.add_argument("--patch", nargs=3, type=int, default=[96, 128, 128])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="timed steps per process")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--curve", type=int, default=0, metavar="N", help="compare the losses of N steps, time nothing")
    given = parser.parse_args()
    variables = {"OMP_NUM_THREADS": str(given.threads)}
    both = []
    for name, python in (("ours", Path(sys.executable)), ("upstream", given.upstream_python.absolute())):
        one = Implementation(name, python, given.work.resolve() / name, variables)
        folder = one.preprocessed / "Dataset024_FLARE24_Task1" / "nnUNetPlans_3d_fullres"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.b2nd").touch()  # tells the kind of store; no case is read
        both.append(one)
    found = rounds(given, *both)
    voxels = 2 * given.patch[0] * given.patch[1] * given.patch[2]
    operations, limit = 3 * FORWARD_OPERATIONS_PER_VOXEL * voxels, matrix_product_rate(given.threads)
    for precision in given.precision:
        report_losses(precision, found[-1])
        if not given.curve:
            report_times(precision, found, operations, limit)
    print(f"a float32 matrix product reaches {limit / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
