"""Measurements read from JSON: what the commands print is read back, anything else is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet.report.run import read_cost, read_evaluation


def _changed(path, **changes):
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps(values))
    return path


def test_an_evaluation_reads_back_as_it_was(synthetic_run):
    ours, original = read_evaluation(synthetic_run.folder / "train/evaluation.json"), synthetic_run.evaluations[0]
    assert (ours.accuracy, ours.frames, ours.interval) == (original.accuracy, original.frames, original.interval)
    assert ours.by_snr == original.accuracy_by_snr
    assert ours.by_modulation == original.accuracy_by_modulation
    np.testing.assert_array_equal(ours.confusion, original.confusion)


def test_the_interval_at_an_snr_holds_its_accuracy(synthetic_run):
    evaluation = read_evaluation(synthetic_run.folder / "train/evaluation.json")
    for snr, accuracy in evaluation.by_snr.items():
        low, high = evaluation.snr_interval(snr)
        assert low <= accuracy <= high
        assert high - low < 0.1


def test_layer_shares_of_a_cost_sum_to_one(synthetic_run):
    cost = read_cost(synthetic_run.folder / "train/cost.json")
    assert sum(layer.share for layer in cost.layers) == pytest.approx(1)
    assert sum(layer.bit_ops for layer in cost.layers) == cost.bit_ops


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": 56.24}, "'accuracy' is 56.24"),
        ({"interval": [0.5]}, "'1' is missing"),
        ({"accuracy_by_snr": {"loud": 0.5}}, "'loud' is no SNR label"),
        ({"accuracy_by_snr": {"0": None}}, "'0' is None"),
        ({"confusion": [[1, 2]]}, "not a square table"),
        ({"confusion": [[1, 2], [3]]}, "not a square table"),
        ({"confusion": [[-1]]}, "not a square table"),
        ({"confusion": [["a"]]}, "not a square table"),
        ({"frames": -3}, "'frames' is -3"),
    ],
)
def test_a_wrong_evaluation_is_named(synthetic_run, changes, message):
    path = _changed(synthetic_run.folder / "train/evaluation.json", **changes)
    with pytest.raises(ConfigError, match=message):
        read_evaluation(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": float("nan")}, "'score' is nan"),
        ({"score": 10**400}, "'score' is "),
        ({"layers": [{"name": "a"}]}, "'macs' is missing"),
        ({"findings": [3]}, "more than texts"),
        ({"findings": "all"}, "'findings' is 'all'"),
    ],
)
def test_a_wrong_cost_is_named(synthetic_run, changes, message):
    path = _changed(synthetic_run.folder / "train/cost.json", **changes)
    with pytest.raises(ConfigError, match=message):
        read_cost(path)
