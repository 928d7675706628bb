"""The command nnUNetv2_plans and its subcommands."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from nnunetv2.cli.arguments import command_parser
from nnunetv2.cli.commands import command

DEFAULT_PLANS = "nnUNetPlans"


@command
def plans_entry_point(argv: Sequence[str] | None = None) -> None:
    """Command nnUNetv2_plans."""
    parser = command_parser("nnUNetv2_plans", "Look at plans, check them, and add configurations of your own.")
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND", help="what to do")
    for add in (_add_check, _add_derive):
        add(subcommands)
    # argparse gives up on key=value behind options, since nothing was there when it looked for it first.
    args, rest = parser.parse_known_args(argv)
    if rest and (args.subcommand != "derive" or any(word.startswith("-") or "=" not in word for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.entries = [*args.entries, *map(key_and_value, rest)]
    args.run(args)


def numbers_of(kind: type) -> Any:
    """Type of an argument such as ``3,2,2``."""

    def numbers(text: str) -> list[Any]:
        return [kind(part) for part in text.replace("x", ",").split(",")]

    numbers.__name__ = f"{kind.__name__}s separated by commas"
    return numbers


def key_and_value(text: str) -> tuple[str, Any]:
    """Type of an argument ``key=value``: the value as JSON, or as text where it is none."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _subcommand(subcommands: Any, name: str, description: str, run: Any) -> argparse.ArgumentParser:
    parser = subcommands.add_parser(
        name, help=description, description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file_or_dataset", help="plans file, or data set by number or name")
    parser.add_argument("-p", type=str, default=DEFAULT_PLANS, metavar="PLANS", help="plans of the data set")


def _add_check(subcommands: Any) -> None:
    parser = _subcommand(
        subcommands, "check", "List everything that is wrong; status 0 when clean, else 1.", _run_check
    )
    _add_file(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _run_check(args: argparse.Namespace) -> None:
    from nnunetv2.experiment_planning.plans_editing.check_file import check

    findings = check(args.file_or_dataset, args.p)
    problems = [finding for finding in findings if finding.severity != "note"]
    if args.json:
        _say(json.dumps([finding.to_json() for finding in findings], indent=4))
    else:
        for finding in findings:
            _say(f"{finding.severity}: {finding}")
        _say(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}")
    if problems:
        raise SystemExit(1)


def _add_derive(subcommands: Any) -> None:
    parser = _subcommand(subcommands, "derive", "Add a configuration that differs from another one.", _run_derive)
    _add_file(parser)
    parser.add_argument("name", help="name of the new configuration")
    parser.add_argument("--from", dest="base", required=True, metavar="BASE", help="configuration to inherit from")
    parser.add_argument("--stages", type=int, default=None, help="resolutions of the network")
    parser.add_argument("--width", type=int, default=None, help="feature maps of the first stage")
    parser.add_argument("--spacing", type=numbers_of(float), default=None, metavar="MM,MM,MM", help="target spacing")
    parser.add_argument("--patch", type=numbers_of(int), default=None, metavar="N,N,N", help="patch size in voxels")
    parser.add_argument("--batch", type=int, default=None, help="samples per training step")
    parser.add_argument("--overwrite", action="store_true", help="replace a configuration of that name")
    parser.add_argument("--dry_run", action="store_true", help="print the entry and write nothing")
    parser.add_argument(
        "entries",
        nargs="*",
        type=key_and_value,
        default=[],
        metavar="key=value",
        help="other entries, such as batch_dice=false or architecture.arch_kwargs.nonlin_kwargs.negative_slope=0.1",
    )


def _run_derive(args: argparse.Namespace) -> None:
    from nnunetv2.experiment_planning.plans_editing.derive import Wishes
    from nnunetv2.experiment_planning.plans_editing.derive_file import derive

    wishes = Wishes(
        stages=args.stages,
        width=args.width,
        spacing=args.spacing,
        patch_size=args.patch,
        batch_size=args.batch,
        entries=dict(args.entries),
    )
    derived = derive(args.file_or_dataset, args.name, args.base, wishes, args.p, args.overwrite, args.dry_run)
    written = "would add to" if args.dry_run else "added to"
    _say(f"{written} configurations of {derived.path}:")
    rows = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in derived.entry.items())
    _say(f"{json.dumps(derived.name)}: {{\n{rows}\n}}")
    if derived.preprocess_command is None:
        _say(f"Preprocessed cases for it are there: {derived.data_folder}")
    else:
        _say(f"Its cases have to be preprocessed, into {derived.data_folder}:\n    {derived.preprocess_command}")
    _say(f"Train it:\n    {derived.train_command}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
