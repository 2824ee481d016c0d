import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("qonnx")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bacalhaunet.compression.bits import (
    Knob,
    Lowering,
    allocate,
    bit_knobs,
    cheapest_lowering,
    lowered_network,
    lowerings,
    with_knob,
)
from bacalhaunet.compression.budget import network_cost
from bacalhaunet.compression.config import AllocationConfig
from bacalhaunet.cost.analytic import (
    nonzero_weights,
    spec_cost,
)
from bacalhaunet.cost.metric import metric_cost
from bacalhaunet.deploy.export import trace
from bacalhaunet.models.layers import Quantizer
from bacalhaunet.models.network import build_network
from tests.models.random_specs import network_specs, separable
from tests.training.shared_run import batches

from .small_pruning import SPEC, start

SHARED = SPEC.quantized(5, 5, sum_bits=5, shared_sums=True)


@settings(max_examples=40, deadline=None)
@given(spec=network_specs(), data=st.data())
def test_every_knob_of_every_network_can_be_lowered_and_never_raises_the_score(spec, data):
    knobs = [knob for knob in bit_knobs(spec) if knob.bits > 2]
    if not knobs:
        return
    knob = data.draw(st.sampled_from(knobs))
    lower = with_knob(spec, knob, knob.bits - 1)
    assert spec_cost(lower).score <= spec_cost(spec).score
    assert with_knob(lower, knob, knob.bits) == spec


def test_the_bits_of_a_shared_quantizer_are_one_knob():
    shared = [knob for knob in bit_knobs(SHARED) if len(knob.paths) > 1]
    assert [knob.paths for knob in shared] == [
        (("blocks", 0, "pointwise_activation_bits"), ("blocks", 1, "pointwise_activation_bits"))
    ]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=network_specs(kinds=(separable,)), seed=st.integers(0, 9))
def test_bits_of_the_exported_graph_are_those_of_the_lowered_specification(spec, seed):
    torch.manual_seed(seed)
    network = build_network(spec)
    frames = torch.randn(3, 2, spec.frame_length)
    for knob in [knob for knob in bit_knobs(spec) if knob.bits > 2][:2]:
        lower = with_knob(spec, knob, knob.bits - 1)
        exported = metric_cost(trace(lowered_network(lower, network, frames), "qonnx", lower.frame_length))
        bits = [(layer.input_bits, layer.weight_bits) for layer in exported.layers]
        assert bits == [(layer.input_bits, layer.weight_bits) for layer in lower.layers()]


def test_only_quantizers_with_other_bits_are_set_anew():
    network, frames = start(), batches(1).batch(0).frames
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Quantizer):
                module.threshold.fill_(1.25)
    knob = next(knob for knob in bit_knobs(SPEC) if knob.name == "blocks.0.depthwise_activation_bits")
    lower = lowered_network(with_knob(SPEC, knob, 3), network, frames)
    moved = {n for n, m in lower.named_modules() if isinstance(m, Quantizer) and m.threshold.item() != 1.25}
    assert moved == {"blocks.0.depthwise_activation.quantizer"}
    assert torch.equal(lower.blocks[1].depthwise.weight, network.blocks[1].depthwise.weight)


def test_measuring_leaves_the_network_as_it_is_and_saves_what_it_says():
    network, batch = start(), batches(1).batch(0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = lowerings(network, SPEC, [batch], batch.frames, 3)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    now, counts = network_cost(network, SPEC).score, nonzero_weights(network, SPEC)
    assert len(found) > 5
    for one in found:
        assert one.saved == pytest.approx(now - spec_cost(one.spec, counts).score, rel=1e-9)


def test_the_choice_is_the_least_loss_per_score_and_of_free_ones_the_one_that_saves_most():
    def one(name, saved, loss):
        return Lowering(Knob(((name,),), 5), SPEC, saved, loss)

    assert cheapest_lowering([one("a", 0.1, 1.2), one("b", 0.2, 1.3), one("c", 0.01, 1.1)], 1.0).knob.name == "b"
    assert cheapest_lowering([one("a", 0.1, 0.9), one("b", 0.2, 1.0), one("c", 0.3, 1.1)], 1.0).knob.name == "b"


def test_an_allocation_reaches_its_target_and_goes_on_where_it_stopped(tmp_path):
    network, batch = start(), batches(1).batch(0)
    config, target = AllocationConfig(frames=32), 0.7 * network_cost(network, SPEC).score
    whole = allocate(network, SPEC, target, config, [batch], batch.frames, tmp_path / "whole")
    assert network_cost(whole.network, whole.spec).score <= target
    assert len(whole.lowered) > 1
    part = tmp_path / "part"
    allocate(network, SPEC, whole.lowered[0]["score"], config, [batch], batch.frames, part)
    assert (part / "turn-1.json").is_file()
    resumed = allocate(network, SPEC, target, config, [batch], batch.frames, part)
    assert (resumed.spec, resumed.lowered) == (whole.spec, whole.lowered)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value)


def test_an_allocation_that_cannot_reach_its_target_ends_with_the_fewest_bits(tmp_path):
    network, batch = start(), batches(1).batch(0)
    config = AllocationConfig(frames=8, least_bits=3)
    found = allocate(network, SPEC, 1e-9, config, [batch], batch.frames, tmp_path)
    charged = [(layer.input_bits, layer.weight_bits) for layer in found.spec.layers()]
    assert all(bits == (3, 3) for bits in charged)
