import pytest
import torch

from bacalhaunet.models.catalog import CATALOG
from bacalhaunet.models.network import build_network
from bacalhaunet.training.config import OptimizerConfig
from bacalhaunet.training.optimizers import MuonAndAdam, configured_optimizer, configured_schedule, one_cycle

MUON = OptimizerConfig(0.005, kind="muon", matrix_learning_rate=0.02)


def small_network(seed: int = 3) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network(CATALOG["first-experiment"].spec).train()


def frames_and_labels(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(8, 2, 1024, generator=drawn), torch.randint(0, 24, (8,), generator=drawn)


def take_steps(network: torch.nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        frames, labels = frames_and_labels(seed)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(frames), labels).backward()
        optimizer.step()


def test_every_parameter_moves():
    network = small_network()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    take_steps(network, configured_optimizer(network, MUON), range(1))
    for name, weight in network.named_parameters():
        assert not torch.equal(weight, before[name]), name


@pytest.mark.parametrize("shape", [(24, 24), (48, 24), (24, 48)])
def test_a_matrix_moves_by_the_size_of_an_adam_step(shape):
    layer = torch.nn.Linear(*shape, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn(before.shape, generator=torch.Generator().manual_seed(1))
    MuonAndAdam(layer, 0.001, 0.02).step()
    root_mean_square = float((layer.weight.detach() - before).square().mean().sqrt())
    assert root_mean_square == pytest.approx(0.2 * 0.02, rel=0.3)


def test_a_matrix_steps_along_the_nearest_orthogonal_matrix_of_its_gradient():
    weight = torch.nn.Linear(24, 24, bias=False)
    before = weight.weight.detach().clone()
    gradient = torch.randn(24, 24, generator=torch.Generator().manual_seed(1))
    weight.weight.grad = gradient.clone()
    MuonAndAdam(weight, 0.001, 0.02).step()
    step = before - weight.weight.detach()
    left, _, right = torch.linalg.svd(gradient)
    nearest = left @ right
    assert float((step * nearest).sum() / step.norm() / nearest.norm()) > 0.95
    # The gradient itself points elsewhere.
    assert float((step * gradient).sum() / step.norm() / gradient.norm()) < 0.95


def test_an_interrupted_run_goes_on_exactly():
    whole, resumed = small_network(), small_network()
    take_steps(whole, configured_optimizer(whole, MUON), range(6))
    first = configured_optimizer(resumed, MUON)
    take_steps(resumed, first, range(3))
    saved = {name: value.clone() for name, value in resumed.state_dict().items()}, first.state_dict()
    later = small_network(seed=9)
    later.load_state_dict(saved[0])
    second = configured_optimizer(later, MUON)
    second.load_state_dict(saved[1])
    take_steps(later, second, range(3, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, later.state_dict()[name]), name


def test_a_schedule_changes_both_learning_rates():
    network = small_network()
    optimizer = configured_optimizer(network, MUON)
    factor = one_cycle(100)
    scheduler = configured_schedule(optimizer, OptimizerConfig(schedule="one-cycle"), 100, 1)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.02 * factor(0), 0.005 * factor(0)])
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    take_steps(network, optimizer, range(1))
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name]), name
    scheduler.step()
    assert all(group["lr"] > 0 for group in optimizer.param_groups)


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_weight_decay_is_a_penalty_in_the_gradient(kind):
    config = OptimizerConfig(0.01, kind=kind, weight_decay=0.5)
    moved = []
    for penalized_by_hand in (False, True):
        torch.manual_seed(5)
        layer = torch.nn.Linear(8, 8)
        weights = list(layer.parameters())
        for number, weight in enumerate(weights):
            drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
            weight.grad = drawn + 0.5 * weight.detach() if penalized_by_hand else drawn
        settings = OptimizerConfig(0.01, kind=kind) if penalized_by_hand else config
        configured_optimizer(layer, settings).step()
        moved.append([weight.detach().clone() for weight in weights])
    for once, by_hand in zip(*moved, strict=True):
        torch.testing.assert_close(once, by_hand)


def test_adam_is_the_default():
    assert type(configured_optimizer(small_network(), OptimizerConfig())) is torch.optim.Adam
