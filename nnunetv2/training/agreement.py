"""Processes that train together start only if all of them are about to train the same model in the same way.

Whatever differs would otherwise be noticed as a hang, or not at all. Everything here does nothing without a group.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

import nnunetv2
from nnunetv2.errors import UsageError, WorkerError
from nnunetv2.records.layout import SPLITS_JSON
from nnunetv2.training.distributed import gather_objects, is_distributed
from nnunetv2.training.network_wrapping import bare_network
from nnunetv2.training.trainer_setup import COMMON_SETTINGS

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

Result = TypeVar("Result")
Facts = dict[str, str]

LISTED_DIFFERENCES = 10
# Longer values are shown shortened, with a digest that tells them apart.
SHOWN_CHARACTERS = 60


def all_or_none(step: Callable[[], Result]) -> Result:
    """``step()``. Where it fails on one rank every rank raises, so that none waits for the one that is gone.

    The failed rank raises its own error, the others a WorkerError with the same message. Every rank has to call it.
    """
    if not is_distributed():
        return step()
    error, result = None, None
    try:
        result = step()
    except Exception as own:
        error = own
    failure = None if error is None else f"on {platform.node()}: {error}"
    failures = {rank: text for rank, text in enumerate(gather_objects(failure)) if text is not None}
    if error is not None:
        raise error
    if failures:
        rank, text = next(iter(failures.items()))
        raise WorkerError(f"rank {rank} failed {text}")
    return result


def require_same_task(trainer: nnUNetTrainer, request: Mapping[str, Any]) -> None:
    """Raise UsageError on every rank unless request, trainer, plans, data set and code are the same on all.

    To be called before the networks are made. ``request`` is what the ranks were asked to do, by argument.
    """
    if is_distributed():
        facts = {f"request: {name}": str(value) for name, value in request.items()}
        require_agreement(facts | trainer_facts(trainer) | code_facts([trainer]))


def require_same_start(trainer: nnUNetTrainer) -> None:
    """Raise UsageError on every rank unless weights, epoch, loss and the cases to learn from are the same on all.

    To be called when everything is made and loaded.
    """
    if not is_distributed():
        return
    splits = Path(str(trainer.preprocessed_dataset_folder_base), SPLITS_JSON)
    cases = sorted(trainer._dataset_class().get_identifiers(trainer.preprocessed_dataset_folder))
    facts = {
        "first epoch": str(trainer.current_epoch),
        "weights at the start": digest_of_weights(bare_network(trainer.network).state_dict()),
        "preprocessed cases": f"{len(cases)} ({_digest(json.dumps(cases).encode())})",
        SPLITS_JSON: _digest(splits.read_bytes()) if splits.is_file() else "absent",
    }
    modules = trainer.loss.modules() if isinstance(trainer.loss, torch.nn.Module) else [trainer.loss]
    require_agreement(facts | code_facts(modules))


def require_agreement(facts: Facts) -> None:
    """Raise UsageError, naming every fact that is not the same on all ranks. Every rank has to call it."""
    everyone = gather_objects((platform.node(), facts))
    lines = differences([own for _, own in everyone])
    if not lines:
        return
    hosts = ", ".join(f"rank {rank} on {host}" for rank, (host, _) in enumerate(everyone))
    more = len(lines) - LISTED_DIFFERENCES
    raise UsageError(
        "the processes disagree, so they cannot train one model together:\n"
        + "\n".join(f"  {line}" for line in lines[:LISTED_DIFFERENCES])
        + (f"\n  and {more} more" if more > 0 else "")
        + f"\nStart all of them ({hosts}) with the same command, plans, data and code"
    )


def differences(facts_by_rank: Sequence[Facts]) -> list[str]:
    """A line for each fact with more than one value, such as ``batch size: 2 on rank 0, 4 on ranks 1, 2``."""
    lines = []
    for name in dict.fromkeys(name for facts in facts_by_rank for name in facts):
        holders: dict[str, list[str]] = {}
        for rank, facts in enumerate(facts_by_rank):
            holders.setdefault(facts.get(name, "absent"), []).append(str(rank))
        if len(holders) > 1:
            lines.append(f"{name}: " + ", ".join(f"{_shown(v)} on {_ranks(r)}" for v, r in holders.items()))
    return lines


def trainer_facts(trainer: nnUNetTrainer) -> Facts:
    """What a trainer was made from, and its hyperparameters."""
    cls = type(trainer)
    facts = {
        "trainer": cls.__name__,
        "configuration": trainer.configuration_name,
        "fold": str(trainer.fold),
        "kind of device": trainer.device.type,
        "torch": torch.__version__.split("+")[0],
    }
    facts |= {name: str(getattr(trainer, name, "absent")) for name in COMMON_SETTINGS}
    return facts | _leaves("plans", trainer.plans_manager.plans) | _leaves("dataset.json", trainer.dataset_json)


def code_facts(objects: Iterable[Any]) -> Facts:
    """Digest of each file of this package, and of the files outside it that define the classes of ``objects``."""
    package = Path(nnunetv2.__file__).parent
    facts = {f"code in {path.relative_to(package)}": _file_digest(path) for path in sorted(package.rglob("*.py"))}
    for cls in dict.fromkeys(cls for item in objects for cls in type(item).__mro__):
        path = _source_file(cls)
        if path is not None and package not in path.parents and cls.__module__.split(".")[0] != "torch":
            facts[f"code of {cls.__name__}"] = _file_digest(path)
    return facts


def digest_of_weights(state: Mapping[str, Any]) -> str:
    """Names, shapes, dtypes and bytes of all entries, as 16 hexadecimal digits."""
    total = hashlib.sha256()
    for name, value in state.items():
        tensor = torch.as_tensor(value).detach().cpu().contiguous()
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]


def _leaves(path: str, value: Any) -> Facts:
    """Entries of nested dictionaries by their path, lists and single values as JSON."""
    if isinstance(value, Mapping) and value:
        return {key: text for name, entry in value.items() for key, text in _leaves(f"{path}: {name}", entry).items()}
    return {path: json.dumps(value, default=str)}


def _source_file(cls: type) -> Path | None:
    try:
        found = inspect.getsourcefile(cls)
    except (TypeError, OSError):
        # Written in C, or the module was forgotten after the search in nnUNet_extTrainer; functions know their file.
        files = [member.__code__.co_filename for member in vars(cls).values() if inspect.isfunction(member)]
        found = next(iter(files), None)
    return None if found is None else Path(found)


def _file_digest(path: Path) -> str:
    try:
        return _digest(path.read_bytes())
    except OSError as error:
        return f"unreadable ({error.strerror})"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _shown(value: str) -> str:
    if len(value) <= SHOWN_CHARACTERS:
        return value
    return f"{value[: SHOWN_CHARACTERS - 20]}... ({_digest(value.encode())})"


def _ranks(numbers: Sequence[str]) -> str:
    return f"rank{'' if len(numbers) == 1 else 's'} {', '.join(numbers)}"
