"""``bacalhaunet classify``: its table, its JSON, its label files, and its exit codes."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from bacalhaunet.classify import classifier
from bacalhaunet.cli.main import main
from bacalhaunet.data.recordings.recording import open_recording
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from tests.classify.fake_engine import PowerEngine
from tests.classify.test_pipeline import noise

GROUP = ("group", "group_confidence")


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch):
    monkeypatch.setattr(classifier, "open_engine", lambda target, engine="auto", threads=None: PowerEngine())


@pytest.fixture
def recording(tmp_path):
    samples = np.concatenate([noise(4096, 1), noise(2048, 2, power=9), noise(1500, 3)])
    return write_sigmf(tmp_path / "signal", samples, 1e6, frequency=1e8)


def classified(path, *options):
    return main(["classify", str(path), "--network", "any", "--normalization", "none", *options])


def test_json_has_frames_and_summary_and_nothing_else(recording, capsys):
    assert classified(recording, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["frames", "summary"]
    assert [frame["start"] for frame in document["frames"]] == [0, 1024, 2048, 3072, 4096, 5120, 6144, 6620]
    assert [frame["label"] for frame in document["frames"]] == ["quiet"] * 4 + ["loud"] * 2 + ["quiet"] * 2
    assert document["frames"][1]["time"] == pytest.approx(1.024e-3)
    assert document["frames"][0]["probabilities"]["quiet"] == document["frames"][0]["confidence"]
    summary = document["summary"]
    assert (summary["label"], summary["frames"], summary["last_frame"]) == ("quiet", 8, "overlaps")
    assert summary["agreement"] == 0.75


def test_the_table_names_the_answer_and_what_was_done(recording, capsys):
    assert classified(recording) == 0
    out = capsys.readouterr().out
    for words in ("quiet, confidence", "75 % of 8 frames agree", "samples not scaled", "overlaps the one before"):
        assert words in out


def test_csv_holds_a_line_for_every_frame(recording, tmp_path, capsys):
    assert classified(recording, "-o", str(tmp_path / "labels.csv")) == 0
    with (tmp_path / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["start", "time", "label", "confidence", *GROUP, "quiet", "loud", "never"]
    assert [row["label"] for row in rows] == ["quiet"] * 4 + ["loud"] * 2 + ["quiet"] * 2


def test_json_lines_are_the_frames_of_the_document(recording, tmp_path, capsys):
    assert classified(recording, "--json", "-o", str(tmp_path / "labels.jsonl")) == 0
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert lines == json.loads(capsys.readouterr().out)["frames"]


def test_annotations_go_beside_the_recording_and_are_valid_sigmf(recording, tmp_path, capsys):
    sigmf = pytest.importorskip("sigmf")
    copied = tmp_path / "labelled.sigmf-meta"
    for target in (copied, recording, recording):  # a second run replaces the first run's annotations
        assert classified(recording, "-o", str(target)) == 0
    for meta in (copied, recording):
        theirs = sigmf.sigmffile.fromfile(str(meta))
        theirs.validate()
        notes = theirs.get_annotations()
        assert [(one["core:sample_start"], one["core:sample_count"], one["core:label"]) for one in notes] == [
            (0, 4096, "quiet"),
            (4096, 2048, "loud"),
            (6144, 1500, "quiet"),
        ]
        assert all("confidence" in one["core:comment"] for one in notes)
        assert len(open_recording(meta)) == 7644
        assert open_recording(meta).captures[0].frequency == 1e8


def test_annotations_of_others_are_kept(recording, capsys):
    document = json.loads(recording.read_text())
    document["annotations"] = [{"core:sample_start": 5, "core:sample_count": 9, "core:label": "mine"}]
    recording.write_text(json.dumps(document))
    assert classified(recording, "-o", str(recording)) == 0
    labels = [one["core:label"] for one in json.loads(recording.read_text())["annotations"]]
    assert labels == ["quiet", "mine", "loud", "quiet"]


def test_a_raw_recording_gets_metadata_that_refer_to_it(tmp_path, capsys):
    path = tmp_path / "capture.cs16"
    path.write_bytes((noise(3000, power=9).view(np.float32) * 1000).astype("<i2").tobytes())
    assert classified(path, "-o", str(tmp_path / "capture.sigmf-meta")) == 0
    again = open_recording(tmp_path / "capture.sigmf-meta")
    assert np.array_equal(again.read(0, 3000), open_recording(path).read(0, 3000))


def test_a_part_of_a_recording_is_read_and_annotated_from_its_offset_on(recording, capsys):
    document = json.loads(recording.read_text())
    document["global"]["core:offset"] = 100_000
    for capture in document["captures"]:
        capture["core:sample_start"] += 100_000
    recording.write_text(json.dumps(document))
    assert classified(recording, "-o", str(recording)) == 0
    starts = [one["core:sample_start"] for one in json.loads(recording.read_text())["annotations"]]
    assert starts == [100_000, 104_096, 106_144]


def test_metadata_tell_the_type_that_samples_were_read_as(tmp_path, capsys):
    path = tmp_path / "capture.cs16"
    path.write_bytes((noise(3000, power=9).view(np.float32) * 1000).astype("<i2").tobytes())
    meta = tmp_path / "capture.sigmf-meta"
    assert classified(path, "-o", str(meta)) == 0
    assert classified(meta, "--type", "ci8", "-o", str(meta)) == 0
    document = json.loads(meta.read_text())
    assert document["global"]["core:datatype"] == "ci8"
    assert len(open_recording(meta)) == 6000


@pytest.mark.parametrize("name", ["elsewhere/x.sigmf-meta", "labels.txt", "labels"])
def test_labels_that_cannot_be_written_end_with_2_and_leave_nothing(recording, tmp_path, name, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert classified(recording, "-o", str(tmp_path / name)) == 2
    assert "allowed" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_recording_damaged_in_the_middle_prints_no_half_document_and_no_labels(tmp_path, capsys):
    samples = noise(3_000_000)
    samples[2_900_000] = np.nan
    (tmp_path / "bad.cf32").write_bytes(samples.tobytes())
    labels = tmp_path / "labels.csv"
    assert classified(tmp_path / "bad.cf32", "--json", "-o", str(labels)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "sample 2900000" in captured.err
    assert not labels.exists()


def shipped_with(accuracies):
    return {name: SimpleNamespace(name=name, card={"accuracy": value}) for name, value in accuracies.items()}


def test_without_a_network_and_with_none_shipped_the_error_says_what_to_pass(recording, monkeypatch, capsys):
    monkeypatch.setattr(classifier, "shipped_networks", dict)
    assert main(["classify", str(recording)]) == 2
    assert "--network" in capsys.readouterr().err


def test_without_a_network_the_most_accurate_shipped_one_answers(recording, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(classifier, "shipped_networks", lambda: shipped_with({"a": 0.5, "b": 0.7, "c": 0.6}))
    monkeypatch.setattr(classifier, "open_engine", lambda target, *_, **__: opened.append(target) or PowerEngine())
    assert main(["classify", str(recording)]) == 0
    assert opened == ["b"]


def test_the_command_never_imports_what_the_core_install_lacks(recording):
    code = (
        "import sys, bacalhaunet.cli.classify, bacalhaunet.cli.scan, bacalhaunet.classify.scanning\n"
        "import bacalhaunet.cli.main\n"
        "from bacalhaunet.data.recordings.recording import open_recording\n"
        f"open_recording({str(recording)!r}).read(0, 10)\n"
        "heavy = {'torch', 'h5py', 'onnx', 'scipy.signal', 'lightning', 'brevitas', 'qonnx'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_network_that_nobody_trained_is_refused(recording, capsys):
    assert main(["classify", str(recording), "--network", "bacalhaunet"]) == 2
    assert "has no trained weights" in capsys.readouterr().err
