"""Files from elsewhere that attack: each is refused by name at the command that reads it, and nothing else happens."""

from __future__ import annotations

import io
import json
import pickle
import re
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from nnunetv2.demo.generated_weights import write_generated_checkpoint
from nnunetv2.ensembling.commands import ensemble_entry_point
from nnunetv2.errors import NNUNetError
from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import (
    extract_fingerprint_entry,
    preprocess_entry,
)
from nnunetv2.inference.commands import predict_entry_point_modelfolder
from nnunetv2.model_sharing.commands import export_model_entry_point, install_from_zip_entry_point
from nnunetv2.postprocessing.commands import apply_postprocessing_entry_point
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy
from nnunetv2.training.checkpoint import read_checkpoint
from tests.faults import hostile_files as make
from tests.faults.counts import count
from tests.model_sharing.conftest import DATASET, FULLRES, write_zip
from tests.training.tiny_training import tiny_plans

MODEL = "nnUNetTrainer__nnUNetPlans__tiny"
LABELS = {
    "channel_names": {"0": "CT", "1": "MRI"},
    "labels": {"background": 0, "a": 1},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


@dataclass
class Place:
    """A folder of its own for one attack, with a model, images, and what other commands read."""

    root: Path
    model: Path
    canary: Path = field(init=False)
    output: Path = field(init=False)

    def __post_init__(self) -> None:
        self.canary, self.output = self.root / "executed", self.root / "out"

    @property
    def checkpoint(self) -> Path:
        return self.model / "fold_0" / "checkpoint_final.pth"

    @property
    def slim(self) -> Path:
        """The safetensors file that is read in the place of the checkpoint."""
        self.checkpoint.unlink(missing_ok=True)
        return self.checkpoint.with_suffix(".safetensors")

    def edit(self, name: str, change: Callable[[Any], None]) -> None:
        """Change a document of the model."""
        content = json.loads((self.model / name).read_text())
        change(content)
        (self.model / name).write_text(json.dumps(content))

    def predict(self, *flags: str) -> None:
        folder = self.folder("images")
        for channel in range(2):
            image = nibabel.Nifti1Image(np.zeros((16, 16, 16), np.float32), np.eye(4))
            nibabel.save(image, folder / f"case_{channel:04d}.nii.gz")
        arguments = ["-i", str(folder), "-o", str(self.output), "-m", str(self.model), "-f", "0", "-device", "cpu"]
        predict_entry_point_modelfolder([*arguments, "-npp", "0", "-nps", "0", "--disable_progress_bar", *flags])

    def install(self) -> None:
        install_from_zip_entry_point([str(self.root / "model.zip")])

    def archive(self, entries: dict[Any, bytes | None]) -> Callable[[], None]:
        write_zip(self.root / "model.zip", entries)
        return self.install

    def folder(self, name: str) -> Path:
        (self.root / name).mkdir(parents=True, exist_ok=True)
        return self.root / name

    def properties(self, content: Any) -> Callable[[], Any]:
        """Reading a preprocessed case with these properties, a pickle or what becomes one."""
        folder = self.folder("cases")
        np.savez_compressed(folder / "case.npz", data=np.zeros((1, 2, 2, 2)), seg=np.zeros((1, 2, 2, 2)))
        data = content if isinstance(content, bytes) else pickle.dumps(content)
        (folder / "case.pkl").write_bytes(data)
        return lambda: nnUNetDatasetNumpy(str(folder)).load_case("case")

    def postprocess(self, content: Any, name: str = "postprocessing.pkl") -> Callable[[], None]:
        folder = self.folder("predictions")
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), folder / "case.nii.gz")
        for document in ("plans.json", "dataset.json"):
            shutil.copy(self.model / document, folder)
        data = json.dumps(content).encode() if name.endswith(".json") else pickle.dumps(content)
        (self.root / name).write_bytes(data)
        arguments = ["-i", str(folder), "-o", str(self.output), "-pp_pkl_file", str(self.root / name), "-np", "1"]
        return lambda: apply_postprocessing_entry_point(arguments)

    def ensemble(self, probabilities: Callable[[Path], None], properties: Any = None) -> Callable[[], None]:
        """Averaging two predictions, whose first has these files."""
        folders = [self.folder("one"), self.folder("two")]
        for folder in folders:
            for document in ("plans.json", "dataset.json"):
                shutil.copy(self.model / document, folder)
            (folder / "case.pkl").write_bytes(pickle.dumps(properties or {}))
            np.savez(folder / "case.npz", probabilities=np.zeros((2, 2, 2, 2), np.float32))
        probabilities(folders[0] / "case.npz")
        return lambda: ensemble_entry_point(["-i", *map(str, folders), "-o", str(self.output), "-np", "1"])


