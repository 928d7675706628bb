"""The command nnUNetv2_plans and its subcommands."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from nnunetv2.cli.arguments import command_parser
from nnunetv2.cli.commands import command
from nnunetv2.errors import UsageError
from nnunetv2.records.findings import counted

DEFAULT_PLANS = "nnUNetPlans"


@command
def plans_entry_point(argv: Sequence[str] | None = None) -> None:
    """Command nnUNetv2_plans."""
    parser = command_parser("nnUNetv2_plans", "Look at plans, check them, and add configurations of your own.")
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND", help="what to do")
    for add in (_add_check, _add_show, _add_derive, _add_diff, _add_upgrade):
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
        _say(counted(len(problems), "problem"))
    if problems:
        raise SystemExit(1)


def _add_show(subcommands: Any) -> None:
    parser = _subcommand(subcommands, "show", "Say what configurations amount to.", _run_show)
    _add_file(parser)
    parser.add_argument(
        "configuration", nargs="?", default=None, help="one of them, in detail; without it all in brief"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON, memory in bytes")
    parser.add_argument("--png", type=str, default=None, metavar="FILE", help="also draw the network of CONFIGURATION")


def _run_show(args: argparse.Namespace) -> None:
    from nnunetv2.experiment_planning.plans_editing.documents import load_plans
    from nnunetv2.experiment_planning.plans_editing.show import describe_configuration
    from nnunetv2.experiment_planning.plans_editing.show_text import description_text, overview_text

    if args.png is not None and args.configuration is None:
        raise UsageError("--png draws one configuration; name it behind the plans")
    documents = load_plans(args.file_or_dataset, args.p)
    names = list(documents.plans["configurations"]) if args.configuration is None else [args.configuration]
    described = {name: describe_configuration(documents, name) for name in names}
    one = described.get(args.configuration)
    if args.json:
        _say(json.dumps(described if one is None else one, indent=4))
    else:
        _say(overview_text(documents.path, described) if one is None else description_text(one))
    if args.png is not None:
        from nnunetv2.experiment_planning.plans_editing.network_picture import draw_configuration

        draw_configuration(args.png, documents, args.configuration)


def _add_diff(subcommands: Any) -> None:
    description = "Compare two plans or configurations by meaning; status 0 when they are the same, else 1."
    parser = _subcommand(subcommands, "diff", description, _run_diff)
    parser.add_argument("first", help="plans file or data set, or FILE:CONFIGURATION")
    parser.add_argument("second", help="the same for what it is compared with")
    parser.add_argument("-p", type=str, default=DEFAULT_PLANS, metavar="PLANS", help="plans of data sets")


def _run_diff(args: argparse.Namespace) -> None:
    from nnunetv2.experiment_planning.plans_editing.diff import compare

    found = compare(args.first, args.second, args.p)
    for difference in found:
        _say(str(difference))
    if found:
        raise SystemExit(1)
    _say("no difference")


def _add_upgrade(subcommands: Any) -> None:
    parser = _subcommand(
        subcommands, "upgrade", "Write plans in the current layout, or in the older one.", _run_upgrade
    )
    _add_file(parser)
    parser.add_argument("-o", type=str, required=True, metavar="FILE", help="file to write; may be the same")
    parser.add_argument("--to", choices=("current", "older"), default="current", help="older: that of before v2.3")


def _run_upgrade(args: argparse.Namespace) -> None:
    from nnunetv2.experiment_planning.plans_editing.documents import load_plans
    from nnunetv2.experiment_planning.plans_editing.layouts import downgraded_plans, upgraded_plans
    from nnunetv2.records.files import write_json

    plans = load_plans(args.file_or_dataset, args.p).plans
    write_json(args.o, (upgraded_plans if args.to == "current" else downgraded_plans)(plans), sort_keys=False)
    _say(args.o)


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
