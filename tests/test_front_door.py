"""The names of the front door: what they need is imported on first use, and what is missing is said in one line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import bacalhaunet as bn
from bacalhaunet.classify.calibration import Calibration, read_calibration
from bacalhaunet.errors import ConfigError

HEAVY = ("numpy", "torch", "onnxruntime", "onnx", "scipy", "h5py", "matplotlib", "yaml", "rich", "jsonargparse")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def without(*packages: str) -> str:
    """Return code after which these packages cannot be imported, as where they are not installed."""
    return (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {packages!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import bacalhaunet as bn\n"
    )


def test_importing_the_package_imports_nothing_heavy():
    done = run(f"import sys, bacalhaunet; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_every_name_is_there_and_listed():
    for name in bn.__all__:
        assert getattr(bn, name) is not None
        assert name in dir(bn)
    with pytest.raises(AttributeError, match="no attribute 'skan'"):
        bn.skan  # noqa: B018


@pytest.mark.parametrize(
    "call",
    ["bn.load('lite')", "bn.train", "bn.compress", "bn.cost('lite')", "bn.export"],
)
def test_a_name_that_needs_an_extra_says_which_in_one_line(call):
    done = run(without("torch", "onnx", "qonnx", "lightning") + f"{call}")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode != 0
    assert "MissingExtraError" in last or "needs the package" in last, done.stderr
    assert "[train]" in last


@pytest.mark.parametrize(("function", "setting"), [("train", "epoch"), ("compress", "prune_epoch")])
def test_a_setting_that_there_is_not_is_refused_with_a_suggestion(function, setting, tmp_path):
    pytest.importorskip("torch")
    data = bn.datasets.Arrays(np.zeros((60, 2, 64), np.float32), np.arange(60) % 2, ("a", "b"))
    with pytest.raises(ConfigError, match=rf"(?s){function} has no setting '{setting}'.*did you mean {setting}s"):
        getattr(bn, function)("prototype", data, folder=tmp_path, **{setting: 1})


def test_an_export_keeps_the_calibration_however_the_network_is_given(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    kept = read_calibration("lite")
    assert kept != Calibration()
    for number, network in enumerate(("lite", bn.load("lite"))):
        written = bn.export(network, tmp_path / f"{number}.onnx")
        assert read_calibration(str(written.path)) == kept


def test_the_core_names_run_without_torch():
    code = without("torch", "onnx", "qonnx", "lightning", "h5py", "matplotlib", "brevitas") + (
        "import numpy as np\n"
        "classifier = bn.open('lite')\n"
        "frames = np.random.default_rng(1).normal(0, 0.7, (3, 2, 1024)).astype(np.float32)\n"
        "print(classifier.predict(frames).shape, classifier.predict_proba(frames).shape, len(classifier.classes_))\n"
        "print(bn.classify(frames[0, 0] + 1j * frames[0, 1]).label in classifier.classes_)\n"
        "print(bn.scan(np.zeros(20_000, complex), sample_rate=1e6).summary['answer'])\n"
    )
    done = run(code)
    assert done.stdout.split("\n")[:3] == ["(3,) (3, 24) 24", "True", "no signal"], done.stderr
