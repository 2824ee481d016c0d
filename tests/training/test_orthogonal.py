import pytest
import torch
from torch.optim import Muon

from bacalhaunet.training.optimizers import MuonAndAdam, orthogonal_factors

SHAPES = [(16, 27), (32, 16), (64, 64), (5, 3), (64, 9), (24, 200), (200, 24), (1, 7)]


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_each_factor_has_its_matrix_shape_and_singular_values_near_one():
    matrices = [drawn(shape, seed) for seed, shape in enumerate(SHAPES)]
    for matrix, factor in zip(matrices, orthogonal_factors(matrices), strict=True):
        assert factor.shape == matrix.shape
        values = torch.linalg.svdvals(factor)
        assert float(values.min()) > 0.6, matrix.shape
        assert float(values.max()) < 1.3, matrix.shape


def test_a_matrix_gets_the_same_factor_alone_as_among_others():
    matrices = [drawn(shape, seed) for seed, shape in enumerate(SHAPES)]
    for matrix, factor in zip(matrices, orthogonal_factors(matrices), strict=True):
        [alone] = orthogonal_factors([matrix])
        torch.testing.assert_close(alone, factor)


def test_rows_without_a_gradient_stay_without_a_step():
    matrix = drawn((16, 27), 1)
    matrix[3] = 0
    [factor] = orthogonal_factors([matrix])
    assert torch.equal(factor[3], torch.zeros(27))


@pytest.mark.parametrize("shape", [(24, 24), (48, 20), (20, 48)])
def test_steps_are_those_of_torch_to_the_precision_of_its_bfloat16(shape):
    ours, theirs = torch.nn.Linear(shape[1], shape[0], bias=False), torch.nn.Linear(shape[1], shape[0], bias=False)
    before = ours.weight.detach().clone()
    theirs.load_state_dict(ours.state_dict())
    own = MuonAndAdam(ours, 0.001, 0.02)
    other = Muon([theirs.weight], 0.02, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for seed in range(4):
        ours.weight.grad = drawn(shape, seed)
        theirs.weight.grad = drawn(shape, seed)
        own.step()
        other.step()
    moved = (theirs.weight - before).norm()
    assert float((ours.weight - theirs.weight).norm() / moved) < 0.03
