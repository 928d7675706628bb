"""The folder variables ``nnUNet_raw``, ``nnUNet_preprocessed``, ``nnUNet_results`` and ``nnUNet_extTrainer``.

Each is a path-like object that reads its environment variable at every use, so importing this module never fails and
setting a variable later works.
"""

from __future__ import annotations

import os

from nnunetv2.errors import EnvironmentVariableError


class EnvironmentPath(os.PathLike):
    """The value of one environment variable as a path, looked up when used. Equal to None while unset."""

    def __init__(self, name: str):
        self.name = name

    def get(self) -> str | None:
        """The value, or None while the variable is unset."""
        return os.environ.get(self.name)

    def is_set(self) -> bool:
        """Whether the variable is set (an empty value counts as set)."""
        return self.name in os.environ

    def require(self) -> str:
        """The value; raises EnvironmentVariableError (a RuntimeError) naming the variable while it is unset."""
        value = self.get()
        if value is None:
            raise EnvironmentVariableError(
                f"{self.name} is not defined. Set it first, for example: export {self.name}=/path/to/{self.name}"
            )
        return value

    def __fspath__(self) -> str:
        return self.require()

    def __str__(self) -> str:
        return self.require()

    def __repr__(self) -> str:
        return repr(self.get()) if self.is_set() else f"<unset {self.name}>"

    def __bool__(self) -> bool:
        return self.is_set()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, EnvironmentPath):
            return self.get() == other.get()
        return self.get() == other

    def __hash__(self) -> int:
        return hash(self.name)


nnUNet_raw = EnvironmentPath("nnUNet_raw")
nnUNet_preprocessed = EnvironmentPath("nnUNet_preprocessed")
nnUNet_results = EnvironmentPath("nnUNet_results")
nnUNet_extTrainer = EnvironmentPath("nnUNet_extTrainer")
