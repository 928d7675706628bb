import pytest

from nnunetv2.errors import LabelsError
from nnunetv2.records.labels import Labels


def test_text_labels_become_integers():
    labels = Labels.from_json({"background": "0", "tumor": "1"})
    assert labels.all_labels == (0, 1) and labels.foreground == (1,) and labels.regions is None


def test_regions_keep_their_order_and_leave_background_and_ignore_out():
    labels = Labels.from_json(
        {"background": 0, "whole": [1, 2, 3], "core": ["2", "3"], "enhancing": 3, "ignore": 4}, [1, 2, 3]
    )
    assert labels.regions == ((1, 2, 3), (2, 3), 3)
    assert labels.ignore_label == 4 and labels.all_labels == (0, 1, 2, 3)


def test_a_single_value_in_a_list_does_not_make_regions():
    assert Labels.from_json({"background": 0, "a": [3]}).regions is None


def test_regions_can_be_read_as_labels():
    assert Labels.from_json({"background": 0, "a": [1, 2]}, force_use_labels=True).regions is None


@pytest.mark.parametrize(
    ("labels", "order", "message"),
    [
        ({"a": 1}, None, 'no "background"'),
        ({"background": 1}, None, "must be 0"),
        ({"background": [0, 1]}, None, "must be the integer 0"),
        ({"background": 0, "a": 1, "ignore": 1}, None, "labels.ignore is 1, which is a label, too.*such as 2"),
        ({"background": 0, "a": -1}, None, "labels.a has the value -1; labels are integers from 0 to 65535"),
        ({"background": 0, "a": [1, 70000]}, None, "labels.a has the value 70000"),
        ({"background": 0, "a": [1, 2]}, [70000], "regions_class_order has the value 70000"),
        ({"background": 0, "a": [1, 2]}, 1, "regions_class_order is 1; it must be a list"),
        ({"background": 0, "a": [1, 2]}, ["x"], r"regions_class_order is \['x'\]"),
        ({"background": 0, "a": 1, "ignore": [2]}, None, "one integer"),
        ({"background": 0, "a": [1, 2]}, None, "regions_class_order is needed"),
        ({"background": 0, "a": [1, 2], "b": 2}, [1], "1 entries for 2 regions"),
        ({"background": 0, "a": "x"}, None, "labels.a is 'x'"),
    ],
)
def test_contradictions_are_named(labels, order, message):
    with pytest.raises(LabelsError, match=message):
        Labels.from_json(labels, order)


def test_the_ignore_label_may_be_any_free_value():
    assert Labels.from_json({"background": 0, "a": 1, "ignore": 255}).ignore_label == 255
