import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from bacalhaunet.classify import engines, native_engine, onnx_engine
from bacalhaunet.classify.engines import Engine, open_engine, register
from bacalhaunet.cost.of import cost_of, quantize
from bacalhaunet.deploy import networks
from bacalhaunet.deploy.integer.stored import with_program
from bacalhaunet.errors import (
    ConfigError,
    MissingExtraError,
    ModelFileError,
    UnsupportedOperationError,
)
from bacalhaunet.radio.modulations import NAMES
from tests.cost.small_networks import Builder, small_network
from tests.deploy.random_networks import GraphWriter

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference"
NETWORKS = ["vgg10_w8a8_baseline", "bacalhaunet_w6a6_pruned", "aaronnet32"]
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="no ../shared/reference beside the checkout")


def saved(model, tmp_path, name="network.onnx"):
    path = tmp_path / name
    onnx.save(model, path)
    return path


def noise(count, length=64, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 2, length)).astype(np.float32)


@pytest.fixture
def registry(monkeypatch):
    """The table of engines, restored afterwards."""
    engines._register_builtin()
    monkeypatch.setattr(engines, "ENGINES", dict(engines.ENGINES))
    return engines.ENGINES


@needs_reference
@pytest.mark.parametrize("network", NETWORKS)
def test_the_real_frame_is_16qam_for_every_reference_network(network):
    frame = np.load(REFERENCE / "radioml2018_frame_16qam_30db_int8.npy").astype(np.float32) * 2 / 128
    engine = open_engine(REFERENCE / f"networks/{network}.onnx")
    assert engine.labels[engine.logits(frame)[0].argmax()] == "16QAM"


@needs_reference
@pytest.mark.parametrize("network", NETWORKS)
def test_reference_networks_give_what_qonnx_computes_node_by_node(network):
    """qonnx's executor is the definition of Quant nodes; it takes one frame."""
    from bacalhaunet.deploy.parity import first_difference, onnx_quantizers, qonnx_outputs
    from bacalhaunet.models.onnx_files import read_onnx

    path = REFERENCE / f"networks/{network}.onnx"
    model = read_onnx(path)
    frames = noise(2, 1024)
    expected, found = qonnx_outputs(model, frames, ())[0], open_engine(path).logits(frames)
    for k in np.flatnonzero(~np.isclose(found, expected, rtol=1e-5, atol=1e-5).all(axis=1)):
        one = frames[k : k + 1]
        difference = first_difference(onnx_quantizers(model, one, qonnx_outputs), onnx_quantizers(model, one))
        assert difference.is_tie, difference.text


@pytest.mark.parametrize("batch", [1, 3, "n"])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_frames_gives_each_frames_own_logits(batch, threads, tmp_path):
    engine = open_engine(saved(small_network().model(batch=batch), tmp_path), threads=threads)
    frames = noise(onnx_engine.CHUNK * 2 + 5)
    alone = np.concatenate([engine.logits(frame[None]) for frame in frames])
    assert isinstance(engine, Engine)
    assert engine.frame_length == 64
    for count in (0, 1, 2, onnx_engine.CHUNK, len(frames)):
        assert np.array_equal(engine.logits(frames[:count]), alone[:count])


def reshaped_network(**model_options):
    """A network that flattens by a constant [1, 128], as torch writes view for a fixed batch."""
    b = Builder()
    x = b.op("Reshape", b.quant("frames", 8), b.constant(np.array([1, 128])))
    b.op("MatMul", x, b.constant(b.rng.standard_normal((128, 24)).astype(np.float32)), output="logits")
    return b.model(**model_options)


def test_a_fixed_batch_of_one_is_freed_where_the_graph_allows_it(tmp_path):
    engine = open_engine(saved(reshaped_network(), tmp_path))
    assert engine._batch is None
    frames = noise(5)
    assert np.allclose(engine.logits(frames)[3], engine.logits(frames[3:4])[0])


def test_a_graph_that_mixes_its_batch_runs_frame_by_frame(tmp_path):
    """With a free batch this one would subtract the mean over the frames."""
    b = Builder()
    x = b.quant("frames", 8)
    x = b.op("Add", x, b.op("ReduceMax", x, axes=[0], keepdims=1))
    weight = b.constant(b.rng.standard_normal((128, 24)).astype(np.float32))
    b.op("MatMul", b.op("Flatten", x), weight, output="logits")
    engine = open_engine(saved(b.model(), tmp_path))
    frames = noise(4)
    assert engine._batch == 1
    assert np.array_equal(engine.logits(frames), np.concatenate([engine.logits(frame[None]) for frame in frames]))


