"""The arguments of a network against each other: types, one value per stage, dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnunetv2.experiment_planning.plans_checks.named_things import why_not_importable
from nnunetv2.experiment_planning.plans_checks.network_view import NetworkView
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.values import is_list_of, is_positive_integer, is_text, plain
from nnunetv2.records.findings import suggestion

ARGUMENTS = (
    "n_stages",
    "features_per_stage",
    "conv_op",
    "kernel_sizes",
    "strides",
    "n_conv_per_stage_decoder",
    "conv_bias",
    "norm_op",
    "norm_op_kwargs",
    "dropout_op",
    "dropout_op_kwargs",
    "nonlin",
    "nonlin_kwargs",
)
PLAIN_ARGUMENTS = (*ARGUMENTS, "n_conv_per_stage", "nonlin_first")
RESIDUAL_ARGUMENTS = (*ARGUMENTS, "n_blocks_per_stage", "block", "bottleneck_channels", "stem_channels")
REQUIRED = ("n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", "n_conv_per_stage_decoder")
GIVEN_BY_TRAINER = ("input_channels", "num_classes", "deep_supervision")
IMPORTED = ("conv_op", "norm_op", "dropout_op", "nonlin", "block")


def check_network_entries(network: NetworkView, report: Report) -> bool:
    """Report what is wrong with class, names and lists; whether stages and sizes can be looked at further."""
    before = report.errors
    if not network.older_layout:
        _check_names(network, report)
    if not network.is_unet:
        return False
    depth_key = "n_blocks_per_stage" if network.is_residual else "n_conv_per_stage"
    _check_arguments(network, depth_key, report)
    stages = network.arch_kwargs.get("n_stages")
    if is_positive_integer(stages):
        _check_numbers_per_stage(network, depth_key, stages, report)
        for key, example in (("kernel_sizes", 3), ("strides", 2)):
            _check_sizes_per_stage(network, key, stages, example, report)
    _check_dimensions(network, report)
    return report.errors == before


def dimensions_of(network: NetworkView) -> int | None:
    """2 or 3 by the patch size; None when that is broken."""
    patch = network.configuration.entries.get("patch_size")
    return len(plain(patch)) if is_list_of(is_positive_integer, patch, (2, 3)) else None


def _check_names(network: NetworkView, report: Report) -> None:
    path = network.configuration.path("architecture")
    reason = why_not_importable(network.class_name, "network_class_name")
    if reason is not None:
        remedy = "Correct the dotted name; usual is dynamic_network_architectures.architectures.unet.PlainConvUNet"
        report.add(
            f"{path}.network_class_name", network.class_name, f"it names a class that is not there: {reason}", remedy
        )
    imports = plain(network.imports)
    if not is_list_of(is_text, imports):
        if imports is not None:
            remedy = 'Write ["conv_op", "norm_op", "dropout_op", "nonlin"]'
            report.add(f"{path}._kw_requires_import", imports, "it must list names of arguments", remedy)
        return
    for key in imports:
        value = network.arch_kwargs.get(key)
        reason = why_not_importable(value, key) if isinstance(value, str) else None
        if reason is not None:
            remedy = "Correct the dotted name, such as torch.nn.LeakyReLU"
            report.add(f"{path}.arch_kwargs.{key}", value, f"it names a class that is not there: {reason}", remedy)
        elif network.is_unet and value is not None and not isinstance(value, str):
            report.add(f"{path}.arch_kwargs.{key}", value, "it must be the dotted name of a class", "Write it as text")
    for key in IMPORTED if network.is_unet else ():
        if isinstance(network.arch_kwargs.get(key), str) and key not in imports:
            report.add(
                f"{path}._kw_requires_import",
                imports,
                f"it lacks {key}, whose value would stay text instead of being imported",
                f'Add "{key}"',
            )


def _check_arguments(network: NetworkView, depth_key: str, report: Report) -> None:
    known = RESIDUAL_ARGUMENTS if network.is_residual else PLAIN_ARGUMENTS
    class_name = network.class_name.rpartition(".")[2]
    for key in (*REQUIRED, depth_key):
        if key not in network.arch_kwargs:
            report.add_missing(network.path(key), f"{class_name} needs it", "Add it, or copy the whole architecture")
    stages = network.arch_kwargs.get("n_stages", 1)
    if not is_positive_integer(stages):
        report.add(network.path("n_stages"), stages, "it must be a positive integer", "Write a number, such as 4")
    for key, value in network.arch_kwargs.items():
        if key in GIVEN_BY_TRAINER:
            report.add(network.path(key), value, "the trainer gives it to the network itself", "Remove it")
        elif key not in known:
            remedy = suggestion(key, known)
            report.add(
                f"{network.path('n_stages').rpartition('.')[0]}.{key}",
                value,
                f"{class_name} has no such argument",
                remedy,
            )
        elif key.endswith("_kwargs") and value is not None and not isinstance(value, Mapping):
            report.add(network.path(key), value, "it must be an object with arguments, or null", "Write {} for none")


def _check_numbers_per_stage(network: NetworkView, depth_key: str, stages: int, report: Report) -> None:
    for key, needed, example in (
        ("features_per_stage", stages, 32),
        (depth_key, stages, 2),
        ("n_conv_per_stage_decoder", stages - 1, 2),
    ):
        value = plain(network.arch_kwargs.get(key))
        if key not in network.arch_kwargs or is_positive_integer(value):
            continue
        if not is_list_of(is_positive_integer, value):
            remedy = f"Write {needed} integers, such as {example}"
            report.add(network.path(key), value, "it must be a list of positive integers, one per stage", remedy)
        elif len(value) != needed:
            _report_length(network, key, value, stages, needed, report)


def _check_sizes_per_stage(network: NetworkView, key: str, stages: int, example: int, report: Report) -> None:
    value, dimensions = plain(network.arch_kwargs.get(key)), dimensions_of(network) or 3
    if key not in network.arch_kwargs or is_positive_integer(value):
        return
    if not isinstance(value, list):
        report.add(network.path(key), value, "it must be a list with one entry per stage", f"Write {stages} entries")
        return
    if len(value) != stages:
        _report_length(network, key, value, stages, stages, report)
    for stage, size in enumerate(map(plain, value)):
        if not is_positive_integer(size) and not is_list_of(is_positive_integer, size, dimensions):
            report.add(
                f"{network.path(key, 'patch_size')}[{stage}]",
                size,
                f"it must hold {dimensions} positive integers, one per axis like patch_size",
                f"Write {[example] * dimensions}",
            )


def _report_length(network: NetworkView, key: str, value: Any, stages: int, needed: int, report: Report) -> None:
    source = network.name("n_stages")
    why = f"has {stages} entries" if network.older_layout else f"is {stages}"
    one_less = ", one fewer than stages" if needed < stages else ""
    report.add(
        network.path(key, network.entry("n_stages")),
        value,
        f"it has {len(value)} entries, but {source} {why}, so {needed} are needed{one_less}",
        f"Give it {needed} entries, or correct {source}",
    )


def _check_dimensions(network: NetworkView, report: Report) -> None:
    dimensions = dimensions_of(network)
    if dimensions is None or network.older_layout:
        return
    for key in ("conv_op", "norm_op", "dropout_op"):
        value = network.arch_kwargs.get(key)
        if isinstance(value, str) and value[-2:] in ("1d", "2d", "3d") and value[-2:] != f"{dimensions}d":
            right = f"{value[:-2]}{dimensions}d"
            report.add(
                network.path(key, "patch_size"),
                value,
                f"it is for another number of axes than patch_size, which has {dimensions}",
                f'Write "{right}"',
            )
