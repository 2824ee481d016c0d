import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper

from bacalhaunet.deploy.onnx_lowering import has_quant, integer_range, lower_quant, make_session
from bacalhaunet.errors import UnsupportedOperationError

DOMAIN = "qonnx.custom_op.general"


def quant_model(shape, scale, zero, bits, *, op="Quant", opset=13, extra=(), bits_from=None, **attributes):
    """One quantizer from input to output; ``bits_from`` names an operator that computes the bits from a constant."""
    constants = [np.asarray(scale, np.float32), np.asarray(zero, np.float32), np.asarray(bits, np.float32), *extra]
    names = ["s", "z", "b", *(f"e{k}" for k in range(len(extra)))][: len(constants)]
    nodes, inputs = [], ["x", *names]
    if bits_from:
        nodes.append(helper.make_node(bits_from, ["b"], ["folded"]))
        inputs[3] = "folded"
    if op == "BipolarQuant":
        inputs = ["x", "s"]
    nodes.append(helper.make_node(op, inputs, ["y"], domain=DOMAIN, **attributes))
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for value, name in zip(constants, names, strict=True)
        ],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=7)


def run(model, x):
    return make_session(model.SerializeToString()).run(None, {"x": x})[0]


def values_with_ties(scale, rng, count=4000):
    """Values around the levels, a third of them exactly between two."""
    levels = rng.integers(-300, 300, count)
    offset = rng.choice([0.0, 0.5, 0.25], count)
    return ((levels + offset) * scale).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(1, 20),
    signed=st.booleans(),
    narrow=st.booleans(),
    exponent=st.integers(-12, 4),
    mantissa=st.floats(1, 2),
    mode=st.sampled_from(["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]),
    zero=st.sampled_from([0.0, 3.0, -7.0]),
    linear=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_a_lowered_quantizer_is_bit_identical_to_qonnx(
    bits, signed, narrow, exponent, mantissa, mode, zero, linear, seed
):
    quant = pytest.importorskip("qonnx.custom_op.general.quant").quant
    scale = np.float32(mantissa * 2.0**exponent)
    x = values_with_ties(scale, np.random.default_rng(seed))
    model = quant_model(x.shape, scale, zero, bits, signed=int(signed), narrow=int(narrow), rounding_mode=mode)
    expected = quant(x, scale, np.float32(zero), np.float32(bits), signed, narrow, mode)
    assert np.array_equal(run(lower_quant(model, linear=linear), x), expected.astype(np.float32))


@pytest.mark.parametrize("linear", [False, True])
def test_scales_by_channel_are_lowered(linear):
    quant = pytest.importorskip("qonnx.custom_op.general.quant").quant
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.01, 0.2, (1, 5, 1)).astype(np.float32)
    x = rng.standard_normal((3, 5, 64)).astype(np.float32)
    model = quant_model(x.shape, scale, 0.0, 5, signed=1, narrow=1)
    expected = quant(x, scale, np.float32(0), np.float32(5), True, True, "ROUND")
    assert np.array_equal(run(lower_quant(model, linear=linear), x), expected)


def test_a_bit_width_computed_from_a_constant_is_folded():
    """The 2021 exports give a bias quantizer Ceil(19.53) bits."""
    quant = pytest.importorskip("qonnx.custom_op.general.quant").quant
    x = np.linspace(-3000, 3000, 501).astype(np.float32)
    model = quant_model(x.shape, 0.0015, 0.0, 19.5335, bits_from="Ceil", signed=1, narrow=0)
    expected = quant(x, np.float32(0.0015), np.float32(0), np.float32(20), True, False, "ROUND")
    assert np.array_equal(run(lower_quant(model), x), expected)


@pytest.mark.parametrize("inputs", [5, 6])
def test_trunc_of_both_versions_is_what_qonnx_computes(inputs):
    trunc = pytest.importorskip("qonnx.custom_op.general.trunc")
    x = values_with_ties(0.25, np.random.default_rng(2))
    bits_in, bits_out = np.float32(10), np.float32(6)
    scale, zero = np.float32(0.25), np.float32(0)
    if inputs == 5:
        expected = trunc.trunc_v1(x, scale, zero, bits_in, bits_out, "FLOOR")
        extra = [bits_out]
    else:
        expected = trunc.trunc_v2(x, scale, zero, bits_in, False, True, np.float32(4), bits_out, "FLOOR")
        extra = [np.float32(4), bits_out]
    attributes = {} if inputs == 5 else {"signed": 1, "narrow": 0}
    model = quant_model(x.shape, scale, zero, bits_in, op="Trunc", extra=extra, rounding_mode="FLOOR", **attributes)
    assert np.array_equal(run(lower_quant(model), x), expected.astype(np.float32))


def test_bipolar_is_the_sign_times_the_scale_with_zero_counted_as_positive():
    x = np.array([-2.0, -0.0, 0.0, 3.0], np.float32)
    model = quant_model(x.shape, 0.5, 0.0, 1, op="BipolarQuant")
    assert run(lower_quant(model), x).tolist() == [-0.5, 0.5, 0.5, 0.5]


def test_old_operator_sets_and_dialects_are_raised_and_no_custom_operator_is_left():
    model = quant_model((4,), 0.1, 0.0, 6, opset=9, signed=1, narrow=0)
    model.graph.node[0].domain = ""
    model.graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ()))
    lowered = lower_quant(model)
    assert not has_quant(lowered)
    assert {node.domain for node in lowered.graph.node} <= {"", "ai.onnx"}
    assert [value.name for value in lowered.graph.input] == ["x"]
    onnx.checker.check_model(lowered, full_check=True)
    x = np.array([-10, -0.15, 0.15, 10], np.float32)
    assert np.array_equal(run(lowered, x), np.float32([-32, -2, 2, 31]) * np.float32(0.1))


def test_lowering_leaves_its_input_alone():
    model = quant_model((4,), 0.1, 0.0, 6, signed=1, narrow=0)
    before = model.SerializeToString()
    lower_quant(model)
    assert model.SerializeToString() == before


def test_a_bit_width_that_depends_on_the_input_is_refused_by_name():
    model = quant_model((), 0.1, 0.0, 6, signed=1, narrow=0)
    model.graph.node[0].input[3] = "x"
    model.graph.node[0].name = "strange"
    with pytest.raises(UnsupportedOperationError, match="strange"):
        lower_quant(model)


def test_an_unknown_rounding_mode_is_refused_with_those_allowed():
    model = quant_model((4,), 0.1, 0.0, 6, signed=1, narrow=0, rounding_mode="STOCHASTIC")
    with pytest.raises(UnsupportedOperationError, match="HALF_EVEN"):
        lower_quant(model)


@given(bits=st.integers(1, 30), signed=st.booleans(), narrow=st.booleans())
def test_integer_ranges_have_the_right_number_of_levels(bits, signed, narrow):
    low, high = integer_range(bits, signed=signed, narrow=narrow)
    assert high - low + 1 == 2**bits - narrow
    assert (low < 0) == (signed and (bits > 1 or not narrow))
