"""The guide for one's own signals, run as it stands, and the same way from arrays and labelled SigMF.

Five classes that SciPy makes, in frames of 512 samples, from training to the answers and the C code.
"""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cli.main import main
from bacalhaunet.data.dataset import open_dataset
from bacalhaunet.models.saved import load_model

GUIDE = Path(__file__).parents[2] / "docs" / "your-own-signals.md"
NAMES = ("bpsk", "chirp", "fsk2", "fsk4", "qpsk")
GROUPS = ("linear", "sweep", "fsk", "fsk", "linear")
LENGTH = 512


def blocks():
    """Yield the guide's Python blocks and commands in order."""
    for kind, text in re.findall(r"```(python|console)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S):
        lines = [text] if kind == "python" else re.findall(r"^\$ (.*?[^\\])$", text, re.S | re.M)
        yield from ((kind, line.replace("\\\n", " ")) for line in lines)


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """The folder after the whole guide."""
    folder, names = tmp_path_factory.mktemp("guide"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for kind, text in blocks():
            if kind == "python":
                exec(text, names)
            else:
                program, *words = shlex.split(text)
                assert program == "bacalhaunet"
                assert main(words) == 0, text
    return folder


def printed(capsys, *words):
    assert main([*map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_networks_have_the_classes_and_the_length_of_the_folders(guide):
    for path in (guide / "runs/own/model.safetensors", guide / "runs/small/model.safetensors"):
        saved = load_model(path)
        assert saved.labels == NAMES
        assert saved.spec.frame_length == LENGTH
    assert load_model(guide / "runs/small/model.safetensors").metrics["score"] <= 0.015


def test_the_data_are_shown_by_class_and_part(guide, capsys):
    found = printed(capsys, "data", "show", guide / "recordings", "--frame_length", LENGTH, "--json")
    assert (found["classes"]["names"], found["frame_length"], found["snr_db"]) == (list(NAMES), LENGTH, None)
    assert all(one["train"] > one["test"] > one["validation"] > 0 for one in found["frames"].values())


def test_the_small_network_tells_the_classes_apart(guide, capsys):
    found = printed(capsys, "evaluate", guide / "own.onnx", "--data", guide / "recordings", "--json")
    assert found["accuracy"] > 0.8
    assert set(found["accuracy_by_modulation"]) == set(NAMES)
    assert found["accuracy_by_snr"] == {}
    assert np.shape(found["confusion"]) == (5, 5)


def test_a_recording_and_a_signal_in_a_capture_are_named_with_ones_own_classes(guide, capsys):
    found = printed(capsys, "classify", guide / "recordings/chirp/0.cf32", "--network", guide / "own.onnx", "--json")
    assert found["summary"]["label"] == "chirp"
    assert found["summary"]["group"] == "chirp"
    scanned = printed(
        capsys, "scan", guide / "capture.cf32", "--sample-rate", "1e6", "--network", guide / "own.onnx", "--json"
    )
    [heard] = scanned["signals"]
    assert heard["label"] == "qpsk"
    assert abs(heard["center"] - 200e3) < 5e3


def test_the_native_engine_gives_what_onnxruntime_gives(guide):
    native, reference = (open_engine(guide / "own.onnx", name) for name in ("native", "onnxruntime"))
    frames = open_dataset(guide / "recordings", frame_length=LENGTH).test.read(slice(None))
    assert native.labels == reference.labels == NAMES
    assert np.array_equal(native.logits(frames).argmax(1), reference.logits(frames).argmax(1))


def test_the_c_code_has_the_names_and_passes_its_own_test(guide, tmp_path):
    folder = guide / "firmware"
    assert all(f'"{name}"' in (folder / "classifier_tables.h").read_text() for name in NAMES)
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    sources = [folder / "classifier.c", folder / "classifier_selftest.c"]
    subprocess.run([compiler, "-O1", "-o", tmp_path / "selftest", *sources, "-lm"], check=True)
    subprocess.run([tmp_path / "selftest"], check=True)


def arrays(guide, path):
    data = open_dataset(guide / "recordings", frame_length=LENGTH)
    whole = data.part("all").spread(200)
    snr = np.full(len(whole), 10.0)
    np.savez(path / "own.npz", frames=whole.read(slice(None)), labels=whole.labels, names=NAMES, snr=snr, groups=GROUPS)
    return path / "own.npz"


def labelled_sigmf(guide, path):
    """One recording in which each class has a stretch."""
    stretch = 40 * LENGTH
    parts = [np.fromfile(guide / f"recordings/{name}/1.cf32", "<c8", stretch) for name in NAMES]
    np.concatenate(parts).tofile(path / "all.sigmf-data")
    marks = [
        {"core:sample_start": number * stretch, "core:sample_count": stretch, "core:label": name}
        for number, name in enumerate(NAMES)
    ]
    header = {"core:datatype": "cf32_le", "core:version": "1.0.0", "core:sample_rate": 1e6}
    text = {"global": header, "captures": [{"core:sample_start": 0}], "annotations": marks}
    (path / "all.sigmf-meta").write_text(json.dumps(text))
    return path


@pytest.mark.parametrize("made", [arrays, labelled_sigmf])
def test_arrays_and_labelled_sigmf_go_the_same_way(made, guide, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    data = made(guide, tmp_path / "data")
    start, model = tmp_path / "run" / "model.safetensors", tmp_path / "small" / "model.safetensors"
    brief = f"--data {data} --batch_size 32"
    pruning = "--target-score 0.02 --bits [] --allocation.factor 1 --prune_epochs 1 --norm_batches 0"
    for command in (
        f"train --network prototype --bits.weight 6 {brief} --data.frame_length {LENGTH} --epochs 1 -o {start.parent}",
        f"compress {start} {brief} {pruning} -o {model.parent}",
        f"calibrate {model} --data {data}",
        f"export {model} -o {tmp_path}/own.onnx",
    ):
        assert main(shlex.split(command)) == 0, command
    capsys.readouterr()
    found = printed(capsys, "evaluate", tmp_path / "own.onnx", "--data", data, "--json")
    assert set(found["accuracy_by_modulation"]) == set(NAMES)
    assert list(found["accuracy_by_snr"]) == (["10"] if made is arrays else [])
    named = printed(capsys, "classify", guide / "recordings/fsk2/0.cf32", "--network", tmp_path / "own.onnx", "--json")
    groups = dict(zip(NAMES, GROUPS if made is arrays else NAMES, strict=True))
    assert load_model(model).classes.group_of == tuple(groups.values())
    assert all(frame["group"] in groups.values() for frame in named["frames"])
