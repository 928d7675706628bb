"""The command is tested on the data set and the trainer of the training tests."""

from __future__ import annotations

from tests.training.tiny_fixtures import preprocessed, preprocessed_template, tiny_trainer_by_name  # noqa: F401
