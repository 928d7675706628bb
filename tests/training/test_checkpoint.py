"""Writing and reading checkpoints: exchange with nnU-Net v2, safety, damaged and foreign files."""

from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
import tokenize
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.configuration import trusting_pickles, trusts_pickles
from nnunetv2.errors import CheckpointError
from nnunetv2.training import checkpoint as checkpoint_module
from nnunetv2.training.checkpoint import (
    foreign_entries,
    match_state_dict_prefixes,
    plain_values,
    read_checkpoint,
    require_matching_state_dict,
    write_checkpoint,
)
from nnunetv2.training.restricted_loading import SCALAR_MODULES, globals_of, load_with_own_unpickler
from tests.shared_data import GOLDEN, needs_shared

ROOT = Path(__file__).resolve().parents[2]

KEYS = {
    "network_weights",
    "optimizer_state",
    "grad_scaler_state",
    "logging",
    "_best_ema",
    "current_epoch",
    "init_args",
    "trainer_name",
    "inference_allowed_mirroring_axes",
}
MODELS = [
    "nnUNetTrainer__nnUNetPlans__2d/fold_0",
    "nnUNetTrainer__nnUNetPlans__2d/fold_1",
    "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0",
]


def small_checkpoint() -> dict:
    """As a trainer makes it, with the numpy values a trainer collects."""
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape) + number)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True)
    network(torch.ones(1, 2, 5, 5)).sum().backward()
    optimizer.step()
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {
            "train_losses": [np.float32(0.5)],
            "dice_per_class_or_region": [[np.float64(0.25), np.float32(0.75)]],
            "lrs": [0.01],
        },
        "_best_ema": np.float32(0.5),
        "current_epoch": np.int64(1),
        "init_args": {
            "plans": {"patch_size": (4, 5), "flags": np.array([True, False])},
            "fold": 0,
            "device": torch.device("cuda", 0),
            "folder": Path("some") / "folder",
        },
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    }


def same_tensors(a, b) -> bool:
    """Whether two nested structures hold the same tensors at the same places."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_tensors(a[key], b[key]) for key in a)
    return True


class Hostile:
    """Creates a file when it is unpickled without restrictions."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Harmless:
    """An object of a class that is not allowed either."""


def test_written_checkpoint_comes_back_as_plain_values(tmp_path):
    original = small_checkpoint()
    write_checkpoint(tmp_path / "checkpoint_latest.pth", original)
    found = read_checkpoint(tmp_path / "checkpoint_latest.pth")
    assert same_tensors(original["network_weights"], found["network_weights"])
    assert same_tensors(original["optimizer_state"], found["optimizer_state"])
    assert found["logging"] == {
        "train_losses": [0.5],
        "dice_per_class_or_region": [[0.25, 0.75]],
        "lrs": [0.01],
    }
    assert (found["_best_ema"], type(found["_best_ema"])) == (0.5, float)
    assert (found["current_epoch"], type(found["current_epoch"])) == (1, int)
    assert found["init_args"]["plans"] == {"patch_size": (4, 5), "flags": [True, False]}
    assert found["init_args"]["device"] == torch.device("cuda:0")
    assert found["init_args"]["folder"] == os.path.join("some", "folder")
    assert found["inference_allowed_mirroring_axes"] == (0, 1)
    assert isinstance(found["network_weights"], OrderedDict)
    assert hasattr(found["network_weights"], "_metadata")


@pytest.fixture
def empty_allow_list():
    """torch adds classes of its own to the list; without them it is empty here, and has to be so again."""
    own = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    left = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(own)
    assert left == []


def test_written_checkpoint_needs_no_allow_list(tmp_path, empty_allow_list):
    write_checkpoint(tmp_path / "c.pth", small_checkpoint())
    assert torch.load(tmp_path / "c.pth", weights_only=True).keys() == KEYS


