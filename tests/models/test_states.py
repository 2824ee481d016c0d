import pytest

torch = pytest.importorskip("torch")

from bacalhaunet.cost.of import cost_of
from bacalhaunet.deploy.export import trace
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.states import clear_dead_filters, normalized_layers


def damaged(spec):
    """Return a network two of whose filters have a scale of 0, and a weight that has decayed to nothing."""
    torch.manual_seed(3)
    network = build_network(spec).eval()
    layers = list(normalized_layers(network))
    with torch.no_grad():
        layers[0][1].weight[0] = 0
        layers[1][1].weight[2] = 1e-30
        layers[1][0].weight[3, 0] = 1e-25
    return network


def test_filters_behind_a_scale_of_zero_are_cleared_and_no_logit_changes():
    network = damaged(find_spec("first-experiment"))
    frames = torch.randn(8, 2, 1024)
    with torch.no_grad():
        before = network(frames)
        assert clear_dead_filters(network) == 2
        assert torch.equal(network(frames), before)
    (first, _), (second, _) = list(normalized_layers(network))[:2]
    assert not first.weight[0].any()
    assert first.weight[1].any()
    assert not second.weight[2].any()
    assert not second.weight[3, 0].any()
    assert clear_dead_filters(build_network(find_spec("first-experiment"))) == 0


def test_the_export_of_a_cleared_network_costs_what_the_network_does():
    network = damaged(find_spec("first-experiment"))
    assert cost_of(trace(network, "qonnx")).bit_mem < cost_of(network).bit_mem
    clear_dead_filters(network)
    assert cost_of(trace(network, "qonnx")).bit_mem == cost_of(network).bit_mem


def test_quantized_layers_are_left_alone():
    network = damaged(find_spec("first-experiment").quantized(6, 6, sum_bits=6))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert clear_dead_filters(network) == 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
