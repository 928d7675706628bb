"""The command line changes only on purpose, and never away from what scripts rely on.

After a change that is meant: ``python -m tests.cli.command_line`` writes the record and the page of the documentation.
"""

from __future__ import annotations

import argparse
import ast
import json
from importlib.metadata import distribution

import pytest

from tests.cli.command_line import (
    PAGE,
    RECORD,
    current_page,
    current_record,
    kind_of,
    names_of,
    options_of,
    parser_of,
    parsers,
    record_as_text,
    record_of,
    scripts,
)
from tests.cli.upstream_options import LEFT_OUT, SHORT_FORMS, UPSTREAM

REWRITE = "if the change is meant, run python -m tests.cli.command_line and commit what it writes"
every_upstream_command = pytest.mark.parametrize("command", UPSTREAM)


def test_commands_options_and_defaults_are_as_recorded():
    recorded, current = json.loads(RECORD.read_text()), current_record()
    assert list(current) == list(recorded), REWRITE
    for command, options in current.items():
        assert options == recorded[command], f"{command} has changed; {REWRITE}"


def test_the_page_of_the_documentation_is_made_from_the_parsers():
    assert PAGE.read_text() == current_page(), f"{PAGE.name} is not up to date; {REWRITE}"


def test_the_record_is_written_as_it_is_read():
    record = {"command": [{"names": ["-a", "--all"], "kind": "int", "default": 3}, {"names": ["b"], "kind": "str"}]}
    assert json.loads(record_as_text(record)) == record


def test_a_changed_default_changes_the_record():
    def with_default(value):
        parser = argparse.ArgumentParser()
        parser.add_argument("-a", type=int, default=value)
        return [record_of(action) for action in options_of(parser)]

    assert with_default(1) == [{"names": ["-a"], "kind": "int", "default": 1}]
    assert with_default(1) != with_default(2)


@every_upstream_command
def test_every_option_of_upstream_exists_with_its_default(command):
    have = {name: action for action in options_of(parser_of(scripts()[command])) for name in names_of(action)}
    for name, kind, *default in UPSTREAM[command]:
        action = have[name]
        assert kind_of(action) + ("*" if action.nargs == "+" else "") == kind, name
        if default == ["required"]:
            assert action.required, name
        elif default:
            assert not action.required and action.default == ast.literal_eval(default[0]), name


@every_upstream_command
def test_nothing_is_required_that_upstream_does_not_know(command):
    known = {name for name, *_ in UPSTREAM[command]}
    for action in options_of(parser_of(scripts()[command])):
        assert not action.required or set(names_of(action)) & known


@pytest.mark.parametrize(("command", "words", "destination", "value"), SHORT_FORMS)
def test_short_forms_of_scripts_keep_their_meaning(command, words, destination, value):
    parser = parser_of(scripts()[command])
    for action in parser._actions:
        action.required = False
    parser._positionals._group_actions.clear()
    parser._actions[:] = [action for action in parser._actions if action.option_strings]
    assert getattr(parser.parse_args(words), destination) == value


@pytest.mark.parametrize("command", ["nnUNetv2_predict", "nnUNetv2_predict_from_modelfolder"])
def test_prediction_takes_folds_by_number_or_all(command):
    parser = parser_of(scripts()[command])
    fold = next(action for action in options_of(parser) if "-f" in action.option_strings)
    assert [fold.type(text) for text in ("0", "all")] == [0, "all"]


@pytest.mark.parametrize("command", sorted(parsers()))
def test_every_option_says_what_it_means_and_is_named_once(command):
    parser = parsers()[command]
    assert parser.prog == command
    assert parser.description.endswith(".")
    names = [name for action in options_of(parser) for name in names_of(action)]
    assert len(names) == len(set(names))
    assert all(action.help for action in options_of(parser))


def test_what_is_installed_is_what_pyproject_lists():
    installed = {e.name: e.value for e in distribution("nnunetv2").entry_points if e.group == "console_scripts"}
    assert installed == scripts(), "install the project again: pip install --no-deps -e ."


def test_commands_for_networks_pretrained_without_labels_do_not_exist_and_the_page_says_so():
    assert not set(LEFT_OUT) & set(scripts())
    page = PAGE.read_text()
    assert all(command in page for command in LEFT_OUT)
    assert set(UPSTREAM) <= set(scripts())
    assert len(UPSTREAM) == 21
