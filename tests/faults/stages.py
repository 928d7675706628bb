"""The stages that are killed and starved of disk: what they start from, their commands, and what they leave."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nnunetv2.demo.generated_weights import write_generated_checkpoint
from nnunetv2.ensembling.probability_files import write_probabilities
from nnunetv2.records.files import write_json, write_pickle
from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint
from tests.conftest import write_tiny_dataset
from tests.faults.processes import Run, content_of, run
from tests.preprocessing.conftest import make_plans
from tests.variants import NAME, NUMBER, unet

MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"
CASES = 8


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One command. ``{place}`` stands for the folder of an attempt, ``{origin}`` for what all attempts read."""

    command: str
    again: str = ""
    """Further arguments when it is repeated."""
    small_files: int
    """A limit of file sizes in bytes: some of its files are larger, none that it needs before them is."""
    small_disk: int
    """Bytes of a disk on which some of its files find room, and not all."""
    ignored: tuple[str, ...] = ()
    """Parts of the names of files that say when or how they were made."""


STAGES = {
    "nnUNetv2_extract_fingerprint": Stage(command=f"-d {NUMBER} -np 2", small_files=2_000, small_disk=40_000),
    "nnUNetv2_preprocess": Stage(command=f"-d {NUMBER} -c 3d_fullres -np 2", small_files=30_000, small_disk=250_000),
    "nnUNetv2_predict": Stage(
        command=f"-i {{origin}}/images -o {{place}}/output -d {NUMBER} -c 3d_fullres -f 0 -device cpu --engine torch "
        "--disable_tta --save_probabilities -npp 1 -nps 1",
        again="--continue_prediction",
        small_files=60_000,
        small_disk=500_000,
        ignored=("predict_from_raw_data_args",),
    ),
    "nnUNetv2_ensemble": Stage(
        command="-i {origin}/member_0 {origin}/member_1 -o {place}/output --save_npz -np 2",
        small_files=60_000,
        small_disk=500_000,
    ),
    "nnUNetv2_export_model_to_zip": Stage(
        command=f"-d {NUMBER} -c 3d_fullres -f 0 -o {{place}}/output/model.zip",
        again="--overwrite",
        small_files=5_000_000,
        small_disk=5_000_000,
    ),
}


class Workplace:
    """Raw data, plans, a model, images, probabilities: made once and only read. Attempts have folders of their own."""

    def __init__(self, origin: Path):
        self.origin = origin
        self._undisturbed: dict[str, Undisturbed] = {}
        raw = write_tiny_dataset(origin / "raw", cases=CASES, channels=("CT",))
        self.planned = origin / "preprocessed" / NAME
        self.planned.mkdir(parents=True)
        shutil.copy(raw / "dataset.json", self.planned)
        plans = make_plans(NAME)
        one_channel = {"normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False]}
        full = plans["configurations"]["3d_fullres"] | {"architecture": unet(3)} | one_channel
        plans["configurations"] = {"3d_fullres": full}
        write_json(self.planned / "nnUNetPlans.json", plans)
        self._write_model(raw)
        images = origin / "images"
        shutil.copytree(raw / "imagesTr", images)
        self._write_members(json.loads((raw / "dataset.json").read_text()), plans)

    def _write_model(self, raw: Path) -> None:
        model = self.origin / "results" / NAME / MODEL
        model.mkdir(parents=True)
        shutil.copy(self.planned / "nnUNetPlans.json", model / "plans.json")
        shutil.copy(raw / "dataset.json", model)
        path = write_generated_checkpoint(model, "nnUNetTrainer", 0)
        ballast = {"momentum": torch.from_numpy(np.random.RandomState(0).normal(size=1 << 22).astype(np.float32))}
        write_checkpoint(path, read_checkpoint(path) | {"optimizer_state": ballast})

    def _write_members(self, dataset_json: dict, plans: dict) -> None:
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

        for member in range(2):
            folder = self.origin / f"member_{member}"
            write_json(folder / "dataset.json", dataset_json)
            write_json(folder / "plans.json", plans)
            for case in range(CASES):
                rng = np.random.RandomState(10 * case + member)
                files = [str(path) for path in sorted((self.origin / "images").glob(f"tiny_{case:03d}_*"))]
                image, properties = SimpleITKIO().read_images(files)
                values = rng.uniform(size=(3, *image.shape[1:])).astype(np.float32)
                write_probabilities(values / values.sum(0), str(folder / f"tiny_{case:03d}"))
                write_pickle(folder / f"tiny_{case:03d}.pkl", properties)

    def undisturbed(self, name: str) -> Undisturbed:
        """What the stage leaves when nothing happens to it; it runs once."""
        if name not in self._undisturbed:
            attempt = self.new_attempt(self.origin / f"undisturbed_{name}", name)
            before = set(attempt.content())
            started = time.time()
            done = attempt.run()
            assert done.status == 0, done.output
            content = attempt.content()
            # Not the time of their change, which copies take over.
            first = min((attempt.place / file).stat().st_ctime for file in content if file not in before) - started
            self._undisturbed[name] = Undisturbed(
                before=before, content=content, seconds=done.seconds, first_file=max(0.0, first)
            )
            assert not [file for file in self._undisturbed[name].content if ".tmp" in file]
        return self._undisturbed[name]

    def new_attempt(self, place: Path, name: str) -> Attempt:
        """An attempt at the stage ``name`` in ``place``, which may exist but must be empty."""
        place.mkdir(exist_ok=True)
        (place / "output").mkdir()
        planned = place / "preprocessed" / NAME
        planned.mkdir(parents=True)
        if name == "nnUNetv2_preprocess":
            shutil.copytree(self.planned, planned, dirs_exist_ok=True)
        return Attempt(name, place, self.origin)


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """Names of files before a stage, what was there after it, and how many seconds it took, to its first file too."""

    before: set[str]
    content: dict[str, bytes]
    seconds: float
    first_file: float


@dataclass(frozen=True)
class Attempt:
    """One stage in a folder of its own."""

    name: str
    place: Path
    origin: Path

    def run(self, again: bool = False, arguments: Sequence[str] = (), env: Mapping[str, str] = {}, **how) -> Run:
        """Run the command, or repeat it; ``how``: see ``processes.run``."""
        stage = STAGES[self.name]
        words = [*stage.command.split(), *(stage.again.split() if again else ()), *arguments]
        folders = {
            "nnUNet_raw": self.origin / "raw",
            "nnUNet_preprocessed": self.place / "preprocessed",
            "nnUNet_results": self.origin / "results",
        }
        # Compiled Python files would be cut short by limits as well.
        settings = {"PYTHONDONTWRITEBYTECODE": "1", **{key: str(path) for key, path in folders.items()}}
        filled = [word.format(place=self.place, origin=self.origin) for word in words]
        return run([self.name, *filled], env=settings | dict(env), **how)

    def content(self) -> dict[str, bytes]:
        """All files but those that say when or how they were made; temporary ones count."""
        return content_of(self.place, without=STAGES[self.name].ignored)
