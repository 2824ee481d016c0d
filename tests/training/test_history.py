import pytest

pytest.importorskip("lightning")

from bacalhaunet.compression.config import PruneStep
from bacalhaunet.compression.pruning import prune
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.models.spec import HeadSpec, NetworkSpec, SeparableBlock
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.training.config import BitsConfig, DataConfig, TrainConfig
from bacalhaunet.training.history import history_of
from bacalhaunet.training.run import train

TINY = NetworkSpec((SeparableBlock(5, 4, stride=8), SeparableBlock(3, 4)), head=HeadSpec())
DATA = DataConfig(frames_per_epoch=64, validation_frames_per_cell=1)


def config(network, **changes):
    return TrainConfig(
        network=str(network), data=DATA, epochs=1, batch_size=32, threads=1, accelerator="cpu", **changes
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three stages: float, 6 bits from it, pruned from that."""
    folder = tmp_path_factory.mktemp("runs")
    spec = folder / "tiny.yaml"
    spec.write_text(TINY.to_yaml())
    float_run = train(config(spec), folder / "float")
    six = train(config(float_run.model, bits=BitsConfig(), seed=2), folder / "six")
    [pruned] = prune(config(six.model), [PruneStep(1e-4, 0.01)], folder / "pruned")
    return {"float": float_run.model, "six": six.model, "pruned": pruned.model}


def test_the_frames_of_all_stages_add_up(runs):
    assert {name: load_model(path).metrics["frames_seen"] for name, path in runs.items()} == {
        "float": 64,
        "six": 128,
        "pruned": 192,
    }
    stages = history_of(runs["pruned"])
    assert [stage["kind"] for stage in stages] == ["train", "train", "prune"]
    assert [stage["config"]["seed"] for stage in stages] == [1, 2, 1]
    assert stages[2]["step"] == {"weight_decay": 1e-4, "min_abs_weight": 0.01}
    assert NetworkSpec.from_dict(stages[0]["spec"]) == TINY


def test_pruning_with_a_scale_prunes_by_it_and_tells_it(runs, tmp_path):
    step = [PruneStep(0.0, 0.3)]
    densities = {}
    for rms in (0.3, 1.0):
        [pruned] = prune(config(runs["six"]), step, tmp_path / f"rms-{rms}", importance="layer-rms", weight_rms=rms)
        densities[rms] = pruned.density
        assert history_of(pruned.model)[-1]["weight_rms"] == rms
    assert densities[0.3] < densities[1.0]
    with pytest.raises(ConfigError, match="weight_rms is 0"):
        next(prune(config(runs["six"]), step, tmp_path / "none", importance="layer-rms", weight_rms=0.0))


def test_a_run_folder_as_the_start_is_told_as_its_model(runs, tmp_path):
    run = train(config(runs["six"].parent), tmp_path / "run")
    stages = history_of(run.model)
    assert [stage["config"]["network"] for stage in stages[1:]] == [str(runs["float"]), str(runs["six"])]


def test_a_network_of_unknown_origin_is_refused(tmp_path):
    spec = find_spec("first-experiment")
    path = tmp_path / "given.safetensors"
    save_model(path, build_network(spec), spec, NAMES)
    with pytest.raises(ModelFileError, match="nothing says how"):
        history_of(path)
    run = train(config(path), tmp_path / "run")
    with pytest.raises(ModelFileError, match="of which nothing is known"):
        history_of(run.model)
