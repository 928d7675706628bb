"""metrics.csv: one line per epoch."""

from __future__ import annotations

import csv

from nnunetv2.training.logging.metrics_csv import metrics_rows, write_metrics_csv


def test_lists_become_one_column_per_class_and_missing_values_stay_empty(tmp_path):
    values = {"lrs": [0.1, 0.2], "dice_per_class_or_region": [[0.5, 0.75]], "train_losses": []}
    write_metrics_csv(values, tmp_path / "metrics.csv")
    with open(tmp_path / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    prefix = "dice_per_class_or_region/class_"
    assert rows == [
        {"epoch": "0", "lrs": "0.1", f"{prefix}1": "0.5", f"{prefix}2": "0.75"},
        {"epoch": "1", "lrs": "0.2", f"{prefix}1": "", f"{prefix}2": ""},
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.csv"]


def test_no_epochs_give_no_rows(tmp_path):
    assert metrics_rows({"lrs": []}) == []
    write_metrics_csv({"lrs": []}, tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_text().strip() == ""
