"""Time and memory of nnUNetv2_extract_fingerprint, _plan_experiment and _preprocess, ours against upstream.

    python -m benchmarks.preprocess_speed UPSTREAM_PYTHON --data FOLDER [--stages fingerprint plan preprocess]
        [--pairs 3] [--cases 6] [--size 512] [--slices 110 145] [--processes 2]

Phantoms are written to FOLDER/Dataset900_Phantoms unless they are there: as many as --cases, square slices of --size
voxels, slice counts spread over --slices, spacing 3 x 0.8 x 0.8 mm. They are planned for 3 x 2 x 2 mm. Each pair runs
the whole command of both installations, one after the other, with start-up and end. Printed: medians of the wall times
and of their ratios, peak memory of the process trees, and whether the results agree; exit status 1 if they do not.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.plans_parity import differences
from benchmarks.process_tree import Measurement, measure
from benchmarks.side_by_side import Implementation, arguments
from nnunetv2.demo.phantom import PhantomSettings, make_phantom
from nnunetv2.demo.phantom_dataset import FILE_ENDING, write_volume
from nnunetv2.records.files import read_json, write_json

DATASET = "Dataset900_Phantoms"
CONFIGURATION = "3d_fullres"
SPACING = (3.0, 0.8, 0.8)
TARGET = (3.0, 2.0, 2.0)
INTENSITY_TOLERANCE = 1e-4
FIELD_OF_VIEW_MM = 410


@dataclass(frozen=True)
class Stage:
    """One command, and what it must reach: upstream's time over ours, our memory over upstream's."""

    words: tuple[str, ...]
    faster: float
    memory: float


def stages(processes: int) -> dict[str, Stage]:
    workers = ("-np", str(processes))
    spacing = tuple(str(value) for value in TARGET)
    return {
        "fingerprint": Stage(("nnUNetv2_extract_fingerprint", "-d", "900", "--clean", *workers), 2, 0.6),
        "plan": Stage(("nnUNetv2_plan_experiment", "-d", "900", "-overwrite_target_spacing", *spacing), 10, 1),
        "preprocess": Stage(("nnUNetv2_preprocess", "-d", "900", "-c", CONFIGURATION, *workers), 3, 0.6),
    }


def make_phantoms(folder: Path, cases: int, size: int, slices: tuple[int, int]) -> None:
    """Write the raw data set unless one with as many cases is there."""
    if len(list(folder.glob(f"imagesTr/*{FILE_ENDING}"))) == cases and (folder / "dataset.json").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    spacing = (SPACING[0], FIELD_OF_VIEW_MM / size, FIELD_OF_VIEW_MM / size) if size != 512 else SPACING
    for index, count in enumerate(np.linspace(*slices, cases).round().astype(int)):
        image, label = make_phantom(2024 + index, PhantomSettings(shape=(int(count), size, size), spacing=spacing))
        write_volume(folder / "imagesTr" / f"phantom_{index:03d}_0000{FILE_ENDING}", image, spacing)
        write_volume(folder / "labelsTr" / f"phantom_{index:03d}{FILE_ENDING}", label, spacing)
    write_json(
        folder / "dataset.json",
        {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, "tumor": 1},
            "numTraining": cases,
            "file_ending": FILE_ENDING,
        },
        sort_keys=False,
    )


def run(implementation: Implementation, stage: Stage) -> Measurement:
    """One run of the command; the preprocessed cases are removed first, so that all of them are made."""
    if stage.words[0] == "nnUNetv2_preprocess":
        for folder in implementation.preprocessed.glob(f"{DATASET}/*_{CONFIGURATION}"):
            shutil.rmtree(folder)
    command = [implementation.python.parent / stage.words[0], *stage.words[1:]]
    measured = measure(command, implementation.environment())
    if measured.returncode:
        raise SystemExit(f"{implementation.name}: {' '.join(stage.words)} failed:\n{measured.output[-4000:]}")
    return measured


def disagreements(ours: Path, upstream: Path, stage: str) -> Iterator[str]:
    """Where the files of a stage differ by more than the tolerances."""
    if stage in ("fingerprint", "plan"):
        name = {"fingerprint": "dataset_fingerprint.json", "plan": "nnUNetPlans.json"}[stage]
        yield from differences(read_json(ours / name), read_json(upstream / name), name)
        return
    from nnunetv2.storage.stores import infer_dataset_class

    folders = [next(root.glob(f"*_{CONFIGURATION}")) for root in (ours, upstream)]
    own, other = (infer_dataset_class(folder)(folder) for folder in folders)
    if own.identifiers != other.identifiers:
        yield f"cases {own.identifiers} instead of {other.identifiers}"
    for case in other.identifiers:
        (data, seg, _, properties), (data_2, seg_2, _, properties_2) = own.load_case(case), other.load_case(case)
        error = float(np.abs(data[:] - data_2[:]).max()) if data.shape == data_2.shape else float("inf")
        if error > INTENSITY_TOLERANCE:
            yield f"{case}: intensities differ by {error:g}"
        if not np.array_equal(seg[:], seg_2[:]):
            yield f"{case}: labels differ"
        for label, found in properties_2["class_locations"].items():
            if not np.array_equal(properties["class_locations"][label], found):
                yield f"{case}: locations of label {label} differ"


def compare(name: str, stage: Stage, ours: Implementation, upstream: Implementation, pairs: int) -> bool:
    """Run the pairs and print a line; whether the results agree."""
    found = [(run(upstream, stage), run(ours, stage)) for _ in range(pairs)]
    ratio = statistics.median(u.wall_s / o.wall_s for u, o in found)
    seconds = [statistics.median(m.wall_s for m in side) for side in zip(*found)]
    memory = [max(m.peak_mib for m in side) for side in zip(*found)]
    wrong = list(disagreements(ours.preprocessed / DATASET, upstream.preprocessed / DATASET, name))
    print(
        f"| {name} | {seconds[0]:.1f} s, {memory[0]:.0f} MiB | {seconds[1]:.1f} s, {memory[1]:.0f} MiB "
        f"| {ratio:.1f} x faster (asked: {stage.faster:g}) | {memory[1] / memory[0]:.2f} x memory "
        f"(asked: {stage.memory:g}) | {'results agree' if not wrong else 'RESULTS DIFFER'} |",
        flush=True,
    )
    for line in wrong[:5]:
        print(f"    {line}")
    return not wrong


def main() -> int:
    """Compare and print; 0 if all results agree."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", choices=list(stages(1)), default=list(stages(1)))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--slices", type=int, nargs=2, default=(110, 145))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    make_phantoms(args.data / DATASET, args.cases, args.size, tuple(args.slices))
    upstream = Implementation("upstream", args.upstream_python, args.work / "upstream")
    ours = Implementation("ours", Path(sys.executable), args.work / "ours")
    known = stages(args.processes)
    print("| stage | upstream | ours | time | memory | check |", flush=True)
    agree = True
    for side in (upstream, ours):
        raw = side.raw / DATASET
        if not raw.exists():
            os.symlink((args.data / DATASET).resolve(), raw)
    for name, stage in known.items():
        if name in args.stages:
            agree &= compare(name, stage, ours, upstream, args.pairs)
        else:  # later stages need its files
            for side in (upstream, ours):
                run(side, stage)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
