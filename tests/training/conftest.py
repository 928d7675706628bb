"""What all tests of training share."""

from __future__ import annotations

import logging

import pytest

from tests.training.tiny_fixtures import preprocessed, preprocessed_template, tiny_trainer_by_name  # noqa: F401


@pytest.fixture(autouse=True)
def messages_reach_caplog(monkeypatch):
    """The package's messages reach ``caplog`` even if a command was run, and set up logging, in an earlier test."""
    package = logging.getLogger("nnunetv2")
    monkeypatch.setattr(package, "propagate", True)
    level = package.level
    package.setLevel(logging.NOTSET)
    yield
    package.setLevel(level)
