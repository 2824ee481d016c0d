"""``bacalhaunet scan``, and ``classify`` of one signal placed by hand: JSON, table, files, folders and errors."""

import csv
import json

import numpy as np
import pytest

from bacalhaunet.classify import classifier
from bacalhaunet.cli.main import main
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from tests.classify.fake_engine import PowerEngine
from tests.classify.front_end.captures import linear_signal

pytest.importorskip("scipy", reason="needs scipy")
RATE, ON_AIR = 2e6, 1e8


def noise(count):
    generator = np.random.default_rng(1)
    return (generator.standard_normal((count, 2)) @ [0.2, 0.2j]).astype(np.complex64)


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch):
    monkeypatch.setattr(classifier, "open_engine", lambda target, engine="auto", threads=None: PowerEngine())


@pytest.fixture
def recording(tmp_path):
    generator, samples = np.random.default_rng(2), noise(100_000)
    for start, center, period in ((10_000, 0.2, 5.0), (30_000, -0.15, 12.0)):
        signal = linear_signal("QPSK", 50_000, period, 0.35, generator)
        turn = np.exp(2j * np.pi * center * np.arange(50_000))
        samples[start : start + 50_000] += (signal * turn).astype(np.complex64)
    return write_sigmf(tmp_path / "capture", samples, RATE, frequency=ON_AIR)


def scanned(path, *options):
    return main(["scan", str(path), "--network", "any", *map(str, options)])


def classified(path, *options):
    return main(["classify", str(path), "--network", "any", *options])


def document(capsys):
    return json.loads(capsys.readouterr().out)


def test_json_has_frames_signals_and_summary_in_hertz_on_the_air(recording, capsys):
    assert scanned(recording, "--json") == 0
    answer = document(capsys)
    assert list(answer) == ["frames", "signals", "summary"]
    one, other = answer["signals"]
    assert one["center"] == pytest.approx(ON_AIR + 0.2 * RATE, abs=100)
    assert other["center"] == pytest.approx(ON_AIR - 0.15 * RATE, abs=100)
    assert one["symbol_rate"] == pytest.approx(RATE / 5, rel=1e-3)
    assert other["symbol_rate"] == pytest.approx(RATE / 12, rel=1e-3)
    assert answer["summary"]["signals"] == 2
    assert answer["summary"]["frequency_unit"] == "Hz"
    assert answer["summary"]["frames"] == len(answer["frames"])
    for frame in answer["frames"]:
        signal = answer["signals"][frame["signal"]]
        assert signal["start"] <= frame["start"] < signal["stop"]
        assert frame["time"] == pytest.approx(frame["start"] / RATE)


def test_noise_alone_is_answered_no_signal(tmp_path, capsys):
    path = write_sigmf(tmp_path / "noise", noise(50_000), RATE)
    assert scanned(path, "--json") == 0
    answer = document(capsys)
    assert (answer["frames"], answer["signals"]) == ([], [])
    assert (answer["summary"]["answer"], answer["summary"]["label"]) == ("no signal", None)
    assert scanned(path) == 0
    assert "no signal" in capsys.readouterr().out


def test_what_the_network_takes_for_noise_is_answered_no_signal(recording, tmp_path, monkeypatch, capsys):
    class Noise(PowerEngine):
        labels = ("noise", "noise-like", "never")

    monkeypatch.setattr(classifier, "open_engine", lambda target, engine="auto", threads=None: Noise())
    assert scanned(recording, "--json", "-o", str(tmp_path / "x.sigmf-meta")) == 0
    answer = document(capsys)
    assert [one["label"] for one in answer["signals"]] == ["noise", "noise"]
    assert answer["summary"]["answer"] == "no signal"
    notes = json.loads((tmp_path / "x.sigmf-meta").read_text())["annotations"]
    assert {one["core:label"] for one in notes} == {"no signal"}


