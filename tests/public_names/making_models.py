"""Public names of data, losses, images, preprocessing, planning, running and results."""

from __future__ import annotations

from tests.public_names.signatures import FIND_CLASS, MODELS, RAW_CASES

TRANSFORMS = "training.data_augmentation.custom_transforms"
LOADER = (
    "(data, batch_size, patch_size, final_patch_size, label_manager, oversample_foreground_percent=..., "
    "sampling_probabilities=None, pad_sides=None, probabilistic_oversampling=..., transforms=...)"
)
STORE = "(folder, identifiers=None, folder_with_segs_from_previous_stage=None)"
PLANNER = (
    "(dataset_name_or_id, gpu_memory_target_in_gb={gb}, preprocessor_name='DefaultPreprocessor', plans_name={name!r}, "
    "overwrite_target_spacing=None, suppress_transpose=False)"
)
READER_CHOICE = "example_file=None, allow_nonmatching_filename=False, verbose=...)"
SCHEME = "(use_mask_for_norm=None, intensityproperties=None, target_dtype=...)"
PREPROCESS = "plans_identifier='nnUNetPlans', configurations=..., num_processes=..., verbose=False)"
DOCUMENTS = "plans_file_or_dict=None, dataset_json_file_or_dict=None, num_processes=..."
DICE = "(apply_nonlin=None, batch_dice=..., do_bg=..., smooth=..., ddp=...)"
RESAMPLE = "current_spacing, new_spacing, is_seg=False"


DATA = {
    "training.dataloading.data_loader": [
        f"nnUNetDataLoader{LOADER}",
        "nnUNetDataLoader.generate_train_batch()",
        "nnUNetDataLoader.get_indices()",
        "nnUNetDataLoader.get_do_oversample(sample_idx)",
        "nnUNetDataLoader.get_bbox(data_shape, force_fg, class_locations, overwrite_class=None)",
        "nnUNetDataLoader.determine_shapes()",
    ],
    "training.dataloading.nnunet_dataset": [
        "infer_dataset_class(folder)",
        *(f"nnUNetDatasetBlosc2{STORE}", f"nnUNetDatasetNumpy{STORE}"),
        "nnUNetDatasetBlosc2.load_case(identifier)",
        "nnUNetDatasetBlosc2.save_case(data, seg, properties, output_filename_truncated, chunks=None, blocks=None, "
        "chunks_seg=None, blocks_seg=None)",
        "nnUNetDatasetBlosc2.save_seg(seg, output_filename_truncated)",
        "nnUNetDatasetBlosc2.get_identifiers(folder)",
        "nnUNetDatasetBlosc2.unpack_dataset(folder, overwrite_existing=False, num_processes=..., verify=...)",
        "nnUNetDatasetBlosc2.comp_blosc2_params(image_size, patch_size, bytes_per_pixel=4)",
        "comp_blosc2_params(image_size, patch_size, bytes_per_pixel=4)",
        # v2.0 to v2.5
        "nnUNetDataset(folder, case_identifiers=None, num_images_properties_loading_threshold=0, "
        "folder_with_segs_from_previous_stage=None)",
        *(f"nnUNetDataset.{name}" for name in ("load_case", "keys", "items", "values", "__getitem__", "__len__")),
    ],
    "training.dataloading.utils": [
        "unpack_dataset(folder, unpack_segmentation=True, overwrite_existing=False, num_processes=..., verify=False)",
        "get_case_identifiers(folder)",
    ],
    "training.dataloading.data_loader_2d": [f"nnUNetDataLoader2D{LOADER}"],
    "training.dataloading.data_loader_3d": [f"nnUNetDataLoader3D{LOADER}"],
    "training.dataloading.base_data_loader": [f"nnUNetDataLoaderBase{LOADER}"],
    "training.data_augmentation.compute_initial_patch_size": [
        "get_patch_size(final_patch_size, rot_x, rot_y, rot_z, scale_range)"
    ],
    f"{TRANSFORMS}.limited_length_multithreaded_augmenter": ["LimitedLenWrapper(my_imaginary_length)"],
    f"{TRANSFORMS}.cascade_transforms": [
        "MoveSegAsOneHotToData(index_in_origin, all_labels, key_origin=..., key_target=..., remove_from_origin=True)",
        "ApplyRandomBinaryOperatorTransform(channel_idx, p_per_sample=0.3, any_of_these=..., key='data', "
        "strel_size=(1, 10), p_per_label=1)",
        "RemoveRandomConnectedComponentFromOneHotEncodingTransform(channel_idx, key='data', p_per_sample=0.2, "
        "fill_with_other_class_p=0.25, dont_do_if_covers_more_than_x_percent=0.25, p_per_label=1)",
    ],
    f"{TRANSFORMS}.transforms_for_dummy_2d": [
        "Convert3DTo2DTransform(apply_to_keys=('data', 'seg'))",
        "Convert2DTo3DTransform(apply_to_keys=('data', 'seg'))",
    ],
    f"{TRANSFORMS}.masking": ["MaskTransform(apply_to_channels, mask_idx_in_seg=0, set_outside_to=0)"],
    f"{TRANSFORMS}.region_based_training": [
        "ConvertSegmentationToRegionsTransform(regions, seg_key='seg', output_key='seg')"
    ],
    f"{TRANSFORMS}.deep_supervision_donwsampling": [
        "DownsampleSegForDSTransform2(ds_scales, order=0, input_key='seg', output_key='seg')"
    ],
}

