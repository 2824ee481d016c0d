import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("qonnx")

from bacalhaunet.cost.metric import metric_cost
from bacalhaunet.cost.report import score
from bacalhaunet.errors import ModelFileError, UnsupportedOperationError
from bacalhaunet.models.onnx_files import read_onnx
from bacalhaunet.report import published
from tests.cost.small_networks import Builder, small_network

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="no ../shared/reference beside the checkout")


def cost(model, tmp_path):
    """Cost a model through a file, as a user does."""
    path = tmp_path / "network.onnx"
    onnx.save(model, path)
    return metric_cost(read_onnx(path), str(path))


def nonzero(model, name):
    tensor = next(t for t in model.graph.initializer if t.name == f"{name}.weight")
    return int(np.count_nonzero(onnx.numpy_helper.to_array(tensor)))


def counted_by_hand(model, sum_bits=4, input_bits=8):
    """bit_ops and bit_mem of ``small_network``: every weight of a convolution is used once per output sample."""
    a, b, c, d = (nonzero(model, name) for name in "abcd")
    ops = a * 32 * input_bits * 4 + b * 32 * 4 * 4 + c * 32 * sum_bits * 4 + d * 4 * 4
    return ops, 4 * (a + b + c + d)


@needs_reference
@pytest.mark.parametrize(("place", "file"), enumerate(("vgg10_w8a8_baseline", "bacalhaunet_w6a6_pruned", "aaronnet32")))
def test_reference_networks_cost_exactly_what_was_published(place, file):
    row = published.figures()["networks"]["points"][place]
    report = metric_cost(read_onnx(REFERENCE / "networks" / f"{file}.onnx"), file)
    assert (report.bit_ops, report.bit_mem) == (row["bit_ops"], row["bit_mem"])
    assert round(report.score, 6) == row["score"]


@needs_reference
def test_the_2021_networks_macs_are_those_published_by_input_bits():
    report = metric_cost(read_onnx(REFERENCE / "networks/bacalhaunet_w6a6_pruned.onnx"))
    submission = published.figures()["submission_cost"]
    by_bits = {8: "8 bits", 6: "6 bits", 32: "float32"}
    counted = dict.fromkeys(by_bits.values(), 0)
    for layer in report.layers:
        counted[by_bits[layer.input_bits]] += layer.counted_macs
    assert counted == submission["macs_by_input"]
    assert sum(layer.nonzero_weights for layer in report.layers) == submission["nonzero_weights"]


@needs_reference
def test_the_two_convolutions_of_2021_that_are_charged_at_32_bits_are_named_with_their_share():
    report = metric_cost(read_onnx(REFERENCE / "networks/bacalhaunet_w6a6_pruned.onnx"))
    finding = report.findings[0]
    assert finding.layers == ("conv.2.dw.conv", "conv.4.dw.conv")
    assert "sum that no quantizer follows" in finding.text
    assert "47 % of all" in finding.text
    assert "0.0116747" in finding.text  # what quantizing both sums to 6 bits leaves


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"domain": "onnx.brevitas"},
        {"domain": "finn.custom_op.general"},
        {"domain": ""},
        {"opset": 11},
        {"opset": 17},
        {"constants_as": "node"},
        {"state_kernel": False},
    ],
)
def test_every_dialect_of_one_network_costs_the_same(options, tmp_path):
    model = small_network(**options).model()
    report = cost(model, tmp_path)
    assert (report.bit_ops, report.bit_mem) == counted_by_hand(model)
    assert report.unsupported == ()
    assert [layer.name for layer in report.layers] == ["a", "b", "c", "d"]
    assert [layer.kind for layer in report.layers] == ["convolution", "pointwise", "depthwise", "dense"]


@pytest.mark.parametrize("batch", [1, 7, "batch", None])
def test_the_batch_is_counted_as_one_frame(batch, tmp_path):
    model = small_network().model(batch=batch)
    report = cost(model, tmp_path)
    assert (report.bit_ops, report.bit_mem) == counted_by_hand(model)


