"""The four commands: their options, defaults, and what they ask of the functions behind them."""

import pytest

from nnunetv2.experiment_planning import plan_and_preprocess_api as api
from nnunetv2.experiment_planning import plan_and_preprocess_entrypoints as entry

CONFIGURATIONS = ["2d", "3d_fullres", "3d_lowres"]
DEFAULT_PLANNING = ("ExperimentPlanner", None, "DefaultPreprocessor", None, None)


@pytest.fixture
def calls(monkeypatch):
    """Calls of the functions behind the commands, in order: (name, positional arguments, keyword arguments)."""
    recorded = []

    def record(name, result=None):
        monkeypatch.setattr(api, name, lambda *a, **k: recorded.append((name, a, k)) or result)

    record("extract_fingerprints")
    record("plan_experiments", "IdentifierOfTheLast")
    record("preprocess")
    return recorded


def test_fingerprint_defaults(calls, monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "5")
    entry.extract_fingerprint_entry(["-d", "4", "111"])
    arguments = ([4, 111], "DatasetFingerprintExtractor", 5, False, False, False, True)
    assert calls == [("extract_fingerprints", arguments, {})]


def test_fingerprint_options(calls):
    argv = "-d 4 -fpe Mine -np 3 --verify_dataset_integrity --clean --verbose --no_pbar"
    entry.extract_fingerprint_entry(argv.split())
    assert calls == [("extract_fingerprints", ([4], "Mine", 3, True, True, True, False), {})]


def test_planning_defaults(calls):
    entry.plan_experiment_entry(["-d", "4"])
    assert calls == [("plan_experiments", ([4], *DEFAULT_PLANNING), {})]


def test_planning_options(calls):
    argv = (
        "-d 4 5 -pl Planner -gpu_memory_target 11.5 -preprocessor_name Pre -overwrite_target_spacing 1 0.8 0.8 "
        "-overwrite_plans_name Plans"
    )
    entry.plan_experiment_entry(argv.split())
    assert calls == [("plan_experiments", ([4, 5], "Planner", 11.5, "Pre", [1.0, 0.8, 0.8], "Plans"), {})]


QUIET = ("--verbose", "--no_pbar")


def test_preprocessing_defaults_and_options(calls):
    entry.preprocess_entry(["-d", "4"])
    entry.preprocess_entry(["-d", "4", "-plans_name", "P", "-c", "a", "b", "-np", "2", "3", "--clean", *QUIET])
    assert calls == [
        (
            "preprocess",
            ([4], "nnUNetPlans"),
            {"configurations": CONFIGURATIONS, "num_processes": None, "verbose": False, "show_progress_bar": True}
            | {"clean": False},
        ),
        (
            "preprocess",
            ([4], "P"),
            {"configurations": ["a", "b"], "num_processes": [2, 3], "verbose": True, "show_progress_bar": False}
            | {"clean": True},
        ),
    ]


def test_verifying_makes_nothing(calls, monkeypatch):
    monkeypatch.setattr(api, "verify_preprocessed", lambda *arguments: calls.append(("verify", arguments)))
    entry.preprocess_entry(["-d", "4", "-c", "a", "--verify"])
    assert calls == [("verify", ([4], "nnUNetPlans", ["a"]))]


def test_the_combined_command_goes_stage_by_stage(calls):
    entry.plan_and_preprocess_entry(["-d", "4", "5"])
    assert calls == [
        ("extract_fingerprints", ([4, 5], "DatasetFingerprintExtractor", 8, False, False, False, True), {}),
        ("plan_experiments", ([4, 5], *DEFAULT_PLANNING), {}),
        ("preprocess", ([4, 5], "IdentifierOfTheLast", CONFIGURATIONS, None, False, True), {}),
    ]


def test_the_combined_command_passes_all_options(calls):
    argv = (
        "-d 4 -fpe F -npfp 2 --verify_dataset_integrity --clean -pl P -gpu_memory_target 24 -preprocessor_name Pre "
        "-overwrite_target_spacing 1 2 3 -overwrite_plans_name N -c 3d_fullres -np 3 --verbose --no_pbar"
    )
    entry.plan_and_preprocess_entry(argv.split())
    assert calls == [
        ("extract_fingerprints", ([4], "F", 2, True, True, True, False), {}),
        ("plan_experiments", ([4], "P", 24.0, "Pre", [1.0, 2.0, 3.0], "N"), {}),
        ("preprocess", ([4], "IdentifierOfTheLast", ["3d_fullres"], [3], True, False), {}),
    ]


def test_preprocessing_can_be_left_out(calls):
    entry.plan_and_preprocess_entry(["-d", "4", "--no_pp"])
    assert [name for name, *_ in calls] == ["extract_fingerprints", "plan_experiments"]


def test_arguments_are_taken_from_the_command_line(calls, monkeypatch):
    monkeypatch.setattr("sys.argv", ["nnUNetv2_plan_experiment", "-d", "7"])
    entry.plan_experiment_entry()
    assert calls[0][1][0] == [7]


@pytest.mark.parametrize(
    "command", [entry.extract_fingerprint_entry, entry.plan_experiment_entry, entry.preprocess_entry]
)
def test_unknown_options_are_ignored_but_not_silently(calls, command, capsys):
    command(["-d", "4", "--verbos", "-tr", "X"])
    assert len(calls) == 1
    assert "-tr X" in capsys.readouterr().out


def test_unknown_options_of_the_combined_command_are_an_error(calls, capsys):
    with pytest.raises(SystemExit) as end:
        entry.plan_and_preprocess_entry(["-d", "4", "--bogus"])
    assert end.value.code == 2
    assert "--bogus" in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize(
    "command",
    [
        entry.extract_fingerprint_entry,
        entry.plan_experiment_entry,
        entry.preprocess_entry,
        entry.plan_and_preprocess_entry,
    ],
)
def test_a_data_set_is_required(calls, command, capsys):
    with pytest.raises(SystemExit) as end:
        command([])
    assert end.value.code == 2
    assert "required: -d" in capsys.readouterr().err
    assert calls == []


def test_a_wrong_number_of_process_counts_is_noticed_before_any_work(calls, capsys):
    with pytest.raises(SystemExit) as end:
        entry.plan_and_preprocess_entry(["-d", "4", "-np", "1", "2"])
    assert end.value.code == 1
    assert "2 process counts" in capsys.readouterr().err
    assert calls == []
