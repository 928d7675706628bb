"""Checkpoint files: written with tensors and plain values only, read without running anything that is in them."""

from __future__ import annotations

import io
import logging
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnunetv2.configuration import trusts_pickles
from nnunetv2.errors import CheckpointError, DiskFullError
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.training.checkpoint_archive import UnsafeArchive, compare_checksums, is_archive
from nnunetv2.training.restricted_loading import load_restricted, refused_content
from nnunetv2.training.slim_checkpoint import is_slim, read_slim
from nnunetv2.utilities.disk_space import in_words

_log = logging.getLogger(__name__)

# Names that DistributedDataParallel and torch.compile put in front of those of the network they wrap.
WRAPPER_PREFIXES = ("module.", "_orig_mod.")

_STAYS = "What was there before is unchanged, and a training goes on with --c"

_PLAIN_TYPES = (type(None), bool, int, float, complex, str, bytes, torch.Tensor, torch.Size, torch.device, torch.dtype)


def read_checkpoint(path: PathLike, trust_pickle: bool | None = None) -> dict[str, Any]:
    """Content of a checkpoint, tensors on the CPU.

    Only tensors, plain values and the numpy numbers that nnU-Net stores are accepted. ``trust_pickle`` accepts any
    object, which lets the file run code: for files of known origin only. None: as ``--trust-pickle`` says, which is
    False outside ``configuration.trusting_pickles``. A file ``*.safetensors`` (see ``slim_checkpoint``) is never a
    pickle.
    Raises CheckpointError naming the path when the file is missing, damaged, or holds something else. Damage is found
    by the checksums in the file, too.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise CheckpointError(f"{name} does not exist. Check the folder, the fold and the name of the checkpoint")
    if is_slim(name):
        return read_slim(name)
    try:
        if trusts_pickles() if trust_pickle is None else trust_pickle:
            _log.warning("%s is loaded as a trusted file: it may run code", name)
            content = torch.load(name, map_location="cpu", weights_only=False)
        else:
            content = load_restricted(name)
        if is_archive(name):
            compare_checksums(name)  # after loading, which refuses archives that unpack to more than they should
    except UnsafeArchive as error:
        raise CheckpointError(
            f"{name} was not loaded: {error}. torch.save writes no such file; get the model from a trusted source"
        ) from error
    except pickle.UnpicklingError as error:
        refused = refused_content(name, error)
        if refused is None:
            raise _damaged(name, error) from error
        raise CheckpointError(
            f"{name} was not loaded: it holds more than tensors and plain values ({refused}). Loading that can "
            f"run code from the file. If you trust whoever made it, give the command the flag --trust-pickle, or save "
            f"it again: write_checkpoint(path, read_checkpoint(path, trust_pickle=True)). Otherwise get the model from "
            f"a trusted source"
        ) from error
    except Exception as error:  # a damaged file raises whatever its bytes happen to mean
        raise _damaged(name, error) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{name} holds a {type(content).__name__}, a checkpoint is a dictionary")
    return content


def _damaged(name: str, error: Exception) -> CheckpointError:
    if not os.path.getsize(name):
        reason = "it is empty"
    elif not zipfile.is_zipfile(name):
        reason = "there is no complete archive in it"
    else:
        reason = re.split(r"\. |\n", str(error))[0] or type(error).__name__
    return CheckpointError(
        f"{name} ({os.path.getsize(name)} bytes) is not a readable checkpoint: {reason}. It is damaged, cut short or "
        f"of another kind. Copy or download it again, or use another checkpoint of the same folder"
    )


def write_checkpoint(
    path: PathLike, content: Mapping[str, Any], before_renaming: Callable[[], object] | None = None
) -> None:
    """Write a checkpoint atomically, with numpy values as plain Python ones.

    ``before_renaming`` is called when the new file is complete and the one it replaces still there. A warning names
    entries that only ``read_checkpoint(path, trust_pickle=True)`` will accept. Raises CheckpointError naming the path
    when writing fails; an existing file stays as it was then.
    """
    plain = plain_values(content)
    foreign = list(foreign_entries(plain))
    if foreign:
        _log.warning(
            "%s: not plain values, so loading needs --trust-pickle (trust_pickle=True): %s",
            os.fspath(path),
            "; ".join(foreign),
        )
    _write(path, lambda temporary: torch.save(plain, temporary), before_renaming, lambda: size_of_tensors(plain))


def checkpoint_bytes(content: Mapping[str, Any]) -> bytes:
    """What ``write_checkpoint`` would write now, to be written later by ``write_checkpoint_bytes``."""
    stream = io.BytesIO()
    torch.save(plain_values(content), stream)
    return stream.getvalue()


def write_checkpoint_bytes(path: PathLike, content: bytes, before_renaming: Callable[[], object] | None = None) -> None:
    """Write what ``checkpoint_bytes`` gave, as ``write_checkpoint`` does."""
    _write(path, lambda temporary: temporary.write_bytes(content), before_renaming, lambda: len(content))


def _write(
    path: PathLike,
    write: Callable[[Path], object],
    before_renaming: Callable[[], object] | None,
    needed: Callable[[], int],
) -> None:
    try:
        with atomic_path(path) as temporary:
            write(temporary)
            if before_renaming is not None:
                before_renaming()
    except DiskFullError as error:
        raise CheckpointError(f"{error}. The checkpoint has {in_words(needed())}. {_STAYS}") from error
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{os.fspath(path)} was not written: {error}. Check the permissions of its folder. {_STAYS}"
        ) from error


def size_of_tensors(value: Any) -> int:
    """Bytes of all tensors at any depth; those that share their memory count once."""
    found: dict[int, int] = {}

    def visit(entry: Any) -> None:
        if isinstance(entry, torch.Tensor):
            found[entry.data_ptr()] = entry.numel() * entry.element_size()
        elif isinstance(entry, Mapping):
            for inner in entry.values():
                visit(inner)
        elif isinstance(entry, (list, tuple)):
            for inner in entry:
                visit(inner)

    visit(value)
    return sum(found.values())


def plain_values(value: Any) -> Any:
    """``value`` with numpy numbers and arrays as Python numbers and lists, and paths as text, at any depth.

    What contains nothing to convert is passed on as it is, the state dictionaries of networks among it.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        converted = {plain_values(key): plain_values(entry) for key, entry in value.items()}
        same = all(key is k and entry is e for (key, entry), (k, e) in zip(converted.items(), value.items()))
        return value if same and type(value) in (dict, OrderedDict) else converted
    if isinstance(value, (list, tuple)):
        entries = [plain_values(entry) for entry in value]
        if type(value) in (list, tuple, torch.Size) and all(a is b for a, b in zip(entries, value)):
            return value
        return entries if isinstance(value, list) else tuple(entries)
    return value


