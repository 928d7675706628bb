"""Everything in the package that takes a plans file or another document by path, for fuzzing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.readers import DATASET_JSON, FORMATS, fingerprint, plans, splits


def _names(content: Any) -> list[str]:
    configurations = content.get("configurations") if isinstance(content, Mapping) else None
    return list(configurations) if isinstance(configurations, Mapping) else []


def _check(path: Path) -> None:
    from nnunetv2.experiment_planning.plans_checks.check import check_plans_file

    for finding in check_plans_file(path, dataset_json=DATASET_JSON, fingerprint=fingerprint(), plans_name="plans"):
        json.dumps(finding.to_json())
        str(finding)


def _before_work(path: Path) -> None:
    from nnunetv2.experiment_planning.plans_checks.at_start import check_before_work
    from nnunetv2.records.files import read_json

    content = read_json(path)
    for purpose in ("preprocess", "train", "predict"):
        check_before_work(content, str(path), _names(content), purpose, DATASET_JSON)


def _manager(path: Path) -> None:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(str(path))
    for name in _names(manager.plans):
        manager.get_configuration(name)


def _settings(path: Path) -> None:
    """What a preprocessed case is compared with, once the check has let the plans pass."""
    from nnunetv2.experiment_planning.plans_checks.at_start import check_before_work
    from nnunetv2.records.files import read_json
    from nnunetv2.storage.made_from import settings_of

    content = read_json(path)
    for name in _names(content):
        check_before_work(content, str(path), [name], "preprocess", DATASET_JSON)
        settings_of(content, name, DATASET_JSON)


def _command(*words: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point

        plans_entry_point([words[0], str(path), *words[1:]])

    return run


def _read(name: str) -> Callable[[Path], None]:
    return lambda path: FORMATS[name].read(path)


def _description(path: Path) -> None:
    from nnunetv2.experiment_planning.integrity_of_description import check_description
    from nnunetv2.records.files import read_json

    content = read_json(path)
    if isinstance(content, dict):
        for finding in check_description(content, str(path)).findings:
            str(finding)


def _labels(path: Path) -> None:
    """Labels as prediction and training look at them."""
    from nnunetv2.records.dataset_json import DatasetJson
    from nnunetv2.records.files import read_json
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    content = read_json(path)
    DatasetJson.from_json(content, str(path))
    manager = PlansManager(plans()).get_label_manager(content)
    assert manager.num_segmentation_heads > 0


OTHER_DOCUMENTS: dict[str, Any] = {
    "dataset": DATASET_JSON,
    "splits": splits(),
    "fingerprint": fingerprint(),
}

READERS: dict[str, list[Callable[[Path], None]]] = {
    "plans": [
        _check,
        _before_work,
        _manager,
        _settings,
        _command("check"),
        _command("show"),
        _command("derive", "mine", "--from", "3d_fullres", "--stages", "2", "--dry_run"),
    ],
    "dataset": [_read("json, data set"), _description, _labels],
    "splits": [_read("json, splits")],
    "fingerprint": [_read("json, fingerprint")],
}
