"""Networks inside DDP: every parameter that takes part in training gets a gradient, and no other is waited for."""

from __future__ import annotations

import pytest
import torch
from torch import distributed

from nnunetv2.training.network_wrapping import bare_network, wrap_for_ddp
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from tests.training.tiny_training import CPU, architecture


@pytest.fixture
def group_of_one(tmp_path):
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def network(deep_supervision: bool) -> torch.nn.Module:
    plans = architecture()
    return get_network_from_plans(
        plans["network_class_name"],
        plans["arch_kwargs"],
        plans["_kw_requires_import"],
        1,
        2,
        deep_supervision=deep_supervision,
    )


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_two_steps_in_a_row_work(deep_supervision, group_of_one):
    wrapped = wrap_for_ddp(network(deep_supervision), CPU)
    for _ in range(2):  # DDP notices in the next forward pass that it waited in vain
        outputs = wrapped(torch.randn(1, 1, 8, 8, 8))
        sum(output.sum() for output in (outputs if deep_supervision else [outputs])).backward()
    missing = [name for name, p in bare_network(wrapped).named_parameters() if p.grad is None]
    assert missing == ([] if deep_supervision else ["decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"])


def test_networks_without_a_decoder_are_left_as_they_are(group_of_one):
    plain = torch.nn.Conv3d(1, 2, 1)
    assert bare_network(wrap_for_ddp(plain, CPU)) is plain
    assert all(p.requires_grad for p in plain.parameters())
