#!/bin/sh
# Segment every .nii.gz in inputs/ with the FLARE24 model; the results go to outputs/ under the same names (a
# channel number _0000 is left out). One case at a time, the model is loaded once. A case that fails does not stop the
# others; it is named at the end and the exit status is 1.
#
#   sh predict.sh                         in the image, or here after bash install.sh
#   INPUTS=ct OUTPUTS=seg sh predict.sh   other folders
#   RESULTS=my_results sh predict.sh      the model of another folder than nnUNet_results
#   sh predict.sh --disable_tta           further arguments: python -m nnunetv2.inference.folder_of_cases -h
#
# PYTHON=/path/to/python chooses the interpreter: else .venv/bin/python, if there is one, else python.
set -eu
cd "$(dirname "$0")"

if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; fi
fi
export nnUNet_results="${RESULTS:-nnUNet_results}"

exec "$PYTHON" -m nnunetv2.inference.folder_of_cases -i "${INPUTS:-inputs}" -o "${OUTPUTS:-outputs}" \
    -d 24 -c 3d_fullres_S4D2W32 -f all "$@"
