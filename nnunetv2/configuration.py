"""Numbers and switches of the whole package, read from the environment when asked for.

``default_num_processes`` and ``default_n_proc_DA`` are module attributes for the sake of existing imports; they are
computed at each access, so changing the environment after the import has an effect.
"""

from __future__ import annotations

import os

# An axis is called low resolution when its spacing exceeds the others' by more than this factor
# (Isensee et al., Nature Methods 18, 2021: "anisotropic").
ANISO_THRESHOLD = 3

_TRUE = ("true", "1", "t")


def integer_from_environment(name: str, default: int) -> int:
    """Value of environment variable ``name`` as an integer; ``default`` when it is unset or empty.

    Raises ValueError naming the variable when the value is not an integer.
    """
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        return int(value)
    except ValueError as error:
        raise ValueError(f"environment variable {name} is {value!r}; set it to an integer or unset it") from error


def switch_from_environment(name: str) -> bool | None:
    """True or False as set in environment variable ``name`` (true, 1 and t count as true), None when it is unset."""
    value = os.environ.get(name)
    return None if value is None else value.strip().lower() in _TRUE


def available_cpus() -> int:
    """CPUs this process may use (its affinity), which in a container or a cluster job are fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def num_processes() -> int:
    """Default count of worker processes (``nnUNet_def_n_proc``, else 8)."""
    return integer_from_environment("nnUNet_def_n_proc", 8)


def num_augmentation_processes() -> int:
    """Count of data augmentation processes per device (``nnUNet_n_proc_DA``, else 12), at most one per CPU."""
    return min(integer_from_environment("nnUNet_n_proc_DA", 12), os.cpu_count() or 1)


def __getattr__(name: str) -> int:
    if name == "default_num_processes":
        return num_processes()
    if name == "default_n_proc_DA":
        return num_augmentation_processes()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
