import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper

from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.onnx_files import QONNX_DOMAIN, read_onnx


def write(path, domain, operator="Quant", as_inputs=True, **attributes):
    constants = [numpy_helper.from_array(np.float32(v), n) for n, v in (("s", 0.5), ("z", 0.0), ("b", 6.0))]
    node = helper.make_node(operator, ["x", "s", "z", "b"], ["y"], domain=domain, **attributes)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    if as_inputs:
        inputs += [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, []) for t in constants]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])]
    graph = helper.make_graph([node], "g", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


@pytest.mark.parametrize("domain", ["", "onnx.brevitas", "finn.custom_op.general", QONNX_DOMAIN])
@pytest.mark.parametrize("operator", ["Quant", "IntQuant"])
def test_every_dialect_becomes_one(tmp_path, domain, operator):
    model = read_onnx(write(tmp_path / "m.onnx", domain, operator, signed=0))
    (node,) = model.graph.node
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    assert (node.op_type, node.domain) == ("Quant", QONNX_DOMAIN)
    assert values == {"signed": 0, "narrow": 0, "rounding_mode": b"ROUND"}
    assert [value.name for value in model.graph.input] == ["x"]
    assert QONNX_DOMAIN in [entry.domain for entry in model.opset_import]


def test_attributes_that_are_there_stay(tmp_path):
    model = read_onnx(write(tmp_path / "m.onnx", "", signed=1, narrow=1, rounding_mode="FLOOR"))
    values = {a.name: helper.get_attribute_value(a) for a in model.graph.node[0].attribute}
    assert values == {"signed": 1, "narrow": 1, "rounding_mode": b"FLOOR"}


def test_an_operator_of_the_same_name_in_a_foreign_domain_is_left_alone(tmp_path):
    model = read_onnx(write(tmp_path / "m.onnx", "com.example", as_inputs=False))
    assert model.graph.node[0].domain == "com.example"


@pytest.mark.parametrize("content", [b"", b"not onnx at all", bytes(range(256)) * 20])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="ONNX"):
        read_onnx(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = write(tmp_path / "m.onnx", "")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelFileError):
        read_onnx(path)


def test_a_graph_with_a_tensor_nothing_makes_is_refused(tmp_path):
    model = onnx.load(write(tmp_path / "m.onnx", "", as_inputs=False))
    del model.graph.initializer[0]
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match="nothing makes the tensor 's'"):
        read_onnx(tmp_path / "m.onnx")


def test_missing_external_data_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    write(path, "", as_inputs=False)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    if not (tmp_path / "weights.bin").exists():
        pytest.skip("this onnx keeps scalars inside")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelFileError):
        read_onnx(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"absent\.onnx"):
        read_onnx(tmp_path / "absent.onnx")
