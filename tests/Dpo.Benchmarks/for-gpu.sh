#!/usr/bin/env bash
# Publishes the benchmarks self-contained and without LibTorch, for a Linux machine with an NVIDIA GPU that has PyTorch but no .NET:
#   tests/Dpo.Benchmarks/for-gpu.sh [FOLDER]     makes FOLDER/ and FOLDER.tar.gz (artifacts/for-gpu by default)
#   tar xf for-gpu.tar.gz && for-gpu/run.sh device --peer python3      on that machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../artifacts/for-gpu}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# No backend: LibTorch comes from PyTorch there.
dotnet publish "$here" -c Release -r linux-x64 --self-contained -p:TorchBackend=none -o "$folder" -v quiet
rm -f "$folder"/ParquetSharpNative.so "$folder"/libmscordbi.so "$folder"/libmscordaccore.so "$folder"/*.pdb
chmod +x "$folder/run.sh"
tar czf "$folder.tar.gz" -C "$(dirname "$folder")" "$(basename "$folder")"
echo "$folder.tar.gz, $(du -h "$folder.tar.gz" | cut -f1)"