def foreign_entries(value: Any, where: str = "") -> Iterable[str]:
    """Place and type of what restricted loading refuses, such as ``init_args.plans.x (module.Class)``."""
    if isinstance(value, _PLAIN_TYPES):
        return
    if isinstance(value, Mapping):
        entries: Iterable = value.items()
    elif isinstance(value, (list, tuple, set)):
        entries = enumerate(value)
    else:
        yield f"{where} ({type(value).__module__}.{type(value).__qualname__})"
        return
    for key, entry in entries:
        yield from foreign_entries(entry, f"{where}.{key}" if where else str(key))


def match_state_dict_prefixes(state: Mapping[str, Any], expected_keys: Iterable[str]) -> dict[str, Any]:
    """``state`` with the prefixes ``module.`` and ``_orig_mod.`` removed from keys that are not expected with them."""
    expected = set(expected_keys)
    return {_without_prefixes(key, expected): tensor for key, tensor in state.items()}


def _without_prefixes(key: str, expected: set[str]) -> str:
    name = key
    while name not in expected:
        prefix = next((p for p in WRAPPER_PREFIXES if name.startswith(p)), None)
        if prefix is None:
            # A part of the network may have been compiled on its own. An unknown name is reported as it is.
            inner = key.replace("_orig_mod.", "")
            return inner if inner in expected else key
        name = name[len(prefix) :]
    return name


def require_matching_state_dict(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], source: PathLike = "the checkpoint"
) -> None:
    """Raise CheckpointError unless ``state`` has the keys and shapes of ``expected``, the network's own state.

    ``source`` is the path the weights come from. Prefixes have to be removed before.
    """
    missing = [f"{key} {tuple(tensor.shape)}" for key, tensor in expected.items() if key not in state]
    unexpected = [f"{key} {tuple(tensor.shape)}" for key, tensor in state.items() if key not in expected]
    misshapen = [
        f"{key}: {tuple(state[key].shape)} in the checkpoint, {tuple(tensor.shape)} in the network"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    groups = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    if any(groups.values()):
        raise CheckpointError(
            f"{os.fspath(source)} does not fit the network: it is the checkpoint of another architecture, "
            f"configuration or number of channels or classes. Use its own plans, or another checkpoint.\n"
            + "\n".join(_listing(title, entries, len(expected)) for title, entries in groups.items() if entries)
        )


def _listing(title: str, entries: list[str], total: int, shown: int = 8) -> str:
    more = [f"... and {len(entries) - shown} more"] if len(entries) > shown else []
    head = f"{len(entries)} weights {title} (the network has {total}):"
    return "\n  ".join([head, *entries[:shown], *more])
