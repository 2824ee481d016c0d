"""Integer programs in the metadata of ONNX files."""

import onnx
import pytest

from bacalhaunet.classify.calibration import Calibration, read_calibration, write_calibration
from bacalhaunet.deploy.integer.lowering import lower_file
from bacalhaunet.deploy.integer.stored import ENTRY, stored_program, with_program
from bacalhaunet.models.onnx_metadata import graph_digest, read_entries, with_entry
from bacalhaunet.models.shipped_networks import shipped_networks
from tests.deploy.integer.test_stored import differences
from tests.deploy.random_networks import random_network


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "network.onnx"
    path.write_bytes(with_program(random_network(5).SerializeToString()))
    return path


def test_the_graph_is_not_touched_and_the_program_is_that_of_the_file(file):
    before = random_network(5).SerializeToString()
    assert graph_digest(before) == graph_digest(file.read_bytes())
    onnx.checker.check_model(onnx.load(file))
    assert differences(stored_program(file), lower_file(file)) == []


def test_a_calibration_is_written_beside_it_and_the_program_stays(file):
    write_calibration(file, Calibration(1.25, 0.5, 0.31), file)
    assert read_calibration(str(file)).temperature == 1.25
    assert differences(stored_program(file), lower_file(file)) == []


def test_stored_again_it_is_the_same_file(file):
    assert with_program(file.read_bytes()) == file.read_bytes()


def test_the_program_of_another_graph_is_passed_over(file):
    model = onnx.load(file)
    model.graph.doc_string = "changed by another tool"
    onnx.save(model, file)
    assert ENTRY in read_entries(file.read_bytes())
    assert stored_program(file) is None


@pytest.mark.parametrize("text", ["", "x", "x y", "{digest} {}", "{digest} nonsense"])
def test_a_damaged_entry_is_passed_over(file, text):
    model = file.read_bytes()
    file.write_bytes(with_entry(model, ENTRY, text.replace("{digest}", graph_digest(model))))
    assert stored_program(file) is None


def test_files_without_a_program_hold_none(tmp_path):
    path = tmp_path / "network.onnx"
    assert stored_program(path) is None
    path.write_bytes(b"no model")
    assert stored_program(path) is None
    plain = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "plain",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 16])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2, 16])],
    )
    model = onnx.helper.make_model(plain).SerializeToString()
    assert with_program(model) == model


@pytest.mark.parametrize(
    "name", [name for name, one in shipped_networks().items() if b"Quant" in one.onnx.read_bytes()]
)
def test_every_quantized_network_of_the_package_holds_its_program(name):
    path = shipped_networks()[name].onnx
    assert differences(stored_program(path), lower_file(path)) == []
