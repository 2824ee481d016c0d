"""How fast frames come from files: random batches of a RadioML file, its check, and frames of a recording.

Each is timed beside a rival in the same run, in turns, and the median of the ratios is printed: h5py's own indexing
for the batches, reading the file's bytes for the check, and the SigMF library, frame by frame, for the recording.
"""

import statistics
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import sigmf

from bacalhaunet.data.batches import FrameBatches
from bacalhaunet.data.check import check_file
from bacalhaunet.data.datasets import RadioML
from bacalhaunet.data.radioml_writer import RadioMLWriter
from bacalhaunet.data.recordings.frames import FrameCutter, Framing
from bacalhaunet.data.recordings.recording import open_recording
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf

ROUNDS, BATCH, SAMPLES = 5, 1024, 2**23


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name, unit, amount, ours, rival_name, rival):
    ours(), rival()
    pairs = [(seconds(ours), seconds(rival)) for _ in range(ROUNDS)]
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(
        f"{name}: {amount / own:.4g} {unit}; {rival_name}: {amount / other:.4g} {unit}; {ratio:.2f} times", flush=True
    )


def make_file(path, frames_per_cell=32):
    generator = np.random.default_rng(0)
    with RadioMLWriter(path, frames_per_cell) as writer:
        for label, snr_db in writer.layout.cells:
            frames = generator.standard_normal((frames_per_cell, 2, 1024), dtype=np.float32)
            writer.write_cell(label, snr_db, frames)


def bench_batches(path):
    batches = FrameBatches(RadioML(path).part("all"), BATCH, seed=1)
    rival = h5py.File(path, "r")

    def by_h5py():
        rows = np.sort(batches.contents(3))
        frames, labels, snrs = rival["X"][rows], rival["Y"][rows], rival["Z"][rows]
        return np.ascontiguousarray(frames.transpose(0, 2, 1)), labels.argmax(1), snrs

    compare("random batches of 1024", "frames/s", BATCH, lambda: batches.batch(3), "h5py", by_h5py)


def bench_check(path):
    size = path.stat().st_size

    def read_bytes():
        with path.open("rb", buffering=0) as file:
            while file.read(2**22):
                pass

    compare("data check", "GB/s", size / 1e9, lambda: check_file(path), "reading alone", read_bytes)


def bench_recording(folder):
    generator = np.random.default_rng(0)
    values = generator.standard_normal((SAMPLES, 2), dtype=np.float32)
    meta = write_sigmf(folder / "signal", values.view(np.complex64)[:, 0], 1e6)
    recording = open_recording(meta)
    theirs = sigmf.sigmffile.fromfile(str(meta), skip_checksum=True)

    def ours():
        for _ in FrameCutter(recording, Framing()).batches():
            pass

    def by_library():
        for start in range(0, SAMPLES, 1024):
            frame = theirs[start : start + 1024]
            scaled = frame / frame.std()
            np.stack([scaled.real, scaled.imag])

    compare("normalized frames of a SigMF recording", "Msamples/s", SAMPLES / 1e6, ours, "frame by frame", by_library)


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.hdf5"
        make_file(path)
        bench_batches(path)
        bench_check(path)
        bench_recording(Path(folder))


if __name__ == "__main__":
    main()
