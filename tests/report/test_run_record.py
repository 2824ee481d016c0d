"""The run record: written whole, read back equal, damaged records named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bacalhaunet.errors import ConfigError
from bacalhaunet.report.run_record import (
    RECORD_FILE,
    CurveRecord,
    ParityRecord,
    RunRecord,
    StepRecord,
    read_run_record,
)

RECORD = RunRecord(
    name="quick",
    created="2026-11-23T20:00:00+00:00",
    command="bacalhaunet reproduce --budget quick",
    profile="twin",
    data="twin, 20 frames a cell",
    protocol={"split": "test", "frames_per_cell": 20, "train_snr_min_db": -6, "seed": 1},
    steps=(
        StepRecord(
            "train", "initial training, 6 bits", "train", 10_000, 12.5, weight_decay=1e-4, cost="train/cost.json"
        ),
        StepRecord("prune-1", "1st prune", "prune", min_abs_weight=0.15, evaluation="prune-1/evaluation.json"),
    ),
    parity=(ParityRecord(("torch", "onnxruntime"), 2000, 0.9995, "one tie"),),
    classification={"frames": 4, "summary": {"label": "QPSK"}},
    curve=(CurveRecord(0, 0.04), CurveRecord(10_000, 0.31)),
)


def _damage(folder, **changes):
    RECORD.write(folder)
    values = json.loads((folder / RECORD_FILE).read_text())
    values.update(changes)
    (folder / RECORD_FILE).write_text(json.dumps(values))


def test_a_record_reads_back_equal(tmp_path):
    RECORD.write(tmp_path)
    assert read_run_record(tmp_path) == RECORD


def test_optional_parts_may_be_absent_or_null(tmp_path):
    (tmp_path / RECORD_FILE).write_text('{"name": "a", "created": "2026", "parity": null, "data": null}')
    assert read_run_record(tmp_path) == RunRecord("a", "2026", "", "")


def test_the_folder_is_made_and_holds_only_the_record(tmp_path):
    RECORD.write(tmp_path / "runs" / "quick")
    assert [path.name for path in (tmp_path / "runs" / "quick").iterdir()] == [RECORD_FILE]


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path):
    RECORD.write(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(RECORD, protocol={"x": float("nan")}).write(tmp_path)
    assert read_run_record(tmp_path) == RECORD


def test_a_folder_without_a_record_is_named(tmp_path):
    with pytest.raises(ConfigError, match="not a run folder") as caught:
        read_run_record(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[1]", "is a list"),
        (b"{}", "'name' is missing"),
        (b'{"name": 3, "created": ""}', "'name' is 3"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    (tmp_path / RECORD_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_run_record(tmp_path)
    assert RECORD_FILE in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": {}}, "'steps' is {}"),
        ({"steps": [1]}, "'steps' is "),
        ({"steps": [{"slug": "a", "title": "A", "frames_seen": 1.5}]}, "'frames_seen' is 1.5"),
        ({"steps": [{"slug": "a", "title": "A", "seconds": -1}]}, "'seconds' is -1"),
        ({"steps": [{"slug": "a", "title": "A", "seconds": float("nan")}]}, "'seconds' is nan"),
        ({"steps": [{"slug": "a", "title": "A", "weight_decay": "x"}]}, "'weight_decay' is 'x'"),
        ({"steps": [{"slug": "a", "title": "A"}, {"slug": "a", "title": "B"}]}, "same slug"),
        ({"parity": [{"engines": ["a"], "frames": 1, "agreement": 1.1}]}, "'agreement' is 1.1"),
        ({"parity": [{"engines": [1], "frames": 1, "agreement": 1}]}, "the engines are"),
        ({"curve": [{"frames": True, "validation_accuracy": 0.1}]}, "'frames' is True"),
        ({"protocol": "test"}, "'protocol' is 'test'"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, changes, message):
    _damage(tmp_path, **changes)
    with pytest.raises(ConfigError, match=message):
        read_run_record(tmp_path)


@pytest.mark.parametrize("path", ["../secret.json", "/etc/passwd", "a/../../b", "a\\..\\b", ""])
@pytest.mark.parametrize("key", ["evaluation", "cost", "model"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, key, path):
    _damage(tmp_path, steps=[{"slug": "a", "title": "A", key: path}])
    with pytest.raises(ConfigError, match="inside the run folder"):
        read_run_record(tmp_path)
