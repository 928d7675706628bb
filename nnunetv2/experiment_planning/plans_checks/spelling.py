"""Keys that nothing reads: most likely misspelled, or entries that people put there for their own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnunetv2.experiment_planning.plans_checks.general_entries import PER_CHANNEL, PER_MODALITY
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.records.findings import did_you_mean
from nnunetv2.records.plans import LEGACY_KEYS

GENERAL_KEYS = (
    "dataset_name",
    "plans_name",
    "original_median_spacing_after_transp",
    "original_median_shape_after_transp",
    "image_reader_writer",
    "transpose_forward",
    "transpose_backward",
    "configurations",
    "experiment_planner_used",
    "label_manager",
    PER_CHANNEL,
    PER_MODALITY,
    "pretrain_info",  # plans made for a pretrained network
    "continue_training",  # set by callers of the trainer
)
CONFIGURATION_KEYS = (
    "inherits_from",
    "data_identifier",
    "preprocessor_name",
    "batch_size",
    "patch_size",
    "median_image_size_in_voxels",
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "resampling_fn_data",
    "resampling_fn_seg",
    "resampling_fn_probabilities",
    "resampling_fn_data_kwargs",
    "resampling_fn_seg_kwargs",
    "resampling_fn_probabilities_kwargs",
    "architecture",
    "batch_dice",
    "previous_stage",
    "next_stage",
)
ARCHITECTURE_KEYS = ("network_class_name", "arch_kwargs", "_kw_requires_import")


def check_spelling(plans: Mapping[str, Any], report: Report) -> None:
    """Report unknown keys: near misses as warnings, others as notes. Keys that begin with ``_`` are comments."""
    _unknown(plans, "", GENERAL_KEYS, report)
    for name, entry in plans["configurations"].items():
        if not isinstance(entry, Mapping):
            continue
        path = f"configurations.{name}."
        _unknown(entry, path, (*CONFIGURATION_KEYS, *LEGACY_KEYS), report)
        if isinstance(entry.get("architecture"), Mapping):
            _unknown(entry["architecture"], f"{path}architecture.", ARCHITECTURE_KEYS, report)


def near_miss(key: str) -> str | None:
    """The key of a configuration that ``key`` is most likely meant to be, when it is none itself."""
    known = (*CONFIGURATION_KEYS, *LEGACY_KEYS)
    return None if key in known else did_you_mean(key, known)


def _unknown(entry: Mapping[str, Any], path: str, known: tuple[str, ...], report: Report) -> None:
    for key, value in entry.items():
        if key in known or key.startswith("_"):
            continue
        near = did_you_mean(key, known)
        if near is not None:
            report.add(f"{path}{key}", value, "nothing reads a key of this name", f"Did you mean {near}?", "warning")
        else:
            report.add(
                f"{path}{key}",
                value,
                "nothing in this package reads it",
                "Ignore this if a trainer or script of your own does; a leading _ marks comments",
                "note",
            )
