import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("qonnx")

from bacalhaunet.compression.budget import charged_score, groups, network_cost
from bacalhaunet.compression.config import ScorePruningConfig
from bacalhaunet.compression.schedule import ScorePruning
from bacalhaunet.cost.metric import metric_cost
from bacalhaunet.deploy.export import trace
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network
from bacalhaunet.training.fit import LAST_CHECKPOINT

from .small_pruning import SPEC, TARGET, digest, run, start


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


def test_the_network_reaches_the_target_and_its_zeros_are_zeros_of_the_export(uninterrupted):
    network, _ = uninterrupted
    exported = metric_cost(trace(network.eval(), "qonnx", SPEC.frame_length))
    assert network_cost(network, SPEC).score == exported.score <= TARGET
    assert exported.score > 0.8 * TARGET
    kept = {layer.name: network.get_submodule(layer.name).weight != 0 for layer in SPEC.layers()}
    assert charged_score(SPEC, kept) <= TARGET  # cut weights are zero, not only rounded to it


def _run_apart(*arguments: object) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("small_pruning.py")
    command = [sys.executable, "-m", "tests.compression.small_pruning", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=script.parents[2])


@pytest.mark.parametrize("kill_at", [13, 25])  # while masks change, and after they are frozen
def test_killed_at_any_stage_it_goes_on_to_the_same_weights(tmp_path, uninterrupted, kill_at):
    killed = _run_apart(tmp_path, kill_at)
    assert killed.returncode == -9
    assert (tmp_path / LAST_CHECKPOINT).is_file()
    assert digest(*run(tmp_path)) == digest(*uninterrupted)


@pytest.mark.parametrize("pattern", ["pairs", "channels"])
def test_patterns_hold_in_the_trained_network(tmp_path, pattern):
    pruning = ScorePruningConfig(every_steps=3, pattern=pattern)
    network, _ = run(tmp_path, pruning=pruning, target=TARGET)
    assert network_cost(network, SPEC).score <= TARGET
    members, wholly_cut = groups(SPEC, pattern), 0
    for layer in SPEC.layers():
        if layer.kind == "pointwise":
            cut = network.get_submodule(layer.name).weight == 0
            for group in members[layer.name].unique():
                of_group = cut[members[layer.name] == group]
                assert bool(of_group.all()) or not bool(of_group.any())
                wholly_cut += bool(of_group.all())
    assert wholly_cut


class Recorder(ScorePruning):
    """Counts the weights that come back."""

    def _choose(self, layers, target, exchange):
        before = {name: mask.clone() for name, mask in self.masks.items()}
        super()._choose(layers, target, exchange)
        assert exchange == 0 or charged_score(SPEC, self.masks) <= target
        self.back = getattr(self, "back", 0) + sum(int((self.masks[n] & ~m).sum()) for n, m in before.items())


@pytest.mark.parametrize("regrow", [True, False])
def test_cut_weights_come_back_only_where_they_may(tmp_path, monkeypatch, regrow):
    made = []
    monkeypatch.setattr(
        "bacalhaunet.compression.schedule.ScorePruning", lambda *a: made.append(Recorder(*a)) or made[-1]
    )
    run(tmp_path, pruning=ScorePruningConfig(every_steps=2, regrow=regrow, exchange=0.3))
    assert (made[0].back > 0) == regrow


def test_a_network_below_the_target_is_left_as_sparse_as_it_is(tmp_path):
    network = start()
    before = network_cost(network, SPEC).score
    network, _ = run(tmp_path, target=1.0, network=network)
    assert network_cost(network, SPEC).score <= before


def test_the_schedule_goes_from_the_start_to_the_target_and_never_up():
    pruning = ScorePruningConfig(begin=0.1, end=0.6)
    scores = [pruning.score_at(n / 100, 0.1, 0.02) for n in range(101)]
    assert (scores[0], scores[10], scores[60], scores[100]) == (0.1, 0.1, 0.02, 0.02)
    assert all(a >= b for a, b in pairwise(scores))


@pytest.mark.parametrize("values", [{"every_steps": 0}, {"begin": 0.8}, {"freeze": 1.2}, {"exchange": 1.0}])
def test_an_impossible_schedule_is_an_error(values):
    with pytest.raises(ConfigError):
        ScorePruningConfig(**values)


def test_a_weight_beyond_its_learned_threshold_counts_by_its_level():
    """Its level is cut off, so its own gradient is 0; it used to be cut first, largest weights before all others."""
    torch.manual_seed(5)
    spec = replace(find_spec("first-experiment").quantized(5, 5, sum_bits=5), learned_weight_steps=True)
    network = build_network(spec).train()
    layer = network.blocks[0].pointwise
    with torch.no_grad():
        layer.weight[3, 0, 0] = 7.0
        layer.learned_threshold.fill_(0.5)
    frames = torch.randn(16, 2, 1024, generator=torch.Generator().manual_seed(2))
    before = network.eval()(frames).detach()
    module = SimpleNamespace(network=network)
    pruning = ScorePruning(spec, 0.0001, ScorePruningConfig())
    pruning.on_train_start(SimpleNamespace(estimated_stepping_batches=10), module)
    torch.testing.assert_close(network.eval()(frames).detach(), before)
    network.train()
    for seed in range(5):
        network.zero_grad()
        given = torch.randn(16, 2, 1024, generator=torch.Generator().manual_seed(seed))
        torch.nn.functional.cross_entropy(network(given), torch.arange(16)).backward()
        pruning.on_before_optimizer_step(None, module, None)
    worth = pruning._importance("blocks.0.pointwise", layer)
    assert float(worth[3, 0, 0]) > 0
    within = layer.weight.detach().abs() < 0.5
    usual = pruning.squares["blocks.0.pointwise"][within].mean()
    assert float(worth[3, 0, 0]) == pytest.approx(0.25 * float(usual), rel=1e-4)  # its level is the threshold
    # The weight itself stays: brought to the threshold at every step, both shrank to nothing together.
    pruning.on_train_batch_end(SimpleNamespace(global_step=1), module, None, None, 0)
    assert float(layer.weight[3, 0, 0].detach()) == 7.0
