"""splits_final.json: which cases each fold trains on and validates with."""

from __future__ import annotations

from collections.abc import Sequence

from nnunetv2.errors import DatasetError
from nnunetv2.records.files import PathLike, read_json

Split = dict[str, list[str]]

# All nnU-Net splits descend from this seed; another one makes folds that cannot be compared with published ones.
SEED = 12345


def generate_crossval_split(identifiers: Sequence[str], seed: int = SEED, n_splits: int = 5) -> list[Split]:
    """Shuffled k-fold cross-validation over the sorted ``identifiers``, as scikit-learn's KFold defines it.

    Returns one ``{"train": [...], "val": [...]}`` per fold, both lists sorted. Raises DatasetError when there are fewer
    cases than folds.
    """
    from sklearn.model_selection import KFold

    cases = sorted(str(i) for i in identifiers)
    if len(cases) < n_splits:
        raise DatasetError(
            f"{len(cases)} training cases cannot be split into {n_splits} folds. Use fold 'all', or write a "
            "splits_final.json into the preprocessed data set folder yourself"
        )
    folds = KFold(n_splits=n_splits, shuffle=True, random_state=seed)
    return [{"train": [cases[i] for i in train], "val": [cases[i] for i in val]} for train, val in folds.split(cases)]


def random_split(identifiers: Sequence[str], fold: int) -> tuple[list[str], list[str]]:
    """The 80:20 split of a fold number beyond those in the file: seeded with the fold, never saved.

    Training cases come in the order drawn, validation cases sorted.
    """
    import numpy as np

    cases = sorted(str(i) for i in identifiers)
    drawn = np.random.RandomState(SEED + fold).choice(len(cases), int(len(cases) * 0.8), replace=False)
    chosen = {int(i) for i in drawn}
    return [cases[i] for i in drawn], [case for i, case in enumerate(cases) if i not in chosen]


def load_splits(path: PathLike) -> list[Split]:
    """Read splits_final.json. Raises DatasetError when it is not a list of folds with ``train`` and ``val``."""
    splits = read_json(path)
    if not isinstance(splits, list) or not splits:
        raise DatasetError(f"{path} must hold a list of folds; it holds {type(splits).__name__}")
    for index, split in enumerate(splits):
        if not isinstance(split, dict) or not {"train", "val"} <= split.keys():
            raise DatasetError(f"{path}: fold {index} needs the keys 'train' and 'val', each a list of case names")
    return splits


def check_split(split: Split, known: Sequence[str], where: str) -> None:
    """Raise DatasetError listing the cases of ``split`` that are not in ``known``. ``where`` names file and fold."""
    unknown = sorted((set(split["train"]) | set(split["val"])) - set(known))
    if unknown:
        raise DatasetError(
            f"{where} names {len(unknown)} case(s) that are not among the {len(known)} preprocessed ones: "
            f"{', '.join(unknown[:10])}{' ...' if len(unknown) > 10 else ''}. Correct the file or preprocess them"
        )
