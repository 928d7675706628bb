"""Imports go one way: a module imports from lower ranks, or from its own rank inside its own room."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nnunetv2

PACKAGE = Path(nnunetv2.__file__).parent

# The longest matching prefix decides. A new module belongs into a room that exists, or gets a line here with a reason.
RANKS = {
    "nnunetv2": -2,
    "errors": -2,
    "configuration": -1,
    "paths": 0,
    "cli": 0,
    "utilities": 0,
    "records": 1,
    "geometry": 1,
    "imageio": 2,
    "storage": 2,
    "networks": 2,
    "preprocessing": 2,
    "training.loss": 2,
    "training.lr_scheduler": 2,
    "training.logging": 2,
    "training.checkpoint": 2,
    "training.restricted_loading": 2,
    "training.checkpoint_archive": 2,
    "training.slim_checkpoint": 2,
    "training.distributed": 2,
    "evaluation.metrics": 2,
    "postprocessing.components": 2,
    "utilities.plans_handling": 3,
    "utilities.label_handling": 3,
    "utilities.get_network_from_plans": 3,
    "utilities.utils": 3,
    "utilities.dataset_name_id_conversion": 3,
    "utilities.file_path_utilities": 3,
    "utilities.find_objects": 3,
    "utilities.overlay_plots": 3,
    "utilities.overlay_command": 3,
    # checks of plans, which preprocessing, training and prediction run first; the rest of planning is higher
    "experiment_planning.plans_checks": 3,
    "preprocessing.preprocessors": 4,
    "experiment_planning": 4,
    "training": 4,
    "evaluation": 4,
    "inference.streaming.labels_from_logits": 4,
    "inference": 5,
    "ensembling": 5,
    "ensembling.probability_files": 4,  # a file format; prediction writes it, ensembles read it
    "postprocessing": 5,
    "evaluation.accumulate_cv_results": 5,
    "evaluation.find_best_configuration": 6,
    "evaluation.selection_commands": 6,
    "experiment_planning.plan_and_preprocess_api": 5,
    "experiment_planning.plan_and_preprocess_entrypoints": 5,
    "experiment_planning.plans_for_pretraining": 5,
    "training.nnUNetTrainer": 6,
    "training.final_validation": 6,
    "training.debug_information": 6,
    "training.trainer_setup": 6,
    "training.applied_options": 6,
    "training.epoch_loop": 6,
    "training.agreement": 6,
    "run": 7,
    "dataset_conversion": 7,
    "model_sharing": 7,
    "demo": 7,
    "competitions": 7,
    "dataset_report": 7,
    # facades: established paths of things that live elsewhere; nothing inside imports them
    "utilities.crossval_split": 8,
    "training.dataloading.nnunet_dataset": 8,
    "training.dataloading.utils": 8,
    "inference.predict_from_raw_data": 8,
}

# Plans and checkpoints name classes as strings; these functions are the only places that reach up, at use.
DOORS = {
    ("utilities.find_objects", "training.nnUNetTrainer.nnUNetTrainer"),
    ("inference.patchable", "inference.predict_from_raw_data"),
}


def module_name(path: Path) -> str:
    """Dotted name below the package; the package itself is ``nnunetv2``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts) or "nnunetv2"


def rank(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in RANKS:
            return RANKS[prefix]
    raise AssertionError(f"{module} has no rank; add its room to RANKS")


def imports_of(path: Path) -> list[tuple[int, str, bool]]:
    """(line, module below the package, inside a function) of every import of this package, type checking left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[int, str, bool]] = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nnunetv2":
            base = node.module.removeprefix("nnunetv2").removeprefix(".")
            for alias in node.names:
                target = f"{base}.{alias.name}".strip(".")
                as_path = PACKAGE.joinpath(*target.split("."))
                is_module = as_path.with_suffix(".py").exists() or as_path.is_dir()
                found.append((node.lineno, target if is_module else base or "nnunetv2", inside))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "nnunetv2":
                    found.append((node.lineno, alias.name.removeprefix("nnunetv2").strip(".") or "nnunetv2", inside))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, False)
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_to_lower_ranks(path):
    importer = module_name(path)
    own = rank(importer)
    wrong = []
    for line, target, _inside in imports_of(path):
        if (importer, target) in DOORS:
            continue
        other = rank(target)
        same_room = importer.split(".")[0] == target.split(".")[0]
        if own == 8 or other < own or (other == own and same_room):
            continue
        wrong.append(f"line {line}: {importer} (rank {own}) imports {target} (rank {other})")
    assert not wrong, "\n".join(wrong)


TORCH_FREE = ("records", "imageio", "storage", "experiment_planning", "evaluation", "cli", "geometry", "demo.phantom")


@pytest.mark.parametrize("path", [p for p in MODULES if module_name(p).startswith(TORCH_FREE)], ids=module_name)
def test_torch_is_not_imported_where_planning_and_files_are_handled(path):
    lines = [
        node.lineno
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if (isinstance(node, ast.Import) and any(a.name.split(".")[0] == "torch" for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch")
    ]
    assert not lines, f"{module_name(path)} imports torch in line {lines}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_modules_stay_short(path):
    limits = {"training.nnUNetTrainer.nnUNetTrainer": 450, "inference.predictor": 350}
    limit = limits.get(module_name(path), 400)
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= limit, f"{lines} lines; look for the seam (limit {limit})"
