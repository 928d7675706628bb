"""Finding the cases of a public data set with the patterns of its recipe."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from os.path import isdir

from nnunetv2.dataset_conversion.recipes import ConversionRecipe
from nnunetv2.errors import DatasetError, MissingFileError
from nnunetv2.records.files import PathLike


@dataclass(frozen=True, kw_only=True)
class SourceCase:
    """One case; paths are relative to the source folder."""

    name: str
    images: tuple[str, ...]
    """One file per channel."""
    label: str | None
    is_test: bool
    group: str
    """Cases of one group stay together in cross-validation; the case itself where nothing groups them."""


def files_below(folder: PathLike) -> list[str]:
    """All visible files below ``folder``, as sorted relative paths with ``/``. Raises MissingFileError."""
    if not isdir(folder):
        raise MissingFileError(f"{os.fspath(folder)} is no folder")
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = os.path.relpath(parent, folder).replace(os.sep, "/")
        prefix = "" if relative == "." else relative + "/"
        found += [prefix + name for name in files if not name.startswith(".")]
    return sorted(found)


def cases_of(recipe: ConversionRecipe, paths: Iterable[str], source: str) -> list[SourceCase]:
    """The cases among ``paths`` in the order of their names. ``source`` names the folder in errors.

    Raises DatasetError when there are none, when channels are missing, when labels have no image, when no case has a
    label, or when a name occurs twice; all problems are reported together.
    """
    paths = sorted(paths)
    known = set(paths)
    pattern = re.compile(rf"(?P<above>(?:.*/)?){recipe.case}")
    cases: dict[str, SourceCase] = {}
    problems: list[str] = []
    used: set[str | None] = set()
    for match in filter(None, map(pattern.fullmatch, paths)):
        case = _case(recipe, match[0], match.groupdict(), known)
        used.add(case.label)
        if recipe.only and not re.fullmatch(recipe.only, case.name):
            continue
        absent = [path for path in case.images if path not in known]
        if absent:
            problems.append(f"{case.name}: {', '.join(absent)} is missing")
        if case.name in cases:
            problems.append(f"{case.name} occurs twice: {cases[case.name].images[0]} and {match[0]}")
        cases[case.name] = case
    _require(cases, recipe, source)
    problems += _labels_without_image(recipe, used, paths)
    if problems:
        shown = "\n".join(f"  - {problem}" for problem in problems[:20])
        more = f"\n  - and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise DatasetError(f"{source} cannot be converted as {recipe.name}:\n{shown}{more}")
    return [cases[name] for name in sorted(cases)]


def _case(recipe: ConversionRecipe, path: str, groups: dict[str, str], known: set[str]) -> SourceCase:
    label = recipe.label.format(**groups)
    has_label = label in known
    in_test_set = recipe.test is not None and re.fullmatch(rf"(?:.*/)?{recipe.test}", path) is not None
    return SourceCase(
        name=groups["case"],
        images=(path, *(template.format(**groups) for template in recipe.other_channels)),
        label=label if has_label else None,
        is_test=in_test_set or not has_label,
        group=groups[recipe.grouped_by] if recipe.grouped_by else groups["case"],
    )


def _require(cases: dict[str, SourceCase], recipe: ConversionRecipe, source: str) -> None:
    if not cases:
        raise DatasetError(
            f"{source} has no images of {recipe.name}; they are found by the pattern {recipe.case} at any depth. "
            "Unpack the archives of the data set, or correct -i"
        )
    if all(case.is_test for case in cases.values()):
        raise DatasetError(
            f"{source} has {len(cases)} images of {recipe.name}, but no label for training; labels are expected as "
            f"{recipe.label}"
        )


def _labels_without_image(recipe: ConversionRecipe, used: set[str | None], paths: list[str]) -> list[str]:
    """Files that look like label maps, in the place the recipe says, but belong to no case."""
    pattern = re.escape(recipe.label)
    for field in set(re.findall(r"\{(\w+)\}", recipe.label)):
        pattern = pattern.replace(re.escape("{" + field + "}"), "(?:.*/)?" if field == "above" else "[^/]+")
    return [f"{path} has no image" for path in paths if path not in used and re.fullmatch(pattern, path)]