@dataclass(frozen=True)
class Hostile:
    """One attack: ``prepare`` writes the file and returns the call that reads it; the refusal matches ``message``."""

    message: str
    prepare: Callable[[Place], Callable[[], Any]]


ATTACKS: dict[str, Hostile] = {}
REFUSED: set[str] = set()


def attack(name: str, message: str) -> Callable:
    def add(prepare: Callable[[Place], Callable[[], Any]]) -> Callable:
        assert name not in ATTACKS
        ATTACKS[name] = Hostile(message, prepare)
        return prepare

    return add


def simple(name: str, message: str, prepare: Callable[[Place], Callable[[], Any]]) -> None:
    attack(name, message)(prepare)


# --- pickles beside preprocessed cases and predictions ----------------------------------------------------------------

P = r"case\.pkl was not loaded: .*"
simple("properties: os.system", P + "posix.system", lambda p: p.properties(make.Attack(p.canary)))
simple("properties: eval", P + "builtins.eval", lambda p: p.properties({"spacing": make.Attack(p.canary, "eval")}))
simple(
    "properties: exec deep inside", P + "builtins.exec",
    lambda p: p.properties({"sitk_stuff": {"a": [(1, {"b": make.Attack(p.canary, "exec")})]}}),
)  # fmt: skip
simple(
    "properties: old protocol",
    P + "os.mkdir",
    lambda p: p.properties(make.named_call("os:mkdir", str(p.canary), protocol=2)),
)
simple(
    "properties: a dotted name below an allowed one", P + "asks for collections.OrderedDict",
    lambda p: p.properties(make.named_call("collections:OrderedDict.__init__.__class__", str(p.canary))),
)  # fmt: skip
simple("properties: array of objects", P + "(object|Object)", lambda p: p.properties(make.array_of_objects(p.canary)))
simple("properties: bytes as addresses", P + "Void", lambda p: p.properties({"spacing": make.array_of_addresses()}))
simple("properties: dtype with subarray", P + "dtype with parts", lambda p: p.properties(make.array_with_subarrays()))
simple(
    "properties: array beyond its bytes", P + "do not fit", lambda p: p.properties(make.array_larger_than_its_bytes())
)
simple(
    "properties: petabytes", P + "bytearray without its bytes",
    lambda p: p.properties(make.Crafted(bytearray, (10**15,))),
)  # fmt: skip
simple("ensemble: os.system in CASE.pkl", P + "system", lambda p: p.ensemble(lambda _: None, make.Attack(p.canary)))

# --- post-processing --------------------------------------------------------------------------------------------------

REGIONS = [{"labels_or_regions": 1}]
simple(
    "postprocessing.pkl: names eval",
    r"postprocessing\.pkl was not loaded: .*eval",
    lambda p: p.postprocess(([eval], REGIONS)),
)
simple(
    "postprocessing.pkl: os.system in the arguments", r"postprocessing\.pkl was not loaded: .*system",
    lambda p: p.postprocess(([], [{"labels_or_regions": make.Attack(p.canary)}])),
)  # fmt: skip


@attack("postprocessing.pkl: calls an allowed function", r"postprocessing\.pkl was not loaded: .*not callable")
def _(place: Place) -> Callable:
    from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

    return place.postprocess(make.Crafted(remove_all_but_largest_component_from_segmentation, (1, 2)))


