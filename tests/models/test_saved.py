import json
import pickle
import struct

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file

from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.radio.modulations import NAMES

SPEC = find_spec("first-experiment").quantized(4, 5, sum_bits=4)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(3)
    network = build_network(SPEC)
    with torch.no_grad():
        network.blocks[0].pointwise.weight[:5] = 0
    path = tmp_path / "model.safetensors"
    save_model(path, network, spec=SPEC, classes=NAMES, metrics={"accuracy": 0.5, "frames": 100})
    return path, network


def test_everything_comes_back(saved):
    path, network = saved
    model = load_model(path)
    assert (model.spec, model.labels, model.metrics) == (SPEC, NAMES, {"accuracy": 0.5, "frames": 100})
    for name, value in network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], value)
    batch = torch.randn(3, 2, 1024)
    assert torch.equal(model.network(batch), network.eval()(batch))
    assert int((model.network.blocks[0].pointwise.weight[:5] != 0).sum()) == 0


def test_loading_and_saving_leave_the_random_generator_alone(saved):
    path, network = saved
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_model(path)
    save_model(path, network, spec=SPEC, classes=NAMES)
    assert torch.equal(torch.rand(3), expected)


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ModelFileError, match="not a saved model"):
        load_model(path)
    torch.save({"a": Attack()}, path)
    with pytest.raises(ModelFileError, match="not a saved model"):
        load_model(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.99])
def test_a_truncated_file_is_refused(saved, share):
    path, _ = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path)


def rewrite(path, change_header=None, change_state=None):
    """Write the file again with a changed header or other tensors."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])["__metadata__"]
    state = {k: v.clone() for k, v in load_model(path).network.state_dict().items()}
    save_file((change_state or (lambda s: s))(state), path, metadata=(change_header or (lambda h: h))(header))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: {}, "another program"),
        (lambda h: {**h, "format": "other"}, "another program"),
        (lambda h: {**h, "format_version": "99"}, "format version 99"),
        (lambda h: {**h, "spec": "{"}, "cannot be built"),
        (lambda h: {**h, "spec": h["spec"].replace('"kernel": 5', '"kernel": 4')}, "cannot be built"),
        (lambda h: {**h, "spec": h["spec"].replace('"kernel": 5', '"kernel": 7')}, "depthwise.weight is"),
        (lambda h: {**h, "labels": '["a"]'}, "1 labels"),
        (lambda h: {**h, "labels": "7"}, "labels in the file"),
        (lambda h: {**h, "metrics": "["}, "metrics in the file"),
    ],
)
def test_a_changed_header_is_refused(saved, change, words):
    path, _ = saved
    rewrite(path, change_header=change)
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "head.dense.bias"}, "lacks head.dense.bias"),
        (lambda s: {**s, "more": torch.zeros(1)}, "also has more"),
        (lambda s: {**s, "head.dense.bias": torch.zeros(3)}, "head.dense.bias is"),
        (lambda s: {**s, "head.dense.bias": torch.zeros(24, dtype=torch.float64)}, "float64"),
        (lambda s: {**s, "head.dense.bias": torch.full((24,), float("nan"))}, "not finite"),
    ],
)
def test_weights_that_do_not_belong_to_the_spec_are_refused(saved, change, words):
    path, _ = saved
    rewrite(path, change_state=change)
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert words in str(caught.value)


def test_a_failed_save_leaves_the_old_file(saved):
    path, network = saved
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match="2 labels for 24"):
        save_model(path, network, spec=SPEC, classes=("a", "b"))
    with pytest.raises(ModelFileError):
        save_model(path, network, spec=find_spec("prototype"), classes=NAMES)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"absent\.safetensors"):
        load_model(tmp_path / "absent.safetensors")


def test_the_same_model_gives_the_same_bytes(tmp_path):
    spec = find_spec("first-experiment")
    network = build_network(spec)
    files = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for path in files:
        save_model(path, network, spec, classes=NAMES, metrics={"accuracy": 0.5, "frames": 3})
    assert len({path.read_bytes() for path in files}) == 1
    assert load_model(files[0]).metrics == {"accuracy": 0.5, "frames": 3}
