import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("brevitas")

from bacalhaunet.cli.main import main
from bacalhaunet.cost.of import cost_of


def run(capsys, *words):
    code = main(["export", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("format", ["qonnx", "qcdq"])
def test_a_catalog_name_exports_untrained_and_says_so(format, capsys, tmp_path):
    path = tmp_path / "network.onnx"
    code, out, err = run(capsys, "first-experiment", "--bits", 6, "-o", path, "--format", format)
    assert code == 0
    assert "no trained weights" in err
    assert "same class as torch" in out
    assert cost_of(path).bit_ops <= cost_of("first-experiment", bits=6).bit_ops


def test_the_same_name_gives_the_same_file(capsys, tmp_path):
    files = [tmp_path / "one.onnx", tmp_path / "two.onnx"]
    for path in files:
        assert run(capsys, "first-experiment", "-o", path)[0] == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_batch_is_one_or_free_as_asked(capsys, tmp_path):
    for words, free in (([], False), (["--dynamic-batch"], True)):
        path = tmp_path / "network.onnx"
        assert run(capsys, "first-experiment", "-o", path, *words)[0] == 0
        dimension = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0]
        assert bool(dimension.dim_param) == free


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuchnetwork", "-o", "n.onnx"], "nosuchnetwork"),
        (["none.safetensors", "-o", "n.onnx"], "does not exist"),
        (["first-experiment", "-o", "n.txt"], ".onnx"),
        (["first-experiment", "-o", "n.onnx", "--bits", "99"], "99"),
        (["first-experiment", "-o", "n.onnx", "--format", "tflite"], "tflite"),
    ],
)
def test_what_cannot_be_exported_ends_with_exit_code_2_and_no_file(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_an_export_keeps_the_calibration(tmp_path):
    from bacalhaunet.classify.calibration import read_calibration

    assert main(["export", "lite", "-o", str(tmp_path / "lite.onnx")]) == 0
    assert read_calibration(str(tmp_path / "lite.onnx")) == read_calibration("lite")
