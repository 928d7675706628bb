import json
import warnings

import pytest
import torch

from nnunetv2.errors import PlansError
from nnunetv2.networks.build import build_network, parse_build_arguments
from nnunetv2.networks.resolve import resolve_dotted_name, resolve_imports, resolve_network_class
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.shared_data import GOLDEN, needs_shared


@pytest.fixture
def flare24():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manager = PlansManager(str(GOLDEN / "flare24" / "plans.json"))
        manager.get_configuration("3d_fullres_S4D2W32")
    return manager, json.loads((GOLDEN / "flare24" / "dataset.json").read_text())


@needs_shared
def test_the_flare24_network_has_the_published_size(flare24):
    manager, dataset_json = flare24
    configuration = manager.get_configuration("3d_fullres_S4D2W32")
    for arguments in (
        (*_names(configuration), 1, 2),
        (manager, dataset_json, configuration, 1),
    ):
        network = get_network_from_plans(*arguments, deep_supervision=True)
        assert sum(p.numel() for p in network.parameters()) == 5_602_950
        assert len(network.state_dict()) == 188
    with torch.no_grad():
        outputs = network(torch.zeros(1, 1, 16, 16, 16))
    assert [tuple(o.shape) for o in outputs] == [(1, 2, 16, 16, 16), (1, 2, 8, 8, 8), (1, 2, 4, 4, 4)]


def _names(configuration):
    return (
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
    )


class StyleA:
    @staticmethod
    def build_network_architecture(
        plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision=True
    ):
        return "A", dataset_json["labels"], num_input_channels, enable_deep_supervision


class StyleB:
    @staticmethod
    def build_network_architecture(
        architecture_class_name,
        arch_init_kwargs,
        arch_init_kwargs_req_import,
        input_patch_size,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision=True,
    ):
        return (
            "B",
            architecture_class_name,
            input_patch_size,
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
        )


class StyleC:
    def build_network_architecture(
        self,
        plans_manager,
        configuration_manager,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision=True,
    ):
        return "C", num_input_channels, num_output_channels, enable_deep_supervision


@needs_shared
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_all_three_historical_signatures_are_called_correctly(flare24):
    manager, dataset_json = flare24
    configuration = manager.get_configuration("3d_fullres_S4D2W32")
    common = (manager, configuration, dataset_json, 1, 2, False)
    assert build_network(StyleA, *common) == ("A", dataset_json["labels"], 1, False)
    assert build_network(StyleB, *common) == ("B", configuration.network_arch_class_name, (96, 128, 128), 1, 2, False)
    assert build_network(StyleC(), *common) == ("C", 1, 2, False)
    with pytest.warns(DeprecationWarning, match=r"v2\.3 to v2\.6"):
        build_network(StyleB, *common)


@needs_shared
def test_explicit_calls_in_all_styles_mean_the_same(flare24):
    manager, dataset_json = flare24
    configuration = manager.get_configuration("3d_fullres_S4D2W32")
    expected = (*_names(configuration), 1, 2, False)
    assert parse_build_arguments(manager, dataset_json, configuration, 1, False) == expected
    assert parse_build_arguments(*_names(configuration), 1, 2, False) == expected
    assert parse_build_arguments(manager, configuration, 1, 2, enable_deep_supervision=False) == expected


@pytest.mark.parametrize(
    "name",
    ["os.system", "subprocess.Popen", "builtins.eval", "torch.hub.load", "nnunetv2.records.files.shutil.rmtree"],
)
def test_names_outside_the_known_packages_are_refused(name):
    with pytest.raises(PlansError, match=r"conv_op"):
        resolve_imports({"conv_op": name}, ["conv_op"])


def test_a_name_that_a_known_module_only_imported_is_refused():
    with pytest.raises(PlansError, match="not allowed"):
        resolve_dotted_name("nnunetv2.utilities.file_path_utilities.join", "architecture.x")


def test_own_packages_can_be_allowed(monkeypatch):
    monkeypatch.setenv("nnUNet_extModules", "collections, json")
    assert resolve_dotted_name("json.decoder.JSONDecoder", "x") is json.JSONDecoder


@pytest.mark.parametrize("module", ["residual_unet", "unet", "somewhere_else"])
def test_moved_network_classes_are_found(module):
    found = resolve_network_class(f"dynamic_network_architectures.architectures.{module}.ResidualEncoderUNet")
    assert found.__name__ == "ResidualEncoderUNet"


def test_wrong_architecture_arguments_are_a_plans_error():
    with pytest.raises(PlansError, match="PlainConvUNet cannot be built"):
        get_network_from_plans(
            "dynamic_network_architectures.architectures.unet.PlainConvUNet", {"n_stages": 2}, [], 1, 2
        )
