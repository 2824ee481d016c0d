import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.compression.budget import charged_score, marginal_scores, masks_for_score
from bacalhaunet.compression.config import PruneStep
from bacalhaunet.compression.importance import (
    importances,
    layer_weights,
    lengths,
    normalized_layers,
    rescale_weights,
    squared_gradients,
)
from bacalhaunet.compression.pruning import _Pruning, masks_above, prune
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.network import build_network
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.history import history_of
from tests.compression.small_pruning import SPEC, data, start
from tests.training.shared_run import BATCH

FLOAT = SPEC.quantized(None, None, sum_bits=None)


def chosen(network, share, spec=SPEC):
    whole = sum(price * network.get_submodule(name).weight.numel() for name, price in marginal_scores(spec).items())
    squares = squared_gradients(network, spec, data(), batches=4)
    masks = masks_for_score(spec, importances(network, spec, "saliency", squares), share * whole)
    weights = layer_weights(network, spec)
    return {name: mask & (weights[name] != 0) for name, mask in masks.items()}


def by_epsilon(network, squares, epsilon, rms):
    found = lengths(network, SPEC, "saliency", squares, rms)
    return masks_above(layer_weights(network, SPEC), found, epsilon)


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.2, 1.0))
def test_in_every_filter_the_kept_weights_are_the_longest_and_the_score_is_at_most_the_target(share):
    network = start()
    masks = chosen(network, share)
    prices = marginal_scores(SPEC)
    whole = sum(price * masks[name].numel() for name, price in prices.items())
    assert charged_score(SPEC, masks) <= share * whole * (1 + 1e-9)
    assert charged_score(SPEC, masks) > share * whole - max(prices.values())
    for name, mask in masks.items():
        weights = network.get_submodule(name).weight.detach().abs()
        for kept, found in zip(mask.flatten(1), weights.flatten(1), strict=True):
            if bool(kept.any()) and not bool(kept.all()):
                assert found[kept].min() >= found[~kept].max()


def test_the_choice_does_not_depend_on_the_scale_of_a_layer_that_a_normalization_follows():
    torch.manual_seed(0)
    network = build_network(FLOAT)
    before = chosen(network, 0.4, FLOAT)
    for number, (layer, _) in enumerate(normalized_layers(network)):
        with torch.no_grad():
            layer.weight.mul_(0.5 + number)
    after = chosen(network, 0.4, FLOAT)
    differing = sum(int((before[name] != after[name]).sum()) for name in before)
    assert differing <= 2  # float rounding decides between weights of the same saliency
    rescale_weights(network, 0.3)
    assert sum(int((before[name] != mask).sum()) for name, mask in chosen(network, 0.4, FLOAT).items()) <= 2


def test_weights_that_are_zero_stay_zero_and_the_network_stays_as_it_was():
    network = start()
    with torch.no_grad():
        network.get_submodule("blocks.1.pointwise").weight[::2] = 0
    state = {name: value.clone() for name, value in network.state_dict().items()}
    masks = chosen(network, 1.0)
    assert not bool(masks["blocks.1.pointwise"][::2].any())
    assert bool(masks["blocks.1.pointwise"][1::2].all())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_pruning_by_scores_reaches_each_and_tells_it(tmp_path):
    config = TrainConfig(
        network=str(tmp_path / "spec.yaml"), epochs=1, batch_size=BATCH, threads=1, accelerator="cpu", seed=3
    )
    (tmp_path / "spec.yaml").write_text(SPEC.to_yaml())
    steps = [PruneStep(5e-5, 0.15), PruneStep(1e-4, 0.25)]
    scores = [0.0003, 0.0002]
    runs = list(prune(config, steps, tmp_path / "run", importance="saliency", scores=scores, data=data()))
    assert runs[1].density < runs[0].density < 1
    assert [stage["score"] for stage in history_of(runs[1].model)] == scores
    again = list(prune(config, steps, tmp_path / "run", importance="saliency", scores=scores, data=data()))
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
    masks = by_epsilon(network, squares, epsilon, rms)
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        name: mask.tolist() for name, mask in by_epsilon(network, squares, 2 * epsilon, 2 * rms).items()
    }
    prices, expected = marginal_scores(SPEC), {}
    for name, mask in masks.items():
        mean = squares[name].flatten(1).mean(1).reshape(-1, *[1] * (squares[name].dim() - 1))
        expected[name] = network.get_submodule(name).weight.detach().square() * mean / prices[name]
        assert mask.shape == expected[name].shape
    every = torch.cat([value.flatten() for value in expected.values()])
    threshold = (epsilon / rms) ** 2 * every.mean()
    wrong = sum(
        int((mask != (expected[name] >= threshold)).logical_and((expected[name] / threshold - 1).abs() > 1e-4).sum())
        for name, mask in masks.items()
    )
    assert wrong == 0