def test_writing_changes_nothing_in_the_content():
    content = small_checkpoint()
    plain = plain_values(content)
    assert type(content["_best_ema"]) is np.float32
    assert type(content["logging"]["train_losses"][0]) is np.float32
    assert plain["network_weights"] is content["network_weights"]
    assert plain["optimizer_state"] is content["optimizer_state"]


def test_other_mappings_become_dictionaries():
    assert type(plain_values(defaultdict(list, a=[1]))) is dict
    assert plain_values({np.int64(1): (np.float32(0.5), [np.bool_(True)])}) == {1: (0.5, [True])}


def test_objects_that_cannot_be_read_back_safely_are_named_when_written(tmp_path, caplog):
    content = {**small_checkpoint(), "extra": {"list": [1, Harmless()]}}
    assert list(foreign_entries(plain_values(small_checkpoint()))) == []
    write_checkpoint(tmp_path / "c.pth", content)
    assert "extra.list.1 (tests.training.test_checkpoint.Harmless)" in caplog.text
    with pytest.raises(CheckpointError, match=r"test_checkpoint\.Harmless"):
        read_checkpoint(tmp_path / "c.pth")
    assert isinstance(read_checkpoint(tmp_path / "c.pth", trust_pickle=True)["extra"]["list"][1], Harmless)


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_checkpoint_is_refused_and_not_executed(tmp_path, zipped):
    path, trace = tmp_path / "checkpoint_final.pth", tmp_path / "executed"
    torch.save({"network_weights": Hostile(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert not trace.exists()
    for part in (str(path), "mkdir", "trust_pickle=True"):
        assert part in str(caught.value)
    if zipped:
        with pytest.raises(pickle.UnpicklingError, match="mkdir"):
            load_with_own_unpickler(str(path))
        assert not trace.exists()
    read_checkpoint(path, trust_pickle=True)
    assert trace.exists(), "the file would have done something"


def test_files_are_trusted_only_inside_the_context_and_in_processes_started_there(tmp_path, caplog):
    path = tmp_path / "c.pth"
    torch.save({"extra": Harmless()}, path)
    reading = f"from nnunetv2.training.checkpoint import read_checkpoint; read_checkpoint({str(path)!r})"
    with trusting_pickles():
        assert isinstance(read_checkpoint(path)["extra"], Harmless)
        assert "may run code" in caplog.text
        assert subprocess.run([sys.executable, "-c", reading], cwd=ROOT).returncode == 0
        with trusting_pickles(False), pytest.raises(CheckpointError, match="--trust-pickle"):
            read_checkpoint(path)
        with pytest.raises(CheckpointError, match="--trust-pickle"):
            read_checkpoint(path, trust_pickle=False)
        assert trusts_pickles()
    assert not trusts_pickles()
    with pytest.raises(CheckpointError, match="give the command the flag --trust-pickle"):
        read_checkpoint(path)


# Where pickles are loaded: files behind checks of names, and messages of processes that this one started.
UNPICKLING = {
    "records/plain_pickle.py": {"Unpickler"},
    "training/checkpoint_archive.py": {"Unpickler"},
    "training/restricted_loading.py": {"Unpickler", "torch.load"},
    "training/checkpoint.py": {"torch.load"},  # for trust_pickle
    "utilities/worker_side.py": {"pickle.loads"},
    "utilities/worker_processes.py": {"pickle.loads"},
    "training/dataloading/loader_side.py": {"pickle.loads"},
    "training/dataloading/loader_workers.py": {"pickle.loads"},
}


def test_files_are_unpickled_nowhere_else():
    package = ROOT / "nnunetv2"
    pattern = re.compile(r"torch\.load|pickle\.loads?\b|Unpickler(?=\))|allow_pickle=True|(?<![\w.])(?:eval|exec)\(")
    found = {
        path.relative_to(package).as_posix(): {m[0] for m in pattern.finditer(_code_of(path))}
        for path in sorted(package.rglob("*.py"))
    }
    assert {name: calls for name, calls in found.items() if calls} == UNPICKLING


def _code_of(path: Path) -> str:
    """A module without comments and texts."""
    kept = [
        token.string if token.type not in (tokenize.COMMENT, tokenize.STRING) else ""
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    ]
    return "".join(kept)


def test_old_file_format_is_read_too(tmp_path):
    path = tmp_path / "c.pth"
    torch.save({"a": torch.ones(2), "b": np.float64(3)}, path, _use_new_zipfile_serialization=False)
    assert read_checkpoint(path)["b"] == 3


def _as_if_written_with(path: Path, module: str) -> None:
    """A checkpoint with a float32 and a float64, with the name of the constructor as numpy 1 or 2 spells it."""

    class Renaming(pickle._Pickler):
        def save_global(self, obj, name=None):
            if getattr(obj, "__name__", "") == "scalar":
                self.write(pickle.GLOBAL + f"{module}\nscalar\n".encode())
                self.memoize(obj)
            else:
                super().save_global(obj, name)

    class Module:
        Pickler = Renaming

    torch.save({"ema": np.float64(0.5), "losses": [np.float32(0.25)]}, path, pickle_module=Module)


@pytest.mark.parametrize("module", SCALAR_MODULES)
@pytest.mark.parametrize("load", [read_checkpoint, lambda path: load_with_own_unpickler(str(path))])
def test_numbers_of_both_generations_of_numpy_are_read(tmp_path, module, load, empty_allow_list):
    path = tmp_path / "c.pth"
    _as_if_written_with(path, module)
    assert f"{module}.scalar" in globals_of(str(path))
    assert load(path) == {"ema": 0.5, "losses": [0.25]}


@pytest.mark.parametrize("value", [np.int64(3), np.ones(2)])
def test_other_numpy_values_are_refused_by_name(tmp_path, value):
    torch.save({"logging": value}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"numpy.*(Int64DType|_reconstruct)"):
        read_checkpoint(tmp_path / "c.pth")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.999])
def test_file_that_was_cut_short_is_reported_as_damaged(tmp_path, kept):
    path = tmp_path / "checkpoint_final.pth"
    write_checkpoint(path, small_checkpoint())
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    for trust in (False, True):
        with pytest.raises(CheckpointError, match=r"checkpoint_final\.pth.*bytes\).*(damaged|cut short)"):
            read_checkpoint(path, trust_pickle=trust)


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path):
    """torch itself reads a tensor with a flipped bit without a word."""
    path = tmp_path / "checkpoint_final.pth"
    write_checkpoint(path, small_checkpoint())
    whole = path.read_bytes()
    weights = small_checkpoint()["network_weights"]["1.weight"].numpy().tobytes()
    spoiled = bytearray(whole)
    spoiled[whole.index(weights) + 5] ^= 64
    path.write_bytes(spoiled)
    torch.load(path, weights_only=True)
    with pytest.raises(CheckpointError, match=r"1 of its \d+ parts differ from their checksum"):
        read_checkpoint(path)


