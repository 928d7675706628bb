"""One entry is added to a JSON text; the rest keeps its bytes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunetv2.errors import FileContentError
from nnunetv2.records.json_text import set_entry

names = st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(names, values, max_size=4),
    names,
    values,
    st.sampled_from([None, 1, 2, 4, "\t"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_the_text_means_what_it_meant_plus_the_entry(inner, name, value, indent, newline):
    content = {"before": 1, "configurations": inner, "after": [2]}
    text = json.dumps(content, indent=indent).replace("\n", newline)
    changed = set_entry(text, ["configurations"], name, value)
    assert json.loads(changed) == {**content, "configurations": {**inner, name: value}}
    if name not in inner:
        head, tail = text.split('"after"')[0].rstrip(" \t\r\n,}"), '"after"' + text.split('"after"')[-1]
        assert changed.startswith(head)
        assert changed.endswith(tail)


def test_the_result_is_what_the_usual_writer_would_have_written():
    content = {"a": 1, "configurations": {"x": {"p": [1, 2]}}, "z": None}
    for indent in (2, 4, "\t"):
        expected = json.dumps(
            {**content, "configurations": {**content["configurations"], "y": {"q": [3]}}}, indent=indent
        )
        assert set_entry(json.dumps(content, indent=indent), ["configurations"], "y", {"q": [3]}) == expected


def test_an_empty_object_gets_its_first_entry():
    assert json.loads(set_entry('{\n  "c": {}\n}\n', ["c"], "x", 1)) == {"c": {"x": 1}}
    assert set_entry('{"c": { }}', ["c"], "x", 1) == '{"c": {"x": 1}}'


def test_odd_layout_of_the_rest_stays():
    text = '{ "b":[1,\n2] ,"c" : {\n      "x":  {"p":[ 1,2 ]}\n  } }  \n'
    changed = set_entry(text, ["c"], "y", 1)
    assert changed == '{ "b":[1,\n2] ,"c" : {\n      "x":  {"p":[ 1,2 ]},\n      "y": 1\n  } }  \n'


def test_an_existing_entry_is_replaced_in_its_place():
    assert set_entry('{"c": {"x": 1, "y": 2}}', ["c"], "x", 5) == '{"c": {"x": 5, "y": 2}}'


@pytest.mark.parametrize("text", ['{"d": {}}', '{"c": 3}', "[1]"])
def test_a_path_that_leads_nowhere_is_an_error(text):
    with pytest.raises(FileContentError):
        set_entry(text, ["c"], "x", 1)