def test_two_dimensional_inputs_with_an_axis_of_one_take_plain_frames(tmp_path):
    b = Builder()
    b.op("Flatten", b.conv(b.quant("frames", 8), (24, 2, 1, 64), name="one"), output="logits")
    engine = open_engine(saved(b.model(shape=(2, 1, 64)), tmp_path))
    assert engine.logits(noise(3)).shape == (3, 24)


@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
def test_a_free_length_is_that_of_the_metadata_and_never_assumed(engine, tmp_path):
    model = small_network().model(shape=(2, "length"))
    with pytest.raises(ModelFileError, match="frames of any length"):
        open_engine(saved(model, tmp_path), engine)
    with pytest.raises(ModelFileError, match="frames of any length"):
        cost_of(model)
    model.metadata_props.add(key="normalization", value=json.dumps({"frame_length": 64}))
    frames = noise(3)
    fixed = open_engine(saved(small_network().model(), tmp_path, "fixed.onnx"), engine).logits(frames)
    opened = open_engine(saved(model, tmp_path), engine)
    assert opened.frame_length == 64
    assert np.array_equal(opened.logits(frames), fixed)
    assert cost_of(model).score == cost_of(small_network().model()).score


def test_names_of_the_classes_come_from_the_file(tmp_path):
    model = small_network().model()
    model.metadata_props.add(key="labels", value=json.dumps(list(NAMES[::-1])))
    assert open_engine(saved(model, tmp_path)).labels == NAMES[::-1]


def test_a_wrong_number_of_names_is_an_error(tmp_path):
    model = small_network().model()
    model.metadata_props.add(key="labels", value=json.dumps(["BPSK"]))
    with pytest.raises(ModelFileError, match="names 1 classes and gives 24"):
        open_engine(saved(model, tmp_path))


def test_a_network_of_other_classes_without_names_is_an_error(tmp_path):
    b = Builder()
    b.op("Flatten", b.conv(b.quant("frames", 8), (11, 2, 64), name="one"), output="logits")
    with pytest.raises(ModelFileError, match="11 classes"):
        open_engine(saved(b.model(classes=11), tmp_path))


@pytest.mark.parametrize("shape", [(64, 2), (2,), (3, 64), (2, 8, 8)])
def test_a_network_that_takes_no_frames_is_refused_with_what_it_takes(shape, tmp_path):
    b = Builder()
    size = int(np.prod(shape))
    weight = b.constant(np.zeros((size, 24), np.float32))
    b.op("MatMul", b.op("Flatten", "frames"), weight, output="logits")
    with pytest.raises(ModelFileError, match="one input of float frames"):
        open_engine(saved(b.model(shape=shape), tmp_path))


@pytest.mark.parametrize("shape", [(2, 64), (1, 2, 63), (1, 64, 2), (1, 1, 64)])
def test_frames_of_a_wrong_shape_are_refused_with_the_right_one(shape, tmp_path):
    engine = open_engine(saved(small_network().model(), tmp_path))
    with pytest.raises(ConfigError, match=r"\(n, 2, 64\)"):
        engine.logits(np.zeros(shape, np.float32))


def test_complex_frames_are_refused(tmp_path):
    engine = open_engine(saved(small_network().model(), tmp_path))
    with pytest.raises(ConfigError, match="complex64"):
        engine.logits(np.zeros((1, 2, 64), np.complex64))


