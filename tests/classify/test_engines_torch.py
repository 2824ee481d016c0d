import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("brevitas")

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cost.metric import metric_cost
from bacalhaunet.cost.of import cost_of, quantize
from bacalhaunet.deploy.export import export_network, trace
from bacalhaunet.deploy.networks import open_network
from bacalhaunet.deploy.parity import probe_frames
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import save_model
from bacalhaunet.radio.modulations import NAMES


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model with a third of its weights zero, and the network it was saved from."""
    spec = quantize(find_spec("first-experiment"), 6)
    torch.manual_seed(1)
    network = build_network(spec).eval()
    with torch.no_grad():
        for layer in spec.layers():
            weight = network.get_submodule(layer.name).weight
            weight.mul_(torch.rand_like(weight) > 1 / 3)
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save_model(path, network, spec, NAMES, {})
    return path, network


def test_a_saved_model_is_the_network_that_was_saved(saved):
    path, network = saved
    frames = probe_frames(1024, 70)
    with torch.no_grad():
        expected = network(torch.from_numpy(frames)).numpy()
    engine = open_engine(path)
    assert engine.name == "torch"
    assert engine.labels == NAMES
    assert np.allclose(engine.logits(frames), expected, rtol=1e-5, atol=1e-6)
    assert engine.logits(frames[:0]).shape == (0, 24)


def test_torch_and_onnxruntime_name_the_same_classes(saved, tmp_path):
    path, network = saved
    written = export_network(network, tmp_path / "model.onnx", "qcdq", dynamic_batch=True)
    frames = probe_frames(1024, 60, seed=9)
    classes = [open_engine(file).logits(frames).argmax(axis=1) for file in (path, written.path)]
    assert np.array_equal(*classes)


def test_a_saved_model_costs_what_its_export_costs_and_zeros_are_free(saved):
    path, network = saved
    report, exported = cost_of(path), metric_cost(trace(network, "qonnx"))
    assert (report.bit_ops, report.bit_mem) == (exported.bit_ops, exported.bit_mem)
    assert report.bit_ops < cost_of("first-experiment", bits=6).bit_ops


def test_bits_are_refused_where_they_are_fixed(saved):
    with pytest.raises(ConfigError, match="--bits 4"):
        open_network(saved[0], bits=4)
    with pytest.raises(ConfigError, match="--bits 4"):
        cost_of(saved[0], bits=4)


def test_a_catalog_network_is_drawn_from_its_seed_and_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    with pytest.warns(UserWarning, match="without trained weights"):
        one = open_network("first-experiment")
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(4)
    two = open_network("first-experiment", quiet=True)
    pairs = zip(one.network.state_dict().values(), two.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not one.trained


def test_a_damaged_saved_model_is_an_error(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelFileError):
        open_engine(tmp_path / "model.safetensors")