def test_a_picture_is_drawn_beside_every_other_answer(recording, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    for number, options in enumerate(((), ("--json",), ("--json", "-o", "labels.csv"))):
        path = tmp_path / f"{number}.png"
        words = [str(tmp_path / word) if word == "labels.csv" else word for word in options]
        for command in (scanned, classified):
            assert command(recording, "--picture", str(path), *words) == 0
            assert path.read_bytes().startswith(b"\x89PNG")
            path.unlink()
    assert scanned(recording, "--picture", tmp_path / "x.gif") == 2
    assert ".png" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


def test_annotations_have_the_edges_of_each_band_and_are_valid_sigmf(recording, tmp_path, capsys):
    import sigmf

    copied = tmp_path / "labelled.sigmf-meta"
    assert scanned(recording, "-o", str(copied)) == 0
    theirs = sigmf.sigmffile.fromfile(str(copied))
    theirs.validate()
    one, other = theirs.get_annotations()
    for note, center, period in ((one, 0.2, 5.0), (other, -0.15, 12.0)):
        low, high = note["core:freq_lower_edge"], note["core:freq_upper_edge"]
        assert (low + high) / 2 == pytest.approx(ON_AIR + center * RATE, abs=100)
        assert RATE / period < high - low < 1.7 * RATE / period
        assert note["core:sample_count"] == pytest.approx(50_000, abs=60)
        assert "confidence" in note["core:comment"]


def test_csv_and_json_lines_hold_a_line_for_each_signal(recording, tmp_path, capsys):
    assert scanned(recording, "--json", "-o", str(tmp_path / "signals.jsonl")) == 0
    lines = [json.loads(line) for line in (tmp_path / "signals.jsonl").read_text().splitlines()]
    assert lines == document(capsys)["signals"]
    assert scanned(recording, "-o", str(tmp_path / "signals.csv")) == 0
    with (tmp_path / "signals.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["center"]) for row in rows] == [line["center"] for line in lines]


def test_one_signal_by_hand(recording, capsys):
    options = ("--center", str(ON_AIR + 0.2 * RATE), "--symbol-rate", str(RATE / 5), "--bandwidth", "600e3")
    assert classified(recording, *options, "--json") == 0
    (signal,) = document(capsys)["signals"]
    assert (signal["start"], signal["stop"]) == (0, 100_000)
    assert signal["center"] == pytest.approx(ON_AIR + 0.2 * RATE)
    assert (signal["center_from"], signal["symbol_rate_from"]) == ("hand", "hand")
    assert signal["frames"] == -(-160_000 // 1024)


def test_a_symbol_rate_of_a_scan_is_that_of_every_signal_found(recording, capsys):
    assert scanned(recording, "--symbol-rate", RATE / 5, "--json") == 0
    assert [one["symbol_rate"] for one in document(capsys)["signals"]] == [RATE / 5, RATE / 5]


def test_a_symbol_rate_alone_takes_the_whole_recording_as_one_signal_in_the_middle(recording, capsys):
    assert classified(recording, "--symbol-rate", str(RATE / 8), "--json") == 0
    (signal,) = document(capsys)["signals"]
    assert (signal["center"], signal["stop"], signal["frames"]) == (ON_AIR, 100_000, 98)


def test_classify_takes_a_recording_as_it_is(recording, capsys):
    assert classified(recording, "--json") == 0
    assert list(document(capsys)) == ["frames", "summary"]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (classified, ("--center", "1e8")),
        (classified, ("--center", "5e8", "--symbol-rate", "1e5")),
        (classified, ("--symbol-rate", "0")),
        (scanned, ("--symbol-rate", "0")),
        (scanned, ("-o", "labels.txt")),
        (scanned, ("--sample-rate", "0")),
    ],
)
def test_options_that_make_no_sense_end_with_2(recording, command, options, capsys):
    assert command(recording, *options) == 2
    assert "allowed" in capsys.readouterr().err


def test_ready_frames_are_no_capture(tmp_path, capsys):
    np.save(tmp_path / "frames.npy", np.ones((3, 2, 1024), np.float32))
    assert scanned(tmp_path / "frames.npy") == 2
    assert "ready frames" in capsys.readouterr().err
    assert classified(tmp_path / "frames.npy", "--symbol-rate", "0.1") == 2
    assert "ready frames" in capsys.readouterr().err


@pytest.fixture
def folder(recording):
    write_sigmf(recording.parent / "deeper" / "noise", noise(50_000), RATE)
    (recording.parent / "notes.txt").write_text("not a recording")
    return recording.parent


def test_a_folder_gives_the_signals_of_each_of_its_recordings(folder, recording, capsys):
    assert scanned(recording, "--json") == 0
    alone = document(capsys)
    assert scanned(folder, "--json", "-o", folder / "all.csv") == 0
    answer = document(capsys)
    assert answer["signals"] == [{"file": str(recording)} | one for one in alone["signals"]]
    assert [one["summary"]["answer"] for one in answer["recordings"]] == [alone["summary"]["answer"], "no signal"]
    assert (answer["summary"]["recordings"], answer["summary"]["signals"], answer["summary"]["failed"]) == (2, 2, 0)
    with (folder / "all.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["label"]) for row in rows] == [(one["file"], one["label"]) for one in answer["signals"]]


def test_a_broken_recording_of_a_folder_is_an_entry_and_not_the_end(folder, capsys):
    (folder / "broken.cf32").write_bytes(b"123")
    assert scanned(folder, "--json") == 1
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    (broken,) = [one for one in answer["recordings"] if "error" in one]
    assert broken["file"].endswith("broken.cf32")
    assert (answer["summary"]["failed"], len(answer["signals"])) == (1, 2)
    assert "broken.cf32" in captured.err


@pytest.mark.parametrize("options", [("--picture", "x.png"), ("-o", "x.sigmf-meta")])
def test_a_folder_has_no_picture_or_annotations(folder, options, capsys):
    assert scanned(folder, *options) == 2
    assert "one by one" in capsys.readouterr().err


def test_a_folder_without_recordings_is_an_error(tmp_path, capsys):
    assert scanned(tmp_path) == 2
    assert "no recordings" in capsys.readouterr().err


def test_classify_says_before_it_answers_that_a_recording_looks_like_a_capture(recording, monkeypatch, capsys):
    said = []

    class Engine(PowerEngine):
        def logits(self, frames):
            said.append(capsys.readouterr().err)
            return super().logits(frames)

    monkeypatch.setattr(classifier, "open_engine", lambda target, engine="auto", threads=None: Engine())
    assert classified(recording, "--json") == 0
    assert "looks like a capture" in said[0]
    assert "bacalhaunet scan" in said[0]


def test_classify_says_nothing_of_a_centred_signal_or_of_frames(tmp_path, capsys):
    signal = linear_signal("QPSK", 50_000, 8.0, 0.35, np.random.default_rng(2)) + noise(50_000)
    path = write_sigmf(tmp_path / "signal", signal.astype(np.complex64), RATE)
    np.save(tmp_path / "frames.npy", np.ones((2, 2, 1024), np.float32))
    assert classified(path) == classified(tmp_path / "frames.npy") == 0
    assert "capture" not in capsys.readouterr().err
