#!/usr/bin/env bash
# AI CUP 2025 (heart CT) from raw data to predict.zip: rename, plan, preprocess, train all folds, validate them with
# probabilities, choose the best configuration and postprocessing, predict imagesTs, average, postprocess, rename, zip.
#
#   bash ensemble_pipeline.sh                                        the settings below
#   GPU=1 CONFIGURATIONS="2d 3d_fullres" bash ensemble_pipeline.sh   others
#
# Run it in the project's folder, where predict_pp/ and predict.zip will lie. It can be killed anywhere and started
# again: complete steps are skipped, training continues from the last checkpoint. What was made from data or settings
# that have changed since is made anew, except plans and trained networks: there it stops and says what to do.
# documentation/competitions/aicup_heart.md explains every step. PYTHON=/path/to/python chooses the interpreter.
set -euo pipefail

GPU="${GPU:-${CUDA_VISIBLE_DEVICES:-0}}"           # number of the GPU to use
DEVICE="${DEVICE:-cuda}"                           # cuda, cpu or mps
DATASET="${DATASET:-100}"                          # number or name of the data set in nnUNet_raw
CONFIGURATIONS="${CONFIGURATIONS:-3d_fullres}"     # one or more; several are averaged (see ENSEMBLE)
TRAINER="${TRAINER:-nnUNetTrainer}"                # trainer class
PLANS="${PLANS:-nnUNetPlans}"                      # plans identifier
PLANNER="${PLANNER:-ExperimentPlanner}"            # planner class that makes these plans
FOLDS="${FOLDS:-0 1 2 3 4}"                        # folds to train and to average
ENSEMBLE="${ENSEMBLE:-all}"                        # all: average all configurations; best: only what was found best

export nnUNet_raw="${nnUNet_raw:-$PWD/nnUNet_raw}"
export nnUNet_preprocessed="${nnUNet_preprocessed:-$PWD/nnUNet_preprocessed}"
export nnUNet_results="${nnUNet_results:-$PWD/nnUNet_results}"
if [ "$DEVICE" = cuda ]; then export CUDA_VISIBLE_DEVICES="$GPU"; fi

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
read -ra configurations <<<"$CONFIGURATIONS"
read -ra folds <<<"$FOLDS"
title="getting ready"
advice="Correct what the message above names"

say() { printf '%s\n' "$@"; }

on_exit() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        {
            say ""
            say "ensemble_pipeline.sh stopped in this step: $title (status $status)."
            say "$advice, then start the script again: complete steps are skipped."
        } >&2
    fi
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Questions about the steps, answered in Python: pipeline VERB [WORD ...]
pipeline() {
    "$python" -m nnunetv2.competitions.heart_pipeline_command -d "$DATASET" -c "${configurations[@]}" \
        -f "${folds[@]}" -tr "$TRAINER" -p "$PLANS" --ensemble "$ENSEMBLE" --do "$@"
}

# step "WORDS" COMMAND ...: run COMMAND unless the step of that name (such as "train 3d_fullres 0") is complete.
# COMMAND finds in $state whether the step is new, begun (interrupted) or changed (its inputs are others now).
step() {
    local words
    read -ra words <<<"$1"
    title="$1"
    shift
    state="$(pipeline open "${words[@]}")"
    if [ "$state" = complete ]; then
        say "--- $title: complete"
        return
    fi
    say "" "=== $title ($state)"
    "$@"
    pipeline finish "${words[@]}"
}

plan() {
    nnUNetv2_plan_and_preprocess -d "$DATASET" -pl "$PLANNER" -overwrite_plans_name "$PLANS" \
        --verify_dataset_integrity --no_pp --no_pbar
}

preprocess() { nnUNetv2_preprocess -d "$DATASET" -plans_name "$PLANS" -c "$1" --no_pbar; }

# The final validation with probabilities is part of it.
train() {
    local more=()
    if [ "$state" = begun ]; then more=(--c); fi
    nnUNetv2_train "$DATASET" "$1" "$2" -tr "$TRAINER" -p "$PLANS" -device "$DEVICE" --npz ${more[@]+"${more[@]}"}
}

validate() { nnUNetv2_train "$DATASET" "$1" "$2" -tr "$TRAINER" -p "$PLANS" -device "$DEVICE" --val --npz; }

choose() {
    nnUNetv2_find_best_configuration "$DATASET" -c "${configurations[@]}" -tr "$TRAINER" -p "$PLANS" -f "${folds[@]}"
    if [ "${#configurations[@]}" -gt 1 ]; then pipeline determine-postprocessing; fi
}

predict() {
    local previous more=()
    previous="$(pipeline previous-stage "$1")"
    if [ -n "$previous" ]; then more+=(-prev_stage_predictions "predict_$previous"); fi
    if [ "${#members[@]}" -gt 1 ]; then more+=(--save_probabilities); fi
    nnUNetv2_predict -i "$nnUNet_raw/$dataset/imagesTs" -o "predict_$1" -d "$DATASET" -c "$1" -tr "$TRAINER" \
        -p "$PLANS" -f "${folds[@]}" -device "$DEVICE" --continue_prediction --disable_progress_bar \
        ${more[@]+"${more[@]}"}
}

average() { nnUNetv2_ensemble -i "${members[@]/#/predict_}" -o predict_ensemble; }

postprocess() { nnUNetv2_apply_postprocessing -i "$source" -o predict_pp -pp_pkl_file "$postprocessing"; }

# The commands lie beside the interpreter: the one in PYTHON, else that of install.sh, else the one in the path.
python="${PYTHON:-$here/.venv/bin/python}"
if [ ! -x "$python" ]; then python="$(command -v python3)"; fi
PATH="$(dirname "$python"):$PATH"
if ! command -v nnUNetv2_train >/dev/null; then
    advice="Install first: bash $here/install.sh"
    say "nnUNetv2_train is not installed beside $python" >&2
    exit 1
fi

# Commands inherit the lock, so one that outlives a killed script is waited for instead of disturbed.
mkdir -p "$nnUNet_results"
exec 9>>"$nnUNet_results/.ensemble_pipeline.lock"
dataset="$(pipeline lock 9)"

title="renaming the data"
"$python" "$here/rename_data.py" --dataset "$dataset" --only data

advice="Correct the data it names (nnUNetv2_dataset_report -d $DATASET -o report shows them all)"
step plan plan
title="checking what is trained already"
advice="Do what the message above says"
pipeline check-trained
for configuration in "${configurations[@]}"; do
    advice="If memory ran out, use fewer processes: export nnUNet_def_n_proc=2"
    step "preprocess $configuration" preprocess "$configuration"
done

for configuration in "${configurations[@]}"; do
    for fold in "${folds[@]}"; do
        advice="Read the end of the training log, correct the cause (memory of the GPU, space on the disk)"
        step "train $configuration $fold" train "$configuration" "$fold"
        step "validate $configuration $fold" validate "$configuration" "$fold"
    done
done

advice="Correct what the message above names"
step select choose
chosen="$(pipeline chosen)"
{ read -ra members; read -ra predicting; read -r source; read -r postprocessing; } <<<"$chosen"
say "" "Members of the ensemble: ${members[*]}"
for configuration in "${predicting[@]}"; do
    advice="Correct what the message above names (GPU memory: close other programs; a case: look at its image)"
    step "predict $configuration" predict "$configuration"
done
if [ "${#members[@]}" -gt 1 ]; then step ensemble average; fi
step postprocess postprocess

title="renaming the predictions"
advice="Correct what the message above names"
"$python" "$here/rename_data.py" --dataset "$dataset" --only predictions
title="packing predict.zip"
pipeline pack
