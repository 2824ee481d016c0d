#!/bin/sh
# A recording with several signals, classified: ./run.sh [NETWORK [FOLDER]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${2:-$here/out}
mkdir -p "$out"

echo "== a recording of six signals"
python3 "$here/make_recording.py" "$out/capture.sigmf-meta"

echo "== what is in it"
bacalhaunet scan "$out/capture.sigmf-meta" ${1:+--network "$1"} \
    -o "$out/labelled.sigmf-meta" --picture "$out/capture.png"
bacalhaunet scan "$out/capture.sigmf-meta" ${1:+--network "$1"} -o "$out/labelled.csv" >"$out/table.txt"

echo "== the annotations beside the truth"
python3 "$here/compare.py" "$out/labelled.sigmf-meta" "$out/truth.sigmf-meta"
echo "picture: $out/capture.png"
