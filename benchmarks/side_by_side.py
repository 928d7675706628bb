"""What the side-by-side proofs share: a work folder per implementation, and running its commands there.

"Ours" is the Python that runs the script; "upstream" is the Python of an environment with upstream nnunetv2 2.8.1,
given as an argument. Both get the same raw data and the same variables, and are only driven by commands.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Implementation:
    """One installation of nnunetv2 with folders of its own below ``work``."""

    name: str
    python: Path
    work: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("raw", "preprocessed", "results"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)

    @property
    def raw(self) -> Path:
        return self.work / "raw"

    @property
    def preprocessed(self) -> Path:
        return self.work / "preprocessed"

    @property
    def results(self) -> Path:
        return self.work / "results"

    def environment(self) -> dict[str, str]:
        """The current environment with this installation's folders and commands in front."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("nnUNet_")},
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results),
            "nnUNet_compile": "f",
            **self.variables,
        }

    def command(self, *words: object, log: Path | None = None) -> float:
        """Run a command of this installation and return its wall time in seconds; raises when it fails."""
        words = tuple(str(word) for word in words)
        executable = self.python.parent / words[0]
        start = time.perf_counter()
        done = subprocess.run(
            [str(executable), *words[1:]],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(done.stdout)
        if done.returncode:
            raise SystemExit(f"{self.name}: {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return time.perf_counter() - start


def link_dataset(implementation: Implementation, dataset: Path) -> None:
    """Make ``dataset`` (a raw data set folder) the raw data of ``implementation``."""
    target = implementation.raw / dataset.name
    if not target.exists():
        shutil.copytree(dataset, target)


def arguments(description: str) -> argparse.ArgumentParser:
    """The arguments of all side-by-side scripts."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("upstream_python", type=Path, help="python of the environment with upstream nnunetv2 2.8.1")
    parser.add_argument("--data", type=Path, required=True, help="folder of the input data")
    parser.add_argument("--work", type=Path, default=Path("side_by_side"), help="folder for everything that is made")
    return parser
