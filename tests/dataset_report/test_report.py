"""The command: from a raw data set to the files of the report."""

import csv
import re
from html.parser import HTMLParser

import pytest
import SimpleITK as sitk

from nnunetv2.dataset_report.command import dataset_report_entry_point
from nnunetv2.dataset_report.report import label_names
from nnunetv2.errors import DatasetError
from nnunetv2.records.dataset_json import DatasetJson
from tests.conftest import write_tiny_dataset


def rows(folder) -> dict[str, dict[str, str]]:
    with open(folder / "report.csv", newline="", encoding="utf-8") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def run(folder, *more: str) -> str:
    dataset_report_entry_point(["-d", "997", "-o", str(folder), "-np", "1", "--no_pbar", *more])
    return (folder / "report.html").read_text(encoding="utf-8")


def add_test_case(dataset) -> None:
    (dataset / "imagesTs").mkdir()
    for channel in range(2):
        source = dataset / "imagesTr" / f"tiny_000_{channel:04d}.nii.gz"
        (dataset / "imagesTs" / f"new_{channel:04d}.nii.gz").write_bytes(source.read_bytes())


def test_every_case_has_a_row_with_its_numbers(tiny_dataset, tmp_path, capsys):
    add_test_case(tiny_dataset)
    run(tmp_path / "report")
    table = rows(tmp_path / "report")
    assert list(table) == [*(f"tiny_{index:03d}" for index in range(6)), "new"]
    row = table["tiny_000"]
    assert [row[f"shape_{axis}"] for axis in "zyx"] == ["20", "26", "23"]
    assert [row[f"spacing_{axis}"] for axis in "zyx"] == ["2.5", "1", "1.25"]
    label = sitk.GetArrayFromImage(sitk.ReadImage(str(tiny_dataset / "labelsTr" / "tiny_000.nii.gz")))
    assert int(row["voxels_shell"]) == (label == 1).sum()
    assert float(row["volume_ml_core"]) == pytest.approx((label == 2).sum() * 2.5 * 1.25 / 1000, rel=1e-5)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tiny_dataset / "imagesTr" / "tiny_000_0001.nii.gz")))
    assert float(row["intensity_max_1"]) == pytest.approx(image.max(), rel=1e-5)
    assert "label 2 (core) is absent" in table["tiny_005"]["outliers"]
    assert (table["new"]["part"], table["new"]["voxels_shell"]) == ("test", "")
    assert "report.csv and report.html, 7 cases" in capsys.readouterr().out


class _Tags(HTMLParser):
    """Collects attributes, and complains about tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.links, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.sources += [attributes["src"]] if "src" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.ids += [attributes["id"]] if "id" in attributes else []

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_complete_in_itself(tiny_dataset, tmp_path):
    add_test_case(tiny_dataset)
    text = run(tmp_path / "report")
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.ids == [*(f"tiny_{index:03d}" for index in range(6)), "new"]
    assert len(tags.sources) == 7 + 1, "a thumbnail of every case, and the distributions"
    assert all(source.startswith("data:image/") for source in tags.sources)
    assert "#tiny_005" in tags.links and set(tags.links) <= {f"#{case}" for case in tags.ids}
    assert "http" not in re.sub(r"data:image/\w+;base64,[\w+/=]+", "", text)
    assert text.count("<svg") == 7 * 2, "a histogram of every channel of every case"
    assert re.search(r'class="numbers marked" title="[^"]*label 2 \(core\) is absent"', text)


def test_names_cannot_break_the_page(folders, tmp_path):
    dataset = write_tiny_dataset(folders["nnUNet_raw"], cases=1)
    description = (dataset / "dataset.json").read_text()
    (dataset / "dataset.json").write_text(description.replace('"core"', '"<script>alert(1)</script>"'))
    assert "<script>alert" not in run(tmp_path / "report")


def test_a_case_that_cannot_be_read_is_reported_and_the_others_are_there(tiny_dataset, tmp_path):
    (tiny_dataset / "labelsTr" / "tiny_002.nii.gz").write_bytes(b"no image")
    (tiny_dataset / "labelsTr" / "tiny_003.nii.gz").unlink()
    text = run(tmp_path / "report")
    table = rows(tmp_path / "report")
    assert "tiny_002.nii.gz" in table["tiny_002"]["outliers"]
    assert table["tiny_002"]["shape_z"] == ""
    assert table["tiny_003"]["shape_z"] == "20"
    assert table["tiny_003"]["voxels_core"] == ""
    assert "1 more could not be read" in text


def test_without_any_readable_case_there_is_no_report(tiny_dataset, tmp_path, capsys):
    for file in (tiny_dataset / "imagesTr").iterdir():
        file.write_bytes(b"x")
    with pytest.raises(SystemExit) as stop:
        run(tmp_path / "report")
    assert stop.value.code == 1
    assert not (tmp_path / "report").exists()


def test_a_name_in_both_parts_is_an_error(tiny_dataset, tmp_path):
    add_test_case(tiny_dataset)
    for file in list((tiny_dataset / "imagesTs").iterdir()):
        file.rename(file.with_name(file.name.replace("new", "tiny_001")))
    from nnunetv2.dataset_report.report import report_dataset

    with pytest.raises(DatasetError, match="training case and a test case"):
        report_dataset(997, str(tmp_path / "report"), 1, False)


def test_several_processes_give_the_same_files(tiny_dataset, tmp_path):
    run(tmp_path / "one")
    run(tmp_path / "two", "-np", "2")
    for name in ("report.csv", "report.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_labels_of_regions_get_a_name():
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    record = DatasetJson(channel_names={"0": "CT"}, labels=labels, file_ending=".nii.gz")
    assert label_names(record) == {0: "background", 1: "label 1", 2: "core", 3: "ignore"}
