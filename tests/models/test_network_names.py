import pytest

from bacalhaunet.errors import ModelFileError, SpecError
from bacalhaunet.models.catalog import CATALOG, find_spec
from bacalhaunet.models.network_names import check_trained, shown
from bacalhaunet.models.shipped_networks import shipped_networks


def test_an_unknown_name_is_answered_with_every_name_and_the_close_ones():
    with pytest.raises(SpecError) as error:
        find_spec("balancd")
    message = str(error.value)
    assert all(name in message for name in (*CATALOG, *shipped_networks()))
    assert "did you mean balanced" in message


def test_an_onnx_file_is_said_to_be_one():
    with pytest.raises(SpecError, match="is an ONNX file"):
        find_spec("lite.onnx")


def test_only_the_name_of_an_untrained_network_is_refused():
    with pytest.raises(ModelFileError, match="'bacalhaunet' has no trained weights"):
        check_trained("bacalhaunet")
    for name in (*shipped_networks(), "network.onnx", "any"):
        check_trained(name)


def test_a_shipped_file_is_called_by_its_name():
    assert shown(str(shipped_networks()["lite"].onnx)) == "lite"
    assert shown("runs/lite.onnx") == "runs/lite.onnx"
