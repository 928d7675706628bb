"""File names of AI CUP 2025 (heart CT): the organisers' and those of nnU-Net, and which one becomes which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

ENDING = ".nii.gz"
# Three digits, as the published pipeline writes them; a number that needs four has no leading zero, so that every
# number has exactly one spelling and the way back is unique.
_OUR_NUMBER = r"(\d{3}|[1-9]\d{3})"


@dataclass(frozen=True)
class Naming:
    """How the names of one folder change. Group 1 of both patterns is the patient's number."""

    before: re.Pattern[str]
    after: re.Pattern[str]
    make: Callable[[int], str]
    """The name after renaming."""
    example: str

    def target(self, name: str) -> str | None:
        """What ``name`` becomes: itself when it was renamed before, None when it is neither."""
        if self.after.fullmatch(name):
            return name
        match = self.before.fullmatch(name)
        return self.make(int(match.group(1))) if match else None

    def number(self, name: str) -> int | None:
        """The patient's number in a name of before or after; None for another name."""
        match = self.after.fullmatch(name) or self.before.fullmatch(name)
        return int(match.group(1)) if match else None


IMAGES = Naming(
    before=re.compile(r"patient(\d{4})\.nii\.gz"),
    after=re.compile(rf"patient_{_OUR_NUMBER}_0000\.nii\.gz"),
    make=lambda number: f"patient_{number:03d}_0000{ENDING}",
    example="patient0001.nii.gz",
)
LABELS = Naming(
    before=re.compile(r"patient(\d{4})_gt\.nii\.gz"),
    after=re.compile(rf"patient_{_OUR_NUMBER}\.nii\.gz"),
    make=lambda number: f"patient_{number:03d}{ENDING}",
    example="patient0001_gt.nii.gz",
)
PREDICTIONS = Naming(
    before=re.compile(rf"patient_{_OUR_NUMBER}\.nii\.gz"),
    after=re.compile(r"patient(\d{4})_predict\.nii\.gz"),
    make=lambda number: f"patient{number:04d}_predict{ENDING}",
    example="patient_051.nii.gz",
)


def renamings(names: Iterable[str], naming: Naming) -> tuple[dict[str, str], list[str]]:
    """Old name to new name for all ``names`` that change, sorted; and a sentence for everything that forbids it.

    Problems are names that are neither of before nor of after, and several names for one result.
    """
    sources: dict[str, list[str]] = {}
    problems = []
    for name in sorted(names):
        target = naming.target(name)
        if target is None:
            problems.append(f"{name} is neither named like {naming.example} nor like {naming.make(1)}")
        else:
            sources.setdefault(target, []).append(name)
    problems += [f"{' and '.join(found)} would both be {new}" for new, found in sources.items() if len(found) > 1]
    changes = {found[0]: new for new, found in sources.items() if found[0] != new}
    return changes, problems


def unpaired(images: Iterable[str], labels: Iterable[str]) -> Mapping[str, list[int]]:
    """Numbers of patients with an image but no label, and the reverse: keys ``label`` and ``image``, what is missing.

    Names of before and after renaming may be mixed; other names are left out.
    """
    with_image = {IMAGES.number(name) for name in images} - {None}
    with_label = {LABELS.number(name) for name in labels} - {None}
    return {"label": sorted(with_image - with_label), "image": sorted(with_label - with_image)}
