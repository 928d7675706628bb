"""Comparing plans by meaning, and changing their layout without changing what they mean."""

import copy
import json

import pytest

from nnunetv2.errors import PlansError
from nnunetv2.experiment_planning.plans_checks.check import check_plans
from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point
from nnunetv2.experiment_planning.plans_editing.diff import compare, differences, meaning_of_plans
from nnunetv2.experiment_planning.plans_editing.layouts import downgraded_plans, upgraded_plans
from nnunetv2.records.plans import LEGACY_KEYS
from tests.experiment_planning.plans_editing.plans_of_tests import FLARE24, current_plans, older_plans, write_plans
from tests.shared_data import GOLDEN, needs_shared

PUBLISHED = json.loads((FLARE24 / "plans.json").read_text())
PLANS = [PUBLISHED, older_plans(), current_plans()]
NAMES = ["published", "older", "current"]


def same(first, second) -> bool:
    return not list(differences(meaning_of_plans(first), meaning_of_plans(second)))


@pytest.mark.parametrize("plans", PLANS, ids=NAMES)
def test_a_change_of_layout_and_back_keeps_the_meaning(plans):
    before = copy.deepcopy(plans)
    current = upgraded_plans(plans)
    older = downgraded_plans(current)
    assert plans == before, "arguments are not changed"
    assert same(plans, current) and same(current, older)
    assert upgraded_plans(older) == current
    for name, entry in current["configurations"].items():
        assert not set(LEGACY_KEYS) & set(entry)
        assert entry.get("inherits_from") == plans["configurations"][name].get("inherits_from")
    assert not any("architecture" in entry for entry in older["configurations"].values())
    assert check_plans(current) == check_plans(older) == []


@needs_shared
def test_golden_plans_survive_the_older_layout():
    for path in sorted(GOLDEN.glob("Dataset*/nnUNet*Plans*.json")):
        plans = json.loads(path.read_text())
        assert upgraded_plans(downgraded_plans(plans)) == plans, path.name


def test_current_plans_are_upgraded_to_themselves():
    assert upgraded_plans(current_plans()) == current_plans()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features_per_stage": [32, 48, 64, 96]}, "features_per_stage"),
        ({"nonlin": "torch.nn.ReLU"}, "nonlin torch.nn.ReLU"),
        ({"conv_bias": False}, "conv_bias False"),
        ({"strides": 2}, "one value per stage"),
    ],
)
def test_what_the_older_layout_cannot_say_is_refused(change, message):
    plans = current_plans()
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"] |= change
    with pytest.raises(PlansError, match=message):
        downgraded_plans(plans)


def test_the_oldest_name_of_the_statistics_becomes_the_current_one():
    plans = older_plans()
    plans["foreground_intensity_properties_by_modality"] = plans.pop("foreground_intensity_properties_per_channel")
    assert "foreground_intensity_properties_per_channel" in upgraded_plans(plans)
    assert same(plans, older_plans())


def test_two_configurations_are_compared_with_what_they_inherit():
    path = FLARE24 / "plans.json"
    found = {d.key: (d.first, d.second) for d in compare(f"{path}:3d_fullres", f"{path}:3d_fullres_S4D2W32")}
    assert found["architecture.arch_kwargs.n_stages"] == ("6", "4")
    lists = ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage", "n_conv_per_stage_decoder")
    assert set(found) == {f"architecture.arch_kwargs.{key}" for key in ("n_stages", *lists)}


def test_the_command_prints_differences_and_ends_with_their_status(tmp_path, capsys):
    path, changed = write_plans(tmp_path, current_plans()), tmp_path / "other.json"
    plans = current_plans()
    plans["configurations"]["3d_fullres"]["batch_size"] = 4
    plans["new"] = 1
    del plans["label_manager"]
    changed.write_text(json.dumps(plans))
    with pytest.raises(SystemExit) as end:
        plans_entry_point(["diff", str(path), str(changed)])
    assert end.value.code == 1
    assert set(capsys.readouterr().out.splitlines()) == {
        "configurations.3d_fullres.batch_size: 2 -> 4",
        "configurations.3d_cascade_fullres.batch_size: 2 -> 4",
        'label_manager: "LabelManager" -> absent',
        "new: absent -> 1",
    }
    plans_entry_point(["diff", f"{path}:2d", f"{changed}:2d"])
    assert capsys.readouterr().out == "no difference\n"


def test_the_command_writes_the_other_layout(tmp_path, capsys):
    for layout, expected in (("current", upgraded_plans(PUBLISHED)), ("older", downgraded_plans(PUBLISHED))):
        out = tmp_path / f"{layout}.json"
        plans_entry_point(["upgrade", str(FLARE24 / "plans.json"), "-o", str(out), "--to", layout])
        assert json.loads(out.read_text()) == expected
        assert list(json.loads(out.read_text())) == list(PUBLISHED)


def test_a_data_set_may_stand_for_its_plans(folders):
    write_plans(folders["nnUNet_preprocessed"], current_plans())
    assert [d.key for d in compare("1:3d_fullres", "1:3d_cascade_fullres")] == ["previous_stage"]
