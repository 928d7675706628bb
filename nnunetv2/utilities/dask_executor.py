"""Workers on other machines: the address given to ``--executor`` as an executor for ``map_cases``.

Needs the optional packages of the extra ``dask``, and workers that see the same folders under the same paths.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from nnunetv2.errors import UsageError

SECONDS_TO_CONNECT = 20


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Executor whose calls run on the workers of the dask scheduler at ``dask://HOST:PORT``.

    Calls of a worker that dies are made again on another one. Raises UsageError when the packages lack, nothing
    answers, there is no worker, or a worker has other versions.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(
            f"--executor {address} needs the packages dask and distributed: pip install 'nnunetv2[dask]'"
        ) from error
    scheduler = address.replace("dask://", "tcp://", 1)
    try:
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--executor {address}: no dask scheduler answers there ({error}). Start one with: dask scheduler"
        ) from error
    with client:
        _require_equal_workers(client, address)
        yield client.get_executor(pure=False)


def is_worker_death(error: BaseException) -> bool:
    """Whether ``error`` says that several workers died with the same call, and not that the call raised it."""
    return type(error).__name__ == "KilledWorker" and type(error).__module__.startswith("distributed")


def own_versions() -> dict[str, str]:
    """What two processes must have in common to pickle for each other and to give the same results."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python} | {name: version(name) for name in ("nnunetv2", "numpy", "torch")}


def _require_equal_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except TimeoutError as error:
        raise UsageError(
            f"--executor {address}: this scheduler has no worker. Start some with: dask worker "
            f"{address.removeprefix('dask://')} --nthreads 1"
        ) from error
    own = own_versions()
    try:
        found = client.run(own_versions)
    except Exception as error:  # the worker cannot import this package, or another Python cannot read the call
        raise UsageError(
            f"--executor {address}: a worker cannot run this package ({type(error).__name__}: {error}). Install the "
            f"same version in the environment of every worker: {own}"
        ) from error
    for worker, versions in found.items():
        other = {name: value for name, value in versions.items() if value != own[name]}
        if other:
            here = {name: own[name] for name in other}
            raise UsageError(f"--executor {address}: the worker at {worker} has {other}, but here it is {here}")
