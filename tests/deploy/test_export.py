import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("brevitas")

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cost.of import quantize
from bacalhaunet.deploy.export import export_network, trace
from bacalhaunet.deploy.integer.lowering import lower_file
from bacalhaunet.deploy.integer.stored import stored_program
from bacalhaunet.deploy.parity import (
    Quantizer,
    check_parity,
    first_difference,
    onnx_outputs,
    onnx_quantizers,
    probe_frames,
    qonnx_outputs,
    torch_quantizers,
)
from bacalhaunet.errors import ConfigError, ParityError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.radio.modulations import NAMES, SNRS_DB
from tests.deploy.integer.test_stored import differences


def warmed(spec, seed=0):
    """A network whose quantizers have seen signals, with weights as drawn, a third of them zero."""
    torch.manual_seed(seed)
    network = build_network(spec)
    with torch.no_grad():
        for layer in spec.layers():
            weight = network.get_submodule(layer.name).weight
            weight.mul_(torch.rand_like(weight) > 1 / 3)
        network.train()
        for part in torch.from_numpy(probe_frames(spec.frame_length, 96)).split(32):
            network(part)
    return network.eval()


@pytest.fixture(scope="module")
def six_bits():
    spec = quantize(find_spec("bacalhaunet"), 6)
    return spec, warmed(spec)


def test_an_export_takes_frames_of_the_specification_s_length(tmp_path):
    spec = replace(quantize(find_spec("prototype"), 6), frame_length=256)
    export_network(warmed(spec), tmp_path / "short.onnx", spec=spec)
    engine = open_engine(tmp_path / "short.onnx")
    assert engine.frame_length == 256
    assert engine.logits(np.zeros((2, 2, 256), np.float32)).shape == (2, 24)


@pytest.fixture(scope="module")
def twin_frames():
    """240 frames of the twin, all classes, SNRs in turn."""
    twin = pytest.importorskip("bacalhaunet.radio.twin")
    index = torch.arange(240)
    snr = torch.tensor(SNRS_DB)[(index // 24 * 5 + index) % len(SNRS_DB)]
    return twin.Twin().frames(index % 24, snr, index, seed=7).numpy()


@pytest.mark.parametrize("format", ["qonnx", "qcdq"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_an_export_runs_and_carries_its_names_and_spec(six_bits, format, dynamic, tmp_path):
    spec, network = six_bits
    path = tmp_path / "network.onnx"
    written = export_network(network, path, format, spec=spec, dynamic_batch=dynamic)
    assert written.parity.same_class == written.parity.frames
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(metadata["labels"]) == list(NAMES)
    assert NetworkSpec.from_json(metadata["spec"]) == spec
    assert json.loads(metadata["normalization"])["frame_length"] == 1024
    dimension = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0]
    assert (dimension.dim_value == 1) != dynamic
    frames = probe_frames(1024, 5)
    with torch.no_grad():
        expected = network(torch.from_numpy(frames)).numpy()
    assert np.array_equal(open_engine(path).logits(frames).argmax(1), expected.argmax(1))
    assert differences(stored_program(path), lower_file(path)) == []


@pytest.mark.parametrize("format", ["qonnx", "qcdq"])
def test_torch_and_onnxruntime_agree_on_twin_frames_but_for_proven_ties(six_bits, format, twin_frames):
    _, network = six_bits
    parity = check_parity(network, trace(network, format), twin_frames, "a test")
    assert parity.frames == len(twin_frames)
    assert parity.same_class >= parity.frames - len(parity.ties)


def test_torch_and_qonnx_agree_on_twin_frames_but_for_proven_ties(six_bits, twin_frames):
    _, network = six_bits
    frames = twin_frames[::12]
    model = trace(network, "qonnx")
    with torch.no_grad():
        expected = network(torch.from_numpy(frames)).numpy()
    found = qonnx_outputs(model, frames, ())[0]
    for k in np.flatnonzero(np.abs(expected - found).max(axis=1) > 1e-4):
        frame = frames[k : k + 1]
        difference = first_difference(torch_quantizers(network, frame), onnx_quantizers(model, frame, qonnx_outputs))
        assert difference.is_tie, difference.text


def test_the_quantizers_of_torch_and_the_export_are_the_same_in_number_and_order(six_bits):
    _, network = six_bits
    frame = probe_frames(1024, 1)
    ours, theirs = torch_quantizers(network, frame), onnx_quantizers(trace(network, "qonnx"), frame)
    assert len(ours) == len(theirs) > 10
    assert np.allclose([q.scale for q in ours], [q.scale for q in theirs])


@pytest.mark.parametrize("change", ["weight", "scale", "missing clip"])
def test_a_graph_that_computes_something_else_is_never_taken_for_a_tie(six_bits, change):
    _, network = six_bits
    model = trace(network, "qonnx")
    if change == "missing clip":
        clip = next(node for node in model.graph.node if node.op_type == "Clip")
        clip.op_type = "Identity"
        del clip.input[1:]
    else:
        quant = [node for node in model.graph.node if node.op_type == "Quant"][6]
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        if change == "weight":
            constant = next(n for n in model.graph.node if n.op_type == "Quant" and n.input[0] in tensors)
            tensor = tensors[constant.input[0]]
            value = onnx.numpy_helper.to_array(tensor).copy()
            value.flat[np.abs(value).argmax()] *= 0.9
        else:
            tensor = tensors[quant.input[1]]
            value = onnx.numpy_helper.to_array(tensor) * np.float32(1.01)
        tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), tensor.name))
    with pytest.raises(ParityError, match="differs from torch"):
        check_parity(network, model, probe_frames(1024), "a test")


