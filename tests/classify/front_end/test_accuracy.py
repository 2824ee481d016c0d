"""Labels of signals found blindly are about as good as those of the same signals cut out perfectly."""

from pathlib import Path

import numpy as np
import pytest

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.classify.front_end.signals import Signal, find_signals
from bacalhaunet.classify.pipeline import Classification
from bacalhaunet.data.recordings.recording import recording_of
from tests.classify.front_end.captures import capture, matched

NETWORK = Path(__file__).parents[3] / ".." / "shared" / "reference" / "networks" / "bacalhaunet_w6a6_pruned.onnx"

pytest.importorskip("scipy", reason="needs scipy")
pytestmark = pytest.mark.skipif(not NETWORK.is_file(), reason="needs the reference networks in ../shared")

CAPTURES = 12


def test_accuracy_is_within_5_points_of_signals_cut_out_perfectly():
    engine = open_engine(NETWORK, threads=1)
    blind = perfect = count = 0
    for number in range(CAPTURES):
        generator = np.random.default_rng([5, number])
        samples, truths = capture(
            generator, length=1 << 17, signals=4, cascaded=3.0, roll_off=(0.4, 0.4), snr_db=(10, 40)
        )
        recording = recording_of(samples)
        for found, true in matched(find_signals(recording), truths):
            cut = Signal(true.start, true.stop, true.center, true.bandwidth, true.symbol_rate, room=found.room)
            named, ideal = Classification(engine, recording, [found, cut]).answers()
            blind += named.label == true.name
            perfect += ideal.label == true.name
            count += 1
    assert count >= 3 * CAPTURES
    assert perfect >= 0.7 * count
    assert blind >= perfect - 0.05 * count
