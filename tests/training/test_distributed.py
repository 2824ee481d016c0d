"""Several processes, each with its share of every batch, train as one process does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bacalhaunet.data.batches import Batch, FrameBatches
from bacalhaunet.data.datasets import RadioML
from bacalhaunet.data.generate import Generation, generate_file
from bacalhaunet.errors import ConfigError
from bacalhaunet.training.distributed import Share, ShareOfBatches

from .shared_run import BATCH, EPOCHS, PER_EPOCH, batches

ONE_FRAME = 1.01 / (3 * BATCH)
# A value that falls on the other side of a rounding threshold moves a quantized network by a whole step.
TOLERANCE = {0: 1e-5, 6: 1e-2}


def _start(folder, bits, processes):
    script = str(Path(__file__).with_name("shared_run.py"))
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [*command, script, str(folder), str(bits)], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def _losses(folder):
    return json.loads((folder / "losses.json").read_text())


def _accuracies(folder):
    return [point["validation_accuracy"] for point in json.loads((folder / "curve.json").read_text())]


@pytest.fixture(scope="module", params=[0, 6], ids=["float", "6 bits"])
def runs(request, tmp_path_factory):
    folder, bits = tmp_path_factory.mktemp("runs"), request.param
    return bits, _start(folder / "one", bits, 1), _start(folder / "two", bits, 2)


def test_two_gloo_processes_give_the_loss_curve_of_one_at_the_same_global_batch(runs):
    bits, one, two = runs
    assert len(_losses(one)) == EPOCHS * PER_EPOCH
    assert _losses(two) == pytest.approx(_losses(one), rel=TOLERANCE[bits])
    assert _accuracies(two) == pytest.approx(_accuracies(one), abs=ONE_FRAME)
    assert (two / "frames_seen").read_text() == (one / "frames_seen").read_text() == str(EPOCHS * PER_EPOCH * BATCH)


def test_two_processes_leave_the_weights_and_running_statistics_of_one(runs):
    bits, one, two = runs
    expected = torch.load(one / "weights.pt", weights_only=True)
    found = torch.load(two / "weights.pt", weights_only=True)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, rtol=10 * TOLERANCE[bits], atol=TOLERANCE[bits]), name


def test_the_shares_of_generated_batches_are_together_the_whole_batch():
    whole = batches(3)
    for number in (0, 1, 5):
        shares = [ShareOfBatches(whole, BATCH, Share(rank, 4, 4)).batch(number) for rank in range(4)]
        expected = whole.batch(number)
        for given, parts in zip(expected[:3], zip(*(share[:3] for share in shares), strict=True), strict=True):
            assert torch.equal(torch.cat(parts), given)


def test_the_shares_of_a_file_s_batches_are_together_the_whole_batch(tmp_path):
    path = tmp_path / "small.hdf5"
    generate_file(path, Generation(1, 1))
    source = FrameBatches(RadioML(path).part("all").take(slice(100)), 24, seed=2)
    shares = [ShareOfBatches(source, 24, Share(rank, 2, 2)).batch(5) for rank in range(2)]
    expected = source.batch(5)
    for given, parts in zip(expected, zip(*shares, strict=True), strict=True):
        assert torch.equal(torch.cat(parts), given)


def test_any_other_source_is_shared_row_by_row():
    class Counting:
        def batch(self, number):
            rows = torch.arange(6) + 10 * number
            return Batch(rows.float(), rows, rows.float())

    assert ShareOfBatches(Counting(), 6, Share(1, 3, 3)).batch(2).labels.tolist() == [22, 23]


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    with pytest.raises(ConfigError, match="batch of 10 frames for 3 processes"):
        Share(0, 3, 3).rows(10)


def test_a_run_that_one_process_began_goes_on_in_two(runs, tmp_path):
    bits, one, _ = runs
    shutil.copytree(one, tmp_path / "moved")
    (tmp_path / "moved" / "losses.json").unlink()
    losses = _losses(_start(tmp_path / "moved", bits, 2))
    assert 0 < len(losses) < EPOCHS * PER_EPOCH
    assert losses == pytest.approx(_losses(one)[-len(losses) :], rel=TOLERANCE[bits])
