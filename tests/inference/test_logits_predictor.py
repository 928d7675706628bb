import inspect
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from nnunetv2.errors import UsageError
from nnunetv2.inference import network_calls
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.inference.tiling import OUT_OF_MEMORY
from tests.inference.conftest import Thresholds, make_dataset_json, make_plans, make_predictor

TWO_LABELS = {"background": 0, "one": 1}


class Scale(torch.nn.Module):
    """(x * w, -x * w): two heads."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x):
        return torch.cat([x * self.w, -x * self.w], dim=1)


def two_heads(network, **kwargs):
    return make_predictor(network, dataset_json=make_dataset_json(TWO_LABELS), **kwargs)


def test_any_callable_serves_as_network_and_arrays_and_lists_as_output():
    data = torch.randn(1, 10, 9, 8)
    expected = two_heads(lambda x: torch.cat([x, -x], 1)).predict_logits_from_preprocessed_data(data)
    for network in (
        lambda x: np.concatenate([x.numpy(), -x.numpy()], axis=1),
        lambda x: [torch.cat([x, -x], 1), "lower resolution"],
        Scale(),
    ):
        result = two_heads(network).predict_logits_from_preprocessed_data(data)
        assert torch.equal(result, expected)
    assert expected.dtype == torch.float16
    assert expected.shape == (2, 10, 9, 8)


def test_accumulators_may_be_float32():
    data = torch.randn(1, 10, 9, 8)
    result = two_heads(Scale(), accumulator_dtype=torch.float32).predict_logits_from_preprocessed_data(data)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result[0], data[0], rtol=1e-5, atol=1e-5)


def test_two_folds_give_the_mean_of_logits_not_of_probabilities():
    data = torch.rand(1, 8, 8, 8) + 0.5
    weights = [{"w": torch.tensor(1.0)}, {"w": torch.tensor(3.0)}]
    predictor = two_heads(Scale(), parameters=weights, accumulator_dtype=torch.float32)
    logits = predictor.predict_logits_from_preprocessed_data(data)
    torch.testing.assert_close(logits[0], 2 * data[0], rtol=1e-5, atol=1e-5)
    mean_probability = (data[0] * 2).sigmoid() / 2 + (data[0] * 6).sigmoid() / 2
    assert (logits.softmax(0)[0] - mean_probability).abs().max() > 1e-3


def test_every_fold_starts_from_its_own_weights_also_for_the_second_case():
    predictor = two_heads(Scale(), parameters=[{"w": torch.tensor(1.0)}, {"w": torch.tensor(3.0)}])
    data = torch.rand(1, 8, 8, 8)
    first = predictor.predict_logits_from_preprocessed_data(data)
    assert torch.equal(predictor.predict_logits_from_preprocessed_data(data), first)


def test_a_network_without_weights_is_run_once_whatever_the_folds():
    network = Thresholds()
    make_predictor(network, parameters=[{}, {}]).predict_logits_from_preprocessed_data(torch.zeros(1, 8, 8, 8))
    assert network.calls == 1


@pytest.mark.parametrize("shape", [(8, 8, 8), (3, 5, 11), (13, 8, 9)])
def test_logits_have_the_shape_of_the_data_whatever_the_padding(shape):
    data = torch.randn(1, *shape)
    logits = two_heads(Scale(), accumulator_dtype=torch.float32).predict_sliding_window_return_logits(data)
    assert logits.shape == (2, *shape)
    torch.testing.assert_close(logits[0], data[0], rtol=1e-5, atol=1e-5)


def test_a_2d_network_sees_every_slice_of_a_volume():
    shapes = []

    def network(batch):
        shapes.append(tuple(batch.shape))
        return torch.cat([batch, -batch], 1)

    predictor = two_heads(network, plans=make_plans((8, 6), (1.0, 1.0)), accumulator_dtype=torch.float32)
    data = torch.randn(1, 3, 5, 10)
    logits = predictor.predict_sliding_window_return_logits(data)
    assert set(shapes) == {(1, 1, 8, 6)}
    assert len(shapes) == 3 * 3
    torch.testing.assert_close(logits[0], data[0], rtol=1e-5, atol=1e-5)


def test_mirroring_follows_the_checkpoint_and_can_be_turned_off():
    data = torch.full((1, 8, 8, 8), 100.0)
    for settings, calls in [({}, 8), ({"use_mirroring": False}, 1)]:
        network = Thresholds()
        predictor = make_predictor(network, mirroring_axes=(0, 1, 2), **settings)
        predictor.predict_sliding_window_return_logits(data)
        assert network.calls == calls


def test_without_gaussian_all_tiles_count_alike():
    predictor = two_heads(Scale(), use_gaussian=False, accumulator_dtype=torch.float32)
    data = torch.randn(1, 12, 8, 8)
    torch.testing.assert_close(predictor.predict_sliding_window_return_logits(data)[0], data[0])


@pytest.mark.parametrize("data", [torch.zeros(8, 8, 8), np.zeros((1, 8, 8, 8), np.float32)])
def test_other_data_than_a_tensor_of_four_axes_is_an_assertion_error(data):
    with pytest.raises(AssertionError, match=r"\(C, Z, Y, X\)"):
        make_predictor(Thresholds()).predict_sliding_window_return_logits(data)


class Marker:
    """Stands for the tensors of the first attempt: it lives as long as the frame that made it."""


def test_out_of_memory_is_answered_by_sums_on_the_cpu_and_leaves_nothing_behind():
    references, alive_later, where = [], [], []

    def network(batch):
        marker = Marker()
        if not references:
            references.append(weakref.ref(marker))
            raise OUT_OF_MEMORY("CUDA out of memory. Tried to allocate 20 GiB")
        alive_later.append(references[0]() is not None)
        return torch.cat([batch, -batch], 1)

    class Recording(nnUNetPredictor):
        def _internal_predict_sliding_window_return_logits(self, data, slicers, do_on_device=True):
            where.append(do_on_device)
            return super()._internal_predict_sliding_window_return_logits(data, slicers, do_on_device)

    predictor = two_heads(network)
    predictor.__class__ = Recording
    predictor.perform_everything_on_device = True
    data = torch.randn(1, 12, 8, 8)
    result = predictor.predict_sliding_window_return_logits(data)
    assert where == [True, False]
    assert alive_later == [False, False], "the first attempt was still in memory during the second"
    assert torch.equal(result, two_heads(Scale()).predict_sliding_window_return_logits(data))


def test_other_errors_of_the_network_are_not_taken_for_lack_of_memory():
    calls = []

    def network(batch):
        calls.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    predictor = two_heads(network)
    predictor.perform_everything_on_device = True
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        predictor.predict_sliding_window_return_logits(torch.zeros(1, 8, 8, 8))
    assert len(calls) == 1


def test_lack_of_memory_on_the_second_attempt_is_raised():
    def network(batch):
        raise OUT_OF_MEMORY("CUDA out of memory")

    predictor = two_heads(network)
    predictor.perform_everything_on_device = True
    with pytest.raises(OUT_OF_MEMORY):
        predictor.predict_sliding_window_return_logits(torch.zeros(1, 8, 8, 8))


def test_the_constructor_knows_both_names_of_the_device_switch():
    parameters = inspect.signature(nnUNetPredictor).parameters
    assert {"perform_everything_on_device", "perform_everything_on_gpu"} <= set(parameters)
    assert list(parameters)[:8] == [
        *("tile_step_size", "use_gaussian", "use_mirroring", "perform_everything_on_device", "device"),
        *("verbose", "verbose_preprocessing", "allow_tqdm"),
    ]
    cuda = torch.device("cuda")
    assert nnUNetPredictor(device=cuda).perform_everything_on_device
    assert not nnUNetPredictor(device=cuda, perform_everything_on_gpu=False).perform_everything_on_device
    assert not nnUNetPredictor(device=torch.device("cpu")).perform_everything_on_device


def test_a_new_predictor_has_all_attributes_set_to_none():
    predictor = nnUNetPredictor(device=torch.device("cpu"))
    for name in (
        *("plans_manager", "configuration_manager", "list_of_parameters", "network", "dataset_json"),
        *("trainer_name", "allowed_mirroring_axes", "label_manager"),
    ):
        assert getattr(predictor, name) is None


def test_threads_and_cudnn_settings_are_put_back(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark
    inside = []

    def network(batch):
        inside.append(torch.get_num_threads())
        return torch.cat([batch, -batch], 1)

    two_heads(network).predict_logits_from_preprocessed_data(torch.zeros(1, 8, 8, 8))
    assert inside == [1]
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # warns where there is no GPU
    with pytest.raises(UsageError), network_calls.inference_settings(torch.device("cuda")):
        raise UsageError
    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark) == before


def test_the_network_is_compiled_only_when_asked(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: ("compiled", network))
    network = Scale()
    assert two_heads(network).network is network
    monkeypatch.setenv("nnUNet_compile", "True")
    assert two_heads(network).network == ("compiled", network)
    compiled = Scale()
    compiled._orig_mod = network
    assert two_heads(compiled).network is compiled


def test_weights_go_into_the_module_inside_a_compiled_one():
    inner, outer = Scale(), torch.nn.Module()
    outer._orig_mod = inner
    network_calls.load_weights(outer, {"w": torch.tensor(7.0)})
    assert inner.w.item() == 7
