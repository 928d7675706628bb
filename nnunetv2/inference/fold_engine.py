"""The engine of a predictor: made when it is needed, made again when network or weights are others than before."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from nnunetv2.inference.engines.choice import check_engine_name, make_engine
from nnunetv2.inference.engines.contract import Engine, resolve_precision, tiles_per_batch
from nnunetv2.inference.streaming.non_finite_logits import in_f32
from nnunetv2.inference.tile_batches import ConstantTiles, constant_values, mean_of_flipped, mean_over_flips_in_batches
from nnunetv2.inference.tiling import OUT_OF_MEMORY
from nnunetv2.utilities.helpers import empty_cache

logger = logging.getLogger(__name__)

Parameters = Sequence[Mapping[str, torch.Tensor]]


class FoldEngine:
    """Logits of tiles, mean over mirror images, with the weights of any fold of one model.

    ``requested`` and ``precision`` are the user's wishes (``--engine``, ``--precision``); they are checked here, the
    engine itself is made with the first tile or in ``prepare``.
    """

    def __init__(self, requested: str, precision: str | None, device: torch.device):
        check_engine_name(requested, device)
        self.precision = resolve_precision(precision, device)
        self._wishes = requested, precision
        self._device = device
        self._constants = ConstantTiles()
        self._engine: Engine | None = None
        self._made_for: tuple = ()
        self._batch = 1

    def prepare(self, network: Any, parameters: Parameters, shape: tuple[int, ...]) -> None:
        """Make the engine for tiles (1, C, *patch) of this shape, compiled for every fold where it compiles."""
        engine = self._current(network, parameters, shape)
        for fold in range(len(parameters)):
            engine.prepare(fold, shape)

    def select(self, fold: int, network: Any, parameters: Parameters, shape: tuple[int, ...]) -> None:
        """Make sure that the next tiles of this fold meet the weights ``parameters`` holds now."""
        self._current(network, parameters, shape, look_inside=True).select(fold)

    def predict(
        self, fold: int, tiles: torch.Tensor, axes: Sequence[int] | None, network: Any, parameters: Parameters
    ) -> torch.Tensor:
        """Logits (B, K, *patch) of tiles (B, C, *patch), mean over mirror images along ``axes``.

        Tiles in which every channel has one value are computed once per fold and values.
        """
        engine = self._current(network, parameters, (1, *tiles.shape[1:]))
        values = [constant_values(tile) for tile in tiles]
        varied = [number for number, value in enumerate(values) if value is None]
        if len(varied) == len(tiles):
            return self._predict_varied(engine, fold, tiles, axes)
        rows: list[torch.Tensor | None] = [None] * len(tiles)
        if varied:
            for number, logits in zip(varied, self._predict_varied(engine, fold, tiles[varied], axes)):
                rows[number] = logits
        for number, value in enumerate(values):
            if value is not None:
                rows[number] = self._constants.get(
                    (fold, value, tuple(axes or ()), tuple(tiles.shape[1:]), in_f32()),
                    lambda tile=tiles[number][None]: mean_of_flipped(_run(engine, fold, tile), axes)[0],
                )
        return torch.stack(rows)

    def _predict_varied(
        self, engine: Engine, fold: int, tiles: torch.Tensor, axes: Sequence[int] | None
    ) -> torch.Tensor:
        while True:
            try:
                return mean_over_flips_in_batches(lambda batch: _run(engine, fold, batch), tiles, axes, self._batch)
            except OUT_OF_MEMORY:
                if self._batch == 1:
                    raise
            # Outside the except clause the frames that hold the batch are gone.
            self._batch //= 2
            empty_cache(self._device)
            logger.info(
                "%s has too little memory for so many tiles at once; going on with %d", self._device, self._batch
            )

    def _current(
        self, network: Any, parameters: Parameters, shape: tuple[int, ...], look_inside: bool = False
    ) -> Engine:
        """The engine for this network and these weights, a new one when they are not those of the last call.

        ``look_inside`` also notices weights changed in place.
        """
        made_for = (network, parameters, _versions(parameters) if look_inside else None)
        if self._engine is None or not _same(made_for, self._made_for):
            self._constants.clear()
            self._engine = make_engine(*self._wishes, network, parameters, self._device, shape)
            self._made_for = (network, parameters, _versions(parameters))
            self._batch = tiles_per_batch(shape[2:], self._engine.voxels_per_batch)
        return self._engine


def _run(engine: Engine, fold: int, tiles: torch.Tensor) -> torch.Tensor:
    if in_f32() and engine.precision != "f32":
        return engine.predict(fold, tiles, "f32")
    return engine.predict(fold, tiles)


def _versions(parameters: Parameters) -> list[tuple[int, int]]:
    """Identity of every weight and how often it was written to in place (unknown for tensors of inference mode)."""
    tensors = [tensor for weights in parameters for tensor in weights.values() if isinstance(tensor, torch.Tensor)]
    return [(id(tensor), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]


def _same(now: tuple, before: tuple) -> bool:
    if not before or now[0] is not before[0] or now[1] is not before[1]:
        return False
    return now[2] is None or now[2] == before[2]
