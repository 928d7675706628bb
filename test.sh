#!/usr/bin/env bash
# Check style, types and behaviour, and print the test coverage. Makes .venv and installs first.
#
#   bash test.sh                       the fast tests
#   bash test.sh --all                 the slow ones, too
#   bash test.sh tests/evaluation -x   further arguments go to pytest
#
# PYTHON=/path/to/python3 chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

which=()
arguments=()
for argument in "$@"; do
    if [ "$argument" = --all ]; then
        which=(-m "not gpu")
    else
        arguments+=("$argument")
    fi
done

bash install.sh test

echo "== ruff"
.venv/bin/ruff check .
.venv/bin/ruff format --check .
echo "== mypy"
.venv/bin/mypy
echo "== pytest"
# One thread in each test process, and waiting without spinning: the tests share the cores among themselves.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
.venv/bin/python -m pytest -n "${TEST_PROCESSES:-2}" --dist worksteal --cov --cov-report=term \
    ${which[@]+"${which[@]}"} ${arguments[@]+"${arguments[@]}"}
