"""What one installation makes of a preprocessed case: batches, loss on fixed logits. Run by ``configurations_parity``.

    python configurations_probe.py REQUEST.json RESULT.npz

The script only uses public names, so any installation of nnunetv2 can run it. REQUEST.json holds ``plans`` and
``dataset_json`` (paths), ``configuration``, ``cases``, ``preprocessed`` and ``previous`` (folders; the second may be
null). Sampling is made deterministic by leaving one stored voxel to choose from; all generators are seeded.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import numpy as np
import torch

SEED = 20


class OneChoice:
    """A data set of one case in which foreground sampling has one class and one voxel to choose from."""

    def __init__(self, dataset: Any, case: str):
        self.dataset, self.identifiers = dataset, [case]

    def load_case(self, identifier: str):
        data, seg, previous, properties = self.dataset.load_case(identifier)
        locations = {key: found for key, found in properties["class_locations"].items() if len(found)}
        foreground = [key for key in locations if not (isinstance(key, tuple) and key[0] == -1)][-1]
        kept = [key for key in locations if key == foreground or (isinstance(key, tuple) and key[0] == -1)]
        properties = properties | {"class_locations": {key: locations[key][:1] for key in kept}}
        return data, seg, previous, properties


def seed_everything() -> None:
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


def transforms_of(trainer: Any) -> dict[str, tuple[Any, Any]]:
    """``(patch to load, transforms)`` for training and validation, as a trainer sets them up."""
    rotation, dummy_2d, initial, mirror = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    scales, labels = trainer._get_deep_supervision_scales(), trainer.label_manager
    about_labels = {
        "is_cascaded": trainer.is_cascaded,
        "foreground_labels": labels.foreground_labels,
        "regions": labels.foreground_regions if labels.has_regions else None,
        "ignore_label": labels.ignore_label,
    }
    patch, masks = trainer.configuration_manager.patch_size, trainer.configuration_manager.use_mask_for_norm
    training = trainer.get_training_transforms(
        patch, rotation, scales, mirror, dummy_2d, use_mask_for_norm=masks, **about_labels
    )
    return {
        "training": (initial, training),
        "validation": (patch, trainer.get_validation_transforms(scales, **about_labels)),
    }


def batches(trainer: Any, request: dict[str, Any]) -> dict[str, list[dict]]:
    """For both pipelines, one batch per case with a foreground voxel, and with ignore label an annotated one."""
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

    dataset = trainer.dataset_class(
        request["preprocessed"], request["cases"], folder_with_segs_from_previous_stage=request["previous"]
    )
    shares = (1.0, 0.0) if trainer.label_manager.has_ignore_label else (1.0,)
    made: dict[str, list[dict]] = {}
    for kind, (load, transforms) in transforms_of(trainer).items():
        for case in request["cases"]:
            for share in shares:
                final = trainer.configuration_manager.patch_size
                one = OneChoice(dataset, case)
                loader = nnUNetDataLoader(
                    one, 1, load, final, trainer.label_manager, share, None, None, transforms=transforms
                )
                seed_everything()
                made.setdefault(kind, []).append(next(loader))
    return made


def as_list(target: Any) -> list[torch.Tensor]:
    return list(target) if isinstance(target, (list, tuple)) else [target]


def loss_and_gradients(trainer: Any, targets: list[torch.Tensor]) -> tuple[float, list[np.ndarray]]:
    """Loss of seeded normal logits, and its gradients with respect to them."""
    heads, generator = trainer.label_manager.num_segmentation_heads, np.random.RandomState(SEED)
    logits = [
        torch.from_numpy(generator.normal(0, 2, (len(t), heads, *t.shape[2:])).astype(np.float32)).requires_grad_()
        for t in targets
    ]
    loss = trainer.loss(logits, targets)
    loss.backward()
    return float(loss.detach()), [np.zeros(z.shape, np.float32) if z.grad is None else z.grad.numpy() for z in logits]


def main(request_file: str, result_file: str) -> None:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    with open(request_file) as stream:
        request = json.load(stream)
    with open(request["plans"]) as stream:
        plans = json.load(stream)
    plans["continue_training"] = False
    with open(request["dataset_json"]) as stream:
        dataset_json = json.load(stream)
    trainer = nnUNetTrainer(plans, request["configuration"], 0, dataset_json, device=torch.device("cpu"))
    trainer.initialize()
    result: dict[str, np.ndarray] = {"input_channels": np.array(trainer.num_input_channels)}
    for kind, made in batches(trainer, request).items():
        result[f"{kind}_data"] = torch.cat([batch["data"] for batch in made]).numpy()
        targets = [torch.cat(level) for level in zip(*(as_list(batch["target"]) for batch in made))]
        result |= {f"{kind}_target_{level}": target.numpy() for level, target in enumerate(targets)}
        if kind == "validation":
            loss, gradients = loss_and_gradients(trainer, targets)
            result["loss"] = np.array(loss)
            result |= {f"gradient_{level}": gradient for level, gradient in enumerate(gradients)}
    np.savez_compressed(result_file, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])
