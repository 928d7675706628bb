"""Fingerprint and plans of four real data sets, compared with upstream's files.

    python benchmarks/plans_parity.py SHARED_FOLDER [-np N]

SHARED_FOLDER holds ``data`` (raw data sets) and ``golden`` (upstream's files). All is made in a temporary folder.
Prints a table; exit status 1 when a file differs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLANNERS = {
    "nnUNetPlans": "ExperimentPlanner",
    "nnUNetResEncUNetMPlans": "nnUNetPlannerResEncM",
    "nnUNetResEncUNetLPlans": "nnUNetPlannerResEncL",
    "nnUNetResEncUNetXLPlans": "nnUNetPlannerResEncXL",
}
RELATIVE_TOLERANCE = 1e-9


def differences(got: Any, expected: Any, where: str = "") -> Iterator[str]:
    """Places where two JSON values differ: types, keys and their order, values (floats up to the tolerance)."""
    if type(got) is not type(expected):
        yield f"{where}: {got!r} instead of {expected!r}"
    elif isinstance(expected, dict):
        if list(got) != list(expected):
            yield f"{where}: keys {list(got)} instead of {list(expected)}"
        for key in expected.keys() & got.keys():
            yield from differences(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        if len(got) != len(expected):
            yield f"{where}: {len(got)} entries instead of {len(expected)}"
        for index, (one, other) in enumerate(zip(got, expected)):
            yield from differences(one, other, f"{where}[{index}]")
    elif isinstance(expected, float):
        if not math.isclose(got, expected, rel_tol=RELATIVE_TOLERANCE):
            yield f"{where}: {got!r} instead of {expected!r}"
    elif got != expected:
        yield f"{where}: {got!r} instead of {expected!r}"


def verdict(got: Path, expected: Path) -> tuple[str, list[str]]:
    """``identical`` (byte for byte), ``equal`` (within the tolerance) or ``DIFFERENT``, and the differences."""
    if got.read_bytes() == expected.read_bytes():
        return "identical", []
    found = list(differences(json.loads(got.read_text()), json.loads(expected.read_text())))
    return ("DIFFERENT", found) if found else ("equal", [])


def compare_all(shared: Path, preprocessed: Path, workers: int) -> Iterator[tuple[str, str, float, str, list[str]]]:
    """Make every file and compare it: data set, file, seconds, verdict, differences."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments

    for golden in sorted((shared / "golden").glob("Dataset*")):
        steps = {"dataset_fingerprint": lambda name: extract_fingerprints([name], num_processes=workers)}
        for identifier, planner in PLANNERS.items():
            steps[identifier] = lambda name, planner=planner: plan_experiments([name], planner)
        for step, make in steps.items():
            start = time.perf_counter()
            make(golden.name)
            seconds = time.perf_counter() - start
            file = f"{step}.json"
            yield golden.name, file, seconds, *verdict(preprocessed / golden.name / file, golden / file)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare fingerprints and plans with upstream's.")
    parser.add_argument("shared", type=Path, metavar="SHARED_FOLDER", help="folder with data/ and golden/")
    parser.add_argument("-np", type=int, default=2, help="processes for measuring cases")
    args = parser.parse_args()
    if not ((args.shared / "golden").is_dir() and (args.shared / "data").is_dir()):
        parser.error(f"{args.shared} has no folders golden and data")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["nnUNet_raw"] = str(args.shared / "data")
        os.environ["nnUNet_preprocessed"] = folder
        print(f"{'data set':<28}{'file':<32}{'seconds':>8}  result")
        for name, file, seconds, result, found in compare_all(args.shared, Path(folder), args.np):
            print(f"{name:<28}{file:<32}{seconds:>8.2f}  {result}", flush=True)
            for line in found[:5]:
                print(f"    {line}")
            failed += bool(found)
    print("all equal" if not failed else f"{failed} files differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
