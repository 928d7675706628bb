"""The memory estimate against published values and against the networks themselves."""

import subprocess
import sys

import numpy as np
import pytest

from nnunetv2.errors import PlanningError
from nnunetv2.experiment_planning.experiment_planners.architecture import unet_architecture
from nnunetv2.experiment_planning.experiment_planners.patch_and_batch import Topology
from nnunetv2.networks.feature_map_size import (
    PLAIN_UNET,
    RESIDUAL_UNET,
    closed_form_feature_map_size,
    feature_map_size,
    plain_unet_feature_map_size,
    residual_unet_feature_map_size,
)


def features(stages, most):
    return [min(32 * 2**s, most) for s in range(stages)]


def pooled(stages, dimensions):
    return [(1,) * dimensions] + [(2,) * dimensions] * (stages - 1)


@pytest.mark.parametrize(
    ("patch", "stages", "classes", "expected"),
    [((128,) * 3, 6, 3, 452796416), ((512,) * 2, 8, 2, 82624512), ((96, 128, 128), 4, 2, 335020032)],
)
def test_plain_unets_have_the_published_estimates(patch, stages, classes, expected):
    d = len(patch)
    width = features(stages, 320 if d == 3 else 512)
    got = plain_unet_feature_map_size(patch, pooled(stages, d), width, [2] * stages, [2] * (stages - 1), classes)
    assert got == expected


@pytest.mark.parametrize(
    ("patch", "blocks", "classes", "expected"),
    [((128,) * 3, (1, 3, 4, 6, 6, 6), 3, 557420544), ((512,) * 2, (1, 3, 4, 6, 6, 6, 6), 3, 129531904)],
)
def test_residual_unets_have_the_published_estimates(patch, blocks, classes, expected):
    d, stages = len(patch), len(blocks)
    width = features(stages, 320 if d == 3 else 512)
    got = residual_unet_feature_map_size(patch, pooled(stages, d), width, blocks, [1] * (stages - 1), classes)
    assert got == expected


def random_architecture(rng, class_name):
    """A small network with uneven strides, and a patch that its strides do not always divide."""
    dimensions = int(rng.integers(2, 4))
    stages = int(rng.integers(2, 5))
    strides = [(1,) * dimensions] + [tuple(int(s) for s in rng.integers(1, 3, dimensions)) for _ in range(stages - 1)]
    topology = Topology(
        patch_size=tuple(int(n) for n in rng.integers(17, 40, dimensions)),
        strides=tuple(strides),
        kernel_sizes=((3,) * dimensions,) * stages,
        divisor=(1,) * dimensions,
    )
    key = "n_conv_per_stage" if class_name == PLAIN_UNET else "n_blocks_per_stage"
    widths = [int(w) for w in rng.integers(2, 5, stages)]
    depths = [int(n) for n in rng.integers(1, 4, stages)]
    return topology.patch_size, unet_architecture(class_name, topology, widths, key, depths, depths[1:])


@pytest.mark.parametrize("class_name", [PLAIN_UNET, RESIDUAL_UNET])
def test_the_closed_form_equals_what_the_network_says(class_name):
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    rng = np.random.default_rng(11)
    for _ in range(15):
        patch, architecture = random_architecture(rng, class_name)
        kwargs, imports = architecture["arch_kwargs"], architecture["_kw_requires_import"]
        network = get_network_from_plans(class_name, kwargs, imports, 2, 3, allow_init=False, deep_supervision=False)
        assert closed_form_feature_map_size(patch, 3, class_name, kwargs) == network.compute_conv_feature_map_size(
            patch
        )


def test_single_numbers_stand_for_all_stages():
    full = {
        "n_stages": 3,
        "features_per_stage": [8, 8, 8],
        "strides": [[2, 2], [2, 2], [2, 2]],
        "n_conv_per_stage": [2, 2, 2],
        "n_conv_per_stage_decoder": [1, 1],
    }
    short = full | {"features_per_stage": 8, "strides": 2, "n_conv_per_stage": 2, "n_conv_per_stage_decoder": 1}
    sizes = [closed_form_feature_map_size((32, 48), 2, PLAIN_UNET, kwargs) for kwargs in (full, short)]
    assert sizes[0] == sizes[1] > 0


def test_a_network_outside_the_closed_form_is_built_and_asked():
    patch, architecture = random_architecture(np.random.default_rng(3), RESIDUAL_UNET)
    kwargs, imports = architecture["arch_kwargs"], architecture["_kw_requires_import"]
    other_stem = kwargs | {"stem_channels": 5}
    assert closed_form_feature_map_size(patch, 3, RESIDUAL_UNET, other_stem) is None
    usual = feature_map_size(patch, 1, 3, RESIDUAL_UNET, kwargs, imports)
    stem = int(np.prod(patch))
    # The stem puts out 5 channels instead of those of the first stage; whether a skip convolution appears follows.
    built = feature_map_size(patch, 1, 3, RESIDUAL_UNET, other_stem, imports)
    first = kwargs["features_per_stage"][0]
    assert built - usual == (5 - first) * stem + first * stem


def test_a_network_that_cannot_tell_is_an_error_with_the_way_out():
    with pytest.raises(PlanningError, match="static_estimate_VRAM_usage"):
        feature_map_size((8, 8), 1, 2, "torch.nn.Identity", {}, [])


def test_the_closed_form_needs_no_torch():
    code = (
        "import sys; from nnunetv2.networks import feature_map_size as f;"
        "f.plain_unet_feature_map_size((8, 8), [(1, 1), (2, 2)], [4, 8], [2, 2], [2], 2); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
