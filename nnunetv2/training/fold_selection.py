"""Which cases a fold trains on and validates with, and what the log says about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os.path import isfile, join

from nnunetv2.records.files import write_json
from nnunetv2.records.layout import SPLITS_JSON
from nnunetv2.records.splits import check_split, generate_crossval_split, load_splits, random_split

Log = Callable[[str], None]


def select_fold(
    fold: int | str, identifiers: Sequence[str], preprocessed_base: str, log: Log
) -> tuple[list[str], list[str]]:
    """Training and validation cases of ``fold`` among all preprocessed ``identifiers``.

    ``all`` uses every case for both. Otherwise splits_final.json in ``preprocessed_base`` decides; it is made when
    absent. A fold beyond those in the file is a seeded random 80:20 split. Raises DatasetError when the file names
    cases that are not there.
    """
    if fold == "all":
        cases = list(identifiers)
        return cases, cases
    path = join(preprocessed_base, SPLITS_JSON)
    _make_splits_if_absent(path, identifiers, log)
    splits = load_splits(path)
    log(f"The split file contains {len(splits)} splits.")
    log(f"Desired fold for training: {fold}")
    index = int(fold)
    if 0 <= index < len(splits):
        check_split(splits[index], identifiers, f"{path}, fold {index},")
        train, val = list(splits[index]["train"]), list(splits[index]["val"])
        log(f"This split has {len(train)} training and {len(val)} validation cases.")
    else:
        train, val = random_split(identifiers, index)
        log(f"INFO: fold {index} is not in {SPLITS_JSON}, so an 80:20 split is drawn, seeded with this number.")
        log(f"This random 80:20 split has {len(train)} training and {len(val)} validation cases.")
    shared = sorted(set(train) & set(val))
    if shared:
        log(f"WARNING: {len(shared)} case(s) are used for training and for validation: {', '.join(shared[:10])}")
    return train, val


def _make_splits_if_absent(path: str, identifiers: Sequence[str], log: Log) -> None:
    """Create the split file. Parallel processes may do so at once: each renames a complete file of the same content."""
    if isfile(path):
        log(f"Using splits from existing split file: {path}")
        return
    log("Creating new 5-fold cross-validation split...")
    write_json(path, generate_crossval_split(identifiers), sort_keys=False)
