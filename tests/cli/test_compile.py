"""compile and bench from the command line: output, exit codes, JSON."""

import json
import shutil
import subprocess

import numpy as np
import onnx
import pytest

from bacalhaunet.cli.main import main
from bacalhaunet.deploy.native.model import available_kernels
from tests.deploy.random_networks import GraphWriter
from tests.deploy.reference_networks import reference_network


@pytest.fixture
def network(tmp_path):
    writer = GraphWriter(np.random.default_rng(3), 64)
    x = writer.quant("frames", 8, 0.05, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 6, 5, stride=2, sparsity=0.3)), 6)
    path = tmp_path / "network.onnx"
    onnx.save(writer.model(writer.head(writer.pool(x, 32, 1), 24, 6, 0.3)), path)
    return path


def test_show_prints_ranges_forms_and_cost(network, capsys):
    assert main(["compile", str(network), "--show"]) == 0
    printed = capsys.readouterr().out
    for word in ("accumulator", "requantization", "MACs", "full 5/2", "dense", "an integer logit of 1 is"):
        assert word in printed


def test_the_sources_build_and_their_self_test_passes(network, tmp_path, capsys):
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    assert main(["compile", str(network), "-o", str(tmp_path / "c"), "--name", "radio"]) == 0
    assert "bytes of RAM" in capsys.readouterr().out
    subprocess.run(["gcc", "-std=c99", "radio.c", "radio_selftest.c", "-o", "test"], cwd=tmp_path / "c", check=True)
    assert "all values equal" in subprocess.run(["./test"], cwd=tmp_path / "c", capture_output=True, text=True).stdout


def test_nothing_to_do_is_an_error(network, capsys):
    assert main(["compile", str(network)]) == 2
    assert "--show" in capsys.readouterr().err


def test_a_network_that_cannot_be_lowered_ends_with_2_and_writes_nothing(tmp_path, capsys):
    path = reference_network("aaronnet32")
    assert main(["compile", str(path), "-o", str(tmp_path / "c")]) == 2
    assert "Conv_67" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_a_float_network_is_said_to_be_one(tmp_path, capsys):
    assert main(["compile", "first-experiment", "-o", str(tmp_path / "c")]) == 2
    assert "a float network has no integer form" in capsys.readouterr().err


def test_bench_prints_one_json_document_with_every_engine(network, capsys):
    # The network's frames are shorter than 1024 samples, as any engine must bear.
    assert main(["bench", str(network), "--json", "--seconds", "0.3", "--kernels", "all"]) == 0
    document = json.loads(capsys.readouterr().out)
    engines = document["engines"]
    assert [e["engine"] for e in engines] == ["native"] * len(available_kernels()) + ["onnxruntime"]
    for engine in engines:
        assert engine["latency_us"] > 0
        assert engine["frames_per_second"] > 0
        assert engine["agreement"] > 0.98
        assert engine["latency_p99_us"] >= engine["latency_us"]
    for engine in engines:
        if engine.get("kernels") in ("avx512", "avx2"):
            assert engine["vector_operations"] > 0
            assert engine["issue_bound_share"] > 0
