"""A network is opened the same way whether it is named, a file, or in memory; of any classes and frame length."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("brevitas")

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cost.of import cost_of, quantize
from bacalhaunet.deploy.emitters import compile_network
from bacalhaunet.deploy.export import export, export_network
from bacalhaunet.deploy.networks import integer_program, open_network
from bacalhaunet.deploy.parity import probe_frames, torch_logits
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.shipped_networks import find_shipped

NAMES = ("hiss", "hum", "click", "chirp", "tone")


@pytest.fixture(scope="module")
def network():
    """Five classes, frames of 512 samples."""
    spec = quantize(find_spec("first-experiment"), 6)
    spec = type(spec).from_dict({**spec.to_dict(), "classes": 5, "frame_length": 512})
    torch.manual_seed(5)
    return build_network(spec).eval()


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "model.safetensors"
    save_model(path, network, network.spec, NAMES, {})
    return path


def test_own_classes_and_length_go_through_export_compile_and_every_engine(file, tmp_path):
    written = export(file, tmp_path / "own.onnx")
    frames = probe_frames(512, 40, seed=3)
    engines = [open_engine(file, "torch"), *(open_engine(written.path, name) for name in ("native", "onnxruntime"))]
    classes = [engine.logits(frames).argmax(axis=1) for engine in engines]
    for engine, found in zip(engines, classes, strict=True):
        assert (engine.labels, engine.frame_length) == (NAMES, 512)
        assert (found == classes[-1]).mean() > 0.95  # all but ties
    emission = compile_network(written.path, tmp_path / "c", name="own")
    assert "FRAME_LENGTH 512" in emission.files["own_sizes.h"]
    assert '"hiss", "hum"' in emission.files["own_tables.h"]


def test_a_network_in_memory_is_exported_compiled_and_costed_as_its_file_is(network, file, tmp_path):
    saved = load_model(file)
    one, two = export(saved, tmp_path / "one.onnx"), export(file, tmp_path / "two.onnx")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert integer_program(network).logit_scale == integer_program(file).logit_scale
    assert integer_program(file).source == str(file)
    assert cost_of(network) == cost_of(saved) == cost_of(file)
    assert np.array_equal(torch_logits(open_network(network).network, probe_frames(512)), torch_logits(
        open_network(file).network, probe_frames(512)))  # fmt: skip


def test_a_network_without_names_is_not_given_radioml_s(network, tmp_path):
    import onnx

    written = export_network(network, tmp_path / "own.onnx")
    entries = {entry.key: entry.value for entry in onnx.load(written.path).metadata_props}
    assert json.loads(entries["labels"]) == [f"class {number}" for number in range(5)]
    with pytest.raises(ModelFileError, match="3 labels for a network of 5 classes"):
        export_network(network, tmp_path / "other.onnx", classes=NAMES[:3])
    assert not (tmp_path / "other.onnx").exists()


def test_what_does_not_say_what_it_is_is_refused():
    with pytest.raises(ConfigError, match=r"a Linear that does not say what it is"):
        open_network(torch.nn.Linear(2, 2))
    with pytest.raises(ModelFileError, match="torch cannot run an ONNX file"):
        open_network(find_shipped("lite").onnx)


def test_a_cost_shows_itself_in_a_notebook():
    report = cost_of("bacalhaunet")
    shown = report._repr_html_()
    assert f"{report.score:.6f}" in shown
    assert shown.count("<tr>") == len(report.layers) + 2
    assert all(finding.text.split(":")[0] in shown for finding in report.findings)
