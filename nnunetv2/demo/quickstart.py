"""The main job from start to end on phantoms, through the same commands a person types.

Run it with ``bash quickstart.sh`` or ``python -m nnunetv2.demo.quickstart --folder DIR``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunetv2.cli.commands import command
from nnunetv2.demo.phantom_dataset import PhantomDataset, write_phantom_dataset
from nnunetv2.demo.workplace import Workplace, say

DATASET_ID = 900
DATASET = f"Dataset{DATASET_ID}_Phantom"
PLANS = "nnUNetPlans"
TRAINER = "nnUNetTrainer_Quickstart"

TRAINER_FILE = '''"""A trainer of one's own: the standard one with fewer and shorter epochs."""

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class {name}(nnUNetTrainer):
    num_epochs = {epochs}
    num_iterations_per_epoch = {iterations}
    num_val_iterations_per_epoch = {validation_iterations}
    initial_lr = {learning_rate}
'''


@dataclass(frozen=True)
class QuickstartSettings:
    """How much is done: enough to see the lesions found, little enough for two CPU cores and a few minutes."""

    dataset: PhantomDataset = field(default_factory=lambda: PhantomDataset(training_cases=10, test_cases=3))
    width: int = 8
    """Feature maps of the first of four stages; each further stage has twice as many."""
    spacing: tuple[float, float, float] = (5.0, 5.0, 5.0)
    """Grid of the network in mm (Z, Y, X)."""
    patch_size: tuple[int, int, int] = (32, 48, 48)
    batch_size: int = 2
    epochs: int = 8
    iterations: int = 50
    validation_iterations: int = 5
    learning_rate: float = 0.01

    @property
    def configuration(self) -> str:
        """Name of the hand-made configuration: 4 stages, 2 convolutions each, this width."""
        return f"3d_fullres_S4D2W{self.width}"


def run_quickstart(folder: Path, settings: QuickstartSettings | None = None, device: str = "cpu") -> float:
    """Do the whole job in ``folder`` (what an earlier run left there is replaced) and return the mean test Dice."""
    settings = settings or QuickstartSettings()
    place = Workplace(folder, DATASET)
    place.clear()
    with place.step("Make a raw data set of CT phantoms with lesions"):
        write_phantom_dataset(place.raw, settings.dataset)
        say(f"{settings.dataset.training_cases} training and {settings.dataset.test_cases} test cases in {place.raw}")
    _plan(place, settings)
    with place.step("Preprocess the training cases for this configuration"):
        place.run("nnUNetv2_preprocess", "-d", str(DATASET_ID), "-c", settings.configuration, "-np", "2", "--no_pbar")
    _train(place, settings, device)
    _predict_and_evaluate(place, settings, device)
    with place.step("Draw a slice"):
        dice = draw_result(place)
    place.report_times()
    say(f"\nMean Dice of the {settings.dataset.test_cases} test cases: {dice:.3f}")
    say(f"Picture: {place.picture}")
    return dice


def _plan(place: Workplace, settings: QuickstartSettings) -> None:
    with place.step("Check the data set and take its fingerprint"):
        place.run(
            "nnUNetv2_extract_fingerprint", "-d", str(DATASET_ID), "--verify_dataset_integrity", "-np", "2", "--no_pbar"
        )
    with place.step("Plan, then add a configuration of our own"):
        place.run("nnUNetv2_plan_experiment", "-d", str(DATASET_ID))
        place.run(
            *("nnUNetv2_plans", "derive", str(DATASET_ID), settings.configuration, "--from", "3d_fullres"),
            *("--stages", "4", "--width", str(settings.width), "--spacing", ",".join(map(str, settings.spacing))),
            *("--patch", ",".join(map(str, settings.patch_size)), "--batch", str(settings.batch_size)),
        )
        place.run("nnUNetv2_plans", "check", str(DATASET_ID))


def _train(place: Workplace, settings: QuickstartSettings, device: str) -> None:
    with place.step(f"Train {settings.epochs} short epochs with a trainer of our own"):
        text = TRAINER_FILE.format(
            name=TRAINER,
            epochs=settings.epochs,
            iterations=settings.iterations,
            validation_iterations=settings.validation_iterations,
            learning_rate=settings.learning_rate,
        )
        place.write_trainer(TRAINER, text)
        place.run(*("nnUNetv2_train", str(DATASET_ID), settings.configuration, "0", "-tr", TRAINER, "-device", device))


def _predict_and_evaluate(place: Workplace, settings: QuickstartSettings, device: str) -> None:
    images, references = place.raw / "imagesTs", place.raw / "labelsTs"
    with place.step("Predict the test cases"):
        model = ("-d", str(DATASET_ID), "-c", settings.configuration, "-f", "0", "-tr", TRAINER)
        place.run(
            *("nnUNetv2_predict", "-i", str(images), "-o", str(place.predictions), *model, "-device", device),
            "--disable_progress_bar",
        )
    with place.step("Evaluate them"):
        files = ("-djfile", str(place.predictions / "dataset.json"), "-pfile", str(place.predictions / "plans.json"))
        place.run("nnUNetv2_evaluate_folder", str(references), str(place.predictions), *files, "-np", "1")


def draw_result(place: Workplace) -> float:
    """Draw the test case with the middle Dice of label 1; returns the mean foreground Dice of all test cases."""
    from nnunetv2.demo.picture import save_case_picture
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.records.layout import SUMMARY_JSON
    from nnunetv2.records.summary import load_summary_json

    summary = load_summary_json(place.predictions / SUMMARY_JSON)
    cases = sorted(summary["metric_per_case"], key=lambda case: case["metrics"][1]["Dice"])
    case = cases[len(cases) // 2]
    name = Path(case["prediction_file"]).name.removesuffix(".nii.gz")
    reader = SimpleITKIO()
    image, properties = reader.read_images([str(place.raw / "imagesTs" / f"{name}_0000.nii.gz")])
    reference, prediction = (reader.read_seg(case[key])[0][0] for key in ("reference_file", "prediction_file"))
    title = f"{name}: Dice {case['metrics'][1]['Dice']:.2f}"
    save_case_picture(place.picture, image[0], reference, prediction, properties["spacing"], title)
    return summary["foreground_mean"]["Dice"]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the quick start."""
    parser = argparse.ArgumentParser(prog="quickstart", description="The main job from start to end on CT phantoms.")
    parser.add_argument("--folder", type=Path, default=Path("quickstart_output"), help="where everything goes")
    parser.add_argument("-device", choices=("cpu", "cuda", "mps"), default="cpu", help="where the network runs")
    args = parser.parse_args(argv)
    run_quickstart(args.folder, device=args.device)


if __name__ == "__main__":
    main()