simple(
    "postprocessing.json: names os.system", r"postprocessing\.json names 'os\.system'",
    lambda p: p.postprocess(
        {"postprocessing_fns": ["os.system"], "postprocessing_kwargs": REGIONS}, "postprocessing.json"
    ),
)  # fmt: skip

# --- checkpoints ------------------------------------------------------------------------------------------------------

C = r"checkpoint_final\.pth.* was not loaded: .*"


def checkpoint_attack(name: str, message: str, write: Callable[[Path, Path], Any]) -> None:
    """An attack by a checkpoint that ``write(path, canary)`` makes, read by prediction."""

    def prepare(place: Place) -> Callable:
        write(place.checkpoint, place.canary)
        return place.predict

    attack(name, message)(prepare)


A = make.Attack
checkpoint_attack(
    "checkpoint: os.system as weights",
    C + "system.*--trust-pickle",
    lambda p, c: make.checkpoint(p, network_weights=A(c)),
)
checkpoint_attack(
    "checkpoint: eval in init_args",
    C + "eval.*--trust-pickle",
    lambda p, c: make.checkpoint(p, init_args={"plans": {"a": A(c, "eval")}}),
)
checkpoint_attack(
    "checkpoint: exec in the optimizer",
    C + "exec",
    lambda p, c: make.checkpoint(p, optimizer_state={"state": {0: [A(c, "exec")]}}),
)
checkpoint_attack(
    "checkpoint: mkdir among logged values",
    C + "mkdir",
    lambda p, c: make.checkpoint(p, logging={"lrs": [A(c, "mkdir")]}),
)
checkpoint_attack(
    "checkpoint: array of objects", C, lambda p, c: make.checkpoint(p, _best_ema=make.array_of_objects(c))
)
checkpoint_attack(
    "checkpoint: bytes as addresses", C, lambda p, c: make.checkpoint(p, _best_ema=make.array_of_addresses())
)
checkpoint_attack(
    "checkpoint: newer pickle protocol",
    C + "system",
    lambda p, c: make.checkpoint_with_pickle(p, make.named_call("os:system", f"touch {c}")),
)
checkpoint_attack(
    "checkpoint: format before torch 1.6", C + "system",
    lambda p, c: torch.save({"network_weights": A(c)}, p, _use_new_zipfile_serialization=False),
)  # fmt: skip
checkpoint_attack("checkpoint: tar", r"checkpoint_final\.pth", make.checkpoint_as_tar)
checkpoint_attack("checkpoint: tar and zip in one", r"checkpoint_final\.pth", make.checkpoint_behind_a_tar)
checkpoint_attack("checkpoint: TorchScript", r"checkpoint_final\.pth", lambda p, c: make.program(p))
checkpoint_attack(
    "checkpoint: tensor beyond its data", C + "50,331,648 elements", lambda p, c: make.checkpoint_with_made_up_size(p)
)
checkpoint_attack("checkpoint: zip bomb", C + "is compressed", lambda p, c: make.checkpoint_that_unpacks_to_much(p))
checkpoint_attack("checkpoint: two pickles of one name", C + "occurs twice", make.checkpoint_with_two_pickles)


def _changed(**changes: Any) -> Callable[[Place], Callable]:
    """Prediction with the sound checkpoint of the model, but for some entries."""

    def prepare(place: Place) -> Callable:
        torch.save(read_checkpoint(place.checkpoint) | changes, place.checkpoint)
        return place.predict

    return prepare


simple("checkpoint: trainer os.system", r"checkpoint_final\.pth: .*'os\.system'", _changed(trainer_name="os.system"))
simple(
    "checkpoint: trainer of another kind",
    r"checkpoint_final\.pth: 'PolyLRScheduler'.* not a subclass",
    _changed(trainer_name="PolyLRScheduler"),
)
simple("checkpoint: trainer by path", r"checkpoint_final\.pth: .*'\.\./evil'", _changed(trainer_name="../evil"))
simple(
    "checkpoint: configuration is no text",
    r"checkpoint_final\.pth: init_args",
    _changed(init_args={"configuration": ["a"]}),
)


