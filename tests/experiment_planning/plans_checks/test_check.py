"""Broken plans are answered with file, key, value and way out; good ones with nothing."""

import json
import warnings

import pytest

from nnunetv2.errors import PlansError
from nnunetv2.experiment_planning.plans_checks.at_start import check_before_work, require_sound_configuration
from nnunetv2.experiment_planning.plans_checks.check import check_plans
from nnunetv2.experiment_planning.plans_editing.check_file import check
from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point
from nnunetv2.experiment_planning.plans_editing.derive import Wishes
from nnunetv2.experiment_planning.plans_editing.derive_file import derive
from tests.experiment_planning.plans_checks.broken_plans import BROKEN, at, child, full, net
from tests.experiment_planning.plans_editing.plans_of_tests import (
    FLARE24,
    current_plans,
    dataset_json,
    older_plans,
    write_plans,
)
from tests.shared_data import GOLDEN, needs_shared

GOOD = sorted(GOLDEN.glob("**/*lans*.json")) + sorted(FLARE24.parent.glob("*/plans.json"))


def answer(capsys, *words) -> tuple[int, str]:
    """Status and output of ``nnUNetv2_plans check``."""
    try:
        plans_entry_point(["check", *map(str, words)])
        status = 0
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def keys(findings) -> list[str]:
    return [finding.key for finding in findings]


def test_there_are_more_than_sixty_ways_to_break_plans_and_none_twice():
    assert len(BROKEN) > 100
    assert len({(broken.name, broken.older) for broken in BROKEN}) >= len(BROKEN) - 5


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: ("older: " if broken.older else "") + broken.name)
def test_broken_plans_are_answered_with_file_key_value_and_way_out(broken, tmp_path, capsys):
    plans = older_plans() if broken.older else current_plans()
    broken.change(plans)
    path = write_plans(tmp_path, plans)
    status, text = answer(capsys, path)
    assert status == 1
    assert "Traceback" not in text
    state = "is missing" if broken.value == "missing" else "is "
    lines = [line for line in text.splitlines() if f"{path}: {broken.key} {state}" in line]
    assert lines, text
    if broken.value != "missing":
        assert any(broken.value in line.split(f"{broken.key} is ")[1] for line in lines), lines
    assert any(broken.remedy in line for line in lines), lines


@needs_shared
@pytest.mark.parametrize("path", GOOD, ids=lambda path: "/".join(path.parts[-2:]))
def test_good_plans_have_no_findings(path):
    assert check(path) == []


@pytest.mark.parametrize("plans", [current_plans(), older_plans()], ids=["current", "older"])
def test_the_plans_of_these_tests_have_no_findings(plans):
    assert check_plans(plans, dataset_json=dataset_json()) == []


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("planner", ["ExperimentPlanner", "nnUNetPlannerResEncM", "nnUNetPlannerResEncL_torchres"])
@pytest.mark.parametrize("dataset", sorted(path.name for path in GOLDEN.glob("Dataset*")))
def test_plans_made_by_our_planners_have_no_findings(planner, dataset, folders):
    import shutil

    from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments
    from tests.shared_data import DATA

    (folders["nnUNet_raw"] / dataset).symlink_to(DATA / dataset)
    made = folders["nnUNet_preprocessed"] / dataset
    made.mkdir()
    shutil.copy(GOLDEN / dataset / "dataset_fingerprint.json", made)
    identifier = plan_experiments([int(dataset[7:10])], planner)
    assert check(int(dataset[7:10]), identifier) == []


def test_derived_configurations_have_no_findings(tmp_path):
    path = write_plans(tmp_path, current_plans())
    for number, wishes in enumerate(
        (
            Wishes(stages=3, width=8, spacing=[3, 2, 2]),
            Wishes(patch_size=[48, 96, 96]),
            Wishes(spacing=[4.5, 1, 1], patch_size=[16, 64, 64]),
            Wishes(entries={"normalization_schemes": ["ZScoreNormalization"]}),
        )
    ):
        derive(path, f"mine{number}", "3d_fullres", wishes)
    assert check(path) == []


