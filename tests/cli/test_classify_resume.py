"""A classification that was interrupted or killed goes on, and its output is that of one that was not."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from bacalhaunet.classify import classifier
from bacalhaunet.cli.main import main
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from tests.classify.fake_engine import PowerEngine
from tests.classify.test_pipeline import noise

FRAMES = 4673


@pytest.fixture
def recording(tmp_path):
    power = np.repeat([1, 9, 1, 4, 0, 1], 50_000).astype(np.float32)
    return write_sigmf(tmp_path / "signal", noise(300_000) * np.sqrt(power), 1e6)


class Stopping(PowerEngine):
    """Stops the process, or raises, at one of its calls."""

    def __init__(self, calls, how=None):
        super().__init__()
        self.left, self.how = calls, how

    def logits(self, frames):
        self.left -= 1
        if self.left < 0:
            if self.how is not None:
                os.kill(os.getpid(), self.how)
            raise KeyboardInterrupt
        return super().logits(frames)


def run(monkeypatch, engine, path, output, *options, command="classify"):
    monkeypatch.setattr(classifier, "open_engine", lambda target, engine_="auto", threads=None: engine)
    words = [command, str(path), "--network", "any", "--normalization", "none", "--hop-length", "64"]
    return main([*words, "-o", str(output), *options])


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl", "labels.sigmf-meta"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_interrupted_and_run_again_gives_the_same_bytes(recording, tmp_path, monkeypatch, capsys, name, after):
    whole = tmp_path / f"whole.{name.split('.')[1]}"
    assert run(monkeypatch, PowerEngine(), recording, whole) == 0
    text = capsys.readouterr().out
    assert run(monkeypatch, Stopping(after), recording, tmp_path / name) == 130
    assert not (tmp_path / name).exists()
    again = PowerEngine()
    assert run(monkeypatch, again, recording, tmp_path / name) == 0
    captured = capsys.readouterr()
    assert (tmp_path / name).read_bytes() == whole.read_bytes()
    assert captured.out == text
    assert sum(again.batches) == FRAMES - 1024 * after
    assert "going on" in captured.err
    assert not list(tmp_path.glob(".*"))


def test_the_json_document_is_whole_too(recording, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, PowerEngine(), recording, tmp_path / "a.csv", "--json") == 0
    whole = capsys.readouterr().out
    assert run(monkeypatch, Stopping(2), recording, tmp_path / "a.csv", "--json") == 130
    assert capsys.readouterr().out == ""
    assert run(monkeypatch, PowerEngine(), recording, tmp_path / "a.csv", "--json") == 0
    assert capsys.readouterr().out == whole
    assert len(json.loads(whole)["frames"]) == FRAMES


@pytest.mark.parametrize("changed", ["settings", "recording", "metadata"])
def test_what_was_of_other_settings_or_files_is_not_used(recording, tmp_path, monkeypatch, capsys, changed):
    assert run(monkeypatch, Stopping(2), recording, tmp_path / "a.csv") == 130
    options = ("--scale", "2") if changed == "settings" else ()
    if changed == "recording":
        write_sigmf(recording, noise(300_000, seed=5), 1e6)
    if changed == "metadata":
        recording.write_text(recording.read_text().replace("1000000.0", "2000000.0"))
    engine = PowerEngine()
    assert run(monkeypatch, engine, recording, tmp_path / "a.csv", *options) == 0
    assert sum(engine.batches) == FRAMES
    assert "begun anew" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_killed_and_run_again_gives_the_same_bytes(recording, tmp_path, monkeypatch, capsys, how):
    code = (
        "import pytest, signal\n"
        "from pathlib import Path\n"
        "from tests.cli.test_classify_resume import Stopping, run\n"
        f"with pytest.MonkeyPatch.context() as patch:\n"
        f"    run(patch, Stopping(2, signal.{how}), Path({str(recording)!r}), Path({str(tmp_path / 'a.csv')!r}))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -getattr(signal, how)
    assert not (tmp_path / "a.csv").exists()
    engine = PowerEngine()
    assert run(monkeypatch, engine, recording, tmp_path / "a.csv") == 0
    assert sum(engine.batches) == FRAMES - 2048
    assert run(monkeypatch, PowerEngine(), recording, tmp_path / "whole.csv") == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_an_error_leaves_nothing_to_go_on_with(tmp_path, monkeypatch, capsys):
    samples = noise(300_000)
    samples[290_000] = np.nan
    path = tmp_path / "bad.cf32"
    path.write_bytes(samples.tobytes())
    assert run(monkeypatch, PowerEngine(), path, tmp_path / "a.csv") == 2
    assert [one.name for one in tmp_path.iterdir()] == ["bad.cf32"]


def test_signals_are_not_looked_for_again(tmp_path, monkeypatch, capsys):
    pytest.importorskip("scipy", reason="needs scipy")
    from tests.classify.front_end.captures import capture

    samples, _ = capture(np.random.default_rng(3), length=1 << 17, signals=3)
    path = write_sigmf(tmp_path / "capture", samples, 1e6)
    assert run(monkeypatch, PowerEngine(), path, tmp_path / "whole.jsonl", "--json", command="scan") == 0
    text = capsys.readouterr().out
    assert run(monkeypatch, Stopping(1), path, tmp_path / "a.jsonl", "--json", command="scan") == 130
    monkeypatch.setattr("bacalhaunet.cli.scan.find_signals", None)
    engine = PowerEngine()
    assert run(monkeypatch, engine, path, tmp_path / "a.jsonl", "--json", command="scan") == 0
    assert capsys.readouterr().out == text
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert 0 < sum(engine.batches) < len(json.loads(text)["frames"])
