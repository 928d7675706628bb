"""Checking a JSON document against a schema that is shipped with the package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, NamedTuple


class Violation(NamedTuple):
    """One place where a document does not follow its schema."""

    key: str
    """Path of the entry, such as ``labels.tumour``."""
    value: Any
    reason: str
    description: str
    """What the schema says about the entry; may be empty."""


def schema(name: str) -> dict[str, Any]:
    """The schema ``nnunetv2/records/schemas/<name>.schema.json``."""
    return json.loads(files("nnunetv2.records.schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8"))


def violations(document: Mapping[str, Any], name: str) -> Iterator[Violation]:
    """Where ``document`` does not follow the schema, in the order of the keys; keys that are missing are left out."""
    from jsonschema import Draft202012Validator

    definition = schema(name)
    found = sorted(
        Draft202012Validator(definition).iter_errors(document), key=lambda error: [str(part) for part in error.path]
    )
    for error in found:
        if error.validator == "required" and not error.path:
            continue
        entry = definition["properties"].get(str(error.path[0]), {}) if error.path else {}
        yield Violation(".".join(map(str, error.path)), error.instance, _reason(error), entry.get("description", ""))


def _reason(error: Any) -> str:
    """What is wrong, in words: the validator's own message, or for alternatives what each of them wants."""
    if error.validator == "anyOf":
        return "it must be " + " or ".join(_wanted(alternative) for alternative in error.validator_value)
    if error.validator == "required":
        absent = [key for key in error.validator_value if key not in error.instance]
        return f"it lacks {', '.join(absent)}"
    if error.validator in ("type", "const", "pattern"):
        return f"it must be {_wanted(error.schema)}"
    return error.message


def _wanted(alternative: Mapping[str, Any]) -> str:
    if "const" in alternative:
        return json.dumps(alternative["const"])
    if "$ref" in alternative:
        return "an integer from 0 to 65535"
    kinds = alternative.get("type", "something else")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if text == "integer" and "minimum" in alternative:
        text += f" from {alternative['minimum']}" + (
            f" to {alternative['maximum']}" if "maximum" in alternative else ""
        )
    if "pattern" in alternative:
        text += f" like {alternative['pattern']}"
    names = {"string": "text", "object": "an object", "array": "a list", "integer": "an integer", "null": "null"}
    first, _, rest = text.partition(" ")
    return f"{names.get(first, first)} {rest}".strip()