def test_every_problem_is_listed_at_once(tmp_path, capsys):
    plans = current_plans()
    plans["image_reader_writer"] = "Nobody"
    full("batch_size", 0)(plans)
    net("n_stages", 5)(plans)
    status, text = answer(capsys, write_plans(tmp_path, plans))
    assert status == 1
    # the cascade inherits both, and nothing is said twice
    assert text.count("batch_size") == 1
    assert {"image_reader_writer", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage"} <= {
        line.split(": ")[2].split(" ")[0].rsplit(".", 1)[-1] for line in text.splitlines()[:-1]
    }
    assert text.splitlines()[-1] == "7 problems"


def test_a_clean_file_ends_with_status_0_and_findings_can_be_had_as_json(tmp_path, capsys):
    path = write_plans(tmp_path, current_plans())
    assert answer(capsys, path) == (0, "0 problems\n")
    plans = current_plans()
    full("batch_size", 0)(plans)
    status, text = answer(capsys, write_plans(tmp_path, plans), "--json")
    assert status == 1
    (finding,) = json.loads(text)
    assert (finding["severity"], finding["file"], finding["value"]) == ("error", str(path), "0")


def test_keys_of_ones_own_are_mentioned_but_no_problem(tmp_path, capsys):
    plans = current_plans()
    plans["configurations"]["3d_fullres"] |= {"my_dropout": 0.1, "_why": "a comment"}
    status, text = answer(capsys, write_plans(tmp_path, plans))
    assert status == 0
    assert "note: " in text and "my_dropout" in text and "_why" not in text


def test_text_that_is_no_json_is_answered_with_the_place(tmp_path, capsys):
    path = write_plans(tmp_path, current_plans())
    path.write_text(path.read_text().replace('"batch_size": 2,', '"batch_size": 2', 1))
    status, text = answer(capsys, path)
    assert status == 1
    assert f"{path}: line " in text and "comma" in text


@pytest.mark.parametrize("content", ["", "[]", "3"])
def test_a_file_that_holds_something_else_is_answered(content, tmp_path, capsys):
    path = tmp_path / "nnUNetPlans.json"
    path.write_text(content)
    status, text = answer(capsys, path)
    assert status == 1
    assert str(path) in text and "Traceback" not in text


def test_a_key_that_appears_twice_is_found(tmp_path, capsys):
    path = write_plans(tmp_path, current_plans())
    path.write_text(path.read_text().replace('"2d": {', '"2d": {}, "2d": {', 1))
    status, text = answer(capsys, path)
    assert status == 1
    assert "2d is" in text and "twice" in text


def test_plans_found_by_name_must_carry_their_names(folders, capsys):
    write_plans(folders["nnUNet_preprocessed"], current_plans() | {"plans_name": "other", "dataset_name": "x"})
    status, text = answer(capsys, "1")
    assert status == 1
    assert 'plans_name is "other"' in text and 'Write "nnUNetPlans"' in text
    assert 'dataset_name is "x"' in text and 'Write "Dataset001_Tiny"' in text
    assert answer(capsys, "1", "-p", "none")[0] == 1


