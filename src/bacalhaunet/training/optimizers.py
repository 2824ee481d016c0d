"""What takes a step along the gradient, Adam or Muon with Adam, and how its learning rates go over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer, lr_scheduler

from bacalhaunet.training.config import OptimizerConfig

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of the iteration. Source: Jordan et al., "Muon", 2024."""

ITERATIONS = 5

SQUARES = 64
"""Longest side of a matrix that is filled up to a square."""


def orthogonal_factors(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return about ``U V^T`` of each matrix ``U S V^T``, by Newton and Schulz's iteration.

        X <- G / |G|,   then five times   X <- a X + (b A + c A^2) X  with  A = X X^T

    Singular values end between about 0.7 and 1.2. Matrices of nearly the same shape are filled up with zeros, which the
    iteration keeps, and go through it together: a network has a dozen small ones, and one by one they would cost a GPU
    as much as the rest of a step. Larger ones go together with those of the same shape.

    Args:
        matrices: Each (rows, columns).

    Returns:
        Tensors of the same shapes, in the same order.
    """
    found: list[Tensor] = list(matrices)
    together: dict[tuple[int, int], list[int]] = {}
    for number, matrix in enumerate(matrices):
        together.setdefault(_padded_shape(*sorted(matrix.shape)), []).append(number)
    for shape, numbers in together.items():
        for number, factor in zip(numbers, _iterate([matrices[n] for n in numbers], shape), strict=True):
            rows, columns = matrices[number].shape
            found[number] = factor[:rows, :columns] if rows <= columns else factor[:columns, :rows].t()
    return found


def _padded_shape(short: int, long: int) -> tuple[int, int]:
    """Return the next square of a power of two for small matrices, whose number is what costs; large ones stay."""
    side = 1 << (long - 1).bit_length()
    return (side, side) if side <= SQUARES else (short, long)


def _iterate(matrices: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
    """Return the factors of matrices, turned where they have more rows than columns, filled up to one shape."""
    turned = [matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t() for matrix in matrices]
    filled = [functional.pad(m, (0, shape[1] - m.shape[1], 0, shape[0] - m.shape[0])) for m in turned]
    x: Tensor = torch.stack(filled)
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x


MOMENTUM = 0.95
"""Share of Muon's mean gradient that is kept from step to step."""


class MuonAndAdam(Optimizer):
    """Muon for every weight of two or more dimensions, Adam for biases, normalizations and quantizers' thresholds.

        G <- dL/dW + decay W,  M <- 0.95 M + 0.05 G,
        W <- W - 0.2 lr sqrt(max(rows, columns)) UV^T  with  USV^T = 0.05 G + 0.95 M

    A convolution's weight (outputs, inputs, taps) is the matrix (outputs, inputs x taps). The orthogonal factor makes a
    step change all directions alike, so that the filters of a layer become different from each other early; the factor
    before it gives the step the root mean square of one of Adam's, so that one learning rate suits all shapes.

    Args:
        network: Whose parameters are trained.
        learning_rate: Of Adam.
        matrix_learning_rate: Of Muon.
        weight_decay: L2 penalty added to every gradient, as torch's Adam adds it.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the step's size is that of
    Liu et al., "Muon is scalable for LLM training", 2025, section 2.2. ``torch.optim.Muon`` with ``match_rms_adamw``
    takes the same step to the precision of its bfloat16, but parameters of two dimensions only, one by one: for the
    matrices of BacalhauNet it needs 1.6 times as long on a CPU.
    """

    def __init__(
        self, network: nn.Module, learning_rate: float, matrix_learning_rate: float, weight_decay: float = 0.0
    ) -> None:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._matrices = [parameter for parameter in trained if parameter.dim() >= 2]
        rest = [parameter for parameter in trained if parameter.dim() < 2]
        groups: list[dict[str, Any]] = [{"params": self._matrices, "lr": matrix_learning_rate}]
        fused = bool(rest) and rest[0].is_cuda
        self._adam = Adam(rest, learning_rate, weight_decay=weight_decay, fused=fused or None) if rest else None
        if rest:
            groups.append({"params": rest, "lr": learning_rate})
        super().__init__(groups, {"lr": learning_rate})
        self._weight_decay = weight_decay

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; learning rates are those of ``param_groups``, which a schedule changes."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_matrices(self.param_groups[0]["lr"])
        if self._adam is not None:
            self._adam.param_groups[0]["lr"] = self.param_groups[1]["lr"]
            self._adam.step()
        return loss

    def _step_matrices(self, learning_rate: float) -> None:
        moved: list[Tensor] = [weight for weight in self._matrices if weight.grad is not None]
        if not moved:
            return
        for weight in moved:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        momenta: list[Tensor] = [self.state[weight]["momentum"] for weight in moved]
        # One call for all weights: on a GPU each costs as much as the arithmetic.
        slopes = [weight.grad for weight in moved if weight.grad is not None]
        gradients = torch._foreach_add(slopes, moved, alpha=self._weight_decay)
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        torch._foreach_lerp_(gradients, momenta, MOMENTUM)
        factors = orthogonal_factors([gradient.flatten(1) for gradient in gradients])
        sizes = [-0.2 * learning_rate * math.sqrt(max(factor.shape)) for factor in factors]
        steps = [factor.reshape(weight.shape) for factor, weight in zip(factors, moved, strict=True)]
        torch._foreach_mul_(steps, sizes)
        torch._foreach_add_(moved, steps, alpha=1)

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rates and what both optimizers remember."""
        own = {} if self._adam is None else {"adam": self._adam.state_dict()}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        state = dict(state_dict)
        if self._adam is not None:
            self._adam.load_state_dict(state.pop("adam"))
        super().load_state_dict(state)


def configured_optimizer(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Return the optimizer that ``config`` describes, for all parameters of ``network``."""
    if config.kind == "muon":
        return MuonAndAdam(network, config.learning_rate, config.matrix_learning_rate, config.weight_decay)
    return Adam(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)


WARM_UP_SHARE = 0.05
"""Share of all steps over which ``one-cycle`` rises."""


def one_cycle(total_steps: int) -> Callable[[int], float]:
    """Factor ``(s + 1) / w`` up to step w, then one cosine down to 0 at the last step.

    torch's ``OneCycleLR`` rises and falls by the same curve; this one rises in a line.

    Args:
        total_steps: Steps of the run; w is 5 % of them.
    """
    warm_up = max(1, round(WARM_UP_SHARE * total_steps))
    rest = max(1, total_steps - warm_up)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / rest)))

    return factor


def configured_schedule(
    optimizer: Optimizer, config: OptimizerConfig, steps_per_epoch: int, epochs: int
) -> lr_scheduler.LRScheduler:
    """Return the schedule that ``config`` names, stepped once a step, of a run of ``epochs * steps_per_epoch`` steps.

    Source of ``warm-restarts``: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    if config.schedule == "warm-restarts":
        return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, config.period_epochs * steps_per_epoch)
    return lr_scheduler.LambdaLR(optimizer, one_cycle(epochs * steps_per_epoch))
