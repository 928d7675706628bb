"""The command ``nnUNetv2_ensemble``."""

from __future__ import annotations

from collections.abc import Sequence

from nnunetv2.cli.arguments import add_processes, command_parser
from nnunetv2.cli.commands import command


@command
def ensemble_entry_point(argv: Sequence[str] | None = None) -> None:
    """Average the predictions of several models."""
    parser = command_parser(
        "nnUNetv2_ensemble",
        "Average predictions that were made with --save_probabilities, and write the segmentations of the mean.",
    )
    parser.add_argument("-i", nargs="+", type=str, required=True, help="two or more folders with the same cases")
    parser.add_argument("-o", type=str, required=True, help="folder for the result; made if it does not exist")
    add_processes(parser, what="averaging (threads)")
    parser.add_argument("--save_npz", action="store_true", help="also save the averaged probabilities")
    args = parser.parse_args(argv)

    from nnunetv2.ensembling.ensemble import ensemble_folders

    ensemble_folders(args.i, args.o, args.save_npz, args.np)
