import copy

import pytest
import torch
from torch import nn

from bacalhaunet.compression.pruning import (
    KeepZeros,
    apply_masks,
    density,
    keep_last_weights,
    magnitude_masks,
    prunable_weights,
)
from bacalhaunet.errors import ConfigError
from bacalhaunet.training.optimizers import MuonAndAdam


@pytest.fixture
def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv1d(2, 4, 5), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 12, 3))


def test_only_convolution_and_dense_weights_are_prunable(network):
    assert set(prunable_weights(network)) == {"0", "4"}


def test_weights_below_epsilon_become_zero_and_the_others_stay(network):
    before = {name: weight.detach().clone() for name, weight in prunable_weights(network).items()}
    apply_masks(network, magnitude_masks(network, 0.1))
    for name, weight in prunable_weights(network).items():
        small = before[name].abs() < 0.1
        assert small.any()
        assert torch.equal(weight.detach()[small], torch.zeros(int(small.sum())))
        assert torch.equal(weight.detach()[~small], before[name][~small])


def test_epsilon_zero_keeps_the_zeros_there_are(network):
    apply_masks(network, magnitude_masks(network, 0.1))
    before = density(network)
    masks = magnitude_masks(network, 0.0)
    assert 0 < before < 1
    assert sum(int(mask.sum()) for mask in masks.values()) / sum(m.numel() for m in masks.values()) == before


def test_pruning_again_never_brings_a_weight_back(network):
    first = magnitude_masks(network, 0.05)
    apply_masks(network, first)
    second = magnitude_masks(network, 0.1)
    assert all(not bool((second[name] & ~first[name]).any()) for name in first)


@pytest.mark.parametrize("epsilon", [-0.1, float("nan"), 1e9])
def test_an_impossible_epsilon_is_an_error(network, epsilon):
    with pytest.raises(ConfigError):
        magnitude_masks(network, epsilon)


def test_pruned_weights_stay_zero_under_adam_with_momentum(network):
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

    module = Module()
    optimizer = torch.optim.Adam(network.parameters(), 0.05)
    frames = torch.randn(8, 2, 16, generator=torch.Generator().manual_seed(1))
    # One step before pruning, so that Adam's moments would move pruned weights.
    network(frames).square().sum().backward()
    optimizer.step()
    masks = magnitude_masks(network, 0.15)
    keeper = KeepZeros(masks)
    keeper.on_train_start(None, module)
    for _ in range(3):
        optimizer.zero_grad()
        network(frames).square().sum().backward()
        optimizer.step()
        moved = any(bool((prunable_weights(network)[n][~m] != 0).any()) for n, m in masks.items())
        assert moved  # without the callback they would not stay
        keeper.on_train_batch_end(None, module, None, None, 0)
        assert all(bool((prunable_weights(network)[n][~m] == 0).all()) for n, m in masks.items())


def test_a_muon_step_of_kept_weights_does_not_depend_on_pruned_ones(network):
    masks = magnitude_masks(network, 0.1)
    apply_masks(network, masks)
    start = copy.deepcopy(network.state_dict())
    kept = []
    for junk in (0.0, 100.0):  # what the gradient is where weights are pruned
        network.load_state_dict(start)
        module = nn.Module()
        module.network = network
        keeper = KeepZeros(masks)
        for name, weight in prunable_weights(network).items():
            drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
            weight.grad = torch.where(masks[name], drawn, junk)
        keeper.on_before_optimizer_step(None, module, None)
        MuonAndAdam(network, 0.01, 0.02, weight_decay=0.1).step()
        keeper.on_train_batch_end(None, module, None, None, 0)
        kept.append({name: weight.detach().clone() for name, weight in prunable_weights(network).items()})
    for name, mask in masks.items():
        assert torch.equal(kept[0][name], kept[1][name])
        assert not torch.equal(kept[0][name][mask], start[f"{name}.weight"][mask])


def test_a_filter_keeps_its_largest_weight_and_a_filter_of_zeros_none():
    weights = {"layer": torch.tensor([[[0.1, -0.3]], [[0.0, 0.0]], [[0.5, 0.2]]])}
    masks = {"layer": torch.tensor([[[False, False]], [[False, False]], [[False, True]]])}
    kept = keep_last_weights(weights, masks)["layer"]
    assert kept.tolist() == [[[False, True]], [[False, False]], [[False, True]]]
    assert not masks["layer"][0].any()
