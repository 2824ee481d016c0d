"""Slimming removes the channels of the smallest BatchNorm scales and nothing else changes."""

import pytest
import torch
from torch import nn

from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.batches import Batch
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec, separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet_paper.slimming import kept_channels, remove_channels, scale_penalty, streams

SPEC = separable_network((5, 5, 3, 3), (2, 1, 2, 1), (8, 8, 12, 12), classes=5, frame_length=64)
DEAD = {0: [1, 5, 6], 2: [0, 7, 8, 11]}  # by block: channels of the stream it and the next block write


def network(spec=SPEC):
    """A network with running statistics and scales as after training."""
    torch.manual_seed(4)
    made = build_network(spec)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.2, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return made.eval()


def kill(made, value):
    """Give some channels a scale of 0, so that their value is relu(value) everywhere."""
    for first, channels in DEAD.items():
        for block in (first, first + 1):
            norm = made.blocks[block].pointwise_norm
            with torch.no_grad():
                norm.weight[channels] = 0
                norm.bias[channels] = value
    return made


def share():
    return sum(map(len, DEAD.values())) / 20


def test_blocks_joined_by_a_residual_sum_are_one_stream():
    found = streams(SPEC, network())
    assert [stream.writers for stream in found] == [(0, 1), (2, 3)]
    assert [len(stream.scales) for stream in found] == [8, 12]


def test_a_channel_is_judged_by_the_largest_scale_that_writes_it():
    made = network()
    with torch.no_grad():
        made.blocks[0].pointwise_norm.weight[3] = 0.0
        made.blocks[1].pointwise_norm.weight[3] = -9.0
    assert streams(SPEC, made)[0].scales[3] == 9.0


def test_removing_channels_that_are_zero_everywhere_leaves_the_logits():
    made = kill(network(), -1.0)
    narrow, slim = remove_channels(SPEC, made, share())
    assert [block.channels for block in narrow.blocks] == [5, 5, 8, 8]
    frames = torch.randn(16, 2, 64)
    with torch.no_grad():
        assert torch.allclose(slim.eval()(frames), made(frames), atol=1e-4)


def test_what_a_constant_channel_gave_is_kept_away_from_the_frame_s_ends():
    spec = separable_network((1, 1, 1, 1), (2, 1, 2, 1), (8, 8, 12, 12), classes=5, frame_length=64)  # no padding
    made = kill(network(spec), 0.7)
    _, slim = remove_channels(spec, made, share())
    frames = torch.randn(16, 2, 64)
    with torch.no_grad():
        assert torch.allclose(slim.eval()(frames), made(frames), atol=1e-4)


def test_a_quantized_network_without_dead_channels_names_the_same_classes():
    spec = SPEC.quantized(8, 8, sum_bits=8)
    made = kill(network(spec), -1.0)
    narrow, slim = remove_channels(spec, made, share())
    frames = torch.randn(200, 2, 64)
    with torch.no_grad():
        same = slim.eval()(frames).argmax(1) == made(frames).argmax(1)
    assert same.float().mean() > 0.95
    assert cost_of(narrow).score < cost_of(spec).score


def test_the_network_given_is_not_changed():
    made = network()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    remove_channels(SPEC, made, 0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())


def test_the_share_asked_for_is_removed_and_no_stream_is_emptied():
    made = network()
    with torch.no_grad():
        for block in (0, 1):
            made.blocks[block].pointwise_norm.weight.mul_(1e-3)
    found = streams(SPEC, made)
    assert [len(kept) for kept in kept_channels(found, 0.4)] == [1, 12]
    assert sum(len(kept) for kept in kept_channels(streams(SPEC, network()), 0.25)) == 15
    assert [len(kept) for kept in kept_channels(found, 0.0)] == [8, 12]


def test_the_penalty_adds_the_scales_in_magnitude_and_pulls_them_to_zero():
    made = network()
    batch = Batch(torch.randn(4, 2, 64), torch.arange(4), torch.zeros(4))
    logits = made(batch.frames)
    scales = [m.weight for m in made.modules() if isinstance(m, nn.BatchNorm1d)]
    expected = nn.functional.cross_entropy(logits, batch.labels) + 0.1 * sum(s.abs().sum() for s in scales)
    assert torch.isclose(scale_penalty(made, 0.1)(logits, batch), expected)
    with_penalty = torch.autograd.grad(scale_penalty(made, 0.1)(made(batch.frames), batch), scales)
    without = torch.autograd.grad(scale_penalty(made, 0.0)(made(batch.frames), batch), scales)
    for given, plain, scale in zip(with_penalty, without, scales, strict=True):
        assert torch.allclose(given - plain, 0.1 * scale.sign(), atol=1e-5)


@pytest.mark.parametrize("factor", [-1e-4, float("nan"), float("inf")])
def test_a_penalty_that_is_no_positive_number_is_refused(factor):
    with pytest.raises(ConfigError, match="penalty"):
        scale_penalty(network(), factor)


@pytest.mark.parametrize("wrong", [-0.1, 1.0, float("nan")])
def test_a_share_outside_0_to_1_is_refused(wrong):
    with pytest.raises(ConfigError, match="share of channels"):
        remove_channels(SPEC, network(), wrong)


def test_networks_of_another_kind_are_refused():
    spec = find_spec("vgg10")
    with pytest.raises(ConfigError, match="separable blocks"):
        streams(spec, build_network(spec))
