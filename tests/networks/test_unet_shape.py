"""Parameters, receptive field and memory by arithmetic, against networks that are built."""

import json
from math import prod

import pytest

from nnunetv2.networks.memory_estimate import FLOAT16, prediction_bytes, training_bytes
from nnunetv2.networks.receptive_field import receptive_field
from nnunetv2.networks.unet_shape import count_parameters, unet_shape
from nnunetv2.records.plans import UNET_CLASS_PATHS, architecture_entry
from tests.shared_data import GOLDEN, needs_shared


def architecture(
    residual=False, dim=3, features=(4, 8, 16), strides=None, kernels=None, depths=(2, 2, 2), decoder=(2, 1)
):
    stages = len(features)
    return architecture_entry(
        UNET_CLASS_PATHS["ResidualEncoderUNet" if residual else "PlainConvUNet"],
        dim,
        features,
        kernels or [[3] * dim] * stages,
        strides or [[1] * dim] + [[2] * dim] * (stages - 1),
        {
            ("n_blocks_per_stage" if residual else "n_conv_per_stage"): list(depths),
            "n_conv_per_stage_decoder": list(decoder),
        },
    )


def shape_of(entry):
    dimensions = int(entry["arch_kwargs"]["conv_op"][-2])
    shape = unet_shape(entry["network_class_name"], entry["arch_kwargs"], dimensions)
    assert shape is not None
    return shape


def built(entry, channels=1, classes=2):
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    kwargs = entry["arch_kwargs"]
    return get_network_from_plans(
        entry["network_class_name"], kwargs, entry["_kw_requires_import"], channels, classes, allow_init=False
    )


VARIANTS = [
    architecture(),
    architecture(residual=True, depths=(1, 3, 2)),
    architecture(dim=2, features=(8, 16, 16, 16), depths=(1, 2, 3, 1), decoder=(1, 2, 3)),
    architecture(True, 2, (8, 16, 16, 16), depths=(2, 1, 1, 2), decoder=(1, 1, 1)),
    architecture(strides=[[1, 1, 1], [1, 2, 2], [2, 2, 4]], kernels=[[1, 3, 3], [1, 3, 3], [3, 5, 3]]),
    architecture(True, strides=[[1, 1, 1], [1, 2, 2], [1, 1, 2]], kernels=[[1, 3, 3], [3, 3, 3], [3, 3, 3]]),
]
NAMES = ["plain", "residual", "plain 2d", "residual 2d", "plain anisotropic", "residual anisotropic"]


@pytest.mark.parametrize("entry", VARIANTS, ids=NAMES)
@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 5)])
def test_parameters_are_counted_as_the_network_has_them(entry, channels, classes):
    network = built(entry, channels, classes)
    expected = sum(parameter.numel() for parameter in network.parameters())
    assert count_parameters(shape_of(entry), channels, classes) == expected


@pytest.mark.parametrize("change", [{"conv_bias": False}, {"norm_op": None}, {"norm_op_kwargs": {}}])
def test_bias_and_normalization_count_when_they_are_there(change):
    for entry in (architecture(), architecture(residual=True)):
        entry["arch_kwargs"] |= change
        expected = sum(parameter.numel() for parameter in built(entry).parameters())
        assert count_parameters(shape_of(entry), 1, 2) == expected


@pytest.mark.parametrize("entry", VARIANTS, ids=NAMES)
def test_the_receptive_field_is_what_a_gradient_reaches(entry):
    import torch

    # Without normalization and with positive weights, a gradient is zero exactly where an output sees nothing.
    entry = json.loads(json.dumps(entry))
    entry["arch_kwargs"] |= {"norm_op": None, "norm_op_kwargs": None, "nonlin": None, "nonlin_kwargs": None}
    network = built(entry).double()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    shape = shape_of(entry)
    expected = receptive_field(shape)
    dimensions = len(expected)
    for axis, reach in enumerate(expected):
        divisor = [prod(stride[a] for stride in shape.strides) for a in range(dimensions)]
        size = [2 * d for d in divisor]
        size[axis] = -(-2 * (reach + divisor[axis]) // divisor[axis]) * divisor[axis]
        widest = 0
        middle = size[axis] // 2 // divisor[axis] * divisor[axis]
        for position in range(middle, middle + divisor[axis]):
            data = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
            network(data)[0, 0].select(axis, position).sum().backward()
            others = [a for a in range(dimensions) if a != axis]
            seen = torch.nonzero(data.grad[0, 0].sum(others)).flatten()
            widest = max(widest, int(seen[-1] - seen[0]) + 1)
        assert widest == reach, (axis, widest, reach)


@needs_shared
def test_the_flare24_network_has_5602950_parameters_and_sees_half_a_patch():
    plans = json.loads((GOLDEN / "Dataset111_SarcomaCT" / "nnUNetPlans_edited.json").read_text())
    shape = shape_of(plans["configurations"]["3d_fullres_S4D2W32"]["architecture"])
    assert count_parameters(shape, 1, 2) == 5_602_950
    assert len(set(receptive_field(shape))) == 1


def test_other_networks_have_no_shape():
    entry = architecture()
    kwargs = entry["arch_kwargs"]
    assert unet_shape("mine.Net", kwargs, 3) is None
    assert unet_shape(entry["network_class_name"], kwargs | {"norm_op": "torch.nn.LayerNorm"}, 3) is None
    residual = architecture(residual=True)
    assert unet_shape(residual["network_class_name"], residual["arch_kwargs"] | {"stem_channels": 8}, 3) is None


def test_memory_grows_with_batch_and_patch_and_shrinks_in_mixed_precision():
    shape = shape_of(architecture())
    parameters = count_parameters(shape, 1, 2)
    one = training_bytes(shape, (32, 32, 32), 1, 1, 2, parameters)
    assert training_bytes(shape, (32, 32, 32), 2, 1, 2, parameters) - one == one - 8 * parameters
    assert training_bytes(shape, (64, 32, 32), 1, 1, 2, parameters) > 1.9 * one
    assert training_bytes(shape, (32, 32, 32), 1, 1, 2, parameters, FLOAT16) < one
    assert prediction_bytes(shape, (32, 32, 32), 1, 2, parameters) < one / 2
