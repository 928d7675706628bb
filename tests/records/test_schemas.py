"""The schema for editors knows what the checks know."""

import json
from importlib.resources import files

import pytest

from nnunetv2.experiment_planning.plans_checks.network_entries import ARGUMENTS
from nnunetv2.experiment_planning.plans_checks.spelling import ARCHITECTURE_KEYS, CONFIGURATION_KEYS, GENERAL_KEYS
from nnunetv2.records.plans import LEGACY_KEYS
from tests.experiment_planning.plans_editing.plans_of_tests import FLARE24, current_plans, older_plans
from tests.shared_data import GOLDEN

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json.loads(files("nnunetv2.records.schemas").joinpath("plans.schema.json").read_text(encoding="utf-8"))
GOOD = sorted(GOLDEN.glob("**/*lans*.json")) + [FLARE24 / "plans.json"]


def complaints(plans) -> list[str]:
    return [error.json_path for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(plans)]


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: "/".join(path.parts[-2:]))
def test_good_plans_fit(path):
    assert complaints(json.loads(path.read_text())) == []


def test_both_layouts_fit_and_wrong_values_do_not():
    assert complaints(current_plans()) == complaints(older_plans()) == []
    plans = current_plans()
    plans["configurations"]["2d"] |= {"batch_size": "2", "spacing": [1.0], "data_identifier": "a/b"}
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["n_stages"] = 0
    assert len(complaints(plans)) == 4


def test_every_key_that_is_read_can_be_completed():
    definitions = SCHEMA["definitions"]
    architecture = definitions["architecture"]["properties"]
    assert set(SCHEMA["properties"]) == set(GENERAL_KEYS)
    assert set(definitions["configuration"]["properties"]) == {*CONFIGURATION_KEYS, *LEGACY_KEYS}
    assert set(architecture) == set(ARCHITECTURE_KEYS)
    assert {*ARGUMENTS, "n_conv_per_stage", "n_blocks_per_stage"} == set(architecture["arch_kwargs"]["properties"])
