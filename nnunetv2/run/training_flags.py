"""Flags of ``nnUNetv2_train`` that change a trainer's values, and those that make a step faster."""

from __future__ import annotations

import argparse
from dataclasses import fields

from nnunetv2.training.options import NONFINITE, PRECISIONS, TrainingOptions


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each entry of ``TrainingOptions``; without them nothing changes."""
    named = parser.add_argument_group("values of the trainer; they become part of the result folder's name")
    add = named.add_argument
    add("--epochs", type=int, default=None, help="number of epochs")
    add("--iterations-per-epoch", type=int, default=None, help="training iterations of an epoch")
    add("--lr", type=float, default=None, help="initial learning rate")
    add("--patience", type=int, default=None, metavar="EPOCHS", help="end when the smoothed pseudo Dice stops rising")
    add("--seed", type=int, default=None, help="seed of weights, data order and augmentation")
    add("--batch-size", type=int, default=None, help="samples per step, of all GPUs together")
    add(
        "--class-weights",
        type=float,
        nargs="+",
        default=None,
        metavar="WEIGHT",
        help="weights of the labels in the cross-entropy, background first",
    )
    other = parser.add_argument_group("time, speed and safety")
    add = other.add_argument
    add(
        "--max-hours",
        type=float,
        default=None,
        help="save and end with exit status 75 before this time is over; continue with --c",
    )
    add("--precision", choices=PRECISIONS, default=None, help="default: mixed float16 on CUDA, f32 elsewhere")
    add("--channels-last", action="store_true", help="channels-last arrays, faster on CPUs; same losses to rounding")
    add("--augment-on-device", action="store_true", help="augment on the device that trains instead of in workers")
    add(
        "--keep-checkpoints",
        type=int,
        default=None,
        metavar="N",
        help="keep the last N latest checkpoints while training, not only one",
    )
    add(
        "--nonfinite",
        choices=NONFINITE,
        default=None,
        help="when a loss or gradient is not finite: stop (the default), or repeat the step in float32",
    )


def options_from(args: argparse.Namespace) -> TrainingOptions:
    """The options among parsed arguments."""
    values = {entry.name: getattr(args, entry.name) for entry in fields(TrainingOptions)}
    if values["class_weights"] is not None:
        values["class_weights"] = tuple(values["class_weights"])
    return TrainingOptions(**values)
