"""Polynomial decay and what all closed-form schedules share."""

from __future__ import annotations

import pickle

import pytest
import torch

from nnunetv2.training.lr_scheduler.closed_form import ClosedFormLRScheduler
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler


def optimizer(groups: int = 1) -> torch.optim.Optimizer:
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.99)


def rate(opt: torch.optim.Optimizer) -> float:
    return opt.param_groups[0]["lr"]


def test_rates_equal_the_published_ones_exactly():
    opt = optimizer()
    scheduler = PolyLRScheduler(opt, 0.01, 1000)
    assert rate(opt) == 0.01
    for epoch, expected in ((1, 0.009990999549834914), (999, 1.995262314968881e-05), (0, 0.01)):
        scheduler.step(epoch)
        assert rate(opt) == expected
    assert scheduler.get_last_lr() == [0.01]


def test_rate_stays_zero_beyond_the_end():
    opt = optimizer()
    scheduler = PolyLRScheduler(opt, 0.01, 10)
    for epoch in (10, 11, 500):
        scheduler.step(epoch)
        assert rate(opt) == 0


@pytest.mark.parametrize("argument", [(), (None,), (-1,)])
def test_steps_without_a_number_are_counted(argument):
    opt = optimizer()
    scheduler = PolyLRScheduler(opt, 1.0, 4, exponent=1)
    seen = [rate(opt)]
    for _ in range(4):
        scheduler.step(*argument)
        seen.append(rate(opt))
    assert seen == [1, 0.75, 0.5, 0.25, 0]


def test_schedule_can_begin_later():
    opt = optimizer()
    scheduler = PolyLRScheduler(opt, 1.0, 4, 1, current_step=2)
    assert rate(opt) == 0.5
    scheduler.step()
    assert rate(opt) == 0.25


def test_all_parameter_groups_get_the_same_rate_and_remember_the_initial_one():
    opt = optimizer(groups=3)
    PolyLRScheduler(opt, 0.02, 100).step(50)
    assert {group["lr"] for group in opt.param_groups} == {0.02 * 0.5**0.9}
    assert all(group["initial_lr"] == 0.01 for group in opt.param_groups)


def test_scheduler_is_one_of_torch_and_its_state_is_plain():
    scheduler = PolyLRScheduler(optimizer(), 0.01, 1000)
    scheduler.step(7)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert scheduler.last_epoch == 7
    assert pickle.loads(pickle.dumps(scheduler.state_dict()))["max_steps"] == 1000


def test_schedule_without_steps_is_refused():
    with pytest.raises(ValueError, match="max_steps is 0"):
        PolyLRScheduler(optimizer(), 0.01, 0)


def test_formula_has_to_be_defined():
    with pytest.raises(TypeError, match="learning_rate"):
        ClosedFormLRScheduler(optimizer())