@attack("-pretrained_weights: os.system", r"stranger\.pth was not loaded: .*system")
def _(place: Place) -> Callable:
    make.checkpoint(place.root / "stranger.pth", network_weights=make.Attack(place.canary))
    return lambda: load_pretrained_weights(torch.nn.Linear(1, 1), place.root / "stranger.pth")


@attack("export: os.system in the checkpoint", r"checkpoint_final\.pth was not loaded: .*system")
def _(place: Place) -> Callable:
    make.checkpoint(place.checkpoint, optimizer_state=make.Attack(place.canary))
    shutil.copytree(place.model, place.root / "nnUNet_results" / DATASET / MODEL)
    return lambda: export_model_entry_point(
        ["-d", DATASET, "-c", "tiny", "-f", "0", "-o", str(place.output / "m.zip"), "--slim"]
    )


# --- safetensors ------------------------------------------------------------------------------------------------------

S = r"checkpoint_final\.safetensors.*"


def slim_attack(name: str, message: str, header: Any, **how: Any) -> None:
    def prepare(place: Place) -> Callable:
        make.safetensors_file(place.slim, header, **how)
        return place.predict

    attack(name, S + message)(prepare)


W = make.tensor_entry
slim_attack("safetensors: header longer than the file", "not a readable", {"w": W()}, length=2**40)
slim_attack("safetensors: header is a pickle", "not a readable", pickle.dumps({"w": 1}))
slim_attack("safetensors: tensor beyond the file", "not a readable", {"w": W(0, 2**30, (2**28,))})
slim_attack("safetensors: tensors that overlap", "not a readable", {"w": W(), "v": W()})
slim_attack("safetensors: shape beyond the data", "not a readable", {"w": W(0, 4, (2**40,))})
slim_attack("safetensors: no facts", "no JSON", {"w": W()})
slim_attack(
    "safetensors: alias to nothing", "aliases name 'x'", {"__metadata__": make.facts(aliases={"a": "x"}), "w": W()}
)
slim_attack(
    "safetensors: trainer os.system", "'os.system'", {"__metadata__": make.facts(trainer_name="os.system"), "w": W()}
)

# --- archives ---------------------------------------------------------------------------------------------------------

Z = r"model\.zip was not installed:\s.*"
MODEL_FOLDER = f"{DATASET}/{FULLRES}"
simple("zip: ..", Z + "leaves the folder", lambda p: p.archive({f"{DATASET}/../../evil.json": b"x"}))
simple("zip: .. at the start", Z + "leaves the folder", lambda p: p.archive({"../evil.json": b"x"}))
simple("zip: absolute", Z + "absolute path", lambda p: p.archive({str(p.canary): b"x"}))
simple("zip: drive", Z + "absolute path", lambda p: p.archive({"C:/evil.json": b"x"}))
simple("zip: backslashes", Z + "not portable", lambda p: p.archive({f"{DATASET}\\..\\evil.json": b"x"}))
simple(
    "zip: link",
    Z + "is a link",
    lambda p: p.archive({make.entry(f"{MODEL_FOLDER}/fold_0/progress.png", stat.S_IFLNK): b"/etc/passwd"}),
)
simple(
    "zip: device",
    Z + "neither a file",
    lambda p: p.archive({make.entry(f"{MODEL_FOLDER}/fold_0/progress.png", stat.S_IFCHR): b""}),
)
simple("zip: program", Z + "no file of a trained model", lambda p: p.archive({f"{MODEL_FOLDER}/trainer.py": b"x"}))
simple("zip: names that differ in case", Z + "same name", lambda p: p.archive({f"{MODEL_FOLDER}/PLANS.json": b"{}"}))
simple(
    "zip: data set named by a path",
    Z + "at its top",
    lambda p: p.archive({"Dataset001_a:b/plans.json": b"{}", "..": b""}),
)
simple("zip: bomb", Z + "unpacks from", lambda p: p.archive({f"{MODEL_FOLDER}/fold_0/progress.png": bytes(70 * 2**20)}))
simple(
    "zip: too many members", Z + "20,?005 entries",
    lambda p: p.archive({f"{MODEL_FOLDER}/fold_0/{n}.json": b"" for n in range(20_002)}),
)  # fmt: skip


