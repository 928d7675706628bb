import os
import signal

import pytest

from nnunetv2.errors import CaseFailures
from nnunetv2.utilities.executors import map_cases


def double(x):
    if x == 13:
        raise ValueError("thirteen is not allowed")
    if x == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * x


def cases(*values):
    return [(f"case_{v}", (v,)) for v in values]


def test_results_come_in_case_order():
    assert map_cases(double, cases(3, 1, 2), 1, what="doubling") == {"case_3": 6, "case_1": 2, "case_2": 4}


def test_a_failing_case_is_named_and_the_others_are_done():
    done = []

    def work(x):
        done.append(x)
        return double(x)

    with pytest.raises(CaseFailures, match="doubling: 1 of 3 cases failed.*\n.*case_13: ValueError: thirteen") as error:
        map_cases(work, cases(13, 1, 2), 0, what="doubling")
    assert done == [13, 1, 2]
    assert set(error.value.failures) == {"case_13"}


@pytest.mark.slow
def test_processes_give_the_same_and_a_killed_worker_costs_only_its_case():
    with pytest.raises(CaseFailures, match="case_99.*killed twice") as error:
        map_cases(double, cases(1, 99, 2, 3), 2, what="doubling")
    assert set(error.value.failures) == {"case_99"}
    assert map_cases(double, cases(1, 2), 2, what="doubling") == {"case_1": 2, "case_2": 4}
