"""The steps of ``ensemble_pipeline.sh``: what each is made from and what it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nnunetv2.competitions.heart_names import ENDING, PREDICTIONS
from nnunetv2.competitions.step_records import Step, file_mark
from nnunetv2.errors import PlansError, UsageError
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw, nnUNet_results
from nnunetv2.records import layout
from nnunetv2.records.files import read_json
from nnunetv2.records.plans import resolve_configuration
from nnunetv2.records.splits import load_splits, random_split

RECORD = ".pipeline_step.json"
ENSEMBLE_FOLDER, FINAL_FOLDER, ZIP = "predict_ensemble", "predict_pp", "predict.zip"

# Entries of the plans that decide how a case looks after preprocessing.
_PREPROCESSING_OF_PLANS = ("transpose_forward", "image_reader_writer", "foreground_intensity_properties_per_channel")
_PREPROCESSING_OF_CONFIGURATION = (
    *("data_identifier", "preprocessor_name", "spacing", "normalization_schemes", "use_mask_for_norm"),
    *("resampling_fn_data", "resampling_fn_data_kwargs", "resampling_fn_seg", "resampling_fn_seg_kwargs"),
)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Settings of a run, and its steps. ``dataset`` is the full name, ``project`` the folder of the submission."""

    dataset: str
    configurations: tuple[str, ...]
    trainer: str = "nnUNetTrainer"
    plans: str = "nnUNetPlans"
    folds: tuple[int | str, ...] = (0, 1, 2, 3, 4)
    ensemble: str = "all"
    """``all``: average all configurations; ``best``: what nnUNetv2_find_best_configuration found best."""
    project: Path = Path()

    @cached_property
    def raw(self) -> Path:
        """The raw data set."""
        return Path(nnUNet_raw.require(), self.dataset)

    @cached_property
    def preprocessed(self) -> Path:
        """Where its plans and preprocessed cases lie."""
        return Path(nnUNet_preprocessed.require(), self.dataset)

    @cached_property
    def results(self) -> Path:
        """Where its trained models lie."""
        return Path(nnUNet_results.require(), self.dataset)

    def model(self, configuration: str) -> Path:
        """The folder of a trained model."""
        return self.results / layout.model_identifier(self.trainer, self.plans, configuration)

    def predictions(self, configuration: str) -> Path:
        """Where a model's predictions of the test cases go."""
        return self.project / f"predict_{configuration}"

    @cached_property
    def training_cases(self) -> list[str]:
        """Names of the labelled cases."""
        return [name.removesuffix(ENDING) for name in layout.files_with_ending(self.raw / layout.LABELS_TR, ENDING)]

    @cached_property
    def test_images(self) -> list[Path]:
        """Image files of the test cases."""
        folder = self.raw / layout.IMAGES_TS
        names = layout.files_with_ending(folder, ENDING) if folder.is_dir() else []
        if not names:
            raise UsageError(f"{folder} has no images to predict (*{ENDING})")
        return [folder / name for name in names]

    @cached_property
    def test_cases(self) -> list[str]:
        """Names of the test cases."""
        cut = layout.CHANNEL_SUFFIX_LENGTH + len(ENDING)
        return sorted({path.name[:-cut] for path in self.test_images})

    def configuration(self, name: str) -> dict[str, Any]:
        """A configuration of the plans with what it inherits. Raises PlansError when it is not planned."""
        return resolve_configuration(self._plans, name)

    def previous_stage(self, name: str) -> str | None:
        """The configuration whose predictions this one needs. Raises PlansError when it is not among ours, before."""
        previous = self.configuration(name).get("previous_stage")
        before = self.configurations[: self.configurations.index(name)]
        if previous is not None and previous not in before:
            raise PlansError(
                f"{name} needs the predictions of {previous}: name {previous} before {name} in CONFIGURATIONS"
            )
        return previous

    @cached_property
    def _plans(self) -> dict[str, Any]:
        return read_json(layout.plans_file(self.preprocessed, self.plans))

    def _data_marks(self) -> dict[str, Any]:
        files = [path for name in (layout.IMAGES_TR, layout.LABELS_TR) for path in sorted((self.raw / name).glob("*"))]
        marks = {f"{path.parent.name}/{path.name}": file_mark(path) for path in files if path.name[0] != "."}
        return marks | {layout.DATASET_JSON: read_json(self.raw / layout.DATASET_JSON)}

    # The steps

    def plan(self) -> Step:
        """Fingerprint and plans."""
        plans = Path(layout.plans_file(self.preprocessed, self.plans))
        record = self.preprocessed / f".{self.plans}{RECORD}"
        return Step(
            title=f"planning {self.dataset}",
            record=record,
            inputs=self._data_marks(),
            missing=lambda: absent([self.preprocessed / layout.FINGERPRINT_JSON, plans]),
            adopt=True,
            all_at_once=True,
            when_changed=f"the training data are not those of {plans} any more. To plan anew, move {self.preprocessed} "
            f"away; to keep these plans, delete {record}",
        )

    def preprocess(self, configuration: str) -> Step:
        """Training cases as the network sees them."""
        resolved = self.configuration(configuration)
        folder = self.preprocessed / resolved["data_identifier"]
        return Step(
            title=f"preprocessing {configuration}",
            record=self.preprocessed / f".{folder.name}{RECORD}",
            inputs=self._preprocessing_inputs(resolved),
            missing=lambda: self._missing_preprocessed(folder),
            adopt=True,
        )

    def _preprocessing_inputs(self, resolved: dict[str, Any]) -> dict[str, Any]:
        return {
            "data": self._data_marks(),
            "plans": {key: self._plans.get(key) for key in _PREPROCESSING_OF_PLANS},
            "configuration": {key: resolved.get(key) for key in _PREPROCESSING_OF_CONFIGURATION},
        }

    def _missing_preprocessed(self, folder: Path) -> list[str]:
        stores = [(".b2nd", "_seg.b2nd", ".pkl"), (".npz", ".pkl")]
        without = [
            f"{folder / case}.*"
            for case in self.training_cases
            if not any(all((folder / (case + ending)).is_file() for ending in endings) for endings in stores)
        ]
        references = [self.preprocessed / layout.GROUND_TRUTH / (case + ENDING) for case in self.training_cases]
        return without + absent(references)

    def train(self, configuration: str, fold: int | str) -> Step:
        """The final checkpoint of a fold."""
        folder = self.model(configuration) / layout.fold_folder_name(fold)
        resolved = self.configuration(configuration)
        return Step(
            title=f"training {configuration}, fold {fold}",
            record=folder / RECORD,
            inputs=self._preprocessing_inputs(resolved) | {"whole configuration": resolved},
            missing=lambda: absent([folder / layout.CHECKPOINT_FINAL]),
            output=folder,
            adopt=True,
            all_at_once=True,
            when_changed=f"{folder} was trained with other data or plans than there are now. To train anew, move it "
            f"away; to keep it as it is, delete {folder / RECORD}",
        )

    def validate(self, configuration: str, fold: int | str) -> Step:
        """Predictions of a fold's validation cases with probabilities, and their evaluation."""
        folder = self.model(configuration) / layout.fold_folder_name(fold)
        return Step(
            title=f"validation of {configuration}, fold {fold}",
            record=folder / f".{layout.VALIDATION}{RECORD}",
            inputs={"checkpoint": file_mark(folder / layout.CHECKPOINT_FINAL)},
            missing=lambda: self._missing_validation(configuration, fold),
            adopt=True,
            all_at_once=True,
        )

    def _missing_validation(self, configuration: str, fold: int | str) -> list[str]:
        folder = self.model(configuration) / layout.fold_folder_name(fold)
        cases, validation = self._validation_cases(fold), folder / layout.VALIDATION
        missing = absent(validation / (case + ending) for case in cases for ending in (ENDING, ".npz", ".pkl"))
        checkpoint, summary = folder / layout.CHECKPOINT_FINAL, validation / layout.SUMMARY_JSON
        # The evaluation comes last; one that is older than the network belongs to another network.
        if not summary.is_file() or (checkpoint.is_file() and summary.stat().st_mtime < checkpoint.stat().st_mtime):
            missing.append(str(summary))
        for following in self.configurations:
            if self.configuration(following).get("previous_stage") == configuration:
                stage = Path(layout.next_stage_folder(self.model(configuration), following))
                missing += [str(stage / case) for case in cases if not list(stage.glob(f"{case}.*"))]
        return missing

    def _validation_cases(self, fold: int | str) -> list[str]:
        if fold == "all":
            return self.training_cases
        splits = load_splits(self.preprocessed / layout.SPLITS_JSON)
        return splits[fold]["val"] if fold < len(splits) else random_split(self.training_cases, int(fold))[1]

    def select(self) -> Step:
        """The best configuration and the postprocessing; the record also says which models predict."""
        from nnunetv2.competitions.heart_selection import missing_selection, selection

        summaries = {
            f"{configuration} {fold}": file_mark(
                self.model(configuration) / layout.fold_folder_name(fold) / layout.VALIDATION / layout.SUMMARY_JSON
            )
            for configuration in self.configurations
            for fold in self.folds
        }
        return Step(
            title="choice of the best configuration",
            record=self.results / f".{self.trainer}__{self.plans}{RECORD}",
            inputs={"summaries": summaries, "ensemble": self.ensemble},
            missing=lambda: missing_selection(self),
            notes=lambda: selection(self),
        )

    @cached_property
    def selected(self) -> dict[str, Any]:
        """``members`` (configurations that predict) and ``postprocessing`` (file), as ``select`` noted them."""
        return read_json(self.select().record)

    def predict(self, configuration: str) -> Step:
        """Predictions of the test cases, with probabilities if they will be averaged with others."""
        model, folder = self.model(configuration), self.predictions(configuration)
        documents = [model / layout.PLANS_JSON, model / layout.DATASET_JSON]
        checkpoints = [model / layout.fold_folder_name(fold) / layout.CHECKPOINT_FINAL for fold in self.folds]
        previous = self.previous_stage(configuration)
        earlier = [] if previous is None else self._segmentations(self.predictions(previous))
        probabilities = self._needs_probabilities(configuration)
        endings = (ENDING, ".npz", ".pkl") if probabilities else (ENDING,)
        return Step(
            title=f"prediction with {configuration}",
            record=folder / RECORD,
            inputs=marks([*self.test_images, *documents, *checkpoints, *earlier]) | {"probabilities": probabilities},
            missing=lambda: absent(folder / (case + ending) for case in self.test_cases for ending in endings),
            output=folder,
        )

    def _needs_probabilities(self, configuration: str) -> bool:
        members = self.selected["members"]
        return len(members) > 1 and configuration in members

    def predicting(self) -> list[str]:
        """The configurations that have to predict, in order: the members, and what they need as previous stage."""
        wanted = set(self.selected["members"])
        for configuration in reversed(self.configurations):
            if configuration in wanted and (previous := self.previous_stage(configuration)) is not None:
                wanted.add(previous)
        return [configuration for configuration in self.configurations if configuration in wanted]

    def average(self) -> Step:
        """The ensemble of all members."""
        folder = self.project / ENSEMBLE_FOLDER
        sources = [
            self.predictions(member) / f"{case}.npz" for member in self.selected["members"] for case in self.test_cases
        ]
        return Step(
            title="ensemble",
            record=folder / RECORD,
            inputs=marks(sources),
            missing=lambda: absent(self._segmentations(folder)),
            output=folder,
            resumable=False,
        )

    def to_postprocess(self) -> Path:
        """The predictions that the postprocessing starts from."""
        members = self.selected["members"]
        return self.project / ENSEMBLE_FOLDER if len(members) > 1 else self.predictions(members[0])

    def postprocess(self) -> Step:
        """Postprocessed segmentations, under either of their names."""
        folder, source = self.project / FINAL_FOLDER, self.to_postprocess()
        return Step(
            title="postprocessing",
            record=folder / RECORD,
            inputs=marks([*self._segmentations(source), Path(self.selected["postprocessing"])]),
            missing=lambda: [str(file) for file in self._segmentations(folder) if not _under_either_name(file)],
            output=folder,
            resumable=False,  # renamed files of an earlier attempt would be in the way of the renaming
        )

    def _segmentations(self, folder: Path) -> list[Path]:
        return [folder / (case + ENDING) for case in self.test_cases]

    def submitted(self) -> list[Path]:
        """The files of the submission, as far as they are there."""
        folder = self.project / FINAL_FOLDER
        return [folder / name for name in layout.files_with_ending(folder, f"_predict{ENDING}")]


def _under_either_name(segmentation: Path) -> bool:
    renamed = PREDICTIONS.target(segmentation.name)
    return segmentation.is_file() or (renamed is not None and segmentation.with_name(renamed).is_file())


def absent(files: Sequence[Path] | Any) -> list[str]:
    """Those of ``files`` that do not exist."""
    return [str(file) for file in files if not file.is_file()]


def marks(files: Sequence[Path]) -> dict[str, str]:
    """Marks of files by the end of their path, which stays the same when everything is moved."""
    return {"/".join(file.parts[-3:]): file_mark(file) for file in files}
