"""The trackers chosen by the environment, with the real packages where they are installed."""

from __future__ import annotations

import json
import math
import sys
from types import SimpleNamespace

import pytest
import torch

from nnunetv2.errors import UsageError
from nnunetv2.training.debug_information import debug_information
from nnunetv2.training.logging import nnunet_logger, trackers
from nnunetv2.training.logging.cluster_job import job_id
from nnunetv2.training.logging.nnunet_logger import MetaLogger


@pytest.fixture(autouse=True)
def outside_of_a_cluster(monkeypatch):
    for name in ("SLURM_JOB_ID", "LSB_JOBID", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


class Recorder:
    opened: list[tuple] = []  # noqa: RUF012

    def __init__(self, output_folder, resume):
        self.values, self.config = {}, {}
        Recorder.opened.append((output_folder, resume))

    def log(self, key, value, step):
        self.values[key, step] = value

    def log_summary(self, key, value):
        self.values[key] = value

    def update_config(self, config):
        self.config.update(config)


class Failing(Recorder):
    calls = 0

    def log(self, key, value, step):
        Failing.calls += 1
        raise ConnectionError("the server is gone")


class NotStarting(Recorder):
    def __init__(self, output_folder, resume):
        raise ConnectionError("nobody is logged in")


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(Recorder, "opened", [])
    monkeypatch.setattr(Failing, "calls", 0)
    here = {name: f"{__name__}:{name}" for name in ("Recorder", "Failing", "NotStarting")}
    monkeypatch.setattr(trackers, "TRACKERS", {name.lower(): place for name, place in here.items()})


def log_epochs(logger: MetaLogger, epochs=range(2)) -> None:
    for epoch in epochs:
        logger.log("lrs", 0.1 * epoch, epoch)
        logger.log("dice_per_class_or_region", [0.25, math.nan], epoch)
    logger.log_summary("final_val/class_(1, 2)_dice", 0.5)
    logger.update_config({"plans": {"patch": [1, 2]}, "fold": 0, "hparas": {"initial_lr": 0.01}})


def test_none_is_chosen_by_default(tmp_path):
    assert trackers.chosen_trackers() == []
    assert MetaLogger(tmp_path, False).loggers == []


def test_names_are_separated_by_commas_and_wandb_has_a_switch_of_its_own(monkeypatch):
    monkeypatch.setenv("nnUNet_trackers", " TensorBoard,mlflow ,")
    assert trackers.chosen_trackers() == ["tensorboard", "mlflow"]
    monkeypatch.setenv("nnUNet_wandb_enabled", "1")
    assert trackers.chosen_trackers() == ["tensorboard", "mlflow", "wandb"]
    monkeypatch.setenv("nnUNet_trackers", "wandb")
    assert trackers.chosen_trackers() == ["wandb"]


def test_unknown_names_end_the_training_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_trackers", "tensorbord")
    with pytest.raises(UsageError, match="names tensorbord; known are tensorboard, wandb, mlflow"):
        MetaLogger(tmp_path, False)


@pytest.mark.parametrize(
    ("name", "module"),
    [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb"), ("mlflow", "mlflow.tracking")],
)
def test_a_missing_package_is_named_with_its_extra(name, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("nnUNet_trackers", name)
    with pytest.raises(UsageError, match=rf"nnunetv2\[{name}\]"):
        MetaLogger(tmp_path, False)


def test_the_table_opens_trackers_and_tells_them_the_job(tmp_path, monkeypatch, table):
    monkeypatch.setenv("nnUNet_trackers", "recorder")
    monkeypatch.setenv("LSB_JOBID", "17")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    logger = MetaLogger(tmp_path, True)
    log_epochs(logger)
    (recorder,) = logger.loggers
    assert Recorder.opened == [(str(tmp_path), True)]
    assert recorder.config["JobID"] == "4711"
    assert recorder.values["lrs", 1] == 0.1


def test_a_tracker_that_fails_is_reported_once_and_the_others_go_on(tmp_path, monkeypatch, table, caplog):
    monkeypatch.setenv("nnUNet_trackers", "failing,notstarting,recorder")
    logger = MetaLogger(tmp_path, False)
    log_epochs(logger)
    (recorder,) = logger.loggers
    assert type(recorder) is Recorder
    assert recorder.values["lrs", 1] == 0.1
    assert Failing.calls == 1
    assert caplog.text.count("the server is gone") == 1
    assert caplog.text.count("training without notstarting") == 1
    assert logger.get_value("lrs") == [0.0, 0.1]


def test_other_ranks_open_none(tmp_path, monkeypatch, table):
    monkeypatch.setattr(nnunet_logger, "rank", lambda: 1)
    monkeypatch.setenv("nnUNet_trackers", "recorder")
    assert MetaLogger(tmp_path, False).loggers == []
    assert Recorder.opened == []


def test_the_job_is_in_debug_json(monkeypatch):
    trainer = SimpleNamespace(network=None)
    assert "JobID" not in debug_information(trainer, torch.device("cpu"), False)
    monkeypatch.setenv("LSB_JOBID", "17")
    assert job_id() == "17"
    assert debug_information(trainer, torch.device("cpu"), False)["JobID"] == "17"


# The packages themselves


def test_tensorboard_files_hold_the_values_and_a_resumed_training_replaces_repeated_epochs(tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("nnUNet_trackers", "tensorboard")
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "of_an_earlier_training").touch()
    log_epochs(MetaLogger(tmp_path, False), range(3))
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.value for event in events.Scalars("final_val/class_(1, 2)_dice")] == [0.5]
    resumed = MetaLogger(tmp_path, True)
    resumed.my_fantastic_logging["lrs"] = [0.0, 0.1]
    resumed.log("lrs", 7.0, 2)
    assert not (tmp_path / "tensorboard" / "of_an_earlier_training").exists()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    points = [(event.step, event.value) for event in events.Scalars("lrs")]
    assert points == [(0, 0.0), (1, pytest.approx(0.1)), (2, 7.0)]


@pytest.mark.slow
def test_mlflow_keeps_one_run_per_training(tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("nnUNet_trackers", "mlflow")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log_epochs(MetaLogger(tmp_path, False))
    resumed = MetaLogger(tmp_path, True)
    resumed.my_fantastic_logging["lrs"] = [0.0, 0.1]
    resumed.log("lrs", 7.0, 2)
    client = tracking.MlflowClient((tmp_path / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("nnunet").experiment_id])
    history = client.get_metric_history(run.info.run_id, "lrs")
    assert [(point.step, point.value) for point in history] == [(0, 0.0), (1, 0.1), (2, 7.0)]
    assert run.data.metrics["final_val/class__1_ 2__dice"] == 0.5
    assert run.data.tags["JobID"] == "4711"
    assert run.data.tags["hparas/initial_lr"] == "0.01"
    (plans,) = client.list_artifacts(run.info.run_id)
    assert plans.path == "plans.json"


@pytest.mark.slow
def test_wandb_writes_a_run_without_a_server_and_continues_it(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("nnUNet_wandb_enabled", "1")
    monkeypatch.setenv("nnUNet_wandb_mode", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    logger = MetaLogger(tmp_path, False)
    (tracker,) = logger.loggers
    log_epochs(logger)
    assert (dict(tracker.run.config)["JobID"], tracker.run.offline) == ("4711", True)
    first = tracker.run.id
    wandb.finish()
    assert len(list(tmp_path.glob(f"wandb/offline-run-*-{first}/run-{first}.wandb"))) == 1
    (resumed,) = MetaLogger(tmp_path, True).loggers
    assert resumed.run.id == first
    wandb.finish()


def test_settings_are_json_in_tensorboard(tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("nnUNet_trackers", "tensorboard")
    MetaLogger(tmp_path, False).update_config({"hparas": {"initial_lr": 0.01}})
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (text,) = events.Tensors("hparas/text_summary")
    content = text.tensor_proto.string_val[0].decode().strip("`\n")
    assert json.loads(content) == {"initial_lr": 0.01}
