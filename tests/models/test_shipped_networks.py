import json

import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.catalog import CATALOG
from bacalhaunet.models.shipped_networks import default_network, find_shipped, shipped_networks


def test_networks_in_the_folder_are_found_by_their_cards(tmp_path):
    for name in ("second", "first"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"accuracy": 0.5}))
        for suffix in (".safetensors", ".onnx"):
            (tmp_path / f"{name}{suffix}").touch()
    assert list(shipped_networks(tmp_path)) == ["first", "second"]
    assert find_shipped("first", tmp_path).card == {"accuracy": 0.5}
    with pytest.raises(ModelFileError, match="did you mean second"):
        find_shipped("secnd", tmp_path)


def test_a_card_without_its_files_is_an_error(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ModelFileError, match="missing"):
        shipped_networks(tmp_path)
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ModelFileError, match="card"):
        shipped_networks(tmp_path)


def test_signals_are_classified_by_the_network_made_for_them_else_by_the_most_accurate(tmp_path):
    with pytest.raises(ModelFileError, match="none comes"):
        default_network(shipped_networks(tmp_path))
    for name, accuracy in (("accurate", 0.6), ("other", 0.5), ("lite", 0.55), ("field", 0.4)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"accuracy": accuracy}))
        for suffix in (".safetensors", ".onnx"):
            (tmp_path / f"{name}{suffix}").touch()
    assert default_network(shipped_networks(tmp_path)) == "field"
    for gone, expected in (("field", "lite"), ("lite", "accurate")):
        (tmp_path / f"{gone}.json").unlink()
        assert default_network(shipped_networks(tmp_path)) == expected


def test_models_prints_one_json_list(capsys):
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows if not row["shipped"]] == list(CATALOG)
    assert all(set(row) == {"name", "shipped", "score", "bit_ops", "bit_mem", "accuracy"} for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert round(by_name["prototype"]["score"], 3) == 1.158
    assert by_name["bacalhaunet"]["accuracy"] == 0.5909


def test_models_prints_a_table(capsys):
    assert main(["models"]) == 0
    assert "mobilenetv3-small-1d" in capsys.readouterr().out
