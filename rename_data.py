#!/usr/bin/env python3
"""Rename the files of AI CUP 2025 (heart CT); run it from this folder. ``--dry-run`` only shows what it would do.

    nnUNet_raw/Dataset100_Heart/imagesTr and imagesTs    patient0001.nii.gz     -> patient_001_0000.nii.gz
    nnUNet_raw/Dataset100_Heart/labelsTr                 patient0001_gt.nii.gz  -> patient_001.nii.gz
    predict_pp                                           patient_051.nii.gz     -> patient0051_predict.nii.gz

See documentation/competitions/aicup_heart.md.
"""

from nnunetv2.competitions.heart_renaming_command import main

if __name__ == "__main__":
    main()
