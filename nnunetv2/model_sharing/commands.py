"""The commands that export, install and download trained models."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nnunetv2.cli.arguments import add_no_progress_bar, add_trust_pickle, command_parser, fold
from nnunetv2.cli.commands import command
from nnunetv2.configuration import trusting_pickles


def _add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what} if it exists")


def _add_install_flags(parser: argparse.ArgumentParser) -> None:
    _add_overwrite(parser, "a model as a whole")
    parser.add_argument(
        "--as-pth", action="store_true", help="write .safetensors as .pth, which nnU-Net v2 of others reads as well"
    )
    add_trust_pickle(parser)


@command
def export_model_entry_point(argv: Sequence[str] | None = None) -> None:
    """Pack trained models into a zip file."""
    parser = command_parser(
        "nnUNetv2_export_model_to_zip",
        "Pack trained models of a data set into a zip file for others.",
        epilog="A single configuration is exported with, for example: -d 4 -o model.zip -c 3d_fullres -f 0 1 2",
    )
    parser.add_argument("-d", type=str, required=True, help="data set: id or name")
    parser.add_argument("-o", type=str, required=True, help="zip file to write")
    parser.add_argument(
        "-c", nargs="+", type=str, default=["3d_lowres", "3d_fullres", "2d", "3d_cascade_fullres"],
        help="configurations",
    )  # fmt: skip
    parser.add_argument("-tr", type=str, default="nnUNetTrainer", help="trainer class")
    parser.add_argument("-p", type=str, default="nnUNetPlans", help="plans identifier")
    parser.add_argument("-f", nargs="+", type=fold, default=[0, 1, 2, 3, 4], help="folds; 'all' is one too")
    parser.add_argument("-chk", nargs="+", type=str, default=["checkpoint_final.pth"], help="checkpoints of each fold")
    parser.add_argument("--not_strict", action="store_true", help="leave out configurations that were not trained")
    parser.add_argument("--exp_cv_preds", action="store_true", help="also segmentations of the validation cases")
    parser.add_argument("--weights_only", action="store_true", help="leave out what only serves to continue training")
    parser.add_argument(
        "--slim",
        action="store_true",
        help="only what prediction needs, weights as .safetensors: smallest, without pickles, for this package only",
    )
    parser.add_argument("--debug_json", action="store_true", help="also debug.json, which describes your machine")
    _add_overwrite(parser, "the file")
    add_trust_pickle(parser)
    args = parser.parse_args(argv)

    from nnunetv2.model_sharing.model_export import export_pretrained_model

    with trusting_pickles(args.trust_pickle):
        export_pretrained_model(
            args.d, args.o, args.c, args.tr, args.p, args.f, not args.not_strict, args.chk, args.overwrite,
            args.exp_cv_preds, weights_only=args.weights_only, include_debug=args.debug_json, slim=args.slim,
        )  # fmt: skip


@command
def install_from_zip_entry_point(argv: Sequence[str] | None = None) -> None:
    """Install models from a zip file."""
    parser = command_parser(
        "nnUNetv2_install_pretrained_model_from_zip", "Unpack a zip file with trained models below nnUNet_results."
    )
    parser.add_argument("zip", type=str, help="file made with nnUNetv2_export_model_to_zip")
    _add_install_flags(parser)
    args = parser.parse_args(argv)

    from nnunetv2.model_sharing.model_import import install_model_from_zip_file

    with trusting_pickles(args.trust_pickle):
        install_model_from_zip_file(args.zip, args.overwrite, slim_as_pth=args.as_pth)


@command
def download_by_url_entry_point(argv: Sequence[str] | None = None) -> None:
    """Download a zip file and install the models in it."""
    parser = command_parser(
        "nnUNetv2_download_pretrained_model_by_url", "Download a zip file with trained models and install it."
    )
    parser.add_argument("url", type=str, help="https address of a file made with nnUNetv2_export_model_to_zip")
    parser.add_argument("--sha256", type=str, default=None, help="refuse any file with another SHA-256")
    parser.add_argument("--max_gb", type=float, default=50, help="stop when the file is larger than this (GiB)")
    parser.add_argument(
        "--allow-http",
        action="store_true",
        help="also http addresses, which anybody on the way can change; with --sha256",
    )
    _add_install_flags(parser)
    add_no_progress_bar(parser)
    args = parser.parse_args(argv)

    from nnunetv2.model_sharing.model_download import download_and_install_from_url

    with trusting_pickles(args.trust_pickle):
        download_and_install_from_url(
            args.url, args.overwrite, sha256=args.sha256, max_bytes=int(args.max_gb * 2**30),
            show_progress=not args.no_pbar, allow_http=args.allow_http, slim_as_pth=args.as_pth,
        )  # fmt: skip