LOSSES = {
    "training.loss.dice": [
        "get_tp_fp_fn_tn(net_output, gt, axes=None, mask=None)",
        *(f"MemoryEfficientSoftDiceLoss{DICE}", f"SoftDiceLoss{DICE}"),
        *("MemoryEfficientSoftDiceLoss.forward(x, y, loss_mask=None)", "SoftDiceLoss.forward(x, y, loss_mask=None)"),
    ],
    "training.loss.deep_supervision": ["DeepSupervisionWrapper(loss, weight_factors=None)"],
    "training.loss.compound_losses": [
        "DC_and_CE_loss(soft_dice_kwargs, ce_kwargs, weight_ce=1, weight_dice=1, ignore_label=None, dice_class=...)",
        "DC_and_BCE_loss(bce_kwargs, soft_dice_kwargs, weight_ce=1, weight_dice=1, use_ignore_label=False, "
        "dice_class=...)",
        "DC_and_topk_loss(soft_dice_kwargs, ce_kwargs, weight_ce=1, weight_dice=1, ignore_label=None)",
    ],
    "training.loss.robust_ce_loss": [
        "RobustCrossEntropyLoss",
        "TopKLoss(weight=None, ignore_index=-100, k=10, label_smoothing=0)",
    ],
    "training.lr_scheduler.polylr": [
        "PolyLRScheduler(optimizer, initial_lr, max_steps, exponent=0.9, current_step=None)",
        "PolyLRScheduler.step(current_step=None)",
    ],
    "training.lr_scheduler.warmup": [
        "Lin_incr_LRScheduler(optimizer, max_lr, max_steps, current_step=None)",
        "PolyLRScheduler_offset(optimizer, initial_lr, max_steps, start_step, exponent=0.9, current_step=None)",
    ],
}

READER = ["read_images(image_fnames)", "read_seg(seg_fname)", "write_seg(seg, output_fname, properties)"]
IMAGES = {
    "imageio.simpleitk_reader_writer": [
        *("SimpleITKIO()", "SimpleITKIOWithReorient()"),
        *(f"SimpleITKIO.{m}" for m in READER),
    ],
    "imageio.nibabel_reader_writer": [
        *("NibabelIO()", "NibabelIOWithReorient()"),
        *(f"{reader}.{m}" for reader in ("NibabelIO", "NibabelIOWithReorient") for m in READER),
    ],
    "imageio.natural_image_reader_writer": ["NaturalImage2DIO()", *(f"NaturalImage2DIO.{m}" for m in READER)],
    "imageio.tif_reader_writer": ["Tiff3DIO()", *(f"Tiff3DIO.{m}" for m in READER)],
    "imageio.base_reader_writer": [
        "BaseReaderWriter.supported_file_endings",
        *(f"BaseReaderWriter.{m}" for m in READER),
    ],
    "imageio.reader_writer_registry": [
        "LIST_OF_IO_CLASSES",
        f"determine_reader_writer_from_dataset_json(dataset_json_content, {READER_CHOICE}",
        f"determine_reader_writer_from_file_ending(file_ending, {READER_CHOICE}",
        "recursive_find_reader_writer_by_name(rw_class_name)",
    ],
}

