"""What stands in for 5000 cases, a GPU and 33 hours when the README's commands are run."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from nnunetv2.demo.phantom import PhantomSettings, make_phantom
from nnunetv2.demo.phantom_dataset import write_volume
from tests.flare24.image import DATASET, ROOT

CASES = PhantomSettings(shape=(16, 26, 28), spacing=(6.0, 4.0, 4.0), lesion_radius=(10.0, 14.0))

# Blocks that are not run as they stand: each installs, needs a Docker engine, or is about other data.
SUBSTITUTED = {
    "bash quickstart.sh": "installs; tests/demo/test_quickstart.py runs what it runs",
    "python rename_data.py": "the heart CT data; tests/competitions/test_heart_pipeline.py runs these scripts",
    "docker build": "needs a Docker engine; tests/flare24/test_dockerfile.py and test_predict_sh.py check the parts",
}
# The published commands run on a GPU. Functions of these names, seen by bash before the commands, add one option.
ON_THIS_MACHINE = """
set -euo pipefail
nnUNetv2_train() { command nnUNetv2_train "$@" -device cpu; }
nnUNetv2_predict() { command nnUNetv2_predict "$@" -device cpu --disable_tta; }
"""

# The published trainer, made short where it is imported: 2 epochs of one iteration, a narrow network, and no mirroring
# in the final validation. Weights come from a seed, and with a learning rate of 0 they stay what they are, so that two
# runs give the same segmentations.
SHORT_TRAINING = """
import importlib.util
import os
import sys

NAME = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer_varianst"


def narrow_network(plans_manager, configuration_manager, num_input_channels, num_output_channels,
                   enable_deep_supervision=True):
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    arguments = dict(configuration_manager.network_arch_init_kwargs)
    assert arguments["features_per_stage"] == [32, 64, 128, 256], arguments
    torch.manual_seed(0)
    return get_network_from_plans(
        configuration_manager.network_arch_class_name, {**arguments, "features_per_stage": [1, 2, 2, 2]},
        configuration_manager.network_arch_init_kwargs_req_import, num_input_channels, num_output_channels,
        deep_supervision=enable_deep_supervision,
    )


class Shortening:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != NAME:
            return None
        sys.meta_path.remove(cls)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_shorten(module):
            execute(module)
            trainer = module.nnUNetTrainer_Epoch2000_Lr1e3
            construct = trainer.__init__

            def short(self, *arguments, **keywords):
                construct(self, *arguments, **keywords)
                assert (self.num_epochs, self.initial_lr) == (2000, 1e-3)
                self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 1, 1
                self.initial_lr, self.save_every = float(os.environ["STAND_IN_LEARNING_RATE"]), 1

            short.__signature__ = __import__("inspect").signature(construct)
            trainer.__init__ = short
            trainer.build_network_architecture = staticmethod(narrow_network)
            validate = trainer.perform_actual_validation

            def validate_without_mirroring(self, *arguments, **keywords):
                self.inference_allowed_mirroring_axes = None
                validate(self, *arguments, **keywords)

            trainer.perform_actual_validation = validate_without_mirroring

        spec.loader.exec_module = execute_and_shorten
        return spec


sys.meta_path.insert(0, Shortening)
"""


def readme_blocks() -> list[str]:
    """All fenced bash blocks of README.md, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def substituted(block: str) -> str | None:
    """Why a block is not run as it stands; None for those that are."""
    return next((reason for start, reason in SUBSTITUTED.items() if block.startswith(start)), None)


def write_stand_in(raw: Path, training_cases: int = 3) -> None:
    """Phantoms in the layout that step 1 of the README asks for: no dataset.json yet."""
    for index in range(training_cases + 1):
        kind = "Tr" if index < training_cases else "Ts"
        image, label = make_phantom(index, CASES)
        case = f"FLARE24_{index:04d}"
        write_volume(raw / DATASET / f"images{kind}" / f"{case}_0000.nii.gz", image, CASES.spacing)
        write_volume(raw / DATASET / f"labels{kind}" / f"{case}.nii.gz", label, CASES.spacing)


def environment(workspace: Path, learning_rate: float) -> dict[str, str]:
    """The environment of a person who typed ``source .venv/bin/activate``, with the short training behind it."""
    site = workspace / "short_training"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SHORT_TRAINING)
    commands = Path(sys.executable).parent
    return {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(site),
        "STAND_IN_LEARNING_RATE": str(learning_rate),
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HOME": str(workspace),
        "nnUNet_def_n_proc": "1",
        "nnUNet_n_proc_DA": "0",
        "nnUNet_npp": "1",
        "nnUNet_nps": "1",
    }
