"""The public names of nnU-Net v2 and their signatures: what programs of others import, call, subclass and replace.

Per module, one line per name. ``name(a, b=1, c=...)`` lists parameters in positional order; ``=...`` means that there
is a default whatever its value; behind ``*`` are those given by keyword only. ``Class.method(...)`` leaves self out.
A name without parentheses needs to exist only. More parameters are allowed behind those listed, with defaults.
"""

from __future__ import annotations

from tests.public_names.making_models import DATA, IMAGES, LOSSES, PLANNING, PREPROCESSING, RUNNING
from tests.public_names.using_models import INFERENCE, PLANS_AND_LABELS, SMALL_HELPERS, TRAINERS

PUBLIC_NAMES: dict[str, list[str]] = {
    **INFERENCE,
    **TRAINERS,
    **PLANS_AND_LABELS,
    **SMALL_HELPERS,
    **DATA,
    **LOSSES,
    **IMAGES,
    **PREPROCESSING,
    **PLANNING,
    **RUNNING,
}
