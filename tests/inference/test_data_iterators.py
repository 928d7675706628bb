import queue
import threading

import numpy as np
import pytest
import torch

from nnunetv2.errors import WorkerError
from nnunetv2.inference import data_iterators
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from tests.inference.conftest import labelled_image, make_dataset_json, make_plans

PROPERTIES = {"spacing": [1.0, 1.0, 1.0]}


def model(**plans):
    plans_manager = PlansManager(make_plans(**plans))
    return plans_manager, make_dataset_json(), plans_manager.get_configuration("small")


def arrays(count=3):
    return [labelled_image(seed=i)[1][None] for i in range(count)]


@pytest.mark.parametrize("workers", [0, 2, 20])
def test_items_from_files_come_in_order_as_float32_tensors(image_folder, workers):
    files = [[str(image_folder.folder / f"{name}_0000.nii.gz")] for name in ("case_c", "case_a", "case_b")]
    names = ["out/c", "out/a", "out/b"]
    items = list(data_iterators.preprocessing_iterator_fromfiles(files, None, names, *model(), workers))
    assert [item["ofile"] for item in items] == names
    for item in items:
        assert set(item) == {"data", "ofile", "data_properties"}
        assert item["data"].dtype == torch.float32
        assert item["data"].is_contiguous()
        assert item["data"].shape == (1, 9, 14, 11)
        assert item["data_properties"]["shape_before_cropping"] == (9, 14, 11)
        assert "class_locations" not in item["data_properties"]


def test_closing_the_iterator_stops_its_threads(image_folder):
    before = threading.active_count()
    files = [[str(image_folder.folder / "case_a_0000.nii.gz")]] * 6
    items = data_iterators.preprocessing_iterator_fromfiles(files, None, None, *model(), 2)
    next(items)
    assert threading.active_count() > before
    items.close()
    assert threading.active_count() == before


def test_a_failing_case_is_named_when_its_turn_comes(image_folder):
    files = [[str(image_folder.folder / f"{name}_0000.nii.gz")] for name in ("case_a", "case_x")]
    items = data_iterators.preprocessing_iterator_fromfiles(files, None, None, *model(), 2)
    assert next(items)["data"].shape == (1, 9, 14, 11)
    with pytest.raises(WorkerError, match="case_x"):
        next(items)


def test_arrays_without_names_are_counted_in_errors():
    items = data_iterators.preprocessing_iterator_fromnpy(
        [arrays(1)[0], np.zeros((1, 5))], None, [dict(PROPERTIES), dict(PROPERTIES)], None, *model(), 1
    )
    next(items)
    with pytest.raises(WorkerError, match="number 1"):
        next(items)


def test_the_previous_stage_is_stacked_as_one_channel_per_foreground_label():
    labels, image = labelled_image(seed=1)
    items = data_iterators.preprocessing_iterator_fromnpy(
        [image[None]], [labels[None].astype(np.float32)], [dict(PROPERTIES)], None, *model(previous_stage=True), 0
    )
    data = next(items)["data"].numpy()
    assert data.shape == (3, *labels.shape)
    np.testing.assert_array_equal(data[0], image)
    np.testing.assert_array_equal(data[1], labels == 1)
    np.testing.assert_array_equal(data[2], labels == 2)


def test_too_few_channels_are_noticed_before_the_network():
    plans_manager, _, configuration = model(channels=2)
    items = data_iterators.preprocessing_iterator_fromnpy(
        arrays(1),
        None,
        [dict(PROPERTIES)],
        ["out/liver"],
        plans_manager,
        make_dataset_json(channels=2),
        configuration,
        0,
    )
    with pytest.raises(WorkerError, match=r"out/liver.*1 channels after preprocessing, the network takes 2"):
        next(items)


def test_preprocessors_made_before_v2_6_return_two_values(monkeypatch):
    class Old:
        def __init__(self, verbose):
            pass

        def run_case_npy(self, data, seg, properties, plans_manager, configuration_manager, dataset_json):
            properties["done"] = True
            return data, seg

    monkeypatch.setattr(ConfigurationManager, "preprocessor_class", property(lambda self: Old))
    items = data_iterators.preprocessing_iterator_fromnpy(arrays(1), None, [dict(PROPERTIES)], None, *model(), 0)
    assert next(items)["data_properties"] == PROPERTIES | {"done": True}


def test_adapters_give_one_case_after_the_other_and_end(image_folder):
    plans_manager, dataset_json, configuration = model()
    from_arrays = data_iterators.PreprocessAdapterFromNpy(
        arrays(),
        [None] * 3,
        [dict(PROPERTIES) for _ in range(3)],
        list("abc"),
        plans_manager,
        dataset_json,
        configuration,
    )
    files = [[str(image_folder.folder / f"{name}_0000.nii.gz")] for name in image_folder.labels]
    preprocessor = configuration.preprocessor_class(verbose=False)
    from_files = data_iterators.PreprocessAdapter(
        files, [None] * 3, preprocessor, list("abc"), plans_manager, dataset_json, configuration, 1
    )
    for adapter in (from_arrays, from_files):
        items = list(adapter)
        assert [item["ofile"] for item in items] == list("abc")
        for item, array in zip(items, arrays()):
            np.testing.assert_array_equal(item["data"], array)


def test_adapters_split_their_cases_between_threads():
    adapters = [
        data_iterators.PreprocessAdapterFromNpy(
            arrays(), [None] * 3, [dict(PROPERTIES) for _ in range(3)], list("abc"), *model(), 2
        )
        for _ in range(2)
    ]
    for number, adapter in enumerate(adapters):
        adapter.set_thread_id(number)
    assert [[item["ofile"] for item in adapter] for adapter in adapters] == [["a", "c"], ["b"]]


def test_a_worker_loop_fills_its_queue_and_reports_the_end(image_folder):
    files = [[str(image_folder.folder / f"{name}_0000.nii.gz")] for name in image_folder.labels]
    target, done, abort = queue.Queue(), threading.Event(), threading.Event()
    data_iterators.preprocess_fromfiles_save_to_queue(files, None, list("abc"), *model(), target, done, abort)
    assert [target.get()["ofile"] for _ in range(3)] == list("abc")
    assert done.is_set()
    assert not abort.is_set()


def test_a_worker_loop_that_fails_tells_the_others():
    target, done, abort = queue.Queue(), threading.Event(), threading.Event()
    with pytest.raises(WorkerError, match="number 0"):
        data_iterators.preprocess_fromnpy_save_to_queue(
            [np.zeros((1, 5))], None, [dict(PROPERTIES)], None, *model(), target, done, abort
        )
    assert abort.is_set()
    assert not done.is_set()


def test_a_worker_loop_with_a_full_queue_ends_when_told_to():
    target, done, abort = queue.Queue(maxsize=1), threading.Event(), threading.Event()
    worker = threading.Thread(
        target=data_iterators.preprocess_fromnpy_save_to_queue,
        args=(arrays(), None, [dict(PROPERTIES) for _ in range(3)], None, *model(), target, done, abort),
    )
    worker.start()
    target.get(timeout=10)
    abort.set()
    worker.join(10)
    assert not worker.is_alive()
    assert not done.is_set()
