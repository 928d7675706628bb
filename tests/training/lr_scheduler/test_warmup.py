"""Linear warm-up and the decay after it."""

from __future__ import annotations

import pytest

from nnunetv2.training.lr_scheduler.warmup import (
    Lin_incr_LRScheduler,
    Lin_incr_offset_LRScheduler,
    PolyLRScheduler_offset,
)
from tests.training.lr_scheduler.test_polylr import optimizer, rate


def rates(scheduler, opt, epochs):
    seen = []
    for epoch in epochs:
        scheduler.step(epoch)
        seen.append(rate(opt))
    return seen


def test_linear_increase_reaches_the_maximum_in_its_last_step():
    opt = optimizer()
    scheduler = Lin_incr_LRScheduler(opt, 0.01, 50)
    assert rate(opt) == 0.01 / 50
    assert rates(scheduler, opt, (1, 24, 49)) == pytest.approx([0.0004, 0.005, 0.01], rel=1e-12)


def test_linear_increase_can_begin_later_and_is_never_negative():
    opt = optimizer()
    scheduler = Lin_incr_offset_LRScheduler(opt, 0.01, 50, 100)
    assert rate(opt) == 0
    assert rates(scheduler, opt, (50, 100, 149)) == pytest.approx([0, 0.0002, 0.01], rel=1e-12)


def test_decay_after_warmup_starts_at_the_initial_rate_and_ends_at_zero():
    opt = optimizer()
    scheduler = PolyLRScheduler_offset(opt, 0.01, 1000, 50)
    found = rates(scheduler, opt, (0, 50, 51, 525, 1000, 1001))
    expected = [0.01, 0.01, 0.01 * (1 - 1 / 950) ** 0.9, 0.01 * 0.5**0.9, 0, 0]
    assert found == pytest.approx(expected, rel=1e-12)


def test_both_use_the_same_optimizer_one_after_the_other():
    opt = optimizer()
    warmup = Lin_incr_LRScheduler(opt, 0.01, 2)
    assert rates(warmup, opt, (0, 1)) == [0.005, 0.01]
    decay = PolyLRScheduler_offset(opt, 0.01, 4, 2, exponent=1)
    assert rates(decay, opt, (2, 3)) == [0.01, 0.005]


def test_schedules_without_steps_are_refused():
    with pytest.raises(ValueError, match="max_steps is 0"):
        Lin_incr_LRScheduler(optimizer(), 0.01, 0)
    with pytest.raises(ValueError, match="max_steps - start_step is 0"):
        PolyLRScheduler_offset(optimizer(), 0.01, 50, 50)
