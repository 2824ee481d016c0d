"""Five modulations side by side and noise, sent by a ZMQ sink: something to listen to without a receiver.

    /usr/bin/python3 modulations.py                       # publishes 1 Msamples/s at tcp://127.0.0.1:5555
    /usr/bin/python3 modulations.py --rate 2e6 --push
    bacalhaunet listen zmq://127.0.0.1:5555 --rate 1e6    # in another terminal

Needs GNU Radio 3.10 (Debian: apt install gnuradio). ``modulations.grc`` is the same flowgraph for GNU Radio Companion.
"""

from __future__ import annotations

import argparse
import math
import signal
import tempfile
import time
from contextlib import suppress

from gnuradio import analog, blocks, digital, filter, gr, zeromq
from gnuradio.filter import firdes

LINEAR = (
    # name, points, offset and samples a symbol; offsets are in sample rates
    ("BPSK", digital.constellation_bpsk().points(), -0.36, 16),
    ("QPSK", digital.constellation_qpsk().points(), -0.18, 8),
    ("8PSK", digital.constellation_8psk().points(), 0.16, 8),
    ("16QAM", digital.constellation_16qam().points(), 0.36, 10),
)
FM_OFFSET, FM_DEVIATION, FM_AUDIO = -0.01, 0.006, 0.004
AMPLITUDE, NOISE, ROLL_OFF = 0.1, 0.02, 0.35


def linear(points: list[complex], samples_per_symbol: int, seed: int) -> tuple:
    """The blocks of a linear modulation with root-raised-cosine pulses."""
    gain = AMPLITUDE * samples_per_symbol  # points of unit power come out with this amplitude
    taps = firdes.root_raised_cosine(gain, samples_per_symbol, 1, ROLL_OFF, 11 * samples_per_symbol)
    return (
        analog.random_uniform_source_b(0, len(points), seed),
        digital.chunks_to_symbols_bc(points),
        filter.interp_fir_filter_ccf(samples_per_symbol, taps),
    )


def frequency_modulation(seed: int) -> tuple:
    """The blocks of frequency modulation by low-pass noise."""
    taps = firdes.low_pass(1 / math.sqrt(2 * FM_AUDIO), 1, FM_AUDIO, FM_AUDIO)
    sensitivity = 2 * math.pi * FM_DEVIATION
    return (
        analog.fastnoise_source_f(analog.GR_GAUSSIAN, 1.0, seed),
        filter.fft_filter_fff(1, taps),
        analog.frequency_modulator_fc(sensitivity),
        blocks.multiply_const_cc(AMPLITUDE),
    )


class Modulations(gr.top_block):
    """The signals, added up.

    Args:
        sinks: What takes them, each block of the chain in order.
    """

    def __init__(self, *sinks: gr.basic_block) -> None:
        gr.top_block.__init__(self, "Modulations")
        total = blocks.add_cc()
        chains = [(linear(points, count, 10 + k), offset) for k, (_, points, offset, count) in enumerate(LINEAR)]
        chains.append((frequency_modulation(30), FM_OFFSET))
        for port, (chain, offset) in enumerate(chains):
            turned = blocks.rotator_cc(2 * math.pi * offset)
            self.connect(*chain, turned, (total, port))
        self.connect(analog.fastnoise_source_c(analog.GR_GAUSSIAN, NOISE, 40), (total, len(chains)))
        self.connect(total, *sinks)


def prepared(path: str, count: int) -> gr.block:
    """The first samples of the signals from a file, again and again: takes less of a processor than to make them."""
    top = Modulations(blocks.head(gr.sizeof_gr_complex, count), blocks.file_sink(gr.sizeof_gr_complex, path))
    top.run()
    return blocks.file_source(gr.sizeof_gr_complex, path, True)


def main() -> None:
    """Send until interrupted, or for ``--seconds``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1e6, help="samples a second (1e6)")
    parser.add_argument("--address", default="tcp://127.0.0.1:5555", help="where the sink listens")
    parser.add_argument("--push", action="store_true", help="a PUSH sink instead of PUB")
    parser.add_argument("--tags", action="store_true", help="the sink numbers its samples, so that losses are counted")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--prepared", type=int, default=0, help="make so many samples first, and repeat them")
    parser.add_argument("--report", type=float, default=0, help="say every so many seconds how many samples are sent")
    options = parser.parse_args()
    kind = zeromq.push_sink if options.push else zeromq.pub_sink
    sink = kind(gr.sizeof_gr_complex, 1, options.address, 100, options.tags)
    throttle = blocks.throttle(gr.sizeof_gr_complex, options.rate)
    with tempfile.TemporaryDirectory() as folder:
        if options.prepared:
            top = gr.top_block()
            top.connect(prepared(f"{folder}/signals", options.prepared), throttle, sink)
        else:
            top = Modulations(throttle, sink)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        top.start()
        print(f"sending {options.rate:g} samples a second at {options.address}", flush=True)
        with suppress(KeyboardInterrupt):
            report(sink, options.seconds, options.report)
        top.stop()
        top.wait()
    print("end", sink.nitems_read(0), flush=True)


def report(sink: gr.block, seconds: float, every: float) -> None:
    """Wait, and print the number of samples sent with the time on the monotonic clock."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(every or left, left))
        if every:
            print("sent", sink.nitems_read(0), time.monotonic(), flush=True)


if __name__ == "__main__":
    main()
