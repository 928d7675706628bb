import pytest

from nnunetv2.errors import DatasetError, UsageError
from nnunetv2.utilities import file_path_utilities as paths
from nnunetv2.utilities.dataset_name_id_conversion import (
    convert_dataset_name_to_id,
    convert_id_to_dataset_name,
    find_candidate_datasets,
    maybe_convert_to_dataset_name,
)


def test_a_number_finds_its_data_set_and_no_other(folders):
    (folders["nnUNet_raw"] / "Dataset002_A").mkdir()
    (folders["nnUNet_preprocessed"] / "Dataset002_A").mkdir()
    (folders["nnUNet_raw"] / "Dataset0021_B").mkdir()
    (folders["nnUNet_results"] / "Dataset1000_Y").mkdir()
    (folders["nnUNet_raw"] / "Dataset002_file").write_text("not a folder")
    assert find_candidate_datasets(2) == ["Dataset002_A"]
    assert maybe_convert_to_dataset_name("002") == maybe_convert_to_dataset_name(2) == "Dataset002_A"
    assert convert_id_to_dataset_name(1000) == "Dataset1000_Y"
    assert convert_dataset_name_to_id("Dataset1000_Y") == 1000


def test_none_and_several_data_sets_are_errors_that_say_where_was_looked(folders):
    with pytest.raises(RuntimeError, match="no data set 7.*\n.*nnUNet_preprocessed = "):
        convert_id_to_dataset_name(7)
    for name in ("Dataset007_A", "Dataset007_B"):
        (folders["nnUNet_raw"] / name).mkdir()
    with pytest.raises(DatasetError, match="Dataset007_A, Dataset007_B"):
        convert_id_to_dataset_name(7)


def test_text_that_is_neither_name_nor_number_is_refused():
    with pytest.raises(ValueError, match="'Hippocampus' is neither"):
        maybe_convert_to_dataset_name("Hippocampus")
    assert maybe_convert_to_dataset_name("Dataset123_NotThere") == "Dataset123_NotThere"


def test_model_folders_go_both_ways(folders):
    folder = paths.get_output_folder("Dataset004_H", "T", "P", "3d", "all")
    assert folder == str(folders["nnUNet_results"] / "Dataset004_H" / "T__P__3d" / "fold_all")
    assert paths.parse_dataset_trainer_plans_configuration_from_path(folder) == ("Dataset004_H", "T", "P", "3d")
    assert paths.parse_dataset_trainer_plans_configuration_from_path(folder.rsplit("/", 1)[0])[1:] == ("T", "P", "3d")
    assert paths.parse_dataset_trainer_plans_configuration_from_path("/x/fold_0") is None
    with pytest.raises(UsageError):
        paths.convert_identifier_to_trainer_plans_config("a__b")


def test_ensemble_names_go_both_ways():
    name = paths.get_ensemble_name("/r/T__P__2d", "/r/T__P__3d", (0, "all"))
    assert name == "ensemble___T__P__2d___T__P__3d___0_all"
    assert paths.convert_ensemble_folder_to_model_identifiers_and_folds(name) == (["T__P__2d", "T__P__3d"], "0_all")
    assert paths.folds_string_to_tuple("0_1_all") == [0, 1, "all"]
