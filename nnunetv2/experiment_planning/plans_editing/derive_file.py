"""Writing a derived configuration into its plans file, and what to run next."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import dirname, isdir, join
from typing import Any

from nnunetv2.errors import PlansError, UsageError
from nnunetv2.experiment_planning.plans_editing.derive import Wishes, derive_configuration
from nnunetv2.experiment_planning.plans_editing.documents import DEFAULT_PLANS, load_plans, require_sound
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.records.json_text import set_entry
from nnunetv2.records.plans import resolve_configuration, upgrade_configuration
from nnunetv2.utilities.dataset_name_id_conversion import convert_dataset_name_to_id


@dataclass(frozen=True, kw_only=True)
class Derived:
    """What ``derive`` did, or would do."""

    path: str
    name: str
    entry: dict[str, Any]
    """As written into the file."""
    data_folder: str
    """Where the preprocessed cases of the configuration lie, or will lie."""
    preprocess_command: str | None
    """None when preprocessed cases are there already."""
    train_command: str


def derive(
    file_or_dataset: PathLike | int,
    name: str,
    base: str,
    wishes: Wishes,
    plans_name: str = DEFAULT_PLANS,
    overwrite: bool = False,
    dry_run: bool = False,
) -> Derived:
    """Add the configuration ``name``, derived from ``base``, to a plans file; every other byte of it stays.

    ``overwrite`` replaces a configuration of that name, ``dry_run`` writes nothing. Raises UsageError or PlansError,
    and then leaves the file as it is.
    """
    documents = load_plans(file_or_dataset, plans_name)
    existing = documents.plans["configurations"]
    if name in existing and not overwrite:
        raise UsageError(
            f"{documents.path} has a configuration {name!r} already. Choose another name, or replace it with "
            "--overwrite"
        )
    _require_usable(documents.path, documents.plans, base)
    entry = derive_configuration(documents.plans, name, base, wishes)
    plans = {**documents.plans, "configurations": {**existing, name: entry}}
    if not dry_run:
        _write(documents.path, name, entry)
    return _what_next(documents.path, plans, name, entry)


def _require_usable(path: str, plans: Mapping[str, Any], base: str) -> None:
    """Raise PlansError when the names in the plans are no text, or what is derived from is broken."""
    for key in ("dataset_name", "plans_name"):
        if not isinstance(plans.get(key), str):
            raise PlansError(f"{path}: {key} is {plans.get(key)!r}; it must be text. Correct it, or plan again")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the layout before v2.3 is as good as the other here
        entries = upgrade_configuration(resolve_configuration(plans, base))
    require_sound(path, base, entries)


def _write(path: str, name: str, entry: Mapping[str, Any]) -> None:
    with open(path, encoding="utf-8", newline="") as stream:  # line ends as they are
        text = stream.read()
    changed = set_entry(text, ["configurations"], name, entry)
    mode = os.stat(path).st_mode
    with atomic_path(os.path.realpath(path)) as temporary:
        temporary.write_text(changed, encoding="utf-8", newline="")
        temporary.chmod(mode)


def _what_next(path: str, plans: Mapping[str, Any], name: str, entry: dict[str, Any]) -> Derived:
    resolved = resolve_configuration(plans, name)
    dataset, plans_name = plans["dataset_name"], plans["plans_name"]
    number = convert_dataset_name_to_id(dataset)
    own_name = "" if plans_name == DEFAULT_PLANS else f" -plans_name {plans_name}"
    folder = join(dirname(path), resolved["data_identifier"])
    ready = isdir(folder) and any(file.endswith((".b2nd", ".npz")) for file in os.listdir(folder))
    return Derived(
        path=path,
        name=name,
        entry=copy.deepcopy(entry),
        data_folder=folder,
        preprocess_command=None if ready else f"nnUNetv2_preprocess -d {number}{own_name} -c {name}",
        train_command=f"nnUNetv2_train {number} {name} 0{own_name.replace('-plans_name', '-p')}",
    )
