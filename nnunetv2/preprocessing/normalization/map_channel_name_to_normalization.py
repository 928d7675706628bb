"""Which normalization a channel gets, by its name in dataset.json."""

from __future__ import annotations

from nnunetv2.preprocessing.normalization.default_normalization_schemes import (
    CTNormalization,
    ImageNormalization,
    NoNormalization,
    RescaleTo01Normalization,
    RGBTo01Normalization,
    ZScoreNormalization,
)

channel_name_to_normalization_mapping: dict[str, type[ImageNormalization]] = {
    "ct": CTNormalization,
    "nonorm": NoNormalization,
    "zscore": ZScoreNormalization,
    "rescale_to_0_1": RescaleTo01Normalization,
    "rgb_to_0_1": RGBTo01Normalization,
}
"""Channel name, case folded, to scheme. Every other name gets the z-score."""


def get_normalization_scheme(channel_name: str) -> type[ImageNormalization]:
    """The scheme for a channel of that name, whatever its case; z-score for names that are not in the mapping."""
    return channel_name_to_normalization_mapping.get(channel_name.casefold(), ZScoreNormalization)
