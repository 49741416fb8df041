#!/usr/bin/env bash
# Installs the filters and metrics of lm-evaluation-harness 0.4 into a prefix of their own,
# for the test that grades the same answers with them. ~200 MB: without torch and datasets,
# which grading stored texts does not touch.
#
#   tests/lm_eval/install.sh
#
# Prints the interpreter. Running it again is cheap: what is there is kept.
set -euo pipefail

home=${BENCH_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/bench/engines}/lm-eval
if ! "$home/bin/python" -c 'import lm_eval.api.metrics, lm_eval.utils, yaml' 2>/dev/null; then
  rm -rf "$home"
  python3 -m venv "$home"
  "$home/bin/pip" install -q --disable-pip-version-check --no-deps 'lm-eval==0.4.13'
  "$home/bin/pip" install -q --disable-pip-version-check numpy sacrebleu pyyaml jinja2 requests 2>&1 |
    grep -v 'lm-eval\|dependency resolver' >&2 || true
  "$home/bin/python" -c 'import lm_eval.api.metrics, lm_eval.utils, yaml'
fi
printf '%s\n' "$home/bin/python"
