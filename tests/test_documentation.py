"""The examples in the documentation are valid, and the important ones do what the text says."""

import json
import re
import shlex
from pathlib import Path

import pytest

from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point
from nnunetv2.experiment_planning.plans_editing.derive import Wishes, derive_configuration
from nnunetv2.experiment_planning.plans_editing.layouts import upgraded_plans
from tests.experiment_planning.plans_editing.plans_of_tests import FLARE24, configuration, current_plans, write_plans

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "documentation").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """Fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def examples(language: str) -> list:
    return [
        pytest.param(block, id=f"{page.stem}-{index}")
        for page in PAGES
        for index, block in enumerate(blocks(page, language))
    ]


@pytest.mark.parametrize("block", examples("python"))
def test_python_examples_compile(block):
    compile(block, "example", "exec")


@pytest.mark.parametrize("block", examples("json"))
def test_json_examples_parse(block):
    assert json.loads(block if block.lstrip().startswith("{") else "{" + block + "}")


EDITING = ROOT / "documentation" / "editing_plans.md"


def commands_in(page: Path) -> list[list[str]]:
    """Every ``nnUNetv2_plans`` command of a page as words, without comments."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("nnUNetv2_plans ")]


def test_every_wish_of_the_page_on_plans_comes_true_and_is_clean(folders, capsys, monkeypatch):
    plans = current_plans() | {"dataset_name": "Dataset111_Example"}
    entry = plans["configurations"]["3d_fullres"]
    entry |= {"patch_size": [64, 128, 128], "batch_size": 2, "spacing": [2.6, 1.2, 1.2]}
    plans |= {"original_median_spacing_after_transp": [2.6, 1.2, 1.2]}
    write_plans(folders["nnUNet_preprocessed"], plans).parent.rename(
        folders["nnUNet_preprocessed"] / "Dataset111_Example"
    )
    monkeypatch.chdir(folders["nnUNet_results"])
    derived = [words for words in commands_in(EDITING) if words[0] == "derive"]
    assert len(derived) >= 8
    for words in commands_in(EDITING):
        if words[0] in ("derive", "show"):
            plans_entry_point(words)
    plans_entry_point(["check", "111"])
    assert capsys.readouterr().out.endswith("0 problems\n")


def test_the_worked_example_in_full_is_what_the_command_writes():
    block = next(b for b in blocks(EDITING, "json") if "S4D2W32" in b and "architecture" in b)
    name = "3d_fullres_S4D2W32"
    plans = upgraded_plans(json.loads((FLARE24 / "plans.json").read_text()))
    plans["configurations"]["3d_fullres"]["spacing"] = [1.0, 0.8, 0.8]
    plans["configurations"]["3d_fullres"]["patch_size"] = [96, 160, 160]
    del plans["configurations"][name]
    wishes = Wishes(stages=4, width=32, spacing=(3, 2, 2), patch_size=(96, 128, 128), batch_size=2)
    assert json.loads("{" + block + "}")[name] == derive_configuration(plans, name, "3d_fullres", wishes)


def test_trainers_of_the_examples_can_be_built_and_their_loss_computed(folders):
    import torch

    plans = {
        "dataset_name": "Dataset001_X",
        "plans_name": "nnUNetPlans",
        "configurations": {
            "3d": {"data_identifier": "d", "batch_size": 2, "patch_size": [8, 8, 8], "spacing": [1.0, 1.0, 1.0]}
            | {"batch_dice": False, "architecture": configuration("3d", [1.0] * 3, [8] * 3, 3)["architecture"]}
        },
    }
    dataset_json = {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    trainers = {}
    for block in blocks(ROOT / "documentation" / "trainers.md", "python"):
        if "class " in block:
            scope: dict = {"__name__": "example"}
            exec(compile(block, "example", "exec"), scope)
            last = [value for key, value in scope.items() if key.startswith("nnUNetTrainer_")][-1]
            trainers[last.__name__, len(trainers)] = last(plans, "3d", 0, dataset_json, device=torch.device("cpu"))
    assert len(trainers) == 3
    short, in_constructor, weighted = trainers.values()
    assert (short.num_epochs, short.initial_lr) == (in_constructor.num_epochs, in_constructor.initial_lr) == (100, 5e-3)
    logits, target = torch.zeros(2, 2, 8, 8, 8), torch.zeros(2, 1, 8, 8, 8)
    scales = weighted._get_deep_supervision_scales()
    loss = weighted._build_loss()([logits] * len(scales), [target] * len(scales))
    assert float(loss) == pytest.approx(0.6931, abs=1e-3)
