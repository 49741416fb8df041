#!/usr/bin/env bash
# Installs transformers without torch, and packages that ship chat templates of public models, into
# a prefix of their own, for the test that renders these templates with both. ~330 MB.
#
#   tests/templates/install.sh
#
# Prints the interpreter. Running it again is cheap: what is there is kept.
set -euo pipefail

home=${BENCH_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/bench/engines}/templates
families=$home/share/llm_family.json
pip() { "$home/bin/python" -m pip "$@" -q --disable-pip-version-check; }
if [ ! -s "$families" ]; then
  rm -rf "$home"
  python3 -m venv "$home"
  pip install 'transformers==5.19.0' 'jinja2==3.1.6'
  # Their templates are read as files; neither is imported.
  pip install --no-deps 'axolotl==0.19.0' 'trl==1.16.0'
  # Of this one a single file is wanted: the families of models that it knows.
  pip download --no-deps -d "$home/wheels" 'xinference==1.17.1'
  mkdir -p "$home/share"
  "$home/bin/python" - "$home"/wheels/xinference-*.whl "$families" <<'PYTHON'
import sys, zipfile
wheel, to = sys.argv[1:]
with open(to, "wb") as file:
    file.write(zipfile.ZipFile(wheel).read("xinference/model/llm/llm_family.json"))
PYTHON
  rm -rf "$home/wheels"
fi
printf '%s\n' "$home/bin/python"
