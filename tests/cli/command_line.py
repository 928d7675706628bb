"""What the commands accept, read from their parsers: as data for the frozen record, as text for the documentation.

``python -m tests.cli.command_line`` writes both again, after a change of the command line that is meant.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("command_line.json")
PAGE = ROOT / "documentation" / "commands.md"

INTRODUCTION = """# Commands

All commands and their options, as `-h` shows them. This page is made from the parsers: `python -m
tests.cli.command_line` writes it again, and a test compares the two.

Long options can be abbreviated as long as the beginning is unique. Every command ends with status 0, with status 1 and
one message when the data or the request are at fault, or with status 2 when an option is wrong. Defaults of `-np`
follow the variable `nnUNet_def_n_proc`; those of `-npp` and `-nps` of `nnUNetv2_predict` follow `nnUNet_npp` and
`nnUNet_nps`.

Not here: `nnUNetv2_train_pretrained`, `nnUNetv2_preprocess_like_nnssl` and `nnUNetv2_plan_like_dynamic`, which upstream
nnU-Net added after v2.8.1 for networks that were pretrained without labels by nnssl. Use upstream for those. To start
from a supervised nnU-Net checkpoint, use `nnUNetv2_move_plans_between_datasets` and
`nnUNetv2_train -pretrained_weights`.
"""


class _Parser(Exception):
    """Carries a parser out of a command, at the moment when it would parse."""


def scripts() -> dict[str, str]:
    """Commands of pyproject.toml with the functions behind them, as ``module:function``."""
    section = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]\n")[2].partition("\n[")[0]
    return dict(re.findall(r'^(\w+) = "([\w.]+:\w+)"$', section, re.MULTILINE))


def parser_of(target: str) -> argparse.ArgumentParser:
    """Parser of the command behind ``module:function``, stopped before it does anything else."""

    def stop(self, *args, **kwargs):
        raise _Parser(self)

    module, _, function = target.partition(":")
    entry = getattr(importlib.import_module(module), function)
    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", stop):
        try:
            entry([])
        except _Parser as caught:
            return caught.args[0]
    raise AssertionError(f"{target} does not parse its arguments")


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Options and positional arguments, without ``-h`` and without the choice of a subcommand."""
    return [action for action in parser._actions if action.dest != "help" and not _is_choice_of_subcommand(action)]


def _is_choice_of_subcommand(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Every command with its parser, in the order of pyproject.toml; subcommands follow their command."""
    found = {}
    for name, target in scripts().items():
        found[name] = parser = parser_of(target)
        for action in filter(_is_choice_of_subcommand, parser._actions):
            found |= {f"{name} {word}": subparser for word, subparser in action.choices.items()}
    return found


def kind_of(action: argparse.Action) -> str:
    """What follows the option: nothing (switch), or values of a type."""
    if action.nargs == 0:
        return "switch"
    return getattr(action.type, "__name__", "str").lstrip("_")


def names_of(action: argparse.Action) -> list[str]:
    return list(action.option_strings) or [action.dest]


def record_of(action: argparse.Action) -> dict[str, Any]:
    """An option as plain data; entries that say nothing are left out."""
    entries = {
        "names": names_of(action),
        "kind": kind_of(action),
        "nargs": action.nargs or None,
        "default": None if action.nargs == 0 and action.default is False else action.default,
        "required": True if action.required else None,
        "choices": None if action.choices is None else list(action.choices),
    }
    return json.loads(json.dumps({key: value for key, value in entries.items() if value is not None}))


def current_record() -> dict[str, list[dict[str, Any]]]:
    """Every command with its options, in the order of their names."""
    return {name: [record_of(action) for action in options_of(parser)] for name, parser in sorted(parsers().items())}


def _default_text(action: argparse.Action) -> str:
    if action.required:
        return "required"
    if action.nargs == 0 or action.default is None:
        return ""
    values = action.default if isinstance(action.default, (list, tuple)) else [action.default]
    return " ".join(f"`{value}`" for value in values)


def _value_text(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return ", ".join(f"`{choice}`" for choice in action.choices)
    kind = {"str": "text", "int": "integer", "float": "number", "fold": "fold"}.get(kind_of(action), kind_of(action))
    return f"{kind}, one or more" if action.nargs == "+" else kind


def _row(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in names_of(action))
    meaning = (action.help or "") % {"default": action.default, "prog": ""}
    cells = (names, _value_text(action), _default_text(action), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def section_of(name: str, parser: argparse.ArgumentParser) -> str:
    """A command as a section of the page: what it does, and a table of its options."""
    level = "###" if " " in name else "##"
    subcommands = [word for action in filter(_is_choice_of_subcommand, parser._actions) for word in action.choices]
    follow = f"Subcommands: {', '.join(f'`{word}`' for word in subcommands)}; they follow." if subcommands else None
    heading = "\n\n".join(filter(None, (f"{level} {name}", parser.description, parser.epilog, follow)))
    rows = [_row(action) for action in options_of(parser)]
    table = ["| option | value | default | meaning |", "| --- | --- | --- | --- |", *rows]
    return heading + ("\n\n" + "\n".join(table) if rows else "")


def current_page() -> str:
    """The page of the documentation."""
    overview = "\n".join(f"- [{name}](#{name.lower()})" for name in scripts())
    sections = "\n\n".join(section_of(name, parser) for name, parser in parsers().items())
    return f"{INTRODUCTION}\n{overview}\n\n{sections}\n"


def record_as_text(record: dict[str, list[dict[str, Any]]]) -> str:
    """JSON with one option per line, so that a change shows as one line."""
    commands = []
    for name, options in record.items():
        lines = ",\n".join(f"    {json.dumps(option)}" for option in options)
        commands.append(f"  {json.dumps(name)}: [\n{lines}\n  ]")
    return "{\n" + ",\n".join(commands) + "\n}\n"


def main() -> None:
    """Write the record and the page."""
    for name in [name for name in os.environ if name.startswith("nnUNet_")]:
        del os.environ[name]
    RECORD.write_text(record_as_text(current_record()))
    PAGE.write_text(current_page())


if __name__ == "__main__":
    main()
