"""The wheel alone, in an empty environment, names signals: nothing of the source tree and no torch is needed.

It asks package indexes for the dependencies, so it is marked ``network``: ``make wheel`` and ``.ci/run`` run it.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import bacalhaunet

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.network
LEFT_OUT = (".*", "build", "dist", "site", "runs", "tests", "docs", "__pycache__", "*.egg-info", "*.so")


def run(*words, **options):
    # What tells Python of the source tree stays out of the environment.
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=1200, env=environment, **options
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that the source tree stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The python of an environment with the wheel in its core install, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel)
    return python


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    run(sys.executable, ROOT / "examples" / "recording" / "make_recording.py", folder / "capture.sigmf-meta")
    return folder / "capture.sigmf-meta"


def test_the_wheel_holds_what_is_read_at_run_time(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tracked = [path for path in (ROOT / "src").rglob("*") if path.suffix not in (".py", ".so", ".pyc", ".md")]
    read = [str(path.relative_to(ROOT / "src")) for path in tracked if path.is_file() and "egg-info" not in str(path)]
    assert {name for name in read if name.endswith((".onnx", ".safetensors"))}
    assert [name for name in read if name not in names] == []


def test_the_environment_is_one_without_torch(environment, tmp_path):
    script = "import importlib.util as u, bacalhaunet as b; print(u.find_spec('torch'), b.__version__, b.__file__)"
    torch, version, file = run(environment, "-c", script, cwd=tmp_path).split()
    assert torch == "None"
    assert version == bacalhaunet.__version__
    assert str(environment.parents[1]) in file


def test_it_finds_and_names_the_signals_of_a_recording(environment, capture, tmp_path):
    said = run(environment, "-m", "bacalhaunet", "scan", capture, "--json", cwd=tmp_path)
    labels = {one["label"] for one in json.loads(said)["signals"]}
    truth = json.loads(capture.with_name("truth.sigmf-meta").read_text())["annotations"]
    assert len({one["core:label"] for one in truth} & labels) >= 5


def test_its_commands_are_those_of_the_source_tree(environment, tmp_path):
    said = run(environment.with_name("bacalhaunet"), "--help", cwd=tmp_path)
    assert all(f"  {name} " in said for name in ("models", "classify", "reproduce"))
    assert "shipped, with weights" in run(environment.with_name("bacalhaunet"), "models", cwd=tmp_path)
