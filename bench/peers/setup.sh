#!/usr/bin/env bash
# Makes an environment with the peers (PyTorch and TensorFlow for the CPU, Pillow; onnxruntime-web) in the folder $1 (default
# .peers), for npm run bench -- --peers FOLDER. Indexes that pip is configured with are asked first.
set -euo pipefail
dir=${1:-.peers}
python3 -m venv "$dir"
extra=$(pip config get global.extra-index-url 2>/dev/null || true)
args=()
for url in $extra; do
  if [ ${#args[@]} = 0 ]; then args+=(--index-url "$url"); else args+=(--extra-index-url "$url"); fi
done
npm install --prefix "$dir" --no-save --no-audit --no-fund --ignore-scripts onnxruntime-web
"$dir/bin/pip" install -q "${args[@]}" numpy pillow tensorflow-cpu torch
TF_CPP_MIN_LOG_LEVEL=3 "$dir/bin/python" - <<'PY'
import importlib

for name in ("torch", "tensorflow", "keras", "PIL"):
    print(name, importlib.import_module(name).__version__)
PY
