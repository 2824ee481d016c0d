"""The spread of samples and the error of clipping."""

import json

import numpy as np
import pytest

from bacalhaunet_paper.figures import QUANTILES
from bacalhaunet_paper.jobs import Jobs
from bacalhaunet_paper.quantization import clipping_error, figure_2, spread_of


def test_the_error_of_samples_inside_the_range_is_that_of_rounding():
    samples = np.random.default_rng(1).uniform(-1.9, 1.9, 200_000).astype(np.float32)
    step = 2 / 128
    assert clipping_error(samples, (-2, 2)) == pytest.approx(step / np.sqrt(12), rel=0.02)
    assert clipping_error(samples, (-2, 4)) == pytest.approx(2 * step / np.sqrt(12), rel=0.02)


def test_the_error_of_samples_outside_is_their_distance_to_the_bound():
    assert clipping_error(np.full(4, -5.0, np.float32), (-2, 3)) == pytest.approx(3.0, abs=3 / 128)
    assert clipping_error(np.full(4, 7.0, np.float32), (-2, 3)) == pytest.approx(4.0, abs=3 / 64)


def test_a_spread_counts_what_lies_outside():
    spread = spread_of(np.array([-3, -1, 0, 1, 2, 2.5, 3.5, 9, 0, 0], np.float32))
    assert (spread.below, spread.above) == (0.1, 0.2)
    assert (spread.quantiles[0], spread.quantiles[-1]) == (-3, 9)
    assert list(spread.quantiles) == sorted(spread.quantiles)
    assert len(spread.quantiles) == len(QUANTILES)


def test_the_twin_at_minus_20_db_is_noise_and_the_same_for_all_classes(tiny, tmp_path):
    result, _ = figure_2(Jobs(tiny, tmp_path))
    low, high = result.extra["spreads"]["-20"], result.extra["spreads"]["30"]
    assert len(low) == len(high) == 24
    medians = [row["quantiles"][3] for row in low.values()]
    boxes = [row["quantiles"][4] - row["quantiles"][2] for row in low.values()]
    assert max(map(abs, medians)) < 0.1
    assert max(boxes) - min(boxes) < 0.15
    widest = max(high, key=lambda name: high[name]["quantiles"][-1])
    assert widest.startswith("AM-SSB")
    assert high["FM"]["above"] == high["FM"]["below"] == 0
    text = result.markdown()
    assert "AM-SSB" in text
    assert "[-2, 3] (the report's)" in text
    json.dumps(result.to_dict(), allow_nan=False)
