"""The native engine computes the program: every activation and every logit, with every set of kernels."""

import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.deploy.native.forms import _find_offset16, find_form16, find_long, find_real, find_signed16
from bacalhaunet.deploy.native.layout import Kind, Pattern, pack_halves, pack_quad
from bacalhaunet.deploy.native.model import NativeModel, available_kernels
from bacalhaunet.deploy.native.taps import choose_pairs
from bacalhaunet.errors import ConfigError
from tests.deploy.random_networks import GraphWriter, random_frames, random_network
from tests.deploy.reference_networks import REFERENCE, reference_network

needs_extension = pytest.mark.skipif(not available_kernels(), reason="needs the native kernels (a C compiler)")
KERNELS = available_kernels() or ["none"]


def submitted():
    return lower_model(onnx.load(reference_network("bacalhaunet_w6a6_pruned")))


def assert_equal(program, kernels, integers):
    """Compare all stored activations and the logits with the interpreter's."""
    model = NativeModel(program, kernels)
    values = program.run(integers)
    for number, frame in enumerate(integers):
        for name, found in model.trace(frame).items():
            expected = values[name][number][model.plan.placed[name].channels]
            np.testing.assert_array_equal(found, expected, err_msg=f"{kernels}, tensor {name}")
    np.testing.assert_array_equal(model.integer_logits(integers), values[program.output][:, :, 0])
    return model


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_activation_equals_the_interpreter_s(kernels, seed):
    program = lower_model(random_network(seed, wide=True))
    frames = random_frames(np.random.default_rng(seed), 3, program.frame_length)
    assert_equal(program, kernels, program.quantizer.integers(frames))


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_samples_are_quantized_as_the_interpreter_does(kernels, seed):
    program = lower_model(random_network(seed))
    rng = np.random.default_rng(seed)
    frames = random_frames(rng, 3, program.frame_length)
    quantizer = program.quantizer
    ties = (rng.integers(quantizer.low - 2, quantizer.high + 3, frames.shape[1:]) + 0.5) * np.float32(quantizer.scale)
    frames[0] = ties
    frames[1] = np.nextafter(ties.astype(np.float32), np.float32(rng.choice([-10, 10])))
    found = NativeModel(program, kernels).trace(quantizer.integers(frames)[0])
    model = NativeModel(program, kernels)
    np.testing.assert_array_equal(model.integer_logits(frames), model.integer_logits(quantizer.integers(frames)))
    np.testing.assert_array_equal(model.logits(frames), program.logits(frames))
    assert found


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
def test_the_submitted_network_is_bit_identical(kernels):
    program = submitted()
    rng = np.random.default_rng(3)
    integers = rng.integers(-128, 128, (30, 2, 1024))
    integers[15:] = np.rint(rng.normal(0, 40, (15, 2, 1024))).clip(-128, 127)
    model = assert_equal(program, kernels, integers)
    kinds = {Kind(row["kind"]) for row in model.plan.tables.instructions}
    assert Kind.ANY not in kinds  # every layer has a kernel of its own
    assert {Kind.CONV16, Kind.WIDE16, Kind.CONV32, Kind.MAX16, Kind.DENSE} <= kinds


def network_of_a_sum(length, bits, step, after):
    """Two branches with one scale, their sum quantized with another."""
    writer = GraphWriter(np.random.default_rng(9), length)
    x = writer.quant("frames", 8, 0.05, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 9, 3, sparsity=0.3), dead=0.3), bits, scale=step)
    y, _ = writer.activation(writer.norm(writer.conv(x, 9, 1, sparsity=0.3), dead=0.3), bits, scale=step)
    x, _ = writer.activation(writer.add(x, y), bits, scale=after)
    x, _ = writer.activation(writer.norm(writer.conv(x, 6, 3, groups=3)), bits)
    return lower_model(writer.model(writer.head(writer.pool(x, length, 1), 5, 6, 0.3)))


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("length", "bits"), [(64, 6), (100, 5), (33, 6), (130, 5)])
def test_sums_of_one_scale_have_a_kernel_of_their_own(kernels, length, bits):
    program = network_of_a_sum(length, bits, 0.0613, 0.0871)
    integers = np.random.default_rng(10).integers(-128, 128, (6, 2, length))
    model = assert_equal(program, kernels, integers)
    sums = [row for row in model.plan.tables.instructions if row["kind"] == Kind.SUM]
    assert sums
    assert all(row["flags"] == (bits == 5) for row in sums)  # 31 + 31 is below 64: a table of levels serves


