"""Stand-ins for the commands of nnU-Net: they write files of the right names at once, and record their calls.

Run as ``python stand_ins.py COMMAND ARGUMENTS``. ``fail`` in the project names a command that ends with status 3.
"""

import json
import os
import sys
from pathlib import Path

CONFIGURATIONS = {
    "2d": {"data_identifier": "p_2d"},
    "3d_lowres": {"data_identifier": "p_3d_lowres", "next_stage": "3d_cascade_fullres"},
    "3d_fullres": {"data_identifier": "p_3d_fullres"},
    "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
}
DATASET = "Dataset100_Heart"


def value(words, flag, count=1):
    """What follows a flag: one word, or all up to the next flag."""
    rest = words[words.index(flag) + 1 :]
    end = next((i for i, word in enumerate(rest) if word.startswith("-")), len(rest))
    return rest[0] if count == 1 else rest[:end]


def write(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


def folder_of(variable):
    return Path(os.environ[variable], DATASET)


def cases(name, cut):
    return sorted(path.name[:-cut] for path in (folder_of("nnUNet_raw") / name).iterdir())


def model(configuration):
    return folder_of("nnUNet_results") / f"nnUNetTrainer__nnUNetPlans__{configuration}"


def plan_and_preprocess(words):
    write(folder_of("nnUNet_preprocessed"), "dataset_fingerprint.json")
    plans = {"configurations": CONFIGURATIONS}
    (folder_of("nnUNet_preprocessed") / "nnUNetPlans.json").write_text(json.dumps(plans))


def preprocess(words):
    configuration = value(words, "-c")
    folder = folder_of("nnUNet_preprocessed")
    identifier = CONFIGURATIONS[configuration].get("data_identifier", "p_3d_fullres")
    for case in cases("labelsTr", 7):
        write(folder / identifier, *(case + ending for ending in (".b2nd", "_seg.b2nd", ".pkl")))
        write(folder / "gt_segmentations", case + ".nii.gz")


def train(words):
    configuration, fold = words[1:3]
    everything = cases("labelsTr", 7)
    split = [{"train": everything, "val": everything[i::2]} for i in range(2)]
    (folder_of("nnUNet_preprocessed") / "splits_final.json").write_text(json.dumps(split))
    folder = model(configuration) / f"fold_{fold}"
    write(model(configuration), "plans.json", "dataset.json")
    if "--val" not in words:
        write(folder, "checkpoint_final.pth")
    if os.path.exists("die_before_validation"):
        os.remove("die_before_validation")
        sys.exit(3)
    for case in split[int(fold)]["val"]:
        write(folder / "validation", *(case + ending for ending in (".nii.gz", ".npz", ".pkl")))
        if "next_stage" in CONFIGURATIONS[configuration]:
            write(model(configuration) / "predicted_next_stage" / "3d_cascade_fullres", case + ".b2nd")
    write(folder / "validation", "summary.json")


def find_best_configuration(words):
    results = folder_of("nnUNet_results")
    members = value(words, "-c", count=2)
    write(model(members[0]) / "crossval_results_folds_0_1", "postprocessing.pkl")
    best = {
        "selected_model_or_models": [{"configuration": member} for member in members[-2:]],
        "postprocessing_file": str(model(members[0]) / "crossval_results_folds_0_1" / "postprocessing.pkl"),
    }
    (results / "inference_information.json").write_text(json.dumps({"best_model_or_ensemble": best}))


def predict(words):
    endings = (".nii.gz", ".npz", ".pkl") if "--save_probabilities" in words else (".nii.gz",)
    for case in cases("imagesTs", 12):
        write(Path(value(words, "-o")), *(case + ending for ending in endings))


def ensemble(words):
    write(Path(value(words, "-o")), *(case + ".nii.gz" for case in cases("imagesTs", 12)))


apply_postprocessing = ensemble

if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    with open("calls", "a") as stream:
        stream.write(" ".join([command, *arguments]) + "\n")
    if os.path.exists("fail") and Path("fail").read_text() == command:
        sys.exit(3)
    globals()[command](arguments)
