"""The FLARE24 flow on real CT, Dataset111_SarcomaCT: from raw images to the challenge's score.

    python -m benchmarks.sarcoma_ct --data FOLDER/Dataset111_SarcomaCT [--iterations 3] [--folder DIR] [-device cpu]

Shows that every step works on real data, not that three iterations make a good network. Runs the same commands as the
README, with a trainer that shortens the FLARE24 one; prints the time of each step, the score and the path of a picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunetv2.demo.quickstart import draw_result
from nnunetv2.demo.workplace import Workplace, say
from nnunetv2.utilities.dataset_name_id_conversion import convert_dataset_name_to_id

CONFIGURATION = "3d_fullres_S4D2W32"
TRAINER = "nnUNetTrainer_ShortFLARE24"

TRAINER_FILE = '''"""The FLARE24 trainer, stopped after a few iterations."""

import torch

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer_varianst import nnUNetTrainer_Epoch2000_Lr1e3


class {name}(nnUNetTrainer_Epoch2000_Lr1e3):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device=device)
        self.num_epochs = 1
        self.num_iterations_per_epoch = {iterations}
        self.num_val_iterations_per_epoch = 1
'''


def run(data: Path, folder: Path, iterations: int, device: str) -> float:
    """All steps in ``folder``; returns the Dice of the test case."""
    place = Workplace(folder, data.name)
    number = str(convert_dataset_name_to_id(data.name))
    place.clear()
    place.raw.parent.mkdir(parents=True, exist_ok=True)
    place.raw.symlink_to(data.resolve())
    with place.step("Fingerprint and plans"):
        place.run("nnUNetv2_extract_fingerprint", "-d", number, "--verify_dataset_integrity", "--no_pbar")
        place.run("nnUNetv2_plan_experiment", "-d", number)
    with place.step("Plans edit"):
        edit = ("--stages", "4", "--width", "32", "--spacing", "3,2,2", "--patch", "96,128,128", "--batch", "2")
        place.run("nnUNetv2_plans", "derive", number, CONFIGURATION, "--from", "3d_fullres", *edit)
        place.run("nnUNetv2_plans", "check", number)
    with place.step("Preprocessing"):
        place.run("nnUNetv2_preprocess", "-d", number, "-c", CONFIGURATION, "-np", "2", "--no_pbar")
    with place.step(f"Training, {iterations} iterations"):
        place.write_trainer(TRAINER, TRAINER_FILE.format(name=TRAINER, iterations=iterations))
        # The final validation would predict all training cases once more.
        place.run(
            "nnUNetv2_train", number, CONFIGURATION, "all", "-tr", TRAINER, "-device", device, "--skip_validation"
        )
    with place.step("Prediction"):
        model = ("-d", number, "-c", CONFIGURATION, "-f", "all", "-tr", TRAINER, "-device", device)
        place.run("nnUNetv2_predict", "-i", str(place.raw / "imagesTs"), "-o", str(place.predictions), *model)
    with place.step("Evaluation"):
        files = ("-djfile", str(place.predictions / "dataset.json"), "-pfile", str(place.predictions / "plans.json"))
        place.run("nnUNetv2_evaluate_folder", str(place.raw / "labelsTs"), str(place.predictions), *files)
        place.run("nnUNetv2_evaluate_flare", str(place.raw / "labelsTs"), str(place.predictions))
    dice = draw_result(place)
    place.report_times()
    say(f"\nDice {dice:.3f} after {iterations} iterations\nPicture: {place.picture}")
    return dice


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="raw data set, Dataset111_SarcomaCT")
    parser.add_argument("--folder", type=Path, default=Path("sarcoma_output"), help="where everything goes")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("-device", choices=("cpu", "cuda", "mps"), default="cpu")
    arguments = parser.parse_args()
    run(arguments.data, arguments.folder, arguments.iterations, arguments.device)