CASE = "plans_manager, configuration_manager, dataset_json)"
PREPROCESSING = {
    "preprocessing.preprocessors.default_preprocessor": [
        "DefaultPreprocessor(verbose=True)",
        f"DefaultPreprocessor.run_case(image_files, seg_file, {CASE}",
        f"DefaultPreprocessor.run_case_npy(data, seg, properties, {CASE}",
        f"DefaultPreprocessor.run_case_save(output_filename_truncated, image_files, seg_file, {CASE}",
        "DefaultPreprocessor.run(dataset_name_or_id, configuration_name, plans_identifier, num_processes)",
        "DefaultPreprocessor.modify_seg_fn(seg, plans_manager, dataset_json, configuration_manager)",
        "DefaultPreprocessor._normalize(data, seg, configuration_manager, foreground_intensity_properties_per_channel)",
        "DefaultPreprocessor._sample_foreground_locations(seg, classes_or_regions, seed=1234, verbose=False)",
        *("PlansManager", "ConfigurationManager", FIND_CLASS, RAW_CASES),
    ],
    "preprocessing.cropping.cropping": [
        "crop_to_nonzero(data, seg=None, nonzero_label=-1)",
        "create_nonzero_mask(data)",
    ],
    "preprocessing.resampling.default_resampling": [
        "compute_new_shape(old_shape, old_spacing, new_spacing)",
        f"resample_data_or_seg_to_shape(data, new_shape, {RESAMPLE}, order=3, order_z=0, force_separate_z=False, "
        "separate_z_anisotropy_threshold=3)",
        f"resample_data_or_seg_to_spacing(data, {RESAMPLE}, order=3, order_z=0, force_separate_z=False, "
        "separate_z_anisotropy_threshold=3)",
        "resample_data_or_seg(data, new_shape, is_seg=False, axis=None, order=3, do_separate_z=False, order_z=0)",
        "determine_do_sep_z_and_axis(force_separate_z, current_spacing, new_spacing, "
        "separate_z_anisotropy_threshold=3)",
        *("get_do_separate_z(spacing, anisotropy_threshold=3)", "get_lowres_axis(spacing)"),
    ],
    "preprocessing.resampling.resample_torch": [
        f"resample_torch_fornnunet(data, new_shape, {RESAMPLE}, num_threads=4, device=..., "
        "memefficient_seg_resampling=False, force_separate_z=None, separate_z_anisotropy_threshold=3, mode='linear', "
        "aniso_axis_mode='nearest-exact')",
    ],
    "preprocessing.resampling.no_resampling": [
        "no_resampling_hack(data, new_shape=None, current_spacing=None, new_spacing=None)"
    ],
    "preprocessing.resampling.utils": ["recursive_find_resampling_fn_by_name(resampling_fn)", FIND_CLASS],
    "preprocessing.normalization.default_normalization_schemes": [
        *(
            f"{scheme}{SCHEME}"
            for scheme in (
                *("ImageNormalization", "ZScoreNormalization", "CTNormalization", "NoNormalization"),
                *("RescaleTo01Normalization", "RGBTo01Normalization"),
            )
        ),
        "ImageNormalization.run(image, seg=None)",
        "ImageNormalization.leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true",
    ],
    "preprocessing.normalization.map_channel_name_to_normalization": [
        "channel_name_to_normalization_mapping",
        "get_normalization_scheme(channel_name)",
    ],
}

