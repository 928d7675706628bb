import pytest
import torch

from nnunetv2.inference.fold_engine import FoldEngine
from nnunetv2.inference.mirroring import mean_over_flips
from nnunetv2.inference.tiling import OUT_OF_MEMORY
from tests.inference.conftest import make_dataset_json, make_plans, make_predictor
from tests.inference.engines.conftest import expected, small_unet, states

CPU = torch.device("cpu")
SHAPE = (1, 2, 16, 16, 16)


def mean_of_network(weights, tiles, axes):
    network = small_unet()
    return torch.cat([mean_over_flips(lambda b: expected(network, weights, b), tile[None], axes) for tile in tiles])


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_batches_of_mirrored_tiles_equal_single_ones(engine):
    folds, room = states(2), FoldEngine(engine, None, CPU)
    network, tiles = small_unet(), torch.randn(3, *SHAPE[1:])
    for fold in (0, 1):
        logits = room.predict(fold, tiles, (0, 1, 2), network, folds)
        torch.testing.assert_close(logits, mean_of_network(folds[fold], tiles, (0, 1, 2)), atol=2e-4, rtol=1e-4)


def counted(room, network, folds):
    """Numbers of tiles given to the engine, call by call."""
    room.prepare(network, folds, SHAPE)
    calls, predict = [], room._engine.predict
    room._engine.predict = lambda fold, tiles: (calls.append(len(tiles)), predict(fold, tiles))[1]
    return calls


def test_constant_tiles_are_computed_once_per_fold_and_values():
    folds, network, room = states(2), small_unet(), FoldEngine("torch", None, CPU)
    calls = counted(room, network, folds)
    air = torch.tensor([-1.5, 0.25])[:, None, None, None].expand(SHAPE[1:])
    tiles = torch.stack([air, torch.randn(SHAPE[1:]), air, air + 1])
    logits = room.predict(0, tiles, (0, 1), network, folds)
    torch.testing.assert_close(logits, mean_of_network(folds[0], tiles, (0, 1)), atol=2e-4, rtol=1e-4)
    assert sum(calls) == 4 + 1 + 1  # four mirror images of the varied tile, each of two constant ones once
    room.predict(0, tiles[[0, 3]], (0, 1), network, folds)
    assert sum(calls) == 6
    assert not torch.equal(room.predict(1, tiles[:1], (0, 1), network, folds), logits[:1])
    assert sum(calls) == 7


def test_weights_changed_in_place_are_noticed_when_a_fold_is_selected():
    folds, network, room = states(1), small_unet(), FoldEngine("openvino", None, CPU)
    tile = torch.randn(SHAPE)
    room.select(0, network, folds, SHAPE)
    before = room.predict(0, tile, None, network, folds)
    for value in folds[0].values():
        value.mul_(0.5)
    room.select(0, network, folds, SHAPE)
    after = room.predict(0, tile, None, network, folds)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, expected(small_unet(), folds[0], tile), atol=2e-4, rtol=1e-4)


def test_a_batch_too_large_for_memory_is_halved():
    folds, network, room = states(1), small_unet(), FoldEngine("torch", None, CPU)
    calls = counted(room, network, folds)
    limited = room._engine.predict

    def predict(fold, tiles):
        if len(tiles) > 2:
            raise OUT_OF_MEMORY("out of memory")
        return limited(fold, tiles)

    room._engine.predict = predict
    tiles = torch.randn(5, *SHAPE[1:])
    logits = room.predict(0, tiles, None, network, folds)
    torch.testing.assert_close(logits, mean_of_network(folds[0], tiles, None), atol=2e-4, rtol=1e-4)
    assert max(calls) <= 2


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_predictor_gives_the_same_logits_with_any_engine(engine):
    network, folds = small_unet(), states(2)
    plans = make_plans(patch_size=(16, 16, 16), channels=2)
    settings = {"plans": plans, "dataset_json": make_dataset_json(channels=2), "mirroring_axes": (0, 2)}
    data = torch.randn(2, 20, 30, 18)
    data[:, :, 14:] = 0.5  # air in some tiles
    logits = make_predictor(
        network, parameters=folds, engine=engine, accumulator_dtype=torch.float32, **settings
    ).predict_logits_from_preprocessed_data(data)
    total = torch.zeros(())
    for weights in folds:
        network.load_state_dict(weights)
        plain = make_predictor(network, accumulator_dtype=torch.float32, **settings)
        total = total + plain.predict_logits_from_preprocessed_data(data)
    torch.testing.assert_close(logits, total / 2, atol=5e-4, rtol=1e-3)


def test_a_subclass_that_predicts_tiles_its_own_way_is_asked():
    network, folds = small_unet(), states(1)
    settings = {
        "plans": make_plans(patch_size=(16, 16, 16), channels=2),
        "dataset_json": make_dataset_json(channels=2),
    }
    predictor = make_predictor(network, parameters=folds, **settings)
    predictor._internal_maybe_mirror_and_predict = lambda x: torch.full((1, 3, *x.shape[2:]), 7.0)
    logits = predictor.predict_logits_from_preprocessed_data(torch.randn(2, 16, 16, 16))
    torch.testing.assert_close(logits, torch.full_like(logits, 7), atol=0.1, rtol=0)