def test_initializers_among_the_inputs_cost_the_same(tmp_path):
    model = small_network(opset=9).model(initializers_as_inputs=True, ir_version=3)
    assert (cost(model, tmp_path).bit_ops, cost(model, tmp_path).bit_mem) == counted_by_hand(model)


def test_an_unquantized_sum_is_charged_at_32_bits_and_found(tmp_path):
    model = small_network(sum_bits=None).model()
    report = cost(model, tmp_path)
    assert (report.bit_ops, report.bit_mem) == counted_by_hand(model, sum_bits=32)
    (finding,) = report.findings
    assert finding.layers == ("c",)
    assert finding.bit_ops == nonzero(model, "c") * 32 * 32 * 4
    cured = counted_by_hand(model, sum_bits=4)
    assert f"to {score(*cured):.6g}" in finding.text


def test_a_float_input_is_found(tmp_path):
    model = small_network(input_bits=None).model()
    report = cost(model, tmp_path)
    assert (report.bit_ops, report.bit_mem) == counted_by_hand(model, input_bits=32)
    assert report.findings[0].layers == ("a",)
    assert "input" in report.findings[0].text


def test_a_layer_fed_by_a_bare_layer_is_found(tmp_path):
    b = Builder()
    y = b.conv(b.conv(b.quant("frames", 8), (4, 2, 3), name="one"), (24, 4, 62), name="two")
    b.op("Flatten", y, output="logits")
    report = cost(b.model(), tmp_path)
    assert [layer.input_bits for layer in report.layers] == [8, 32]
    assert "layer whose output is not quantized" in report.findings[0].text


def test_a_second_quantizer_with_more_bits_than_the_first_is_found(tmp_path):
    b = Builder()
    x = b.quant(b.op("MaxPool", b.quant("frames", 4), kernel_shape=[1]), 8)
    b.op("Flatten", b.conv(x, (24, 2, 64), name="one"), output="logits")
    report = cost(b.model(), tmp_path)
    assert report.layers[0].input_bits == 8
    assert "given values of 4 bits" in report.findings[0].text
    assert report.findings[0].bit_ops == report.bit_ops // 2


@pytest.mark.parametrize("pool", ["GlobalMaxPool", "GlobalAveragePool"])
def test_operations_the_metric_does_not_know_are_reported_not_charged(pool, tmp_path):
    report = cost(small_network(pool=pool).model(), tmp_path)
    assert report.unsupported == (pool,)
    assert any(pool in finding.text for finding in report.findings)


def test_float_weights_are_charged_at_32_bits_and_found(tmp_path):
    b = Builder()
    b.op("Flatten", b.conv(b.quant("frames", 8), (24, 2, 64), bits=None, name="one"), output="logits")
    report = cost(b.model(), tmp_path)
    layer = report.layers[0]
    assert (layer.input_bits, layer.weight_bits) == (8, 32)
    assert report.bit_mem == 32 * layer.nonzero_weights
    assert "quantized weights" in report.findings[0].text


def test_one_row_of_two_dimensional_convolutions_costs_as_one_dimension(tmp_path):
    flat, rows = Builder(), Builder()
    y = flat.conv(flat.quant("frames", 8), (24, 2, 64), name="one")
    flat.op("Flatten", y, output="logits")
    z = rows.op("Reshape", rows.quant("frames", 8), rows.constant(np.array([1, 2, 1, 64])))
    rows.op("Flatten", rows.conv(z, (24, 2, 1, 64), name="one"), output="logits")
    one, two = cost(flat.model(), tmp_path), cost(rows.model(), tmp_path)
    assert (one.bit_ops, one.bit_mem) == (two.bit_ops, two.bit_mem)
    assert two.unsupported == ()


def test_transposed_weights_of_a_matmul_keep_their_bits(tmp_path):
    b = Builder()
    x = b.op("Flatten", b.quant("frames", 8))
    weight = b.op("Transpose", b.quant(b.weights((24, 128), name="fc.weight"), 5), perm=[1, 0])
    b.op("MatMul", x, weight, output="logits")
    model = b.model()
    report = cost(model, tmp_path)
    assert report.bit_ops == nonzero(model, "fc") * 8 * 5
    assert [layer.name for layer in report.layers] == ["fc"]


