"""A folder in which the commands are run one after the other, as a person would at a prompt."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunetv2.errors import UsageError, WorkerError
from nnunetv2.records.files import atomic_path


def say(text: str) -> None:
    """Print a line at once; the output of the commands comes in between."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Workplace:
    """Folders of one data set below ``folder``, the variables that point there, and the time each step took."""

    def __init__(self, folder: Path, dataset: str):
        self.folder = folder.resolve()
        self.raw, self.preprocessed, self.results = (
            self.folder / name / dataset for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
        )
        self.trainers = self.folder / "trainers"
        self.predictions = self.folder / "predictions"
        self.picture = self.folder / "prediction.png"
        self.seconds: dict[str, float] = {}

    def clear(self) -> None:
        """Remove what an earlier run left in these folders (a linked raw data set loses the link only)."""
        if self.raw.is_symlink():
            self.raw.unlink()
        for folder in (self.raw, self.preprocessed, self.results, self.trainers, self.predictions):
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step and measure it."""
        say(f"\n=== {title}")
        start = time.perf_counter()
        yield
        self.seconds[title] = time.perf_counter() - start

    def run(self, *words: str) -> None:
        """Run one of our commands. Raises UsageError when it is not installed, WorkerError when it fails."""
        # The scripts lie beside the interpreter, also when the virtual environment is not activated.
        script = shutil.which(words[0], path=str(Path(sys.executable).parent))
        if script is None:
            raise UsageError(f"{words[0]} is not installed beside {sys.executable}. Install first: bash install.sh")
        say(f"$ {shlex.join(words)}")
        status = subprocess.run([script, *words[1:]], env=os.environ | self.environment(), check=False).returncode
        if status != 0:
            raise WorkerError(f"{words[0]} ended with status {status}; its messages are above")

    def environment(self) -> dict[str, str]:
        """The variables nnU-Net reads, for a small machine."""
        return {
            # Threads that wait without spinning: on two cores with other work, training is several times faster so.
            "OMP_WAIT_POLICY": "PASSIVE",
            "nnUNet_raw": str(self.raw.parent),
            "nnUNet_preprocessed": str(self.preprocessed.parent),
            "nnUNet_results": str(self.results.parent),
            "nnUNet_extTrainer": str(self.trainers),
            "nnUNet_def_n_proc": "2",
            "nnUNet_n_proc_DA": "0",  # augmentation is a small part of a step here; more processes would only compete
        }

    def write_trainer(self, name: str, text: str) -> None:
        """Put a trainer into the folder that nnUNet_extTrainer names."""
        with atomic_path(self.trainers / f"{name}.py") as temporary:
            temporary.write_text(text, encoding="utf-8")

    def report_times(self) -> None:
        """Print how long each step took."""
        say("\nSeconds per step:")
        for title, seconds in self.seconds.items():
            say(f"  {seconds:6.1f}  {title}")