PLANNERS = "experiment_planning.experiment_planners"
PLANNING = {
    f"{PLANNERS}.default_experiment_planner": [
        f"ExperimentPlanner{PLANNER.format(gb=8, name='nnUNetPlans')}",
        *(
            f"ExperimentPlanner.{method}()"
            for method in (
                *("plan_experiment", "determine_fullres_target_spacing", "determine_transpose"),
                *("determine_resampling", "determine_segmentation_softmax_export_fn", "determine_reader_writer"),
                "determine_normalization_scheme_and_whether_mask_is_used_for_norm",
            )
        ),
        "ExperimentPlanner.get_plans_for_configuration(spacing, median_shape, data_identifier, "
        "approximate_n_voxels_dataset, _cache)",
        "ExperimentPlanner.generate_data_identifier(configuration_name)",
        "ExperimentPlanner.save_plans(plans)",
        "ExperimentPlanner.load_plans(fname)",
        "ExperimentPlanner.static_estimate_VRAM_usage(patch_size, input_channels, output_channels, arch_class_name, "
        "arch_kwargs, arch_kwargs_req_import)",
        *(
            f"ExperimentPlanner.{name}"
            for name in (
                *("UNet_class", "UNet_base_num_features", "UNet_max_features_2d", "UNet_max_features_3d"),
                *("UNet_blocks_per_stage_encoder", "UNet_blocks_per_stage_decoder", "UNet_min_batch_size"),
                *("UNet_featuremap_min_edge_length", "UNet_reference_val_2d", "UNet_reference_val_3d"),
                *("UNet_reference_val_corresp_GB", "UNet_reference_val_corresp_bs_2d"),
                *("UNet_reference_val_corresp_bs_3d", "max_dataset_covered", "lowres_creation_threshold"),
                "anisotropy_threshold",
            )
        ),
        RAW_CASES,
    ],
    f"{PLANNERS}.network_topology": ["get_pool_and_conv_props(spacing, patch_size, min_feature_map_size, max_numpool)"],
    f"{PLANNERS}.residual_unets.residual_encoder_unet_planners": [
        f"nnUNetPlannerResEnc{size}{PLANNER.format(gb=gb, name=f'nnUNetResEncUNet{size}Plans')}"
        for size, gb in (("M", 8), ("L", 24), ("XL", 40))
    ],
    "experiment_planning.dataset_fingerprint.fingerprint_extractor": [
        "DatasetFingerprintExtractor(dataset_name_or_id, num_processes=8, verbose=False)",
        "DatasetFingerprintExtractor.run(overwrite_existing=False)",
        "DatasetFingerprintExtractor.analyze_case(image_files, segmentation_file, reader_writer_class, "
        "num_samples=10000)",
        "DatasetFingerprintExtractor.collect_foreground_intensities(segmentation, images, seed=1234, "
        "num_samples=10000)",
        RAW_CASES,
    ],
    "experiment_planning.plan_and_preprocess_api": [
        "extract_fingerprints(dataset_ids, fingerprint_extractor_class_name='DatasetFingerprintExtractor', "
        "num_processes=..., check_dataset_integrity=False, clean=True, verbose=True)",
        "extract_fingerprint_dataset(dataset_id, fingerprint_extractor_class=..., num_processes=..., "
        "check_dataset_integrity=False, clean=True, verbose=True)",
        "plan_experiments(dataset_ids, experiment_planner_class_name='ExperimentPlanner', "
        "gpu_memory_target_in_gb=None, preprocess_class_name='DefaultPreprocessor', overwrite_target_spacing=None, "
        "overwrite_plans_name=None)",
        "plan_experiment_dataset(dataset_id, experiment_planner_class=..., gpu_memory_target_in_gb=None, "
        "preprocess_class_name='DefaultPreprocessor', overwrite_target_spacing=None, overwrite_plans_name=None)",
        f"preprocess(dataset_ids, {PREPROCESS}",
        f"preprocess_dataset(dataset_id, {PREPROCESS}",
        *("DatasetFingerprintExtractor", "convert_id_to_dataset_name", RAW_CASES, FIND_CLASS),
    ],
    "experiment_planning.verify_dataset_integrity": ["verify_dataset_integrity(folder, num_processes=8)"],
    "experiment_planning.plan_and_preprocess_entrypoints": [
        *("extract_fingerprint_entry()", "plan_experiment_entry()", "preprocess_entry()"),
        "plan_and_preprocess_entry()",
    ],
    "experiment_planning.plans_for_pretraining.move_plans_between_datasets": [
        "move_plans_between_datasets(source_dataset_name_or_id, target_dataset_name_or_id, source_plans_identifier, "
        "target_plans_identifier=None)",
        "entry_point_move_plans_between_datasets()",
    ],
}

