import json
import threading

import numpy as np
import pytest
import torch

from nnunetv2.errors import CaseFailures, WorkerError
from nnunetv2.inference import predict_from_raw_data as facade
from tests.inference.conftest import (
    REGIONS,
    Thresholds,
    labelled_image,
    make_dataset_json,
    make_plans,
    make_predictor,
    read_image,
    write_image,
)

WORKERS = {"num_processes_preprocessing": 1, "num_processes_segmentation_export": 1}
NO_WORKERS = {"num_processes_preprocessing": 0, "num_processes_segmentation_export": 0}
DOCUMENTS = ["dataset.json", "plans.json", "predict_from_raw_data_args.json"]


def predictor(network=None, **kwargs):
    return make_predictor(network or Thresholds(), **kwargs)


@pytest.mark.parametrize("workers", [WORKERS, NO_WORKERS])
def test_a_folder_is_predicted_into_a_folder(image_folder, tmp_path, workers):
    out = tmp_path / "out"
    result = predictor().predict_from_files(str(image_folder.folder), str(out), **workers)
    assert result == [None, None, None]
    assert sorted(p.name for p in out.iterdir()) == sorted([f"{n}.nii.gz" for n in image_folder.labels] + DOCUMENTS)
    for name, labels in image_folder.labels.items():
        np.testing.assert_array_equal(read_image(out / f"{name}.nii.gz"), labels)


def test_the_documents_beside_predictions_say_how_they_were_made(image_folder, tmp_path):
    model = predictor()
    model.predict_from_files(image_folder.folder, str(tmp_path / "out"), save_probabilities=False, **WORKERS)
    arguments = json.loads((tmp_path / "out" / "predict_from_raw_data_args.json").read_text())
    assert arguments == {
        "list_of_lists_or_source_folder": str(image_folder.folder),
        "output_folder_or_list_of_truncated_output_files": str(tmp_path / "out"),
        "save_probabilities": False,
        "overwrite": True,
        "num_processes_preprocessing": 1,
        "num_processes_segmentation_export": 1,
        "folder_with_segs_from_prev_stage": None,
        "num_parts": 1,
        "part_id": 0,
    }
    assert list(arguments) == sorted(arguments)
    for name, content in [("dataset.json", model.dataset_json), ("plans.json", model.plans_manager.plans)]:
        written = json.loads((tmp_path / "out" / name).read_text())
        assert written == content
        assert list(written) == list(content)


