import copy
from unittest import mock

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.errors import SpecError
from bacalhaunet.models.catalog import CATALOG, find_spec
from bacalhaunet.models.layers import Quantizer, compute_plainly
from bacalhaunet.models.native import functions
from bacalhaunet.models.network import build_network
from bacalhaunet.models.states import fit_thresholds, transfer_state

from .random_specs import network_specs


def small(spec=None, seed=0):
    torch.manual_seed(seed)
    return build_network(spec or find_spec("prototype").quantized(6, 6, sum_bits=6, shared_sums=True))


def frames(count, spec, seed=1):
    shape = (count, spec.input.channels, spec.frame_length)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradients(network, batch, labels):
    network.zero_grad()
    loss = torch.nn.functional.cross_entropy(network(batch), labels)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in network.named_parameters()}


@given(network_specs(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_any_spec_builds_runs_and_has_the_layers_it_says(spec, seed):
    network = small(spec, seed)
    batch = frames(5, spec, seed)
    logits = network(batch)
    assert logits.shape == (5, spec.classes)
    assert bool(torch.isfinite(logits).all())
    logits.sum().backward()
    for layer in spec.layers():
        module = network.get_submodule(layer.name)
        assert module.weight.numel() == layer.weights
        assert getattr(module, "weight_bits", 32) == layer.weight_bits


@given(network_specs(), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_every_layer_gets_the_levels_its_input_bits_allow(spec, seed):
    network = small(spec, seed).eval()
    seen = {}
    for layer in spec.layers():
        module = network.get_submodule(layer.name)
        module.register_forward_pre_hook(lambda _, inputs, name=layer.name: seen.update({name: inputs[0].detach()}))
    network(frames(4, spec, seed))
    for layer in spec.layers():
        if layer.input_bits < 32:
            assert seen[layer.name].unique().numel() <= 2**layer.input_bits


@given(network_specs(), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_fast_quantizers_equal_brevitas_in_value_and_gradient(spec, seed):
    with mock.patch.object(functions, "kernels", return_value=None):  # their sums have another order: see test_native
        compare_with_brevitas(spec, seed)


def compare_with_brevitas(spec, seed):
    # In double precision no value comes so near to the edge of a level that the two round it apart.
    network = small(spec, seed)
    batch, labels = frames(6, spec, seed).double(), torch.arange(6) % spec.classes
    results = []
    for plain in (True, False):
        twin = copy_of(network, spec).double()
        compute_plainly(twin, plain)
        results.append(gradients(twin, batch, labels))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-5, atol=1e-6)
    for name, expected in results[0][1].items():
        scale = float(expected.abs().max()) + 1e-4
        torch.testing.assert_close(results[1][1][name] / scale, expected / scale, rtol=0, atol=2e-3, msg=name)


def copy_of(network, spec):
    twin = build_network(spec)
    twin.load_state_dict(network.state_dict())
    return twin


@pytest.mark.parametrize("name", list(CATALOG))
def test_float_and_quantized_networks_have_the_same_weights(name):
    spec = find_spec(name)
    plain, quantized = build_network(spec).state_dict(), build_network(spec.quantized(4, 4, sum_bits=4)).state_dict()
    extra = quantized.keys() - plain.keys()
    assert plain.keys() <= quantized.keys()
    assert all(key.endswith("scaling_impl.value") for key in extra)
    assert all(plain[key].shape == quantized[key].shape for key in plain)


def test_an_interrupted_run_goes_on_exactly():
    spec = find_spec("figure4a-01").quantized(4, 4, sum_bits=4)
    batches = [frames(4, spec, seed) for seed in range(4)]
    labels = torch.arange(4)

    def steps(network, optimizer, part):
        for batch in part:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(batch), labels).backward()
            optimizer.step()

    whole = small(spec)
    whole_adam = torch.optim.Adam(whole.parameters(), 0.01)
    steps(whole, whole_adam, batches[:2])
    states = copy.deepcopy((whole.state_dict(), whole_adam.state_dict()))
    steps(whole, whole_adam, batches[2:])
    resumed = small(spec, seed=9)
    resumed_adam = torch.optim.Adam(resumed.parameters(), 0.01)
    resumed.load_state_dict(states[0])
    resumed_adam.load_state_dict(states[1])
    steps(resumed, resumed_adam, batches[2:])
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_input_is_clipped_on_both_sides():
    spec = find_spec("first-experiment").quantized(8, 8)
    stage = build_network(spec).input
    out = stage(torch.tensor([[[-9.0, -2.0, 0.0, 3.0, 9.0]]]))
    assert float(out.detach().min()) == pytest.approx(-2, abs=0.012)
    assert float(out.detach().max()) == pytest.approx(3, abs=0.024)
    assert out.unique().numel() == 3


def test_one_quantizer_serves_both_inputs_of_a_shared_sum():
    network = small().eval()  # in training the block is one function, which uses the quantizer's scale itself
    shared = network.blocks[1].shared_quantizer
    assert isinstance(shared, Quantizer)
    calls = []
    shared.register_forward_hook(lambda *_: calls.append(1))
    network(frames(2, network.spec))
    assert len(calls) == 2
    assert not any(isinstance(m, Quantizer) for m in network.blocks[0].pointwise_activation.modules())


def test_float_weights_move_into_a_quantized_network_and_calibration_brings_it_near():
    spec = find_spec("figure4a-01")
    plain = small(spec).eval()
    with torch.no_grad():
        for norm in (m for m in plain.modules() if isinstance(m, torch.nn.BatchNorm1d)):
            norm.weight.fill_(3.0)
    quantized = build_network(spec.quantized(8, 8, sum_bits=8)).eval()
    transfer_state(quantized, plain.state_dict())
    batch = frames(32, spec)
    with torch.no_grad():
        expected, before = plain(batch), quantized(batch)
        fit_thresholds(quantized, batch)
        after = quantized(batch)
    spread = float(expected.std())
    assert float((after - expected).square().mean().sqrt()) < 0.1 * spread
    assert float((after - expected).abs().mean()) < 0.5 * float((before - expected).abs().mean())


def test_weights_of_another_network_are_refused():
    with pytest.raises(SpecError, match="another network"):
        transfer_state(build_network(find_spec("prototype")), build_network(find_spec("bacalhaunet")).state_dict())
