"""A small file in RadioML 2018.01A's layout: three classes, all SNRs."""

import numpy as np

from bacalhaunet.radio.modulations import NAMES

CLASSES = ("BPSK", "QPSK", "FM")


def write_small_file(path, frames_per_cell):
    """Write noise, one part in a hundred of the class number added so that frames of classes differ."""
    from bacalhaunet.data.radioml_writer import RadioMLWriter

    rng = np.random.default_rng(5)
    labels = [NAMES.index(name) for name in CLASSES]
    with RadioMLWriter(path, frames_per_cell, labels=labels) as writer:
        for label, snr in writer.missing_cells():
            noise = rng.standard_normal((frames_per_cell, 2, 1024)).astype(np.float32)
            writer.write_cell(label, snr, noise + np.float32(label / 100))
    return path