def test_probabilities_and_properties_are_written_when_asked(image_folder, tmp_path):
    predictor().predict_from_files(
        [[str(image_folder.folder / "case_a_0000.nii.gz")]], [str(tmp_path / "out" / "x")], True, **WORKERS
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(["x.nii.gz", "x.npz", "x.pkl", *DOCUMENTS])


def test_without_output_results_are_returned_in_order_and_nothing_is_written(image_folder, tmp_path):
    files = [[str(image_folder.folder / f"{name}_0000.nii.gz")] for name in ("case_c", "case_a")]
    before = sorted(tmp_path.rglob("*"))
    for probabilities in (False, True):
        results = predictor().predict_from_files(files, None, save_probabilities=probabilities, **WORKERS)
        for name, result in zip(("case_c", "case_a"), results):
            segmentation = result[0] if probabilities else result
            np.testing.assert_array_equal(segmentation, image_folder.labels[name])
            if probabilities:
                assert result[1].shape == (3, *segmentation.shape)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_sequential_method_does_the_same(image_folder, tmp_path):
    out = tmp_path / "deep" / "out"
    assert predictor().predict_from_files_sequential(str(image_folder.folder), str(out)) == []
    arguments = json.loads((out / "predict_from_raw_data_args.json").read_text())
    assert len(arguments) == 5
    returned = predictor().predict_from_files_sequential(str(image_folder.folder), None)
    for result, (name, labels) in zip(returned, image_folder.labels.items()):
        np.testing.assert_array_equal(result, labels)
        np.testing.assert_array_equal(read_image(out / f"{name}.nii.gz"), labels)


@pytest.mark.parametrize("workers", [WORKERS, NO_WORKERS])
def test_parts_share_the_cases_without_overlap(image_folder, tmp_path, workers):
    written = []
    for part in range(2):
        out = tmp_path / f"out{part}"
        predictor().predict_from_files(str(image_folder.folder), str(out), num_parts=2, part_id=part, **workers)
        written.append({p.name for p in out.glob("*.nii.gz")})
    assert written == [{"case_a.nii.gz", "case_c.nii.gz"}, {"case_b.nii.gz"}]


def test_continuing_keeps_what_is_complete_and_makes_the_rest(image_folder, tmp_path):
    out = tmp_path / "out"
    predictor().predict_from_files(str(image_folder.folder), str(out), **WORKERS)
    kept = (out / "case_a.nii.gz").stat().st_mtime_ns
    (out / "case_b.nii.gz").unlink()
    network = Thresholds()
    predictor(network).predict_from_files(str(image_folder.folder), str(out), overwrite=False, **WORKERS)
    assert (out / "case_b.nii.gz").is_file()
    assert (out / "case_a.nii.gz").stat().st_mtime_ns == kept
    again = predictor(network).predict_from_files(str(image_folder.folder), str(out), overwrite=False, **WORKERS)
    assert again is None


def test_an_error_in_an_export_carries_the_case_and_the_others_are_written(image_folder, tmp_path, monkeypatch):
    real = facade.export_prediction_from_logits

    def failing(logits, properties, configuration, plans, dataset_json, ofile, save_probabilities):
        if ofile.endswith("case_b"):
            raise OSError("the disk is unwell")
        real(logits, properties, configuration, plans, dataset_json, ofile, save_probabilities)

    monkeypatch.setattr(facade, "export_prediction_from_logits", failing)
    threads = threading.active_count()
    with pytest.raises(WorkerError, match="1 of 3 cases failed.*\n.*case_b.*the disk is unwell"):
        predictor().predict_from_files(str(image_folder.folder), str(tmp_path / "out"), **WORKERS)
    assert (tmp_path / "out" / "case_a.nii.gz").is_file()
    assert not (tmp_path / "out" / "case_b.nii.gz").exists()
    assert (tmp_path / "out" / "case_c.nii.gz").is_file()
    assert threading.active_count() == threads


@pytest.mark.parametrize("workers", [WORKERS, NO_WORKERS])
def test_an_unreadable_image_is_named_and_listed_and_the_others_are_predicted(image_folder, tmp_path, workers):
    image = image_folder.folder / "case_b_0000.nii.gz"
    good = image.read_bytes()
    image.write_bytes(b"not an image")
    out = tmp_path / "out"
    with pytest.raises(CaseFailures, match="Preprocessing of case case_b failed") as caught:
        predictor().predict_from_files(str(image_folder.folder), str(out), **workers)
    assert caught.value.listed_in == str(out / "failed_cases.json")
    listing = json.loads((out / "failed_cases.json").read_text())["Prediction"]
    assert (listing["total"], list(listing["failed"])) == (3, ["case_b"])
    assert "Traceback" in listing["failed"]["case_b"]["traceback"]
    assert sorted(path.name for path in out.glob("*.nii.gz")) == ["case_a.nii.gz", "case_c.nii.gz"]
    image.write_bytes(good)
    predictor().predict_from_files(str(image_folder.folder), str(out), overwrite=False, **workers)
    assert sorted(path.name for path in out.glob("case*")) == [f"case_{c}.nii.gz" for c in "abc"]
    assert not (out / "failed_cases.json").exists()


def test_a_network_that_fails_for_one_case_predicts_the_others(image_folder, tmp_path):
    def network(batch):
        network.calls += 1
        if network.calls == 1:
            raise torch.cuda.OutOfMemoryError("not for this one")
        return Thresholds()(batch)

    network.calls = 0
    with pytest.raises(CaseFailures, match="Prediction of case case_a failed: OutOfMemoryError"):
        predictor(network).predict_from_files(str(image_folder.folder), str(tmp_path / "out"), **WORKERS)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["case_b.nii.gz", "case_c.nii.gz"]


def test_an_error_of_the_network_names_the_case(image_folder):
    def network(batch):
        raise ValueError("weights are gone")

    with pytest.raises(WorkerError, match="Prediction of case number 0 failed: ValueError: weights are gone"):
        predictor(network).predict_from_files(str(image_folder.folder), None, **NO_WORKERS)


def test_replaced_functions_of_the_established_module_are_used(image_folder, monkeypatch):
    seen = []

    def convert(logits, plans_manager, configuration_manager, label_manager, properties, return_probabilities):
        seen.append((type(logits), label_manager.all_labels, return_probabilities))
        return "converted"

    monkeypatch.setattr(facade, "convert_predicted_logits_to_segmentation_with_correct_shape", convert)
    bars = []
    monkeypatch.setattr(facade, "tqdm", lambda items, **kwargs: bars.append(kwargs) or items)
    assert predictor().predict_from_files(str(image_folder.folder), None, **WORKERS) == ["converted"] * 3
    assert seen == [(np.ndarray, [0, 1, 2], False)] * 3
    assert all(kwargs["disable"] for kwargs in bars)
    assert len(bars) == 4


def test_the_gaussian_cache_is_cleared_at_the_end(image_folder):
    predictor().predict_from_files(str(image_folder.folder), None, **NO_WORKERS)
    assert facade.compute_gaussian.cache_info().currsize == 0


def test_items_may_name_a_file_that_is_deleted_after_reading(tmp_path):
    _, image = labelled_image()
    np.save(tmp_path / "data.npy", image[None])
    items = predictor().get_data_iterator_from_raw_npy_data(image[None], None, {"spacing": [1.0, 1.0, 1.0]}, None)
    item = next(items)
    items.close()
    from_memory = predictor().predict_from_data_iterator(iter([item]))
    old_spelling = {
        "data": str(tmp_path / "data.npy"),
        "ofile": None,
        "data_properites": item["data_properties"],
    }
    from_file = predictor().predict_from_data_iterator(iter([old_spelling]), num_processes_segmentation_export=0)
    np.testing.assert_array_equal(from_file[0], from_memory[0])
    assert not (tmp_path / "data.npy").exists()


def test_a_single_array_is_predicted_returned_or_written(tmp_path):
    labels, image = labelled_image()
    properties = {"spacing": [1.0, 1.0, 1.0]}
    model = predictor()
    np.testing.assert_array_equal(model.predict_single_npy_array(image[None], properties), labels)
    assert properties["shape_before_cropping"] == labels.shape, "the properties are completed in place"
    segmentation, probabilities = model.predict_single_npy_array(image[None], properties, None, None, True)
    np.testing.assert_array_equal(probabilities.argmax(0), segmentation)
    properties["sitk_stuff"] = {
        "spacing": (1.0, 1.0, 1.0),
        "origin": (0.0,) * 3,
        "direction": np.eye(3).ravel().tolist(),
    }
    assert model.predict_single_npy_array(image[None], properties, None, str(tmp_path / "one")) is None
    np.testing.assert_array_equal(read_image(tmp_path / "one.nii.gz"), labels)


def test_lists_of_arrays_come_back_in_order():
    pairs = [labelled_image(seed=i) for i in range(3)]
    results = predictor().predict_from_list_of_npy_arrays(
        [image[None] for _, image in pairs], None, [{"spacing": [1.0, 1.0, 1.0]} for _ in pairs], None, 2
    )
    for result, (labels, _) in zip(results, pairs):
        np.testing.assert_array_equal(result, labels)


def test_an_anisotropic_case_comes_back_on_its_own_grid(tmp_path):
    labels, image = labelled_image((6, 28, 22))
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a_0000.nii.gz", image, (4.0, 1.0, 1.0))
    plans = make_plans(spacing=(1.5, 1.5, 4.0), transpose_forward=(2, 1, 0))
    (result,) = predictor(plans=plans).predict_from_files(str(tmp_path / "in"), None, **NO_WORKERS)
    assert result.shape == labels.shape
    assert (result == labels).mean() > 0.9


def test_regions_are_predicted(tmp_path):
    labels, image = labelled_image()
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a_0000.nii.gz", image)
    model = predictor(
        lambda batch: torch.cat([batch - 50, batch - 150], 1),
        dataset_json=make_dataset_json(REGIONS, regions_class_order=[1, 2]),
    )
    (result,) = model.predict_from_files(str(tmp_path / "in"), None, **NO_WORKERS)
    np.testing.assert_array_equal(result, labels)


def test_the_second_stage_of_a_cascade_needs_and_uses_the_first(image_folder, tmp_path):
    seen = []

    def network(batch):
        seen.append(batch.clone())
        return torch.cat([torch.full_like(batch[:, :1], 0.5), batch[:, 1:]], 1)

    model = predictor(network, plans=make_plans(patch_size=(9, 14, 11), previous_stage=True))
    with pytest.raises(AssertionError, match="Predict with first first"):
        model.predict_from_files(str(image_folder.folder), None, **NO_WORKERS)
    with pytest.raises(FileNotFoundError, match="case_a"):
        model.predict_from_files(str(image_folder.folder), None, folder_with_segs_from_prev_stage=str(tmp_path))
    previous = tmp_path / "previous"
    previous.mkdir()
    for name, labels in image_folder.labels.items():
        write_image(previous / f"{name}.nii.gz", labels)
    results = model.predict_from_files(
        str(image_folder.folder), None, folder_with_segs_from_prev_stage=str(previous), **NO_WORKERS
    )
    assert {tuple(batch.shape) for batch in seen} == {(1, 3, 9, 14, 11)}
    for result, labels in zip(results, image_folder.labels.values()):
        np.testing.assert_array_equal(result, labels)


def test_private_methods_others_call_keep_their_shape(image_folder, tmp_path):
    model = predictor()
    files, names, previous = model._manage_input_and_output_lists(str(image_folder.folder), str(tmp_path / "out"))
    assert names == [str(tmp_path / "out" / name) for name in image_folder.labels]
    assert previous == [None] * 3
    items = list(model._internal_get_data_iterator_from_lists_of_filenames(files, previous, names, 2))
    assert [item["ofile"] for item in items] == names
    data = items[0]["data"]
    assert data.dtype == torch.float32
    slicers = model._internal_get_sliding_window_slicers(data.shape[1:])
    logits = model._internal_predict_sliding_window_return_logits(data, slicers, False)
    assert logits.shape == (3, *data.shape[1:])
    assert model._internal_maybe_mirror_and_predict(data[slicers[0]][None]).shape == (1, 3, 8, 8, 8)