@needs_extension
@pytest.mark.parametrize("after", [0.0613, 0.1226, 0.03])
def test_sums_whose_quantizer_meets_ties_or_grows_are_exact_too(after):
    program = network_of_a_sum(48, 6, 0.0613, after)
    assert_equal(program, None, np.random.default_rng(11).integers(-128, 128, (6, 2, 48)))


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bits", [4, 8])
def test_filters_of_one_input_each_read_its_row_as_it_lies(kernels, stride, bits):
    writer = GraphWriter(np.random.default_rng(21), 96)
    x = writer.quant("frames", bits, 0.05, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 12, 7, stride=stride, groups=2, bits=bits, sparsity=0.3)), bits)
    program = lower_model(writer.model(writer.head(writer.pool(x, 96 // stride, 1), 5, 6, 0.3)))
    low = -(2 ** (bits - 1))
    model = assert_equal(program, kernels, np.random.default_rng(22).integers(low, -low, (6, 2, 96)))
    assert Kind.GATHER not in {Kind(row["kind"]) for row in model.plan.tables.instructions}


def network_with_a_sum_that_is_not_quantized(seed, sparsity):
    """A pointwise layer over two tensors of 8 bits and one scale: rows of both may be put together."""
    writer = GraphWriter(np.random.default_rng(seed), 100)
    x = writer.quant("frames", 8, 0.02, signed=True)
    writer.scale[x] = 1.0
    x, step = writer.activation(writer.norm(writer.conv(x, 8, 3, bits=8, sparsity=0.0), dead=0.0), 8)
    y, _ = writer.activation(writer.norm(writer.conv(x, 8, 1, bits=8, sparsity=0.0), dead=0.0), 8, scale=step)
    x = writer.conv(writer.add(x, y), 8, 1, bits=8, sparsity=sparsity)
    x, _ = writer.activation(writer.norm(x, dead=0.0), 4)
    return lower_model(writer.model(writer.head(writer.pool(x, 100, 1), 5, 8, 0.0)))


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("sparsity", [0.7, 0.9])
def test_products_of_two_tensors_that_are_put_together_stay_in_16_bits(kernels, sparsity):
    program = network_with_a_sum_that_is_not_quantized(0, sparsity)
    frames = random_frames(np.random.default_rng(0), 20, program.frame_length)
    assert_equal(program, kernels, program.quantizer.integers(frames))


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
def test_a_tensor_that_is_added_to_itself_counts_twice(kernels):
    writer = GraphWriter(np.random.default_rng(1), 128)
    x = writer.quant("frames", 8, 0.02, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 6, 3, sparsity=0.3), dead=0.0), 6, signed=True)
    x, _ = writer.activation(writer.add(x, x), 5, signed=True)
    program = lower_model(writer.model(writer.head(writer.pool(x, 128, 1), 5, 6, 0.0)))
    frames = random_frames(np.random.default_rng(0), 10, program.frame_length)
    assert_equal(program, kernels, program.quantizer.integers(frames))


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
def test_a_vector_of_many_channels_that_is_only_rescaled_has_room_for_its_sums(kernels):
    writer = GraphWriter(np.random.default_rng(2), 100)
    x = writer.quant("frames", 8, 0.02, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 300, 3, stride=4, sparsity=0.3), dead=0.0), 6)
    x, _ = writer.activation(writer.pool(x, 25, 1), 5)
    program = lower_model(writer.model(writer.head(x, 5, 6, 0.3)))
    frames = random_frames(np.random.default_rng(0), 4, program.frame_length)
    model = assert_equal(program, kernels, program.quantizer.integers(frames))
    rounded = [row for row in model.plan.tables.instructions if row["kind"] == Kind.ROUND and row["flags"] & 2]
    assert rounded
    assert all(model.plan.tables.sums >= row["channels"] for row in rounded)


