"""The networks trainers build: call forms, the FLARE24 network, checkpoints of others."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch

import nnunetv2
from nnunetv2.networks.build import build_network
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer_varianst import nnUNetTrainer_Epoch2000_Lr1e3
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.shared_data import GOLDEN, needs_shared
from tests.training.nnUNetTrainer.test_construction import DATASET_JSON
from tests.training.tiny_training import CPU, tiny_plans

FLARE24 = Path(nnunetv2.__file__).parents[1] / "nnUNet_results" / "Dataset024_FLARE24_Task1"


@pytest.fixture
def managers():
    plans_manager = PlansManager(tiny_plans())
    return plans_manager, plans_manager.get_configuration("tiny")


def calls(plans_manager, configuration):
    kwargs, to_import = configuration.network_arch_init_kwargs, configuration.network_arch_init_kwargs_req_import
    name = configuration.network_arch_class_name
    return {
        "A": ((plans_manager, DATASET_JSON, configuration, 2, False), {}),
        "A by keyword": (
            (),
            {
                "plans_manager": plans_manager,
                "dataset_json": DATASET_JSON,
                "configuration_manager": configuration,
                "num_input_channels": 2,
                "enable_deep_supervision": False,
            },
        ),
        "B": ((name, kwargs, to_import, 2, 3, False), {}),
        "B by keyword": (
            (),
            {
                "architecture_class_name": name,
                "arch_init_kwargs": kwargs,
                "arch_init_kwargs_req_import": to_import,
                "num_input_channels": 2,
                "num_output_channels": 3,
                "enable_deep_supervision": False,
            },
        ),
        "C": ((plans_manager, configuration, 2, 3, False), {}),
        "C, deep supervision by keyword": (
            (plans_manager, configuration, 2, 3),
            {"enable_deep_supervision": False},
        ),
    }


@pytest.mark.parametrize("form", ["A", "A by keyword", "B", "B by keyword", "C", "C, deep supervision by keyword"])
def test_the_stock_trainer_is_called_in_every_form(form, managers):
    args, kwargs = calls(*managers)[form]
    network = nnUNetTrainer.build_network_architecture(*args, **kwargs)
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


class FormA(nnUNetTrainer):
    @staticmethod
    def build_network_architecture(
        plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision=True
    ):
        return nnUNetTrainer.build_network_architecture(
            plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision
        )


class FormB(nnUNetTrainer):
    @staticmethod
    def build_network_architecture(
        architecture_class_name,
        arch_init_kwargs,
        arch_init_kwargs_req_import,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision=True,
    ):
        return nnUNetTrainer.build_network_architecture(
            architecture_class_name,
            arch_init_kwargs,
            arch_init_kwargs_req_import,
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
        )


class FormC(nnUNetTrainer):
    @staticmethod
    def build_network_architecture(
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
    ):
        return nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )


@pytest.mark.parametrize("trainer_class", [nnUNetTrainer, FormA, FormB, FormC])
def test_overrides_of_every_form_are_built_with_deep_supervision(trainer_class, managers, folders):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = build_network(trainer_class, *managers, DATASET_JSON, 2, 3, True)
        trainer = trainer_class(tiny_plans(), "tiny", 0, DATASET_JSON, device=CPU)
        trainer.initialize()
    assert [tuple(o.shape[2:]) for o in network(torch.zeros(1, 2, 16, 16, 16))] == [(16,) * 3, (8,) * 3]
    assert trainer.network.state_dict().keys() == network.state_dict().keys()


def test_a_network_without_strides_in_the_plans_may_have_any_patch(folders):
    class OwnNetwork(nnUNetTrainer):
        @staticmethod
        def build_network_architecture(plans_manager, configuration_manager, n_in, n_out, enable_deep_supervision=True):
            return torch.nn.Conv3d(n_in, n_out, 1)

    plans = tiny_plans()
    plans["configurations"]["tiny"]["patch_size"] = [15, 17, 19]
    trainer = OwnNetwork(plans, "tiny", 0, DATASET_JSON, device=CPU)
    trainer.enable_deep_supervision = False
    trainer.initialize()
    trainer.set_deep_supervision_enabled(False)
    assert trainer.network(torch.zeros(1, 2, 15, 17, 19)).shape[1] == 3


@pytest.fixture
def flare24_trainer(folders):
    folder = FLARE24 / "nnUNetTrainer_Epoch2000_Lr1e3__nnUNetPlans__3d_fullres_S4D2W32"
    plans, dataset_json = (json.loads((folder / name).read_text()) for name in ("plans.json", "dataset.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the layout before v2.3
        trainer = nnUNetTrainer_Epoch2000_Lr1e3(plans, "3d_fullres_S4D2W32", "all", dataset_json, device=CPU)
        trainer.initialize()
    return trainer


def test_the_flare24_network_is_the_published_one(flare24_trainer):
    network = flare24_trainer.network
    state = network.state_dict()
    assert sum(p.numel() for p in network.parameters()) == 5_602_950
    assert len(state) == 188
    assert len({t.data_ptr() for t in state.values()}) == 68
    assert flare24_trainer.batch_size == 2
    assert flare24_trainer.loss.weight_factors == pytest.approx((2 / 3, 1 / 3, 0))


def test_the_flare24_learning_rate_is_the_logged_one(flare24_trainer):
    rates = {}
    for epoch in (0, 100, 1000, 1990, 1999):
        flare24_trainer.lr_scheduler.step(epoch)
        rates[epoch] = flare24_trainer.optimizer.param_groups[0]["lr"]
    expected = {0: 1e-3, 100: 9.549e-4, 1000: 5.359e-4, 1990: 8.493e-6, 1999: 1.069e-6}
    assert rates == pytest.approx(expected, rel=1e-3)


@needs_shared
def test_a_checkpoint_of_upstream_is_continued(folders):
    model = GOLDEN / "models" / "nnUNetTrainer__nnUNetPlans__2d"
    plans, dataset_json = (json.loads((model / name).read_text()) for name in ("plans.json", "dataset.json"))
    trainer = nnUNetTrainer(plans, "2d", 0, dataset_json, device=CPU)
    trainer.load_checkpoint(str(model / "fold_0" / "checkpoint_final.pth"))
    assert trainer.current_epoch == 1
    assert trainer.inference_allowed_mirroring_axes == (0, 1)
    assert trainer._best_ema == pytest.approx(0.2477, abs=1e-4)
    assert trainer.logger.my_fantastic_logging["mean_fg_dice"] == pytest.approx([0.2477], abs=1e-4)
    # The seg layer of the lowest resolution never got a gradient, so the optimizer knows nothing about it.
    assert 0 < len(trainer.optimizer.state_dict()["state"]) < len(list(trainer.network.parameters()))
