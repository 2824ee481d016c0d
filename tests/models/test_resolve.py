import pytest

from bacalhaunet.errors import ModelFileError, SpecError
from bacalhaunet.models.catalog import CATALOG, find_spec
from bacalhaunet.models.resolve import KINDS, TRAINED, network_title, require_trained, resolve_network
from bacalhaunet.models.shipped_networks import shipped_networks


def test_an_unknown_name_is_answered_with_every_name_and_the_close_ones():
    for look_up in (find_spec, resolve_network):
        with pytest.raises(SpecError) as error:
            look_up("balancd")
        message = str(error.value)
        assert all(name in message for name in (*CATALOG, *shipped_networks()))
        assert "did you mean balanced" in message


def test_an_onnx_file_is_said_to_be_one():
    with pytest.raises(SpecError, match="is an ONNX file"):
        find_spec("lite.onnx")


def test_every_kind_of_source_is_recognized(tmp_path):
    shipped = shipped_networks()["lite"]
    spec = tmp_path / "net.yaml"
    spec.write_text(CATALOG["prototype"].spec.to_yaml())
    run = tmp_path / "run"
    (run / "step-1").mkdir(parents=True)
    (run / "step-10").mkdir()
    for step in ("step-1", "step-10"):
        (run / step / "model.safetensors").write_bytes(b"")
    expected = {
        "lite": ("shipped", shipped.model, shipped.onnx),
        str(shipped.onnx): ("onnx", None, shipped.onnx),
        str(shipped.model): ("saved", shipped.model, None),
        str(run): ("saved", run / "step-10" / "model.safetensors", None),
        str(spec): ("spec", None, None),
        "prototype": ("catalog", None, None),
    }
    for name, (kind, saved, onnx) in expected.items():
        source = resolve_network(name)
        assert (source.kind, source.saved, source.onnx) == (kind, saved, onnx), name
        assert source.trained == (kind in TRAINED)
    assert resolve_network(spec).spec() == resolve_network("prototype").spec() == CATALOG["prototype"].spec
    assert {kind for kind, *_ in expected.values()} == set(KINDS)


def test_an_architecture_is_refused_where_trained_weights_are_needed():
    with pytest.raises(ModelFileError, match="'bacalhaunet' has no trained weights"):
        resolve_network("bacalhaunet", TRAINED, "a network that classifies")
    for name in shipped_networks():
        assert resolve_network(name, TRAINED).kind == "shipped"
    with pytest.raises(ModelFileError, match="'bacalhaunet' has no trained weights"):
        require_trained("bacalhaunet")
    for name in (*shipped_networks(), "network.onnx", "any"):
        require_trained(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.onnx", "does not exist"),
        ("absent/net", "does not exist"),
        ("some.txt", "a file ending in '.txt' is not a network"),
        ("empty", "a folder without a saved model"),
        ("folder.onnx", "a folder"),
    ],
)
def test_a_path_that_is_no_network_is_refused_with_what_is_allowed(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelFileError, match=message):
        resolve_network(name)


def test_a_name_means_the_network_whatever_lies_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bacalhaunet").write_text("a script")
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite" / "model.safetensors").write_bytes(b"")
    assert resolve_network("bacalhaunet").kind == "catalog"
    assert resolve_network("lite").kind == "shipped"
    assert resolve_network("./lite").kind == "saved"


def test_a_source_of_another_kind_is_refused_by_what_it_is():
    shipped = shipped_networks()["lite"]
    with pytest.raises(ModelFileError, match=r"is an ONNX file .* where a network to train is needed"):
        resolve_network(shipped.onnx, ("catalog", "saved"), "a network to train")


def test_a_shipped_file_is_called_by_its_name(tmp_path):
    lite = shipped_networks()["lite"]
    assert network_title(lite.onnx) == "lite"
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(lite.onnx.read_bytes())
    assert network_title(copy) == str(copy)
