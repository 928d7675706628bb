"""The examples in the documentation are valid, and the important ones do what the text says."""

import json
import re
from pathlib import Path

import pytest

from nnunetv2.demo.hand_edit import small_unet_entry

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


def test_the_worked_example_of_editing_plans_equals_what_the_function_makes():
    text = next(b for b in blocks(ROOT / "documentation" / "editing_plans.md", "json") if "S4D2W32" in b)
    name = "3d_fullres_S4D2W32"
    assert json.loads("{" + text + "}")[name] == small_unet_entry(
        "nnUNetPlans", name, 32, (3.0, 2.0, 2.0), (96, 128, 128)
    )


def test_trainers_of_the_examples_can_be_built_and_their_loss_computed(folders):
    import torch

    plans = {
        "dataset_name": "Dataset001_X",
        "plans_name": "nnUNetPlans",
        "configurations": {
            "3d": {"data_identifier": "d", "batch_size": 2, "patch_size": [8, 8, 8], "spacing": [1.0, 1.0, 1.0]}
            | {"batch_dice": False, "architecture": small_unet_entry("p", "n", 2, (1, 1, 1), (8, 8, 8))["architecture"]}
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
