"""A live stream from GNU Radio over ZMQ: drops, coverage and latency, with source and listener on the same two cores.

    python benchmarks/bench_live.py NETWORK [seconds] [rate ...]

Default: 60 s at 10e6 samples a second. GNU Radio (/usr/bin/python3, Debian package gnuradio) makes four million samples
of examples/live/modulations.py first and repeats them through its throttle and its PUB sink, which numbers the samples:
what is lost anywhere on the way is counted. The latency from end to end is from the moment the sink has taken the
first sample of a block to the moment the printed line with the block's answer is read here, at four prints a second.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[1] / "examples" / "live" / "modulations.py"
PORT, CORES, INTERVAL_S = 25560, 2, 0.25


def reader(process, kept):
    """Keep each line with the time it came at."""

    def read():
        for line in process.stdout:
            kept.append((time.monotonic(), line))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def wait_for(there, process):
    """Wait until ``there()`` is true, as long as a process lives, for two minutes at most."""
    end = time.monotonic() + 120
    while not there():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"{process.args[:4]} did not begin")
        time.sleep(0.05)


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(network, seconds, rate):
    listen = [sys.executable, "-m", "bacalhaunet", "listen", f"zmq://127.0.0.1:{PORT}", "--rate", str(rate)]
    listener = subprocess.Popen(
        [*listen, "--network", network, "--json", "--interval", str(INTERVAL_S)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.nice(5),  # a radio would not share its processor with the listener: the source goes first
    )
    heard, sent = [], []
    heard_by = reader(listener, heard)
    wait_for(lambda: heard, listener)  # it is ready when it says that it waits
    address = f"tcp://127.0.0.1:{PORT}"
    options = ["--rate", rate, "--address", address, "--tags", "--prepared", 4000000, "--seconds", seconds]
    source = subprocess.Popen(
        ["/usr/bin/python3", str(EXAMPLE), *map(str, options), "--report", "0.05"], stdout=subprocess.PIPE, text=True
    )
    sent_by = reader(source, sent)
    wait_for(lambda: sent, source)
    (receiver,) = Path(f"/proc/{listener.pid}/task/{listener.pid}/children").read_text().split()
    processes = {"search and classification": listener.pid, "receiver": int(receiver), "GNU Radio": source.pid}
    before = {name: processor_seconds(pid) for name, pid in processes.items()}
    time.sleep(seconds - 1)
    used = {name: (processor_seconds(pid) - before[name]) / (seconds - 1) for name, pid in processes.items()}
    source.wait(60)
    time.sleep(2)
    listener.send_signal(signal.SIGINT)
    listener.wait(60)
    heard_by.join()
    sent_by.join()
    report(rate, seconds, [(when, json.loads(line)) for when, line in heard], [line.split() for _, line in sent], used)


def report(rate, seconds, heard, sent, used):
    marks = np.array([[float(words[2]), int(words[1])] for words in sent if words[0] == "sent"])
    total = int(next(words[1] for words in sent if words[0] == "end"))
    summary = heard[-1][1]
    assert summary["type"] == "summary"
    unheard = total - summary["received"] - summary["lost"]  # before the subscription
    answered, latencies = set(), []
    for when, line in heard:
        if line["type"] == "signal" and (line["signal"], line["sample"]) not in answered:
            answered.add((line["signal"], line["sample"]))
            latencies.append(when - float(np.interp(line["sample"] + unheard, marks[:, 1], marks[:, 0])))
    steady = [line for _, line in heard if line["type"] == "status" and line["source"] == "receiving"][8:]
    own = [line["latency_s"] for line in steady if line["latency_s"] is not None]
    longest = [line["latency_max_s"] for line in steady if line["latency_max_s"] is not None]
    print(f"{rate / 1e6:g} Msamples/s asked for, {seconds:g} s")
    print(f"  sent {total}, received {summary['received']}; {unheard} before the subscription or at the end")
    print(f"  lost on the way {summary['lost']}, dropped {summary['dropped']}, restarts {summary['restarts']}")
    print(f"  searched {100 * summary['searched'] / max(1, summary['received']):.2f} % of what was received")
    print(f"  classified {100 * summary['classified'] / max(1, summary['found']):.1f} % of the signals' samples")
    if own and latencies:
        print(f"  latency from arrival to answer: median {statistics.median(own):.3f} s, longest {max(longest):.3f} s")
        print(
            f"  latency from end to end: median {statistics.median(latencies):.3f} s, 95 % within "
            f"{np.percentile(latencies, 95):.3f} s ({len(latencies)} answers)"
        )
    print("  cores used: " + ", ".join(f"{name} {share:.2f}" for name, share in used.items()), flush=True)


if __name__ == "__main__":
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    numbers = [float(word) for word in sys.argv[2:]]
    for rate_ in numbers[1:] or [10e6]:
        run(sys.argv[1], numbers[0] if numbers else 60.0, rate_)
