"""Which removals of small components raise the Dice of a folder of predictions.

Nothing is written on the way: one pass over the cases decides about all candidates that cannot influence each other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.evaluation.metrics import (
    counts_from_joint,
    joint_counts,
    mean_over_cases,
    overlap_metrics,
    whole_numbers,
)
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.postprocessing.components import outside_largest_components, union_mask
from nnunetv2.utilities.executors import map_cases

logger = logging.getLogger(__name__)

LabelOrRegion = int | tuple[int, ...]
Step = LabelOrRegion | list[int]
Candidate = tuple[Step, list[LabelOrRegion]]
"""What is reduced to its largest component, and the labels or regions whose Dice is looked at."""
Effect = dict[LabelOrRegion, dict[str, float]]
"""Dice without (``before``) and with (``after``) a removal, of each label or region looked at."""

Files = Mapping[str, tuple[str, str]]
"""Case to its prediction and its reference."""


def helpful_steps(
    files: Files,
    reader: BaseReaderWriter,
    foreground: Sequence[int],
    evaluated: Sequence[LabelOrRegion],
    ignore_label: int | None,
    num_processes: int,
) -> list[Step]:
    """The removals to apply, in order.

    First all of ``foreground`` together: it must raise the mean over the ``evaluated`` labels or regions and lower
    none of them. Then, if there are several, each of them alone on the result so far: its own mean Dice must rise.
    Labels that are in no case (NaN) neither help nor hinder.
    """

    def mean_effects(accepted: list[Step], candidates: list[Candidate]) -> list[Effect]:
        tasks = [(case, (*pair, reader, accepted, candidates, ignore_label)) for case, pair in files.items()]
        per_case = list(map_cases(effects_in_case, tasks, num_processes, what="postprocessing").values())
        return [mean_over_cases([case[i] for case in per_case]) for i in range(len(candidates))]

    everything: Step = [int(label) for label in foreground]
    (effect,) = mean_effects([], [(everything, list(evaluated))])
    accepted = [everything] if helps_all(effect) else []
    _report("all foreground together", effect, bool(accepted))
    if len(evaluated) < 2:
        return accepted
    for group in disjoint_groups(evaluated):
        found = mean_effects(accepted, [(item, [item]) for item in group])
        for item, effect in zip(group, found):
            rises = effect[item]["after"] > effect[item]["before"]
            _report(f"label or region {item} alone", effect, rises)
            accepted = [*accepted, item] if rises else accepted
    return accepted


def effects_in_case(
    prediction_file: str,
    reference_file: str,
    reader: BaseReaderWriter,
    accepted: Sequence[Step],
    candidates: Sequence[Candidate],
    ignore_label: int | None,
) -> list[Effect]:
    """Effect of each candidate in one case, after the ``accepted`` steps. Raises ImageError when shapes differ."""
    prediction = whole_numbers(reader.read_seg(prediction_file)[0])
    reference = whole_numbers(reader.read_seg(reference_file)[0])
    if prediction.shape != reference.shape:
        raise ImageError(
            f"{prediction_file} has shape {prediction.shape}, {reference_file} {reference.shape}; these are not the "
            "same image"
        )
    for step in accepted:
        prediction[outside_largest_components(union_mask(prediction, step))] = 0
    joint = _joint_counts(reference, prediction, ignore_label)
    found = []
    for step, looked_at in candidates:
        outside = outside_largest_components(union_mask(prediction, step))
        removed = _joint_counts(reference[outside], prediction[outside], ignore_label)
        found.append({item: _dice_before_and_after(joint, removed, item) for item in looked_at})
    return found


def _joint_counts(reference: np.ndarray, prediction: np.ndarray, ignore_label: int | None) -> tuple[Any, Any]:
    labels, joint = joint_counts(reference, prediction)
    if ignore_label is not None:
        joint[labels == int(ignore_label)] = 0
    return labels, joint


def _dice_before_and_after(joint, removed, item: LabelOrRegion) -> dict[str, float]:
    """A removed voxel is a true positive that becomes a false negative, or a false positive that becomes a true one."""
    tp, fp, fn, tn = counts_from_joint(*joint, item)
    removed_tp, removed_fp, *_ = counts_from_joint(*removed, item)
    after = overlap_metrics(tp - removed_tp, fp - removed_fp, fn + removed_tp, tn + removed_fp)
    return {"before": overlap_metrics(tp, fp, fn, tn)["Dice"], "after": after["Dice"]}


def helps_all(effect: Effect) -> bool:
    """Whether the mean over labels or regions rises and none falls; NaN counts for neither."""
    before, after = (np.array([dice[when] for dice in effect.values()]) for when in ("before", "after"))
    if np.isnan(before).all() or np.isnan(after).all():
        return False
    return bool(np.nanmean(after) > np.nanmean(before)) and not bool((after < before).any())


def disjoint_groups(items: Sequence[LabelOrRegion]) -> list[list[LabelOrRegion]]:
    """Consecutive labels or regions without common labels; removing voxels of one leaves the others as they are."""
    groups: list[list[LabelOrRegion]] = []
    used: set[int] = set()
    for item in items:
        labels = {item} if isinstance(item, int) else set(item)
        if not groups or labels & used:
            groups.append([])
            used = set()
        groups[-1].append(item)
        used |= labels
    return groups


def _report(what: str, effect: Effect, accepted: bool) -> None:
    before, after = ([dice[when] for dice in effect.values()] for when in ("before", "after"))
    shown = [f"{float(np.nanmean(v)):.4f}" if not np.isnan(v).all() else "undefined" for v in (before, after)]
    logger.info("Largest component of %s: Dice %s -> %s, %s", what, *shown, "kept" if accepted else "not kept")