def test_an_unknown_operation_is_named(tmp_path):
    b = Builder()
    x = b.op("Magic", b.quant("frames", 8), domain="com.example")
    b.op("Flatten", b.conv(x, (24, 2, 64), name="one"), output="logits")
    with pytest.raises(UnsupportedOperationError, match="Magic"):
        open_engine(saved(b.model(), tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a network at all", b"\x08\x09" * 40])
def test_a_damaged_file_is_an_error(content, tmp_path):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"damaged\.onnx"):
        open_engine(path)


def test_a_truncated_file_is_an_error(tmp_path):
    path = saved(small_network().model(), tmp_path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ModelFileError):
        open_engine(path)


def test_what_cannot_be_a_network_is_refused_with_what_can(tmp_path):
    (tmp_path / "frames.npy").write_bytes(b"")
    with pytest.raises(ModelFileError, match="safetensors"):
        open_engine(tmp_path / "frames.npy")
    with pytest.raises(ModelFileError, match="does not exist"):
        open_engine(tmp_path / "missing.onnx")
    with pytest.raises(ModelFileError, match="folder"):
        open_engine(tmp_path)


def test_an_unknown_engine_and_no_threads_are_refused(tmp_path):
    path = saved(small_network().model(), tmp_path)
    with pytest.raises(ConfigError, match="auto, "):
        open_engine(path, "abacus")
    with pytest.raises(ConfigError, match="does not open this kind"):
        open_engine(path, "torch")
    with pytest.raises(ConfigError, match="0 threads"):
        open_engine(path, threads=0)


def test_auto_takes_the_registered_kind_of_highest_priority_that_runs_the_target(registry, tmp_path):
    path = saved(small_network().model(), tmp_path)

    class Fake:
        name = "fake"

    fast = Fake()
    register("fake", lambda *_: fast, opens=onnx_engine.opens, runs=lambda *_: True, priority=99)
    assert open_engine(path) is fast
    register("fake", lambda *_: fast, opens=onnx_engine.opens, runs=lambda *_: False, priority=99)
    assert open_engine(path).name in ("native", "onnxruntime")
    assert open_engine(path, "fake") is fast


def test_auto_leaves_what_the_native_engine_s_bytes_cannot_hold_to_another(tmp_path):
    writer = GraphWriter(np.random.default_rng(5), 64)
    x = writer.quant("frames", 8, 0.05, signed=True)
    writer.scale[x] = 1.0
    x = writer.norm(writer.conv(x, 8, 3))
    limits = [writer.constant(np.float32(limit)) for limit in (0.4, 1.4)]  # never 0
    clipped = writer.node("Clip", [x, *limits], 8, 64)
    writer.scale[clipped] = writer.scale[x]
    x = writer.quant(clipped, 4, 0.1, signed=False)
    writer.scale[x] = 1.0
    path = saved(writer.model(writer.head(writer.pool(x, 64, 1), 24, 6, 0.3)), tmp_path)
    assert open_engine(path).name == "onnxruntime"
    if native_engine.load_extension() is not None:
        with pytest.raises(UnsupportedOperationError, match="gives only 4 to 14"):
            open_engine(path, "native")


def without_onnx(monkeypatch):
    """Pretend the core install, which has onnxruntime and no onnx."""
    networks._program_of_file.cache_clear()
    monkeypatch.setitem(sys.modules, "onnx", None)


def test_a_plain_network_runs_without_the_package_onnx(monkeypatch, tmp_path):
    path = saved(reshaped_plain(), tmp_path)
    frames = noise(3)
    expected = open_engine(path).logits(frames)
    without_onnx(monkeypatch)
    assert np.allclose(open_engine(path).logits(frames), expected, rtol=1e-5, atol=1e-5)


def reshaped_plain():
    b = Builder()
    x = b.op("Reshape", "frames", b.constant(np.array([1, 128])))
    b.op("MatMul", x, b.constant(b.rng.standard_normal((128, 24)).astype(np.float32)), output="logits")
    return b.model()


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", ""])
def test_a_qonnx_network_without_the_package_onnx_says_what_to_install(domain, monkeypatch, tmp_path):
    path = saved(small_network(domain=domain).model(), tmp_path)
    without_onnx(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '.\[train\]'"):
        open_engine(path)


def test_a_file_that_holds_its_integer_program_runs_natively_without_the_package_onnx(monkeypatch, tmp_path, capsys):
    path = saved(small_network().model(), tmp_path)
    frames = noise(3)
    expected = open_engine(path, "native").logits(frames)
    held = tmp_path / "held.onnx"
    held.write_bytes(with_program(path.read_bytes()))
    without_onnx(monkeypatch)
    with pytest.raises(MissingExtraError):
        open_engine(path)
    assert capsys.readouterr().err == ""
    engine = open_engine(held)
    assert engine.name == "native"
    assert np.array_equal(engine.logits(frames), expected)


def test_a_qcdq_file_without_its_program_runs_on_onnxruntime_and_that_is_said_once(monkeypatch, tmp_path, capsys):
    pytest.importorskip("brevitas")
    from bacalhaunet.deploy.export import trace
    from bacalhaunet.models.catalog import find_spec
    from bacalhaunet.models.network import build_network

    path = saved(trace(build_network(quantize(find_spec("bacalhaunet"), 6)).eval(), "qcdq"), tmp_path, "old.onnx")
    without_onnx(monkeypatch)
    assert [open_engine(path).name for _ in range(2)] == ["onnxruntime"] * 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "old.onnx holds no integer program" in said[0]
    assert "export it again" in said[0]


def test_classifying_an_onnx_file_never_imports_torch(tmp_path):
    path = saved(small_network().model(), tmp_path)
    program = (
        "import sys, numpy as np\n"
        "from bacalhaunet.classify.engines import open_engine\n"
        f"open_engine({str(path)!r}).logits(np.zeros((3, 2, 64), np.float32))\n"
        "print(sorted({'torch', 'brevitas', 'qonnx', 'lightning', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
