"""The memory estimates of ``nnUNetv2_plans show`` against measured peaks.

    python -m benchmarks.memory_estimate [--small] [--device cuda]

For six configurations, each in a process of its own: a network is built as the plans say, two training steps and one
prediction are run with it, and the peak of what torch allocated is compared with the estimate. On the CPU it is added
up from the records of torch's profiler, on CUDA torch counts itself. Prints estimate, peak and error of each, and the
largest error; on the CPU (Linux) also how much the resident memory of the process grew in a run without profiler, which
includes the scratch space of the convolution library and what the allocator holds back.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Setting:
    """A network and what is fed to it."""

    name: str
    residual: bool
    stages: int
    width: int
    spacing: tuple[float, ...]
    patch: tuple[int, ...]
    batch: int
    channels: int = 1
    classes: int = 2


SETTINGS = (
    Setting("3d plain, FLARE24 network", False, 4, 32, (3.0, 2.0, 2.0), (96, 128, 128), 1),
    Setting("3d plain, six stages", False, 6, 32, (1.0, 1.0, 1.0), (96, 96, 96), 2),
    Setting("3d plain, thick slices", False, 6, 32, (5.0, 1.0, 1.0), (24, 160, 160), 2, channels=2, classes=4),
    Setting("3d residual", True, 5, 32, (1.0, 1.0, 1.0), (64, 96, 96), 2, classes=3),
    Setting("2d plain", False, 7, 32, (1.0, 1.0), (320, 320), 8),
    Setting("2d residual, three channels", True, 7, 32, (1.0, 1.0), (256, 256), 8, channels=3, classes=5),
)
# For trying the script: an eighth of the voxels.
SMALL = {3: (2, 2, 2), 2: (2, 2)}


def architecture_of(setting: Setting) -> dict:
    """The ``architecture`` entry of a setting."""
    from nnunetv2.experiment_planning.plans_editing.topology import features_for, strides_and_kernels
    from nnunetv2.records.plans import UNET_CLASS_PATHS, architecture_entry

    strides, kernels = strides_and_kernels(setting.spacing, setting.patch, setting.stages)
    depths = (1, 3, 4, 6, 6, 6, 6)[: setting.stages] if setting.residual else (2,) * setting.stages
    return architecture_entry(
        UNET_CLASS_PATHS["ResidualEncoderUNet" if setting.residual else "PlainConvUNet"],
        len(setting.patch),
        features_for([setting.width], setting.stages, setting.width, len(setting.patch)),
        kernels,
        strides,
        {
            "n_blocks_per_stage" if setting.residual else "n_conv_per_stage": list(depths),
            "n_conv_per_stage_decoder": [1 if setting.residual else 2] * (setting.stages - 1),
        },
    )


def estimates(setting: Setting, cuda: bool) -> tuple[int, int]:
    """Estimated bytes of training and prediction."""
    from nnunetv2.networks.memory_estimate import FLOAT16, FLOAT32, prediction_bytes, training_bytes
    from nnunetv2.networks.unet_shape import count_parameters, unet_shape

    architecture = architecture_of(setting)
    shape = unet_shape(architecture["network_class_name"], architecture["arch_kwargs"], len(setting.patch))
    assert shape is not None
    parameters = count_parameters(shape, setting.channels, setting.classes)
    data, value_bytes = (setting.channels, setting.classes, parameters), FLOAT16 if cuda else FLOAT32
    return (
        training_bytes(shape, setting.patch, setting.batch, *data, value_bytes),
        prediction_bytes(shape, setting.patch, *data, value_bytes),
    )


def measure(setting: Setting, what: str, device_name: str, resident: bool) -> int:
    """Bytes at the peak of ``training`` or ``prediction``; to be called once per process.

    ``resident``: growth of the resident memory instead of what torch allocated.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    if device_name == "cuda":
        run(setting, what, device_name)
        return torch.cuda.max_memory_allocated()
    if resident:
        import resource

        return resource_growth(lambda: run(setting, what, device_name), resource)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run(setting, what, device_name)
    events = profiler.profiler.kineto_results.events()
    total = peak = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak


def resource_growth(work, resource) -> int:
    """Peak resident memory during ``work`` above that before it, in bytes."""
    import psutil

    from nnunetv2.training.loss import compound_losses  # noqa: F401  what is imported is not counted

    before = psutil.Process().memory_info().rss
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def run(setting: Setting, what: str, device_name: str) -> None:
    """Two training steps, or one prediction."""
    import torch

    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    device, training = torch.device(device_name), what == "training"
    architecture = architecture_of(setting)
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        setting.channels,
        setting.classes,
        deep_supervision=training,
    ).to(device)
    batch = setting.batch if training else 1
    data = torch.rand(batch, setting.channels, *setting.patch, device=device)
    amp = torch.autocast(device.type, enabled=device.type == "cuda")
    if training:
        options = {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}
        loss = DC_and_CE_loss(options, {}, weight_ce=1, weight_dice=1, dice_class=MemoryEfficientSoftDiceLoss)
        weights = [2.0**-scale for scale in range(setting.stages - 1)]
        supervised = DeepSupervisionWrapper(loss, weights)
        optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.99, nesterov=True)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            with amp:
                outputs = network(data)
                targets = [torch.zeros(batch, 1, *output.shape[2:], device=device) for output in outputs]
                value = supervised(outputs, targets)
            value.backward()
            optimizer.step()
            del outputs, targets, value
    else:
        network.eval()
        with torch.inference_mode(), amp:
            network(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare memory estimates with measured peaks.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--small", action="store_true", help="an eighth of the voxels, to try the script")
    parser.add_argument(
        "--measure", nargs=3, metavar=("NUMBER", "WHAT", "HOW"), help="one measurement, in this process"
    )
    args = parser.parse_args()
    settings = [_smaller(setting) if args.small else setting for setting in SETTINGS]
    if args.measure:
        number, what, how = args.measure
        print(json.dumps(measure(settings[int(number)], what, args.device, how == "resident")))
        return
    worst = 0.0
    print(f"{'configuration':30s} {'':10s} {'estimate':>9s} {'measured':>9s}  error {'resident':>9s}")
    for number, setting in enumerate(settings):
        for what, estimate in zip(("training", "prediction"), estimates(setting, args.device == "cuda")):
            options = ["--device", args.device, *(["--small"] if args.small else [])]
            peak = _in_a_process([*options, "--measure", str(number), what, "allocated"])
            error = estimate / peak - 1
            worst = max(worst, abs(error))
            row = f"{setting.name:30s} {what:10s} {estimate / MIB:5.0f} MiB {peak / MIB:5.0f} MiB {error:+6.1%}"
            if args.device == "cpu":
                resident = _in_a_process([*options, "--measure", str(number), what, "resident"])
                row += f" {resident / MIB:5.0f} MiB"
            print(row, flush=True)
    print(f"largest error: {worst:.1%}")


def _in_a_process(options: list[str]) -> int:
    words = [sys.executable, "-m", "benchmarks.memory_estimate", *options]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _smaller(setting: Setting) -> Setting:
    from dataclasses import replace

    patch = tuple(n // d for n, d in zip(setting.patch, SMALL[len(setting.patch)]))
    return replace(setting, patch=patch, stages=setting.stages - 1)


if __name__ == "__main__":
    main()
