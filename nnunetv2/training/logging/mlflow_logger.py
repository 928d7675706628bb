"""MLflow as an additional place for logged values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.errors import UsageError
from nnunetv2.records.files import atomic_path

_EXPERIMENT, _SERVER = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI"
# MLflow 3 refuses plain files as a store unless this is set; every other store needs a server or more packages.
_ALLOW_FILES = "MLFLOW_ALLOW_FILE_STORE"
RUN_ID_FILE = "mlflow_run_id.txt"
LONGEST_PARAMETER = 500


class MlflowLogger:
    """A run named like the output folder; its id is kept there, so that ``resume`` continues it.

    MLflow's own variables choose server (``MLFLOW_TRACKING_URI``; default: files in ``mlruns`` in the output folder)
    and experiment (``MLFLOW_EXPERIMENT_NAME``; default nnunet).
    """

    def __init__(self, output_folder: str | os.PathLike, resume: bool):
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise UsageError(
                "MLflow was asked for, but the package mlflow is not installed: pip install 'nnunetv2[mlflow]'"
            ) from error
        folder = Path(output_folder).resolve()
        if not os.environ.get(_SERVER):
            os.environ.setdefault(_ALLOW_FILES, "true")
        self._client = MlflowClient(os.environ.get(_SERVER) or (folder / "mlruns").as_uri())
        note = folder / RUN_ID_FILE
        if resume and note.is_file():
            self.run_id = note.read_text().strip()
            return
        run = self._client.create_run(self._experiment(), run_name="/".join(folder.parts[-3:]))
        self.run_id = run.info.run_id
        with atomic_path(note) as temporary:
            temporary.write_text(self.run_id + "\n")

    def _experiment(self) -> str:
        name = os.environ.get(_EXPERIMENT) or "nnunet"
        found = self._client.get_experiment_by_name(name)
        return self._client.create_experiment(name) if found is None else found.experiment_id

    def log(self, key: str, value: Any, step: int) -> None:
        """Add a point to the curve ``key``."""
        self._client.log_metric(self.run_id, _name(key), value, step=step)

    def log_summary(self, key: str, value: Any) -> None:
        """Set a value of the whole training."""
        self._client.log_metric(self.run_id, _name(key), value)

    def update_config(self, config: Mapping[str, Any]) -> None:
        """Store short entries as tags (parameters cannot be changed by a resumed run), long ones as JSON files."""
        for key, value in _flat(config).items():
            if isinstance(value, Mapping) or len(str(value)) > LONGEST_PARAMETER:
                self._client.log_dict(self.run_id, value, f"{_name(key)}.json")
            else:
                self._client.set_tag(self.run_id, _name(key), value)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with small dictionaries of plain values, such as the hyperparameters, as entries of their own."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        simple = isinstance(value, Mapping) and not any(isinstance(v, (Mapping, list, tuple)) for v in value.values())
        flat |= {f"{key}/{name}": entry for name, entry in value.items()} if simple else {key: value}
    return flat


def _name(key: str) -> str:
    """``key`` with the characters MLflow refuses, such as the brackets of a region, as underscores."""
    return re.sub(r"[^\w\-. /:]", "_", key)
