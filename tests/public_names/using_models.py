"""Public names of prediction, trainers, plans, labels and small helpers."""

from __future__ import annotations

from tests.public_names.signatures import FIND_CLASS, MODELS, RAW_CASES

TRAINER = "training.nnUNetTrainer"
EXPORT = (
    "export_prediction_from_logits(predicted_array_or_file, properties_dict, configuration_manager, plans_manager, "
    "dataset_json_dict_or_file, output_file_truncated, save_probabilities=False, num_threads_torch=...)"
)
CONVERT_LOGITS = (
    "convert_predicted_logits_to_segmentation_with_correct_shape(predicted_logits, plans_manager, "
    "configuration_manager, label_manager, properties_dict, return_probabilities=False, num_threads_torch=...)"
)
FROM_FILES = "list_of_lists, list_of_segs_from_prev_stage_files, output_filenames_truncated"
FROM_ARRAYS = "list_of_images, list_of_segs_from_prev_stage, list_of_image_properties, truncated_ofnames"
MODEL = "plans_manager, dataset_json, configuration_manager"

INFERENCE = {
    "inference.predict_from_raw_data": [
        "nnUNetPredictor(tile_step_size=0.5, use_gaussian=True, use_mirroring=True, perform_everything_on_device=True, "
        "device=..., verbose=False, verbose_preprocessing=False, allow_tqdm=True, *, perform_everything_on_gpu=...)",
        "nnUNetPredictor.initialize_from_trained_model_folder(model_training_output_dir, use_folds, "
        "checkpoint_name='checkpoint_final.pth')",
        "nnUNetPredictor.manual_initialization(network, plans_manager, configuration_manager, parameters, "
        "dataset_json, trainer_name, inference_allowed_mirroring_axes)",
        "nnUNetPredictor.predict_from_files(list_of_lists_or_source_folder, "
        "output_folder_or_list_of_truncated_output_files, save_probabilities=False, overwrite=True, "
        "num_processes_preprocessing=..., num_processes_segmentation_export=..., "
        "folder_with_segs_from_prev_stage=None, num_parts=1, part_id=0)",
        "nnUNetPredictor.predict_from_files_sequential(list_of_lists_or_source_folder, "
        "output_folder_or_list_of_truncated_output_files, save_probabilities=False, overwrite=True, "
        "folder_with_segs_from_prev_stage=None)",
        "nnUNetPredictor.predict_from_data_iterator(data_iterator, save_probabilities=False, "
        "num_processes_segmentation_export=...)",
        "nnUNetPredictor.predict_single_npy_array(input_image, image_properties, segmentation_previous_stage=None, "
        "output_file_truncated=None, save_or_return_probabilities=False)",
        "nnUNetPredictor.predict_from_list_of_npy_arrays(image_or_list_of_images, "
        "segs_from_prev_stage_or_list_of_segs_from_prev_stage, properties_or_list_of_properties, truncated_ofname, "
        "num_processes=3, save_probabilities=False, num_processes_segmentation_export=...)",
        "nnUNetPredictor.get_data_iterator_from_raw_npy_data(image_or_list_of_images, "
        "segs_from_prev_stage_or_list_of_segs_from_prev_stage, properties_or_list_of_properties, truncated_ofname, "
        "num_processes=3)",
        "nnUNetPredictor.predict_sliding_window_return_logits(input_image)",
        "nnUNetPredictor.predict_logits_from_preprocessed_data(data)",
        "nnUNetPredictor.auto_detect_available_folds(model_training_output_dir, checkpoint_name)",
        "nnUNetPredictor._manage_input_and_output_lists(list_of_lists_or_source_folder, "
        "output_folder_or_list_of_truncated_output_files, folder_with_segs_from_prev_stage=None, overwrite=True, "
        "part_id=0, num_parts=1, save_probabilities=False)",
        "nnUNetPredictor._internal_get_data_iterator_from_lists_of_filenames(input_list_of_lists, "
        "seg_from_prev_stage_files, output_filenames_truncated, num_processes)",
        "nnUNetPredictor._internal_get_sliding_window_slicers(image_size)",
        "nnUNetPredictor._internal_predict_sliding_window_return_logits(data, slicers, do_on_device=True)",
        "nnUNetPredictor._internal_maybe_mirror_and_predict(x)",
        "predict_from_raw_data(list_of_lists_or_source_folder, output_folder, model_training_output_dir, "
        "use_folds=None, tile_step_size=0.5, use_gaussian=True, use_mirroring=True, perform_everything_on_gpu=True, "
        "verbose=True, save_probabilities=False, overwrite=True, checkpoint_name='checkpoint_final.pth', "
        "num_processes_preprocessing=..., num_processes_segmentation_export=..., "
        "folder_with_segs_from_prev_stage=None, num_parts=1, part_id=0, device=...)",
        "predict_entry_point()",
        "predict_entry_point_modelfolder()",
        # Names that live elsewhere and are taken from here, or replaced here.
        *("compute_gaussian", "check_workers_alive_and_busy", "empty_cache", "convert_labelmap_to_one_hot"),
        *("PreprocessAdapterFromNpy", "MultiThreadedAugmenter", "multiprocessing", "tqdm", "join", "maybe_mkdir_p"),
        *("save_json", "recursive_fix_for_json_export", "recursive_find_trainer_class_by_name", FIND_CLASS),
        *(EXPORT, CONVERT_LOGITS),
    ],
    "inference.sliding_window_prediction": [
        "compute_gaussian(tile_size, sigma_scale=0.125, value_scaling_factor=1, dtype=..., device=...)",
        "compute_gaussian.cache_clear",
        "compute_steps_for_sliding_window(image_size, tile_size, tile_step_size)",
    ],
    "inference.export_prediction": [
        EXPORT,
        CONVERT_LOGITS,
        "resample_and_save(predicted, target_shape, output_file, plans_manager, configuration_manager, "
        "properties_dict, dataset_json_dict_or_file, num_threads_torch=..., dataset_class=None)",
        "insert_crop_into_image",
    ],
    "inference.data_iterators": [
        f"PreprocessAdapterFromNpy({FROM_ARRAYS}, {MODEL}, num_threads_in_multithreaded=1, verbose=False)",
        f"PreprocessAdapter({FROM_FILES.replace(', output', ', preprocessor, output')}, {MODEL}, "
        "num_threads_in_multithreaded=1)",
        f"preprocessing_iterator_fromfiles({FROM_FILES}, {MODEL}, num_processes, pin_memory=False, verbose=False)",
        f"preprocessing_iterator_fromnpy({FROM_ARRAYS}, {MODEL}, num_processes, pin_memory=False, verbose=False)",
        f"preprocess_fromfiles_save_to_queue({FROM_FILES}, {MODEL}, target_queue, done_event, abort_event, "
        "verbose=False)",
        f"preprocess_fromnpy_save_to_queue({FROM_ARRAYS}, {MODEL}, target_queue, done_event, abort_event, "
        "verbose=False)",
    ],
}