def network_of_blocks(length, density):
    """Pointwise layers whose weights are zero in blocks of four inputs."""
    rng = np.random.default_rng(12)
    writer = GraphWriter(rng, length)
    x = writer.quant("frames", 8, 0.05, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 14, 3, sparsity=0.0), dead=0.0), 6)
    for outputs in (15, 11):
        drawn = rng.integers(-31, 32, (outputs, writer.channels[x] // 4 + 1, 4))
        kept = drawn * (rng.random(drawn.shape[:2])[..., None] < density)
        weights = writer.constant(kept.reshape(outputs, -1)[:, : writer.channels[x], None] * 0.1, "weights")
        writer.channels[weights], writer.lengths[weights] = outputs, 0
        weights = writer.quant(weights, 6, 0.1, signed=True)
        y = writer.node("Conv", [x, weights], outputs, length, kernel_shape=[1])
        writer.scale[y] = 3.0 * writer.scale[x]
        x, _ = writer.activation(writer.norm(y, dead=0.1), 6)
    return lower_model(writer.model(writer.head(writer.pool(x, length, 1), 5, 6, 0.3)))


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("length", "density"), [(128, 1.0), (100, 0.5), (64, 0.8)])
def test_sums_of_fours_are_exact_with_every_kernel(kernels, length, density, monkeypatch):
    monkeypatch.setattr("bacalhaunet.deploy.native.model.WITH_FOURS", frozenset(KERNELS))
    program = network_of_blocks(length, density)
    model = assert_equal(program, kernels, np.random.default_rng(13).integers(-128, 128, (6, 2, length)))
    assert Pattern.LOCAL_4 in {Pattern(row["pattern"]) for row in model.plan.tables.instructions}


@needs_extension
@pytest.mark.parametrize("kernels", KERNELS)
def test_vgg10_is_bit_identical(kernels):
    program = lower_model(onnx.load(reference_network("vgg10_w8a8_baseline")))
    assert_equal(program, kernels, np.random.default_rng(5).integers(-128, 128, (2, 2, 1024)))


@needs_extension
def test_frames_run_at_once_from_many_threads_do_not_disturb_each_other():
    program = submitted()
    model = NativeModel(program)
    frames = np.random.default_rng(6).standard_normal((64, 2, 1024)).astype(np.float32)
    expected = model.logits(frames)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(model.logits, [frames] * 40):
            np.testing.assert_array_equal(found, expected)


@needs_extension
def test_the_engine_is_the_default_and_splits_batches_among_threads():
    path = reference_network("bacalhaunet_w6a6_pruned")
    engine = open_engine(path)
    assert engine.name == "native"
    frames = np.random.default_rng(7).standard_normal((301, 2, 1024)).astype(np.float32)
    frames[0] = np.load(REFERENCE / "radioml2018_frame_16qam_30db_int8.npy")[0].astype(np.float32) * 2 / 128
    one, four = open_engine(path, "native", threads=1), open_engine(path, "native", threads=4)
    np.testing.assert_array_equal(one.logits(frames), four.logits(frames))
    assert engine.labels[engine.logits(frames[:1])[0].argmax()] == "16QAM"
    assert engine.logits(frames[:0]).shape == (0, 24)


@needs_extension
def test_samples_that_are_integers_already_give_the_same_logits():
    engine = open_engine(reference_network("bacalhaunet_w6a6_pruned"), "native", threads=2)
    quantizer = engine.program.quantizer
    frames = np.random.default_rng(8).standard_normal((130, 2, 1024)).astype(np.float32)
    frames[0, 0, :2] = np.inf, -np.inf
    integers = quantizer.integers(frames).astype(np.int8)
    np.testing.assert_array_equal(engine.logits_of_integers(integers), engine.logits(frames))
    with pytest.raises(ConfigError, match="int8"):
        engine.logits_of_integers(frames)
    narrow = open_engine("lite", "native")
    with pytest.raises(ConfigError, match=r"(?s)integers from -65 to 3.*-64 to 63"):
        narrow.logits_of_integers(np.pad(np.array([-65, 3], np.int8), (0, 2046)).reshape(1, 2, 1024))


@needs_extension
def test_a_network_that_cannot_be_lowered_falls_to_onnxruntime():
    assert open_engine(reference_network("aaronnet32")).name == "onnxruntime"


def test_without_the_extension_onnxruntime_runs_and_it_is_said_once(monkeypatch, capsys):
    path = reference_network("bacalhaunet_w6a6_pruned")
    native = importlib.import_module("bacalhaunet.classify.native_engine")
    monkeypatch.setattr(native, "load_extension", lambda: None)
    native._say_missing.cache_clear()
    assert open_engine(path).name == "onnxruntime"
    assert open_engine(path).name == "onnxruntime"
    assert capsys.readouterr().err.count("native kernels are not installed") == 1


@needs_extension
def test_kernels_this_processor_lacks_are_refused():
    with pytest.raises(ConfigError, match="no kernels called"):
        NativeModel(submitted(), "avx1024")


def rounded16(form, acc, top):
    """What the kernels make of a sum."""
    total = form.factor * acc + form.start
    if form.offset is not None:
        assert total.min() >= 0
        assert total.max() <= 65535
        return np.clip(((total * form.multiplier >> 16) + form.offset) >> form.shift, 0, top)
    assert total.min() >= -32768
    assert total.max() <= 32767
    byte = np.clip(total * form.multiplier >> (16 + form.shift), 0, 255)
    return np.clip(byte - form.below, 0, top)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_kernels_forms_equal_the_thresholds_on_every_accumulator(seed):
    rng = np.random.default_rng(seed)
    program = lower_model(random_network(seed))
    for layer in program.layers[:-1]:
        form = getattr(layer, "requantizer", None)
        if form is None or not hasattr(form, "values"):
            continue
        for channel in rng.permutation(np.flatnonzero(layer.computed))[:3]:
            low, high = int(layer.acc_low[0, channel]), int(layer.acc_high[0, channel])
            acc = np.arange(low, high + 1) if high - low < 40000 else rng.integers(low, high + 1, 40000)
            expected = np.searchsorted(form.values[channel], acc, side="right")
            top = form.values.shape[1]
            for short in (find_form16(layer, channel, 4), _find_offset16(layer, channel)):
                if short is not None:
                    np.testing.assert_array_equal(rounded16(short, acc, top), expected)
            saturated = find_signed16(layer, channel, saturated=True)
            if saturated is not None:
                total = np.clip(acc + saturated.start, -32768, 32767) - saturated.start
                np.testing.assert_array_equal(rounded16(saturated, total, top), expected)
            long = find_long(layer, channel)
            if long is not None:
                moved = acc + long.starts[0]
                assert np.abs(moved).max() <= 32768
                lower = (moved * long.lower[0] + long.offset_low) >> long.split
                rounded = (moved * long.upper[0] + long.offset + lower) >> long.shift
                np.testing.assert_array_equal(np.clip(rounded, 0, top), expected)
            real = find_real(layer, channel)
            if real is not None:
                rounded = np.rint(real.scale * acc + real.bias)
                if real.single:
                    exact = np.longdouble(np.float32(real.scale)) * acc + np.longdouble(np.float32(real.bias))
                    rounded = np.rint(exact.astype(np.float32))
                np.testing.assert_array_equal(np.clip(rounded, 0, top), expected)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 12)).map(sorted), max_size=10))
def test_pairs_cover_every_input_of_every_output_once(inputs_of):
    for output, pairs in choose_pairs(inputs_of).items():
        left = set(inputs_of[output])
        for a, b in pairs:
            taken = left & {a, b}
            assert taken
            left -= taken
        assert not left


def test_weights_and_halves_keep_their_signs_when_packed():
    weights = (-1, 127, -127, 5)
    packed = np.array([pack_quad(*weights)], np.int32).view(np.int8)
    assert tuple(packed) == weights
    assert tuple(np.array([pack_halves(-3, 30000)], np.int32).view(np.int16)) == (-3, 30000)
