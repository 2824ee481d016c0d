import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.cost.of import cost_of
from bacalhaunet.models.catalog import CATALOG, find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.search.settings import STARTS
from bacalhaunet.search.space import Candidate, Range, SearchSpace, ShareRange, choose_candidate, values_of


class Drawn:
    """Answers with whatever hypothesis draws, and remembers it."""

    def __init__(self, draw):
        self.draw, self.values = draw, {}

    def suggest_int(self, name, low, high, *, step=1):
        assert name not in self.values, "a name asked for twice would be one value for two layers"
        self.values[name] = low + step * self.draw(st.integers(0, (high - low) // step))
        return self.values[name]

    def suggest_float(self, name, low, high):
        self.values[name] = self.draw(st.floats(low, high))
        return self.values[name]


@st.composite
def ranges(draw, low, high, step=1):
    first = low + step * draw(st.integers(0, (high - low) // step))
    steps = draw(st.integers(0, (high - first) // step))
    return Range(first, first + step * steps, step)


@st.composite
def spaces(draw):
    shares = sorted([draw(st.floats(0, 0.99)), draw(st.floats(0, 0.99))])
    return SearchSpace(
        blocks=draw(ranges(1, 6)),
        kernel=draw(ranges(1, 63, 2)),
        stride=draw(ranges(1, 4)),
        channels=draw(ranges(1, 12)),
        dilation=draw(ranges(1, 3)),
        depth_multiplier=draw(ranges(1, 3)),
        weight_bits=draw(ranges(2, 8)),
        activation_bits=draw(ranges(2, 8)),
        input_bits=draw(ranges(2, 8)),
        prune_share=ShareRange(*shares),
        shared_sums=draw(st.booleans()),
    )


@given(st.data(), spaces(), st.integers(2, 30))
@settings(max_examples=150, deadline=None)
def test_every_choice_is_a_network_that_can_be_described_costed_and_found_again(data, space, classes):
    drawn = Drawn(data.draw)
    candidate = choose_candidate(drawn, space, classes)
    assert NetworkSpec.from_json(candidate.spec.to_json()) == candidate.spec
    assert candidate.spec.classes == classes
    assert all(layer.weight_bits <= 8 and layer.input_bits <= 8 for layer in candidate.spec.layers())
    assert 0 < candidate.expected_score() <= cost_of(candidate.spec).score * 1.5
    assert values_of(candidate, space) == drawn.values


@given(st.data(), spaces())
@settings(max_examples=6, deadline=None)
def test_every_choice_can_be_built(data, space):
    import torch

    candidate = choose_candidate(Drawn(data.draw), space, 5, frame_length=64)
    with torch.no_grad():
        logits = build_network(candidate.spec).eval()(torch.zeros(2, 2, 64))
    assert logits.shape == (2, 5)


def test_a_candidate_without_pruning_is_expected_to_score_what_its_spec_scores():
    spec = find_spec("bacalhaunet").quantized(6, 6, sum_bits=6)
    assert Candidate(spec, 0.0).expected_score() == cost_of("bacalhaunet", bits=6).score
    assert Candidate(spec, 0.5).expected_score() == pytest.approx(cost_of("bacalhaunet", bits=6).score / 2, rel=0.01)


def test_the_default_space_holds_the_default_starts_and_they_are_in_the_catalog():
    assert len(STARTS) == 15
    for name in STARTS:
        spec = CATALOG[name].spec.quantized(6, 6, sum_bits=6)
        assert values_of(Candidate(spec, 0.0), SearchSpace()), name


def test_what_lies_outside_the_space_has_no_values():
    wide = Candidate(find_spec("bacalhaunet").quantized(6, 6, sum_bits=6), 0.0)
    assert values_of(wide, SearchSpace(channels=Range(8, 32))) is None
    assert values_of(wide, SearchSpace(prune_share=ShareRange(0.1, 0.9))) is None
    unquantized_sums = Candidate(find_spec("bacalhaunet").quantized(6, 6), 0.0)
    assert values_of(unquantized_sums, SearchSpace()) is None
    other_kind = Candidate(find_spec("vgg10").quantized(6, 6), 0.0)
    assert values_of(other_kind, SearchSpace()) is None
