#!/usr/bin/env bash
# Runs the packed benchmarks on a machine that has PyTorch and no .NET: its libraries serve TorchSharp.
#   ./run.sh device --peer python3 --json figures.json
# PYTHON names the Python that has PyTorch (python3).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
wanted=2.10

found=$("$python" -c 'import os, torch; print(torch.__version__, os.path.join(os.path.dirname(torch.__file__), "lib"))') || {
    echo "No PyTorch was found by $python; name a Python that has it: PYTHON=… $0" >&2
    exit 2
}
read -r version torch <<<"$found"
echo "PyTorch $version in $torch; TorchSharp's native library was made for $wanted." >&2

# TorchSharp looks for LibTorch beside itself first.
for library in "$torch"/lib*.so*; do
    ln -sf "$library" "$here/"
done
libraries=$torch
for folder in "$(dirname "$(dirname "$torch")")"/nvidia/*/lib; do
    [[ -d $folder ]] && libraries+=:$folder
done
export LD_LIBRARY_PATH=$here:$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

preload=()
if [[ -e $torch/libtorch_cuda.so ]]; then
    # Nothing links to it: CUDA's kernels register themselves when it is loaded.
    preload+=("$torch/libtorch_cuda.so")
    if command -v cc >/dev/null && cc -shared -fPIC -O2 -o "$here/liblaunches.so" "$here/launches.c" -ldl; then
        preload=("$here/liblaunches.so" "${preload[@]}")
    fi
fi
# Not for this shell's own children before: only the program is to have them.
chmod +x "$here/Dpo.Benchmarks"
exec env LD_PRELOAD="$(IFS=:; echo "${preload[*]:-}")" "$here/Dpo.Benchmarks" "$@"
