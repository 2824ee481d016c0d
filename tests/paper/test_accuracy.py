"""Frames are judged alike by whatever computes the network."""

import pytest
import torch

from bacalhaunet.data.batches import GeneratedBatches
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import save_model
from bacalhaunet.models.states import fit_thresholds
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.radio.twin import Twin
from bacalhaunet_paper import jobs as naming

SMALL = separable_network((9, 9), (4, 4), (8, 8))


@pytest.fixture(scope="module")
def batch():
    return GeneratedBatches(Twin(), 312, seed=5).batch(0)


@pytest.mark.parametrize("spec", [SMALL, SMALL.quantized(6, 6, sum_bits=6)], ids=["float", "6 bits"])
def test_the_classes_a_saved_model_gives_are_what_torch_gives(spec, batch, tmp_path):
    torch.manual_seed(1)
    network = build_network(spec).eval()
    fit_thresholds(network, batch.frames)
    save_model(tmp_path / "model.safetensors", network, spec, NAMES)
    found = torch.as_tensor(naming.predictor_of(tmp_path / "model.safetensors")(batch.frames))
    expected = network(batch.frames).argmax(1)
    assert found.dtype == torch.int64
    assert int((found != expected).sum()) <= 1  # a tie in rounding
    correct = (expected == batch.labels).float().mean()
    assert naming.accuracy_on(network, [batch]) == pytest.approx(float(correct))


def test_a_quantized_network_runs_natively_and_falls_back_to_torch(batch, tmp_path, monkeypatch):
    spec, asked = SMALL.quantized(6, 6, sum_bits=6), []
    network = build_network(spec).eval()
    save_model(tmp_path / "model.safetensors", network, spec, NAMES)

    def refuse(target, engine):
        asked.append(engine)
        raise naming.BacalhauNetError("no integer form")

    monkeypatch.setattr(naming, "open_engine", refuse)
    found = torch.as_tensor(naming.predictor_of(tmp_path / "model.safetensors")(batch.frames))
    assert asked == ["native"]
    assert torch.equal(found, network(batch.frames).argmax(1))
