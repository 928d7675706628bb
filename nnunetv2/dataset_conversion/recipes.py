"""The table of public data sets that can be converted: one entry each, everything else is the engine's.

Adding a data set means adding an entry; see documentation/converting_data.md. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnunetv2.errors import UsageError

Labels = Mapping[str, int | tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class ConversionRecipe:
    """How the files of a public data set become one of nnU-Net.

    Paths are relative to the source folder, with ``/``. Patterns are regular expressions that must match the end of a
    path from the start of one of its parts on, so it does not matter how many folders lie above.
    """

    name: str
    """Name in the command, and of the new data set."""
    dataset_id: int
    """Number of the new data set unless another one is given."""
    channels: tuple[str, ...]
    """Channel names in order; they choose the normalization."""
    labels: Labels
    """Name to label value after the exchange, or to several values for a region."""
    case: str
    """Pattern of the first channel's file. The group ``case`` is the name of the case; other groups serve the templates
    below."""
    other_channels: tuple[str, ...] = ()
    """Path of each further channel, beside the groups of ``case`` with ``{above}``: the folders above the match."""
    label: str
    """Path of the label map, in the same way."""
    only: str | None = None
    """Pattern of the names of the cases to take; None: all."""
    test: str | None = None
    """Pattern of cases that belong to the test set even if they have a label. Cases without label always do."""
    exchange: Mapping[int, int] | None = None
    """Label value in the source to the new one; None: label maps are copied."""
    regions_class_order: tuple[int, ...] | None = None
    """Needed when there are regions."""
    grouped_by: str | None = None
    """Group of ``case`` that must not be divided between training and validation, such as the patient."""
    reference: str
    """Where the data come from."""
    licence: str
    """As the providers state it."""


ACDC = ConversionRecipe(
    name="ACDC",
    dataset_id=27,
    channels=("cineMRI",),
    labels={"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricular cavity": 3},
    case=r"(?P<patient>patient\d+)/(?P<case>(?P=patient)_frame\d+)\.nii\.gz",
    label="{above}{patient}/{case}_gt.nii.gz",
    test=r"testing/.*",
    grouped_by="patient",
    reference="https://www.creatis.insa-lyon.fr/Challenge/acdc/",
    licence="CC BY-NC-SA 4.0",
)

_AMOS_ORGANS = (
    "background", "spleen", "right kidney", "left kidney", "gall bladder", "esophagus", "liver", "stomach", "aorta",
    "postcava", "pancreas", "right adrenal gland", "left adrenal gland", "duodenum", "bladder", "prostate/uterus",
)  # fmt: skip
_AMOS = {
    "labels": {name: value for value, name in enumerate(_AMOS_ORGANS)},
    "case": r"images(?P<part>Tr|Va|Ts)/(?P<case>amos_\d+)\.nii\.gz",
    "label": "{above}labels{part}/{case}.nii.gz",
    "test": r"images(?:Va|Ts)/.*",
    "reference": "https://amos22.grand-challenge.org/",
    "licence": "CC BY 4.0",
}
# Cases up to 0500 are CT, later ones MRI; the challenge had a task for CT only and one for both.
AMOS22_CT = ConversionRecipe(
    name="AMOS22_CT", dataset_id=218, channels=("CT",), only=r"amos_0(?:[0-4]\d\d|500)", **_AMOS
)
# Both modalities in one channel: any name but CT gives normalization per case, which suits both.
AMOS22 = ConversionRecipe(name="AMOS22", dataset_id=219, channels=("CT_MR",), **_AMOS)

KITS23 = ConversionRecipe(
    name="KiTS23",
    dataset_id=220,
    channels=("CT",),
    labels={"background": 0, "kidney": (1, 2, 3), "masses": (2, 3), "tumor": 2},
    regions_class_order=(1, 3, 2),
    case=r"(?P<case>case_\d+)/imaging\.nii\.gz",
    label="{above}{case}/segmentation.nii.gz",
    reference="https://kits-challenge.org/kits23/",
    licence="CC BY-NC-SA 4.0",
)

BRATS21 = ConversionRecipe(
    name="BraTS21",
    dataset_id=137,
    channels=("T1", "T1ce", "T2", "Flair"),
    labels={"background": 0, "whole tumor": (1, 2, 3), "tumor core": (2, 3), "enhancing tumor": 3},
    regions_class_order=(1, 2, 3),
    case=r"(?P<case>BraTS2021_\d+)/(?P=case)_t1\.nii\.gz",
    other_channels=tuple("{above}{case}/{case}_" + channel + ".nii.gz" for channel in ("t1ce", "t2", "flair")),
    label="{above}{case}/{case}_seg.nii.gz",
    # From outside to inside: edema, necrotic core, enhancing tumour; in the source they are 2, 1 and 4.
    exchange={0: 0, 2: 1, 1: 2, 4: 3},
    reference="https://www.synapse.org/brats2021",
    licence="see the challenge's terms",
)

_HEART = {
    "labels": {
        "background": 0,
        "myocardium of the left ventricle": 1,
        "left atrium": 2,
        "left ventricle": 3,
        "right atrium": 4,
        "right ventricle": 5,
        "ascending aorta": 6,
        "pulmonary artery": 7,
    },
    # A few maps of the left atrium carry 421 instead of 420.
    "exchange": {0: 0, 205: 1, 420: 2, 421: 2, 500: 3, 550: 4, 600: 5, 820: 6, 850: 7},
    "case": r"(?P<case>(?:ct|mr)_(?:train|test)_\d+)_image\.nii\.gz",
    "label": "{above}{case}_label.nii.gz",
    "reference": "http://www.sdspeople.fudan.edu.cn/zhuangxiahai/0/mmwhs/",
    "licence": "see the challenge's terms",
}
MMWHS_CT = ConversionRecipe(name="MMWHS_CT", dataset_id=401, channels=("CT",), only=r"ct_.*", **_HEART)
MMWHS_MR = ConversionRecipe(name="MMWHS_MR", dataset_id=402, channels=("MRI",), only=r"mr_.*", **_HEART)

RECIPES: Mapping[str, ConversionRecipe] = {
    recipe.name: recipe for recipe in (ACDC, AMOS22, AMOS22_CT, BRATS21, KITS23, MMWHS_CT, MMWHS_MR)
}


def recipe_named(name: str, recipes: Sequence[ConversionRecipe] = tuple(RECIPES.values())) -> ConversionRecipe:
    """The recipe of that name, upper and lower case aside. Raises UsageError listing the known ones."""
    for recipe in recipes:
        if recipe.name.lower() == name.lower():
            return recipe
    raise UsageError(f"there is no recipe {name!r}; known are {', '.join(recipe.name for recipe in recipes)}")