def quantizer(before, scale=0.5):
    value = np.asarray(before, np.float32)
    return Quantizer("q", value, np.round(value / scale) * scale, scale)


def test_a_tie_is_a_value_on_the_boundary_in_both_and_one_level_apart():
    assert first_difference([quantizer([1.2499999])], [quantizer([1.2500001])]).is_tie
    assert not first_difference([quantizer([1.2])], [quantizer([1.3])]).is_tie
    assert not first_difference([quantizer([1.2499999, 0.9])], [quantizer([1.2500001, 2.9])]).is_tie
    assert not first_difference([quantizer([1.0])], [quantizer([1.0])]).is_tie
    assert not first_difference([quantizer([1.0])], []).is_tie


def test_a_float_network_exports_as_a_plain_graph(tmp_path):
    network = warmed(find_spec("first-experiment"))
    written = export_network(network, tmp_path / "float.onnx", dynamic_batch=True)
    domains = {node.domain for node in onnx.load(written.path).graph.node}
    assert domains <= {"", "ai.onnx"}
    assert stored_program(written.path) is None
    assert written.parity.same_class == written.parity.frames


def test_exporting_leaves_the_network_as_it_was(six_bits):
    _, network = six_bits
    frames = torch.from_numpy(probe_frames(1024, 4))
    with torch.no_grad():
        before = network(frames)
        network.train()
        trace(network, "qonnx")
        assert network.training
        network.eval()
        assert torch.equal(network(frames), before)


def test_a_failed_check_leaves_no_file(six_bits, monkeypatch, tmp_path):
    _, network = six_bits

    def differs(*_):
        raise ParityError("it differs")

    monkeypatch.setattr("bacalhaunet.deploy.export.check_parity", differs)
    with pytest.raises(ParityError):
        export_network(network, tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused(six_bits, tmp_path):
    with pytest.raises(ConfigError, match="qonnx, qcdq"):
        export_network(six_bits[1], tmp_path / "network.onnx", "tflite")


def test_inner_tensors_of_a_graph_are_those_asked_for(six_bits):
    model = trace(six_bits[1], "qonnx")
    name = next(node for node in model.graph.node if node.op_type == "Conv").output[0]
    logits, inner = onnx_outputs(model, probe_frames(1024, 2), (name,))
    assert logits.shape == (2, 24)
    assert inner.shape[0] == 2
