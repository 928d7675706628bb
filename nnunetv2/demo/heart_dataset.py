"""Heart phantoms as a raw data set under the names that the organisers of AI CUP 2025 (heart CT) use.

``python -m nnunetv2.demo.heart_dataset --folder nnUNet_raw/Dataset100_Heart`` writes one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunetv2.cli.commands import command
from nnunetv2.demo.heart_phantom import HeartPhantomSettings, make_heart_phantom
from nnunetv2.demo.phantom_dataset import FILE_ENDING, write_volume
from nnunetv2.demo.workplace import say
from nnunetv2.records.files import PathLike
from nnunetv2.records.layout import IMAGES_TR, IMAGES_TS, LABELS_TR


@dataclass(frozen=True)
class HeartDataset:
    """How many cases of which kind; patient ``n`` (from 1, test cases last) is the phantom of seed ``seed + n``."""

    training_cases: int = 8
    test_cases: int = 2
    seed: int = 2025
    settings: HeartPhantomSettings = field(default_factory=HeartPhantomSettings)


def write_heart_dataset(folder: PathLike, description: HeartDataset | None = None) -> Path:
    """Write imagesTr, labelsTr and imagesTs as the organisers hand them out: no dataset.json, no labels of test cases.

    Existing files of the same names are replaced. Returns ``folder``.
    """
    folder, description = Path(folder), description or HeartDataset()
    for number in range(1, description.training_cases + description.test_cases + 1):
        image, label = make_heart_phantom(description.seed + number, description.settings)
        case, spacing = f"patient{number:04d}", description.settings.spacing
        training = number <= description.training_cases
        write_volume(folder / (IMAGES_TR if training else IMAGES_TS) / (case + FILE_ENDING), image, spacing)
        if training:
            write_volume(folder / LABELS_TR / f"{case}_gt{FILE_ENDING}", label, spacing)
    return folder


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write a data set of heart phantoms."""
    parser = argparse.ArgumentParser(prog="heart_dataset", description="Heart CT phantoms under the organisers' names.")
    parser.add_argument("--folder", type=Path, default=Path("nnUNet_raw/Dataset100_Heart"), help="where they go")
    parser.add_argument("--cases", type=int, default=8, help="number of training cases")
    parser.add_argument("--test_cases", type=int, default=2, help="number of test cases")
    parser.add_argument("--seed", type=int, default=2025, help="the same seed gives the same data set")
    parser.add_argument("--shape", type=int, nargs=3, default=(64, 96, 96), metavar=("Z", "Y", "X"), help="in voxels")
    parser.add_argument("--spacing", type=float, nargs=3, default=(2.5, 1.8, 1.8), metavar=("Z", "Y", "X"), help="mm")
    args = parser.parse_args(argv)
    settings = HeartPhantomSettings(shape=tuple(args.shape), spacing=tuple(args.spacing))
    write_heart_dataset(args.folder, HeartDataset(args.cases, args.test_cases, args.seed, settings))
    say(f"{args.cases} training and {args.test_cases} test cases in {args.folder}")


if __name__ == "__main__":
    main()
