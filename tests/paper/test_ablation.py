import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("qonnx")

from bacalhaunet.compression.config import AllocationConfig, CompressConfig
from bacalhaunet.compression.path import read_path
from bacalhaunet.compression.pipeline import compress
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.training.config import DistillationConfig
from bacalhaunet_paper import ablation
from bacalhaunet_paper.ablation import LEFT_OUT, WHOLE, AblationRow, ablate, draw_ablation, variants
from tests.compression.small_compression import config
from tests.compression.small_pruning import data

ROAD = CompressConfig(target_score=0.01, distillation=DistillationConfig("t.safetensors"))


def epochs(road):
    changes = len(road.bits) + (road.allocation.factor < 1)
    return road.bits_epochs * changes + road.prune_epochs


def test_every_ingredient_is_left_out_once_at_the_same_budget_and_target():
    found = variants(ROAD)
    assert list(found) == [WHOLE, *LEFT_OUT]
    roads = [road for _, road in found.values()]
    assert len({repr(road) for road in roads}) == len(roads)
    assert {epochs(road) for road in roads} == {epochs(ROAD)}
    assert {road.target_score for road in roads} == {0.01}


def test_what_the_road_does_not_have_is_not_left_out():
    road = CompressConfig(target_score=0.01, bits=(5,), allocation=AllocationConfig(factor=1.0))
    assert not {"teacher", "gradual-bits", "bits-per-layer"} & set(variants(road))


def test_without_a_target_score_nothing_can_be_compared():
    with pytest.raises(ConfigError, match="target score"):
        variants(CompressConfig(min_accuracy=0.5))


def test_a_shipped_network_is_taken_as_it_is(tmp_path, monkeypatch):
    starts = []
    monkeypatch.setattr(ablation, "train", lambda *_, **__: pytest.fail("it was trained already"))
    monkeypatch.setattr(ablation, "compress", lambda road, *_, **__: starts.append(road.network))
    monkeypatch.setattr(ablation, "_row", lambda *_: None)
    monkeypatch.setattr(ablation, "write_rows", lambda *_: None)
    monkeypatch.setattr(ablation, "_take_steps", lambda *_: None)
    ablate(replace(ROAD, network="lite"), tmp_path)
    assert set(starts) == {str(shipped_networks()["lite"].model)}


def test_the_roads_start_from_one_training_and_the_table_has_a_row_for_each(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "LEFT_OUT", {"return": LEFT_OUT["return"]})
    road = config(
        tmp_path / "run",
        bits=(5,),
        allocation=AllocationConfig(factor=1.0),
        start_epochs=1,
        prune_epochs=1,
        norm_batches=0,
    )
    folder = tmp_path / "run"
    rows = ablate(road, folder, data=data(per_epoch=4))
    assert [row.name for row in rows] == [WHOLE, "return"]
    assert all(row.score <= road.target_score for row in rows)
    starts = {(folder / name / "start" / "model.safetensors").read_bytes() for name in (WHOLE, "return")}
    assert len(starts) == 1
    assert [row["accuracy"] for row in json.loads((folder / "ablation.json").read_text())] == [r.accuracy for r in rows]
    # Steps taken from the whole road are those that the road takes by itself.
    alone = replace(variants(road)["return"][1], network=str(folder / "start" / "model.safetensors"))
    steps = compress(alone, tmp_path / "alone", data=data(per_epoch=4))
    assert steps == read_path(folder / "return" / "path.json")
    assert len((folder / "ablation.md").read_text().splitlines()) == 6


def test_an_ablation_is_drawn_with_a_line_for_each_compression(tmp_path):
    rows = [AblationRow(str(n), f"without {n}", 0.5 - n / 100, 1000, 0.01, 10) for n in range(4)]
    picture = draw_ablation(rows, tmp_path).read_text()
    assert picture.count("<path") > 4