def test_an_epsilon_beyond_a_layer_s_longest_weight_names_the_layer():
    network = start()
    squares = squared_gradients(network, SPEC, data(), batches=1)
    with pytest.raises(ConfigError, match=r"removes every weight of .*"):
        by_epsilon(network, squares, 1e6, 0.45)


def test_pruning_by_saliency_goes_by_epsilon_and_tells_the_unit(tmp_path):
    config = TrainConfig(
        network=str(tmp_path / "spec.yaml"), epochs=1, batch_size=BATCH, threads=1, accelerator="cpu", seed=3
    )
    (tmp_path / "spec.yaml").write_text(SPEC.to_yaml())
    steps = [PruneStep(5e-5, 0.1), PruneStep(1e-4, 0.1)]
    runs = list(prune(config, steps, tmp_path / "run", importance="saliency", weight_rms=0.45, data=data()))
    assert runs[1].density < runs[0].density < 1
    told = [(stage["importance"], stage["weight_rms"]) for stage in history_of(runs[1].model)]
    assert told == [("saliency", 0.45)] * 2


@pytest.mark.parametrize(
    ("importance", "rms"), [("saliency", None), ("layer-rms", None), ("saliency", 0.0), ("magnitude", 0.45)]
)
def test_a_unit_that_does_not_suit_the_importance_is_refused(importance, rms, tmp_path):
    with pytest.raises(ConfigError, match="weight_rms"):
        next(prune(TrainConfig(), [PruneStep(0, 0.1)], tmp_path, importance=importance, weight_rms=rms))


def lengths_by_formula(importance, network, rms):
    """The report's |w|; the same after each normalized layer is brought to R; and the saliency in units of R."""
    weights = layer_weights(network, SPEC)
    if importance == "magnitude":
        return {name: weight.abs() for name, weight in weights.items()}
    if importance == "layer-rms":
        units = {id(layer): rms / layer.weight.square().mean().sqrt() for layer, _ in normalized_layers(network)}
        return {
            name: weight.abs() * units.get(id(network.get_submodule(name)), 1.0) for name, weight in weights.items()
        }
    squares, prices, found = squared_gradients(network, SPEC, data()), marginal_scores(SPEC), {}
    for name, weight in weights.items():
        mean = squares[name].flatten(1).mean(1).reshape(-1, *[1] * (weight.dim() - 1))
        found[name] = weight.abs() * (mean / prices[name]).sqrt()
    unit = rms / torch.cat([length.flatten() for length in found.values()]).square().mean().sqrt()
    return {name: unit * length for name, length in found.items()}


@pytest.mark.parametrize(
    ("importance", "rms", "epsilon"), [("magnitude", None, 0.1), ("layer-rms", 0.9, 0.3), ("saliency", 0.9, 0.05)]
)
def test_each_importance_cuts_the_weights_whose_length_by_its_formula_is_below_epsilon(importance, rms, epsilon):
    expected = lengths_by_formula(importance, start(), rms)
    pruning = _Pruning(TrainConfig(), SPEC, data(), importance, rms)
    masks = pruning.masks(start(), PruneStep(0.0, epsilon), None)
    assert set(masks) == set(expected)
    assert sum(int((~mask).sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values()) > 0.05
    for name, mask in masks.items():
        clear = (expected[name] / epsilon - 1).abs() > 1e-4  # float rounding decides at epsilon itself
        assert torch.equal(mask[clear], (expected[name] >= epsilon)[clear])
