import json

import jsonschema
import pytest

from nnunetv2.records.schema_check import schema, violations
from tests.shared_data import DATA, needs_shared

GOOD = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "whole": [1, "2"], "core": "2", "ignore": 3},
    "numTraining": 4,
    "file_ending": ".nii.gz",
    "regions_class_order": [1, 2],
    "overwrite_image_reader_writer": None,
    "name": "anything",
    "mine": [1, {"a": 2}],
}


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema("dataset"))


def test_a_sound_document_has_no_violations():
    assert not list(violations(GOOD, "dataset"))


@needs_shared
@pytest.mark.parametrize("folder", sorted(DATA.glob("Dataset*")) if DATA.is_dir() else [], ids=lambda f: f.name)
def test_real_descriptions_have_no_violations(folder):
    assert not list(violations(json.loads((folder / "dataset.json").read_text()), "dataset"))


@pytest.mark.parametrize(
    ("key", "value", "where", "reason"),
    [
        ("channel_names", {"0": 1}, "channel_names.0", "it must be text"),
        ("labels", {"background": 1}, "labels.background", "it must be 0"),
        ("labels", {"background": 0, "a": [1, -2]}, "labels.a", "integer from 0 to 65535 or a list"),
        ("numTraining", "many", "numTraining", "it must be an integer from 0 or text like"),
        ("file_ending", 5, "file_ending", "it must be text like"),
        ("regions_class_order", "1", "regions_class_order", "it must be a list or null"),
        ("dataset", {"a": {"images": ["x"]}}, "dataset.a", "it lacks label"),
    ],
)
def test_violations_say_where_and_what_is_wanted(key, value, where, reason):
    found = [v for v in violations(GOOD | {key: value}, "dataset") if v.key == where]
    assert found and reason in found[0].reason
    assert found[0].description


def test_missing_keys_are_left_to_the_caller():
    assert not list(violations({}, "dataset"))
