"""Data sets that consist of a fingerprint and dataset.json only: all that planning needs."""

from __future__ import annotations

import json
from pathlib import Path

STATISTICS = {
    "max": 100.5,
    "mean": 10.25,
    "median": 9.0,
    "min": -50.0,
    "percentile_00_5": -20.0,
    "percentile_99_5": 60.0,
    "std": 12.5,
}

BASE = {"relative_size": 1.0, "num_training": 4, "labels": 2, "channels": ["CT"]}

# The data sets of the published planning results. ``labels`` counts entries, background included.
GOLDEN_CASES = {
    "G1": {
        "spacings": [[5, 0.8, 0.8], [3, 0.7, 0.7], [2.5, 0.9, 0.9]],
        "shapes": [[60, 512, 512], [110, 512, 512], [140, 512, 512]],
        "labels": 3,
        "num_training": 3,
    },
    "G2": {
        "spacings": [[1, 1, 1]] * 4,
        "shapes": [[137, 171, 138], [140, 170, 136], [139, 172, 139], [138, 169, 137]],
        "labels": 4,
        "channels": ["T1", "T1gd", "T2", "FLAIR"],
        "num_training": 400,
        "relative_size": 0.28,
    },
    "G3": {
        "spacings": [[999, 1, 1]] * 3,
        "shapes": [[1, 1500, 1500]] * 3,
        "labels": 2,
        "channels": ["R", "G", "B"],
        "num_training": 800,
    },
    "G4": {
        "spacings": [[1, 1, 1]] * 4,
        "shapes": [[36, 50, 35], [34, 52, 36], [37, 49, 35], [35, 51, 38]],
        "labels": 3,
        "channels": ["MRI"],
        "num_training": 260,
    },
    "G5": {
        "spacings": [[10, 1.5, 1.5], [5, 1.4, 1.4], [10, 1.3, 1.3], [10, 1.6, 1.6], [6, 1.5, 1.5]],
        "shapes": [[9, 216, 256], [18, 232, 256], [10, 224, 224], [9, 208, 256], [15, 256, 216]],
        "labels": 4,
        "channels": ["cineMRI"],
        "num_training": 200,
    },
    "G6": {
        "spacings": [[0.7, 0.7, 3], [0.8, 0.8, 2], [0.75, 0.75, 5]],
        "shapes": [[512, 512, 100], [512, 512, 150], [512, 512, 60]],
        "labels": 2,
        "num_training": 30,
    },
}


def write_planning_dataset(folders: dict[str, Path], spacings, shapes, name: str = "Dataset555_Plan", **changes) -> str:
    """Write dataset.json and the fingerprint of a data set without images; returns its name."""
    settings = BASE | changes
    raw, preprocessed = folders["nnUNet_raw"] / name, folders["nnUNet_preprocessed"] / name
    raw.mkdir(exist_ok=True)
    preprocessed.mkdir(exist_ok=True)
    dataset_json = {
        "channel_names": {str(i): channel for i, channel in enumerate(settings["channels"])},
        "labels": {"background" if i == 0 else f"part_{i}": i for i in range(settings["labels"])},
        "numTraining": settings["num_training"],
        "file_ending": ".nii.gz",
        # No image exists, so none can be tried.
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": {f"case_{i}": {"images": [f"{i}.nii.gz"], "label": f"{i}_seg.nii.gz"} for i in range(len(shapes))},
    }
    (raw / "dataset.json").write_text(json.dumps(dataset_json))
    fingerprint = {
        "foreground_intensity_properties_per_channel": {str(i): STATISTICS for i, _ in enumerate(settings["channels"])},
        "median_relative_size_after_cropping": settings["relative_size"],
        "shapes_after_crop": shapes,
        "spacings": spacings,
    }
    (preprocessed / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    return name
