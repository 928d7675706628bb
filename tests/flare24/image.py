"""A folder laid out as the image of the Dockerfile: scripts, package, model, and an environment of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np

from nnunetv2.demo.generated_weights import write_generated_checkpoint
from nnunetv2.demo.phantom import PhantomSettings, make_phantom
from nnunetv2.demo.phantom_dataset import write_volume

ROOT = Path(__file__).resolve().parents[2]
DATASET = "Dataset024_FLARE24_Task1"
CONFIGURATION = "3d_fullres_S4D2W32"
SPECIAL, DEFAULT = "nnUNetTrainer_Epoch2000_Lr1e3", "nnUNetTrainer"
# So small that one patch of the published network covers it.
SMALL = PhantomSettings(shape=(20, 30, 34), spacing=(6.0, 4.0, 3.0), lesion_radius=(8.0, 12.0))


def model_folder(results: Path, trainer: str) -> Path:
    return results / DATASET / f"{trainer}__nnUNetPlans__{CONFIGURATION}"


def published_model(results: Path, folder_trainer: str = DEFAULT, written_by: str = SPECIAL) -> Path:
    """The published plans and dataset.json below ``results``, with generated weights in fold_all."""
    target = model_folder(results, folder_trainer)
    shutil.copytree(
        model_folder(ROOT / "nnUNet_results", folder_trainer),
        target,
        ignore=shutil.ignore_patterns("fold_all"),
        dirs_exist_ok=True,
    )
    write_generated_checkpoint(target, written_by, overwrite=True)
    return target


def shrunk_model(results: Path, folder_trainer: str = DEFAULT, written_by: str = SPECIAL) -> Path:
    """The same layout with a patch and a width that take no time: old plans, labels as text."""
    target = model_folder(results, folder_trainer)
    published = model_folder(ROOT / "nnUNet_results", folder_trainer)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(published / "dataset.json", target)
    plans = json.loads((published / "plans.json").read_text())
    plans["configurations"]["3d_fullres"].update(patch_size=[16, 16, 16], spacing=[6.0, 4.0, 4.0])
    plans["configurations"][CONFIGURATION]["UNet_base_num_features"] = 2
    (target / "plans.json").write_text(json.dumps(plans))
    write_generated_checkpoint(target, written_by)
    return target


def write_case(path: Path, seed: int = 0, settings: PhantomSettings = SMALL) -> np.ndarray:
    image, _ = make_phantom(seed, settings)
    write_volume(path, image, settings.spacing)
    return image


def copied_into_the_image() -> list[str]:
    """Paths of the repository that the Dockerfile copies, each to the same place below the working folder."""
    lines = re.findall(r"^COPY (.+) (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(target in ("./", f"{sources}/") for sources, target in lines)
    return [source for sources, _ in lines for source in sources.split()]


def lay_out(workspace: Path) -> Path:
    """What the image holds in ``workspace``, with an environment as ``.venv``; returns its interpreter.

    The environment is made with venv, and holds nothing but paths: to ``workspace``, as an editable installation has,
    and to the packages of the environment that runs the tests. The network is out of reach, and so is what needs
    shared memory between processes: the container has neither.
    """
    workspace.mkdir(exist_ok=True)
    for name in copied_into_the_image():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, workspace / name, ignore=shutil.ignore_patterns("__pycache__", "fold_all"))
        else:
            shutil.copy(ROOT / name, workspace)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", workspace / ".venv"], check=True)
    python = workspace / ".venv" / "bin" / "python"
    site = next((workspace / ".venv" / "lib").glob("python3*")) / "site-packages"
    borrowed = [*(path for path in sys.path if path.endswith("site-packages")), sysconfig.get_path("purelib")]
    (site / "borrowed.pth").write_text("\n".join([str(workspace), *dict.fromkeys(borrowed)]) + "\n")
    (site / "sitecustomize.py").write_text(ISOLATION)
    return python


ISOLATION = '''"""No network, and none of the shared memory that a container limits to 64 MiB."""

import _multiprocessing
import socket


def refuse(*arguments, **keywords):
    raise OSError("neither network nor shared memory here")


connect = socket.socket.connect
socket.socket.connect = lambda self, address: connect(self, address) if self.family == socket.AF_UNIX else refuse()
socket.getaddrinfo = refuse


class NoSemaphore:
    """Locks and queues of multiprocessing lie in /dev/shm."""

    SEM_VALUE_MAX = _multiprocessing.SemLock.SEM_VALUE_MAX
    __new__ = refuse


_multiprocessing.SemLock = NoSemaphore
'''
