#!/usr/bin/env bash
# Installs pandas into a prefix of its own, for the Python blocks of README and pages. ~190 MB.
#
#   tests/pandas/install.sh
#
# Prints the interpreter. Running it again is cheap: what is there is kept.
set -euo pipefail

home=${BENCH_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/bench/engines}/pandas
if ! "$home/bin/python" -c 'import pandas' 2>/dev/null; then
  rm -rf "$home"
  python3 -m venv "$home"
  "$home/bin/pip" install -q --disable-pip-version-check 'pandas==3.1.1'
fi
printf '%s\n' "$home/bin/python"
