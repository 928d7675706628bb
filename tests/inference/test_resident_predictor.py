"""One predictor, loaded once, used from several threads, in any program; failures reach the caller with the case."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from nnunetv2.ensembling.ensemble import ensemble_folders
from nnunetv2.ensembling.probability_files import ProbabilityFile
from nnunetv2.errors import UsageError, WorkerError
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.predictor import nnUNetPredictor
from tests.inference.conftest import Thresholds, labelled_image, make_plans, make_predictor, read_image

SPACING = {"spacing": [1.0, 1.0, 1.0]}

# What importing the predictor may load besides torch, batchgenerators (its names are re-exported) and this package.
HEAVY = {
    "SimpleITK", "blosc2", "cc3d", "dynamic_network_architectures", "matplotlib", "nibabel", "numexpr", "onnxruntime",
    "openvino", "pandas", "scipy", "skimage", "sklearn", "timm", "torchvision",
}  # fmt: skip


class OneAtATime(torch.nn.Module):
    """Thresholds times the weight of the fold; fails when two threads call it, or copies of it, at the same time."""

    _busy = threading.Lock()

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, batch):
        assert self._busy.acquire(blocking=False), "two calls at the same time"
        try:
            return Thresholds()(batch) * self.weight
        finally:
            self._busy.release()


def test_several_threads_share_one_predictor():
    folds = [{"weight": torch.tensor(1.0)}, {"weight": torch.tensor(-0.5)}, {"weight": torch.tensor(0.25)}]
    predictor = make_predictor(OneAtATime(), make_plans((4, 8, 8)), parameters=folds)
    images = [labelled_image((30 + i, 14, 11), seed=i % 3)[1][None] for i in range(6)]
    expected = [predictor.predict_single_npy_array(image, dict(SPACING)) for image in images]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda image: predictor.predict_single_npy_array(image, dict(SPACING)), images * 2))
    for one, other in zip(expected * 2, found):
        np.testing.assert_array_equal(one, other)


def test_no_process_is_started(image_folder, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    make_predictor(Thresholds()).predict_from_files(
        str(image_folder.folder), str(tmp_path), num_processes_preprocessing=2, num_processes_segmentation_export=2
    )
    for case, labels in image_folder.labels.items():
        np.testing.assert_array_equal(read_image(tmp_path / f"{case}.nii.gz"), labels)


def test_a_single_file_and_lists_of_files_are_predicted(image_folder):
    file = str(image_folder.folder / "case_b_0000.nii.gz")
    predictor = make_predictor(Thresholds())
    for source in (file, [file], [[file]]):
        (found,) = predictor.predict_from_files(source, None)
        np.testing.assert_array_equal(found, image_folder.labels["case_b"])


def test_a_generator_of_items_is_predicted_as_it_yields():
    predictor, seen = make_predictor(Thresholds()), []

    def items():
        for seed in range(3):
            labels, image = labelled_image(seed=seed)
            seen.append(labels)
            properties = SPACING | {
                "shape_before_cropping": labels.shape,
                "bbox_used_for_cropping": [[0, n] for n in labels.shape],
                "shape_after_cropping_and_before_resampling": labels.shape,
            }
            yield {"data": torch.from_numpy(image[None]), "ofile": None, "data_properties": properties}

    for found, expected in zip(predictor.predict_from_data_iterator(items()), seen):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("what", ["reader", "network", "export"])
@pytest.mark.timeout(60)
def test_a_failure_anywhere_names_the_case_and_never_hangs(image_folder, tmp_path, monkeypatch, what, threads):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("broken on purpose")

    network = Thresholds()
    if what == "reader":
        original = SimpleITKIO.read_images
        monkeypatch.setattr(
            SimpleITKIO,
            "read_images",
            lambda self, files: fail() if "case_b" in files[0] else original(self, files),
        )
    elif what == "export":
        write = SimpleITKIO.write_seg
        monkeypatch.setattr(
            SimpleITKIO,
            "write_seg",
            lambda self, seg, name, properties: fail() if "case_b" in name else write(self, seg, name, properties),
        )
    else:
        network = fail
    case = "case_a" if what == "network" else "case_b"
    with pytest.raises(WorkerError, match=rf"{case} failed: ZeroDivisionError: broken on purpose"):
        make_predictor(network).predict_from_files(
            *(str(image_folder.folder), str(tmp_path)),
            num_processes_preprocessing=threads,
            num_processes_segmentation_export=threads,
        )
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("prefetch", "export"))]


@pytest.mark.timeout(60)
def test_an_abandoned_iterator_leaves_no_threads(image_folder):
    predictor = make_predictor(Thresholds())
    files = [[str(path)] for path in sorted(image_folder.folder.iterdir())]
    items = predictor._internal_get_data_iterator_from_lists_of_filenames(files, None, None, 2)
    next(items)
    items.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("folders", [("blosc2", "blosc2"), ("npz", "blosc2")], ids=["compact", "mixed"])
def test_compact_probabilities_are_written_and_averaged(image_folder, tmp_path, folders):
    for name, probability_format in (("npz", "npz"), ("blosc2", "blosc2")):
        model = make_predictor(Thresholds(), probability_format=probability_format)
        model.predict_from_files(str(image_folder.folder), str(tmp_path / name), save_probabilities=True)
    assert {p.suffix for p in (tmp_path / "blosc2").iterdir()} == {".gz", ".b2nd", ".pkl", ".json"}
    with (
        ProbabilityFile(tmp_path / "npz" / "case_a.npz") as exact,
        ProbabilityFile(tmp_path / "blosc2" / "case_a.b2nd") as compact,
    ):
        assert compact.shape == exact.shape
        for _ in range(exact.shape[0]):
            np.testing.assert_allclose(compact.next_channel(), exact.next_channel(), atol=5e-4)
    ensemble_folders([str(tmp_path / f) for f in folders], str(tmp_path / "mean"), True)
    for case, labels in image_folder.labels.items():
        np.testing.assert_array_equal(read_image(tmp_path / "mean" / f"{case}.nii.gz"), labels)


def test_an_unknown_format_of_probabilities_is_refused(image_folder, tmp_path):
    model = make_predictor(Thresholds(), probability_format="zip")
    with pytest.raises((UsageError, WorkerError), match="choose one of npz, blosc2"):
        model.predict_from_files(str(image_folder.folder), str(tmp_path), save_probabilities=True)


def test_importing_the_predictor_loads_little_besides_torch():
    command = (
        "import sys, nnunetv2.inference.predict_from_raw_data as m; print(*{n.split('.')[0] for n in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_a_program_without_main_guard_predicts(image_folder, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from tests.inference.conftest import Thresholds, make_predictor\n"
        "make_predictor(Thresholds()).predict_from_files(sys.argv[1], sys.argv[2])\n"
    )
    subprocess.run(
        [sys.executable, str(program), str(image_folder.folder), str(tmp_path / "out")],
        check=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3


def test_the_predictor_takes_limits_by_keyword_only():
    with pytest.raises(TypeError):
        nnUNetPredictor(0.5, True, True, True, torch.device("cpu"), False, False, False, 4.0)
    assert nnUNetPredictor(device=torch.device("cpu"), max_memory=4.0).max_memory == 4.0
