"""Every public name exists where others import it from and can be called as they call it."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pickle
from functools import reduce
from importlib.metadata import version
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import nnunetv2
from nnunetv2.inference.patchable import find_trainer
from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint
from nnunetv2.training.dataloading.base_data_loader import nnUNetDataLoaderBase
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.data_loader_2d import nnUNetDataLoader2D
from nnunetv2.training.dataloading.data_loader_3d import nnUNetDataLoader3D
from nnunetv2.training.logging.nnunet_logger import nnUNetLogger
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as trainer_module
from nnunetv2.utilities import find_objects
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets
from tests.public_names import PUBLIC_NAMES

KEYWORD_ONLY, POSITIONAL = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
REQUIRED = inspect.Parameter.empty
CPU = torch.device("cpu")
SHARE_THE_LISTING = (
    "utilities.utils",
    "experiment_planning.plan_and_preprocess_api",
    "experiment_planning.dataset_fingerprint.fingerprint_extractor",
    "experiment_planning.experiment_planners.default_experiment_planner",
    "preprocessing.preprocessors.default_preprocessor",
)


def listed_parameters(line: str) -> tuple[dict, dict]:
    """Parameters of a line of the table with their defaults: by position, by keyword only."""
    arguments = ast.parse(f"def f({line.partition('(')[2][:-1]}): pass").body[0].args
    names = [argument.arg for argument in arguments.args]
    defaults = [ast.literal_eval(node) for node in arguments.defaults]
    by_keyword = {a.arg: ast.literal_eval(node) for a, node in zip(arguments.kwonlyargs, arguments.kw_defaults)}
    return dict(zip(names, [REQUIRED] * (len(names) - len(defaults)) + defaults)), by_keyword


def parameters_of(holder: object, name: str) -> list[inspect.Parameter]:
    """Parameters a caller gives to ``holder.name``; self is none of them."""
    parameters = list(inspect.signature(getattr(holder, name)).parameters.values())
    is_method = inspect.isclass(holder) and inspect.isfunction(inspect.getattr_static(holder, name))
    return parameters[1:] if is_method else parameters


def complaints(line: str, parameters: list[inspect.Parameter]) -> list[str]:
    """How ``parameters`` differ from what the line promises."""
    positional, by_keyword = listed_parameters(line)
    have = [p for p in parameters if p.kind is POSITIONAL]
    found = []
    if [p.name for p in have[: len(positional)]] != list(positional):
        found.append(f"positional order is {[p.name for p in have]}")
    named = {p.name: p for p in parameters}
    for name, default in {**positional, **by_keyword}.items():
        if name not in named:
            found.append(f"no parameter {name}")
        elif default is ... and named[name].default is REQUIRED:
            found.append(f"{name} has no default")
        elif default not in (REQUIRED, ...) and named[name].default != default:
            found.append(f"{name} is {named[name].default!r} by default")
    more = [
        p for p in parameters if p.kind in (POSITIONAL, KEYWORD_ONLY) and p.name not in {**positional, **by_keyword}
    ]
    found += [f"needs {p.name} as well" for p in more if p.default is REQUIRED]
    return found


@pytest.mark.parametrize(("module", "lines"), PUBLIC_NAMES.items(), ids=list(PUBLIC_NAMES))
def test_names_exist_with_the_parameters_others_use(module, lines):
    loaded = importlib.import_module(f"nnunetv2.{module}")
    wrong = {}
    for line in lines:
        *holders, name = line.partition("(")[0].split(".")
        try:
            holder = reduce(getattr, holders, loaded)
            getattr(holder, name)
            differences = complaints(line, parameters_of(holder, name)) if "(" in line else []
        except AttributeError as error:
            differences = [str(error)]
        if differences:
            wrong[line] = differences
    assert wrong == {}


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda b, a=1, *, key=2: None, "positional order"),
        (lambda a=1, *, key=2: None, "no parameter b"),
        (lambda a=2, b=None, *, key=2: None, "a is 2 by default"),
        (lambda a=1, b=None, *, key: None, "key has no default"),
        (lambda a=1, b=None, c=None, *, key=3, d: None, "needs d as well"),
    ],
)
def test_the_comparison_sees_differences(function, complaint):
    parameters = list(inspect.signature(function).parameters.values())
    assert any(complaint in found for found in complaints("f(a=1, b=None, *, key=...)", parameters))


def test_the_package_is_a_plain_folder_that_can_be_found_and_copied_into():
    assert len(nnunetv2.__path__) == 1
    assert nnunetv2.__file__ == f"{nnunetv2.__path__[0]}/__init__.py"
    assert not hasattr(nnunetv2, "torch")


def test_the_version_satisfies_requirements_written_for_upstream():
    assert Version(version("nnunetv2")) in SpecifierSet(">=2.8.1")


def test_managers_survive_the_way_to_a_worker_process():
    manager = PlansManager({"plans_name": "P", "configurations": {"2d": CONFIGURATION}})
    configuration = manager.get_configuration("2d")
    for original in (manager, configuration, LabelManager({"background": 0, "x": 1}, None)):
        assert vars(pickle.loads(pickle.dumps(original))).keys() == vars(original).keys()


def test_a_configuration_may_get_another_class_at_run_time():
    class Replaced(ConfigurationManager):
        resampling_fn_data = property(lambda self: "own")

    configuration = ConfigurationManager(CONFIGURATION)
    configuration.__class__ = Replaced
    assert configuration.resampling_fn_data == "own"


def test_trainers_are_found_with_the_call_written_out_in_other_programs():
    folder = f"{nnunetv2.__path__[0]}/training/nnUNetTrainer"
    found = recursive_find_python_class(folder, "nnUNetTrainerNoMirroring", "nnunetv2.training.nnUNetTrainer")
    assert found.__module__.endswith("variants.data_augmentation.nnUNetTrainerNoMirroring")
    assert recursive_find_python_class(folder, "NoSuchTrainer", "nnunetv2.training.nnUNetTrainer") is None


class Used(Exception):
    """Raised by what has been assigned into a module."""


def replacement(*args, **kwargs):
    raise Used


DATASET_JSON = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "x": 1},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}
CONFIGURATION = {"preprocessor_name": "Own", "architecture": {}, "normalization_schemes": ["Own"]}
# Module, name in it that other programs replace, and a call that must then use the replacement.
REPLACED = [
    (
        "utilities.label_handling.label_handling",
        "recursive_find_python_class",
        lambda module: module.get_labelmanager_class_from_plans({"label_manager": "Own"}),
    ),
    (
        "utilities.plans_handling.plans_handler",
        "recursive_find_python_class",
        lambda module: module.ConfigurationManager(CONFIGURATION).preprocessor_class,
    ),
    (
        "utilities.find_class_by_name",
        "recursive_find_python_class",
        lambda module: recursive_find_trainer_class_by_name("Own"),
    ),
    (
        "preprocessing.resampling.utils",
        "recursive_find_python_class",
        lambda module: module.recursive_find_resampling_fn_by_name("own"),
    ),
    (
        "preprocessing.preprocessors.default_preprocessor",
        "recursive_find_python_class",
        lambda module: module.DefaultPreprocessor()._normalize(
            np.zeros((1, 2, 2, 2)), None, SimpleNamespace(normalization_schemes=["Own"], use_mask_for_norm=[False]), {}
        ),
    ),
    (
        "experiment_planning.plan_and_preprocess_api",
        "recursive_find_python_class",
        lambda module: module.extract_fingerprints([4], "Own"),
    ),
    (
        "training.nnUNetTrainer.nnUNetTrainer",
        "PolyLRScheduler",
        lambda module: module.nnUNetTrainer.configure_optimizers(
            SimpleNamespace(network=torch.nn.Linear(1, 1), initial_lr=1, weight_decay=0, num_epochs=1)
        ),
    ),
    (
        "run.load_pretrained_weights",
        "load_pretrained_weights",
        lambda module: maybe_load_checkpoint(
            SimpleNamespace(was_initialized=True, network=None, output_folder="."), False, False, "weights.pth"
        ),
    ),
    *(
        ("inference.predict_from_raw_data", search, lambda module: find_trainer("Own"))
        for search in ("recursive_find_python_class", "recursive_find_trainer_class_by_name")
    ),
    (
        "inference.export_prediction",
        "convert_predicted_logits_to_segmentation_with_correct_shape",
        lambda module: module.export_prediction_from_logits(
            np.zeros((2, 1, 1, 1)), {}, None, MagicMock(), DATASET_JSON, "x"
        ),
    ),
]


@pytest.mark.parametrize(("module", "name", "call"), REPLACED, ids=[f"{m}.{name}" for m, name, _ in REPLACED])
def test_what_others_assign_into_a_module_is_used_there(module, name, call, monkeypatch):
    loaded = importlib.import_module(f"nnunetv2.{module}")
    monkeypatch.setattr(loaded, name, replacement)
    with pytest.raises(Used):
        call(loaded)


def test_training_uses_a_replaced_search_for_trainers(folders, monkeypatch):
    folder = folders["nnUNet_preprocessed"] / "Dataset004_X"
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps(DATASET_JSON))
    (folder / "nnUNetPlans.json").write_text(json.dumps({"configurations": {"2d": CONFIGURATION}}))
    monkeypatch.setattr(find_objects, "recursive_find_trainer_class_by_name", replacement)
    with pytest.raises(Used):
        get_trainer_from_args("Dataset004_X", "2d", 0, "Own", device=CPU)


def test_the_data_loader_of_the_trainer_can_be_replaced(monkeypatch):
    monkeypatch.setattr(trainer_module, "nnUNetDataLoader", replacement)
    with pytest.raises(Used):
        trainer_module.nnUNetTrainer._loader(MagicMock(), None, [8, 8, 8], None)


@pytest.mark.parametrize("module", SHARE_THE_LISTING)
def test_the_listing_of_raw_cases_is_one_object_in_every_module_that_replacing_programs_visit(module):
    loaded = importlib.import_module(f"nnunetv2.{module}")
    assert loaded.get_filenames_of_train_images_and_targets is get_filenames_of_train_images_and_targets


def test_older_programs_find_the_curves_of_the_logger_in_a_dictionary():
    logger = nnUNetLogger()
    logger.log("train_losses", 0.5, 0)
    assert logger.my_fantastic_logging["train_losses"] == [0.5]


def test_the_loaders_of_v2_0_are_loaders_of_today():
    assert issubclass(nnUNetDataLoader2D, nnUNetDataLoaderBase) and issubclass(nnUNetDataLoader3D, nnUNetDataLoaderBase)
    assert issubclass(nnUNetDataLoaderBase, nnUNetDataLoader)
