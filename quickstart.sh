#!/usr/bin/env bash
# The main job from start to end on CT phantoms made on the fly: data set, fingerprint, plans, a hand-edited
# configuration, preprocessing, training, prediction, evaluation, picture. Makes .venv and installs first.
#
#   bash quickstart.sh                 everything goes to quickstart_output/
#   bash quickstart.sh --folder DIR    everything goes to DIR
#
# PYTHON=/path/to/python3 chooses the interpreter. The script can be run again at any time.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

bash "$here/install.sh"
exec "$here/.venv/bin/python" -m nnunetv2.demo.quickstart "$@"
