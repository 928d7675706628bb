import subprocess
import sys

import pytest

from nnunetv2.inference import commands
from nnunetv2.inference import predict_from_raw_data as facade

PREDICT = ["-i", "in", "-o", "out", "-d", "5", "-c", "3d_fullres"]
FROM_FOLDER = ["-i", "in", "-o", "out", "-m", "model"]
COMMON = {
    "f": [0, 1, 2, 3, 4],
    "step_size": 0.5,
    "disable_tta": False,
    "verbose": False,
    "save_probabilities": False,
    "continue_prediction": False,
    "chk": "checkpoint_final.pth",
    "npp": 3,
    "nps": 3,
    "prev_stage_predictions": None,
    "num_parts": 1,
    "part_id": 0,
    "device": "cuda",
    "disable_progress_bar": False,
    "not_on_device": False,
    "engine": "auto",
    "float32": False,
    "precision": None,
    "probabilities": None,
    "max_memory": None,
    "max_device_memory": None,
    "executor": None,
    "trust_pickle": False,
}


def parsed(parser, arguments):
    return vars(commands._parse(parser(), arguments))


def test_defaults_of_predict():
    assert parsed(commands.predict_parser, PREDICT) == COMMON | {
        "i": "in",
        "o": "out",
        "d": "5",
        "c": "3d_fullres",
        "p": "nnUNetPlans",
        "tr": "nnUNetTrainer",
    }


def test_defaults_of_predict_from_modelfolder():
    assert parsed(commands.modelfolder_parser, FROM_FOLDER) == COMMON | {"i": "in", "o": "out", "m": "model"}


SPELLINGS = [
    (["-f", "all"], {"f": ["all"]}),
    (["-f", "0", "2", "all"], {"f": [0, 2, "all"]}),
    (["-step_size", "0.6"], {"step_size": 0.6}),
    (["-step", "0.6"], {"step_size": 0.6}),
    (["--step_size", "0.6"], {"step_size": 0.6}),
    (["--step_size=0.6"], {"step_size": 0.6}),
    (["--disable_tta"], {"disable_tta": True}),
    (["-disable_tta"], {"disable_tta": True}),
    (["--verbose"], {"verbose": True}),
    (["--save_probabilities"], {"save_probabilities": True}),
    (["--save_prob"], {"save_probabilities": True}),
    (["-save_probabilities"], {"save_probabilities": True}),
    (["--continue_prediction"], {"continue_prediction": True}),
    (["--c"], {"continue_prediction": True}),
    (["-chk", "checkpoint_best.pth"], {"chk": "checkpoint_best.pth"}),
    (
        ["-npp", "0", "-nps", "0", "-num_parts", "3", "-part_id", "2"],
        {"npp": 0, "nps": 0, "num_parts": 3, "part_id": 2},
    ),
    (["--npp", "1", "--nps", "1"], {"npp": 1, "nps": 1}),
    (["-num", "3"], {"num_parts": 3}),
    (["-prev_stage_predictions", "first"], {"prev_stage_predictions": "first"}),
    (["-device", "cpu"], {"device": "cpu"}),
    (["--device", "cpu"], {"device": "cpu"}),
    (["--disable_progress_bar"], {"disable_progress_bar": True}),
    (["--not_on_device"], {"not_on_device": True}),
    (["--float32"], {"float32": True}),
]


@pytest.mark.parametrize(("arguments", "expected"), SPELLINGS, ids=[" ".join(a) for a, _ in SPELLINGS])
@pytest.mark.parametrize(
    ("parser", "required"), [(commands.predict_parser, PREDICT), (commands.modelfolder_parser, FROM_FOLDER)]
)
def test_every_spelling_is_understood(parser, required, arguments, expected):
    assert parsed(parser, required + arguments) == parsed(parser, required) | expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["-d1", "-c3d_lowres"], {"d": "1", "c": "3d_lowres"}), (["-tr", "X", "-p", "Y"], {"tr": "X", "p": "Y"})],
)
def test_spellings_of_predict_alone(arguments, expected):
    assert parsed(commands.predict_parser, PREDICT + arguments) == parsed(commands.predict_parser, PREDICT) | expected


def test_a_value_that_looks_like_a_flag_with_other_dashes_is_left_alone():
    parser = commands.predict_parser()
    assert commands.with_right_dashes(parser, ["-c", "--c", "-d", "--x", "-1"]) == ["-c", "--c", "-d", "--x", "-1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-part_id", "1"],
        ["-part_id", "-1"],
        ["-step_size", "0"],
        ["-f", "fold_0"],
        ["-nps", "-1"],
        ["-device", "tpu"],
        ["-x"],
    ],
)
def test_wrong_arguments_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as info:
        commands.predict_entry_point(PREDICT + arguments)
    assert info.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "expected"), [("7", 7), ("", 3), ("many", 3)])
