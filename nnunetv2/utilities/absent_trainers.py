"""Trainers of nnU-Net v2 that this package leaves out on purpose, and what to do when someone asks for one.

Checkpoints and scripts of others name them, so the question deserves an answer better than "not found".
"""

from __future__ import annotations

import re

_PRIMUS = (
    "Trainers of the Primus transformers are not part of this package. The residual encoder networks are the strongest "
    "ones here: nnUNetv2_plan_experiment -pl nnUNetPlannerResEncL, then train with -p nnUNetResEncUNetLPlans. For a "
    "Primus model that exists, use upstream nnU-Net, or put a trainer of that name, whose "
    "build_network_architecture returns the network, into a folder named in nnUNet_extTrainer"
)
_PRETRAINING = (
    "Training from self-supervised checkpoints of nnssl is not part of this package. Supervised checkpoints of nnU-Net "
    "with the same architecture can be fine-tuned with -pretrained_weights and any trainer; for nnssl use upstream "
    "nnU-Net"
)
_LARGE_BATCH = (
    "This trainer differs from the default in its batch size only: set batch_size to 8 in a configuration of the plans "
    "that inherits_from the one you use, and train with nnUNetTrainer"
)

# Pretraining first: some of its trainers have a Primus network.
_ABSENT = (
    (re.compile(r"(Dynamic)?PretrainedTrainer\w*"), _PRETRAINING),
    (re.compile(r"\w*Primus\w*"), _PRIMUS),
    (re.compile(r"nnUNet_Trainer_BS8"), _LARGE_BATCH),
)


def why_absent(trainer_name: str) -> str | None:
    """What to tell who asks for a trainer that was left out; None for any other name."""
    return next((reason for name, reason in _ABSENT if name.fullmatch(trainer_name)), None)
