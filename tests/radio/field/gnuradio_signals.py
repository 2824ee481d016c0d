"""Makes signals with GNU Radio's modulators; run by the system's Python with: gnuradio_signals.py IN.npz OUT.npz.

IN holds ``rolloff``, ``bt``, ``fm_message`` and ``fm_sensitivity``, ``am_message`` and ``am_depth``, ``ssb_message``.
OUT holds one complex array for each of bpsk, qpsk, psk8, qam16, gmsk, fm, am, ssb.
"""

from __future__ import annotations

import sys

import numpy as np
from gnuradio import analog, blocks, digital, gr
from gnuradio import filter as gr_filter

SAMPLES = 400_000
SAMPLES_PER_SYMBOL = 8


def run(source, *chain) -> np.ndarray:
    """The output of a chain of blocks behind ``source``."""
    top = gr.top_block()
    sink = blocks.vector_sink_c()
    top.connect(source, *chain, sink)
    top.run()
    return np.array(sink.data(), dtype=np.complex64)


def digital_signal(modulator) -> np.ndarray:
    """Random bytes through a modulator, without the start of its filters."""
    data = np.random.default_rng(1).integers(0, 256, SAMPLES // SAMPLES_PER_SYMBOL // 2)
    samples = run(blocks.vector_source_b(data.tolist(), False), modulator)
    return samples[2000 : 2000 + SAMPLES // 2]


def linear(constellation, rolloff: float) -> np.ndarray:
    modulator = digital.generic_mod(
        constellation, differential=False, samples_per_symbol=SAMPLES_PER_SYMBOL, excess_bw=rolloff
    )
    return digital_signal(modulator)


def main() -> None:
    given = np.load(sys.argv[1])
    rolloff = float(given["rolloff"])
    made = {
        "bpsk": linear(digital.constellation_bpsk().base(), rolloff),
        "qpsk": linear(digital.constellation_qpsk().base(), rolloff),
        "psk8": linear(digital.constellation_8psk().base(), rolloff),
        "qam16": linear(digital.qam.qam_constellation(16), rolloff),
        "gmsk": digital_signal(digital.gmsk_mod(samples_per_symbol=SAMPLES_PER_SYMBOL, bt=float(given["bt"]))),
    }
    message = blocks.vector_source_f(given["fm_message"].tolist(), False)
    made["fm"] = run(message, analog.frequency_modulator_fc(float(given["fm_sensitivity"])))
    message = blocks.vector_source_f(given["am_message"].tolist(), False)
    made["am"] = run(
        message, blocks.multiply_const_ff(float(given["am_depth"])), blocks.add_const_ff(1.0), blocks.float_to_complex()
    )
    message = blocks.vector_source_f(given["ssb_message"].tolist(), False)
    made["ssb"] = run(message, gr_filter.hilbert_fc(255))
    np.savez(sys.argv[2], **made)


if __name__ == "__main__":
    main()
