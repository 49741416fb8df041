#!/usr/bin/env bash
# Builds what is shipped into target/packages: the program, a Python wheel and a Debian package.
#   packaging/dist.sh [x86_64|aarch64]
# It takes Rust, Python 3 and dpkg-deb. Zig links against an old C library, since the program loads
# NVIDIA's at run time and so cannot be static. Ends with 69 where its tools cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=${1:-x86_64}
glibc=2.28
target=$arch-unknown-linux-gnu
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
tools=$PWD/target/packaging-tools
out=$PWD/target/packages

if ! [ -x "$tools/bin/cargo-zigbuild" ]; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  timeout 300 "$tools/bin/pip" install --quiet ziglang==0.17.1 cargo-zigbuild==0.24.1 hatchling==1.33.0 build==1.6.1 ||
    { echo "dist.sh: zig, cargo-zigbuild, hatchling and build cannot be installed from the Python index" >&2; exit 69; }
fi
[ "$arch" = "$(uname -m)" ] || rustup target add "$target"
PATH="$tools/bin:$PATH" cargo zigbuild --profile dist --locked --target "$target.$glibc"

rm -rf "$out"
mkdir -p "$out"
cp "target/$target/dist/bench" "$out/bench"

# What the program says of itself, by one that runs on this machine.
if [ "$arch" = "$(uname -m)" ]; then
  bench=$out/bench
else
  cargo build --locked
  bench=target/debug/bench
fi
share=$out/share
mkdir -p "$share"/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d,man/man1}
"$bench" completions bash > "$share/bash-completion/completions/bench"
"$bench" completions zsh > "$share/zsh/vendor-completions/_bench"
"$bench" completions fish > "$share/fish/vendor_completions.d/bench.fish"
"$bench" man > "$share/man/man1/bench.1"
"$bench" schema python > "$out/bench_results.py"

# The wheel: program, reader of runs, completions and manual page.
cp packaging/wheel/* LICENSE "$out"
(cd "$out" && BENCH_VERSION=$version BENCH_TAG=py3-none-manylinux_${glibc/./_}_$arch \
  "$tools/bin/python" -m build --wheel --no-isolation --outdir .) > "$out/wheel.log" ||
  { cat "$out/wheel.log"; exit 1; }

# The Debian package, with the same files under /usr.
case $arch in x86_64) debian=amd64 ;; aarch64) debian=arm64 ;; esac
root=$out/debian
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/share/doc/bench"
cp "$out/bench" "$root/usr/bin/"
cp -r "$share"/. "$root/usr/share/"
gzip -9n "$root/usr/share/man/man1/bench.1"
cp LICENSE "$root/usr/share/doc/bench/copyright"
cat > "$root/DEBIAN/control" << END
Package: bench
Version: $version
Architecture: $debian
Maintainer: the authors of bench <bench@localhost>
Depends: libc6 (>= $glibc)
Section: science
Priority: optional
Description: measures language-model inference
 Engines, precisions and loads in one file, one table that can be trusted out.
END
dpkg-deb --root-owner-group --build "$root" "$out/bench_${version}_$debian.deb" > /dev/null
rm -r "$root"
ls -l "$out"/bench "$out"/*.whl "$out"/*.deb