def test_worker_defaults_come_from_the_environment_for_predict_only(monkeypatch, value, expected):
    monkeypatch.setenv("nnUNet_npp", value)
    monkeypatch.setenv("nnUNet_nps", value)
    assert parsed(commands.predict_parser, PREDICT)["npp"] == expected
    assert parsed(commands.predict_parser, PREDICT)["nps"] == expected
    assert parsed(commands.modelfolder_parser, FROM_FOLDER)["npp"] == 3


class Recorder:
    """Takes the place of nnUNetPredictor and remembers how it was used."""

    def __init__(self, **settings):
        Recorder.last = self
        self.settings = settings

    def initialize_from_trained_model_folder(self, *args, **kwargs):
        self.model = (args, kwargs)

    def predict_from_files(self, *args, **kwargs):
        self.prediction = (args, kwargs)


def test_arguments_reach_the_predictor(monkeypatch, folders):
    import torch

    monkeypatch.setattr(facade, "nnUNetPredictor", Recorder)
    (folders["nnUNet_results"] / "Dataset005_X").mkdir()
    commands.predict_entry_point(
        [
            *PREDICT,
            "-device",
            "cpu",
            "--disable_tta",
            "--c",
            "-npp",
            "0",
            "-nps",
            "0",
            "-num_parts",
            "2",
            "-part_id",
            "1",
        ]
    )
    used = Recorder.last
    assert used.settings == {
        "tile_step_size": 0.5,
        "use_gaussian": True,
        "use_mirroring": False,
        "perform_everything_on_device": True,
        "device": torch.device("cpu"),
        "verbose": False,
        "verbose_preprocessing": False,
        "allow_tqdm": True,
        "accumulator_dtype": torch.float16,
    }
    folder = folders["nnUNet_results"] / "Dataset005_X" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert used.model == ((str(folder), [0, 1, 2, 3, 4]), {"checkpoint_name": "checkpoint_final.pth"})
    assert used.prediction == (
        ("in", "out"),
        {
            "save_probabilities": False,
            "overwrite": False,
            "num_processes_preprocessing": 0,
            "num_processes_segmentation_export": 0,
            "folder_with_segs_from_prev_stage": None,
            "num_parts": 2,
            "part_id": 1,
        },
    )


def test_the_model_folder_command_needs_no_variables(monkeypatch):
    monkeypatch.setattr(facade, "nnUNetPredictor", Recorder)
    commands.predict_entry_point_modelfolder([*FROM_FOLDER, "-f", "all", "-device", "cpu", "--float32"])
    assert Recorder.last.model[0] == ("model", ["all"])
    assert str(Recorder.last.settings["accumulator_dtype"]) == "torch.float32"


def test_limits_and_the_format_of_probabilities_reach_the_predictor(monkeypatch):
    monkeypatch.setattr(facade, "nnUNetPredictor", Recorder)
    flags = ["-device", "cpu", "--probabilities", "blosc2", "--max-memory", "2.5", "--max-device-memory", "0.5"]
    commands.predict_entry_point_modelfolder([*FROM_FOLDER, *flags])
    used = Recorder.last
    assert used.settings["probability_format"] == "blosc2"
    assert (used.settings["max_memory"], used.settings["max_device_memory"]) == (2.5, 0.5)
    assert used.prediction[1]["save_probabilities"]


def test_a_limit_of_no_memory_is_refused(capsys):
    with pytest.raises(SystemExit):
        commands.predict_entry_point_modelfolder([*FROM_FOLDER, "--max-memory", "0"])
    assert "--max-memory is 0.0; it is a number of GiB above 0" in capsys.readouterr().err


def test_cuda_without_a_gpu_says_what_to_do(monkeypatch, capsys):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as info:
        commands.predict_entry_point_modelfolder(FROM_FOLDER)
    assert info.value.code == 1
    error = capsys.readouterr().err
    assert "-device cpu" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("command", ["predict_entry_point", "predict_entry_point_modelfolder"])
def test_help_loads_nothing_heavy(command):
    code = (
        f"import sys\nfrom nnunetv2.inference.commands import {command}\n"
        f"try:\n    {command}(['-h'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'SimpleITK', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "--continue_prediction" in run.stdout
