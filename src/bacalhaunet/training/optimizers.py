"""What takes a step along the gradient: Adam, or Muon for the layers' weights with Adam for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from bacalhaunet.training.config import OptimizerConfig
from bacalhaunet.training.orthogonal import orthogonal_factors

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
    takes the same step to the precision of its bfloat16; it goes through the matrices one by one.
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
        given = [weight.grad for weight in moved if weight.grad is not None]
        gradients = torch._foreach_add(given, moved, alpha=self._weight_decay)
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


def _adam(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    return Adam(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)


def _muon(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    return MuonAndAdam(network, config.learning_rate, config.matrix_learning_rate, config.weight_decay)


OPTIMIZERS: dict[str, Callable[[nn.Module, OptimizerConfig], Optimizer]] = {"adam": _adam, "muon": _muon}
"""What ``optimizer.kind`` may name."""


def configured_optimizer(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Return the optimizer that ``config`` describes, for all parameters of ``network``."""
    return OPTIMIZERS[config.kind](network, config)
