"""The fixture through which fault tests report, and the table of what they reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.training.tiny_fixtures import preprocessed, preprocessed_template, tiny_trainer_by_name  # noqa: F401

if TYPE_CHECKING:
    from tests.faults.stages import Workplace

PROPERTY = "fault"


@pytest.fixture
def figures(record_property) -> Callable[..., None]:
    """``figures(fault, count, seen)``: one row of the table, such as ("SIGKILL of nnUNetv2_train", 20, "...")."""

    def report(fault: str, count: int, seen: str) -> None:
        record_property(PROPERTY, (fault, count, seen))

    return report


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """What the stages start from, made once."""
    from tests.faults.stages import Workplace

    return Workplace(tmp_path_factory.mktemp("origin"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the rows of all fault tests of the run, also when they ran in several processes."""
    reports = [r for key in ("passed", "failed") for r in terminalreporter.stats.get(key, ()) if r.when == "call"]
    rows = sorted((*row, r.outcome) for r in reports for name, row in r.user_properties if name == PROPERTY)
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line("| fault | count | seen | test |\n| --- | ---: | --- | --- |")
        for row in rows:
            terminalreporter.write_line("| " + " | ".join(map(str, row)) + " |")
