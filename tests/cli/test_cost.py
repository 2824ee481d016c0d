import json

import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("qonnx")

from bacalhaunet.cli.main import main
from bacalhaunet.cost.of import cost_of
from tests.cost.small_networks import Builder, small_network


def run(capsys, *words):
    code = main(["cost", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_json_is_one_document_with_the_agreed_keys(capsys, tmp_path):
    onnx.save(small_network(sum_bits=None).model(), tmp_path / "network.onnx")
    code, out, err = run(capsys, tmp_path / "network.onnx", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert {"bit_ops", "bit_mem", "score", "unsupported", "layers"} <= set(document)
    assert isinstance(document["bit_ops"], int)
    assert document["bit_ops"] == sum(layer["bit_ops"] for layer in document["layers"])


def test_a_catalog_name_is_scored_in_float_and_at_any_bits(capsys):
    assert round(json.loads(run(capsys, "bacalhaunet", "--json")[1])["score"], 4) == 1.4155
    six = json.loads(run(capsys, "bacalhaunet", "--bits", "6", "--json")[1])
    assert six["score"] == cost_of("bacalhaunet", bits=6).score


def test_a_spec_file_is_scored_as_the_network_it_describes(capsys, tmp_path):
    from bacalhaunet.models.catalog import find_spec

    for suffix, text in (("yaml", find_spec("prototype").to_yaml()), ("json", find_spec("prototype").to_json())):
        (tmp_path / f"spec.{suffix}").write_text(text)
        document = json.loads(run(capsys, tmp_path / f"spec.{suffix}", "--json")[1])
        assert document["score"] == cost_of("prototype").score


def test_the_table_names_layers_and_findings(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    onnx.save(small_network(sum_bits=None, pool="GlobalMaxPool").model(), tmp_path / "network.onnx")
    code, out, _ = run(capsys, tmp_path / "network.onnx")
    assert code == 0
    for text in ("depthwise", "share", "bit_ops", "sum that no quantizer follows", "GlobalMaxPool"):
        assert text in out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.onnx", b"", "empty.onnx"),
        ("damaged.onnx", b"not a network", "damaged.onnx"),
        ("network.pdf", b"", "is not a network"),
        ("spec.yaml", b"blocks: 3", "blocks"),
    ],
)
def test_what_is_no_network_is_refused_with_exit_code_2(name, content, message, capsys, tmp_path):
    (tmp_path / name).write_bytes(content)
    code, out, err = run(capsys, tmp_path / name, "--json")
    assert (code, out) == (2, "")
    assert message in err


def test_a_missing_file_an_unknown_name_and_bits_for_a_file_are_refused(capsys, tmp_path):
    onnx.save(small_network().model(), tmp_path / "network.onnx")
    assert run(capsys, tmp_path / "none.onnx")[0] == 2
    assert run(capsys, "bacalhaunett")[0] == 2
    code, _, err = run(capsys, tmp_path / "network.onnx", "--bits", "6")
    assert code == 2
    assert "--bits" in err


def test_a_graph_without_a_layer_is_refused(capsys, tmp_path):
    b = Builder()
    b.op("Relu", "frames", output="logits")
    onnx.save(b.model(), tmp_path / "network.onnx")
    code, _, err = run(capsys, tmp_path / "network.onnx")
    assert code == 2
    assert "no convolution" in err


def test_help_teaches_by_an_example(capsys):
    assert main(["cost", "--help"]) == 0
    assert "bacalhaunet cost network.onnx" in " ".join(capsys.readouterr().out.split())
