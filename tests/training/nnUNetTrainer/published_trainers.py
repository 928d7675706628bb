"""Names of trainers that scripts, checkpoints and programs of others use, and the modules they are imported from."""

from __future__ import annotations

LENGTH = [
    *(f"nnUNetTrainer_{n}epochs" for n in (5, 10, 20, 50, 100, 250, 500, 750, 2000, 4000, 8000)),
    *(f"nnUNetTrainer_{n}epochs_NoMirroring" for n in (250, 2000, 4000, 8000)),
    "nnUNetTrainer_1epoch",
]
AUGMENTATION = [
    "nnUNetTrainerNoMirroring",
    "nnUNetTrainer_onlyMirror01",
    "nnUNetTrainer_onlyMirror01_1500ep",
    "nnUNetTrainer_DASegOrd0",
    "nnUNetTrainer_DASegOrd0_NoMirroring",
    "nnUNetTrainer_onlyMirror01_DASegOrd0",
    "nnUNetTrainerDAOrd0",
    "nnUNetTrainerNoDA",
    "nnUNetTrainer_noDummy2DDA",
    "nnUNetTrainerDA5",
    "nnUNetTrainerDA5ord0",
    "nnUNetTrainerDA5Segord0",
    "nnUNetTrainerDA5_10epochs",
    "nnUNetTrainer_onlyMirror01_DA5",
]
LOSS = [
    "nnUNetTrainerCELoss",
    "nnUNetTrainerCELoss_5epochs",
    "nnUNetTrainerDiceLoss",
    "nnUNetTrainerDiceCELoss_noSmooth",
    "nnUNetTrainerTopk10Loss",
    "nnUNetTrainerTopk10LossLS01",
    "nnUNetTrainerDiceTopK10Loss",
]
OPTIMIZATION = [
    *(f"nnUNetTrainer{name}{rate}" for name in ("Adam", "VanillaAdam", "Adan") for rate in ("", "1en3", "3en4")),
    "nnUNetTrainerAdan1en1",
    "nnUNetTrainerAdanCosAnneal",
    "nnUNetTrainerCosAnneal",
    "nnUNetTrainer_warmup",
]
OTHERS = [
    "nnUNetTrainer",
    "nnUNetTrainer_Epoch2000_Lr1e3",
    "nnUNetTrainerBN",
    "nnUNetTrainerNoDeepSupervision",
    "nnUNetTrainer_probabilisticOversampling",
    "nnUNetTrainer_probabilisticOversampling_033",
    "nnUNetTrainer_probabilisticOversampling_010",
    "nnUNetTrainerBenchmark_5epochs",
    "nnUNetTrainerBenchmark_5epochs_noDataLoading",
]
PUBLISHED = [*LENGTH, *AUGMENTATION, *LOSS, *OPTIMIZATION, *OTHERS]

# Below nnunetv2.training.nnUNetTrainer.variants.
PATHS = {
    "network_architecture.nnUNetTrainerNoDeepSupervision": ["nnUNetTrainerNoDeepSupervision"],
    "data_augmentation.nnUNetTrainerDA5": [
        "nnUNetTrainerDA5",
        "nnUNetTrainerDA5ord0",
        "_brightnessadditive_localgamma_transform_scale",
        "_brightness_gradient_additive_max_strength",
        "_local_gamma_gamma",
    ],
    "data_augmentation.nnUNetTrainerNoMirroring": ["nnUNetTrainerNoMirroring", "nnUNetTrainer_onlyMirror01"],
    "data_augmentation.nnUNetTrainerNoDA": ["nnUNetTrainerNoDA"],
    "loss.nnUNetTrainerTopkLoss": [
        "nnUNetTrainerDiceTopK10Loss",
        "nnUNetTrainerTopk10Loss",
        "nnUNetTrainerTopk10LossLS01",
    ],
    "loss.nnUNetTrainerDiceLoss": ["nnUNetTrainerDiceLoss", "nnUNetTrainerDiceCELoss_noSmooth"],
    "loss.nnUNetTrainerCELoss": ["nnUNetTrainerCELoss", "nnUNetTrainerCELoss_5epochs"],
    "optimizer.nnUNetTrainerAdam": ["nnUNetTrainerAdam3en4"],
    "lr_schedule.nnUNetTrainer_warmup": ["nnUNetTrainer_warmup"],
    "benchmarking.nnUNetTrainerBenchmark_5epochs": ["nnUNetTrainerBenchmark_5epochs"],
}
