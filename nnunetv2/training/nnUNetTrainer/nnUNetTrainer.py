"""The trainer: hooks that subclasses override, and the loop that calls them.

What a hook does is in small modules of ``nnunetv2.training``; here is the order. Names are public, also the misspelt
one. Hyperparameters are attributes that subclasses set after ``super().__init__``; nothing is computed from them
before ``initialize``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from os.path import isdir, join
from typing import Any

import torch
from torch import nn

from nnunetv2.records.files import write_json
from nnunetv2.records.layout import CHECKPOINT_BEST, CHECKPOINT_FINAL, CHECKPOINT_LATEST, DEBUG_JSON
from nnunetv2.storage.stores import infer_dataset_class
from nnunetv2.training import (
    agreement,
    applied_options,
    epoch_loop,
    final_validation,
    model_folder_files,
    network_wrapping,
    nonfinite,
    optimization,
    preflight,
    signature_compat,
    trainer_setup,
)
from nnunetv2.training.checkpoint import write_checkpoint
from nnunetv2.training.checkpoint_rotation import remove_series, rotation_of
from nnunetv2.training.data_augmentation.default_pipeline import training_transforms, validation_transforms
from nnunetv2.training.data_augmentation.patch_geometry import augmentation_geometry
from nnunetv2.training.dataloading.augmenters import stop_augmenters
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.debug_information import debug_information
from nnunetv2.training.default_loss import dice_and_cross_entropy
from nnunetv2.training.distributed import is_distributed, local_rank, rank, share_of_batch, world_size
from nnunetv2.training.epoch_summary import epoch_report, is_new_best, mean_loss, pooled_dice
from nnunetv2.training.fold_selection import select_fold
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from nnunetv2.training.logging.text_log import TextLog
from nnunetv2.training.loss.deep_supervision import (
    DeepSupervisionWrapper,
    deep_supervision_scales,
    deep_supervision_weights,
)
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.online_metrics import hard_counts, mean_foreground_dice
from nnunetv2.training.options import RETRY_F32
from nnunetv2.training.trainer_state import checkpoint_content, restore
from nnunetv2.utilities.collate_outputs import collate_outputs
from nnunetv2.utilities.helpers import dummy_context, empty_cache  # noqa: F401  others import dummy_context from here
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


class nnUNetTrainer:
    """Train one fold of one configuration.

    Parameters
    ----------
    plans : content of a plans file; not modified. The optional key ``continue_training`` says that a run is resumed.
    configuration : name of a configuration in the plans.
    fold : number of the fold, or ``"all"``.
    dataset_json : content of dataset.json.
    device : ``torch.device`` or its name; default cuda. Trainers of releases up to 2.5 put a boolean
        ``unpack_dataset`` before it, which is accepted and kept, but has no effect.

    Raises EnvironmentVariableError while nnUNet_results is unset, and PlansError for an unknown configuration.
    """

    initial_lr = 1e-2
    weight_decay = 3e-5
    oversample_foreground_percent = 0.33
    probabilistic_oversampling = False
    num_iterations_per_epoch = 250
    num_val_iterations_per_epoch = 50
    num_epochs = 1000
    enable_deep_supervision = True
    save_every = 50
    keep_checkpoints = 1
    disable_checkpointing = False
    reveal_machine_in_debug_json = False
    precision: str | None = None
    channels_last = False
    augment_on_device = False

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int | str,
        dataset_json: dict,
        *legacy: Any,
        device: torch.device | str | None = None,
        unpack_dataset: bool | None = None,
    ):
        device, self.unpack_dataset = signature_compat.device_and_unpacking(legacy, device, unpack_dataset)
        plans, resumes, self.training_options = signature_compat.without_launcher_entries(plans)
        # local_rank, as it is called, is the number in the whole group: 0 writes files. GPUs go by that on the machine.
        self.is_ddp, self.local_rank = is_distributed(), rank()
        self.device = torch.device("cuda", local_rank()) if device.type == "cuda" else device
        self.my_init_kwargs = {
            "plans": plans,
            "configuration": configuration,
            "fold": fold,
            "dataset_json": dataset_json,
            "device": device,
        } | ({"unpack_dataset": self.unpack_dataset} if signature_compat.declares_unpacking(type(self)) else {})
        self.plans_manager = PlansManager(plans)
        self.configuration_manager = self.plans_manager.get_configuration(configuration)
        self.configuration_name, self.dataset_json, self.fold = configuration, dataset_json, fold

        name = type(self).__name__ + self.training_options.suffix
        folders = model_folder_files.trainer_folders(name, self.plans_manager, configuration, fold)
        self.preprocessed_dataset_folder_base = folders.preprocessed_base
        self.preprocessed_dataset_folder = folders.preprocessed
        self.output_folder_base, self.output_folder = folders.model, folders.fold
        self.folder_with_segs_from_previous_stage = folders.previous_stage
        self.is_cascaded = folders.previous_stage is not None
        self.dataset_class = None

        self.label_manager = self.plans_manager.get_label_manager(dataset_json).dense
        self.grad_scaler = optimization.make_grad_scaler(self.device)
        self.num_input_channels = self.network = self.optimizer = self.lr_scheduler = self.loss = None
        self.dataloader_train = self.dataloader_val = None
        self.current_epoch, self.position = 0, epoch_loop.Position()
        self._best_ema = self.inference_allowed_mirroring_axes = self._oversampling = None
        self.was_initialized = False

        if self.local_rank == 0:
            os.makedirs(self.output_folder, exist_ok=True)
        self.log_file = join(self.output_folder, model_folder_files.log_file_name())
        self.logger = MetaLogger(self.output_folder, resumes)
        self.print_to_log_file(f"Using device: {self.device}", add_timestamp=False)
        self.print_to_log_file(model_folder_files.citation_banner(), add_timestamp=False)

    # Preparation

    def initialize(self) -> None:
        """Make network, optimizer and loss. Raises RuntimeError when called again."""
        if self.was_initialized:
            raise RuntimeError("initialize was called before; make a new trainer to start over")
        self._set_batch_size_and_oversample()
        self.num_input_channels = determine_num_input_channels(
            self.plans_manager, self.configuration_manager, self.dataset_json
        )
        network = trainer_setup.network_on_device(self)
        trial = trainer_setup.trial_of(self) if self._do_i_compile() else None
        self.network, note = network_wrapping.compile_if(trial is not None, network, self.device, trial)
        if note:
            self.print_to_log_file(note)
        self.optimizer, self.lr_scheduler = self.configure_optimizers()
        if self.is_ddp:
            self.network = network_wrapping.wrap_for_ddp(self.network, self.device)
        self.loss = self._build_loss()
        if self.preprocessed_dataset_folder is not None and isdir(self.preprocessed_dataset_folder):
            self.dataset_class = infer_dataset_class(self.preprocessed_dataset_folder)
        self.logger.update_config(trainer_setup.tracker_settings(self))
        self.was_initialized = True

    def _do_i_compile(self) -> bool:
        """Whether the network is compiled (``nnUNet_compile``, and what the machine can do)."""
        return network_wrapping.compile_decision(self.device)[0]

    build_network_architecture = staticmethod(signature_compat.default_network)

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        """Size of each output relative to the patch, per axis; None without deep supervision."""
        if not self.enable_deep_supervision:
            return None
        return deep_supervision_scales(self.configuration_manager.pool_op_kernel_sizes)

    def _set_batch_size_and_oversample(self) -> None:
        """Set ``batch_size`` to this process' share, and the fraction of samples it draws around foreground."""
        requested = self.oversample_foreground_percent
        if self._oversampling is not None and requested == self._oversampling[1]:
            requested = self._oversampling[0]  # called again: share out the user's number, not the last share
        total = self.configuration_manager.batch_size
        self.batch_size, share = share_of_batch(total, requested, rank(), world_size())
        if not self.probabilistic_oversampling:
            self.oversample_foreground_percent = share
            self._oversampling = (requested, share)

    def _build_loss(self) -> nn.Module:
        """Loss ``(output, target) -> scalar``; under deep supervision both are lists."""
        loss = dice_and_cross_entropy(self.label_manager, self.configuration_manager.batch_dice, self.is_ddp)
        if self._do_i_compile() and network_wrapping.is_compiled(self.network):
            loss.dc = torch.compile(loss.dc)
        scales = self._get_deep_supervision_scales()
        if scales is None:
            return loss
        unused_need_gradient = self.is_ddp and not self._do_i_compile()
        return DeepSupervisionWrapper(loss, deep_supervision_weights(len(scales), unused_need_gradient))

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """Optimizer and schedule; the schedule's ``step(epoch)`` is called at the start of each epoch."""
        optimizer = torch.optim.SGD(
            self.network.parameters(), self.initial_lr, momentum=0.99, weight_decay=self.weight_decay, nesterov=True
        )
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)

    # Data

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """``(rotation range, dummy 2D, initial patch, mirror axes)``; sets ``inference_allowed_mirroring_axes``."""
        geometry = augmentation_geometry(self.configuration_manager.patch_size)
        self.inference_allowed_mirroring_axes = geometry[-1]
        self.print_to_log_file(f"do_dummy_2d_data_aug: {geometry[1]}")
        return geometry

    get_training_transforms = staticmethod(training_transforms)
    get_validation_transforms = staticmethod(validation_transforms)

    def do_split(self) -> tuple[list[str], list[str]]:
        """Training and validation cases of this fold."""
        dataset_class = self._dataset_class()
        identifiers = dataset_class.get_identifiers(self.preprocessed_dataset_folder)
        return select_fold(self.fold, identifiers, self.preprocessed_dataset_folder_base, self.print_to_log_file)

    def _dataset_class(self) -> type:
        """``dataset_class``, found from the files of the preprocessed folder when nobody set it."""
        if self.dataset_class is None:
            preflight.check_preprocessed(self)
            self.dataset_class = infer_dataset_class(self.preprocessed_dataset_folder)
        return self.dataset_class

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """Data set objects of the training and of the validation cases."""
        train, val = self.do_split()
        preflight.check_cases_of_fold(train, val, self.fold, str(self.preprocessed_dataset_folder))
        return self.dataset_of(train), self.dataset_of(val)

    def dataset_of(self, cases: Sequence[str]) -> Any:
        """Data set object of these preprocessed cases. Raises MissingFileError when the previous stage lacks some."""
        preflight.check_previous_stage(self, cases)
        return self._dataset_class()(
            self.preprocessed_dataset_folder,
            list(cases),
            folder_with_segs_from_previous_stage=self.folder_with_segs_from_previous_stage,
        )

    def get_dataloaders(self) -> tuple[Any, Any]:
        """Endless iterators over batches ``{"data", "target", "keys"}`` for training and for validation."""
        return trainer_setup.dataloaders(self)

    def _loader(
        self, dataset: Any, patch_size: Any, transforms: Any, seed: int | None = None, first_batch: int = 0
    ) -> nnUNetDataLoader:
        return nnUNetDataLoader(
            dataset,
            self.batch_size,
            patch_size,
            self.configuration_manager.patch_size,
            self.label_manager,
            oversample_foreground_percent=self.oversample_foreground_percent,
            probabilistic_oversampling=self.probabilistic_oversampling,
            transforms=transforms,
            seed=seed,
            first_batch=first_batch,
        )

    # The loop

    def run_training(self) -> None:
        """Train from ``current_epoch`` to ``num_epochs``; see ``epoch_loop``."""
        started = time.monotonic()
        self.on_train_start()
        epoch_loop.run_epochs(self, started)
        self.on_train_end()

    def on_train_start(self) -> None:
        """Check, build, load, and describe the model in its folder."""
        agreement.all_or_none(lambda: preflight.check_before_training(self))
        if not self.was_initialized:
            self.initialize()
        if not hasattr(self, "batch_size"):  # initialize was overridden by a trainer of releases up to 2.5
            self._set_batch_size_and_oversample()
        self.dataloader_train, self.dataloader_val = agreement.all_or_none(self.get_dataloaders)
        applied_options.apply_to_initialized(self)
        agreement.require_same_start(self)
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        self.print_plans()
        empty_cache(self.device)
        agreement.all_or_none(lambda: model_folder_files.prepare_folders(self))
        self.plot_network_architecture()
        self._save_debug_information()

    def on_train_end(self) -> None:
        """Write the final checkpoint, remove the latest one, stop the loaders' processes."""
        with epoch_loop.at_epoch_start(self):
            self.save_checkpoint(join(self.output_folder, CHECKPOINT_FINAL))
        if self.local_rank == 0 and not self.disable_checkpointing:
            remove_series(join(self.output_folder, CHECKPOINT_LATEST))
        stop_augmenters(self.dataloader_train, self.dataloader_val)
        if hasattr(self.logger, "wait_for_plots"):  # a logger of a trainer's own may have none
            self.logger.wait_for_plots()
        empty_cache(self.device)
        self.print_to_log_file("Training done.")

    def on_epoch_start(self) -> None:
        """Note the time."""
        self.logger.log("epoch_start_timestamps", time.time(), self.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Training mode, learning rate of this epoch."""
        self.network.train()
        self.lr_scheduler.step(self.current_epoch)
        lr = float(self.optimizer.param_groups[0]["lr"])
        self.print_to_log_file("")
        self.print_to_log_file(f"Epoch {self.current_epoch}")
        self.print_to_log_file(f"Current learning rate: {round(lr, 5)}")
        self.logger.log("lrs", lr, self.current_epoch)

    def train_step(self, batch: dict) -> dict:
        """One optimisation step; ``{"loss": 0-d array}``. Raises NonFiniteError; see ``nonfinite``."""
        data, target = optimization.batch_on_device(batch, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        _, loss = optimization.forward(self.network, self.loss, data, target, self.device, self.precision)
        norm, scaler = optimization.backward(loss, self.network, self.optimizer, self.grad_scaler), self.grad_scaler
        if self.training_options.nonfinite == RETRY_F32:
            loss, norm, scaler = nonfinite.repeated_if_needed(self, batch, loss, norm)
        optimization.advance(self.optimizer, scaler)
        return {"loss": nonfinite.loss_on_host(self, batch, loss, norm, scaler)}

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """Log the mean training loss of all processes."""
        self.logger.log("train_losses", mean_loss(collate_outputs(train_outputs)), self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Evaluation mode."""
        self.network.eval()

    def validation_step(self, batch: dict) -> dict:
        """Loss of a batch, and voxel counts of the highest resolution per foreground class or region."""
        data, target = optimization.batch_on_device(batch, self.device)
        output, loss = optimization.forward(self.network, self.loss, data, target, self.device, self.precision)
        output, target = optimization.highest_resolution(output), optimization.highest_resolution(target)
        tp, fp, fn = hard_counts(output, target, self.label_manager)
        return {"loss": loss.detach().cpu().numpy(), "tp_hard": tp, "fp_hard": fp, "fn_hard": fn}

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        """Log the mean validation loss, and Dice pooled over all validation patches of all processes."""
        outputs = collate_outputs(val_outputs)
        dice = pooled_dice(outputs)
        self.logger.log("mean_fg_dice", mean_foreground_dice(dice), self.current_epoch)
        self.logger.log("dice_per_class_or_region", dice, self.current_epoch)
        self.logger.log("val_losses", mean_loss(outputs), self.current_epoch)

    def on_epoch_end(self) -> None:
        """Report the epoch; save ``best`` when the smoothed Dice improved, ``latest`` every ``save_every`` epochs."""
        epoch = self.current_epoch
        self.logger.log("epoch_end_timestamps", time.time(), epoch)
        for entry in epoch_report(self.logger, epoch):
            self.print_to_log_file(*entry)
        ema = self.logger.get_value("ema_fg_dice", step=epoch)
        # The best is settled before "latest" is written, so that a resumed run knows it.
        if is_new_best(ema, self._best_ema):
            self._best_ema = ema
            self.print_to_log_file(f"Yayy! New best EMA pseudo Dice: {round(float(ema), 4)}")
            self.save_checkpoint(join(self.output_folder, CHECKPOINT_BEST))
        if (epoch + 1) % self.save_every == 0 and epoch != self.num_epochs - 1:
            self.save_checkpoint(join(self.output_folder, CHECKPOINT_LATEST))
        if self.local_rank == 0:
            self.logger.plot_progress_png(self.output_folder)
        self.current_epoch += 1

    # Output

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Let the network give a list of outputs or one. Networks without ``decoder`` have to override this."""
        network_wrapping.switch_deep_supervision(self.network, enabled, self.enable_deep_supervision)

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """One entry of the text log: ``args`` separated by blanks. Ranks above 0 only write to the console."""
        path = self.log_file if self.local_rank == 0 else None
        TextLog(path).write(*args, also_print_to_console=also_print_to_console, add_timestamp=add_timestamp)

    def print_plans(self) -> None:
        """Log the configuration, then the general entries of the plans."""
        configuration = self.configuration_manager.configuration
        general = {key: value for key, value in self.plans_manager.plans.items() if key != "configurations"}
        for title, content in (
            (f"Configuration {self.configuration_name}, inheritance resolved:", configuration),
            ("General entries of the plans:", general),
        ):
            self.print_to_log_file(f"\n{title}\n", content, "\n", add_timestamp=False)

    def plot_network_architecture(self) -> None:
        """For subclasses that draw their network; the default draws nothing."""

    def _save_debug_information(self) -> None:
        """Write debug.json: the attributes as they are before the first epoch."""
        if self.local_rank == 0:
            content = debug_information(self, self.device, self.reveal_machine_in_debug_json)
            write_json(join(self.output_folder, DEBUG_JSON), content)

    def save_checkpoint(self, filename: str) -> None:
        """Write everything needed to resume or to predict; only on the first rank."""
        if self.local_rank != 0:
            return
        if self.disable_checkpointing:
            self.print_to_log_file("No checkpoint written, checkpointing is disabled")
            return
        write_checkpoint(filename, checkpoint_content(self), rotation_of(filename, self.keep_checkpoints))

    def load_checkpoint(self, filename_or_checkpoint: Any = None, checkpoint: Any = None) -> None:
        """Continue from a checkpoint file or its content (either name, or by position); initializes if necessary."""
        if not self.was_initialized:
            self.initialize()
        restore(self, checkpoint if filename_or_checkpoint is None else filename_or_checkpoint)

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Predict the whole validation cases as at inference, export and evaluate them."""
        final_validation.perform_actual_validation(self, save_probabilities)
