"""BraTS 2021: established place of the function that converts its label maps; the data set has a recipe."""

from __future__ import annotations

from nnunetv2.dataset_conversion.image_files import write_with_exchanged_labels
from nnunetv2.dataset_conversion.recipes import BRATS21
from nnunetv2.records.files import PathLike


def copy_BraTS_segmentation_and_convert_labels_to_nnUNet(in_file: PathLike, out_file: PathLike) -> None:
    """Write label map ``in_file`` of BraTS 2021 to ``out_file`` with the labels of the recipe.

    Edema becomes 1 (2 in the source), the necrotic core 2 (1), enhancing tumour 3 (4). Raises ImageError (a
    RuntimeError) naming the file for any other label.
    """
    write_with_exchanged_labels(in_file, out_file, BRATS21.exchange)
