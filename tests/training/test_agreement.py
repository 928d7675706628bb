"""Processes that are set up differently find out before training."""

from __future__ import annotations

import pytest
import torch

from nnunetv2.errors import DatasetError, UsageError, WorkerError
from nnunetv2.training import agreement
from tests.training.gloo_processes import run_in_processes


def test_differences_name_the_fact_the_values_and_the_ranks():
    facts = [{"batch size": "2", "fold": "0"}, {"batch size": "4", "fold": "0"}, {"batch size": "4", "fold": "0"}]
    assert agreement.differences(facts) == ["batch size: 2 on rank 0, 4 on ranks 1, 2"]


def test_a_fact_that_one_rank_lacks_is_a_difference():
    assert agreement.differences([{"a": "1"}, {}]) == ["a: 1 on rank 0, absent on rank 1"]


def test_long_values_are_told_apart_by_a_digest():
    (line,) = agreement.differences([{"a": "x" * 500}, {"a": "x" * 499 + "y"}])
    first, second = line.removeprefix("a: ").split(", ")
    assert first.split(" on ")[0] != second.split(" on ")[0]
    assert len(line) < 200


def test_equal_weights_have_equal_digests_whatever_their_dtype():
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        state = {"a": torch.arange(6).reshape(2, 3).to(dtype), "b": torch.tensor(1, dtype=dtype)}
        assert agreement.digest_of_weights(state) == agreement.digest_of_weights(dict(state))
        assert agreement.digest_of_weights(state) != agreement.digest_of_weights(state | {"b": state["b"] + 1})


def test_code_facts_cover_the_package_and_classes_outside_of_it():
    class Loss(torch.nn.Module):
        def forward(self, x):
            return x

    facts = agreement.code_facts([Loss()])
    assert "code in training/loss/dice.py" in facts
    assert "code of Loss" in facts
    assert "code of Module" not in facts


def test_alone_there_is_nothing_to_agree_on():
    assert agreement.all_or_none(lambda: 5) == 5
    agreement.require_agreement({"a": "1"})


def _disagree(rank: int) -> tuple[str, str]:
    def step():
        if rank == 1:
            raise DatasetError("case_7 is damaged")
        return "done"

    errors = []
    for call in (lambda: agreement.all_or_none(step), lambda: agreement.require_agreement({"epoch": str(rank)})):
        try:
            call()
            errors.append("nothing was raised")
        except (DatasetError, WorkerError, UsageError) as error:
            errors.append(f"{type(error).__name__}: {error}")
    agreement.require_agreement({"epoch": "3"})
    return tuple(errors)


@pytest.mark.slow
def test_every_rank_hears_of_the_failure_of_one_and_of_a_difference():
    (failed_0, differs_0), (failed_1, differs_1) = run_in_processes(_disagree, 2)
    assert failed_0.startswith("WorkerError: rank 1 failed on ")
    assert failed_0.endswith(": case_7 is damaged")
    assert failed_1 == "DatasetError: case_7 is damaged"
    assert differs_0 == differs_1
    assert "epoch: 0 on rank 0, 1 on rank 1" in differs_0
