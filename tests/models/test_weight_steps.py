"""Learned steps of quantized weights: as Brevitas computes them, in the export, and in files."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("qonnx")

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bacalhaunet.cost.analytic import (
    nonzero_weights,
    spec_cost,
)
from bacalhaunet.cost.metric import metric_cost
from bacalhaunet.deploy.export import trace
from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.layers import compute_plainly
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.models.states import transfer_state
from tests.models.random_specs import network_specs

PLAIN = separable_network((5, 5), (2, 1), (8, 8), classes=4, frame_length=64).quantized(4, 5, sum_bits=5)
LEARNED = replace(PLAIN, learned_weight_steps=True)


def made(spec, seed=0):
    torch.manual_seed(seed)
    return build_network(spec)


def thresholds(network):
    return {name: p for name, p in network.named_parameters() if "weight_quant" in name}


def test_a_new_network_computes_the_same_with_learned_steps_until_it_is_trained():
    first, second = made(PLAIN).eval(), made(LEARNED).eval()
    assert not thresholds(first)
    assert len(thresholds(second)) == len(PLAIN.layers())
    frames = torch.randn(4, 2, 64)
    torch.testing.assert_close(first(frames), second(frames))


def test_values_and_gradients_are_brevitas_own():
    first, second = made(LEARNED), made(LEARNED)
    compute_plainly(second)
    with torch.no_grad():
        for network in (first, second):
            for threshold in thresholds(network).values():
                threshold.mul_(0.7)  # some weights are clipped
    frames, labels = torch.randn(8, 2, 64), torch.arange(8) % 4
    for network in (first, second):
        functional.cross_entropy(network(frames), labels).backward()
    ours, theirs = thresholds(first), thresholds(second)
    for name, threshold in ours.items():
        assert threshold.grad is not None
        torch.testing.assert_close(threshold.grad, theirs[name].grad, rtol=1e-3, atol=1e-5)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=network_specs(), share=st.floats(0.2, 1.0), seed=st.integers(0, 99))
def test_the_export_holds_the_learned_steps_and_costs_what_arithmetic_says(spec, share, seed):
    spec = replace(spec, learned_weight_steps=True)
    network = made(spec, seed).eval()
    with torch.no_grad():
        for threshold in thresholds(network).values():
            threshold.mul_(share)
    analytic = spec_cost(spec, nonzero_weights(network, spec))
    exported = metric_cost(trace(network, "qonnx", spec.frame_length))
    assert [(a.nonzero_weights, a.weight_bits, a.input_bits) for a in analytic.layers] == [
        (e.nonzero_weights, e.weight_bits, e.input_bits) for e in exported.layers
    ]


@pytest.mark.parametrize("format", ["qonnx", "qcdq"])
def test_the_integer_program_of_the_export_computes_the_same_logits(format):
    network = made(LEARNED).eval()
    with torch.no_grad():
        for threshold in thresholds(network).values():
            threshold.mul_(0.6)
        frames = torch.randn(16, 2, 64)
        expected = network(frames).numpy()
    program = lower_model(trace(network, format, 64))
    found = program.logits(frames.numpy())
    same = np.isclose(found, expected, rtol=1e-3, atol=1e-3).all(axis=1)
    assert same.mean() >= 0.9  # a value on a rounding boundary may fall on either side


def test_they_are_saved_and_loaded_and_stay_the_optimizers_parameters(tmp_path):
    network = made(LEARNED)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network.load_state_dict(network.state_dict())  # as a resumed training does
    network(torch.randn(4, 2, 64)).square().sum().backward()
    optimizer.step()
    reaches = {name: module for name, module in network.named_modules() if hasattr(module, "quantized_weight")}
    before = made(LEARNED)
    assert any(not torch.equal(p, thresholds(before)[n]) for n, p in thresholds(network).items())
    save_model(tmp_path / "m.safetensors", network, spec=LEARNED, classes="abcd")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.spec == LEARNED
    for name, module in reaches.items():
        assert torch.equal(module.quantized_weight(), loaded.network.get_submodule(name).quantized_weight())


def test_specifications_without_the_setting_have_no_learned_steps():
    plain = PLAIN.to_dict()
    del plain["learned_weight_steps"]
    assert NetworkSpec.from_dict(plain) == PLAIN
    assert LEARNED.quantized(3, 3).learned_weight_steps


def test_weights_carried_to_fewer_bits_get_the_step_of_least_squared_error():
    source, target = made(PLAIN), made(LEARNED.quantized(3, 3), seed=1)
    transfer_state(target, source.state_dict())
    for module in target.modules():
        if hasattr(module, "quantized_weight"):
            weight = module.weight.detach()
            error = (module.quantized_weight().detach() - weight).square().sum()
            with torch.no_grad():
                module.learned_threshold.fill_(float(weight.abs().max()))
            assert error <= (module.quantized_weight().detach() - weight).square().sum()