TRAINERS = {
    f"{TRAINER}.nnUNetTrainer": [
        "nnUNetTrainer(plans, configuration, fold, dataset_json, *, device=..., unpack_dataset=...)",
        "nnUNetTrainer.build_network_architecture(plans_manager, configuration_manager, num_input_channels, "
        "num_output_channels, enable_deep_supervision=...)",
        "nnUNetTrainer.get_training_transforms(patch_size, rotation_for_DA, deep_supervision_scales, mirror_axes, "
        "do_dummy_2d_data_aug, use_mask_for_norm=None, is_cascaded=False, foreground_labels=None, regions=None, "
        "ignore_label=None)",
        "nnUNetTrainer.get_validation_transforms(deep_supervision_scales, is_cascaded=False, foreground_labels=None, "
        "regions=None, ignore_label=None)",
        *(f"nnUNetTrainer.{hook}(batch)" for hook in ("train_step", "validation_step")),
        *(
            f"nnUNetTrainer.{hook}()"
            for hook in (
                *("initialize", "configure_optimizers", "get_dataloaders", "get_tr_and_val_datasets", "do_split"),
                *("configure_rotation_dummyDA_mirroring_and_inital_patch_size", "_build_loss", "_do_i_compile"),
                *("_get_deep_supervision_scales", "_set_batch_size_and_oversample", "_save_debug_information"),
                *("run_training", "on_train_start", "on_train_end", "on_epoch_start", "on_epoch_end"),
                *("on_train_epoch_start", "on_validation_epoch_start", "plot_network_architecture", "print_plans"),
            )
        ),
        "nnUNetTrainer.on_train_epoch_end(train_outputs)",
        "nnUNetTrainer.on_validation_epoch_end(val_outputs)",
        "nnUNetTrainer.set_deep_supervision_enabled(enabled)",
        "nnUNetTrainer.save_checkpoint(filename)",
        "nnUNetTrainer.load_checkpoint(filename_or_checkpoint)",
        "nnUNetTrainer.perform_actual_validation(save_probabilities=False)",
        "nnUNetTrainer.print_to_log_file(*, also_print_to_console=True, add_timestamp=True)",
        *("dummy_context", "PolyLRScheduler", "nnUNetDataLoader"),
    ],
    f"{TRAINER}.variants.network_architecture.nnUNetTrainerNoDeepSupervision": ["nnUNetTrainerNoDeepSupervision"],
    f"{TRAINER}.variants.data_augmentation.nnUNetTrainerDA5": [
        *("nnUNetTrainerDA5", "nnUNetTrainerDA5ord0", "_brightnessadditive_localgamma_transform_scale"),
        *("_brightness_gradient_additive_max_strength", "_local_gamma_gamma"),
    ],
    f"{TRAINER}.variants.data_augmentation.nnUNetTrainerNoMirroring": [
        *("nnUNetTrainerNoMirroring", "nnUNetTrainer_onlyMirror01"),
    ],
    f"{TRAINER}.variants.data_augmentation.nnUNetTrainerNoDA": ["nnUNetTrainerNoDA"],
    f"{TRAINER}.variants.loss.nnUNetTrainerTopkLoss": [
        *("nnUNetTrainerDiceTopK10Loss", "nnUNetTrainerTopk10Loss", "nnUNetTrainerTopk10LossLS01"),
    ],
    f"{TRAINER}.variants.loss.nnUNetTrainerDiceLoss": ["nnUNetTrainerDiceLoss", "nnUNetTrainerDiceCELoss_noSmooth"],
    f"{TRAINER}.variants.loss.nnUNetTrainerCELoss": ["nnUNetTrainerCELoss", "nnUNetTrainerCELoss_5epochs"],
    f"{TRAINER}.variants.optimizer.nnUNetTrainerAdam": ["nnUNetTrainerAdam3en4"],
    f"{TRAINER}.variants.lr_schedule.nnUNetTrainer_warmup": ["nnUNetTrainer_warmup"],
    f"{TRAINER}.variants.benchmarking.nnUNetTrainerBenchmark_5epochs": ["nnUNetTrainerBenchmark_5epochs"],
    f"{TRAINER}.variants.training_length": ["__path__"],
    "training.logging.nnunet_logger": [
        "MetaLogger(output_folder, resume, verbose=False)",
        "MetaLogger.log(key, value, step)",
        "MetaLogger.get_value(key, step)",
        "MetaLogger.update_config(config)",
        "WandbLogger(output_folder, resume)",
        "nnUNetLogger(verbose=False)",
        *("nnUNetLogger.log(key, value, step, *, epoch=...)", "nnUNetLogger.plot_progress_png(output_folder)"),
    ],
}

