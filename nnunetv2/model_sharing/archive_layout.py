"""Which files a model archive may hold, and where; the same rules for writing and for reading one.

Names in an archive use ``/`` and start with the folder of the data set.
"""

from __future__ import annotations

import re

from nnunetv2.records.layout import DATASET_JSON, PLANS_JSON

ENSEMBLES = "ensembles"
CROSSVAL_RESULTS_PREFIX = "crossval_results_folds_"
# The last name is an old one of the instructions.
INFERENCE_FILES = ("inference_information.json", "inference_instructions.txt", "inference_information.txt")
RESULT_FILES = ("summary.json", "postprocessing.pkl", "postprocessing.json")

CHECKPOINT_ENDINGS = (".pth", ".safetensors")

DATASET_FOLDER = re.compile(r"Dataset\d{3,}_[^/]+")
_MODEL = r"[^/]+__[^/]+__[^/]+"
_FOLD = r"fold_(?:\d+|all)"
_IMAGE = r"[^/]+\.(?:nii|nii\.gz|nrrd|mha|gipl|tif|tiff|png|bmp|jpg|jpeg)"
_RESULT = rf"(?:[^/]+\.json|postprocessing\.pkl|{_IMAGE})"
_PATTERNS = (
    "|".join(re.escape(name) for name in INFERENCE_FILES),
    rf"{_MODEL}/[^/]+\.json",
    rf"{_MODEL}/{_FOLD}/[^/]+\.(?:pth|safetensors|json|png|pdf|txt)",
    rf"{_MODEL}/{_FOLD}/validation/{_RESULT}",
    rf"(?:{_MODEL}/{CROSSVAL_RESULTS_PREFIX}[^/]+|{ENSEMBLES}/[^/]+)/(?:postprocessed/)?{_RESULT}",
)
_ALLOWED = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS))
# Separators and wildcards of other systems, and control characters.
_BAD_CHARACTERS = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f]')


def is_model_file(name: str) -> bool:
    """Whether a file at ``name`` (below the data set's folder) is of a kind that belongs to a shared model."""
    return _ALLOWED.fullmatch(name) is not None


def unsafe_part(name: str) -> str | None:
    """What makes ``name`` a path that must not be followed, in words; None when nothing does."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    parts = name.rstrip("/").split("/")
    if ".." in parts:
        return "leaves the folder"
    if _BAD_CHARACTERS.search(name):
        return "contains a character that is not portable"
    if any(part in ("", ".") or part.startswith(".") or part.endswith((".", " ")) for part in parts):
        return "has an empty or hidden part, or one ending with a dot or blank"
    return None


def unit_of(name: str) -> str:
    """The part of a data set's results that is installed as a whole: a model, an ensemble, or a single file."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] == ENSEMBLES else parts[0]


def missing_parts(names: set[str]) -> list[str]:
    """What the models among ``names`` (files below the data set's folder) lack to be usable, in words."""
    models: dict[str, dict[str, bool]] = {}
    for name in names:
        parts = name.split("/")
        if re.fullmatch(_MODEL, parts[0]) and len(parts) > 1:
            folds = models.setdefault(parts[0], {})
            if re.fullmatch(_FOLD, parts[1]):
                has_checkpoint = len(parts) == 3 and parts[2].endswith(CHECKPOINT_ENDINGS)
                folds[parts[1]] = folds.get(parts[1], False) or has_checkpoint
    if not models:
        return ["there is no model in it (a folder TRAINER__PLANS__CONFIGURATION)"]
    lacking = []
    for model, folds in sorted(models.items()):
        lacking += [
            f"{model} has no {needed}" for needed in (PLANS_JSON, DATASET_JSON) if f"{model}/{needed}" not in names
        ]
        lacking += [f"{model} has no fold_* folder"] if not folds else []
        lacking += [f"{model}/{fold} has no checkpoint" for fold, complete in sorted(folds.items()) if not complete]
    return lacking
