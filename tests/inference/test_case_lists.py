import os

import pytest

from nnunetv2.inference import case_lists

ENDING = ".nii.gz"


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def refuse_to_count(files):
    raise AssertionError(f"channels of {files} were counted needlessly")


def cases_of(source, channels=2, count=refuse_to_count):
    return case_lists.image_files_of_cases(source, ENDING, channels, count)


def test_a_folder_gives_sorted_cases_with_channels_in_order(tmp_path):
    folder = touch(
        tmp_path, "b_0001.nii.gz", "a_0000.nii.gz", "b_0000.nii.gz", "a_0001.nii.gz", "notes.txt", "._x.nii.gz"
    )
    assert cases_of(str(folder)) == [
        [f"{folder}/a_0000.nii.gz", f"{folder}/a_0001.nii.gz"],
        [f"{folder}/b_0000.nii.gz", f"{folder}/b_0001.nii.gz"],
    ]
    assert cases_of(folder) == cases_of(str(folder))


def test_a_case_that_lacks_its_first_channel_is_named(tmp_path):
    folder = touch(tmp_path, "good_0000.nii.gz", "good_0001.nii.gz", "bad_0001.nii.gz")
    with pytest.raises(ValueError, match=r"bad lacks channel 0000"):
        cases_of(folder)


def test_a_case_that_lacks_its_last_channel_is_named(tmp_path):
    folder = touch(tmp_path, "good_0000.nii.gz", "good_0001.nii.gz", "bad_0000.nii.gz")
    with pytest.raises(ValueError, match=r"needs 2 channel.*bad has 1 file\(s\) with 1 channel"):
        cases_of(folder, count=lambda files: 1)


def test_surplus_channels_are_an_error(tmp_path):
    folder = touch(tmp_path, "bad_0000.nii.gz", "bad_0001.nii.gz")
    with pytest.raises(ValueError, match=r"bad has 2 file\(s\)"):
        cases_of(folder, channels=1)


def test_one_file_may_hold_all_channels_and_is_read_once_to_know(tmp_path):
    folder = touch(tmp_path, "a_0000.nii.gz", "b_0000.nii.gz", "c_0000.nii.gz")
    asked = []
    assert len(cases_of(folder, channels=3, count=lambda files: asked.append(files) or 3)) == 3
    assert asked == [[f"{folder}/a_0000.nii.gz"]]


def test_a_file_without_channel_number_is_named_with_the_way_out(tmp_path):
    folder = touch(tmp_path, "a_0000.nii.gz", "scan.nii.gz")
    with pytest.raises(ValueError, match=r"scan\.nii\.gz.*scan_0000\.nii\.gz"):
        cases_of(folder, channels=1)


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no files named CASE_0000\.nii\.gz"):
        cases_of(touch(tmp_path / "empty", "a.txt"))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        cases_of(tmp_path / "nowhere")


def test_listed_files_may_have_any_name_but_must_exist(tmp_path):
    folder = touch(tmp_path, "t1.nii.gz", "t2.nii.gz")
    files = [[str(folder / "t1.nii.gz"), folder / "t2.nii.gz"]]
    assert cases_of(files) == [[f"{folder}/t1.nii.gz", f"{folder}/t2.nii.gz"]]
    with pytest.raises(FileNotFoundError, match="t3"):
        cases_of([[str(folder / "t3.nii.gz")]])
    with pytest.raises(ValueError, match="position 1"):
        cases_of([files[0], []])


@pytest.mark.parametrize(
    ("file", "expected"),
    [("/x/case_1_0000.nii.gz", "case_1"), ("ct.nii.gz", "ct"), ("/y/a_12.nii.gz", "a_12"), ("b_0003.nii.gz", "b")],
)
def test_a_case_is_called_by_its_first_file_without_a_channel_number(file, expected):
    assert case_lists.case_identifier(file, ENDING) == expected


def test_outputs_are_a_folder_a_list_or_nothing(tmp_path):
    assert case_lists.output_names(tmp_path, ["a", "b"]) == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert case_lists.output_names(["x/one", tmp_path / "two"], ["a", "b"]) == ["x/one", f"{tmp_path}/two"]
    assert case_lists.output_names(None, ["a", "b"]) is None


def test_cases_that_would_overwrite_each_other_are_refused():
    with pytest.raises(ValueError, match=r"out/ct"):
        case_lists.output_names("out", ["ct", "ct"])


def test_as_many_outputs_as_cases_are_needed():
    with pytest.raises(ValueError, match="1 output names were given for 2 cases"):
        case_lists.output_names(["one"], ["a", "b"])


def test_parts_are_disjoint_and_complete():
    items = list(range(11))
    parts = [case_lists.select_part(items, i, 4) for i in range(4)]
    assert sorted(item for part in parts for item in part) == items
    assert parts[1] == [1, 5, 9]


@pytest.mark.parametrize("part", [-1, 2, 3])
def test_a_part_that_does_not_exist_is_refused(part):
    with pytest.raises(AssertionError, match="part_id"):
        case_lists.select_part([1, 2], part, 2)


def test_a_case_is_complete_when_all_wanted_files_are_there(tmp_path):
    touch(tmp_path, "a.nii.gz")
    truncated = str(tmp_path / "a")
    assert case_lists.is_complete(truncated, ENDING, False)
    assert not case_lists.is_complete(truncated, ENDING, True)
    touch(tmp_path, "a.npz")
    assert not case_lists.is_complete(truncated, ENDING, True)
    touch(tmp_path, "a.pkl")
    assert case_lists.is_complete(truncated, ENDING, True)


def test_missing_previous_stage_segmentations_are_listed(tmp_path):
    touch(tmp_path, "a.nii.gz")
    assert case_lists.previous_stage_files(tmp_path, ["a"], ENDING) == [f"{tmp_path}/a.nii.gz"]
    assert case_lists.previous_stage_files(None, ["a", "b"], ENDING) == [None, None]
    with pytest.raises(FileNotFoundError, match=r"1 case\(s\): b"):
        case_lists.previous_stage_files(tmp_path, ["a", "b"], ENDING)


def test_the_work_list_applies_parts_first_and_then_skips_what_is_done(tmp_path):
    images = touch(tmp_path / "in", *(f"c{i}_0000.nii.gz" for i in range(6)))
    outputs = touch(tmp_path / "out", "c2.nii.gz", "c3.nii.gz")
    files, names, previous = case_lists.work_list(
        str(images),
        str(outputs),
        file_ending=ENDING,
        num_channels=1,
        count_channels=refuse_to_count,
        overwrite=False,
        part_id=0,
        num_parts=2,
    )
    assert [os.path.basename(f[0]) for f in files] == ["c0_0000.nii.gz", "c4_0000.nii.gz"]
    assert [os.path.basename(n) for n in names] == ["c0", "c4"]
    assert previous == [None, None]
