"""Train ours and upstream on the same data, and compare loss curves and the final validation Dice.

    python -m benchmarks.learning UPSTREAM_PYTHON --data FOLDER [--epochs 2 --iterations 250]

Both run the same trainer subclass (written by this script into a folder named in nnUNet_extTrainer), which records the
loss of every iteration. Both start from random weights of their own, so the curves agree within noise, not exactly.
Writes losses.json and learning.png into the work folder and prints the mean validation Dice of both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.side_by_side import Implementation, arguments, link_dataset

TRAINER = """
import json
from os.path import join
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainer_recorded(nnUNetTrainer):
    def initialize(self):
        super().initialize()
        self.num_epochs = {epochs}
        self.num_iterations_per_epoch = {iterations}
        self.num_val_iterations_per_epoch = {validations}
        self.recorded = {{"train": [], "val": []}}
        self.optimizer, self.lr_scheduler = self.configure_optimizers()

    def train_step(self, batch):
        result = super().train_step(batch)
        self.recorded["train"].append(float(result["loss"]))
        return result

    def validation_step(self, batch):
        result = super().validation_step(batch)
        self.recorded["val"].append(float(result["loss"]))
        return result

    def on_epoch_end(self):
        super().on_epoch_end()
        with open(join(self.output_folder, "recorded.json"), "w") as stream:
            json.dump(self.recorded, stream)
"""


def train(implementation: Implementation, dataset: int, configuration: str, fold: str) -> dict:
    """Prepare and train; returns the losses per iteration, the Dice and the wall time of the training command.

    A result of an earlier run in the same work folder is used again.
    """
    done = implementation.work / f"result_{configuration}_fold_{fold}.json"
    if done.exists():
        return json.loads(done.read_text())
    number = str(dataset)
    log = implementation.work / "logs"
    if not list(implementation.preprocessed.glob(f"*/nnUNetPlans_{configuration}")):
        implementation.command(
            "nnUNetv2_plan_and_preprocess",
            "-d",
            number,
            "-c",
            configuration,
            "-np",
            "2",
            "-npfp",
            "2",
            log=log / "prepare.txt",
        )
    words = ["nnUNetv2_train", number, configuration, fold, "-tr", "nnUNetTrainer_recorded", "-device", "cpu"]
    if list(implementation.results.glob(f"*/nnUNetTrainer_recorded__*/fold_{fold}/checkpoint_final.pth")):
        words.append("--val")  # an earlier call was interrupted in the final validation
    seconds = implementation.command(*words, log=log / "train.txt")
    folder = next(implementation.results.glob(f"*/nnUNetTrainer_recorded__nnUNetPlans__{configuration}/fold_{fold}"))
    summary = json.loads((folder / "validation" / "summary.json").read_text())
    result = {
        **json.loads((folder / "recorded.json").read_text()),
        "dice": summary["foreground_mean"]["Dice"],
        "dice_per_label": {label: values["Dice"] for label, values in summary["mean"].items()},
        "seconds": seconds,
    }
    done.write_text(json.dumps(result))
    return result


def draw(results: dict[str, dict], path: Path, window: int = 20) -> None:
    """Loss of every iteration (thin) and its running mean (thick) of all runs in one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, result), colour in zip(results.items(), ("tab:blue", "tab:red")):
        losses = np.array(result["train"])
        mean = np.convolve(losses, np.ones(window) / window, mode="valid")
        axes.plot(losses, color=colour, alpha=0.2, linewidth=0.8)
        axes.plot(
            np.arange(len(mean)) + window - 1, mean, color=colour, label=f"{name}: validation Dice {result['dice']:.4f}"
        )
    axes.set(
        xlabel="iteration", ylabel=f"training loss (thick: mean of {window})", title="Same data, same trainer subclass"
    )
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    parser = arguments("Train ours and upstream side by side.")
    parser.add_argument("--dataset", default="Dataset004_Hippocampus", help="raw data set folder below --data")
    parser.add_argument("--configuration", default="3d_fullres")
    parser.add_argument("--fold", default="1")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=250)
    parser.add_argument("--validations", type=int, default=25)
    parser.add_argument("--only", choices=("ours", "upstream"), help="train only one, and compare in a later call")
    given = parser.parse_args()
    trainers = given.work.resolve() / "trainers"
    trainers.mkdir(parents=True, exist_ok=True)
    text = TRAINER.format(epochs=given.epochs, iterations=given.iterations, validations=given.validations)
    (trainers / "recorded_trainer.py").write_text(text)
    results = {}
    for name, python in (("ours", Path(sys.executable)), ("upstream", given.upstream_python)):
        variables = {"nnUNet_extTrainer": str(trainers), "nnUNet_n_proc_DA": "2", "nnUNet_def_n_proc": "2"}
        if given.only not in (None, name):
            continue
        implementation = Implementation(name, python, given.work.resolve() / name, variables)
        link_dataset(implementation, given.data / given.dataset)
        results[name] = train(implementation, int(given.dataset[7:10]), given.configuration, given.fold)
        last = np.mean(results[name]["train"][-50:])
        print(
            f"{name}: validation Dice {results[name]['dice']:.4f} {results[name]['dice_per_label']}, "
            f"mean loss of the last 50 iterations {last:.4f}, {results[name]['seconds']:.0f} s",
            flush=True,
        )
    if given.only:
        return
    (given.work / "losses.json").write_text(json.dumps(results))
    draw(results, given.work / "learning.png")
    difference = abs(results["ours"]["dice"] - results["upstream"]["dice"])
    print(f"difference of the mean validation Dice: {difference:.4f}; picture: {given.work / 'learning.png'}")


if __name__ == "__main__":
    main()
