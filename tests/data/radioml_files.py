"""Small files in RadioML's layout whose frames tell where they belong."""

import h5py
import numpy as np

from bacalhaunet.data.radioml_writer import RadioMLWriter
from bacalhaunet.radio.modulations import SNRS_DB


def cell_frames(label, snr_db, count):
    """Frames that tell their cell and number in their first sample."""
    frames = np.random.default_rng([label, snr_db + 100]).standard_normal((count, 2, 1024)).astype(np.float32)
    frames[:, 0, 0] = label
    frames[:, 1, 0] = snr_db
    frames[:, 0, 1] = np.arange(count)
    return frames


def write(path, count=3, labels=tuple(range(24)), snrs_db=SNRS_DB, order=None):
    with RadioMLWriter(path, count, labels=labels, snrs_db=snrs_db, attributes={"seed": 1}) as writer:
        cells = writer.layout.cells
        for number in order if order is not None else range(len(cells)):
            label, snr_db = cells[number]
            writer.write_cell(label, snr_db, cell_frames(label, snr_db, count))
    return path


def rewritten(source, target, **changes):
    """Copy an HDF5 file with some data sets replaced, dropped (None) or stored with options (a dict)."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name in "XYZ":
            change = changes.get(name, old[name][()])
            if isinstance(change, dict):
                new.create_dataset(name, data=old[name][()], **change)
            elif change is not None:
                new[name] = change
    return target


def arrays(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in "XYZ"}
