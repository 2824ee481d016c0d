"""What the cards in the package say is so."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")

import bacalhaunet
from bacalhaunet.classify.engines import open_engine
from bacalhaunet.cost.of import cost_of
from bacalhaunet.data.evaluation import wilson_interval
from bacalhaunet.data.generated import TEST_SEED, VALIDATION_SEED
from bacalhaunet.models.shipped_networks import FOLDER, shipped_networks
from bacalhaunet.radio.modulations import SNRS_DB
from bacalhaunet_paper.shipping import digest
from bacalhaunet_paper.shipping_measurement import Split

ROOT = Path(__file__).parents[2]
NETWORKS = shipped_networks()

pytestmark = pytest.mark.skipif(not NETWORKS, reason="no network is shipped yet: bacalhaunet ship")


@pytest.fixture(params=NETWORKS or [None])
def network(request):
    return NETWORKS[request.param]


def test_the_files_are_those_that_were_measured(network):
    card = network.card
    assert card["name"] == network.name
    for kind, path in (("safetensors", network.model), ("onnx", network.onnx)):
        assert card["sha256"][kind] == digest(path)
        assert card["bytes"][kind] == path.stat().st_size


def test_every_accuracy_follows_from_the_counts_of_the_full_test_split(network):
    card = network.card
    tables = np.array([card["confusion"][str(snr)] for snr in SNRS_DB])
    assert (card["frames_per_cell"], card["test_seed"]) == (410, TEST_SEED)
    assert (tables.sum(axis=2) == 410).all()
    right = np.einsum("skk->s", tables)
    assert card["frames"] == tables.sum() == len(card["labels"]) * len(SNRS_DB) * 410
    assert card["correct"] == right.sum()
    assert card["accuracy"] == card["correct"] / card["frames"]
    assert tuple(card["interval"]) == wilson_interval(card["correct"], card["frames"])
    by_snr = [card["accuracy_by_snr"][str(snr)] for snr in SNRS_DB]
    assert by_snr == (right / tables[0].sum()).tolist()


def test_cost_specification_and_labels_are_the_networks(network):
    card, cost = network.card, cost_of(network.model)
    assert (card["score"], card["bit_ops"], card["bit_mem"]) == (cost.score, cost.bit_ops, cost.bit_mem)
    loaded = bacalhaunet.load(network.name)
    assert (loaded.spec.to_dict(), list(loaded.classes.names)) == (card["spec"], card["labels"])


def test_the_training_is_told_from_drawn_weights_on(network):
    training = network.card["training"]
    assert training["frames_seen"] == sum(stage["frames"] for stage in training["stages"])
    assert training["curve"][-1][0] <= training["frames_seen"]
    assert "starts_from" not in training["recipe"][0]
    assert not str(training["recipe"][0]["config"]["network"]).endswith(".safetensors")
    assert TEST_SEED not in training["seeds"]


def test_the_export_names_as_many_validation_frames_rightly_as_the_card_says(network):
    split, right = Split(network.card["profile"], 2, VALIDATION_SEED), 0
    engine = open_engine(network.onnx)
    for part in split.parts():
        for batch in split.batches(part):
            right += int((engine.logits(batch.frames.numpy()).argmax(1) == batch.labels.numpy()).sum())
    low, high = wilson_interval(right, split.frames, z=4.5)
    assert low < network.card["accuracy"] < high


def test_the_wheel_brings_the_files():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["bacalhaunet"]
    packed = {file for pattern in patterns for file in (ROOT / "src" / "bacalhaunet").glob(pattern)}
    wanted = {file for network in NETWORKS for file in FOLDER.glob(f"{network}.*")}
    assert len(wanted) == 3 * len(NETWORKS)
    assert wanted <= packed
