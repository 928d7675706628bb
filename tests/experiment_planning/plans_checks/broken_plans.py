"""Ways to break good plans, each with what the check must say: key, value, and a word of the way out.

``change`` gets good plans and edits them in place; ``older`` ones are in the layout before v2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FULLRES = "configurations.3d_fullres"
KWARGS = f"{FULLRES}.architecture.arch_kwargs"
CHANNEL = "foreground_intensity_properties_per_channel.0"


@dataclass(frozen=True)
class Broken:
    """One edit and the finding it must lead to."""

    name: str
    change: Callable[[dict[str, Any]], Any]
    key: str
    value: str
    remedy: str
    older: bool = False


def at(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """An edit that sets the entry ``path`` (keys separated by ``/``)."""

    def change(plans: dict[str, Any]) -> None:
        *way, last = path.split("/")
        place = plans
        for key in way:
            place = place[key]
        place[last] = value

    return change


def without(path: str) -> Callable[[dict[str, Any]], None]:
    """An edit that removes the entry ``path``."""

    def change(plans: dict[str, Any]) -> None:
        *way, last = path.split("/")
        place = plans
        for key in way:
            place = place[key]
        del place[last]

    return change


def full(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return at(f"configurations/3d_fullres/{key}", value)


def net(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return full(f"architecture/arch_kwargs/{key}", value)


def child(**entries: Any) -> Callable[[dict[str, Any]], None]:
    return at("configurations/mine", {"inherits_from": "3d_fullres", **entries})


def circle(plans: dict[str, Any]) -> None:
    plans["configurations"]["a"] = {"inherits_from": "b"}
    plans["configurations"]["b"] = {"inherits_from": "a"}


def circle_of_stages(plans: dict[str, Any]) -> None:
    plans["configurations"]["3d_lowres"]["previous_stage"] = "3d_cascade_fullres"


def colours_of_a_ct(plans: dict[str, Any]) -> None:
    for entry in plans["configurations"].values():
        if "normalization_schemes" in entry:
            entry["normalization_schemes"] = ["RGBTo01Normalization"]


GENERAL = [
    Broken("no configurations", without("configurations"), "configurations", "missing", "nnUNetv2_plan_experiment"),
    Broken("configurations as a list", at("configurations", [1]), "configurations", "[1]", "nnUNetv2_plan_experiment"),
    Broken("no data set name", without("dataset_name"), "dataset_name", "missing", "Add"),
    Broken("plans name is a number", at("plans_name", 3), "plans_name", "3", "in quotes"),
    Broken("no reader", without("image_reader_writer"), "image_reader_writer", "missing", "Add it"),
    Broken(
        "unknown reader", at("image_reader_writer", "SimpelITKIO"), "image_reader_writer", "SimpelITKIO", "SimpleITKIO?"
    ),
    Broken(
        "unknown label manager", at("label_manager", "LabelManger"), "label_manager", "LabelManger", "LabelManager?"
    ),
    Broken("two axes", at("transpose_forward", [0, 1]), "transpose_forward", "[0, 1]", "[0, 1, 2]"),
    Broken("an axis twice", at("transpose_forward", [0, 1, 1]), "transpose_forward", "[0, 1, 1]", "[0, 1, 2]"),
    Broken("no inverse order", at("transpose_forward", [2, 0, 1]), "transpose_backward", "[0, 1, 2]", "[1, 2, 0]"),
    Broken("no axis order", without("transpose_backward"), "transpose_backward", "missing", "[0, 1, 2]"),
    Broken(
        "no statistics",
        without("foreground_intensity_properties_per_channel"),
        "foreground_intensity_properties_per_channel",
        "missing",
        "dataset_fingerprint.json",
    ),
    Broken("statistics as text", at(CHANNEL.replace(".", "/") + "/mean", "40"), f"{CHANNEL}.mean", '"40"', "Correct"),
    Broken(
        "no percentile",
        without(CHANNEL.replace(".", "/") + "/percentile_99_5"),
        f"{CHANNEL}.percentile_99_5",
        "missing",
        "another scheme",
    ),
    Broken(
        "clipping turned round",
        at(CHANNEL.replace(".", "/") + "/percentile_00_5", 400.0),
        f"{CHANNEL}.percentile_00_5",
        "400",
        "clipping range",
    ),
    Broken("no spread", at(CHANNEL.replace(".", "/") + "/std", 0.0), f"{CHANNEL}.std", "0.0", "standard deviation"),
    Broken("misspelled general key", at("plan_name", "x"), "plan_name", '"x"', "plans_name?"),
]

CONFIGURATION = [
    Broken("configuration as text", at("configurations/3d_lowres", "x"), "configurations.3d_lowres", '"x"', "braces"),
    Broken(
        "no patch",
        without("configurations/3d_fullres/patch_size"),
        f"{FULLRES}.patch_size",
        "missing",
        "[96, 128, 128]",
    ),
    Broken("patch as one number", full("patch_size", 64), f"{FULLRES}.patch_size", "64", "[96, 128, 128]"),
    Broken(
        "patch with text",
        full("patch_size", [32, "64", 64]),
        f"{FULLRES}.patch_size",
        '[32, "64", 64]',
        "[96, 128, 128]",
    ),
    Broken(
        "patch with a fraction", full("patch_size", [32, 64.5, 64]), f"{FULLRES}.patch_size", "64.5", "[96, 128, 128]"
    ),
    Broken(
        "patch with four axes", full("patch_size", [1, 32, 64, 64]), f"{FULLRES}.patch_size", "[1, 32, 64, 64]", "[96,"
    ),
    Broken(
        "patch not divisible", full("patch_size", [36, 64, 64]), f"{FULLRES}.patch_size", "[36, 64, 64]", "[32, 64, 64]"
    ),
    Broken(
        "patch of the child",
        child(patch_size=[32, 60, 64]),
        "configurations.mine.patch_size",
        "[32, 60, 64]",
        "[32, 64, 64]",
    ),
    Broken(
        "patch of one voxel in the end",
        full("patch_size", [8, 8, 8]),
        f"{FULLRES}.patch_size",
        "[8, 8, 8]",
        "fewer stages",
    ),
    Broken(
        "flat patch",
        full("patch_size", [8, 64, 64]),
        f"{FULLRES}.patch_size",
        "[8, 64, 64]",
        "strides of 1 along axis 0",
    ),
    Broken("two spacings", full("spacing", [1.5, 1.0]), f"{FULLRES}.spacing", "[1.5, 1.0]", "Correct one"),
    Broken("spacing of 0", full("spacing", [1.5, 0, 1.0]), f"{FULLRES}.spacing", "[1.5, 0, 1.0]", "[3.0, 2.0, 2.0]"),
    Broken("negative spacing", full("spacing", [-1.5, 1.0, 1.0]), f"{FULLRES}.spacing", "-1.5", "[3.0, 2.0, 2.0]"),
    Broken(
        "spacing in micrometres", full("spacing", [1500.0, 1000.0, 1000.0]), f"{FULLRES}.spacing", "1500.0", "unit (mm)"
    ),
    Broken("spacing far too fine", full("spacing", [0.15, 0.1, 0.1]), f"{FULLRES}.spacing", "0.15", "unit (mm)"),
    Broken("batch of 0", full("batch_size", 0), f"{FULLRES}.batch_size", "0", "such as 2"),
    Broken("batch as text", full("batch_size", "2"), f"{FULLRES}.batch_size", '"2"', "such as 2"),
    Broken("batch as a truth", full("batch_size", True), f"{FULLRES}.batch_size", "true", "such as 2"),
    Broken("batch dice as text", full("batch_dice", "true"), f"{FULLRES}.batch_dice", '"true"', "without quotes"),
    Broken(
        "identifier as a path", full("data_identifier", "a/b"), f"{FULLRES}.data_identifier", '"a/b"', "without slashes"
    ),
    Broken("empty identifier", full("data_identifier", ""), f"{FULLRES}.data_identifier", '""', "such as"),
    Broken(
        "shared identifier",
        child(spacing=[3.0, 2.0, 2.0]),
        "configurations.mine.data_identifier",
        "nnUNetPlans_3d_fullres",
        "nnUNetPlans_3d_fullres_mine",
    ),
    Broken(
        "shared identifier, other scheme",
        child(normalization_schemes=["ZScoreNormalization"]),
        "configurations.mine.data_identifier",
        "nnUNetPlans_3d_fullres",
        "nnUNetPlans_3d_fullres_mine",
    ),
    Broken(
        "unknown preprocessor",
        full("preprocessor_name", "DefaultPreprocesor"),
        f"{FULLRES}.preprocessor_name",
        "DefaultPreprocesor",
        "DefaultPreprocessor?",
    ),
    Broken(
        "unknown scheme",
        full("normalization_schemes", ["CTNormalisation"]),
        f"{FULLRES}.normalization_schemes[0]",
        "CTNormalisation",
        "CTNormalization?",
    ),
    Broken(
        "scheme as text",
        full("normalization_schemes", "CTNormalization"),
        f"{FULLRES}.normalization_schemes",
        '"CTNormalization"',
        "list",
    ),
    Broken(
        "two schemes for one channel",
        full("normalization_schemes", ["CTNormalization"] * 2),
        f"{FULLRES}.normalization_schemes",
        "CTNormalization",
        "1 entries",
    ),
    Broken(
        "colours of a CT",
        colours_of_a_ct,
        f"{FULLRES}.normalization_schemes[0]",
        "RGBTo01Normalization",
        "ZScoreNormalization",
    ),
    Broken("mask as one value", full("use_mask_for_norm", False), f"{FULLRES}.use_mask_for_norm", "false", "[false]"),
    Broken("mask as numbers", full("use_mask_for_norm", [0]), f"{FULLRES}.use_mask_for_norm", "[0]", "[false]"),
    Broken(
        "two masks",
        full("use_mask_for_norm", [False, False]),
        f"{FULLRES}.use_mask_for_norm",
        "[false, false]",
        "same length",
    ),
    Broken(
        "unknown resampling",
        full("resampling_fn_data", "resample_data_to_shape"),
        f"{FULLRES}.resampling_fn_data",
        "resample_data_to_shape",
        "resample_data_or_seg_to_shape?",
    ),
    Broken(
        "no resampling of labels",
        without("configurations/3d_fullres/resampling_fn_seg"),
        f"{FULLRES}.resampling_fn_seg",
        "missing",
        "Add it",
    ),
    Broken(
        "misspelled argument",
        full("resampling_fn_data_kwargs/ordr", 3),
        f"{FULLRES}.resampling_fn_data_kwargs.ordr",
        "3",
        "order?",
    ),
    Broken(
        "order 7",
        full("resampling_fn_data_kwargs/order", 7),
        f"{FULLRES}.resampling_fn_data_kwargs.order",
        "7",
        "0 to 5",
    ),
    Broken(
        "truth as text",
        full("resampling_fn_seg_kwargs/is_seg", "yes"),
        f"{FULLRES}.resampling_fn_seg_kwargs.is_seg",
        '"yes"',
        "true or false",
    ),
    Broken(
        "arguments as a list", full("resampling_fn_seg_kwargs", []), f"{FULLRES}.resampling_fn_seg_kwargs", "[]", "{}"
    ),
    Broken(
        "misspelled key", child(pach_size=[16, 16, 16]), "configurations.mine.pach_size", "[16, 16, 16]", "patch_size?"
    ),
    Broken("capital letter", child(Batch_Size=4), "configurations.mine.Batch_Size", "4", "batch_size?"),
]

INHERITANCE = [
    Broken(
        "unknown parent",
        at("configurations/mine", {"inherits_from": "3d_fulres"}),
        "configurations.mine.inherits_from",
        "3d_fulres",
        "3d_fullres?",
    ),
    Broken(
        "parent is a list",
        at("configurations/mine", {"inherits_from": ["2d"]}),
        "configurations.mine.inherits_from",
        '["2d"]',
        "There are",
    ),
    Broken("circle", circle, "configurations.b.inherits_from", '"a"', "Remove one"),
    Broken("own parent", full("inherits_from", "3d_fullres"), f"{FULLRES}.inherits_from", "3d_fullres", "Remove one"),
    Broken(
        "unknown previous stage",
        child(previous_stage="3d_low"),
        "configurations.mine.previous_stage",
        "3d_low",
        "3d_lowres?",
    ),
    Broken(
        "unknown next stage",
        at("configurations/3d_lowres/next_stage", "3d_cascade"),
        "configurations.3d_lowres.next_stage",
        "3d_cascade",
        "There are",
    ),
    Broken(
        "stage that nobody writes for",
        child(previous_stage="3d_lowres"),
        "configurations.3d_lowres.next_stage",
        "3d_cascade_fullres",
        '["3d_cascade_fullres", "mine"]',
    ),
    Broken(
        "no next stage",
        without("configurations/3d_lowres/next_stage"),
        "configurations.3d_lowres.next_stage",
        "null",
        '"next_stage": "3d_cascade_fullres"',
    ),
    Broken("2d before 3d", child(previous_stage="2d"), "configurations.mine.previous_stage", '"2d"', "as many axes"),
    Broken(
        "circle of stages",
        circle_of_stages,
        "configurations.3d_cascade_fullres.previous_stage",
        "3d_lowres",
        "Remove one previous_stage",
    ),
    Broken(
        "part of an architecture",
        child(architecture={"arch_kwargs": {"n_stages": 3}}),
        "configurations.mine.architecture.network_class_name",
        "missing",
        "whole architecture",
    ),
    Broken(
        "older keys below an architecture",
        child(UNet_base_num_features=16),
        "configurations.mine.UNet_base_num_features",
        "16",
        "nnUNetv2_plans derive",
    ),
]

NETWORK = [
    Broken(
        "no architecture",
        without("configurations/3d_fullres/architecture"),
        f"{FULLRES}.architecture",
        "missing",
        "inherits_from",
    ),
    Broken(
        "architecture as text",
        full("architecture", "UNet"),
        f"{FULLRES}.architecture",
        '"UNet"',
        "complete configuration",
    ),
    Broken(
        "unknown network",
        full("architecture/network_class_name", "dynamic_network_architectures.architectures.unet.PlainConvUNett"),
        f"{FULLRES}.architecture.network_class_name",
        "PlainConvUNett",
        "PlainConvUNet",
    ),
    Broken(
        "forbidden network",
        full("architecture/network_class_name", "os.system"),
        f"{FULLRES}.architecture.network_class_name",
        "os.system",
        "Correct the dotted name",
    ),
    Broken("arguments as a list", full("architecture/arch_kwargs", []), KWARGS, "[]", "{}"),
    Broken(
        "imports as text",
        full("architecture/_kw_requires_import", "conv_op"),
        f"{FULLRES}.architecture._kw_requires_import",
        '"conv_op"',
        "nonlin",
    ),
    Broken(
        "import left out",
        full("architecture/_kw_requires_import", ["norm_op", "dropout_op", "nonlin"]),
        f"{FULLRES}.architecture._kw_requires_import",
        "norm_op",
        'Add "conv_op"',
    ),
    Broken(
        "unknown activation",
        net("nonlin", "torch.nn.LeakyRelu"),
        f"{KWARGS}.nonlin",
        "torch.nn.LeakyRelu",
        "torch.nn.LeakyReLU",
    ),
    Broken("stages as text", net("n_stages", "4"), f"{KWARGS}.n_stages", '"4"', "such as 4"),
    Broken("five stages", net("n_stages", 5), f"{KWARGS}.features_per_stage", "[32, 64, 128, 256]", "5 entries"),
    Broken(
        "three features",
        net("features_per_stage", [32, 64, 128]),
        f"{KWARGS}.features_per_stage",
        "[32, 64, 128]",
        "4 entries",
    ),
    Broken(
        "feature count 0",
        net("features_per_stage", [32, 64, 0, 256]),
        f"{KWARGS}.features_per_stage",
        "[32, 64, 0, 256]",
        "4 integers",
    ),
    Broken("three kernels", net("kernel_sizes", [[3, 3, 3]] * 3), f"{KWARGS}.kernel_sizes", "[3, 3, 3]", "4 entries"),
    Broken(
        "kernel of two axes",
        net("kernel_sizes", [[3, 3]] + [[3, 3, 3]] * 3),
        f"{KWARGS}.kernel_sizes[0]",
        "[3, 3]",
        "[3, 3, 3]",
    ),
    Broken(
        "even kernel",
        net("kernel_sizes", [[3, 3, 3]] * 3 + [[2, 3, 3]]),
        f"{KWARGS}.kernel_sizes[3]",
        "[2, 3, 3]",
        "[3, 3, 3]",
    ),
    Broken("three strides", net("strides", [[1] * 3, [2] * 3, [2] * 3]), f"{KWARGS}.strides", "[1, 1, 1]", "4 entries"),
    Broken(
        "stride as text", net("strides", [[1] * 3, [2] * 3, [2] * 3, "2"]), f"{KWARGS}.strides[3]", '"2"', "[2, 2, 2]"
    ),
    Broken("strides as text", net("strides", "2"), f"{KWARGS}.strides", '"2"', "4 entries"),
    Broken("first stride of 2", net("strides", [[2] * 3] * 4), f"{KWARGS}.strides[0]", "[2, 2, 2]", "[1, 1, 1]"),
    Broken(
        "three convolutions", net("n_conv_per_stage", [2, 2, 2]), f"{KWARGS}.n_conv_per_stage", "[2, 2, 2]", "4 entries"
    ),
    Broken(
        "four decoder steps",
        net("n_conv_per_stage_decoder", [2, 2, 2, 2]),
        f"{KWARGS}.n_conv_per_stage_decoder",
        "[2, 2, 2, 2]",
        "3 entries",
    ),
    Broken(
        "blocks in a plain U-Net",
        net("n_blocks_per_stage", [2] * 4),
        f"{KWARGS}.n_blocks_per_stage",
        "[2, 2, 2, 2]",
        "n_conv_per_stage?",
    ),
    Broken("classes given twice", net("num_classes", 2), f"{KWARGS}.num_classes", "2", "Remove it"),
    Broken(
        "no kernels",
        without("configurations/3d_fullres/architecture/arch_kwargs/kernel_sizes"),
        f"{KWARGS}.kernel_sizes",
        "missing",
        "Add it",
    ),
    Broken(
        "2d convolutions",
        net("conv_op", "torch.nn.modules.conv.Conv2d"),
        f"{KWARGS}.conv_op",
        "Conv2d",
        "torch.nn.modules.conv.Conv3d",
    ),
    Broken(
        "2d normalization",
        net("norm_op", "torch.nn.modules.instancenorm.InstanceNorm2d"),
        f"{KWARGS}.norm_op",
        "InstanceNorm2d",
        "InstanceNorm3d",
    ),
    Broken("norm arguments as a number", net("norm_op_kwargs", 1e-5), f"{KWARGS}.norm_op_kwargs", "1e-05", "{}"),
    Broken(
        "thick slices pooled first",
        full("spacing", [6.0, 1.0, 1.0]),
        f"{KWARGS}.strides[1]",
        "[2, 2, 2]",
        "Pool the fine axes first",
    ),
    Broken(
        "misspelled part",
        full("architecture/arch_kwarg", {}),
        f"{FULLRES}.architecture.arch_kwarg",
        "{}",
        "arch_kwargs?",
    ),
]

OLDER = [
    Broken(
        "unknown class",
        full("UNet_class_name", "PlainUNet"),
        f"{FULLRES}.UNet_class_name",
        "PlainUNet",
        "PlainConvUNet?",
        older=True,
    ),
    Broken(
        "no kernels",
        without("configurations/3d_fullres/conv_kernel_sizes"),
        f"{FULLRES}.conv_kernel_sizes",
        "missing",
        "Add it",
        older=True,
    ),
    Broken(
        "width as text",
        full("UNet_base_num_features", "32"),
        f"{FULLRES}.UNet_base_num_features",
        '"32"',
        "such as 32",
        older=True,
    ),
    Broken(
        "three kernels",
        full("conv_kernel_sizes", [[3] * 3] * 3),
        f"{FULLRES}.conv_kernel_sizes",
        "[3, 3, 3]",
        "4 entries",
        older=True,
    ),
    Broken(
        "child with fewer stages",
        child(n_conv_per_stage_encoder=[2, 2, 2]),
        "configurations.mine.pool_op_kernel_sizes",
        "[1, 1, 1]",
        "n_conv_per_stage_encoder",
        older=True,
    ),
    Broken(
        "decoder as long as the encoder",
        full("n_conv_per_stage_decoder", [2] * 4),
        f"{FULLRES}.n_conv_per_stage_decoder",
        "[2, 2, 2, 2]",
        "3 entries",
        older=True,
    ),
    Broken(
        "patch not divisible",
        full("patch_size", [32, 64, 60]),
        f"{FULLRES}.patch_size",
        "[32, 64, 60]",
        "[32, 64, 64]",
        older=True,
    ),
    Broken(
        "pooling counted wrongly",
        full("num_pool_per_axis", [2, 3, 3]),
        f"{FULLRES}.num_pool_per_axis",
        "[2, 3, 3]",
        "[3, 3, 3]",
        older=True,
    ),
    Broken(
        "convolutions as a number",
        full("n_conv_per_stage_encoder", 2),
        f"{FULLRES}.n_conv_per_stage_encoder",
        "2",
        "[2, 2, 2, 2]",
        older=True,
    ),
    Broken(
        "misspelled older key",
        child(UNet_base_num_feature=16),
        "configurations.mine.UNet_base_num_feature",
        "16",
        "UNet_base_num_features?",
        older=True,
    ),
]

BROKEN = [*GENERAL, *CONFIGURATION, *INHERITANCE, *NETWORK, *OLDER]