def test_a_fingerprint_beside_the_plans_says_which_spacings_are_usual(tmp_path):
    plans = current_plans()
    full("spacing", [8.0, 1.0, 1.0])(plans)
    full("architecture/arch_kwargs/strides", [[1, 1, 1], [1, 2, 2], [1, 2, 2], [1, 2, 2]])(plans)
    path = write_plans(tmp_path, plans)
    assert keys(check(path)) == ["configurations.3d_fullres.spacing"]
    fingerprint = {"spacings": [[1.0, 1.0, 1.5], [1.0, 1.0, 6.0]]}
    (path.parent / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    path.write_text(json.dumps(plans | {"transpose_forward": [2, 0, 1], "transpose_backward": [1, 2, 0]}))
    assert check(path) == []


def test_a_spacing_in_another_axis_order_is_recognized():
    plans = current_plans() | {"original_median_spacing_after_transp": [3.0, 0.8, 0.8]}
    plans["configurations"] = {"3d_fullres": plans["configurations"]["3d_fullres"]}
    full("spacing", [0.8, 0.8, 3.0])(plans)
    order = [finding for finding in check_plans(plans) if finding.key.endswith(".spacing")]
    assert "Write [3.0, 0.8, 0.8]" in str(order[0])


def test_at_the_start_of_work_only_errors_of_the_chosen_configuration_stop(caplog):
    plans = current_plans()
    at("configurations/2d/batch_size", 0)(plans)
    child(batch_sise=3, patch_size=[32, 64, 64], spacing=[1.5, 1.0, 1.0])(plans)
    check_before_work(plans, "plans.json", ["mine", "not there"], "train", dataset_json())
    assert "batch_sise is 3" in caplog.text
    with pytest.raises(PlansError, match=r"plans.json has 1 problem:\n  - configurations.2d.batch_size is 0"):
        check_before_work(plans, "plans.json", ["2d"], "train", dataset_json())
    check_before_work(plans, "plans.json", ["2d"], "predict", dataset_json())


def test_an_error_that_a_child_has_overridden_does_not_stop_it():
    plans = current_plans()
    full("patch_size", [33, 64, 64])(plans)
    child(patch_size=[32, 64, 64])(plans)
    check_before_work(plans, "plans.json", ["mine"], "train")
    with pytest.raises(PlansError, match="patch_size"):
        check_before_work(plans, "plans.json", ["3d_fullres"], "train")


def test_a_network_that_the_trainer_builds_by_itself_is_not_judged():
    plans = current_plans()
    net("n_stages", 9)(plans)
    check_before_work(plans, "plans.json", ["3d_fullres"], "train", own_network=True)
    check_before_work(plans, "plans.json", ["3d_fullres"], "preprocess")
    with pytest.raises(PlansError, match="n_stages is 9"):
        check_before_work(plans, "plans.json", ["3d_fullres"], "predict")


def test_plans_without_configurations_stop_everything():
    with pytest.raises(PlansError, match="configurations is missing"):
        check_before_work({"dataset_name": "x"}, "plans.json", ["2d"], "train")


def test_a_configuration_of_arrays_and_tuples_is_as_good_as_one_of_lists():
    import numpy as np

    configuration = current_plans()["configurations"]["3d_fullres"]
    configuration |= {"patch_size": np.array([32, 64, 64]), "spacing": (1.5, np.float64(1), 1.0)}
    configuration["batch_size"] = np.int64(2)
    require_sound_configuration(configuration, "title", "train", dataset_json())
    with pytest.raises(PlansError, match=r"title has 2 problems:\n.*\n  - batch_size is -1") as error:
        require_sound_configuration(configuration | {"batch_size": -1, "spacing": [1.0]}, "title", "train")
    assert "spacing is [1.0]" in str(error.value)


def test_the_check_neither_warns_nor_imports_torch(tmp_path):
    import subprocess
    import sys

    path = write_plans(tmp_path, older_plans())
    code = (
        "import sys; from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point; "
        "plans_entry_point(['check', sys.argv[1]]); assert not {'torch', 'SimpleITK', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 problems\n", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(path) == []


def test_the_known_arguments_of_networks_and_resampling_are_those_there_are():
    import inspect

    from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet

    from nnunetv2.experiment_planning.plans_checks import configuration_entries, network_entries
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    for network, known in (
        (PlainConvUNet, network_entries.PLAIN_ARGUMENTS),
        (ResidualEncoderUNet, network_entries.RESIDUAL_ARGUMENTS),
    ):
        assert {*known, *network_entries.GIVEN_BY_TRAINER} == set(inspect.signature(network).parameters)
    known = configuration_entries.RESAMPLING_ARGUMENTS["resample_data_or_seg_to_shape"]
    assert set(known) == set(list(inspect.signature(resample_data_or_seg_to_shape).parameters)[4:])
