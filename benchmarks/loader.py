"""Seconds per training batch on one core, ours against upstream, and whether both draw from the same distribution.

    python -m benchmarks.loader UPSTREAM_PYTHON --data FOLDER [--patch 96 128 128] [--pairs 3] [--batches 40]

Phantoms are written to FOLDER/Dataset900_Phantoms unless they are there, and planned and preprocessed with our
commands; both read the same preprocessed cases. Each process makes batches of 2 with the default augmentation of
nnUNetTrainer, without workers, bound to one core. Printed are the mean seconds per batch of each process (a
mean, since the cost of a batch depends on what is drawn), the median ratio of the pairs, and for mean, standard
deviation, quantiles and label shares of the samples both averages and the p-value of a Kolmogorov-Smirnov test.
Exit status 1 if one of them is below 0.0001.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from scipy.stats import ks_2samp

from benchmarks.preprocess_speed import CONFIGURATION, DATASET, TARGET, make_phantoms
from benchmarks.side_by_side import Implementation, arguments, link_dataset
from nnunetv2.records.files import read_json, write_json

LEAST_P = 1e-4
ASKED = 1.5
LABELS = 2


def preprocess(ours: Implementation, patch: list[int], processes: int) -> Path:
    """Preprocessed data set folder whose plans have this patch size and batches of 2."""
    folder = ours.preprocessed / DATASET
    plans_file = folder / "nnUNetPlans.json"
    ours.command("nnUNetv2_extract_fingerprint", "-d", "900", "-np", processes)
    ours.command("nnUNetv2_plan_experiment", "-d", "900", "-overwrite_target_spacing", *TARGET)
    plans = read_json(plans_file)
    plans["configurations"][CONFIGURATION] |= {"patch_size": patch, "batch_size": 2}
    write_json(plans_file, plans, sort_keys=False)
    ours.command("nnUNetv2_preprocess", "-d", "900", "-c", CONFIGURATION, "-np", processes)
    return folder


def run(one: Implementation, job: dict) -> dict:
    """Seconds per batch and what is known of the samples, from one process."""
    given, result = one.work / "job.json", one.work / "result.json"
    given.write_text(json.dumps(job))
    one.command(one.python, Path(__file__).with_name("loader_probe.py"), given, result)
    return json.loads(result.read_text())


def compare_distributions(ours: list[dict], upstream: list[dict]) -> bool:
    """Print a line for each number known of the samples; whether all may come from the same distribution."""
    agree = True
    for name in upstream[0]:
        values = [[sample[name] for sample in side] for side in (upstream, ours)]
        p = ks_2samp(*values).pvalue
        agree &= bool(p >= LEAST_P)
        means = [statistics.mean(side) for side in values]
        print(f"{name}: average upstream {means[0]:.4f}, ours {means[1]:.4f}, p {p:.3f}")
    print(f"{len(ours)} samples each: {'no difference found' if agree else 'THE DISTRIBUTIONS DIFFER'}")
    return agree


def main() -> int:
    """Compare and print; 0 if no difference of the distributions is found."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--patch", nargs=3, type=int, default=[96, 128, 128])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--batches", type=int, default=40, help="timed batches per process")
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--slices", type=int, nargs=2, default=(110, 145))
    parser.add_argument("--processes", type=int, default=2, help="workers of preprocessing")
    args = parser.parse_args()
    make_phantoms(args.data / DATASET, args.cases, args.size, tuple(args.slices))
    work, python = args.work.resolve(), Path(sys.executable)
    maker = Implementation("preprocessing", python, work / "preprocessing")
    link_dataset(maker, args.data / DATASET)
    folder = preprocess(maker, args.patch, args.processes)
    variables = {"nnUNet_preprocessed": str(folder.parent), "nnUNet_n_proc_DA": "0", "OMP_NUM_THREADS": "1"}
    upstream = Implementation("upstream", args.upstream_python.absolute(), work / "upstream", variables)
    ours = Implementation("ours", python, work / "ours", variables)
    job = {
        "plans": str(folder / "nnUNetPlans.json"),
        "dataset_json": str(folder / "dataset.json"),
        "configuration": CONFIGURATION,
        "labels": LABELS,
        "batches": args.batches,
        "untimed": 2,
    }
    pairs = [
        (run(upstream, {**job, "seed": 2 * pair}), run(ours, {**job, "seed": 2 * pair + 1}))
        for pair in range(args.pairs)
    ]
    ratios = []
    for pair in pairs:
        means = [statistics.mean(side["seconds"]) for side in pair]
        ratios.append(means[0] / means[1])
        print(f"upstream {means[0]:.3f} s a batch, ours {means[1]:.3f} s, ratio {ratios[-1]:.2f}")
    shapes = {json.dumps(side["shapes"]) for pair in pairs for side in pair}
    print(f"median ratio {statistics.median(ratios):.2f} of {args.pairs} pairs (asked: {ASKED}), shapes {shapes}")
    return 0 if compare_distributions(*([s for pair in pairs for s in pair[i]["samples"]] for i in (1, 0))) else 1


if __name__ == "__main__":
    sys.exit(main())
