"""Options of a training that change a trainer's values from outside: read, named, recorded, applied.

The result folder is ``TRAINER<suffix>__PLANS__CONFIGURATION``. The suffix has one part per option that changes what is
learned, such as ``nnUNetTrainer_ep250_lr0.003``; this name is what ``-tr`` takes in every command, and inside the
checkpoint the trainer's class keeps its own name. Imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nnunetv2.errors import UsageError

CHECKPOINT_KEY = "training_options"
PRECISIONS = ("f32", "bf16")
RETRY_F32 = "retry_f32"
NONFINITE = ("stop", RETRY_F32)

# Tags of the suffix in the order they are written, and how a value is read back.
_TAGS = {
    "ep": ("epochs", int),
    "it": ("iterations_per_epoch", int),
    "lr": ("lr", float),
    "pat": ("patience", int),
    "seed": ("seed", int),
    "bs": ("batch_size", int),
    "cw": ("class_weights", lambda text: tuple(float(part) for part in re.split(r"(?<!e)-", text))),
}
_NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
_SUFFIX = re.compile(rf"(?:_(?:{'|'.join(_TAGS)}){_NUMBER}(?:-{_NUMBER})*)+$")


def _text(number: float) -> str:
    """Shortest text that gives the number back; ``0.003``, ``2``, ``1e-05``."""
    return str(number) if isinstance(number, int) else repr(float(number)).removesuffix(".0")


def _in_name(value: float | tuple[float, ...]) -> str:
    return "-".join(map(_text, value)) if isinstance(value, tuple) else _text(value)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What was asked for on the command line; None leaves a trainer's own value. Raises UsageError for bad values."""

    epochs: int | None = None
    iterations_per_epoch: int | None = None
    """Training iterations; those for validation stay."""
    lr: float | None = None
    """Initial learning rate."""
    patience: int | None = None
    """Epochs without a new best smoothed pseudo Dice after which training ends."""
    seed: int | None = None
    batch_size: int | None = None
    """Of all processes together."""
    class_weights: tuple[float, ...] | None = None
    """Of the cross-entropy, one per label from background on, the ignore label left out."""
    max_hours: float | None = None
    """Save and leave before this much time of one call is over."""
    precision: str | None = None
    """``f32`` or ``bf16``; None is float16 on CUDA and float32 elsewhere."""
    channels_last: bool = False
    augment_on_device: bool = False
    keep_checkpoints: int | None = None
    """Number of latest checkpoints; None is the trainer's own, which is one."""
    nonfinite: str | None = None
    """What a loss or gradient that is not finite leads to; None is ``stop``."""

    def __post_init__(self) -> None:
        positive = ("epochs", "iterations_per_epoch", "lr", "patience", "batch_size", "max_hours", "keep_checkpoints")
        problems = [
            f"{flag(name)} is {value}; it must be above 0"
            for name in positive
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf")
        ]
        if self.seed is not None and self.seed < 0:
            problems.append(f"--seed is {self.seed}; it must be 0 or above")
        weights = self.class_weights
        if weights is not None and (
            len(weights) < 2 or any(not 0 <= w < float("inf") for w in weights) or not any(weights)
        ):
            problems.append(
                f"--class-weights are {list(weights)}; give one number from 0 per label, background first, not all 0"
            )
        if self.precision not in (None, *PRECISIONS):
            problems.append(f"--precision is {self.precision!r}; it must be one of {', '.join(PRECISIONS)}")
        if self.nonfinite not in (None, *NONFINITE):
            problems.append(f"--nonfinite is {self.nonfinite!r}; it must be one of {', '.join(NONFINITE)}")
        if problems:
            raise UsageError(". ".join(problems))

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> TrainingOptions:
        """The inverse of ``to_json``; entries of later versions are ignored."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in entries.items() if name in known}
        if kept.get("class_weights") is not None:
            kept["class_weights"] = tuple(kept["class_weights"])
        return cls(**kept)

    def to_json(self) -> dict[str, Any]:
        """All options that differ from the default, in plain types."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        content = {name: value for name, value in content.items() if value is not None and value is not False}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in content.items()}

    @property
    def learned(self) -> dict[str, Any]:
        """The options that change what is learned, and therefore the name."""
        return {name: getattr(self, name) for name, _ in _TAGS.values() if getattr(self, name) is not None}

    @property
    def suffix(self) -> str:
        """``_ep250_lr0.003``; empty without such options."""
        values = self.learned
        return "".join(f"_{tag}{_in_name(values[name])}" for tag, (name, _) in _TAGS.items() if name in values)

    def words(self) -> str:
        """The options that change what is learned, as on the command line."""
        return " ".join(
            f"{flag(name)} {' '.join(map(_text, value)) if isinstance(value, tuple) else value}"
            for name, value in self.learned.items()
        )

    def joined(self, named: TrainingOptions, name: str) -> TrainingOptions:
        """These options and those in the name of a trainer. Raises UsageError where both have one, and they differ."""
        twice = [flag(key) for key, value in named.learned.items() if self.learned.get(key, value) != value]
        if twice:
            raise UsageError(f"-tr {name} and {', '.join(twice)} contradict each other; leave out one of them")
        return TrainingOptions(**{**asdict(self), **named.learned})


def flag(name: str) -> str:
    """The command line flag of an option."""
    return "--" + name.replace("_", "-")


def split_trainer_name(name: str) -> tuple[str, TrainingOptions]:
    """Class name and options of ``CLASS<suffix>``; for a name without suffix no options."""
    found = _SUFFIX.search(name)
    if found is None:
        return name, TrainingOptions()
    entries: dict[str, Any] = {}
    for part in found.group()[1:].split("_"):
        tag = next(tag for tag in _TAGS if re.fullmatch(rf"{tag}{_NUMBER}(?:-{_NUMBER})*", part))
        entries[_TAGS[tag][0]] = _TAGS[tag][1](part.removeprefix(tag))
    return name[: found.start()], TrainingOptions(**entries)


def require_same(recorded: Mapping[str, Any], asked: TrainingOptions, source: str) -> None:
    """Raise UsageError unless the checkpoint ``source`` was trained with the options ``asked``."""
    before = TrainingOptions.from_json(recorded)
    if before.learned == asked.learned:
        return
    raise UsageError(
        f"{source} was trained with {before.words() or 'no options'}, but is to be continued with "
        f"{asked.words() or 'no options'}. Continue with the options of before, or start a new training without --c"
    )
