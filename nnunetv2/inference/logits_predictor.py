"""From preprocessed data to logits with one model held in memory: the part of the predictor that runs the network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from os.path import join
from typing import Any

import torch

from nnunetv2.configuration import available_cpus, integer_from_environment
from nnunetv2.ensembling.probability_files import NPZ
from nnunetv2.errors import UsageError
from nnunetv2.experiment_planning.plans_checks.at_start import check_before_work
from nnunetv2.geometry.tiles import Slicer, tile_slicers
from nnunetv2.inference import model_folder, network_calls, patchable
from nnunetv2.inference.engines.contract import tiles_per_batch
from nnunetv2.inference.fold_engine import FoldEngine
from nnunetv2.inference.mirroring import mean_over_flips
from nnunetv2.inference.streaming.non_finite_logits import blame, in_f32, refuse_non_finite, with_f32_as_second_attempt
from nnunetv2.inference.tiling import OUT_OF_MEMORY, accumulate_tiles, pad_to_tile
from nnunetv2.networks.build import build_network
from nnunetv2.preprocessing.resampling.torch_threads import borrowed_torch_threads
from nnunetv2.records.layout import PLANS_JSON
from nnunetv2.training.signature_compat import default_network
from nnunetv2.utilities.helpers import empty_cache
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

logger = logging.getLogger(__name__)

# Largest weight of the importance map: small weights stay above the smallest float16, sums below the largest.
IMPORTANCE_PEAK = 10


class LogitsPredictor:
    """One model, its settings, and the sliding window.

    Parameters
    ----------
    tile_step_size : distance of neighbouring tiles as a fraction of the patch, in (0, 1].
    use_gaussian : weigh voxels at the border of a tile less.
    use_mirroring : average over mirror images along the axes stored in the checkpoint.
    perform_everything_on_device : keep image and sums on the device, not only the tile; CUDA only. Falls back to the
        CPU for a case that does not fit. ``perform_everything_on_gpu`` is its name up to v2.2.
    device : where the network runs.
    verbose, verbose_preprocessing : more messages.
    allow_tqdm : progress bars.
    accumulator_dtype : of the sums over tiles. torch.float16 (default) gives the numbers of nnU-Net v2, but rounds
        logits at the corners of the volume to integers. torch.float32 does not, and takes twice the memory.
    probability_format : of probabilities that are written, "npz" or "blosc2".
    engine : ``auto`` (OpenVINO on a CPU where it is installed, takes the network and is faster, else torch), ``torch``
        or ``openvino``.
    precision : ``f32``, ``bf16`` or ``fp16``, of the products inside the network; None is fp16 on CUDA, else f32. On a
        CPU ``bf16`` is a permission, used where it is faster.
    max_memory, max_device_memory : GiB this process may use, of main memory and of the device. Before a case starts the
        settings that fit are chosen; images that do not fit are read in parts. MemoryLimitError says what would be
        needed.
    """

    def __init__(
        self,
        tile_step_size: float = 0.5,
        use_gaussian: bool = True,
        use_mirroring: bool = True,
        perform_everything_on_device: bool = True,
        device: torch.device = torch.device("cuda"),  # noqa: B008 - an immutable value, part of the signature
        verbose: bool = False,
        verbose_preprocessing: bool = False,
        allow_tqdm: bool = True,
        *,
        perform_everything_on_gpu: bool | None = None,
        accumulator_dtype: torch.dtype = torch.float16,
        probability_format: str = NPZ,
        engine: str = "auto",
        precision: str | None = None,
        max_memory: float | None = None,
        max_device_memory: float | None = None,
    ):
        self.tile_step_size = tile_step_size
        self.use_gaussian = use_gaussian
        self.use_mirroring = use_mirroring
        self.device = torch.device(device)
        self.verbose = verbose
        self.verbose_preprocessing = verbose_preprocessing
        self.allow_tqdm = allow_tqdm
        self.accumulator_dtype = accumulator_dtype
        self.probability_format = probability_format
        self.max_memory = max_memory
        self.max_device_memory = max_device_memory
        everything = perform_everything_on_device if perform_everything_on_gpu is None else perform_everything_on_gpu
        if everything and self.device.type != "cuda":
            logger.debug("perform_everything_on_device has an effect on CUDA only; it is off on %s", self.device.type)
        self.perform_everything_on_device = everything and self.device.type == "cuda"

        self.plans_manager: PlansManager | None = None
        self.configuration_manager: ConfigurationManager | None = None
        self.list_of_parameters: list[Mapping[str, torch.Tensor]] | None = None
        self.network: Any = None
        self.dataset_json: dict | None = None
        self.trainer_name: str | None = None
        self.allowed_mirroring_axes: tuple[int, ...] | None = None
        self.label_manager: Any = None

        # A network serves one call at a time; everything else of a prediction belongs to the calling thread.
        self.tiles_per_call = 1
        self._network_lock = threading.RLock()
        self._engine = FoldEngine(engine, precision, self.device)
        self._fold_in_network: int | None = None

    def initialize_from_trained_model_folder(
        self,
        model_training_output_dir: str,
        use_folds: Sequence[int | str] | int | str | None,
        checkpoint_name: str = "checkpoint_final.pth",
    ) -> None:
        """Load a model folder. ``use_folds``: numbers, ``"all"``, or None for all numbered folds that are there.

        Trainer, configuration and mirroring axes come from the first fold's checkpoint. Raises MissingFileError (a
        FileNotFoundError) saying which folds and checkpoints exist, or CheckpointError for one that does not fit.
        """
        plans, dataset_json = model_folder.read_documents(model_training_output_dir)
        plans_manager = PlansManager(plans)
        parameters: list[Mapping[str, torch.Tensor]] = []
        for fold in model_folder.selected_folds(model_training_output_dir, use_folds, checkpoint_name):
            path = model_folder.checkpoint_path(model_training_output_dir, fold, checkpoint_name)
            content = model_folder.read_fold(model_training_output_dir, fold, checkpoint_name)
            if not parameters:
                first = content
                trainer = patchable.find_trainer(first.trainer_name, named_in=path)
                own_network = trainer.build_network_architecture is not default_network
                file = join(model_training_output_dir, PLANS_JSON)
                check_before_work(plans, file, [first.configuration_name], "predict", dataset_json, own_network)
                configuration_manager = plans_manager.get_configuration(first.configuration_name)
                network = _build(trainer, plans_manager, configuration_manager, dataset_json)
            parameters.append(model_folder.weights_for(network, content.weights, path))
        network_calls.load_weights(network, parameters[0])
        self.manual_initialization(
            network,
            plans_manager,
            configuration_manager,
            parameters,
            dataset_json,
            first.trainer_name,
            first.mirroring_axes,
        )

    def manual_initialization(
        self,
        network: Any,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        parameters: list[Mapping[str, torch.Tensor]] | None,
        dataset_json: dict,
        trainer_name: str | None,
        inference_allowed_mirroring_axes: tuple[int, ...] | None,
    ) -> None:
        """Use this network. It may be any callable from (1, C, *patch) to (1, K, *patch).

        ``parameters`` holds one state dict per fold; with None the network is used with the weights it has.
        """
        self.plans_manager = plans_manager
        self.configuration_manager = configuration_manager
        self.list_of_parameters = parameters
        self.dataset_json = dataset_json
        self.trainer_name = trainer_name
        self.allowed_mirroring_axes = inference_allowed_mirroring_axes
        self.label_manager = plans_manager.get_label_manager(dataset_json)
        self.network = network_calls.compiled_if_asked(network)
        self.tiles_per_call = tiles_per_batch(tuple(configuration_manager.patch_size))

    @staticmethod
    def auto_detect_available_folds(model_training_output_dir: str, checkpoint_name: str) -> list[int]:
        """Numbers of the folds that have this checkpoint. Raises MissingFileError when there is none."""
        return model_folder.detect_folds(model_training_output_dir, checkpoint_name)

    def predict_logits_from_preprocessed_data(self, data: torch.Tensor) -> torch.Tensor:
        """Logits (K, Z, Y, X) on the CPU of data (C, Z, Y, X): mean over the folds, dtype as accumulated."""
        # Locked as a whole: the weights of a fold stay in the network from the first tile to the last.
        with self._network_lock, self._prediction_threads(), torch.inference_mode():
            logits = self._finite(lambda: self._mean_over_folds(data))
            self._fold_in_network = None  # whoever loads other weights into the network is not asked again
            return logits

    def _mean_over_folds(self, data: torch.Tensor) -> torch.Tensor:
        folds = self._folds()
        total: torch.Tensor | None = None
        for fold in folds:
            self._select_fold(fold)
            logits = self.predict_sliding_window_return_logits(data).to("cpu")
            total = logits if total is None else total.add_(logits)
        if len(folds) == 1:
            return total
        refuse_non_finite(total)
        return total.div_(len(folds))

    def _prediction_threads(self) -> AbstractContextManager[None]:
        """Torch's threads while predicting: fewer than it has if nnUNet_def_n_proc or a CPU quota says so.

        A default of 8 for that variable would slow down large CPU machines.
        """
        current = torch.get_num_threads()
        return borrowed_torch_threads(
            max(1, min(integer_from_environment("nnUNet_def_n_proc", current), current, available_cpus()))
        )

    def predict_sliding_window_return_logits(self, input_image: torch.Tensor) -> torch.Tensor:
        """Logits (K, Z, Y, X) of data (C, Z, Y, X) with the weights the network has now.

        They lie on the device when everything happens there, otherwise on the CPU. Raises UsageError (an
        AssertionError) for data of another shape.
        """
        if not isinstance(input_image, torch.Tensor) or input_image.ndim != 4:
            raise UsageError(
                f"expected a tensor (C, Z, Y, X), got {type(input_image).__name__} of shape "
                f"{tuple(getattr(input_image, 'shape', ()))}; 2D images need Z = 1"
            )
        network_calls.make_ready(self.network, self.device)
        data, inner = pad_to_tile(input_image, self.configuration_manager.patch_size)
        slicers = self._internal_get_sliding_window_slicers(data.shape[1:])

        def predict() -> torch.Tensor:
            with network_calls.inference_settings(self.device, self._precision()):
                return self._predict_with_fallback(data, slicers)[inner]

        return self._finite(predict)

    def _finite(self, predict: Callable[[], Any]) -> Any:
        """``predict()``, again in f32 when half precision did not suffice; see ``non_finite_logits``."""
        already = self._engine.precision == "f32" and self.accumulator_dtype == torch.float32
        return with_f32_as_second_attempt(predict, already, self._why_not_finite)

    def _why_not_finite(self) -> str:
        return blame(self.list_of_parameters or [getattr(self.network, "state_dict", dict)()])

    def _precision(self) -> str:
        """Of products inside the network."""
        return "f32" if in_f32() else self._engine.precision

    def _sums_dtype(self) -> torch.dtype:
        """Of the sums over tiles, and so of the logits."""
        return torch.float32 if in_f32() else self.accumulator_dtype

    def _predict_with_fallback(self, data: torch.Tensor, slicers: list[Slicer]) -> torch.Tensor:
        """Everything on the device if wanted; if memory runs out there, again with only the tiles on it."""
        if self.perform_everything_on_device:
            try:
                return self._internal_predict_sliding_window_return_logits(data, slicers, True)
            except OUT_OF_MEMORY as error:
                logger.warning(
                    "%s has too little memory for this case (%s). Predicting it again with the sums on the CPU, which "
                    "is slower; --not_on_device does that at once",
                    self.device,
                    str(error).split(". ")[0],
                )
        # Here the exception is gone, and with it the frames that kept the first attempt's tensors alive.
        empty_cache(self.device)
        return self._internal_predict_sliding_window_return_logits(data, slicers, False)

    def _internal_get_sliding_window_slicers(self, image_size: Sequence[int]) -> list[Slicer]:
        """Index tuples of all tiles of an image of this (padded) size."""
        return tile_slicers(image_size, self.configuration_manager.patch_size, self.tile_step_size)

    def _importance(self, where: torch.device) -> torch.Tensor:
        """Weight of every voxel of a tile."""
        return patchable.names().compute_gaussian(
            tuple(self.configuration_manager.patch_size),
            sigma_scale=1.0 / 8,
            value_scaling_factor=IMPORTANCE_PEAK,
            dtype=self._sums_dtype(),
            device=where,
        )

    def _folds(self) -> Sequence[int | None]:
        """Indices into ``list_of_parameters`` to average over; ``[None]`` for a network that keeps its own weights."""
        if not self.list_of_parameters or not network_calls.takes_weights(self.network):
            return [None]
        return range(len(self.list_of_parameters))

    def _select_fold(self, fold: int | None) -> None:
        """Put the weights of this fold into the network, whatever it holds; None leaves it alone."""
        with self._network_lock:
            if fold is not None and self._uses_engine():
                self._engine.select(fold, self.network, self.list_of_parameters, self._tile_shape())
            elif fold is not None:
                network_calls.load_weights(self.network, self.list_of_parameters[fold])
            self._fold_in_network = fold

    def _predict_tile_batch(self, fold: int | None, tiles: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, *patch) of tiles (B, C, *patch) on the network's device, mean over mirror images.

        ``fold`` is an index into ``list_of_parameters``; None stands for the weights the network has. This is the one
        place where prediction meets the network. Callers hold ``_network_lock`` and the inference settings.
        """
        if fold != self._fold_in_network:
            self._select_fold(fold)
        if fold is not None and self._uses_engine():
            axes = self.allowed_mirroring_axes if self.use_mirroring else None
            return self._engine.predict(fold, tiles, axes, self.network, self.list_of_parameters)
        if len(tiles) == 1:
            return self._internal_maybe_mirror_and_predict(tiles)
        return torch.cat([self._internal_maybe_mirror_and_predict(tile[None]) for tile in tiles])

    def _predict_locked(self, fold: int | None, tiles: torch.Tensor) -> torch.Tensor:
        """``_predict_tile_batch`` under the inference settings, for threads that share this predictor."""
        with self._network_lock, network_calls.inference_settings(self.device, self._precision()):
            return self._predict_tile_batch(fold, tiles)

    def _uses_engine(self) -> bool:
        """Whether tiles go to the engine: unless a subclass or an assigned function predicts a tile its own way."""
        own = LogitsPredictor._internal_maybe_mirror_and_predict
        return getattr(self._internal_maybe_mirror_and_predict, "__func__", None) is own

    def _tile_shape(self) -> tuple[int, ...]:
        """Shape (1, C, *patch) of a tile."""
        channels = determine_num_input_channels(self.plans_manager, self.configuration_manager, self.dataset_json)
        return (1, channels, *self.configuration_manager.patch_size)

    def prepare_engine(self) -> None:
        """Convert and compile the network of every fold now, beside preprocessing, instead of with the first tile."""
        with self._network_lock:
            if self._folds()[0] is not None and self._uses_engine():
                self._engine.prepare(self.network, self.list_of_parameters, self._tile_shape())

    def _internal_maybe_mirror_and_predict(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (1, K, *patch) of one tile (1, C, *patch), mean over mirror images if mirroring is on."""
        axes = self.allowed_mirroring_axes if self.use_mirroring else None
        return mean_over_flips(lambda batch: network_calls.call(self.network, batch), x, axes)

    def _internal_predict_sliding_window_return_logits(
        self, data: torch.Tensor, slicers: list[Slicer], do_on_device: bool = True
    ) -> torch.Tensor:
        """Logits of padded data; image and sums on the device, or on the CPU."""
        where = self.device if do_on_device else torch.device("cpu")
        return accumulate_tiles(
            partial(self._predict_tile_batch, self._fold_in_network),
            data.to(where),
            patchable.names().tqdm(slicers, desc="tiles", disable=not self.allow_tqdm),
            num_outputs=self.label_manager.num_segmentation_heads,
            importance=self._importance(where) if self.use_gaussian else None,
            network_device=self.device,
            dtype=self._sums_dtype(),
        )


def _build(
    trainer: Any, plans_manager: PlansManager, configuration_manager: ConfigurationManager, dataset_json: dict
) -> Any:
    """The network of a trained model, without deep supervision."""
    return build_network(
        trainer,
        plans_manager,
        configuration_manager,
        dataset_json,
        determine_num_input_channels(plans_manager, configuration_manager, dataset_json),
        plans_manager.get_label_manager(dataset_json).num_segmentation_heads,
        False,
    )
