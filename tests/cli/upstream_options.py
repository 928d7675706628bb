"""Options of the 21 commands of nnU-Net v2.8.1, which scripts rely on.

One line each: name, kind of the value (``switch``: none; ``*``: one or more), and ``required`` or the default.
``-f`` takes ``fold`` where upstream takes text and where it takes numbers only; ``all`` is accepted in both here.
"""

from __future__ import annotations

_FINGERPRINT = """
-d                          int*    required
-fpe                        str     'DatasetFingerprintExtractor'
--verify_dataset_integrity  switch
--clean                     switch
"""
_VERBOSITY = """
--verbose                   switch
--no_pbar                   switch
"""
_PLANNING = """
-d                          int*    required
-pl                         str     'ExperimentPlanner'
-gpu_memory_target          float   None
-preprocessor_name          str     'DefaultPreprocessor'
-overwrite_target_spacing   float*  None
-overwrite_plans_name       str     None
"""
_PREPROCESSING = """
-d                          int*    required
-c                          str*    ['2d', '3d_fullres', '3d_lowres']
-np                         int*    None
"""
_PREDICTION = """
-i                          str     required
-o                          str     required
-f                          fold*   [0, 1, 2, 3, 4]
-step_size                  float   0.5
--disable_tta               switch
--verbose                   switch
--save_probabilities        switch
--continue_prediction       switch
-chk                        str     'checkpoint_final.pth'
-npp                        int     3
-nps                        int     3
-prev_stage_predictions     str     None
-device                     str     'cuda'
--disable_progress_bar      switch
--not_on_device             switch
"""
_POSTPROCESSING = """
-i                          str     required
-np                         int     8
-plans_json                 str     None
-dataset_json               str     None
"""
_EVALUATION = """
gt_folder                   str     required
pred_folder                 str     required
-o                          str     None
-np                         int     8
--chill                     switch
"""

_TABLES = {
    "nnUNetv2_extract_fingerprint": f"{_FINGERPRINT}{_VERBOSITY}-np int 8",
    "nnUNetv2_plan_experiment": _PLANNING,
    "nnUNetv2_preprocess": f"{_PREPROCESSING}{_VERBOSITY}-plans_name str 'nnUNetPlans'",
    "nnUNetv2_plan_and_preprocess": f"""{_FINGERPRINT}{_PLANNING}{_PREPROCESSING}{_VERBOSITY}
-npfp                       int     8
--no_pp                     switch
""",
    "nnUNetv2_move_plans_between_datasets": """
-s                          str     required
-t                          str     required
-sp                         str     required
-tp                         str     None
""",
    "nnUNetv2_train": """
dataset_name_or_id          str     required
configuration               str     required
fold                        str     required
-tr                         str     'nnUNetTrainer'
-p                          str     'nnUNetPlans'
-pretrained_weights         str     None
-num_gpus                   int     1
--npz                       switch
--c                         switch
--val                       switch
--val_best                  switch
--disable_checkpointing     switch
-device                     str     'cuda'
""",
    "nnUNetv2_predict": f"""{_PREDICTION}
-d                          str     required
-p                          str     'nnUNetPlans'
-tr                         str     'nnUNetTrainer'
-c                          str     required
-num_parts                  int     1
-part_id                    int     0
""",
    "nnUNetv2_predict_from_modelfolder": f"""{_PREDICTION}
-m                          str     required
--c                         switch
""",
    "nnUNetv2_ensemble": """
-i                          str*    required
-o                          str     required
-np                         int     8
--save_npz                  switch
""",
    "nnUNetv2_determine_postprocessing": f"""{_POSTPROCESSING}
-ref                        str     required
--remove_postprocessed      switch
""",
    "nnUNetv2_apply_postprocessing": f"""{_POSTPROCESSING}
-o                          str     required
-pp_pkl_file                str     required
""",
    "nnUNetv2_evaluate_folder": f"""{_EVALUATION}
-djfile                     str     required
-pfile                      str     required
""",
    "nnUNetv2_evaluate_simple": f"""{_EVALUATION}
-l                          int*    required
-il                         int     None
""",
    "nnUNetv2_accumulate_crossval_results": """
dataset_name_or_id          str     required
-c                          str     required
-o                          str     None
-f                          fold*   [0, 1, 2, 3, 4]
-p                          str     'nnUNetPlans'
-tr                         str     'nnUNetTrainer'
""",
    "nnUNetv2_find_best_configuration": """
dataset_name_or_id          str     required
-p                          str*    ['nnUNetPlans']
-c                          str*    ['2d', '3d_fullres', '3d_lowres', '3d_cascade_fullres']
-tr                         str*    ['nnUNetTrainer']
-np                         int     8
-f                          fold*   [0, 1, 2, 3, 4]
--disable_ensembling        switch
--no_overwrite              switch
""",
    "nnUNetv2_export_model_to_zip": """
-d                          str     required
-o                          str     required
-c                          str*    ['3d_lowres', '3d_fullres', '2d', '3d_cascade_fullres']
-tr                         str     'nnUNetTrainer'
-p                          str     'nnUNetPlans'
-f                          fold*   [0, 1, 2, 3, 4]
-chk                        str*    ['checkpoint_final.pth']
--not_strict                switch
--exp_cv_preds              switch
""",
    "nnUNetv2_install_pretrained_model_from_zip": "zip str required",
    "nnUNetv2_download_pretrained_model_by_url": "url str required",
    "nnUNetv2_convert_MSD_dataset": """
-i                          str     required
-overwrite_id               int     None
-np                         int     8
""",
    "nnUNetv2_convert_old_nnUNet_dataset": """
input_folder                str     required
output_dataset_name         str     required
""",
    "nnUNetv2_plot_overlay_pngs": """
-d                          str     required
-o                          str     required
-np                         int     8
-channel_idx                int     0
--use_raw                   switch
-p                          str     'nnUNetPlans'
-c                          str     None
-overlay_intensity          float   0.6
""",
}

UPSTREAM = {
    command: sorted({tuple(line.split(maxsplit=2)) for line in table.splitlines() if line.strip()})
    for command, table in _TABLES.items()
}
"""Command -> (name, kind) of switches and (name, kind, default) of the others."""

# Spelled by prefix or without the space in scripts: command, words, destination, value.
SHORT_FORMS = [
    ("nnUNetv2_predict", ["--c"], "continue_prediction", True),
    ("nnUNetv2_predict", ["--save_prob"], "save_probabilities", True),
    ("nnUNetv2_predict", ["-step", "0.3"], "step_size", 0.3),
    ("nnUNetv2_predict", ["-num", "4"], "num_parts", 4),
    ("nnUNetv2_predict", ["-d1"], "d", "1"),
    ("nnUNetv2_predict_from_modelfolder", ["--c"], "continue_prediction", True),
    ("nnUNetv2_plan_and_preprocess", ["--verify"], "verify_dataset_integrity", True),
    ("nnUNetv2_train", ["--disable"], "disable_checkpointing", True),
]
LEFT_OUT = ("nnUNetv2_train_pretrained", "nnUNetv2_preprocess_like_nnssl", "nnUNetv2_plan_like_dynamic")
