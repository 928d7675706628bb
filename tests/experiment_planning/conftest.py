"""Fixtures of the planning tests."""

import pytest

from tests.experiment_planning.fingerprints import GOLDEN_CASES, write_planning_dataset


@pytest.fixture
def planning_dataset(folders):
    """Function that writes a data set without images: a key of GOLDEN_CASES, or spacings and shapes."""

    def write(case=None, **settings):
        return write_planning_dataset(folders, **{**(GOLDEN_CASES[case] if case else {}), **settings})

    return write
