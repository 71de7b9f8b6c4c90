#!/usr/bin/env bash
# Measures textkit on a GPU of a bare machine, in at most 8 minutes. Parity comes first, then rates; what was found by then stays.
#
#   benchmarks/gpu_run.sh prepare DATA FOLDER   here: wheels for Python 3.12 that the other machine may lack, in pieces, and data
#   benchmarks/gpu_run.sh take FOLDER           there: keeps the pieces that have come in FOLDER/pieces, for machines that are
#                                               sent a few megabytes at a time; once for each transfer
#   benchmarks/gpu_run.sh run FOLDER OUT        there: installs what is there, and writes OUT/gpu.md and OUT/gpu.jsonl
#
# `run` alone does where textkit's packages are installed; FOLDER then holds data/ alone. CTranslate2 needs CUDA 12's cuBLAS
# (libcublas.so.12), which machines with CUDA 13 lack: its part says so and is left out.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
kept=/tmp/textkit-pieces
site=/tmp/textkit-site
wheels="onnxruntime-gpu platformdirs tokenizers safetensors onnx ml_dtypes numba llvmlite click rich markdown-it-py mdurl pygments flatbuffers protobuf"

prepare() {
  local data=$1 folder=$2 name pin
  mkdir -p "$folder/wheels" "$folder/pieces" "$folder/data/tatoeba" "$folder/data/multi30k/tok" "$folder/data/wikitext2"
  for name in $wheels; do
    pin=$(grep -i "^${name//_/[-_]}==" "$here/constraints.txt" | head -1 || true)
    python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
      --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
      --platform manylinux2014_x86_64 --dest "$folder/wheels" "${pin:-$name}"
  done
  find "$folder/wheels" -name '*.whl' -size +50M | while read -r wheel; do
    split -b 48M -d -a 2 "$wheel" "$folder/pieces/$(basename "$wheel")."
    rm "$wheel"
  done
  gzip -dc "$data/tatoeba/train.en-de.tsv.gz" | head -60000 | gzip > "$folder/data/tatoeba/train.en-de.tsv.gz" || true
  cp "$data"/multi30k/tok/train.{en,de}.gz "$data"/multi30k/tok/val.{en,de} "$folder/data/multi30k/tok/"
  cp "$data/multi30k/train.en.gz" "$folder/data/multi30k/"
  cp "$data"/wikitext2/{train.txt.gz,valid.txt} "$folder/data/wikitext2/"
  du -sh "$folder"/*
}

take() {
  mkdir -p "$kept"
  cp "$1"/pieces/* "$kept"/
  ls -l "$kept"
}

run() {
  local folder=$1 out=$2 wheel
  mkdir -p "$out" "$site" /tmp/textkit-wheels
  cp "$folder"/wheels/*.whl /tmp/textkit-wheels/ 2>/dev/null || true
  for wheel in $(ls "$kept" "$folder/pieces" 2>/dev/null | sed -n 's/\.whl\.[0-9]*$/.whl/p' | sort -u); do
    cat $(ls "$kept/$wheel".* "$folder/pieces/$wheel".* 2>/dev/null | awk -F/ '!seen[$NF]++') > "/tmp/textkit-wheels/$wheel"
  done
  if ls /tmp/textkit-wheels/*.whl > /dev/null 2>&1; then
    # A second onnxruntime, without CUDA, would be refused: the two overwrite each other.
    if ls /tmp/textkit-wheels/onnxruntime_gpu-* > /dev/null 2>&1; then python3 -m pip uninstall -q -y onnxruntime || true; fi
    python3 -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$site" /tmp/textkit-wheels/*.whl
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
  fi
  # From a --target folder onnxruntime does not find CUDA's libraries, and child processes have not imported torch.
  local found
  found=$(python3 -c '
import glob, os, sys
folders = [folder for place in sys.path for name in ("cu13/lib", "cudnn/lib", "cublas/lib", "cuda_runtime/lib", "curand/lib")
           for folder in glob.glob(os.path.join(place, "nvidia", name))]
print(":".join(dict.fromkeys(folders)))')
  export LD_LIBRARY_PATH=$found${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  nvidia-smi || true
  cd "$here"
  # The script ends itself after 7 minutes; the clock here is for what it cannot end.
  timeout 480 python3 benchmarks/gpu.py "$folder/data" --minutes 7 --page "$out/gpu.md" --figures "$out/gpu.jsonl"
}

"$@"
