"""Worker processes that are killed: in the pool of every stage, while they load batches, and with a loaded model."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nnunetv2.errors import WorkerError
from nnunetv2.evaluation.commands import evaluate_folder_entry_point
from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import extract_fingerprint_entry, preprocess_entry
from nnunetv2.inference import folder_of_cases
from nnunetv2.inference.predictor_process import PredictorProcess
from nnunetv2.postprocessing.commands import determine_postprocessing_entry_point
from nnunetv2.run import run_training
from nnunetv2.training.checkpoint import read_checkpoint
from nnunetv2.training.dataloading.augmenters import start_augmenters, stop_augmenters
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tests.conftest import write_tiny_dataset
from tests.faults.counts import count
from tests.faults.worker_kills import killed_with
from tests.flare24.image import CONFIGURATION, shrunk_model, write_case
from tests.training.dataloading.test_augmenters import loader
from tests.training.tiny_fixtures import preprocessed, preprocessed_template, tiny_trainer_by_name  # noqa: F401
from tests.training.tiny_training import DATASET, tiny_plans

CASES = [f"tiny_{number:03d}" for number in range(4)]
SEED = 20261125
FIGURES = r"signal SIGKILL \(most likely for lack of memory\)\. Its memory peak was at least \d+\.\d\d GiB; "


@dataclass(frozen=True)
class Stage:
    """A command with a pool of workers, the folder it writes to, and the files it makes of each case."""

    run: Callable[[], None]
    output: Path
    products: Callable[[], set[str]]
    all_products: set[str]


@pytest.fixture
def raw(folders) -> Path:
    raw = write_tiny_dataset(folders["nnUNet_raw"], cases=len(CASES), shape=(10, 13, 12))
    base = folders["nnUNet_preprocessed"] / DATASET
    base.mkdir()
    shutil.copy(raw / "dataset.json", base)
    (base / "nnUNetPlans.json").write_text(json.dumps(tiny_plans()))
    return raw


def fingerprint(raw: Path, base: Path) -> Stage:
    def products():
        return {path.stem for path in base.rglob("tiny_*.json")} | {p.stem for p in base.rglob("tiny_*.npz")}

    command = ["-d", "997", "-np", "2", "--no_pbar"]
    return Stage(lambda: extract_fingerprint_entry(command), base, products, set(CASES))


def preprocessing(raw: Path, base: Path) -> Stage:
    folder = base / "nnUNetPlans_tiny"
    return Stage(
        lambda: preprocess_entry(["-d", "997", "-c", "tiny", "-np", "2", "--no_pbar"]),
        folder,
        lambda: {path.stem for path in folder.glob("tiny_???.b2nd")},
        set(CASES),
    )


def predictions_of(raw: Path, base: Path) -> Path:
    folder = base.parent.parent / "predictions"
    shutil.copytree(raw / "labelsTr", folder)
    return folder


def documents(base: Path) -> dict[str, str]:
    return {"dataset": str(base / "dataset.json"), "plans": str(base / "nnUNetPlans.json")}


def evaluation(raw: Path, base: Path) -> Stage:
    folder, files = predictions_of(raw, base), documents(base)
    command = [str(raw / "labelsTr"), str(folder), "-djfile", files["dataset"], "-pfile", files["plans"], "-np", "2"]
    return Stage(
        lambda: evaluate_folder_entry_point(command),
        folder,
        lambda: {path.name for path in folder.glob("summary.json")},
        {"summary.json"},
    )


def postprocessing(raw: Path, base: Path) -> Stage:
    folder, files = predictions_of(raw, base), documents(base)
    evaluation_command = [str(raw / "labelsTr"), str(folder), "-djfile", files["dataset"], "-pfile", files["plans"]]
    evaluate_folder_entry_point(evaluation_command)
    command = ["-i", str(folder), "-ref", str(raw / "labelsTr"), "-np", "2", "--remove_postprocessed"]
    command += ["-plans_json", files["plans"], "-dataset_json", files["dataset"]]
    return Stage(
        lambda: determine_postprocessing_entry_point(command),
        folder,
        lambda: {path.name for path in folder.glob("postprocessing.json")},
        {"postprocessing.json"},
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage_of", [fingerprint, preprocessing, evaluation, postprocessing])
def test_a_case_that_kills_its_worker_is_named_and_the_others_are_done(stage_of, raw, folders, capsys, figures):
    stage = stage_of(raw, folders["nnUNet_preprocessed"] / DATASET)
    kills, choose = count("kills of a worker"), random.Random(SEED)
    for _ in range(kills):
        victim = choose.choice(CASES)
        with killed_with(victim) as killed, pytest.raises(SystemExit) as stop:
            stage.run()
        message = capsys.readouterr().err
        assert (stop.value.code, len(killed)) == (1, 2), message
        assert re.search(
            rf"1 of 4 cases failed, the others are done\.\n  {victim}\S*: WorkerError: .*{FIGURES}", message
        )
        assert re.search(r"killed twice.*\(-np.*nnUNet_def_n_proc\).*its files: \d+\.\d MiB", message)
        listing = json.loads((stage.output / "failed_cases.json").read_text())
        ((_, entry),) = listing.items()
        assert (entry["total"], [name[:8] for name in entry["failed"]]) == (4, [victim])
        if len(stage.all_products) > 1:
            assert stage.products() == stage.all_products - {victim}
        stage.run()
        assert not (stage.output / "failed_cases.json").exists()
        assert stage.products() == stage.all_products
        forget_products(stage)
    figures(f"worker SIGKILL, {stage_of.__name__}", kills, "3 of 4 cases done, the killed one named; next run complete")


def forget_products(stage: Stage) -> None:
    for path in [*stage.output.rglob("tiny_*"), *stage.output.rglob("dataset_fingerprint.json")]:
        if "predictions" not in path.parts and path.is_file():
            path.unlink()
    for name in stage.all_products - set(CASES):
        (stage.output / name).unlink()
    for name in ("summary.json",) if "postprocessing.json" in stage.all_products else ():
        assert (stage.output / name).is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_killed_once_costs_nothing_but_time(raw, folders, capsys, figures):
    stage = preprocessing(raw, folders["nnUNet_preprocessed"] / DATASET)
    kills, choose, hit = count("kills of a worker"), random.Random(SEED), 0
    for number in range(kills):
        with killed_with(choose.choice(CASES), times=1, delay=0.02 * (number % 2)) as killed:
            stage.run()
            time.sleep(0.1)
        assert len(killed) == 1
        hit += "SIGKILL" in capsys.readouterr().out
        assert stage.products() == stage.all_products
        assert not (stage.output / "failed_cases.json").exists()
        forget_products(stage)
    assert hit >= (kills + 1) // 2
    figures("worker SIGKILL once, preprocessing", kills, f"all cases done; {hit} kills hit a case, which was repeated")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [None, 3], ids=["any order", "in turn"])
def test_a_killed_loader_worker_is_an_error_within_seconds(seed, figures):
    kills, choose, longest = 2 * count("kills of a worker"), random.Random(SEED), 0.0
    for _ in range(kills):
        augmenters = start_augmenters(loader(seed=seed), loader(), 3, pin_memory=False)
        process = choose.choice(augmenters[0]._processes)
        try:
            threading.Timer(choose.uniform(0, 0.3), process.kill).start()
            start = time.monotonic()
            with pytest.raises(
                WorkerError, match=rf"worker \d of 3 \(process {process.pid}\) was ended by the {FIGURES}"
            ):
                while time.monotonic() < start + 10:
                    next(augmenters[0])
            longest = max(longest, time.monotonic() - start)
            with pytest.raises(WorkerError, match="nnUNet_n_proc_DA"):
                next(augmenters[0])
        finally:
            stop_augmenters(*augmenters)
    order = "any order" if seed is None else "in turn"
    figures(f"worker SIGKILL, loader ({order})", kills, f"all named, the latest after {longest:.1f} s")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_whose_loader_worker_is_killed_saves_ends_and_goes_on(
    preprocessed,
    tiny_trainer_by_name,
    folders,
    monkeypatch,
    capsys,
    figures,
):
    monkeypatch.setattr(run_training, "use_threads_for", lambda device: None)
    monkeypatch.setenv("nnUNet_n_proc_DA", "2")
    kills, choose, step = count("kills of a worker"), random.Random(SEED), nnUNetTrainer.train_step
    command = ["997", "tiny", "0", "-tr", tiny_trainer_by_name, "-device", "cpu", "--skip_validation"]
    fold = folders["nnUNet_results"] / DATASET / "TinyTrainer__nnUNetPlans__tiny" / "fold_0"

    def killing_step(self, batch):
        if self.current_epoch == 1:
            os.kill(choose.choice(self.dataloader_train._processes).pid, signal.SIGKILL)
            time.sleep(1.5)  # longer than batches are in store for these few steps
            for _ in range(50):
                next(self.dataloader_train)
        return step(self, batch)

    for _ in range(kills):
        shutil.rmtree(fold.parent, ignore_errors=True)
        monkeypatch.setattr(nnUNetTrainer, "train_step", killing_step)
        with pytest.raises(SystemExit) as stop:
            run_training.run_training_entry(command)
        assert stop.value.code == 1
        assert re.search(rf"worker \d of 2 \(process \d+\) was ended by the {FIGURES}", capsys.readouterr().err)
        assert read_checkpoint(fold / "checkpoint_latest.pth")["current_epoch"] == 1
        monkeypatch.setattr(nnUNetTrainer, "train_step", step)
        run_training.run_training_entry([*command, "--c"])
        assert read_checkpoint(fold / "checkpoint_final.pth")["current_epoch"] == 2
    figures(
        "worker SIGKILL, training", kills, "status 1, worker named, checkpoint saved, training continued to its end"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_process_with_the_model_costs_its_case_at_most(folders, tmp_path, monkeypatch, capsys, figures):
    shrunk_model(folders["nnUNet_results"])
    for number in range(3):
        write_case(tmp_path / "inputs" / f"case_{number}.nii.gz", number)
    kills, choose = count("kills of a worker"), random.Random(SEED)
    command = ["-i", str(tmp_path / "inputs"), "-o", str(tmp_path / "out"), "-d", "24", "-c", CONFIGURATION]
    command += ["-device", "cpu", "--disable_tta"]
    victim, allowed = "", 0
    received = PredictorProcess._received

    def killing(self, connection, what):
        nonlocal allowed
        if victim in what and allowed:
            allowed -= 1
            os.kill(self._process.pid, signal.SIGKILL)
        return received(self, connection, what)

    monkeypatch.setattr(PredictorProcess, "_received", killing)
    for number in range(kills):
        victim, allowed = f"case_{choose.randrange(3)}", 1 + number % 2
        for path in (tmp_path / "out").glob("*.nii.gz"):
            path.unlink()
        if allowed == 2:
            with pytest.raises(SystemExit) as stop:
                folder_of_cases.main(command)
            assert stop.value.code == 1
            assert re.search(rf"{victim}: the process was killed twice.*{FIGURES}", capsys.readouterr().err)
        else:
            folder_of_cases.main(command)
        expected = {f"case_{n}.nii.gz" for n in range(3)} - ({f"{victim}.nii.gz"} if number % 2 else set())
        assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == expected
    figures(
        "worker SIGKILL, process with the model", kills, "killed once: all done; twice: its case named, others done"
    )
