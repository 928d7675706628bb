"""Random weights in place of trained ones."""

import pytest

from nnunetv2.demo.generated_weights import main, write_generated_checkpoint
from nnunetv2.errors import UsageError
from nnunetv2.training.checkpoint import read_checkpoint
from tests.flare24.image import SPECIAL, shrunk_model

pytestmark = pytest.mark.filterwarnings("ignore:Detected old:UserWarning")


def test_the_same_seed_gives_the_same_weights_and_the_names_are_as_told(tmp_path):
    folder = shrunk_model(tmp_path)
    first = read_checkpoint(folder / "fold_all" / "checkpoint_final.pth")
    main([str(folder), "--fold", "0"])
    second = read_checkpoint(folder / "fold_0" / "checkpoint_final.pth")
    assert (second["trainer_name"], second["init_args"]["fold"]) == (SPECIAL, "0")
    assert all((first["network_weights"][key] == value).all() for key, value in second["network_weights"].items())


def test_weights_that_are_there_are_never_replaced_unasked(tmp_path):
    folder = shrunk_model(tmp_path)
    with pytest.raises(UsageError, match="may be a trained model"):
        write_generated_checkpoint(folder, SPECIAL)