FOLDERS = "folder_ref, folder_pred"
FOLDS = "folds=(0, 1, 2, 3, 4)"
RUNNING = {
    "run.run_training": [
        "run_training(dataset_name_or_id, configuration, fold, trainer_class_name='nnUNetTrainer', "
        "plans_identifier='nnUNetPlans', pretrained_weights=None, num_gpus=1, export_validation_probabilities=False, "
        "continue_training=False, only_run_validation=False, disable_checkpointing=False, val_with_best=False, "
        "device=...)",
        f"get_trainer_from_args(dataset_name_or_id, configuration, fold, {MODELS}, continue_training=False, "
        "device=..., *, use_compressed=...)",
        "maybe_load_checkpoint(nnunet_trainer, continue_training, validation_only, pretrained_weights_file=None)",
        *("run_training_entry()", "find_free_network_port()", "join"),
    ],
    "run.load_pretrained_weights": ["load_pretrained_weights(network, fname, verbose=False)"],
    "evaluation.evaluate_predictions": [
        "compute_metrics(reference_file, prediction_file, image_reader_writer, labels_or_regions, ignore_label=None)",
        f"compute_metrics_on_folder({FOLDERS}, output_file, image_reader_writer, file_ending, regions_or_labels, "
        "ignore_label=None, num_processes=..., chill=True)",
        f"compute_metrics_on_folder2({FOLDERS}, dataset_json_file, plans_file, output_file=None, num_processes=..., "
        "chill=False)",
        f"compute_metrics_on_folder_simple({FOLDERS}, labels, output_file=None, num_processes=..., ignore_label=None, "
        "chill=False)",
        "region_or_label_to_mask(segmentation, region_or_label)",
        "compute_tp_fp_fn_tn(mask_ref, mask_pred, ignore_mask=None)",
        *("load_summary_json(filename)", "save_summary_json(results, output_file)"),
        *("label_or_region_to_key(label_or_region)", "key_to_label_or_region(key)"),
        "labels_to_list_of_regions(labels)",
    ],
    "evaluation.accumulate_cv_results": [
        "accumulate_cv_results(trained_model_folder, merged_output_folder, folds, num_processes=..., overwrite=True)"
    ],
    "evaluation.find_best_configuration": [
        "find_best_configuration(dataset_name_or_id, allowed_trained_models=..., allow_ensembling=True, "
        f"num_processes=..., overwrite=True, {FOLDS}, strict=False)",
        "dumb_trainer_config_plans_to_trained_models_dict(trainers, configs, plans)",
        "print_inference_instructions(inference_info_dict, instructions_file=None)",
        "generate_inference_command(dataset_name_or_id, configuration_name, plans_identifier='nnUNetPlans', "
        f"trainer_name='nnUNetTrainer', {FOLDS}, folder_with_segs_from_prev_stage=None, input_folder=..., "
        "output_folder=..., save_probabilities=False)",
        "default_trained_models",
    ],
    "ensembling.ensemble": [
        "ensemble_folders(list_of_input_folders, output_folder, save_merged_probabilities=False, num_processes=..., "
        "dataset_json_file_or_dict=None, plans_json_file_or_dict=None)",
        "merge_files(list_of_files, output_filename_truncated, output_file_ending, image_reader_writer, "
        "label_manager, save_probabilities=False)",
        "average_probabilities(list_of_files)",
        f"ensemble_crossvalidations(list_of_trained_model_folders, output_folder, {FOLDS}, num_processes=..., "
        "overwrite=True)",
    ],
    "postprocessing.remove_connected_components": [
        "remove_all_but_largest_component_from_segmentation(segmentation, labels_or_regions, background_label=0)",
        "apply_postprocessing(segmentation, pp_fns, pp_fn_kwargs)",
        f"apply_postprocessing_to_folder(input_folder, output_folder, pp_fns, pp_fn_kwargs, {DOCUMENTS})",
        f"determine_postprocessing(folder_predictions, folder_ref, {DOCUMENTS}, keep_postprocessed_files=True)",
        "load_postprocess_save(segmentation_file, output_fname, image_reader_writer, pp_fns, pp_fn_kwargs)",
    ],
    "dataset_conversion.generate_dataset_json": [
        "generate_dataset_json(output_folder, channel_names, labels, num_training_cases, file_ending, citation=None, "
        "regions_class_order=None, dataset_name=None, reference=None, release=None, description=None, "
        "overwrite_image_reader_writer=None, license=..., converted_by=...)",
    ],
    "dataset_conversion.convert_MSD_dataset": [
        "convert_msd_dataset(source_folder, overwrite_target_id=None, num_processes=...)"
    ],
    "dataset_conversion.Dataset137_BraTS21": [
        "copy_BraTS_segmentation_and_convert_labels_to_nnUNet(in_file, out_file)"
    ],
    "model_sharing.model_import": ["install_model_from_zip_file(zip_file)"],
    "model_sharing.model_download": ["download_and_install_from_url(url)"],
    "model_sharing.model_export": [
        "export_pretrained_model(dataset_name_or_id, output_file, "
        "configurations=('3d_lowres', '3d_fullres', '2d', '3d_cascade_fullres'), trainer='nnUNetTrainer', "
        f"plans_identifier='nnUNetPlans', {FOLDS}, strict=True, save_checkpoints=('checkpoint_final.pth',), "
        "overwrite_if_exists=False, export_crossval_predictions=False)",
    ],
}
