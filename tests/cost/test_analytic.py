import pytest

from bacalhaunet.cost.analytic import spec_cost
from bacalhaunet.cost.of import cost_of, quantize
from bacalhaunet.cost.report import score
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.report import published

# Figure 4a of the report, in its order; table 1 (prototype) and table 3 (BacalhauNet in float).
FIGURE_4A = [0.764, 0.791, 0.976, 0.988, 1.016, 1.099, 1.113, 1.129, 1.137, 1.143, 1.158, 1.171, 1.203]


@pytest.mark.parametrize(("number", "printed"), list(enumerate(FIGURE_4A, 1)))
def test_figure_4a_scores_are_exact_to_the_digits_printed(number, printed):
    assert round(cost_of(f"figure4a-{number:02d}").score, 3) == printed


def test_prototype_and_float_bacalhaunet_scores_are_exact_to_the_digits_printed():
    assert round(cost_of("prototype").score, 3) == 1.158
    assert round(cost_of("bacalhaunet").score, 4) == 1.4155
    assert round(cost_of("first-experiment").score, 2) == 0.03


def test_mobilenet_is_within_three_percent_of_the_paper():
    assert cost_of("mobilenetv3-small-1d").score == pytest.approx(30.42, rel=0.03)


def test_figure_4a_here_is_the_published_one():
    assert [point.score for point in published.figure_4a()] == FIGURE_4A


def test_six_bits_with_quantized_sums_leave_no_layer_above_eight():
    report = cost_of("bacalhaunet", bits=6)
    assert {(layer.input_bits, layer.weight_bits) for layer in report.layers} == {(8, 6), (6, 6)}
    assert report.findings == ()


def test_sums_left_unquantized_are_found_with_the_two_layers_they_feed():
    report = spec_cost(find_spec("bacalhaunet").quantized(6, 6))
    (finding,) = report.findings
    assert finding.layers == ("blocks.2.depthwise", "blocks.4.depthwise")
    assert finding.bit_ops == sum(layer.bit_ops for layer in report.layers if layer.input_bits == 32)
    assert f"to {cost_of('bacalhaunet', bits=6).score:.6g}" in finding.text


def test_a_float_network_has_one_finding_over_all_layers():
    report = cost_of("bacalhaunet")
    (finding,) = report.findings
    assert finding.bit_ops == report.bit_ops
    assert f"to {cost_of('bacalhaunet', bits=8).score:.6g}" in finding.text


def test_counts_of_nonzero_weights_lower_the_cost_in_proportion():
    spec = quantize(find_spec("bacalhaunet"), 6)
    dense = spec_cost(spec)
    layer = dense.layers[3]
    half = spec_cost(spec, {layer.name: layer.weights // 2})
    assert half.layers[3].density == 0.5
    assert dense.bit_ops - half.bit_ops == layer.bit_ops // 2
    assert dense.score - half.score == pytest.approx(score(layer.bit_ops, layer.bit_mem) / 2)


def test_impossible_counts_and_unknown_layers_are_refused():
    spec = find_spec("bacalhaunet")
    with pytest.raises(ConfigError, match="0 to 54"):
        spec_cost(spec, {"blocks.0.depthwise": 55})
    with pytest.raises(ConfigError, match=r"blocks\.7"):
        spec_cost(spec, {"blocks.7": 1})
