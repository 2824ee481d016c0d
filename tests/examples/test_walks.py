"""The walks of the examples run from beginning to end and find what they should."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bacalhaunet.models.shipped_networks import shipped_networks

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / ".." / "shared" / "reference" / "networks" / "bacalhaunet_w6a6_pruned.onnx"


def network():
    """A quantized network that knows RadioML's signals: a shipped one of those cheap to run, or the 2021 one."""
    shipped = sorted(shipped_networks().values(), key=lambda one: float(one.card["score"]))
    if REFERENCE.is_file():
        return str(REFERENCE.resolve())
    if not shipped:
        pytest.skip("needs a shipped network, or the reference networks in ../shared")
    return str(shipped[0].onnx)


def walk(name, *arguments):
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    command = ["sh", str(ROOT / "examples" / name / "run.sh"), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_recording_is_found_and_labelled(tmp_path):
    pytest.importorskip("scipy", reason="needs scipy")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    out = walk("recording", network(), tmp_path)
    right, signals = out.splitlines()[-2].split(" labels right, ")
    assert signals == "6 signals found"
    assert int(right.split(" of ")[0]) >= 5
    notes = json.loads((tmp_path / "labelled.sigmf-meta").read_text())["annotations"]
    with (tmp_path / "labelled.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == [one["core:label"] for one in notes]
    assert (tmp_path / "capture.png").read_bytes().startswith(b"\x89PNG")


def test_the_official_validator_accepts_what_the_walk_writes(tmp_path):
    pytest.importorskip("scipy", reason="needs scipy")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    validator = Path(sys.executable).with_name("sigmf_validate")
    if not validator.is_file():
        pytest.skip("needs the command sigmf_validate of the package sigmf")
    walk("recording", network(), tmp_path)
    for name in ("capture", "truth", "labelled"):
        meta = tmp_path / f"{name}.sigmf-meta"
        done = subprocess.run([validator, str(meta)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_microcontroller_names_the_same_as_this_machine(tmp_path):
    pytest.importorskip("onnx", reason="needs the package onnx")
    if shutil.which("cc") is None:
        pytest.skip("needs cc")
    out = walk("microcontroller", network(), tmp_path)
    assert "all values equal" in out
    parts = out.split("== receiver's loop on ")
    host = [line for line in parts[1].splitlines() if line.startswith("frame")]
    assert len(host) == 3
    if "== no Cortex-M4" in out:
        pytest.skip("needs arm-none-eabi-gcc and qemu-system-arm for the rest of the walk")
    board = [line for line in parts[2].splitlines() if line.startswith("frame")]
    assert board == host
