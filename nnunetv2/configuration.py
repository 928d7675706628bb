"""Numbers and switches of the whole package, read from the environment when asked for.

``default_num_processes`` and ``default_n_proc_DA`` are module attributes for the sake of existing imports; they are
computed at each access, so changing the environment after the import has an effect.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil, inf

# An axis is called low resolution when its spacing exceeds the others' by more than this factor
# (Isensee et al., Nature Methods 18, 2021: "anisotropic").
ANISO_THRESHOLD = 3

_TRUE = ("true", "1", "t")

_TRUST_VARIABLE = "nnUNet_trust_pickle"


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


def stall_seconds() -> float:
    """After how long without a finished case a stage says what its workers do (``nnUNet_stall_minutes``, else 30).

    0 means never. Raises ValueError when the variable is not a number of minutes.
    """
    value = os.environ.get("nnUNet_stall_minutes", "").strip() or "30"
    try:
        minutes = float(value)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < inf:
        raise ValueError(
            f"environment variable nnUNet_stall_minutes is {value!r}; set it to a number of minutes from 0"
        )
    return 60 * minutes


def switch_from_environment(name: str) -> bool | None:
    """True or False as set in environment variable ``name`` (true, 1 and t count as true), None when it is unset."""
    value = os.environ.get(name)
    return None if value is None else value.strip().lower() in _TRUE


def trusts_pickles() -> bool:
    """Whether checkpoints may hold any object, which lets them run code: inside ``trusting_pickles``.

    An environment variable carries it, so that processes started meanwhile (one per GPU, say) read as this one does.
    Whoever may set variables here may run code anyway.
    """
    return switch_from_environment(_TRUST_VARIABLE) is True


@contextmanager
def trusting_pickles(trust: bool = True) -> Iterator[None]:
    """Accept any object in the checkpoints read meanwhile, as ``--trust-pickle`` does; without ``trust`` none."""
    before = os.environ.pop(_TRUST_VARIABLE, None)
    if trust:
        os.environ[_TRUST_VARIABLE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_TRUST_VARIABLE, None)
        if before is not None:
            os.environ[_TRUST_VARIABLE] = before


def cgroup_cpu_limit(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> float | None:
    """CPUs' worth of time that control groups leave this process, None without a limit or outside Linux.

    Version 2 (``cpu.max``: quota and period in microseconds) and version 1 (``cpu.cfs_quota_us``,
    ``cpu.cfs_period_us``). A limit of any parent group holds, too, so the smallest counts. ``root`` is where the groups
    are mounted, ``membership`` the file that says which ones this process is in.
    """
    try:
        with open(membership) as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, group = line.split(":", 2) if line.count(":") >= 2 else ("", "", "/")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the group's path may be the host's while its files are mounted at the root.
        for mount in (os.path.join(root, controllers), os.path.join(root, "cpu"), root):
            limits += _limits_along(mount, group)
    return min(limits, default=None)


def _limits_along(mount: str, group: str) -> list[float]:
    """Limits of ``group`` and all its parents below ``mount``."""
    parts = [part for part in group.split("/") if part and part != ".."]
    folders = [os.path.join(mount, *parts[:depth]) for depth in range(len(parts) + 1)]
    return [limit for limit in map(_limit_in, folders) if limit is not None]


def _limit_in(folder: str) -> float | None:
    words = []
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            for name in names:
                with open(os.path.join(folder, name)) as file:
                    words += file.read().split()
            break
        except OSError:
            words = []
    try:
        quota, period = (int(word) for word in words)
    except ValueError:  # no such files, or "max", which is no limit
        return None
    return quota / period if quota > 0 and period > 0 else None  # -1 is no limit in version 1


def available_cpus() -> int:
    """CPUs this process may use, which in a container or a cluster job are fewer than there are; at least 1.

    The smaller of its affinity and its control group's share of time, the latter rounded up.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cpus = os.cpu_count() or 1
    limit = cgroup_cpu_limit()
    return cpus if limit is None else max(1, min(cpus, ceil(limit)))


def num_processes() -> int:
    """Default count of worker processes (``nnUNet_def_n_proc``, else 8)."""
    return integer_from_environment("nnUNet_def_n_proc", 8)


def num_augmentation_processes() -> int:
    """Count of augmentation processes per device (``nnUNet_n_proc_DA``, else 12), at most one per available CPU."""
    return min(integer_from_environment("nnUNet_n_proc_DA", 12), available_cpus())


def __getattr__(name: str) -> int:
    if name == "default_num_processes":
        return num_processes()
    if name == "default_n_proc_DA":
        return num_augmentation_processes()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