PLANS_AND_LABELS = {
    "utilities.plans_handling.plans_handler": [
        "PlansManager(plans_file_or_dict)",
        "PlansManager.get_configuration(configuration_name)",
        "PlansManager.get_label_manager(dataset_json)",
        "PlansManager._internal_resolve_configuration_inheritance(configuration_name)",
        *(
            f"PlansManager.{name}"
            for name in (
                *("image_reader_writer_class", "transpose_forward", "transpose_backward", "dataset_name"),
                *("available_configurations", "foreground_intensity_properties_per_channel", "plans_name"),
                *("label_manager_class", "experiment_planner_class", "experiment_planner_name"),
                *("original_median_spacing_after_transp", "original_median_shape_after_transp"),
            )
        ),
        "PlansManager.label_manager_class.fget.cache_clear",
        "ConfigurationManager(configuration_dict)",
        *(
            f"ConfigurationManager.{name}"
            for name in (
                *("patch_size", "batch_size", "batch_dice", "spacing", "data_identifier", "normalization_schemes"),
                *("use_mask_for_norm", "pool_op_kernel_sizes", "preprocessor_class", "preprocessor_name"),
                *("network_arch_class_name", "network_arch_init_kwargs", "network_arch_init_kwargs_req_import"),
                *("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities", "previous_stage_name"),
                *("next_stage_names", "median_image_size_in_voxels", "conv_kernel_sizes", "UNet_class_name"),
                *("n_conv_per_stage_encoder", "n_conv_per_stage_decoder", "UNet_base_num_features"),
                "unet_max_num_features",
            )
        ),
        FIND_CLASS,
    ],
    "utilities.label_handling.label_handling": [
        "determine_num_input_channels(plans_manager, configuration_or_config_manager, dataset_json)",
        "LabelManager(label_dict, regions_class_order, force_use_labels=False, inference_nonlin=None)",
        "LabelManager.apply_inference_nonlin(logits)",
        "LabelManager.convert_probabilities_to_segmentation(predicted_probabilities)",
        "LabelManager.convert_logits_to_segmentation(predicted_logits)",
        "LabelManager.revert_cropping_on_probabilities(predicted_probabilities, bbox, original_shape)",
        "LabelManager.filter_background(classes_or_regions)",
        *(
            f"LabelManager.{name}"
            for name in (
                *("has_regions", "has_ignore_label", "ignore_label", "foreground_labels", "foreground_regions"),
                *("num_segmentation_heads", "all_labels", "all_regions"),
            )
        ),
        "convert_labelmap_to_one_hot(segmentation, all_labels, output_dtype=None)",
        "get_labelmanager_class_from_plans(plans)",
        FIND_CLASS,
    ],
    "utilities.find_class_by_name": [FIND_CLASS],
    "utilities.find_objects": ["recursive_find_trainer_class_by_name(trainer_name)"],
    "utilities.get_network_from_plans": ["get_network_from_plans"],  # two historical signatures, tested by calls
    "utilities.json_export": ["recursive_fix_for_json_export(my_dict)"],
    "utilities.network_initialization": ["InitWeights_He(neg_slope=0.01)"],
}