def test_a_reshape_to_a_computed_shape_is_followed(tmp_path):
    """torch writes view(x.size(0), -1) as Shape, Gather, Unsqueeze, Concat, Reshape."""
    b = Builder(opset=11)
    x = b.quant("frames", 8)
    size = b.op("Gather", b.op("Shape", x), b.constant(np.int64(0)), axis=0)
    target = b.op("Concat", b.op("Unsqueeze", size, axes=[0]), b.constant(np.array([-1])), axis=0)
    weight = b.quant(b.weights((24, 128), name="fc.weight"), 5)
    b.op("Gemm", b.op("Reshape", x, target), weight, output="logits", transB=1)
    model = b.model(batch="n")
    report = cost(model, tmp_path)
    assert report.bit_ops == nonzero(model, "fc") * 8 * 5
    assert report.unsupported == ()


def test_a_bit_width_computed_in_the_graph_is_read(tmp_path):
    b = Builder()
    width = b.op("Ceil", b.constant(np.float32(3.2), name="w"))
    weight = b.quant(b.weights((24, 2, 64), name="one.weight"), None, width=width)
    b.op("Flatten", b.op("Conv", b.quant("frames", 8), weight, kernel_shape=[64]), output="logits")
    assert cost(b.model(), tmp_path).layers[0].weight_bits == 4


def test_shared_weights_are_charged_where_they_are_used(tmp_path):
    b = Builder()
    weight = b.quant(b.weights((2, 2, 1), density=1.0, name="shared.weight"), 4)
    x = b.quant(b.op("Conv", b.quant("frames", 8), weight, kernel_shape=[1]), 8)
    y = b.quant(b.op("Conv", x, weight, kernel_shape=[1]), 8)
    b.op("Flatten", y, output="logits")
    report = cost(b.model(classes=128), tmp_path)
    assert [layer.name for layer in report.layers] == ["shared", "shared#2"]
    assert report.bit_mem == 2 * 4 * 4


def test_an_empty_layer_costs_nothing_and_has_density_zero(tmp_path):
    b = Builder()
    weight = b.quant(b.constant(np.zeros((24, 2, 64), np.float32), name="one.weight"), 4)
    b.op("Flatten", b.op("Conv", b.quant("frames", 8), weight, kernel_shape=[64]), output="logits")
    report = cost(b.model(), tmp_path)
    assert (report.bit_ops, report.bit_mem, report.layers[0].density) == (0, 0, 0.0)
    assert report.layers[0].macs == 24 * 2 * 64
    assert report.to_dict()["layers"][0]["share"] == 0.0


def test_a_network_without_a_layer_is_an_error(tmp_path):
    b = Builder()
    b.op("Relu", "frames", output="logits")
    with pytest.raises(ModelFileError, match="no convolution"):
        cost(b.model(), tmp_path)


def test_an_unknown_operation_in_front_of_a_layer_is_an_error_that_names_it(tmp_path):
    b = Builder()
    x = b.op("Magic", b.quant("frames", 8), domain="com.example")
    b.op("Flatten", b.conv(x, (24, 2, 64), name="one"), output="logits")
    with pytest.raises(UnsupportedOperationError, match=r"com\.example\.Magic"):
        cost(b.model(), tmp_path)


def test_nothing_is_printed(tmp_path, capfd):
    cost(small_network(sum_bits=None).model(), tmp_path)
    assert capfd.readouterr().out == ""


def test_the_json_document_has_the_agreed_keys_and_its_layers_add_up(tmp_path):
    document = json.loads(json.dumps(cost(small_network(sum_bits=None).model(), tmp_path).to_dict()))
    assert {"bit_ops", "bit_mem", "score", "unsupported", "layers"} <= set(document)
    assert set(document) <= {"bit_ops", "bit_mem", "score", "unsupported", "layers", "findings"}
    assert sum(layer["bit_ops"] for layer in document["layers"]) == document["bit_ops"]
    assert sum(layer["share"] for layer in document["layers"]) == pytest.approx(1)
