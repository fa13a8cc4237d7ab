#!/usr/bin/env bash
# From nothing to first embeddings, in a new environment of each Python: `make install-check`, or
#     benchmarks/install_check.sh python3.11 python3.12 python3.13
# Builds the wheel, installs it with what pip then fetches (several GB for Linux's torch of CUDA), runs `pip check`, and
# embeds examples/library.csv. Run it twice: the second time pip finds everything in its cache. No tests, no network of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
TIMEFORMAT='   %R s, of them %U s + %S s of processor time'

"${BUILD_PYTHON:-.venv/bin/python}" -m hatchling build -t wheel -t sdist -d "$work/dist" > /dev/null
for file in "$work"/dist/*; do
    size=$(wc -c < "$file")
    echo "$(basename "$file"): $((size / 1000000)) MB"
    [ "$size" -le 60000000 ] || { echo "over 60 MB" >&2; exit 1; }
done
for python in "${@:-python3}"; do
    echo "$("$python" --version)"
    "$python" -m venv "$work/venv"
    echo " pip install"
    time "$work/venv/bin/python" -m pip install -q -c constraints.txt "$work"/dist/*.whl
    "$work/venv/bin/python" -m pip check
    cd "$work" # not the checkout: what is imported has to be the wheel
    "$work/venv/bin/molmv" --version
    echo " first embeddings"
    time "$work/venv/bin/molmv" featurize "$root/examples/library.csv" --id-column id -o "$work/first.parquet" --overwrite
    cd "$root"
    rm -rf "$work/venv"
done