def test_checkpoints_without_checksums_are_read(tmp_path):
    """torch can be told to compute none."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(small_checkpoint()["network_weights"], tmp_path / "c.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    assert len(read_checkpoint(tmp_path / "c.pth")) == 7


def test_other_files_are_not_taken_for_checkpoints(tmp_path):
    (tmp_path / "text.pth").write_text("not a checkpoint")
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    for name in ("text.pth", "arrays.npz"):
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(tmp_path / name)
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    with pytest.raises(CheckpointError, match=r"tensor\.pth holds a Tensor"):
        read_checkpoint(tmp_path / "tensor.pth")


def test_own_unpickler_refuses_programs(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("program/constants.pkl", b"")
    with pytest.raises(pickle.UnpicklingError, match="TorchScript"):
        load_with_own_unpickler(str(tmp_path / "program.pt"))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"checkpoint_best\.pth does not exist"):
        read_checkpoint(tmp_path / "checkpoint_best.pth")


def test_failed_writing_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint_latest.pth"
    write_checkpoint(path, {"current_epoch": 1})

    def half_written(content, target):
        Path(target).write_bytes(b"half")
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(checkpoint_module.torch, "save", half_written)
    with pytest.raises(CheckpointError, match=r"checkpoint_latest\.pth was not written: No space left"):
        write_checkpoint(path, {"current_epoch": 2})
    monkeypatch.undo()
    assert read_checkpoint(path) == {"current_epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrappers_are_removed(prefix):
    state = {f"{prefix}conv.weight": 1, f"{prefix}conv.bias": 2}
    assert match_state_dict_prefixes(state, ["conv.weight", "conv.bias"]) == {"conv.weight": 1, "conv.bias": 2}


def test_names_that_belong_to_the_network_stay():
    expected = ["module.weight", "decoder.weight"]
    assert match_state_dict_prefixes({"module.weight": 1}, expected) == {"module.weight": 1}
    assert match_state_dict_prefixes({"module.module.weight": 1}, expected) == {"module.weight": 1}
    assert match_state_dict_prefixes({"decoder._orig_mod.weight": 1}, expected) == {"decoder.weight": 1}
    assert match_state_dict_prefixes({"module.unknown": 1}, expected) == {"module.unknown": 1}


def test_matching_weights_are_accepted():
    state = small_checkpoint()["network_weights"]
    assert require_matching_state_dict(state, state) is None


def test_weights_of_another_architecture_are_listed_in_groups():
    network = torch.nn.ModuleDict({"a": torch.nn.Conv2d(1, 2, 3), "b": torch.nn.Linear(4, 4)}).state_dict()
    other = torch.nn.ModuleDict({"a": torch.nn.Conv2d(3, 2, 3), "c": torch.nn.Linear(4, 4)}).state_dict()
    with pytest.raises(CheckpointError) as caught:
        require_matching_state_dict(other, network, "fold_0/checkpoint_final.pth")
    message = str(caught.value)
    assert message.startswith("fold_0/checkpoint_final.pth does not fit the network")
    assert "another architecture" in message
    assert "2 weights missing (the network has 4):\n  b.weight (4, 4)\n  b.bias (4,)" in message
    assert "2 weights unexpected (the network has 4):\n  c.weight" in message
    assert "1 weights of another shape (the network has 4):\n  a.weight: (2, 3, 3, 3) in the checkpoint" in message


def test_long_lists_are_shortened():
    with pytest.raises(CheckpointError, match=r"w7 \(1,\)\n  \.\.\. and 12 more$"):
        require_matching_state_dict({}, {f"w{i}": torch.zeros(1) for i in range(20)})


@needs_shared
@pytest.mark.parametrize("model", MODELS)
def test_checkpoints_of_nnunet_load_without_running_code_and_survive_rewriting(tmp_path, model, empty_allow_list):
    found = read_checkpoint(GOLDEN / "models" / model / "checkpoint_final.pth")
    assert found.keys() == KEYS
    assert found["trainer_name"] == "nnUNetTrainer"
    assert found["current_epoch"] == 1
    assert all(tensor.device.type == "cpu" for tensor in found["network_weights"].values())
    write_checkpoint(tmp_path / "c.pth", found)
    again = torch.load(tmp_path / "c.pth", weights_only=True)
    assert again["logging"] == {key: plain_values(values) for key, values in found["logging"].items()}
    assert type(again["_best_ema"]) is float
    assert same_tensors(found["network_weights"], again["network_weights"])
    assert (found["optimizer_state"] is None) == (again["optimizer_state"] is None)
    if found["optimizer_state"]:
        assert same_tensors(found["optimizer_state"], again["optimizer_state"])
    assert again["init_args"] == found["init_args"]


@needs_shared
def test_own_unpickler_reads_checkpoints_of_nnunet_alike():
    path = GOLDEN / "models" / MODELS[1] / "checkpoint_final.pth"
    one, other = read_checkpoint(path), load_with_own_unpickler(str(path))
    assert same_tensors(one["network_weights"], other["network_weights"])
    assert one["logging"] == other["logging"]