SMALL_HELPERS = {
    "paths": ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "nnUNet_extTrainer"],
    "configuration": ["default_num_processes", "ANISO_THRESHOLD", "default_n_proc_DA"],
    "utilities.dataset_name_id_conversion": [
        "maybe_convert_to_dataset_name(dataset_name_or_id)",
        "convert_id_to_dataset_name(dataset_id)",
        "convert_dataset_name_to_id(dataset_name)",
        "find_candidate_datasets(dataset_id)",
    ],
    "utilities.file_path_utilities": [
        f"get_output_folder(dataset_name_or_id, {MODELS}, configuration='3d_fullres', fold=None)",
        "check_workers_alive_and_busy(export_pool, worker_list, results_list, allowed_num_queued=0)",
        "convert_trainer_plans_config_to_identifier(trainer_name, plans_identifier, configuration)",
        "convert_identifier_to_trainer_plans_config(identifier)",
        "parse_dataset_trainer_plans_configuration_from_path(path)",
        "get_ensemble_name(model1_folder, model2_folder, folds)",
        "folds_tuple_to_string(folds)",
        "folds_string_to_tuple(folds_string)",
        "maybe_convert_to_dataset_name",
    ],
    "utilities.helpers": [
        "empty_cache(device)",
        "dummy_context()",
        *("softmax_helper_dim0(x)", "softmax_helper_dim1(x)"),
    ],
    "utilities.collate_outputs": ["collate_outputs(outputs)"],
    "utilities.default_n_proc_DA": ["get_allowed_n_proc_DA()"],
    "utilities.utils": [
        RAW_CASES,
        "create_lists_from_splitted_dataset_folder(folder, file_ending, identifiers=None, num_processes=...)",
        "get_identifiers_from_splitted_dataset_folder(folder, file_ending)",
    ],
    "utilities.crossval_split": ["generate_crossval_split(identifiers, seed=12345, n_splits=5)"],
    "utilities.ddp_allgather": ["AllGatherGrad.apply"],
    "utilities.overlay_plots": [
        "generate_overlay(input_image, segmentation, mapping=None, color_cycle=..., overlay_intensity=0.6)",
        "generate_overlays_from_raw(dataset_name_or_id, output_folder, num_processes=8, channel_idx=0, "
        "overlay_intensity=0.6)",
        "generate_overlays_from_preprocessed(dataset_name_or_id, output_folder, num_processes=8, channel_idx=0, "
        "configuration=None, plans_identifier='nnUNetPlans', overlay_intensity=0.6)",
    ],
}
