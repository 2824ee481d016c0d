import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.compression.budget import charged_score, marginal_scores
from bacalhaunet.compression.filter_thresholds import (
    masks_by_filter,
    masks_by_length,
    normalized_layers,
    rescale_weights,
    squared_gradients,
)
from bacalhaunet.compression.iterative import PruneStep, prune
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.network import build_network
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.history import history_of
from tests.compression.small_pruning import SPEC, data, start
from tests.training.shared_run import BATCH

FLOAT = SPEC.quantized(None, None, sum_bits=None)


def chosen(network, share, spec=SPEC):
    whole = sum(price * network.get_submodule(name).weight.numel() for name, price in marginal_scores(spec).items())
    return masks_by_filter(network, spec, squared_gradients(network, spec, data(), batches=4), share * whole)


def by_layer(masks):
    return {name.removesuffix(".weight"): mask for name, mask in masks.items()}


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.2, 1.0))
def test_in_every_filter_the_kept_weights_are_the_longest_and_the_score_is_at_most_the_target(share):
    network = start()
    masks = by_layer(chosen(network, share))
    prices = marginal_scores(SPEC)
    whole = sum(price * masks[name].numel() for name, price in prices.items())
    assert charged_score(SPEC, masks) <= share * whole * (1 + 1e-9)
    assert charged_score(SPEC, masks) > share * whole - max(prices.values())
    for name, mask in masks.items():
        weights = network.get_submodule(name).weight.detach().abs()
        for kept, lengths in zip(mask.flatten(1), weights.flatten(1), strict=True):
            if bool(kept.any()) and not bool(kept.all()):
                assert lengths[kept].min() >= lengths[~kept].max()


def test_the_choice_does_not_depend_on_the_scale_of_a_layer_that_a_normalization_follows():
    torch.manual_seed(0)
    network = build_network(FLOAT)
    before = chosen(network, 0.4, FLOAT)
    for number, (layer, _) in enumerate(normalized_layers(network)):
        with torch.no_grad():
            layer.weight.mul_(0.5 + number)
    after = chosen(network, 0.4, FLOAT)
    differing = sum(int((before[name] != after[name]).sum()) for name in before)
    assert differing <= 2  # float rounding decides between weights of the same worth
    rescale_weights(network, 0.3)
    assert sum(int((before[name] != mask).sum()) for name, mask in chosen(network, 0.4, FLOAT).items()) <= 2


def test_weights_that_are_zero_stay_zero_and_the_network_stays_as_it_was():
    network = start()
    with torch.no_grad():
        network.get_submodule("blocks.1.pointwise").weight[::2] = 0
    state = {name: value.clone() for name, value in network.state_dict().items()}
    masks = chosen(network, 1.0)
    assert not bool(masks["blocks.1.pointwise.weight"][::2].any())
    assert bool(masks["blocks.1.pointwise.weight"][1::2].all())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_pruning_by_scores_reaches_each_and_tells_it(tmp_path):
    config = TrainConfig(
        network=str(tmp_path / "spec.yaml"), epochs=1, batch_size=BATCH, threads=1, accelerator="cpu", seed=3
    )
    (tmp_path / "spec.yaml").write_text(SPEC.to_yaml())
    steps = [PruneStep(5e-5, 0.15), PruneStep(1e-4, 0.25)]
    scores = [0.0003, 0.0002]
    runs = list(prune(config, steps, tmp_path / "run", scores=scores, data=data()))
    assert runs[1].density < runs[0].density < 1
    assert [stage["score"] for stage in history_of(runs[1].model)] == scores
    again = list(prune(config, steps, tmp_path / "run", scores=scores, data=data()))
    assert [run.density for run in again] == [run.density for run in runs]


@pytest.mark.parametrize(
    ("scores", "rms"), [([0.2], None), ([0.1, 0.2], None), ([0.1, 0.1], None), ([0.1, 0.0], None), ([0.2, 0.1], 0.3)]
)
def test_scores_that_do_not_fall_step_by_step_are_refused(scores, rms, tmp_path):
    steps = [PruneStep(0, 0.1), PruneStep(0, 0.2)]
    with pytest.raises(ConfigError, match="scores are"):
        next(prune(TrainConfig(), steps, tmp_path, weight_rms=rms, scores=scores))


@settings(max_examples=15, deadline=None)
@given(epsilon=st.floats(0.0, 0.08), rms=st.floats(0.3, 2.0))
def test_epsilon_and_the_unit_decide_what_is_cut_and_only_their_ratio_counts(epsilon, rms):
    network = start()
    squares = squared_gradients(network, SPEC, data(), batches=4)
    masks = masks_by_length(network, SPEC, squares, epsilon, rms)
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        name: mask.tolist() for name, mask in masks_by_length(network, SPEC, squares, 2 * epsilon, 2 * rms).items()
    }
    prices, worth = marginal_scores(SPEC), {}
    for name, mask in by_layer(masks).items():
        mean = squares[name].flatten(1).mean(1).reshape(-1, *[1] * (squares[name].dim() - 1))
        worth[name] = network.get_submodule(name).weight.detach().square() * mean / prices[name]
        assert mask.shape == worth[name].shape
    every = torch.cat([value.flatten() for value in worth.values()])
    threshold = (epsilon / rms) ** 2 * every.mean()
    wrong = sum(
        int((mask != (worth[name] >= threshold)).logical_and((worth[name] / threshold - 1).abs() > 1e-4).sum())
        for name, mask in by_layer(masks).items()
    )
    assert wrong == 0


def test_an_epsilon_beyond_a_layer_s_longest_weight_names_the_layer():
    network = start()
    squares = squared_gradients(network, SPEC, data(), batches=1)
    with pytest.raises(ConfigError, match=r"removes every weight of .*"):
        masks_by_length(network, SPEC, squares, 1e6, 0.45)


def test_pruning_in_units_of_worth_goes_by_epsilon_and_tells_the_unit(tmp_path):
    config = TrainConfig(
        network=str(tmp_path / "spec.yaml"), epochs=1, batch_size=BATCH, threads=1, accelerator="cpu", seed=3
    )
    (tmp_path / "spec.yaml").write_text(SPEC.to_yaml())
    steps = [PruneStep(5e-5, 0.1), PruneStep(1e-4, 0.1)]
    runs = list(prune(config, steps, tmp_path / "run", weight_rms=0.45, weight_unit="worth", data=data()))
    assert runs[1].density < runs[0].density < 1
    assert [(stage["weight_rms"], stage["weight_unit"]) for stage in history_of(runs[1].model)] == [(0.45, "worth")] * 2
    with pytest.raises(ConfigError, match="weight_rms"):
        next(prune(config, steps, tmp_path / "other", weight_unit="worth", data=data()))
