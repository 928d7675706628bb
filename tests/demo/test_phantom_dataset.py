"""Phantoms written as a raw data set."""

import SimpleITK as sitk

from nnunetv2.demo.phantom import PhantomSettings, make_phantom
from nnunetv2.demo.phantom_dataset import PhantomDataset, write_phantom_dataset
from nnunetv2.records.dataset_json import DatasetJson

SETTINGS = PhantomSettings(shape=(12, 20, 22), spacing=(20.0, 16.0, 15.0), lesion_radius=(25.0, 35.0))


def test_the_folder_is_a_complete_raw_data_set(tmp_path):
    folder = write_phantom_dataset(tmp_path / "Dataset900_Phantom", PhantomDataset(3, 2, settings=SETTINGS))
    listing = {sub.name: sorted(file.name for file in sub.iterdir()) for sub in folder.iterdir() if sub.is_dir()}
    assert listing == {
        "imagesTr": [f"phantom_00{i}_0000.nii.gz" for i in range(3)],
        "labelsTr": [f"phantom_00{i}.nii.gz" for i in range(3)],
        "imagesTs": [f"phantom_00{i}_0000.nii.gz" for i in (3, 4)],
        "labelsTs": [f"phantom_00{i}.nii.gz" for i in (3, 4)],
    }
    dataset = DatasetJson.load(folder / "dataset.json")
    assert (dataset.num_training, dataset.num_channels, dataset.file_ending) == (3, 1, ".nii.gz")
    assert dataset.labels == {"background": 0, "tumor": 1}


def test_written_volumes_hold_the_phantom_with_its_spacing(tmp_path):
    folder = write_phantom_dataset(tmp_path, PhantomDataset(1, 0, seed=11, settings=SETTINGS))
    image = sitk.ReadImage(str(folder / "imagesTr" / "phantom_000_0000.nii.gz"))
    expected, _ = make_phantom(11, SETTINGS)
    assert (sitk.GetArrayFromImage(image) == expected).all()
    assert image.GetSpacing() == (15.0, 16.0, 20.0)


def test_writing_again_gives_the_same_files(tmp_path):
    description = PhantomDataset(1, 1, settings=SETTINGS)
    first = write_phantom_dataset(tmp_path / "a", description)
    second = write_phantom_dataset(tmp_path / "b", description)
    for file in sorted(path.relative_to(first) for path in first.rglob("*.gz")):
        assert (
            sitk.GetArrayFromImage(sitk.ReadImage(str(first / file)))
            == sitk.GetArrayFromImage(sitk.ReadImage(str(second / file)))
        ).all()
