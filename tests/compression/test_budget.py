import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.compression.budget import (
    charged_score,
    groups,
    marginal_scores,
    masks_for_score,
    network_cost,
)
from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.cost.of import quantize
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from tests.models.random_specs import network_specs

WINNER = quantize(find_spec("bacalhaunet"), 6)


def random_importance(spec, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        layer.name: torch.rand(tensor.shape, generator=generator)
        for layer, tensor in zip(spec.layers(), groups(spec, "single").values(), strict=True)
    }


@settings(max_examples=40, deadline=None)
@given(spec=network_specs(), seed=st.integers(0, 99))
def test_the_score_is_the_sum_of_marginal_scores(spec, seed):
    chosen = {name: value > 0.5 for name, value in random_importance(spec, seed).items()}
    counts = {name: int(mask.sum()) for name, mask in chosen.items()}
    assert charged_score(spec, chosen) == pytest.approx(spec_cost(spec, counts).score, rel=1e-12)


def test_a_weight_of_the_first_layer_costs_seven_times_as_much_as_one_of_the_last():
    prices = list(marginal_scores(WINNER).values())
    assert max(prices) == prices[0]
    assert min(prices) == prices[-1]
    assert prices[0] / prices[-1] == pytest.approx(7.25, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(spec=network_specs(), share=st.floats(0.3, 1.0), aware=st.booleans(), seed=st.integers(0, 99))
def test_no_choice_of_masks_exceeds_the_target_and_another_weight_would(spec, share, aware, seed):
    importance = random_importance(spec, seed)
    target = share * spec_cost(spec).score
    try:
        masks = masks_for_score(spec, importance, target, score_aware=aware)
    except ConfigError:
        return
    assert charged_score(spec, masks) <= target * (1 + 1e-9)
    assert all(bool(mask.any()) for mask in masks.values())
    prices = marginal_scores(spec)
    ranks = {n: v / (prices[n] if aware else 1) for n, v in importance.items()}
    cut = [(float(ranks[n][~m].max()), n) for n, m in masks.items() if not bool(m.all())]
    if cut:
        # The first that was cut did not fit any more.
        assert charged_score(spec, masks) + prices[max(cut)[1]] > target * (1 - 1e-9)


def test_the_more_expensive_layer_keeps_less_of_the_same_importance():
    importance = {name: torch.ones(tensor.shape) for name, tensor in groups(WINNER, "single").items()}
    aware = masks_for_score(WINNER, importance, 0.03)
    dearest = max(marginal_scores(WINNER), key=marginal_scores(WINNER).__getitem__)
    cheapest = min(marginal_scores(WINNER), key=marginal_scores(WINNER).__getitem__)
    assert int(aware[dearest].sum()) == 1
    assert bool(aware[cheapest].all())


@pytest.mark.parametrize("pattern", ["pairs", "channels"])
def test_patterns_cut_pointwise_weights_together_and_leave_other_layers(pattern):
    masks = masks_for_score(WINNER, random_importance(WINNER, 1), 0.04, pattern=pattern)
    for layer in WINNER.layers():
        mask = masks[layer.name]
        if layer.kind != "pointwise":
            assert torch.equal(groups(WINNER, pattern)[layer.name], groups(WINNER, "single")[layer.name])
        elif pattern == "channels":
            assert bool((mask == mask[:1]).all())
        else:
            even = mask[:, : mask.shape[1] // 2 * 2]
            assert bool((even[:, ::2] == even[:, 1::2]).all())
    assert charged_score(WINNER, masks) <= 0.04


def test_a_target_below_something_of_each_layer_is_an_error_that_says_the_least():
    with pytest.raises(ConfigError, match="target score") as caught:
        masks_for_score(WINNER, random_importance(WINNER, 1), 1e-6)
    assert caught.value.allowed


def test_the_cost_of_a_network_discounts_its_zeros():
    torch.manual_seed(1)
    network = build_network(WINNER)
    before = network_cost(network, WINNER).score
    with torch.no_grad():
        network.blocks[2].pointwise.weight.mul_(0)
    assert network_cost(network, WINNER).score < before
