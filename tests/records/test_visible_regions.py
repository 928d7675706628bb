"""Regions that are painted over entirely are found before anybody trains them."""

import pytest

from nnunetv2.errors import LabelsError
from nnunetv2.records.labels import require_visible_regions


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}, [1, 2, 3]),
        ({"background": 0, "left": [1, 2], "right": [2, 3]}, [1, 3]),  # they overlap, none covers the other
        ({"background": 0, "core": "2", "whole": [1, 2]}, [1, 1]),  # written alike, nothing is lost
        ({"background": 0, "core": 1, "rim": 2}, None),
    ],
)
def test_regions_of_which_something_remains_are_accepted(labels, order):
    require_visible_regions(labels, order)


@pytest.mark.parametrize(
    ("labels", "order", "hidden"),
    [
        ({"background": 0, "core": 2, "whole": [1, 2]}, [2, 1], "core"),
        ({"background": 0, "all": [1, 2, 3], "one": [3], "two": ["2", "3"]}, [1, 2, 3], "one"),
        ({"background": 0, "a": [1, 2], "b": [2, 1]}, [1, 2], "a"),
    ],
)
def test_a_region_inside_a_later_one_is_named(labels, order, hidden):
    with pytest.raises(LabelsError, match=f"^here: labels.{hidden} .*so {hidden} would never be seen"):
        require_visible_regions(labels, order, "here")
