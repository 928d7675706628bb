"""What a name in a document led to is taken only when it is of the expected kind; users' own code can be declared."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

import nnunetv2.preprocessing.normalization as normalization_package
import nnunetv2.preprocessing.resampling as resampling_package
from nnunetv2.errors import ClassNotFoundError, PlansError
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.networks.resolve import resolve_dotted_name, resolve_network_class
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.preprocessing.resampling.utils import recursive_find_resampling_fn_by_name
from nnunetv2.utilities.class_kinds import require_class, require_function
from nnunetv2.utilities.declared_code import declared_folders, declared_packages, is_declared
from nnunetv2.utilities.label_handling.label_handling import get_labelmanager_class_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

READING = ("read_images", "write_seg")


class Ducklike:
    """A reader by its methods, defined outside the package."""

    def read_images(self):
        """Read."""

    def write_seg(self):
        """Write."""


def test_classes_of_the_package_with_the_methods_are_taken():
    assert require_class(SimpleITKIO, "SimpleITKIO", "entry", READING) is SimpleITKIO


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (subprocess.Popen, "it has no read_images, write_seg"),
        (subprocess, "it is no class"),
        (print, "it is no class"),
        (Ducklike, "belongs to tests.utilities.test_class_kinds, which was not made for this.*nnUNet_extModules"),
    ],
)
def test_others_are_refused_with_entry_name_and_reason(found, reason):
    with pytest.raises(ClassNotFoundError, match=f"the entry is 'X', which is .*: .*{reason}"):
        require_class(found, "X", "the entry", READING)


def test_subclasses_of_a_base_of_ours_may_come_from_anywhere():
    class Own(SimpleITKIO):
        """Of a user."""

    assert require_class(Own, "Own", "entry", ("nothing",), SimpleITKIO) is Own


def test_what_a_declared_package_holds_is_taken(monkeypatch):
    monkeypatch.setenv("nnUNet_extModules", "tests")
    assert require_class(Ducklike, "X", "entry", READING) is Ducklike


def test_functions_must_be_from_where_they_are_looked_up(monkeypatch):
    package = "nnunetv2.preprocessing"
    partial = functools.partial(resample_data_or_seg_to_shape, is_seg=True)
    for function in (resample_data_or_seg_to_shape, partial):
        assert require_function(function, "f", "entry", package) is function
    for other in (subprocess.run, subprocess.Popen, functools.partial(subprocess.run), 5):
        with pytest.raises(ClassNotFoundError, match="the entry is 'f'"):
            require_function(other, "f", "the entry", package)
    monkeypatch.setenv("nnUNet_extModules", "other, subprocess")
    assert require_function(subprocess.run, "f", "entry", package) is subprocess.run


@pytest.mark.parametrize(
    "name", ["join", "recursive_find_python_class", "np", "os.system", ["a"], None, "__builtins__"]
)
def test_resampling_functions_are_functions_for_resampling(name):
    with pytest.raises(ClassNotFoundError, match="resampling function"):
        recursive_find_resampling_fn_by_name(name)


@pytest.mark.parametrize("name", ["Path", "np", "__loader__", 5, ["a"], "../evil"])
def test_entries_of_plans_lead_to_classes_of_their_kind(name):
    manager = PlansManager({"configurations": {}, "image_reader_writer": name, "experiment_planner_used": name})
    configuration = ConfigurationManager({"architecture": {}, "preprocessor_name": name})
    for get in (
        lambda: manager.image_reader_writer_class,
        lambda: manager.experiment_planner_class,
        lambda: configuration.preprocessor_class,
        lambda: get_labelmanager_class_from_plans({"label_manager": name}),
    ):
        with pytest.raises(ClassNotFoundError):
            get()


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", "..", "", None, ["a"]])
def test_entries_that_name_folders_are_plain_names(name):
    manager = PlansManager({"configurations": {}, "dataset_name": name, "plans_name": name})
    configuration = ConfigurationManager({"architecture": {}, "data_identifier": name, "next_stage": [name]})
    for get in (
        lambda: manager.dataset_name,
        lambda: manager.plans_name,
        lambda: configuration.data_identifier,
        lambda: configuration.next_stage_names,
    ):
        with pytest.raises(PlansError, match="names a folder"):
            get()


@pytest.fixture
def dropped_in():
    """Files put into the package's folders, as users do; removed afterwards."""
    files: list[Path] = []

    def write(package, name: str, text: str) -> None:
        files.append(Path(package.__path__[0]) / name)
        files[-1].write_text(text)

    yield write
    for file in files:
        file.unlink()


def test_files_put_into_the_package_are_found(dropped_in):
    dropped_in(
        resampling_package,
        "zz_test_own_resampling.py",
        "def own_resampling_of_the_test(data, *_, **__):\n    return data\n",
    )
    assert recursive_find_resampling_fn_by_name("own_resampling_of_the_test")(3) == 3
    dropped_in(
        normalization_package,
        "zz_test_own_scheme.py",
        "class OwnSchemeOfTheTest:\n    def run(self, image, seg=None):\n        return image\n",
    )
    from nnunetv2.preprocessing.normalization.zz_test_own_scheme import OwnSchemeOfTheTest

    assert require_class(OwnSchemeOfTheTest, "x", "entry", ("run",)) is OwnSchemeOfTheTest


def test_packages_and_folders_are_declared_in_one_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_extModules", f"one, two.sub:{tmp_path},{tmp_path / 'absent'}")
    assert declared_packages() == ["one", "two.sub"]
    assert declared_folders() == [str(tmp_path)]
    (tmp_path / "mine.py").write_text("")
    assert [is_declared(name) for name in ("one", "one.x", "onex", "two", "two.sub.x", "mine.X", "other.X")] == [
        *(True, True, False, False, True, True, False)
    ]


def test_networks_of_a_declared_folder_are_built(tmp_path, monkeypatch):
    (tmp_path / "networks_of_the_test.py").write_text(
        "from os import system\nfrom torch import nn\n\n\nclass Own(nn.Module):\n    pass\n\n\n"
        "def make_own(**_):\n    return Own()\n"
    )
    with pytest.raises(PlansError, match=r"networks_of_the_test.Own', which is outside .*or the folder of its file"):
        resolve_network_class("networks_of_the_test.Own")
    monkeypatch.setenv("nnUNet_extModules", str(tmp_path))
    monkeypatch.setattr("sys.path", list(sys.path))
    assert resolve_network_class("networks_of_the_test.Own").__name__ == "Own"
    assert resolve_network_class("networks_of_the_test.make_own")().__class__.__name__ == "Own"
    with pytest.raises(PlansError, match="which belongs to posix"):
        resolve_dotted_name("networks_of_the_test.system", "x")


@pytest.mark.parametrize("name", ["torch.nn.functional.relu", "torch.nn.LayerNorm", "torch.nn.modules.conv.Conv3d"])
def test_parts_of_networks_are_taken(name):
    assert resolve_dotted_name(name, "x").__name__ == name.rpartition(".")[2]


@pytest.mark.parametrize(
    "name", ["torch.nn.init.normal_", "nnunetv2.records.files.write_json", "torch.nn.functional", 5]
)
def test_other_things_are_no_parts_of_networks(name):
    with pytest.raises(PlansError, match="x is "):
        resolve_dotted_name(name, "x")
