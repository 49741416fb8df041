#!/usr/bin/env bash
# Makes the reports of this folder. No byte of them is typed.
#
#   make.sh            from the records that lie here: the same bytes, which a test holds
#   make.sh measure    measures all scenarios again first, some minutes, and packs their records
#   make.sh measure serving …   of these alone
#
# BENCH names the program; without it: target/release/bench.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bench=$(realpath "${BENCH:-$root/target/release/bench}")
# Its path stands in the reports, beside the commands of engines.
place=/tmp/bench-gallery
all=(tinyllama_fp16_vs_fp32 batch_sweep billion_tokens vllm_vs_sglang serving offline shapes decision)

# What each is measured with beyond its file: fewer requests where records would be large.
options() {
  case $1 in
    decision) ;;
    vllm_vs_sglang) echo --profile here --set phase.load.requests=64 ;;
    *) echo --profile here ;;
  esac
}

measure() {
  rm -rf "$place"
  mkdir -p "$place"
  cp -r "$root/scenarios" "$root/fixtures" "$place"
  cp "$here/decision.toml" "$place/scenarios"
  cp "$bench" "$place/bench"
  for name in "$@"; do
    # Rows that are doubtful here and gates that are missed are part of a report.
    # shellcheck disable=SC2046
    (cd "$place" && XDG_CACHE_HOME=$place/cache HF_HUB_OFFLINE=1 ./bench run "scenarios/$name.toml" --quiet --out "$name" $(options "$name")) ||
      [ $? -ge 100 ]
    # Without what is made of the records.
    (cd "$place" && tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
      --exclude='report.*' --exclude='summary.*' --exclude=requests.csv --exclude=lock -cf - "$name") |
      gzip -9n > "$here/$name.tar.gz"
  done
  rm -rf "$place"
}

remake() {
  local place
  place=$(mktemp -d)
  for name in "$@"; do
    tar -xzf "$here/$name.tar.gz" -C "$place"
    "$bench" report "$place/$name" --format markdown > /dev/null || [ $? -ge 100 ]
    cp "$place/$name/report.html" "${OUT:-$here}/$name.html"
    cp "$place/$name/report.md" "${OUT:-$here}/$name.md"
  done
  rm -rf "$place"
}

if [ "${1:-}" = measure ]; then
  shift
  [ $# -gt 0 ] || set -- "${all[@]}"
  measure "$@"
fi
remake "${all[@]}"
