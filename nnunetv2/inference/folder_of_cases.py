"""Segment every image of a folder, one case at a time, with one model that is loaded once.

The loop of ``predict.sh``. A case that fails is named at the end and costs only itself. Images of one channel;
``CASE.nii.gz`` and ``CASE_0000.nii.gz`` both give ``CASE.nii.gz``. Time and memory of the cases go to
``measurements.csv`` in the output folder.

    python -m nnunetv2.inference.folder_of_cases -i inputs -o outputs -d 24 -c 3d_fullres_S4D2W32 -f all
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2.cli.arguments import add_trust_pickle, command_parser, fold
from nnunetv2.cli.commands import command
from nnunetv2.configuration import trusting_pickles
from nnunetv2.errors import DatasetError, MissingFileError, WorkerError
from nnunetv2.inference.predictor_process import ModelChoice, PredictorProcess
from nnunetv2.records.layout import files_with_ending
from nnunetv2.records.measurements import MEASUREMENTS_CSV, CaseMeasurement, save_measurements

logger = logging.getLogger(__name__)

FILE_ENDING = ".nii.gz"
CHANNEL = "_0000"


@dataclass(frozen=True, slots=True)
class CaseList:
    """Cases of a folder: name of the result (without ending) to image, and what cannot be predicted."""

    images: dict[str, Path]
    failures: dict[str, str]


def cases_of_folder(folder: Path) -> CaseList:
    """All ``*.nii.gz`` of ``folder`` by name. Two images with the same result are failures of both.

    Raises MissingFileError or DatasetError when there is no folder or no image.
    """
    if not folder.is_dir():
        raise MissingFileError(f"the input folder {folder} does not exist. Make it and put the images there")
    images: dict[str, Path] = {}
    failures: dict[str, str] = {}
    for name in files_with_ending(folder, FILE_ENDING):
        case = name.removesuffix(FILE_ENDING).removesuffix(CHANNEL)
        if case in images:
            failures[case] = f"{images[case].name} and {name} would both be written to {case}{FILE_ENDING}; rename one"
        images.setdefault(case, folder / name)
    if not images:
        raise DatasetError(f"{folder} holds no file that ends with {FILE_ENDING}, so there is nothing to predict")
    return CaseList({case: image for case, image in images.items() if case not in failures}, failures)


def predict_folder(inputs: Path, outputs: Path, choice: ModelChoice, keep_existing: bool = False) -> dict[str, str]:
    """Predict every image of ``inputs`` into ``outputs``; returns case to reason for those that failed.

    ``keep_existing`` skips cases that have a result. Raises WorkerError when the model cannot be loaded.
    """
    cases = cases_of_folder(inputs)
    failures, measurements = dict(cases.failures), []
    outputs.mkdir(parents=True, exist_ok=True)
    with PredictorProcess(choice) as predictor:
        for number, (case, image) in enumerate(cases.images.items(), start=1):
            result = outputs / (case + FILE_ENDING)
            if keep_existing and result.is_file():
                continue
            result.unlink(missing_ok=True)  # else a failure would leave the result of an earlier run
            logger.info("Case %d of %d: %s", number, len(cases.images), case)
            outcome = predictor.predict(image, outputs / case)
            if outcome.error is not None:
                failures[case] = outcome.error
                logger.error("%s failed: %s", case, outcome.error)
                continue
            measurements.append(CaseMeasurement(case=case, **outcome.figures))
            save_measurements(measurements, outputs / MEASUREMENTS_CSV)
            logger.info("%s took %.1f s", case, measurements[-1].seconds)
    logger.info("%d of %d cases done", len(cases.images | failures) - len(failures), len(cases.images | failures))
    return failures


def raise_if_any(failures: Mapping[str, str]) -> None:
    """Raise WorkerError naming every case that failed, with its reason."""
    if failures:
        lines = [f"  {case}: {reason}" for case, reason in sorted(failures.items())]
        raise WorkerError(f"{len(failures)} case(s) failed, the others are done:\n" + "\n".join(lines))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("folder_of_cases", "Segment every .nii.gz of a folder, one case at a time.")
    parser.add_argument("-i", type=Path, required=True, help="folder of images, CASE.nii.gz or CASE_0000.nii.gz")
    parser.add_argument("-o", type=Path, required=True, help="folder for the segmentations, CASE.nii.gz")
    parser.add_argument("-d", type=str, required=True, help="data set the model was trained on, number or name")
    parser.add_argument("-c", type=str, required=True, help="configuration of the model")
    parser.add_argument("-tr", type=str, default="nnUNetTrainer", help="trainer in the name of the model folder")
    parser.add_argument("-p", type=str, default="nnUNetPlans", help="plans in the name of the model folder")
    parser.add_argument("-f", nargs="+", type=fold, default=["all"], help="folds whose networks are averaged")
    parser.add_argument("-chk", type=str, default="checkpoint_final.pth", help="file name of the checkpoints")
    parser.add_argument("-step_size", type=float, default=0.5, help="distance of tiles, as a fraction of the patch")
    parser.add_argument("--disable_tta", action="store_true", help="no mirroring: faster, slightly less accurate")
    parser.add_argument("--continue_prediction", action="store_true", help="skip cases that are in -o already")
    parser.add_argument(
        "-device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="auto: cuda if there is one, else cpu"
    )
    add_trust_pickle(parser)
    return parser


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Command line; see the module's text."""
    args = _parser().parse_args(argv)
    choice = ModelChoice(
        dataset=args.d,
        configuration=args.c,
        trainer=args.tr,
        plans=args.p,
        folds=tuple(args.f),
        checkpoint=args.chk,
        step_size=args.step_size,
        mirroring=not args.disable_tta,
        device=args.device,
    )
    with trusting_pickles(args.trust_pickle):
        failures = predict_folder(args.i, args.o, choice, args.continue_prediction)
    raise_if_any(failures)


if __name__ == "__main__":
    main()