@attack("zip: one name twice", Z + "occurs twice")
def _(place: Place) -> Callable:
    call = place.archive({})
    with zipfile.ZipFile(place.root / "model.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(f"{MODEL_FOLDER}/plans.json", b'{"other": 1}')
    return call


@attack("zip: gigabytes by its own account", Z + "damaged .*unpacks to 100 bytes, stated are 4,294,967,280")
def _(place: Place) -> Callable:
    call = place.archive({f"{MODEL_FOLDER}/fold_0/progress.png": b"x" * 100})
    for offset in (20, 24):  # packed and unpacked size: a factor is not what gives it away
        make.patch_central_directory(
            place.root / "model.zip", f"{MODEL_FOLDER}/fold_0/progress.png", offset, struct.pack("<I", 0xFFFFFFF0)
        )
    return call


@attack("zip: larger than it says", Z + "damaged")
def _(place: Place) -> Callable:
    call = place.archive({f"{MODEL_FOLDER}/fold_0/progress.png": b"0123456789" * 1000})
    make.patch_central_directory(
        place.root / "model.zip", f"{MODEL_FOLDER}/fold_0/progress.png", 24, struct.pack("<I", 10)
    )
    return call


@attack("zip: os.system in the checkpoint", Z + r"checkpoint_final\.pth.*system.*--trust-pickle")
def _(place: Place) -> Callable:
    make.checkpoint(place.root / "c.pth", logging=make.Attack(place.canary))
    return place.archive({f"{MODEL_FOLDER}/fold_0/checkpoint_final.pth": (place.root / "c.pth").read_bytes()})


# --- names in plans and dataset.json ----------------------------------------------------------------------------------


def _architecture(**changes: Any) -> Callable[[Any], None]:
    def change(plans: Any) -> None:
        entry = plans["configurations"]["tiny"]["architecture"]
        entry["network_class_name"] = changes.pop("network_class_name", entry["network_class_name"])
        entry["arch_kwargs"] |= changes

    return change


def _configuration(**changes: Any) -> Callable[[Any], None]:
    return lambda plans: plans["configurations"]["tiny"].update(changes)


def plans_attack(name: str, message: str, change: Callable[[Any], None]) -> None:
    def prepare(place: Place) -> Callable:
        place.edit("plans.json", change)
        return place.predict

    attack(f"plans: {name}", r"plans\.json.*\s.*" + message)(prepare)


OUTSIDE, WRONG = "outside torch.nn.*nnUNet_extModules", "neither a network nor|no network class"
plans_attack("network os.system", "os.system.*" + OUTSIDE, _architecture(network_class_name="os.system"))
plans_attack("network subprocess.Popen", "Popen.*" + OUTSIDE, _architecture(network_class_name="subprocess.Popen"))
plans_attack("network by relative path", "evil.*outside", _architecture(network_class_name="..evil.Network"))
plans_attack(
    "network of another kind", WRONG, _architecture(network_class_name="nnunetv2.inference.predictor.nnUNetPredictor")
)
plans_attack(
    "network is a command", WRONG, _architecture(network_class_name="nnunetv2.run.run_training.run_training_entry")
)
plans_attack("conv_op builtins.eval", "builtins.eval.*" + OUTSIDE, _architecture(conv_op="builtins.eval"))
plans_attack(
    "norm_op through an allowed module", "rmtree", _architecture(norm_op="nnunetv2.records.files.shutil.rmtree")
)
plans_attack(
    "nonlin that a module only imported", "belongs to", _architecture(nonlin="nnunetv2.records.files.contextmanager")
)
plans_attack("network is no text", "network_class_name", _architecture(network_class_name=["os.system"]))
plans_attack("preprocessor that a module only imported", "preprocessor_name", _configuration(preprocessor_name="Path"))
plans_attack("preprocessor by path", "preprocessor_name", _configuration(preprocessor_name="../../evil"))
plans_attack(
    "normalization os.system", "normalization_schemes", _configuration(normalization_schemes=["os.system"] * 2)
)
plans_attack("normalization is a module", "normalization_schemes", _configuration(normalization_schemes=["np"] * 2))
plans_attack(
    "resampling that a module only imported",
    "resampling_fn_data",
    _configuration(resampling_fn_data="recursive_find_python_class"),
)
plans_attack(
    "reader that a module only imported", "image_reader_writer", lambda plans: plans.update(image_reader_writer="Path")
)
plans_attack("reader builtins", "image_reader_writer", lambda plans: plans.update(image_reader_writer="__builtins__"))


def _prepared_for_training(place: Place, plans: Any) -> None:
    for root in ("nnUNet_preprocessed", "nnUNet_raw"):
        folder = place.folder(f"{root}/Dataset997_Tiny")
        (folder / "dataset.json").write_text(json.dumps(LABELS))
    (place.root / "nnUNet_preprocessed" / "Dataset997_Tiny" / "nnUNetPlans.json").write_text(json.dumps(plans))


def _train() -> None:
    run_training_entry(["997", "tiny", "0", "-device", "cpu"])


def training_attack(name: str, message: str, change: Callable[[Any], None]) -> None:
    def prepare(place: Place) -> Callable:
        plans = tiny_plans()
        change(plans)
        _prepared_for_training(place, plans)
        return _train

    attack(name, message)(prepare)


training_attack(
    "plans: results by path", "dataset_name is '../evil'", lambda plans: plans.update(dataset_name="../evil")
)
training_attack(
    "plans: results by plans name", "plans_name is '../evil'", lambda plans: plans.update(plans_name="../evil")
)
training_attack("plans: trained label manager", "label_manager", lambda plans: plans.update(label_manager="Callable"))


def _resumed(flag: str, name: str) -> Callable[[Place], Callable]:
    def prepare(place: Place) -> Callable:
        _prepared_for_training(place, tiny_plans())
        fold = place.folder(f"nnUNet_results/Dataset997_Tiny/{MODEL}/fold_0")
        make.checkpoint(fold / name, logging=make.Attack(place.canary))
        return lambda: run_training_entry(["997", "tiny", "0", "-device", "cpu", flag])

    return prepare


simple("--val: os.system in the checkpoint", C + "system.*--trust-pickle", _resumed("--val", "checkpoint_final.pth"))
simple("--c: os.system in the checkpoint", r"checkpoint_latest\.pth.*system", _resumed("--c", "checkpoint_latest.pth"))


@attack("plans: preprocessed cases by path", "data_identifier")
def _(place: Place) -> Callable:
    plans = tiny_plans()
    plans["configurations"]["tiny"]["data_identifier"] = "../../evil"
    _prepared_for_training(place, plans)
    return lambda: preprocess_entry(["-d", "997", "-c", "tiny", "-np", "1", "--clean"])


@attack("dataset.json: predictions by path", r"dataset\.json: file_ending is './\.\./\.\./evil\.nii\.gz'")
def _(place: Place) -> Callable:
    place.edit("dataset.json", lambda content: content.update(file_ending="./../../evil.nii.gz"))
    return place.predict


@attack("dataset.json: a case by path", r"dataset\.json: dataset names the case '\.\./\.\./evil'")
def _(place: Place) -> Callable:
    folder = place.folder("nnUNet_raw/Dataset997_Tiny")
    case = {"images": ["a_0000.nii.gz", "a_0001.nii.gz"], "label": "a.nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(LABELS | {"dataset": {"../../evil": case}}))
    return lambda: extract_fingerprint_entry(["-d", "997", "-np", "1"])


# --- arrays -----------------------------------------------------------------------------------------------------------


@attack("npz: objects in a preprocessed case", r"case\.npz cannot be read")
def _(place: Place) -> Callable:
    call = place.properties({})
    np.savez(place.root / "cases" / "case.npz", data=make.array_of_objects(place.canary), seg=np.zeros(1))
    return call


@attack("npz: more than there is memory", r"case\.npz cannot be read")
def _(place: Place) -> Callable:
    call = place.properties({})
    with zipfile.ZipFile(place.root / "cases" / "case.npz", "w") as archive:
        archive.writestr("data.npy", _header((10**14,)))
    return call


def _header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _write_npz(shape: tuple[int, ...], data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("probabilities.npy", _header(shape) + data)

    return write


@attack("npz: objects as probabilities", r"case\.npz cannot be used")
def _(place: Place) -> Callable:
    return place.ensemble(lambda path: np.savez(path, probabilities=make.array_of_objects(place.canary)))


simple(
    "npz: probabilities beyond the file",
    r"case\.npz cannot be used .*states shape",
    lambda p: p.ensemble(_write_npz((2, 10**5, 10**5, 10**5), bytes(4))),
)

# --- the tests --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / MODEL
    folder.mkdir()
    (folder / "plans.json").write_text(json.dumps(tiny_plans()))
    (folder / "dataset.json").write_text(json.dumps(LABELS))
    write_generated_checkpoint(folder, "nnUNetTrainer", fold=0)
    return folder


@pytest.fixture
def place(tmp_path, sound_model, monkeypatch) -> Place:
    shutil.copytree(sound_model, tmp_path / MODEL)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return Place(tmp_path, tmp_path / MODEL)


def files_of(folder: Path) -> dict[str, bytes]:
    """Files below ``folder`` but for what was read as input; folders are of no interest."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused_by_name_and_does_nothing(name, place, capsys):
    hostile = ATTACKS[name]
    call = hostile.prepare(place)
    before = files_of(place.root)
    with pytest.raises((SystemExit, NNUNetError)) as end:
        call()
    message = str(end.value)
    if isinstance(end.value, SystemExit):
        assert end.value.code == 1
        message = capsys.readouterr().err
    assert not place.canary.exists()
    # the images of the prediction that is asked for, the documents that every output folder gets, the training's log
    own = {f"images/case_{channel:04d}.nii.gz" for channel in range(2)}
    own |= {f"out/{name}.json" for name in ("plans", "dataset", "failed_cases")}
    after = {name: data for name, data in files_of(place.root).items() if name not in own}
    assert {name: data for name, data in after.items() if "/training_log_" not in name} == before
    assert not list(place.root.parent.glob("evil*"))
    assert re.search(hostile.message, message, re.DOTALL), message
    REFUSED.add(name)


def test_there_are_as_many_attacks_as_promised(figures):
    assert len(ATTACKS) >= count("hostile files")
    if len(REFUSED) < len(ATTACKS):
        pytest.skip("not all of them were tried in this process, or some did not end well")
    figures("hostile files", len(REFUSED), "all refused by name; nothing executed, nothing written outside")


@pytest.mark.parametrize("function", ["system", "eval", "exec", "mkdir"])
def test_the_attacks_would_succeed_without_restrictions(function, tmp_path):
    pickle.loads(pickle.dumps(make.Attack(tmp_path / "executed", function)))
    assert (tmp_path / "executed").exists()


def test_the_sound_model_predicts(place):
    place.predict()
    assert (place.output / "case.nii.gz").exists()


def test_what_is_refused_is_loaded_for_who_trusts_it(place, capsys):
    torch.save(read_checkpoint(place.checkpoint) | {"extra": make.Attack(place.canary)}, place.checkpoint)
    with pytest.raises(SystemExit):
        place.predict()
    assert "--trust-pickle" in capsys.readouterr().err
    assert not place.canary.exists()
    place.predict("--trust-pickle")
    assert place.canary.exists()
    assert (place.output / "case.nii.gz").exists()
    with pytest.raises(SystemExit):  # the flag is one of a single command
        place.predict()
