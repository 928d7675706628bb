"""The command ``nnUNetv2_export_onnx``."""

from __future__ import annotations

from collections.abc import Sequence

from nnunetv2.cli.arguments import add_trust_pickle, command_parser, fold
from nnunetv2.cli.commands import command
from nnunetv2.configuration import trusting_pickles


@command
def export_onnx_entry_point(argv: Sequence[str] | None = None) -> None:
    """Write a trained model as ONNX files."""
    parser = command_parser(
        "nnUNetv2_export_onnx",
        "Write the networks of a trained model as ONNX files, with a manifest; onnxruntime must agree with torch.",
        epilog="Name the model with -m, or with -d and -c as for nnUNetv2_predict.",
    )
    parser.add_argument("-o", type=str, required=True, help="folder for the files; made if it does not exist")
    parser.add_argument("-m", type=str, default=None, help="model folder: the one with plans.json and fold_*")
    parser.add_argument("-d", type=str, default=None, help="data set the model was trained on, number or name")
    parser.add_argument("-c", type=str, default=None, help="configuration of the model, such as 3d_fullres")
    parser.add_argument("-p", type=str, default="nnUNetPlans", help="plans of the model")
    parser.add_argument("-tr", type=str, default="nnUNetTrainer", help="trainer class of the model")
    parser.add_argument(
        "-f", nargs="+", type=fold, default=None, help="folds, one file each; 'all' is one too; default: those numbered"
    )
    parser.add_argument("-chk", type=str, default="checkpoint_final.pth", help="file name of the checkpoints")
    add_trust_pickle(parser)
    args = parser.parse_args(argv)
    if (args.m is None) == (args.d is None) or (args.d is None) != (args.c is None):
        parser.error("name the model either with -m, or with -d and -c")

    from nnunetv2.model_sharing.onnx_export import export_onnx
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    folder = args.m or get_output_folder(args.d, args.tr, args.p, args.c)
    with trusting_pickles(args.trust_pickle):
        export_onnx(folder, args.o, args.f, args.chk)
