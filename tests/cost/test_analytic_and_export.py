import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("brevitas")
pytest.importorskip("qonnx")

from bacalhaunet.cost.analytic import (
    nonzero_weights,
    spec_cost,
)
from bacalhaunet.cost.metric import metric_cost
from bacalhaunet.cost.of import quantize
from bacalhaunet.deploy.export import trace
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from tests.cost.random_specs import separable_specs


def pruned_network(spec, sparsity, seed):
    """Build a network and set this share of each layer's weights to zero."""
    torch.manual_seed(seed)
    network = build_network(spec).eval()
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for layer in spec.layers():
            weight = network.get_submodule(layer.name).weight
            kept = torch.from_numpy(generator.random(tuple(weight.shape)) >= sparsity)
            weight.mul_(kept)
    return network


def same_layers(analytic, exported):
    """Compare everything but names, which an exporter may shorten."""
    fields = ("kind", "macs", "weights", "nonzero_weights", "input_bits", "weight_bits", "bit_ops", "bit_mem")
    rows = [[tuple(getattr(layer, field) for field in fields) for layer in r.layers] for r in (analytic, exported)]
    assert rows[0] == rows[1]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=separable_specs(), sparsity=st.sampled_from([0.0, 0.5, 0.9, 1.0]), seed=st.integers(0, 99))
def test_random_quantized_networks_cost_by_arithmetic_what_their_export_costs(spec, sparsity, seed):
    network = pruned_network(spec, sparsity, seed)
    exported = metric_cost(trace(network, "qonnx", spec.frame_length))
    analytic = spec_cost(spec, nonzero_weights(network, spec))
    same_layers(analytic, exported)
    assert exported.unsupported == ()
    assert [f.bit_ops for f in analytic.findings] == [f.bit_ops for f in exported.findings]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=separable_specs(quantized=False), seed=st.integers(0, 99))
def test_random_float_networks_cost_by_arithmetic_what_their_export_costs(spec, seed):
    network = pruned_network(spec, 0.3, seed)
    same_layers(
        spec_cost(spec, nonzero_weights(network, spec)), metric_cost(trace(network, "qonnx", spec.frame_length))
    )


@pytest.mark.parametrize("name", ["bacalhaunet", "first-experiment", "vgg10"])
@pytest.mark.parametrize("format", ["qonnx", "qcdq"])
def test_catalog_networks_cost_the_same_in_both_formats(name, format):
    spec = quantize(find_spec(name), 6)
    network = pruned_network(spec, 0.5, seed=1)
    same_layers(spec_cost(spec, nonzero_weights(network, spec)), metric_cost(trace(network, format)))


def test_the_exported_six_bit_bacalhaunet_has_every_mac_at_8x6_or_6x6_bits():
    network = build_network(quantize(find_spec("bacalhaunet"), 6)).eval()
    report = metric_cost(trace(network, "qonnx"))
    assert {(layer.input_bits, layer.weight_bits) for layer in report.layers} == {(8, 6), (6, 6)}
    assert report.unsupported == ()
    assert report.findings == ()
