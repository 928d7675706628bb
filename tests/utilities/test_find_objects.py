"""Trainers are found by name; names that are known and absent get an answer that helps."""

from __future__ import annotations

import pytest

from nnunetv2.errors import ClassNotFoundError
from nnunetv2.utilities.absent_trainers import why_absent
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

PRIMUS = [
    "AbstractPrimus",
    *(f"nnUNet_Primus_{size}_Trainer" for size in "SBML"),
    *(f"nnUNet_PrimusV{version}{size}_Trainer" for version in (2, 3) for size in "SBML"),
    "nnUNet_Primus_M_Trainer_BS8_2e4",
]
PRETRAINING = [
    "PretrainedTrainer",
    "PretrainedTrainer_150ep_nomirroring",
    "PretrainedTrainer_Primusx_150ep_lr3e4",
    "DynamicPretrainedTrainer_adam_150ep",
]


@pytest.mark.parametrize(
    ("names", "what", "way_out"),
    [
        (PRIMUS, "Primus transformers are not part", "-p nnUNetResEncUNetLPlans"),
        (PRETRAINING, "nnssl is not part", "-pretrained_weights"),
        (["nnUNet_Trainer_BS8"], "batch size only", "set batch_size to 8"),
    ],
    ids=["primus", "pretraining", "batch size"],
)
def test_asking_for_a_trainer_that_was_left_out_says_what_to_do(names, what, way_out):
    for name in names:
        with pytest.raises(ClassNotFoundError) as caught:
            recursive_find_trainer_class_by_name(name)
        message = str(caught.value)
        assert repr(name) in message
        assert what in message
        assert way_out in message


def test_other_unknown_names_ask_for_the_spelling():
    assert why_absent("nnUNetTrainer_99epochs") is None
    with pytest.raises(ClassNotFoundError, match="'nnUNetTrainer_99epochs' was not found in .*Check the spelling"):
        recursive_find_trainer_class_by_name("nnUNetTrainer_99epochs")


def test_a_file_of_the_user_makes_an_absent_trainer_present(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n\n\n"
        "class nnUNet_Primus_M_Trainer(nnUNetTrainer):\n    num_epochs = 3\n"
    )
    monkeypatch.setenv("nnUNet_extTrainer", str(tmp_path))
    assert recursive_find_trainer_class_by_name("nnUNet_Primus_M_Trainer").num_epochs == 3
