#!/usr/bin/env bash
# Make the virtual environment .venv and install this project in it, with the versions in constraints.txt.
#
#   bash install.sh         what the commands need
#   bash install.sh test    what the tests need, too
#
# PYTHON=/path/to/python3 chooses the interpreter. A second call does nothing unless something changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

extra="${1:-}"
python="${PYTHON:-python3}"
venv=.venv

if ! command -v "$python" >/dev/null; then
    echo "$python was not found. Install Python 3.10 or newer, or name one: PYTHON=/path/to/python3 bash $0" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "$("$python" --version) is too old, Python 3.10 or newer is needed: PYTHON=/path/to/python3 bash $0" >&2
    exit 1
fi

# What the environment was made from: this interpreter, this folder, these files.
interpreter="$("$python" -c 'import os, sys; print(os.path.realpath(sys.executable), sys.version_info[:3])') $PWD"
files="$("$python" -c '
import hashlib
print(hashlib.sha256(b"".join(open(name, "rb").read() for name in ("pyproject.toml", "setup.py", "constraints.txt"))).hexdigest())
')"

if [ "$(cat "$venv/made-with" 2>/dev/null)" != "$interpreter" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "Making $venv with $("$python" --version)"
    if ! "$python" -m venv --clear "$venv"; then
        echo "The venv module is incomplete. On Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
    echo "$interpreter" >"$venv/made-with"
fi

# The test extra holds everything the plain installation holds.
for done in "$venv/installed-test" "$venv/installed-$extra"; do
    if [ "$(cat "$done" 2>/dev/null)" = "$files" ]; then
        exit 0
    fi
done

echo "Installing into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install --quiet --constraint constraints.txt --editable ".${extra:+[$extra]}"
rm -f "$venv"/installed-*
echo "$files" >"$venv/installed-$extra"
