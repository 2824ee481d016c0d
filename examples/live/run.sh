#!/bin/sh
# GNU Radio sends five modulations, and bacalhaunet listens: ./run.sh [NETWORK] [SECONDS] [OPTION ...]
# The options go to 'bacalhaunet listen': ./run.sh '' 60 --web serves the page at http://127.0.0.1:8073.
set -eu
here=$(dirname "$0")
network=${1:-}
seconds=${2:-30}
[ $# -lt 2 ] || shift 2
port=${PORT:-5555}
rate=${RATE:-500e3}

"${GNURADIO_PYTHON:-/usr/bin/python3}" "$here/modulations.py" --rate "$rate" --address "tcp://127.0.0.1:$port" >&2 &
sender=$!
trap 'kill $sender 2>/dev/null' EXIT
bacalhaunet listen "zmq://127.0.0.1:$port" --rate "$rate" --duration "$seconds" ${network:+--network "$network"} "$@"
