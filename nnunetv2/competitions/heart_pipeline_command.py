"""What ``ensemble_pipeline.sh`` asks for: ``python -m nnunetv2.competitions.heart_pipeline_command ... VERB STEP``."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nnunetv2.cli.arguments import command_parser, fold
from nnunetv2.cli.commands import command
from nnunetv2.competitions.heart_steps import ZIP, Pipeline
from nnunetv2.competitions.step_records import Step, begin, finish, state_of
from nnunetv2.errors import DatasetError, UsageError
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name


def step_of(pipeline: Pipeline, words: Sequence[str]) -> Step:
    """The step that words such as ``train 3d_fullres 0`` name."""
    name, *arguments = words
    steps: dict[str, Callable[..., Step]] = {
        "plan": pipeline.plan,
        "preprocess": pipeline.preprocess,
        "train": lambda configuration, number: pipeline.train(configuration, fold(number)),
        "validate": lambda configuration, number: pipeline.validate(configuration, fold(number)),
        "select": pipeline.select,
        "predict": pipeline.predict,
        "ensemble": pipeline.average,
        "postprocess": pipeline.postprocess,
    }
    if name not in steps:
        raise UsageError(f"there is no step {name!r}; steps are {', '.join(steps)}")
    return steps[name](*arguments)


def open_step(pipeline: Pipeline, *words: str) -> None:
    """Print what is to be done for a step, and note that it is begun unless it is complete."""
    say(begin(step_of(pipeline, words)).value)


def check_trained(pipeline: Pipeline) -> None:
    """Refuse folds that were trained with other data or plans, before hours are spent on anything."""
    for configuration in pipeline.configurations:
        pipeline.previous_stage(configuration)
        for number in pipeline.folds:
            state_of(pipeline.train(configuration, number))
    say(f"{len(pipeline.test_cases)} test cases")


def determine_postprocessing(pipeline: Pipeline) -> None:
    """Find the postprocessing of the ensemble of all configurations."""
    from nnunetv2.competitions.heart_selection import determine_postprocessing_of_all

    determine_postprocessing_of_all(pipeline)


def chosen(pipeline: Pipeline) -> None:
    """Print four lines: members, configurations that predict, folder to postprocess, postprocessing file."""
    say(" ".join(pipeline.selected["members"]))
    say(" ".join(pipeline.predicting()))
    say(str(pipeline.to_postprocess()))
    say(pipeline.selected["postprocessing"])


def pack(pipeline: Pipeline) -> None:
    """Write the zip file, unless it has the present content."""
    from nnunetv2.competitions.submission_zip import holds_exactly, write_flat_zip

    files, target = pipeline.submitted(), pipeline.project / ZIP
    if len(files) != len(pipeline.test_cases):
        raise DatasetError(
            f"{len(files)} of {len(pipeline.test_cases)} predictions have the name of a submission "
            "(patient0051_predict.nii.gz), so the zip file was not written"
        )
    if holds_exactly(target, files):
        say(f"{target} is complete: {len(files)} files")
        return
    write_flat_zip(target, files)
    say(f"{target}: {len(files)} files")


def wait_for_lock(pipeline: Pipeline, descriptor: str) -> None:
    """Lock the file that the calling shell has open, for as long as it or any command it started lives.

    Prints the name of the data set.
    """
    try:
        fcntl.flock(int(descriptor), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("An earlier run, or a command it left behind, is still at work here; waiting for its end.\n")
        fcntl.flock(int(descriptor), fcntl.LOCK_EX)
    say(pipeline.dataset)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


VERBS: dict[str, Callable[..., None]] = {
    "lock": wait_for_lock,
    "open": open_step,
    "finish": lambda pipeline, *words: finish(step_of(pipeline, words)),
    "check-trained": check_trained,
    "previous-stage": lambda pipeline, configuration: say(pipeline.previous_stage(configuration) or ""),
    "determine-postprocessing": determine_postprocessing,
    "chosen": chosen,
    "pack": pack,
}


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Answer one question of the script, or do one thing for it."""
    parser = command_parser("heart_pipeline_command", "Judge and note the steps of ensemble_pipeline.sh.")
    parser.add_argument("-d", required=True, help="data set: number or name")
    parser.add_argument("-c", required=True, nargs="+", help="configurations")
    parser.add_argument("-f", required=True, nargs="+", type=fold, help="folds")
    parser.add_argument("-tr", required=True, help="trainer class")
    parser.add_argument("-p", required=True, help="plans identifier")
    parser.add_argument("--ensemble", required=True, choices=("all", "best"), help="which configurations predict")
    parser.add_argument("--do", required=True, nargs="+", metavar="WORD", help=f"one of {', '.join(VERBS)}; arguments")
    args = parser.parse_args(argv)
    verb, *words = args.do
    if verb not in VERBS:
        raise UsageError(f"there is no verb {verb!r}; verbs are {', '.join(VERBS)}")
    if len(set(args.c)) != len(args.c):
        raise UsageError(f"CONFIGURATIONS names a configuration twice: {' '.join(args.c)}")
    pipeline = Pipeline(
        dataset=str(maybe_convert_to_dataset_name(args.d)),
        configurations=tuple(args.c),
        trainer=args.tr,
        plans=args.p,
        folds=tuple(args.f),
        ensemble=args.ensemble,
        project=Path.cwd(),
    )
    VERBS[verb](pipeline, *words)


if __name__ == "__main__":
    main()
