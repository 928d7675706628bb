"""The commands that turn data sets of other layouts into raw data sets of nnU-Net v2."""

from __future__ import annotations

from collections.abc import Sequence

from nnunetv2.cli.arguments import add_processes, command_parser
from nnunetv2.cli.commands import command
from nnunetv2.dataset_conversion.recipes import RECIPES


@command
def convert_msd_entry_point(argv: Sequence[str] | None = None) -> None:
    """Convert a task of the Medical Segmentation Decathlon."""
    parser = command_parser(
        "nnUNetv2_convert_MSD_dataset", "Convert a data set of the Medical Segmentation Decathlon into nnUNet_raw."
    )
    parser.add_argument("-i", type=str, required=True, help="unpacked folder TaskNN_NAME")
    parser.add_argument("-overwrite_id", type=int, default=None, help="number of the new data set; None: as the task")
    add_processes(parser, what="the conversion")
    args = parser.parse_args(argv)

    from nnunetv2.dataset_conversion.convert_MSD_dataset import convert_msd_dataset

    convert_msd_dataset(args.i, args.overwrite_id, args.np)


@command
def convert_old_nnunet_entry_point(argv: Sequence[str] | None = None) -> None:
    """Convert a raw data set of nnU-Net v1."""
    parser = command_parser("nnUNetv2_convert_old_nnUNet_dataset", "Copy a raw data set of nnU-Net v1 into nnUNet_raw.")
    parser.add_argument("input_folder", type=str, help="folder TaskXXX_NAME of nnU-Net v1")
    parser.add_argument("output_dataset_name", type=str, help="new name, such as Dataset004_Hippocampus")
    args = parser.parse_args(argv)

    from nnunetv2.dataset_conversion.convert_raw_dataset_from_old_nnunet_format import convert

    convert(args.input_folder, args.output_dataset_name)


@command
def convert_dataset_entry_point(argv: Sequence[str] | None = None) -> None:
    """Convert a public data set for which there is a recipe."""
    parser = command_parser(
        "nnUNetv2_convert_dataset",
        "Convert a public data set into nnUNet_raw.",
        epilog="Download and unpack the data set first; its terms of use apply to the converted one as well.",
    )
    parser.add_argument("name", choices=sorted(RECIPES), help="which data set")
    parser.add_argument("-i", type=str, required=True, help="folder into which it was unpacked")
    parser.add_argument("-o", type=int, default=None, metavar="ID", help="number of the new data set; None: customary")
    add_processes(parser, what="the conversion")
    args = parser.parse_args(argv)

    from nnunetv2.dataset_conversion.convert_dataset import convert_dataset

    convert_dataset(args.name, args.i, args.o, args.np)
