"""measurements.csv: written and read back, and what is wrong with one."""

import json
import math

import pytest

from nnunetv2.errors import FileContentError, MissingFileError
from nnunetv2.records.measurements import CaseMeasurement, load_measurements, save_measurements

ONE = CaseMeasurement(case="a", seconds=1.5, start_up_seconds=2.0, host_peak_mib=300.5, host_mib_seconds=450.0)


def test_a_table_is_read_as_it_was_written(tmp_path):
    save_measurements([ONE, CaseMeasurement(case="b", seconds=2.0)], tmp_path / "m.csv")
    read = load_measurements(tmp_path / "m.csv")
    assert list(read) == ["a", "b"]
    assert read["a"].to_json() == ONE.to_json()
    assert math.isnan(read["a"].gpu_peak_mib)


def test_json_holds_the_same(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps([ONE.to_json()]))
    assert load_measurements(tmp_path / "m.json")["a"].to_json() == ONE.to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,time\na,1\n", r"no column seconds.*\['case', 'time'\]"),
        ("case,seconds\na,fast\n", "case a: seconds is 'fast'"),
        ("case,seconds\na,-1\n", "case a: seconds is '-1'"),
        ("case,seconds\na,\n", "case a has no seconds"),
        ("case,seconds\n,1\n", "a row has no case"),
        ("case,seconds\na,1\na,2\n", "case a twice"),
        ("", "no column case, seconds"),
    ],
)
def test_a_wrong_table_is_described(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(FileContentError, match=message):
        load_measurements(tmp_path / "m.csv")


def test_wrong_json_and_missing_files_are_named(tmp_path):
    (tmp_path / "m.json").write_text('{"case": "a"}')
    with pytest.raises(FileContentError, match=r"m\.json must hold a list"):
        load_measurements(tmp_path / "m.json")
    with pytest.raises(MissingFileError, match=r"none\.csv does not exist"):
        load_measurements(tmp_path / "none.csv")
