#!/usr/bin/env bash
# Puts Triton's perf_analyzer below the folder named by $1 and prints how to call it. Needs x86-64 Linux and glibc 2.34.
#
# The package perf-analyzer itself (2.58 and later) wants glibc 2.38, which Debian 12 has not; the wheel of tritonclient
# carried the same program until then, linked against 2.34. It wants two libraries that the wheel lacks: the CUDA runtime,
# a package of its own, and libb64, taken from the system or from its Debian package (unpacked, not installed).
set -euo pipefail
TARGET=$1
PIP=$2
VERSION=2.50.0
mkdir -p "$TARGET/lib"
cd "$TARGET"

if [ ! -x perf_analyzer ]; then
  "$PIP" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest wheels \
    "tritonclient==$VERSION" nvidia-cuda-runtime-cu12==12.9.79
  python3 - <<'PYTHON'
import glob, os, zipfile
for wheel in glob.glob("wheels/*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            base = os.path.basename(name)
            target = {"perf_analyzer": "perf_analyzer.new", "libcudart.so.12": "lib/libcudart.so.12"}.get(base)
            if target:
                with open(target, "wb") as out:
                    out.write(archive.read(name))
PYTHON
  rm -r wheels
  if ! ldconfig -p | grep -q 'libb64\.so\.0d' && [ ! -e lib/libb64.so.0d ]; then
    apt-get download libb64-0d >/dev/null 2>&1 || { apt-get update -qq && apt-get download libb64-0d >/dev/null; }
    dpkg-deb -x libb64-0d_*.deb unpacked
    find unpacked -name 'libb64.so.0d' -exec cp -L {} lib/ \;
    rm -r unpacked libb64-0d_*.deb
  fi
  chmod +x perf_analyzer.new
  mv perf_analyzer.new perf_analyzer
fi
